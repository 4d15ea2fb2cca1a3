//! Transport-wide feedback: what is read is what webrtc-rs reads of the same octets, up to the status count, and
//! hostile feedback does a viewer's estimate no harm that it could not do itself.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rtc::shared::marshal::Unmarshal;
use rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc};
use sluice::bwe::{Bitrate, Feedback, Layer, Layers, Sent, Viewer};

use crate::cases;
use crate::change::changed;

#[path = "../support/transport_feedback.rs"]
mod transport_feedback;

fn feedbacks() -> Vec<Vec<u8>> {
    let arrivals = |pattern: &[Option<i64>]| transport_feedback::transport_feedback(65_530, pattern);
    let steady: Vec<Option<i64>> = (0..40).map(|packet| Some(1_000_000 + packet * 5_000)).collect();
    let lossy: Vec<Option<i64>> = (0..40).map(|packet| (packet % 3 != 0).then_some(2_000_000 - packet * 900)).collect();
    let run = [0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 7, 0, 5, 0, 0, 9, 1, 0x20, 5, 1, 2, 3, 4, 5, 0];
    let bits = [0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 7, 0, 5, 0, 0, 9, 1, 0xb4, 0, 1, 2, 3, 0, 0, 0];
    vec![arrivals(&steady), arrivals(&lossy), arrivals(&[]), run.to_vec(), bits.to_vec()]
}

/// Numbers and arrivals, by webrtc-rs; `None` for what it does not read.
fn reference(packet: &[u8]) -> Option<Vec<(u16, Option<i32>)>> {
    let feedback = TransportLayerCc::unmarshal(&mut &packet[..]).ok()?;
    let symbols = feedback.packet_chunks.iter().flat_map(|chunk| match chunk {
        PacketStatusChunk::RunLengthChunk(run) => vec![run.packet_status_symbol; usize::from(run.run_length)],
        PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
    });
    let mut deltas = feedback.recv_deltas.iter();
    let mut arrival = 0;
    let statuses = symbols.take(usize::from(feedback.packet_status_count)).map(|symbol| match symbol {
        SymbolTypeTcc::PacketReceivedSmallDelta | SymbolTypeTcc::PacketReceivedLargeDelta => {
            let delta = deltas.next()?.delta / 250;
            arrival += delta as i32;
            Some(Some(arrival))
        }
        _ => Some(None),
    });
    let statuses: Option<Vec<Option<i32>>> = statuses.collect();
    let numbers = (0..).map(|number: u16| feedback.base_sequence_number.wrapping_add(number));
    Some(numbers.zip(statuses?).collect())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn statuses_are_those_that_webrtc_rs_reads(packet in changed(feedbacks())) {
        if let Some(feedback) = Feedback::parse(&packet) {
            let statuses: Vec<_> = feedback.statuses().collect();
            prop_assert!(statuses.len() <= 8192);
            // It takes less: no padding, no reserved symbols.
            if let Some(reference) = reference(&packet) {
                prop_assert_eq!(statuses, reference);
            }
        }
    }

    #[test]
    fn hostile_feedback_leaves_a_sane_estimate(
        packets in prop::collection::vec((changed(feedbacks()), 0u64..3000), 1..40),
        number in any::<bool>(),
    ) {
        let mut now = Instant::now();
        let mut viewer = Viewer::new(Bitrate::from_bits(1e6), 1, now);
        let layer = Layer { rates: [Bitrate::from_bits(5e5); 4], is_active: true, ..Layer::default() };
        viewer.set_layers(&Layers::new(Bitrate::from_bits(4e4), &[layer; 3]), now);
        if number {
            viewer.number_packets(now);
        }
        for (packet, wait) in packets {
            for _ in 0..20 {
                viewer.on_sent(Sent::Video, 1200, now);
            }
            if let Some(feedback) = Feedback::parse(&packet) {
                viewer.on_transport_feedback(&feedback, now);
            }
            now += Duration::from_millis(wait);
            viewer.handle_timeout(now);
            let padding = viewer.poll_padding().map_or(0, |padding| padding.octets);
            prop_assert!(padding < 20_000, "{} octets of padding at once", padding);
            let estimate = viewer.estimate().bits();
            prop_assert!((30e3..20e6).contains(&estimate), "{}", estimate);
        }
    }

    #[test]
    fn hostile_estimates_of_a_viewer_draw_a_bounded_number_of_octets(
        estimates in prop::collection::vec((any::<f32>(), 0u64..3000), 1..40),
    ) {
        let mut now = Instant::now();
        let mut viewer = Viewer::new(Bitrate::from_bits(1e6), 1, now);
        let layer = |bits| Layer { rates: [Bitrate::from_bits(bits); 4], is_active: true, ..Layer::default() };
        viewer.set_layers(&Layers::new(Bitrate::from_bits(4e4), &[5e5, 1e6, 2e6].map(layer)), now);
        for (estimate, wait) in estimates {
            viewer.on_switched(viewer.choice().video.map(|step| step.layer), now);
            for _ in 0..20 {
                viewer.on_sent(Sent::Video, 1200, now);
            }
            viewer.on_remb(Bitrate::from_bits(estimate.into()), now);
            now += Duration::from_millis(wait);
            viewer.handle_timeout(now);
            let padding = viewer.poll_padding().map_or(0, |padding| padding.octets);
            prop_assert!(padding < 20_000, "{} octets of padding at once", padding);
            prop_assert!(viewer.estimate().bits() >= 30e3, "{:?}", viewer.estimate());
        }
    }
}
