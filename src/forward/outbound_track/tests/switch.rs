//! Another layer of the same publisher in the same RTP stream.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::forward::header_extensions::HeaderExtensions;
use crate::forward::layer_clocks::LayerClocks;
use crate::forward::outbound_track::repair::Histories;
use crate::forward::source::{Generation, Source};

/// Between two frames: 30 a second.
const FRAME: Duration = Duration::from_nanos(33_333_333);
const FRAME_TICKS: u32 = 3000;
const LAYERS: usize = 3;

impl Histories for [History; LAYERS] {
    fn find(&self, source: Source) -> Option<&Arc<Packet>> {
        self[usize::from(source.layer.0)].find(source)
    }
}

/// A publisher of three layers, whose numbers and timestamps begin anywhere, and a viewer.
struct Stream {
    start: Instant,
    /// By layer: the first RTP timestamp, PictureID, frame number, and the number of the next packet.
    timestamps: [u32; LAYERS],
    pictures: [u16; LAYERS],
    frames: [u16; LAYERS],
    next: [u64; LAYERS],
    histories: [History; LAYERS],
    clocks: LayerClocks,
    viewer: OutboundTrack,
    layer: usize,
    buffer: Vec<u8>,
    received: BTreeMap<u64, Received>,
    /// Numbers below this one are of replays, or before one.
    replayed: u64,
}

/// What a viewer received with one number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Received {
    octets: Vec<u8>,
    header_len: usize,
    /// Compressed, or where the publisher's clock says.
    is_live: bool,
}

impl Received {
    fn timestamp(&self) -> u32 {
        timestamp(&self.octets)
    }

    /// PictureID and frame number, which the publisher counts frame by frame.
    fn numbers(&self) -> (u16, u16) {
        let dependencies = &self.octets[HEADER_LEN + 4..];
        assert_eq!(dependencies[0] >> 4, 12);
        let (picture, _) = numbers_in(&self.octets[self.header_len..]);
        (picture, u16::from_be_bytes([dependencies[2], dependencies[3]]))
    }

    /// The number of the frame and the layer that the publisher wrote into it.
    fn frame(&self) -> (u32, usize) {
        let text = std::str::from_utf8(&self.octets[self.header_len + 6..]).unwrap();
        let (layer, frame) = text.split_once('/').unwrap();
        (frame.split_once(' ').unwrap().0.parse().unwrap(), layer.parse().unwrap())
    }
}

impl Stream {
    fn new(timestamps: [u32; LAYERS], pictures: [u16; LAYERS], frames: [u16; LAYERS]) -> Self {
        let extensions = ExtensionIds { dependencies: Some(12), ..Default::default() };
        let mut viewer = OutboundTrack::new(OutboundTrackConfig { extensions, ..config(Kind::Video, false) });
        for layer in 0..LAYERS {
            viewer.select(generation_of(layer), &format(Kind::Video), SOURCE);
        }
        let limits = HistoryLimits { packets: 2048, age: Duration::from_secs(1), cache: CacheLimits::default() };
        Self {
            start: Instant::now(),
            timestamps,
            pictures,
            frames,
            next: [7, 65_000, 1 << 40],
            histories: [(); LAYERS].map(|()| History::new(limits)),
            clocks: LayerClocks::default(),
            viewer,
            layer: 0,
            buffer: vec![0; 1500],
            received: BTreeMap::new(),
            replayed: 0,
        }
    }

    fn at(&self, frame: u32) -> Instant {
        self.start + FRAME * frame
    }

    fn report(&mut self, layer: usize, frame: u32, error: i32) {
        let rtp = self.timestamps[layer].wrapping_add(frame * FRAME_TICKS);
        let ntp = (3_000_000_000_000 + i64::from(frame) * 33_333_333 / 1000 + i64::from(error)) as u128;
        let ntp = ((ntp << 32) / 1_000_000) as u64;
        self.clocks.on_report(generation_of(layer), LayerId(layer as u8), ntp, rtp, 90_000);
    }

    /// The packets of a frame, received this long after it was captured.
    fn frame(&mut self, layer: usize, frame: u32, packets: u64, keyframe: bool, latency: Duration) -> Vec<Packet> {
        let packet = |part: u64, stream: &Self| {
            let picture = stream.pictures[layer].wrapping_add(frame as u16) & 0x7fff;
            let mut extensions = HeaderExtensions::default();
            let [high, low] = stream.frames[layer].wrapping_add(frame as u16).to_be_bytes();
            extensions.set_dependencies(&[0xc0, high, low]);
            let packet = Packet {
                received: stream.at(frame) + latency,
                generation: generation_of(layer),
                layer: LayerId(layer as u8),
                index: stream.next[layer] + part,
                timestamp: stream.timestamps[layer].wrapping_add(frame * FRAME_TICKS),
                marker: part + 1 == packets,
                keyframe: keyframe && part == 0,
                extensions,
                payload: format!("{layer}/{frame} {part}").into_bytes().into(),
                ..Publisher::new().packet(0)
            };
            numbered(packet, true, picture, frame as u8)
        };
        let packets = (0..packets).map(|part| packet(part, self)).collect::<Vec<_>>();
        self.next[layer] += packets.len() as u64;
        packets
    }

    fn push(&mut self, packet: Packet) {
        self.histories[usize::from(packet.layer.0)].push(Arc::new(packet));
    }

    /// Sends all that is due by now.
    fn serve(&mut self, now: Instant) {
        self.viewer.tick(now);
        loop {
            let Some(written) = self.viewer.pull(&self.histories[self.layer], &mut self.buffer) else { return };
            let octets = self.buffer[..written.len].to_vec();
            // A packet that is behind the end of a replay belongs to the replay.
            if self.viewer.is_replaying() {
                self.replayed = self.replayed.max(written.index + 1);
            }
            let is_live = written.index >= self.replayed;
            let packet = Received { octets, header_len: written.header_len, is_live };
            let before = self.received.insert(written.index, packet);
            assert_eq!(before, None, "number {} twice", written.index);
        }
    }

    /// Asks for each number of the last 100 that has not arrived: packets of a layer that was left may come late.
    fn ask_again(&mut self, now: Instant) {
        let Some((&newest, _)) = self.received.last_key_value() else { return };
        for index in newest.saturating_sub(100).max(FIRST.index)..newest {
            if self.received.contains_key(&index) {
                continue;
            }
            let resent = self.viewer.resend(index as u16, &self.histories, now, &mut self.buffer);
            let Some(written) = resent.map(|resent| resent.written) else { continue };
            assert_eq!(written.index, index);
            let octets = self.buffer[..written.len].to_vec();
            self.received.insert(index, Received { octets, header_len: written.header_len, is_live: false });
        }
    }

    fn switch(&mut self, layer: usize) -> bool {
        self.viewer.select(generation_of(layer), &format(Kind::Video), SOURCE);
        let history = &self.histories[layer];
        let switched = history.keyframe().is_some_and(|keyframe| self.viewer.switch(history, keyframe, &self.clocks));
        if switched {
            self.layer = layer;
        }
        switched
    }

    /// Received packets by frame, in the order of their numbers: how many, and one of each.
    fn received_frames(&self) -> Vec<(usize, &Received)> {
        let mut frames: Vec<(usize, &Received)> = Vec::new();
        for packet in self.received.values() {
            match frames.last_mut() {
                Some((count, last)) if last.timestamp() == packet.timestamp() => {
                    assert_eq!(last.frame(), packet.frame(), "two frames with one timestamp");
                    *count += 1;
                }
                _ => frames.push((1, packet)),
            }
        }
        frames
    }

    /// By how much the viewer's timestamp of a frame differs from its capture time.
    fn offset(packet: &Received) -> i32 {
        packet.timestamp().wrapping_sub(packet.frame().0 * FRAME_TICKS) as i32
    }
}

fn generation_of(layer: usize) -> Generation {
    Epoch { publisher: 1, restart: layer as u32 }.generation()
}

#[test]
fn one_rtp_stream_goes_on_from_layer_to_layer() {
    let mut stream = Stream::new([5, 4_000_000_000, 777], [3, 0x7fff, 900], [60_000, 9, 65_535]);
    let latency = Duration::from_millis(10);
    for layer in 0..2 {
        stream.report(layer, 0, 0);
    }
    for frame in 0..6 {
        for layer in 0..2 {
            for packet in stream.frame(layer, frame, 2, frame == 0 || (layer, frame) == (1, 3), latency) {
                stream.push(packet);
            }
        }
        if frame == 3 {
            // The frame of the old layer is not sent: it has the same capture time.
            assert!(stream.switch(1));
        }
        stream.serve(stream.at(frame) + latency);
    }
    assert!(stream.received.keys().copied().eq(100..112));
    let frames = stream.received_frames();
    let of = |(count, packet): &(usize, &Received)| (*count, packet.frame(), packet.numbers().0, packet.timestamp());
    let expected = [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 1)];
    let expected = expected.map(|(frame, layer)| (2, (frame, layer), 3 + frame as u16, 1_000_001 + 3000 * frame));
    assert_eq!(frames.iter().map(of).collect::<Vec<_>>(), expected);
    let numbers = (0u16..6).map(|frame| 60_000 + frame);
    assert!(frames.iter().map(|(_, packet)| packet.numbers().1).eq(numbers));
    assert_eq!(stream.viewer.counts().segments, 2);
}

#[test]
fn a_keyframe_of_the_past_is_caught_up_with_and_ends_where_the_clock_says() {
    let mut stream = Stream::new([0, 1 << 31, 0], [0; LAYERS], [0; LAYERS]);
    (0..2).for_each(|layer| stream.report(layer, 0, 0));
    let (quick, slow) = (Duration::from_millis(5), Duration::from_millis(120));
    let mut waiting = Vec::new();
    for frame in 0..40 {
        for packet in stream.frame(0, frame, 1, frame == 0, quick) {
            stream.push(packet);
        }
        waiting.extend(stream.frame(1, frame, 1, frame == 10, slow));
        let now = stream.at(frame) + quick;
        let is_due = |packet: &mut Packet| packet.received <= now;
        for packet in waiting.extract_if(.., is_due).collect::<Vec<_>>() {
            let switches = packet.keyframe;
            stream.push(packet);
            assert!(!switches || stream.switch(1));
        }
        for step in 0..33 {
            stream.serve(now + Duration::from_millis(step));
        }
    }
    let frames = stream.received_frames();
    // Frames 10 to 13 are sent of both layers, as the second is 115 ms later.
    let second: Vec<_> = frames.iter().filter(|(_, packet)| packet.frame().1 == 1).collect();
    assert_eq!(second.first().map(|(_, packet)| packet.frame().0), Some(10));
    assert!(frames.windows(2).all(|pair| (pair[1].1.timestamp().wrapping_sub(pair[0].1.timestamp()) as i32) > 0));
    let late = |frame: u32| {
        second.iter().find(|(_, packet)| packet.frame().0 == frame).map(|(_, packet)| Stream::offset(packet))
    };
    assert!(late(10) > Some(1_000_001 + 2 * 3000), "{:?}", late(10));
    assert_eq!(late(15), Some(1_000_001));
    assert!(second.iter().skip(6).all(|(_, packet)| packet.is_live && Stream::offset(packet) == 1_000_001));
}

#[test]
fn without_clocks_timestamps_go_on_by_arrival() {
    let mut stream = Stream::new([0, 1 << 31, 0], [0; LAYERS], [0; LAYERS]);
    for frame in 0..4 {
        for layer in 0..2 {
            let latency = Duration::from_millis(5 + 15 * layer as u64);
            let begins = frame == 0 && layer == 0 || frame == 2 && layer == 1;
            for packet in stream.frame(layer, frame, 1, begins, latency) {
                stream.push(packet);
            }
        }
        if frame == 2 {
            stream.serve(stream.at(2));
            assert!(stream.switch(1));
        }
        stream.serve(stream.at(frame));
    }
    let offsets: Vec<_> =
        stream.received_frames().iter().map(|(_, packet)| Stream::offset(packet) - 1_000_001).collect();
    assert_eq!(offsets, [0, 0, 0, 1350, 1350], "15 ms");
}

#[test]
fn without_clocks_a_keyframe_that_has_passed_is_caught_up_with_by_arrival() {
    let mut stream = Stream::new([0, 1 << 31, 0], [0; LAYERS], [0; LAYERS]);
    for frame in 0..30 {
        for layer in 0..2 {
            let begins = frame == 0 && layer == 0 || frame == 4 && layer == 1;
            for packet in stream.frame(layer, frame, 1, begins, Duration::ZERO) {
                stream.push(packet);
            }
        }
        let now = stream.at(frame);
        if frame == 10 {
            assert!(stream.switch(1));
        }
        for step in 0..33 {
            stream.serve(now + Duration::from_millis(step));
        }
    }
    let frames = stream.received_frames();
    let order: Vec<_> = frames.iter().map(|(_, packet)| packet.frame()).collect();
    let expected = (0..10).map(|frame| (frame, 0)).chain((4..30).map(|frame| (frame, 1)));
    assert!(order.iter().copied().eq(expected), "{order:?}");
    let late = frames.iter().filter(|(_, packet)| packet.is_live && packet.frame().1 == 1);
    let moved: Vec<_> = late.map(|(_, packet)| Stream::offset(packet) - 1_000_001).collect();
    assert!(moved.len() > 15 && moved.iter().all(|moved| moved.abs() <= 90), "{moved:?}");
}

#[test]
fn a_layer_is_left_with_its_last_packets_resent_or_not_as_the_viewer_can_take() {
    let mut stream = Stream::new([0; LAYERS], [0; LAYERS], [0; LAYERS]);
    for frame in 0..3 {
        for layer in 0..2 {
            for packet in stream.frame(layer, frame, 1, frame == 0 || (layer, frame) == (1, 2), Duration::ZERO) {
                stream.push(packet);
            }
        }
        if frame == 2 {
            assert!(stream.viewer.is_between_frames(&stream.histories[0]) && stream.switch(1));
        }
        stream.serve(stream.at(frame));
    }
    let resend = |stream: &mut Stream, sequence, at| {
        let now = stream.at(at);
        let resent = stream.viewer.resend(sequence, &stream.histories, now, &mut stream.buffer)?.written;
        assert_eq!(stream.buffer[..resent.len], stream.received[&u64::from(sequence)].octets);
        Some(resent.index)
    };
    assert_eq!([101, 102].map(|sequence| resend(&mut stream, sequence, 10)), [Some(101), Some(102)]);
    stream.viewer.stop_resends();
    assert_eq!([101, 102].map(|sequence| resend(&mut stream, sequence, 20)), [None; 2]);
}

#[test]
fn a_layer_without_a_keyframe_or_with_one_too_large_is_not_switched_to() {
    let mut stream = Stream::new([0; LAYERS], [0; LAYERS], [0; LAYERS]);
    for (layer, keyframe) in [(0, true), (1, false), (2, true)] {
        for mut packet in stream.frame(layer, 0, 1, keyframe, Duration::ZERO) {
            if layer == 2 {
                packet.payload = vec![7; 1300].into();
            }
            stream.push(packet);
        }
    }
    stream.serve(stream.at(0));
    assert!(!stream.viewer.switch(&stream.histories[1], 0, &LayerClocks::default()));
    assert!(!stream.viewer.switch_with_replay(&stream.histories[1], stream.at(0), None, &LayerClocks::default()));
    assert!(!stream.switch(2));
    stream.viewer.pause();
    assert!(!stream.switch(0));
    assert_eq!(stream.received.len(), 1);
}

#[test]
fn cached_frames_of_another_layer_are_replayed_at_the_rate_that_the_path_carries() {
    let mut stream = Stream::new([9, 1 << 30, 0], [0; LAYERS], [0; LAYERS]);
    (0..2).for_each(|layer| stream.report(layer, 0, 0));
    for frame in 0..200 {
        for layer in 0..2 {
            for packet in stream.frame(layer, frame, 1, frame == 0 || (layer, frame) == (1, 60), Duration::ZERO) {
                stream.push(packet);
            }
        }
        let now = stream.at(frame);
        if frame == 120 {
            let frames = stream.histories[1].cached_frames().unwrap();
            // Four times what the layer has.
            let rate = 4 * frames.octets as u64 * 1000 / frames.span.as_millis() as u64 + 1;
            stream.viewer.select(generation_of(1), &format(Kind::Video), SOURCE);
            assert!(stream.viewer.switch_with_replay(&stream.histories[1], now, Some(rate), &stream.clocks));
            stream.layer = 1;
        }
        for step in 0..33 {
            stream.serve(now + Duration::from_millis(step));
        }
    }
    let frames = stream.received_frames();
    let second: Vec<_> = frames.iter().filter(|(_, packet)| packet.frame().1 == 1).collect();
    assert_eq!((second[0].1.frame().0, second.len()), (60, 140));
    let became_live = second.iter().find(|(_, packet)| packet.is_live).unwrap().1.frame().0;
    assert!((139..=142).contains(&became_live), "2 s are caught up with in 2/3 s, not at frame {became_live}");
    assert!(second.iter().filter(|(_, packet)| packet.is_live).all(|(_, packet)| Stream::offset(packet) == 1_000_001));
}

/// What is drawn for a second of the stream: the layer that the viewer is to go to, the frame at which its keyframe is
/// made, whether its cached frames are used instead, and latencies of the layers in milliseconds.
#[derive(Clone, Debug)]
struct Second {
    layer: usize,
    at: u32,
    is_replayed: bool,
    latencies: [u64; LAYERS],
    error: i32,
}

fn second() -> impl Strategy<Value = Second> {
    let latencies = prop::array::uniform3(0u64..90);
    (0..LAYERS, 0u32..20, prop::bool::weighted(0.2), latencies, -300i32..300)
        .prop_map(|(layer, at, is_replayed, latencies, error)| Second { layer, at, is_replayed, latencies, error })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_hundred_switches_leave_no_seam(
        timestamps: [u32; LAYERS],
        pictures: [u16; LAYERS],
        frames: [u16; LAYERS],
        seconds in prop::collection::vec(second(), 140),
        reordered in prop::collection::vec((0u64..4, 0u64..50), 97),
        is_lossy: bool,
    ) {
        let mut stream = Stream::new(timestamps, pictures, frames);
        let mut waiting: Vec<Packet> = Vec::new();
        let (mut switches, mut target) = (0, None);
        for (second, drawn) in (0u32..).zip(&seconds) {
            for step in 0..30 {
                let frame = 30 * second + step;
                for layer in 0..LAYERS {
                    if frame == 0 || step == 7 * layer as u32 {
                        stream.report(layer, frame, drawn.error * (layer as i32 - 1));
                    }
                    let keyframe = frame == 0 || (drawn.layer, drawn.at) == (layer, step);
                    let latency = Duration::from_millis(drawn.latencies[layer]);
                    for mut packet in stream.frame(layer, frame, 2, keyframe, latency) {
                        let (late, chance) = reordered[packet.index as usize % reordered.len()];
                        // One packet in ten is overtaken by others.
                        let is_overtaken = chance >= 45 && !packet.keyframe;
                        packet.received += Duration::from_millis(if is_overtaken { late } else { 0 });
                        if !is_lossy || chance > 0 || packet.keyframe {
                            waiting.push(packet);
                        }
                    }
                }
                waiting.sort_by_key(|packet| packet.received);
                if target.is_none() && drawn.layer != stream.layer && step == drawn.at {
                    target = Some(drawn.layer);
                }
                for tick in 0..11 {
                    let now = stream.at(frame) + Duration::from_millis(3 * tick);
                    let due = waiting.partition_point(|packet| packet.received <= now);
                    let mut arrived = None;
                    for packet in waiting.drain(..due).collect::<Vec<_>>() {
                        arrived = if packet.keyframe { Some(usize::from(packet.layer.0)) } else { arrived };
                        stream.push(packet);
                    }
                    stream.serve(now);
                    let Some(layer) = target else { continue };
                    let ready = arrived == Some(layer) || drawn.is_replayed;
                    if !ready || stream.viewer.is_replaying() {
                        continue;
                    }
                    stream.viewer.select(generation_of(layer), &format(Kind::Video), SOURCE);
                    let done = if drawn.is_replayed {
                        stream.viewer.switch_with_replay(&stream.histories[layer], now, None, &stream.clocks)
                    } else {
                        stream.switch(layer)
                    };
                    if done {
                        (stream.layer, target) = (layer, None);
                        switches += 1;
                    }
                    stream.serve(now);
                }
                stream.ask_again(stream.at(frame + 1));
            }
        }
        // What was overtaken last.
        waiting.drain(..).for_each(|packet| stream.push(packet));
        let end = stream.at(30 * seconds.len() as u32 + 3);
        stream.serve(end);
        stream.ask_again(end);
        prop_assert!(switches >= 60, "{} switches", switches);
        if !is_lossy {
            prop_assert!(stream.received.keys().copied().eq(100..100 + stream.received.len() as u64));
        }
        let received = stream.received_frames();
        let first = Stream::offset(received[0].1);
        for (pair, place) in received.windows(2).zip(1..) {
            let (before, after) = (pair[0].1, pair[1].1);
            prop_assert!((after.timestamp().wrapping_sub(before.timestamp()) as i32) > 0, "frame {}", place);
            let follows = !is_lossy || before.frame().1 != after.frame().1 || before.frame().0 + 1 == after.frame().0;
            if follows {
                let next = ((before.numbers().0 + 1) & 0x7fff, before.numbers().1.wrapping_add(1));
                prop_assert_eq!(after.numbers(), next, "frame {}: {:?} {:?}", place, before.frame(), after.frame());
            }
            if after.is_live {
                let moved = (Stream::offset(after) - first).abs();
                prop_assert!(moved <= 90_000 / 25, "{} ms at frame {:?}", moved / 90, after.frame());
            }
        }
        for (index, packet) in stream.received.range(stream.viewer_next().saturating_sub(200)..) {
            let now = stream.at(30 * seconds.len() as u32 + 30);
            let Some(resent) = stream.viewer.resend(*index as u16, &stream.histories, now, &mut stream.buffer) else { continue };
            prop_assert_eq!(&stream.buffer[..resent.written.len], &packet.octets[..]);
        }
    }
}

impl Stream {
    fn viewer_next(&self) -> u64 {
        self.received.keys().next_back().map_or(0, |last| last + 1)
    }
}
