//! The feedback, read back from its bytes.

use std::collections::BTreeMap;

use ::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// Sequence number and arrival in ticks of each received packet in a feedback packet, after serialisation.
fn read(feedback: TransportLayerCc) -> Vec<(u16, Option<i64>)> {
    let bytes = ::rtcp::packet::marshal(&[Box::new(feedback)]).unwrap();
    assert!(bytes.len() <= 1200, "{}", bytes.len());
    let packets = ::rtcp::packet::unmarshal(&mut bytes.freeze()).unwrap();
    let feedback = packets[0].as_any().downcast_ref::<TransportLayerCc>().unwrap();
    let mut symbols = Vec::new();
    for chunk in &feedback.packet_chunks {
        match chunk {
            PacketStatusChunk::RunLengthChunk(run) => {
                symbols.extend(vec![run.packet_status_symbol; run.run_length.into()]);
            }
            PacketStatusChunk::StatusVectorChunk(vector) => symbols.extend(&vector.symbol_list),
        }
    }
    let mut deltas = feedback.recv_deltas.iter().map(|delta| delta.delta / TICK as i64);
    let mut time = i64::from(feedback.reference_time) * REFERENCE;
    let mut sequence = feedback.base_sequence_number;
    let mut reported = Vec::new();
    for symbol in symbols.into_iter().take(feedback.packet_status_count.into()) {
        let arrived = symbol != SymbolTypeTcc::PacketNotReceived;
        if arrived {
            time += deltas.next().unwrap();
        }
        reported.push((sequence, arrived.then_some(time)));
        sequence = sequence.wrapping_add(1);
    }
    assert_eq!(deltas.next(), None);
    reported
}

fn all(arrivals: &mut Arrivals, now: Instant) -> Vec<(u16, Option<i64>)> {
    std::iter::from_fn(|| arrivals.poll(1, now)).flat_map(read).collect()
}

#[test]
fn reports_arrivals_and_gaps_50_ms_after_the_first() {
    let start = Instant::now();
    let mut arrivals = Arrivals::new();
    assert_eq!(arrivals.poll_timeout(), None);
    arrivals.on_packet(9, 65_534, start);
    arrivals.on_packet(9, 65_535, start + MS);
    arrivals.on_packet(9, 1, start + 2 * MS);
    assert_eq!(arrivals.poll_timeout(), Some(start + 50 * MS));
    assert!(arrivals.poll(1, start + 49 * MS).is_none());
    let reported = all(&mut arrivals, start + 50 * MS);
    assert_eq!(reported, [(65_534, Some(0)), (65_535, Some(4)), (0, None), (1, Some(8))]);
    assert_eq!(arrivals.poll_timeout(), None);
}

#[test]
fn late_packets_are_reported_again_from_there() {
    let start = Instant::now();
    let mut arrivals = Arrivals::new();
    for sequence in [10, 12] {
        arrivals.on_packet(9, sequence, start);
    }
    all(&mut arrivals, start + 50 * MS);
    arrivals.on_packet(9, 11, start + 60 * MS);
    arrivals.on_packet(9, 12, start + 60 * MS);
    assert_eq!(all(&mut arrivals, start + 110 * MS), [(11, Some(240)), (12, Some(0))]);
}

#[test]
fn a_long_silence_and_a_jump_are_reported_in_separate_packets() {
    let start = Instant::now();
    let mut arrivals = Arrivals::new();
    arrivals.on_packet(9, 1, start);
    arrivals.on_packet(9, 2, start + 9000 * MS);
    assert_eq!(all(&mut arrivals, start + 9000 * MS), [(1, Some(0)), (2, Some(36_000))]);
    arrivals.on_packet(9, 20_000, start + 9001 * MS);
    arrivals.on_packet(9, 20_001, start + 9002 * MS);
    assert_eq!(all(&mut arrivals, start + 9100 * MS), [(20_000, Some(36_004)), (20_001, Some(36_008))]);
}

#[test]
fn a_sender_that_restarts_its_numbers_is_followed() {
    let start = Instant::now();
    let mut arrivals = Arrivals::new();
    arrivals.on_packet(9, 30_000, start);
    arrivals.on_packet(9, 29_000, start);
    assert_eq!(all(&mut arrivals, start + 50 * MS), [(30_000, Some(0))]);
    arrivals.on_packet(9, 3, start + 60 * MS);
    arrivals.on_packet(9, 4, start + 60 * MS);
    assert_eq!(all(&mut arrivals, start + 110 * MS), [(3, Some(240)), (4, Some(240))]);
}

#[test]
fn memory_stays_bounded() {
    let start = Instant::now();
    let mut arrivals = Arrivals::new();
    for sequence in 0..200_000u32 {
        arrivals.on_packet(9, (sequence * 7) as u16, start);
        assert!(arrivals.times.len() <= MAX_SPAN);
    }
    for sequence in 0..200_000u32 {
        let now = start + MS * sequence;
        arrivals.on_packet(9, sequence as u16, now);
        while arrivals.poll(1, now).is_some() {}
    }
    assert!(arrivals.times.len() < 700, "{}", arrivals.times.len());
}

proptest! {
    #[test]
    fn every_arrival_is_reported_with_its_time(
        first in any::<u16>(),
        packets in prop::collection::vec((prop_oneof![9 => 1u16..3, 1 => 3u16..40], 0u32..30, 0u8..12), 1..600),
    ) {
        let start = Instant::now();
        let mut arrivals = Arrivals::new();
        let (mut sequence, mut now) = (first, start);
        arrivals.on_packet(9, sequence.wrapping_sub(1), start);
        let (mut expected, mut reported) = (BTreeMap::from([(first.wrapping_sub(1), 0)]), BTreeMap::new());
        for (step, wait, poll) in packets {
            now += MS * wait;
            arrivals.on_packet(9, sequence, now);
            expected.entry(sequence).or_insert(((now - start).as_micros() / TICK) as i64);
            if poll == 0 {
                reported.extend(all(&mut arrivals, now));
            }
            sequence = sequence.wrapping_add(step);
        }
        reported.extend(all(&mut arrivals, now + INTERVAL));
        let received: BTreeMap<_, _> = reported.into_iter().filter_map(|(at, time)| Some((at, time?))).collect();
        prop_assert_eq!(received, expected);
    }
}
