//! Holds what reading RTCP may allocate: nothing. Alone in its program, because it counts what the whole program
//! allocates.

#[path = "support/transport_feedback.rs"]
mod transport_feedback;

use std::alloc::System;
use std::hint::black_box;
use std::time::Instant;

use rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use sluice::bwe::Feedback;
use sluice::rtcp::{Reception, RtcpPacket, packets};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use transport_feedback::transport_feedback;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Everything that is named in a compound, and how often.
fn read(compound: &[u8]) -> usize {
    let named = |packet| match packet {
        RtcpPacket::SenderReport { blocks, .. } | RtcpPacket::ReceiverReport { blocks } => {
            blocks.iter().map(black_box).count()
        }
        RtcpPacket::Nack { sequences, .. } => sequences.iter().map(black_box).count(),
        RtcpPacket::KeyframeRequest { sources } | RtcpPacket::Estimate { sources, .. } => {
            sources.iter().map(black_box).count()
        }
        RtcpPacket::TransportFeedback { packet } => {
            Feedback::parse(packet).map_or(0, |feedback| feedback.statuses().count())
        }
    };
    packets(compound).map(named).sum()
}

#[test]
fn reading_any_feedback_allocates_nothing() {
    let reports = vec![ReceptionReport { ssrc: 7, ..Default::default() }; 31];
    let worst = NackPair { packet_id: 9, lost_packets: 0xffff };
    let compound: [Box<dyn rtcp::Packet>; 6] = [
        Box::new(SenderReport { ssrc: 7, ntp_time: 5, reports: reports.clone(), ..Default::default() }),
        Box::new(ReceiverReport { ssrc: 1, reports, ..Default::default() }),
        Box::new(TransportLayerNack { sender_ssrc: 1, media_ssrc: 7, nacks: vec![worst; 250] }),
        Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: 7 }),
        Box::new(FullIntraRequest {
            sender_ssrc: 1,
            media_ssrc: 0,
            fir: vec![FirEntry { ssrc: 7, sequence_number: 1 }; 140],
        }),
        Box::new(ReceiverEstimatedMaximumBitrate { sender_ssrc: 1, bitrate: 2_000_000.0, ssrcs: vec![7; 255] }),
    ];
    let mut compound = rtcp::packet::marshal(&compound).expect("webrtc-rs writes its own packets").to_vec();
    compound.extend(transport_feedback(7, &[Some(0); 900]));
    let now = Instant::now();
    let mut reception = Reception::new(1, "relay");
    reception.add_source(7, 90_000, true);
    let region = Region::new(ALLOCATOR);
    let named = read(&compound);
    reception.on_rtcp(&compound, now);
    let change = region.change();
    assert_eq!(named, 31 + 31 + 250 * 17 + 1 + 140 + 255 + 900);
    assert!(reception.clock(7).is_some());
    assert_eq!((change.allocations, change.reallocations, change.deallocations), (0, 0, 0));
}
