//! The most expensive input that a client may send, compared with ordinary input: how many times as many instructions
//! the relay spends on it.

use std::time::Duration;

use rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, RunLengthChunk, StatusChunkTypeTcc, SymbolTypeTcc, TransportLayerCc,
};
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use sluice::forward::codec::Codec;
use sluice::name::Role;
use sluice::rtcp::Compound;
use sluice::srtp::SrtpProfile;

use crate::callgrind::Costs;
use crate::relay::net::{Net, vp8};

const TIMES: usize = 20;
/// Of each case of media.
const FRAMES: usize = 30;
const PACKETS: u32 = 10;
/// No SSRC of the relay.
const FOREIGN: u32 = 5;

/// Compared cases: the worst, the usual, and how many times as many instructions the worst may take.
const PAIRS: [(&str, &str, f64); 9] = [
    ("nack_worst", "nack", 2.0),
    ("report_worst", "report", 2.0),
    ("request_worst", "request", 2.0),
    ("estimate_worst", "estimate", 2.0),
    ("arrivals_worst", "arrivals", 2.0),
    ("two_sources", "one_source", 3.0),
    ("forged_record", "report", 2.0),
    ("forged_data", "report", 2.0),
    ("forged_media", "report", 2.0),
];

/// Prints the pairs. An error names those that are off.
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
pub(crate) fn hold(costs: &Costs) -> Result<(), String> {
    let mut off = Vec::new();
    for (worst, usual, limit) in PAIRS {
        let cost = |case: &str| costs.of(&format!("instructions::hostile::case_{case}"));
        let times = cost(worst)? / cost(usual)?;
        println!("{worst:<22} {times:>10.2} times {usual}, at most {limit}");
        if times > limit {
            off.push(worst);
        }
    }
    if off.is_empty() { Ok(()) } else { Err(format!("{}: too many instructions; bound the work", off.join(", "))) }
}

/// A function that is called for each datagram and counted by its name.
macro_rules! cases {
    ($($case:ident)*) => {
        $(
            #[inline(never)]
            fn $case(stage: &mut Stage, from: usize, datagrams: &mut [Vec<u8>]) {
                stage.receive(from, datagrams);
                // Cases of one body would be folded into one.
                std::hint::black_box(stringify!($case));
            }
        )*
    };
}

cases! {
    case_nack case_nack_worst case_report case_report_worst case_request case_request_worst case_estimate
    case_estimate_worst case_arrivals case_arrivals_worst case_one_source case_two_sources case_forged_record
    case_forged_data case_forged_media
}

type Case = fn(&mut Stage, usize, &mut [Vec<u8>]);

/// A publisher and a viewer.
struct Stage {
    net: Net,
    publisher: usize,
    viewer: usize,
    frame: u32,
}

impl Stage {
    fn new() -> Self {
        let mut net = Net::new(1);
        let join = |net: &mut Net, role| net.join(role, "bench", &[Codec::Vp8, Codec::Vp9], &[SrtpProfile::Aes128Gcm]);
        let publisher = join(&mut net, Role::Publisher);
        let viewer = join(&mut net, Role::Viewer);
        net.connect();
        Self { net, publisher, viewer, frame: 0 }
    }

    /// The worker receives datagrams of a client, and does everything that follows.
    fn receive(&mut self, from: usize, datagrams: &mut [Vec<u8>]) {
        let address = self.net.clients[from].address;
        for datagram in datagrams {
            self.net.relay.receive(0, address, datagram, self.net.now);
        }
    }

    /// The viewer's datagram with this compound.
    fn feedback(&mut self, compound: Compound) -> Vec<u8> {
        let client = &mut self.net.clients[self.viewer].peer;
        client.send_rtcp(compound, self.net.now);
        client.poll_transmit().expect("a connected client seals RTCP").1.to_vec()
    }

    /// The publisher's next frame in [`PACKETS`] packets, sent from this number of SSRCs in turn.
    fn frame(&mut self, sources: u32) -> Vec<Vec<u8>> {
        self.frame += 1;
        let publisher = &mut self.net.clients[self.publisher];
        let usual = publisher.tracks[0].clone();
        let packet = |number: u32| {
            let track = &mut publisher.tracks[0];
            track.ssrc = usual.ssrc.map(|ssrc| ssrc.wrapping_add(number % sources));
            publisher.seal(0, self.frame * 3000, number + 1 == PACKETS, &vp8(number < sources, self.frame))
        };
        let datagrams = (0..PACKETS).map(packet).collect();
        self.net.clients[self.publisher].tracks[0] = usual;
        datagrams
    }
}

/// Runs all of them.
pub(crate) fn run_cases() {
    let mut stage = Stage::new();
    let own = stage.net.clients[stage.viewer].tracks[0].ssrc.expect("the answer names it");
    for (case, sources) in [(case_one_source as Case, 1), (case_two_sources, 2)] {
        stage.net.run(Duration::from_secs(2));
        for _ in 0..FRAMES {
            let mut datagrams = stage.frame(sources);
            let publisher = stage.publisher;
            case(&mut stage, publisher, &mut datagrams);
            stage.net.run(Duration::from_millis(33));
        }
    }
    let feedback: [(Case, Compound); 10] = [
        (case_nack, nack(own, 0)),
        (case_nack_worst, nack(own, 0xffff)),
        (case_report, report(own, 1)),
        (case_report_worst, report(own, 31)),
        (case_request, request(own, 1)),
        (case_request_worst, request(own, 140)),
        (case_estimate, estimate(own, 0)),
        (case_estimate_worst, estimate(own, 254)),
        (case_arrivals, arrivals(SymbolTypeTcc::PacketReceivedSmallDelta, 14, 1)),
        (case_arrivals_worst, arrivals(SymbolTypeTcc::PacketReceivedWithoutDelta, 8_191, 9)),
    ];
    let forged: [(Case, &[u8]); 3] = [
        // A plaintext alert, encrypted data and SRTP, all forged.
        (case_forged_record, &[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40]),
        (case_forged_data, &[&[23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 1, 0][..], &[7; 256]].concat()),
        (case_forged_media, &[&[0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5][..], &[7; 256]].concat()),
    ];
    for (case, datagram) in forged {
        for _ in 0..TIMES {
            let viewer = stage.viewer;
            case(&mut stage, viewer, &mut [datagram.to_vec()]);
            stage.net.run(Duration::from_millis(10));
        }
    }
    for (case, compound) in feedback {
        for _ in 0..TIMES {
            let datagram = stage.feedback(copy(&compound));
            let viewer = stage.viewer;
            case(&mut stage, viewer, &mut [datagram]);
            stage.net.run(Duration::from_millis(10));
        }
    }
}

fn copy(compound: &Compound) -> Compound {
    compound.iter().map(|packet| packet.cloned()).collect()
}

fn nack(media_ssrc: u32, lost_packets: u16) -> Compound {
    let nacks = (0..250).map(|number| NackPair { packet_id: number * 17, lost_packets }).collect();
    vec![Box::new(TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks })]
}

/// 31 report blocks; `count` of them are about the viewer's own SSRC.
fn report(own: u32, count: usize) -> Compound {
    let block = |number| {
        let ssrc = if number < count { own } else { FOREIGN };
        ReceptionReport { ssrc, last_sender_report: 77, delay: 5, ..Default::default() }
    };
    vec![Box::new(ReceiverReport { ssrc: 1, reports: (0..31).map(block).collect(), ..Default::default() })]
}

/// 140 entries; `count` of them are about the viewer's own SSRC.
fn request(own: u32, count: usize) -> Compound {
    let entry = |number| FirEntry { ssrc: if number >= 140 - count { own } else { FOREIGN }, sequence_number: 1 };
    vec![Box::new(FullIntraRequest { sender_ssrc: 1, media_ssrc: 0, fir: (0..140).map(entry).collect() })]
}

/// 255 SSRCs; the one at `place` is the viewer's own source.
fn estimate(own: u32, place: usize) -> Compound {
    let ssrcs = (0..255).map(|number| if number == place { own } else { FOREIGN }).collect();
    vec![Box::new(ReceiverEstimatedMaximumBitrate { sender_ssrc: 1, bitrate: 2_000_000.0, ssrcs })]
}

fn arrivals(packet_status_symbol: SymbolTypeTcc, run_length: u16, runs: u16) -> Compound {
    let run = RunLengthChunk { type_tcc: StatusChunkTypeTcc::RunLengthChunk, packet_status_symbol, run_length };
    let deltas = if runs == 1 { run_length } else { 0 };
    vec![Box::new(TransportLayerCc {
        sender_ssrc: 1,
        media_ssrc: 1,
        base_sequence_number: 0,
        packet_status_count: run_length.saturating_mul(runs),
        reference_time: 0,
        fb_pkt_count: 0,
        packet_chunks: vec![PacketStatusChunk::RunLengthChunk(run); runs.into()],
        recv_deltas: vec![RecvDelta { type_tcc_packet: packet_status_symbol, delta: 250 }; deltas.into()],
    })]
}
