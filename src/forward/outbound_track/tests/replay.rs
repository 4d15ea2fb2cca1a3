//! A viewer that joins between two keyframes: a frame at once, then faster than real time, then live.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::forward::history::CachedFrames;
use crate::forward::layer_clocks::ticks;
use crate::forward::outbound_track::catch_up_time;

const FRAME: Duration = Duration::from_nanos(33_333_333);
const MILLISECOND: Duration = Duration::from_millis(1);

/// A packet as the viewer receives it.
#[derive(Clone, Debug)]
struct Got {
    at: Instant,
    number: u64,
    timestamp: u32,
    text: String,
}

/// Frames of three packets, 30 per second, numbered from 0; `is_keyframe` tells which decode alone.
fn arrivals(publisher: Publisher, frames: std::ops::Range<u32>, is_keyframe: fn(u32) -> bool) -> Vec<Packet> {
    let packet = |frame: u32, part: u32| Packet {
        received: publisher.start + FRAME * frame,
        timestamp: (publisher.epoch.publisher as u32 * 1_000_000_000).wrapping_add(3000 * frame),
        keyframe: part == 0 && is_keyframe(frame),
        marker: part == 2,
        payload: format!("{frame}").into_bytes().into(),
        ..publisher.packet(u64::from(frame * 3 + part))
    };
    frames.flat_map(|frame| (0..3).map(move |part| packet(frame, part))).collect()
}

fn gop_history() -> History {
    History::new(HistoryLimits::default())
}

/// Lets a viewer watch from `joins` until `ends` while packets arrive, one millisecond at a time.
fn watch(
    outbound_track: &mut OutboundTrack,
    history: &mut History,
    arrivals: &[Packet],
    joins: Instant,
    ends: Instant,
) -> Vec<Got> {
    let mut arrivals = arrivals.iter().peekable();
    let mut now = joins;
    while let Some(packet) = arrivals.next_if(|packet| packet.received <= now) {
        history.push(Arc::new(packet.clone()));
    }
    assert!(outbound_track.replay(history, now));
    let (mut got, mut buffer) = (Vec::new(), [0; 1500]);
    while now < ends {
        while let Some(packet) = arrivals.next_if(|packet| packet.received <= now) {
            history.push(Arc::new(packet.clone()));
        }
        outbound_track.tick(now);
        while let Some(written) = outbound_track.pull(history, &mut buffer) {
            let timestamp = timestamp(&buffer);
            got.push(Got { at: now, number: written.index, timestamp, text: text(written, &buffer) });
        }
        assert!(!outbound_track.is_replaying() || outbound_track.replay_due().is_none_or(|due| due > now));
        now += MILLISECOND;
    }
    got
}

#[test]
fn a_viewer_ten_seconds_after_the_keyframe_has_it_at_once_and_is_live_within_a_second() {
    let publisher = Publisher::new();
    let arrivals = arrivals(publisher, 0..400, |frame| frame == 0);
    let joins = publisher.start + Duration::from_secs(10);
    let (mut outbound_track, mut history) = (outbound_track(Kind::Video, false), gop_history());
    let got = watch(&mut outbound_track, &mut history, &arrivals, joins, joins + Duration::from_secs(3));

    assert_eq!((got[0].at, got[0].text.as_str(), got[0].timestamp), (joins, "0", FIRST.timestamp + 1));
    assert!(got.windows(2).all(|pair| pair[1].number == pair[0].number + 1), "no number is missing");
    let shown: Vec<u32> = got.iter().step_by(3).map(|got| got.text.parse().unwrap()).collect();
    assert_eq!(shown, (0..shown.len() as u32).collect::<Vec<_>>(), "every frame, in order");
    for got in &got {
        let clock = ticks(got.at, joins, 90_000);
        let late = clock.wrapping_sub(got.timestamp.wrapping_sub(FIRST.timestamp + 1)) as i32;
        assert!((0..=180).contains(&late), "each packet leaves as its timestamp says: {late} ticks late at {got:?}");
    }
    let live = got.iter().find(|got| got.at < publisher.start + FRAME * got.text.parse().unwrap() + 2 * MILLISECOND);
    let took = live.unwrap().at - joins;
    assert!(took < Duration::from_millis(720), "live after {took:?}");
    assert!(
        got.iter()
            .rev()
            .take(100)
            .all(|got| publisher.start + FRAME * got.text.parse().unwrap() + 2 * MILLISECOND > got.at)
    );
    assert!(
        outbound_track.map_timestamp(generation(1), LayerId(0), arrivals[0].timestamp).is_some(),
        "live tells the time again"
    );
    assert_eq!(outbound_track.counts().segments, 1);
}

#[test]
fn a_still_screen_is_shown_at_once_as_it_is_now_and_then_live() {
    for still in [25, 3 * 3600] {
        let publisher = Publisher::new();
        let still = Duration::from_secs(still);
        let pause = (still.as_millis() * 90) as u32;
        let mut all = arrivals(publisher, 0..10, |frame| frame == 0);
        for packet in all.iter_mut().filter(|packet| packet.index >= 15) {
            packet.received += still;
            packet.timestamp = packet.timestamp.wrapping_add(pause);
        }
        // Frames 0 to 4, silence, frames 5 to 7; 8 and 9 follow, 30 s apart.
        for (number, wait) in [(8, 30), (9, 60)] {
            for packet in &mut all[number * 3..number * 3 + 3] {
                packet.received += Duration::from_secs(wait);
                packet.timestamp = packet.timestamp.wrapping_add(90_000 * wait as u32);
            }
        }
        let joins = publisher.start + still + Duration::from_secs(1);
        let mut outbound_track = outbound_track(Kind::Video, false);
        let got = watch(&mut outbound_track, &mut gop_history(), &all, joins, joins + Duration::from_secs(61));
        assert_eq!((got[0].at, got[0].text.as_str(), got[0].timestamp), (joins, "0", FIRST.timestamp + 1));
        let current = got.iter().find(|got| got.text == "7").expect("the screen as it is");
        assert!(current.at <= joins + 100 * MILLISECOND, "{:?}", current.at - joins);
        let timestamps: Vec<u32> = got.iter().step_by(3).map(|got| got.timestamp).collect();
        assert_eq!(timestamps.len(), 10);
        assert!(timestamps.windows(2).all(|pair| (1..90_000 * 31).contains(&pair[1].wrapping_sub(pair[0]))));
        assert!(timestamps[7].wrapping_sub(timestamps[0]) < 9_000, "no receiver waits for what was 25 s");
        // Live: the viewer's clock shows the time that has passed.
        let live: Vec<&Got> = got.iter().filter(|got| ["8", "9"].contains(&got.text.as_str())).step_by(3).collect();
        for got in live {
            let clock = ticks(got.at, joins, 90_000);
            let late = clock.wrapping_sub(got.timestamp.wrapping_sub(FIRST.timestamp + 1)) as i32;
            assert!((-90..=360).contains(&late), "{late} ticks late at {}", got.text);
        }
        assert!(!outbound_track.is_replaying());
    }
}

#[test]
fn no_sender_report_time_while_timestamps_are_compressed() {
    let publisher = Publisher::new();
    let arrivals = arrivals(publisher, 0..100, |frame| frame == 0);
    let joins = publisher.start + Duration::from_secs(2);
    let mut outbound_track = outbound_track(Kind::Video, false);
    watch(&mut outbound_track, &mut gop_history(), &arrivals, joins, joins + 20 * MILLISECOND);
    assert!(outbound_track.is_replaying() && !outbound_track.wants_keyframe());
    assert_eq!(outbound_track.map_timestamp(generation(1), LayerId(0), arrivals[0].timestamp), None);
}

#[test]
fn a_keyframe_that_comes_meanwhile_ends_what_lies_before_it() {
    let publisher = Publisher::new();
    let arrivals = arrivals(publisher, 0..400, |frame| frame == 0 || frame == 305);
    let joins = publisher.start + Duration::from_secs(10);
    let got = watch(
        &mut outbound_track(Kind::Video, false),
        &mut gop_history(),
        &arrivals,
        joins,
        joins + Duration::from_secs(2),
    );
    let keyframe = got.iter().position(|got| got.text == "305").unwrap();
    assert!(got[keyframe - 1].text.parse::<u32>().unwrap() < 200, "{:?}", got[keyframe - 1]);
    assert!(got[keyframe].at <= publisher.start + FRAME * 305 + MILLISECOND);
    assert!(got.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert!(got.windows(2).all(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp) < 4000));
}

#[test]
fn a_new_publisher_takes_over_in_the_middle_of_a_replay() {
    let (first, mut second) = (Publisher::new(), Publisher::new().successor());
    second.start = first.start + Duration::from_millis(10_100);
    let mut all = arrivals(first, 0..301, |frame| frame == 0);
    all.extend(arrivals(second, 0..60, |frame| frame == 0));
    let mut outbound_track = outbound_track(Kind::Video, false);
    outbound_track.select(generation(2), &format(Kind::Video), SOURCE);
    let joins = first.start + Duration::from_secs(10);
    let got = watch(&mut outbound_track, &mut gop_history(), &all, joins, joins + Duration::from_secs(2));
    let places: Vec<_> = got.iter().filter(|got| got.text == "0").collect();
    assert_eq!(places.len(), 6, "two keyframes of three packets");
    assert!(places[3].at <= second.start + MILLISECOND);
    assert!(got.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert!(!outbound_track.is_replaying() && got.last().unwrap().text == "56");
}

#[test]
fn a_publisher_that_falls_silent_leaves_the_viewer_live() {
    let publisher = Publisher::new();
    let mut all = arrivals(publisher, 0..301, |frame| frame == 0);
    let silence = Duration::from_secs(5);
    let later = Publisher { start: publisher.start + silence, ..publisher };
    all.extend(arrivals(later, 301..310, |_| false));
    let joins = publisher.start + Duration::from_secs(10);
    let mut outbound_track = outbound_track(Kind::Video, false);
    let got = watch(&mut outbound_track, &mut gop_history(), &all, joins, joins + Duration::from_secs(7));
    assert!(!outbound_track.is_replaying());
    let again = got.iter().position(|got| got.text == "301").unwrap();
    assert_eq!(got[again].timestamp.wrapping_sub(got[0].timestamp) / 90, 5_033, "the viewer's clock went on");
}

#[test]
fn no_replay_without_a_keyframe_that_the_viewer_decodes() {
    let publisher = Publisher::new();
    let now = publisher.start + Duration::from_secs(1);
    let mut video = outbound_track(Kind::Video, false);
    assert!(!video.replay(&history(arrivals(publisher, 0..9, |_| false)), now));
    let history = history(arrivals(publisher, 0..9, |frame| frame == 0));
    let mut foreign = OutboundTrack::new(config(Kind::Video, false));
    assert!(!foreign.replay(&history, now) && foreign.wants_keyframe() == video.is_replaying());
    video.pause();
    assert!(!video.replay(&history, now));
    video.resume();
    assert!(video.replay(&history, now) && video.is_replaying());
}

#[test]
fn a_replayed_packet_is_resent_bit_for_bit() {
    let publisher = Publisher::new();
    let arrivals = arrivals(publisher, 0..31, |frame| frame == 0);
    let now = publisher.start + Duration::from_secs(1);
    let history = history(arrivals);
    let (mut outbound_track, mut sent) = (outbound_track(Kind::Video, false), BTreeMap::new());
    let (mut buffer, mut again) = ([0; 1500], [0; 1500]);
    assert!(outbound_track.replay(&history, now));
    for now in [now, now + Duration::from_millis(30)] {
        outbound_track.tick(now);
        while let Some(written) = outbound_track.pull(&history, &mut buffer) {
            sent.insert(written.index, (written, buffer));
        }
    }
    assert!(sent.len() > 30);
    for (index, (written, buffer)) in sent {
        let resent = outbound_track.resend(index as u16, &history, now, &mut again).unwrap().written;
        assert_eq!((resent, &again[..written.len]), (written, &buffer[..written.len]));
    }
}

#[test]
fn a_stream_of_many_megabits_is_caught_up_with_more_slowly() {
    let frames =
        |octets, seconds| CachedFrames { position: 0, octets, span: Duration::from_secs(seconds), still_frames: None };
    assert_eq!(catch_up_time(&frames(1_000_000, 15)), Duration::from_secs(1));
    assert_eq!(catch_up_time(&frames(7_500_000, 10)), Duration::from_secs(10) / 12);
    assert_eq!(catch_up_time(&frames(50_000_000, 3)), Duration::from_secs(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is lost or late on the publisher's path: a frame has one timestamp, and no other frame has it.
    #[test]
    fn frames_stay_apart_and_whole(
        since_keyframe in 0u64..12_000,
        delays in prop::collection::vec(prop_oneof![24 => Just(Some(0u64)), 4 => (0u64..60).prop_map(Some), 1 => Just(None)], 50..200),
    ) {
        let publisher = Publisher::new();
        let mut all: Vec<Packet> = (0..).zip(arrivals(publisher, 0..450, |frame| frame == 0)).filter_map(|(at, packet)| {
            let delay: Option<u64> = if at < 3 { Some(0) } else { delays[at % delays.len()] };
            Some(Packet { received: packet.received + Duration::from_millis(delay?), ..packet })
        }).collect();
        all.sort_by_key(|packet| packet.received);
        let joins = publisher.start + Duration::from_millis(since_keyframe);
        let mut outbound_track = outbound_track(Kind::Video, false);
        let got = watch(&mut outbound_track, &mut gop_history(), &all, joins, joins + Duration::from_secs(2));
        let mut timestamp_by_frame = BTreeMap::new();
        let mut numbers = std::collections::BTreeSet::new();
        for got in got {
            let frame: u32 = got.text.parse().unwrap();
            prop_assert_eq!(*timestamp_by_frame.entry(frame).or_insert(got.timestamp), got.timestamp, "{}", frame);
            prop_assert!(numbers.insert(got.number));
        }
        let timestamps: Vec<u32> = timestamp_by_frame.values().copied().collect();
        let wrong = timestamps.windows(2).position(|pair| !(1..30_000).contains(&pair[1].wrapping_sub(pair[0])));
        prop_assert!(wrong.is_none(), "after frame {:?} of {:?}", wrong, timestamps);
    }
}
