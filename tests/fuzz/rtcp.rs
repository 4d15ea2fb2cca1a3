//! RTCP compounds: each packet is read as webrtc-rs reads it, and costs no more than its octets.

use proptest::prelude::*;
use rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtcp::receiver_report::ReceiverReport;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use sluice::rtcp::{Block, RtcpPacket, packets};

use crate::cases;
use crate::change::changed;

/// What a packet says, apart from its octets.
#[derive(Debug, PartialEq)]
enum Content {
    Sender(u32, u64, u32, Vec<u32>),
    Receiver(Vec<u32>),
    Nack(u32, Vec<u16>),
    Keyframe(Vec<u32>),
    Estimate(Vec<u32>),
}

fn numbers(blocks: impl Iterator<Item = Block>) -> Vec<u32> {
    blocks.flat_map(|block| [block.ssrc, block.jitter, block.last_sr, block.delay]).collect()
}

fn read(compound: &[u8]) -> Vec<Content> {
    let content = |packet| {
        Some(match packet {
            RtcpPacket::SenderReport { ssrc, ntp, rtp, blocks } => {
                Content::Sender(ssrc, ntp, rtp, numbers(blocks.iter()))
            }
            RtcpPacket::ReceiverReport { blocks } => Content::Receiver(numbers(blocks.iter())),
            RtcpPacket::Nack { ssrc, sequences } => {
                let all: Vec<u16> = sequences.iter().collect();
                assert_eq!(all.len(), sequences.count());
                Content::Nack(ssrc, all)
            }
            RtcpPacket::KeyframeRequest { sources } => Content::Keyframe(sources.iter().collect()),
            RtcpPacket::Estimate { sources, .. } => Content::Estimate(sources.iter().collect()),
            RtcpPacket::TransportFeedback { .. } => return None,
        })
    };
    packets(compound).filter_map(content).collect()
}

/// The same by webrtc-rs; `None` for what the relay does not act on.
fn reference(packet: &dyn rtcp::Packet) -> Option<Content> {
    let numbers = |reports: &[rtcp::reception_report::ReceptionReport]| -> Vec<u32> {
        let all = reports.iter().map(|report| [report.ssrc, report.jitter, report.last_sender_report, report.delay]);
        all.flatten().collect()
    };
    let packet = packet.as_any();
    if let Some(report) = packet.downcast_ref::<SenderReport>() {
        return Some(Content::Sender(report.ssrc, report.ntp_time, report.rtp_time, numbers(&report.reports)));
    }
    if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
        return Some(Content::Receiver(numbers(&report.reports)));
    }
    if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
        return Some(Content::Nack(nack.media_ssrc, nack.nacks.iter().flat_map(NackPair::packet_list).collect()));
    }
    if let Some(indication) = packet.downcast_ref::<PictureLossIndication>() {
        return Some(Content::Keyframe(vec![indication.media_ssrc]));
    }
    if let Some(request) = packet.downcast_ref::<FullIntraRequest>() {
        return Some(Content::Keyframe(request.fir.iter().map(|entry| entry.ssrc).collect()));
    }
    let estimate = packet.downcast_ref::<ReceiverEstimatedMaximumBitrate>()?;
    Some(Content::Estimate(estimate.ssrcs.clone()))
}

fn packet(format: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80 | format, kind];
    packet.extend((body.len() as u16 / 4).to_be_bytes());
    packet.extend(body);
    packet
}

fn compounds() -> Vec<Vec<u8>> {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_be_bytes()).collect() };
    let block = [5, 0x0100_0002, 7, 8, 9, 10];
    let sender = packet(1, 200, &words(&[&[1, 2, 3, 4, 5, 6][..], &block].concat()));
    let receiver = packet(2, 201, &words(&[&[1][..], &block, &block].concat()));
    let description = packet(1, 202, &[0, 0, 0, 1, 1, 1, b'a', 0]);
    let nack = packet(1, 205, &words(&[1, 2, 0x000a_0003, 0xffff_8001]));
    let arrivals = packet(15, 205, &words(&[1, 2, 0x0001_0002, 0x0000_0100, 0x2002_0101]));
    let pli = packet(1, 206, &words(&[1, 2]));
    let fir = packet(4, 206, &words(&[1, 0, 2, 0x0700_0000, 3, 0x0800_0000]));
    let estimate = packet(15, 206, &words(&[1, 0, u32::from_be_bytes(*b"REMB"), 0x020b_0fff, 7, 8]));
    let bye = packet(1, 203, &words(&[1]));
    vec![
        [sender, description.clone(), pli].concat(),
        [receiver.clone(), nack, fir].concat(),
        [receiver, description, arrivals, estimate, bye].concat(),
    ]
}

/// The packets of a compound by their lengths alone.
fn each(mut compound: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while let [_, _, high, low, ..] = *compound {
        let Some((packet, rest)) = compound.split_at_checked(4 + 4 * usize::from(u16::from_be_bytes([high, low])))
        else {
            break;
        };
        all.push(packet);
        compound = rest;
    }
    all
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_packet_is_read_as_webrtc_rs_reads_it(compound in changed(compounds())) {
        for packet in each(&compound) {
            let read = read(packet);
            prop_assert!(read.len() <= 1);
            // What one of them refuses the other may take: webrtc-rs counts padding otherwise.
            let (Some(read), Ok(other)) = (read.first(), rtcp::packet::unmarshal(&mut &packet[..])) else { continue };
            if packet[0] & 0x20 == 0 {
                let other: Vec<Content> = other.iter().filter_map(|packet| reference(packet.as_ref())).collect();
                prop_assert_eq!(&other[..], std::slice::from_ref(read), "{:?}", packet);
            }
        }
    }

    #[test]
    fn a_compound_says_what_its_packets_say_and_no_more_than_its_octets_hold(compound in changed(compounds())) {
        let whole = read(&compound);
        let each: Vec<Content> = each(&compound).into_iter().take_while(|packet| packet[0] >> 6 == 2).flat_map(read).collect();
        prop_assert_eq!(&whole, &each);
        let items: usize = whole.iter().map(|content| match content {
            Content::Sender(.., numbers) | Content::Receiver(numbers) => numbers.len(),
            Content::Nack(_, sequences) => sequences.len().div_ceil(17),
            Content::Keyframe(sources) | Content::Estimate(sources) => sources.len(),
        }).sum();
        prop_assert!(4 * items <= compound.len());
    }
}
