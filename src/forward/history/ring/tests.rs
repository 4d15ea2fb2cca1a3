//! Positions, identity and limits of a history.

use std::collections::HashSet;
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::forward::codec::Part;
use crate::forward::source::{LayerId, generation};

fn history(packets: usize) -> History {
    History::new(HistoryLimits { packets, cache: CacheLimits::NONE, ..HistoryLimits::default() })
}

fn packet(publisher: u64, index: u64, received: Instant) -> Arc<Packet> {
    Arc::new(Packet {
        received,
        generation: generation(publisher),
        layer: LayerId(0),
        index,
        timestamp: 0,
        marker: false,
        payload_type: 96,
        descriptor: Default::default(),
        frame: Default::default(),
        extensions: Default::default(),
        part: Part::default(),
        keyframe: false,
        leads: 0,
        payload: Bytes::new(),
        redundancy: None,
    })
}

fn keyframe(publisher: u64, index: u64, received: Instant) -> Arc<Packet> {
    Arc::new(Packet { keyframe: true, ..(*packet(publisher, index, received)).clone() })
}

fn source(publisher: u64, index: u64) -> Source {
    Source { generation: generation(publisher), layer: LayerId(0), index }
}

fn source_at(history: &History, position: u64) -> Option<Source> {
    match history.get(position) {
        Get::Packet(packet) => Some(packet.source()),
        Get::TooOld | Get::NotYet => None,
    }
}

#[test]
fn positions_count_arrivals_and_show_which_viewer_fell_behind() {
    let (mut history, now) = (history(2), Instant::now());
    assert_eq!([7, 9, 8].map(|index| history.push(packet(1, index, now))), [Some(0), Some(1), Some(2)]);
    assert!(matches!(history.get(0), Get::TooOld) && matches!(history.get(3), Get::NotYet));
    assert_eq!([1, 2].map(|position| source_at(&history, position)), [Some(source(1, 9)), Some(source(1, 8))]);
    assert_eq!((history.tail, history.head()), (1, 3));
    assert!(history.find(source(1, 7)).is_none());
    assert_eq!(history.find(source(1, 8)).unwrap().index, 8);
}

#[test]
fn keeps_one_second() {
    let (mut history, start) = (history(100), Instant::now());
    for tenth in 0..30 {
        history.push(packet(1, tenth, start + Duration::from_millis(100) * tenth as u32));
    }
    assert_eq!((history.tail, history.head()), (19, 30));
}

#[test]
fn a_second_packet_of_the_same_source_is_refused_even_when_the_first_is_gone() {
    let (mut history, now) = (history(4), Instant::now());
    for index in 0..4 {
        assert!(history.push(packet(1, index, now)).is_some());
    }
    assert_eq!(history.push(packet(1, 3, now)), None);
    assert_eq!(history.push(packet(1, 4, now)), Some(4));
    assert_eq!(history.push(packet(1, 0, now)), None);
    assert_eq!(history.push(packet(2, 0, now)), Some(5));
}

#[test]
fn a_publisher_several_takeovers_ago_is_refused() {
    let (mut history, now) = (history(100), Instant::now());
    for publisher in 0..=RTP_STREAMS as u64 {
        assert!(history.push(packet(publisher, 5, now)).is_some());
    }
    assert_eq!(history.push(packet(0, 6, now)), None);
    assert!(history.push(packet(1, 6, now)).is_some() && history.push(packet(RTP_STREAMS as u64, 6, now)).is_some());
}

#[test]
fn knows_the_newest_keyframe() {
    let (mut history, now) = (history(3), Instant::now());
    assert_eq!(history.keyframe(), None);
    history.push(keyframe(1, 0, now));
    history.push(packet(1, 1, now));
    assert_eq!(history.keyframe(), Some(0));
    history.push(keyframe(1, 2, now));
    history.push(packet(1, 3, now));
    assert_eq!(history.keyframe(), Some(2));
}

#[test]
fn rewinds_to_what_overtook_a_packet() {
    let (mut history, now) = (history(100), Instant::now());
    for index in [10, 9, 12, 13, 11, 14] {
        history.push(packet(1, index, now));
    }
    history.push(packet(2, 5, now));
    assert_eq!((history.rewind(4), history.rewind(5), history.rewind(6)), (2, 5, 6));
    assert_eq!(history.rewind(50), 50);
}

#[test]
fn a_snapshot_and_then_the_live_packets_leave_no_gap() {
    let (mut here, mut there, now) = (history(100), history(100), Instant::now());
    let packets: Vec<_> = (0..20).map(|index| packet(1, index, now)).collect();
    for packet in &packets[..12] {
        here.push(packet.clone());
    }
    for packet in here.snapshot().chain(&packets[8..]) {
        there.push(packet.clone());
    }
    assert_eq!(there.head(), 20);
    assert!((0..20).all(|index| source_at(&there, index) == Some(source(1, index))));
}

proptest! {
    #[test]
    fn a_source_is_taken_once_and_found_while_it_is_kept(
        limit in 1usize..20,
        arrivals in prop::collection::vec((0u64..3, 0u64..60), 1..300),
    ) {
        let (mut history, now) = (history(limit), Instant::now());
        let mut taken = HashSet::new();
        for (publisher, index) in arrivals {
            let head = history.head();
            if let Some(position) = history.push(packet(publisher, index, now)) {
                prop_assert_eq!(position, head);
                prop_assert!(taken.insert(source(publisher, index)));
            }
            prop_assert!(history.head() - history.tail <= limit as u64);
            for &source in &taken {
                let kept = (history.tail..history.head()).any(|at| source_at(&history, at) == Some(source));
                prop_assert_eq!(history.find(source).map(|packet| packet.source()), kept.then_some(source));
            }
        }
    }
}

/// A packet each 100 ms, the first a keyframe.
fn history_of(limits: CacheLimits, packets: u32) -> History {
    let (mut history, start) =
        (History::new(HistoryLimits { cache: limits, ..HistoryLimits::default() }), Instant::now());
    for tenth in 0..packets {
        let received = start + Duration::from_millis(100) * tenth;
        let packet = Packet { keyframe: tenth == 0, timestamp: tenth, ..(*packet(1, tenth.into(), received)).clone() };
        history.push(Arc::new(packet));
    }
    history
}

#[test]
fn keeps_the_frames_since_the_keyframe_for_joining_viewers_and_one_second_for_live_viewers() {
    let history = history_of(CacheLimits::default(), 100);
    let span = Duration::from_millis(9_900);
    assert_eq!(history.cached_frames(), Some(CachedFrames { position: 0, octets: 0, span, still_frames: Some(100) }));
    assert!((0..100).all(|position| matches!(history.kept(position), Get::Packet(_))));
    assert!(matches!(history.get(88), Get::TooOld) && matches!(history.get(89), Get::Packet(_)));
    assert_eq!((history.keyframe(), history.snapshot().count()), (Some(0), 100));
    assert!(history.find(source(1, 0)).is_some());
}

#[test]
fn too_much_since_the_keyframe_is_dropped_gradually() {
    for limits in [
        CacheLimits { age: Duration::from_millis(14_900), ..CacheLimits::default() },
        CacheLimits { frames: 150, ..CacheLimits::default() },
        CacheLimits { octets: 150 * 192, ..CacheLimits::default() },
    ] {
        assert!(history_of(limits, 150).cached_frames().is_some());
        let history = history_of(limits, 152);
        assert_eq!((history.cached_frames(), history.tail), (None, DROPS as u64), "{limits:?}");
        assert_eq!(history_of(limits, 250).tail, 239);
    }
}

#[test]
fn few_frames_are_kept_until_a_newer_keyframe_arrives_however_old_they_are() {
    let mut history = history_of(CacheLimits::default(), 6);
    let start = Instant::now();
    for hour in 1..5 {
        history.expire(start + Duration::from_secs(3600 * hour));
        assert_eq!(
            history.cached_frames().map(|frames| (frames.position, frames.still_frames)),
            Some((0, Some(6))),
            "{hour}"
        );
    }
    let later = start + Duration::from_secs(4 * 3600);
    history.push(packet(1, 6, later));
    assert_eq!(history.cached_frames().map(|frames| frames.span.as_secs()), Some(4 * 3600));
    history.push(keyframe(1, 7, later));
    assert_eq!(history.cached_frames().map(|frames| frames.position), Some(7));
    // Frames further apart than timestamps can tell are given up.
    history.expire(later + Duration::from_secs(7 * 3600));
    assert_eq!((history.cached_frames(), history.snapshot().count()), (None, 0));
}

#[test]
fn expensive_packets_are_dropped_in_time_although_nothing_arrives() {
    for (octets, frames) in [(0, 101), (20_000, 60)] {
        let (mut history, start) = (History::new(HistoryLimits::default()), Instant::now());
        for number in 0..frames {
            let packet = (*packet(1, number.into(), start)).clone();
            let payload = Bytes::from(vec![0; octets]);
            history.push(Arc::new(Packet { keyframe: number == 0, timestamp: number, payload, ..packet }));
        }
        let kept = CacheLimits::default().age;
        history.expire(start + kept);
        assert!(history.cached_frames().is_some_and(|frames| frames.still_frames.is_none()), "{octets}");
        history.expire(start + kept + LONGEST_REPLAY + Duration::from_millis(1));
        assert_eq!((history.cached_frames(), history.snapshot().count()), (None, 0), "{octets}");
        assert_eq!(history.cache_cost(), None);
        // The next packets begin at the next keyframe.
        history.push(packet(1, 200, start + kept * 2));
        assert_eq!(history.cached_frames(), None);
        history.push(keyframe(1, 201, start + kept * 2));
        assert!(history.cached_frames().is_some());
    }
}

#[test]
fn cached_frames_that_make_room_are_gone_and_live_viewers_keep_one_second() {
    let mut history = history_of(CacheLimits::default(), 60);
    let (cost, since) = history.cache_cost().unwrap();
    assert_eq!(cost, 60 * 192);
    history.give_up_cache(since + Duration::from_millis(5_900));
    assert_eq!((history.cached_frames(), history.tail), (None, 49));
    assert!(matches!(history.get(59), Get::Packet(_)) && history.cache_cost().is_none());
}

#[test]
fn without_a_cache_the_newest_keyframe_is_kept_for_one_second() {
    let history = history_of(CacheLimits::NONE, 10);
    assert_eq!((history.keyframe(), history.cached_frames().map(|frames| frames.position)), (Some(0), Some(0)));
    let history = history_of(CacheLimits::NONE, 13);
    assert_eq!((history.keyframe(), history.cached_frames(), history.tail), (Some(0), None, 2));
}

#[test]
fn a_keyframe_that_comes_late_is_not_the_newest() {
    let (mut history, now) = (history(100), Instant::now());
    for packet in [keyframe(1, 5, now), keyframe(1, 3, now), keyframe(0, 9, now), packet(1, 6, now)] {
        history.push(packet);
    }
    assert_eq!(history.keyframe(), Some(0));
    history.push(keyframe(2, 0, now));
    assert_eq!(history.keyframe(), Some(4));
}
