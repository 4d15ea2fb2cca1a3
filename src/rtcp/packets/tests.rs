//! The reader compared with webrtc-rs's parser, and with malformed input.

use ::rtcp::goodbye::Goodbye;
use ::rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use ::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use ::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use ::rtcp::receiver_report::ReceiverReport;
use ::rtcp::reception_report::ReceptionReport;
use ::rtcp::sender_report::SenderReport;
use ::rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use proptest::prelude::*;

use super::*;

/// The content of a packet that is read here.
#[derive(Clone, Debug, PartialEq)]
enum Content {
    Sender(u32, u64, u32, Vec<Block>),
    Receiver(Vec<Block>),
    Nack(u32, Vec<u16>),
    Keyframe(Vec<u32>),
    Estimate(f32, Vec<u32>),
}

fn contents(compound: &[u8]) -> Vec<Content> {
    let contents = |packet| {
        Some(match packet {
            RtcpPacket::SenderReport { ssrc, ntp, rtp, blocks } => {
                Content::Sender(ssrc, ntp, rtp, blocks.iter().collect())
            }
            RtcpPacket::ReceiverReport { blocks } => Content::Receiver(blocks.iter().collect()),
            RtcpPacket::Nack { ssrc, sequences } => {
                let all: Vec<u16> = sequences.iter().collect();
                assert_eq!(all.len(), sequences.count());
                Content::Nack(ssrc, all)
            }
            RtcpPacket::KeyframeRequest { sources } => Content::Keyframe(sources.iter().collect()),
            RtcpPacket::Estimate { bits, sources } => Content::Estimate(bits, sources.iter().collect()),
            RtcpPacket::TransportFeedback { .. } => return None,
        })
    };
    packets(compound).filter_map(contents).collect()
}

/// The same as webrtc-rs understands it.
fn understood(packet: &dyn ::rtcp::Packet) -> Option<Content> {
    let blocks = |reports: &[ReceptionReport]| -> Vec<Block> {
        let block = |report: &ReceptionReport| Block {
            ssrc: report.ssrc,
            fraction_lost: report.fraction_lost,
            total_lost: if report.total_lost < 0x80_0000 { report.total_lost } else { 0 },
            highest: report.last_sequence_number,
            jitter: report.jitter,
            last_sr: report.last_sender_report,
            delay: report.delay,
        };
        reports.iter().map(block).collect()
    };
    let packet = packet.as_any();
    if let Some(report) = packet.downcast_ref::<SenderReport>() {
        return Some(Content::Sender(report.ssrc, report.ntp_time, report.rtp_time, blocks(&report.reports)));
    }
    if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
        return Some(Content::Receiver(blocks(&report.reports)));
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
    Some(Content::Estimate(estimate.bitrate, estimate.ssrcs.clone()))
}

/// A packet of a type with a format or count, and this much behind its header.
fn packet(kind: u8, format: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80 | format, kind];
    packet.extend((body.len() as u16 / 4).to_be_bytes());
    packet.extend(body);
    packet
}

fn pli(ssrc: u8) -> Vec<u8> {
    packet(206, 1, &[0, 0, 0, 1, 0, 0, 0, ssrc])
}

#[test]
fn unread_packet_types_are_skipped() {
    let other = packet(206, 15, &[&[0; 8][..], b"ELSE", &[1, 0, 0, 0]].concat());
    let rest = [packet(202, 1, &[5; 12]), packet(203, 1, &[6; 4]), packet(204, 0, &[7; 8]), packet(207, 0, &[8; 8])];
    let all = [pli(7), rest.concat(), other, packet(206, 2, &[0; 12]), pli(8)].concat();
    assert_eq!(contents(&all), [Content::Keyframe(vec![7]), Content::Keyframe(vec![8])]);
}

#[test]
fn transport_wide_feedback_is_handed_on_whole_whatever_it_claims() {
    // 65,535 packets in runs of "received", without times of arrival.
    let runs = [0x3f, 0xff].repeat(10);
    let worst = packet(205, 15, &[&[0; 8][..], &[0, 0, 0xff, 0xff, 0, 0, 0, 0], &runs].concat());
    let compound = [pli(7), worst.clone(), pli(8)].concat();
    let read: Vec<_> = packets(&compound).collect();
    assert_eq!(read[1], RtcpPacket::TransportFeedback { packet: &worst });
    assert_eq!(read.len(), 3);
    // Browsers pad it by less than a word.
    let padded = packet(205, 0x2f, &[&[0; 8][..], &[0, 0, 0, 1, 0, 0, 0, 0, 0x20, 1, 4, 1]].concat());
    assert_eq!(packets(&padded).next(), Some(RtcpPacket::TransportFeedback { packet: &padded }));
}

#[test]
fn only_the_packet_with_malformed_content_is_left_out() {
    let wrong = [
        packet(201, 2, &[0; 28]),
        packet(200, 0, &[0; 20]),
        packet(205, 1, &[0; 4]),
        packet(206, 1, &[0; 4]),
        packet(206, 4, &[0; 12]),
        packet(206, 15, &[&[0; 8][..], b"REMB", &[2, 0, 0, 0], &[1; 4]].concat()),
        // Padding of length 0, of less than a word, and of more than the packet.
        packet(206, 0x21, &[0; 12]),
        packet(206, 0x21, &[&[0; 11][..], &[3]].concat()),
        packet(206, 0x21, &[&[0; 11][..], &[16]].concat()),
        packet(206, 0x21, &[]),
    ];
    for wrong in wrong {
        assert_eq!(contents(&[wrong.clone(), pli(7)].concat()), [Content::Keyframe(vec![7])], "{wrong:?}");
    }
}

#[test]
fn padding_names_no_packets() {
    let nack = [0, 0, 0, 1, 0, 0, 0, 7, 0, 9, 0, 0, 0, 0, 0, 4];
    assert_eq!(contents(&packet(205, 0x21, &nack)), [Content::Nack(7, vec![9])]);
}

#[test]
fn a_malformed_header_ends_the_compound() {
    let mut cut = [pli(7), pli(8)].concat();
    cut.pop();
    assert_eq!(contents(&cut), [Content::Keyframe(vec![7])]);
    assert_eq!(contents(&[pli(7), vec![0; 12], pli(8)].concat()), [Content::Keyframe(vec![7])]);
}

#[test]
fn a_compound_of_many_small_packets_is_read_up_to_the_limit() {
    assert_eq!(contents(&pli(7).repeat(100)).len(), MAX_PACKETS);
    let behind = [packet(203, 0, &[]).repeat(MAX_PACKETS), pli(7)].concat();
    assert!(contents(&behind).is_empty());
}

fn any_report() -> impl Strategy<Value = ReceptionReport> {
    (any::<[u32; 5]>(), 0u32..1 << 24, any::<u8>()).prop_map(
        |([ssrc, highest, jitter, last, delay], lost, fraction)| ReceptionReport {
            ssrc,
            fraction_lost: fraction,
            total_lost: lost,
            last_sequence_number: highest,
            jitter,
            last_sender_report: last,
            delay,
        },
    )
}

fn any_packet() -> impl Strategy<Value = Box<dyn ::rtcp::Packet>> {
    let reports = || prop::collection::vec(any_report(), 0..5);
    let ssrcs = || prop::collection::vec(any::<u32>(), 1..5);
    prop_oneof![
        (any::<(u32, u64, u32)>(), reports()).prop_map(|((ssrc, ntp_time, rtp_time), reports)| {
            Box::new(SenderReport { ssrc, ntp_time, rtp_time, reports, ..Default::default() })
                as Box<dyn ::rtcp::Packet>
        }),
        reports().prop_map(|reports| Box::new(ReceiverReport { ssrc: 1, reports, ..Default::default() }) as _),
        (any::<u32>(), prop::collection::vec(any::<(u16, u16)>(), 1..9)).prop_map(|(media_ssrc, pairs)| {
            let pair = |(packet_id, lost_packets)| NackPair { packet_id, lost_packets };
            let nacks = pairs.into_iter().map(pair).collect();
            Box::new(TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks }) as _
        }),
        any::<u32>().prop_map(|media_ssrc| Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc }) as _),
        ssrcs().prop_map(|ssrcs| {
            let fir = ssrcs.into_iter().map(|ssrc| FirEntry { ssrc, sequence_number: 5 }).collect();
            Box::new(FullIntraRequest { sender_ssrc: 1, media_ssrc: 0, fir }) as _
        }),
        (1u32..1 << 18, 0i32..40, ssrcs()).prop_map(|(mantissa, exponent, ssrcs)| {
            let bitrate = mantissa as f32 * 2f32.powi(exponent);
            Box::new(ReceiverEstimatedMaximumBitrate { sender_ssrc: 1, bitrate, ssrcs }) as _
        }),
        ssrcs().prop_map(|sources| Box::new(Goodbye { sources, ..Default::default() }) as _),
    ]
}

proptest! {
    #[test]
    fn valid_packets_say_what_webrtc_rs_understands(sent in prop::collection::vec(any_packet(), 1..8)) {
        let octets = ::rtcp::packet::marshal(&sent).unwrap();
        let expected: Vec<Content> = sent.iter().filter_map(|packet| understood(&**packet)).collect();
        prop_assert_eq!(contents(&octets), expected);
    }

    #[test]
    fn what_webrtc_rs_takes_is_understood_alike_and_nothing_panics(
        parts in prop::collection::vec(
            (0u8..32, 198u8..210, prop::collection::vec(any::<u8>(), 0..120), any::<bool>(), any::<u16>(), any::<bool>()),
            1..6)
    ) {
        // Mostly valid headers, so that the octets behind them are read.
        let mut octets = Vec::new();
        let mut is_padded = false;
        for (count, kind, mut body, fits, length, padding) in parts {
            body.resize(body.len().next_multiple_of(4), 0);
            is_padded |= padding;
            octets.extend([0x80 | count | u8::from(padding) << 5, kind]);
            octets.extend((if fits { body.len() as u16 / 4 } else { length }).to_be_bytes());
            octets.extend(body);
        }
        let contents = contents(&octets);
        // It reads padding as content.
        if !is_padded && let Ok(packets) = ::rtcp::packet::unmarshal(&mut bytes::Bytes::from(octets.clone())) {
            let expected: Vec<Content> = packets.iter().filter_map(|packet| understood(&**packet)).collect();
            prop_assert_eq!(contents, expected);
        }
        crate::rtcp::reception::Reception::new(1, "relay").on_rtcp(&octets, std::time::Instant::now());
    }

    #[test]
    fn any_octets_are_read_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        contents(&octets);
    }
}
