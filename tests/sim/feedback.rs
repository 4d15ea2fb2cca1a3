//! Feedback of viewers does not harm others: floods of NACKs and of keyframe requests, and RTCP about SSRCs that belong
//! to others.

use rtcp::goodbye::Goodbye;
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RunLengthChunk, StatusChunkTypeTcc, SymbolTypeTcc, TransportLayerCc,
};
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use sluice::forward::codec::Kind;
use sluice::forward::{BURST_OCTETS, CacheLimits};
use sluice::worker::Config;

use crate::broadcast::{Broadcast, MILLISECOND, PARTS, SECOND, assert_continuous, broadcast_to};
use crate::net::Net;

/// AES-128-GCM's.
const TAG: u64 = 16;

/// A publisher and viewers that have seen its first second.
fn running(viewers: usize) -> (Net, Broadcast, Vec<usize>) {
    let (mut net, mut broadcast, viewers) = broadcast_to(viewers, 1, Config::default());
    broadcast.run(&mut net, SECOND);
    (net, broadcast, viewers)
}

/// Octets of media and of everything that a client was sent, without what the seal adds.
fn octets(net: &Net, viewer: usize) -> (u64, u64) {
    let client = &net.clients[viewer];
    let is_media = |ssrc| client.tracks.iter().any(|track| track.ssrc == Some(ssrc));
    let sum = |media: bool| {
        let packets = client.received.iter().filter(|packet| is_media(packet.ssrc) || !media);
        packets.map(|packet| packet.sealed.len() as u64 - TAG).sum()
    };
    (sum(true), sum(false))
}

#[test]
fn the_largest_nacks_draw_no_more_resends_than_their_budget_and_others_lose_nothing() {
    let (mut net, mut broadcast, viewers) = running(2);
    let [greedy, other] = viewers[..] else { panic!("two viewers") };
    let media_ssrc = net.ssrc(greedy, Kind::Video);
    let (media_before, all_before) = octets(&net, greedy);
    for _ in 0..300 {
        let newest = net.video(greedy).last().expect("frames come").index as u16;
        let all = |back: u16| NackPair { packet_id: newest.wrapping_sub(17 * back), lost_packets: 0xffff };
        let nacks: Vec<NackPair> = (1..250).map(all).collect();
        let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks };
        net.send_rtcp(greedy, nack);
        broadcast.run(&mut net, 10 * MILLISECOND);
    }
    let (media, all) = octets(&net, greedy);
    let (media, resends) = (media - media_before, all - all_before - (media - media_before));
    assert!(resends > 0, "it is answered within its budget");
    assert!(resends <= BURST_OCTETS + media / 2, "{resends} beside {media}");
    assert_continuous(&net.video(other), 0..broadcast.frame * PARTS);
}

#[test]
fn a_thousand_viewers_that_join_within_a_second_cause_at_most_two_keyframe_requests() {
    let config = Config { cache: CacheLimits::NONE, ..Config::default() };
    let (mut net, mut broadcast, _) = broadcast_to(0, 1, config);
    let publisher = broadcast.publisher;
    broadcast.run(&mut net, 2 * SECOND);
    let before = net.keyframe_requests(publisher);
    let began = net.now;
    for viewer in 0..1000 {
        net.watch("cam");
        if viewer % 10 == 9 {
            broadcast.run(&mut net, 10 * MILLISECOND);
        }
    }
    let within = began + SECOND;
    while net.now < within || net.clients.iter().any(|client| !client.is_connected()) {
        broadcast.run(&mut net, MILLISECOND);
        let requests = net.keyframe_requests(publisher) - before;
        let seconds = net.now.saturating_duration_since(began).as_secs() as usize;
        assert!(requests <= 2 + seconds, "{requests} requests");
        assert!(seconds < 5, "everybody connects");
    }
    assert!(net.keyframe_requests(publisher) > before);
}

/// 40 octets that say of 65,535 packets that they were received.
fn worst_transport_feedback() -> Box<dyn rtcp::Packet> {
    let run = PacketStatusChunk::RunLengthChunk(RunLengthChunk {
        type_tcc: StatusChunkTypeTcc::RunLengthChunk,
        packet_status_symbol: SymbolTypeTcc::PacketReceivedWithoutDelta,
        run_length: 8_191,
    });
    Box::new(TransportLayerCc {
        sender_ssrc: 1,
        media_ssrc: 1,
        base_sequence_number: 0,
        packet_status_count: 65_535,
        reference_time: 0,
        fb_pkt_count: 0,
        packet_chunks: vec![run; 9],
        recv_deltas: Vec::new(),
    })
}

#[test]
fn a_flood_of_the_worst_feedback_is_counted_and_costs_others_nothing() {
    let (mut net, mut broadcast, viewers) = running(2);
    let [hostile, other] = viewers[..] else { panic!("two viewers") };
    for _ in 0..1_000 {
        for client in [hostile, broadcast.publisher] {
            for _ in 0..10 {
                net.clients[client].peer.send_rtcp(vec![worst_transport_feedback()], net.now);
            }
        }
        broadcast.run(&mut net, MILLISECOND);
    }
    broadcast.run(&mut net, SECOND);
    let refused = net.drops("rtcp_flood");
    // A second has room for 256 of each, and there is a bit more than one.
    assert!((18_900..=19_500).contains(&refused), "{refused}");
    assert!(net.clients.iter().all(|client| !client.closed));
    for viewer in [hostile, other] {
        assert_continuous(&net.video(viewer), 0..broadcast.frame * PARTS);
    }
    // RTCP within the limit is read again.
    let before = net.keyframe_requests(broadcast.publisher);
    net.request_keyframe(hostile);
    broadcast.run(&mut net, SECOND);
    assert_eq!(net.keyframe_requests(broadcast.publisher), before + 1);
}

#[test]
fn rtcp_about_the_ssrcs_of_others_has_no_effect() {
    let (mut net, mut broadcast, viewers) = running(2);
    let [hostile, other] = viewers[..] else { panic!("two viewers") };
    let publisher = broadcast.publisher;
    let requests = net.keyframe_requests(publisher);
    let sources: Vec<u32> = [other, publisher]
        .into_iter()
        .flat_map(|client| net.clients[client].tracks.iter().flat_map(|track| [track.ssrc, track.rtx_ssrc]))
        .flatten()
        .collect();
    let before = [octets(&net, hostile), octets(&net, other)].map(|(media, all)| all - media);
    for ssrc in sources {
        let nacks = vec![NackPair { packet_id: 1000, lost_packets: 0xffff }];
        let now = net.now;
        for client in [hostile, publisher] {
            net.clients[client].peer.send_rtcp(
                vec![
                    Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: ssrc }),
                    Box::new(TransportLayerNack { sender_ssrc: 1, media_ssrc: ssrc, nacks: nacks.clone() }),
                    Box::new(Goodbye { sources: vec![ssrc], ..Goodbye::default() }),
                ],
                now,
            );
        }
        broadcast.run(&mut net, 20 * MILLISECOND);
    }
    broadcast.run(&mut net, SECOND);
    assert_eq!(net.keyframe_requests(publisher), requests);
    assert_eq!([octets(&net, hostile), octets(&net, other)].map(|(media, all)| all - media), before);
    let late = broadcast.add_viewer(&mut net);
    broadcast.run(&mut net, SECOND);
    assert!(net.clients.iter().all(|client| !client.closed));
    for viewer in [hostile, other, late] {
        assert_continuous(&net.video(viewer), 0..broadcast.frame * PARTS);
    }
}
