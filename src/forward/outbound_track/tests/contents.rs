//! For any history of arrivals, takeovers, pauses, resumptions and resends: no number of an SSRC ever has two contents
//! (a repeated AES-GCM nonce reveals the authentication key), and every packet that arrived in time is sent.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::forward::codec::Descriptor;
use crate::forward::header_extensions::HeaderExtensions;

/// One event on the way from the publishers to a viewer.
#[derive(Clone, Debug)]
enum Event {
    /// A packet arrives.
    Arrive(Arrival),
    /// The viewer pulls all packets that are ready.
    Pull,
    /// The viewer sends a NACK for the number this far before its newest.
    Nack(u16),
    PlayoutDelay(u64),
    /// The publisher's packets have other kinds of values from here on.
    Values(u8),
    /// The viewer is sent no more than these frames.
    Limit(FrameLimit),
    Pause,
    Resume,
    Restart,
    /// The viewer's cursor goes back.
    Seek(u64),
    /// The viewer gets the frames since the last keyframe.
    Replay,
    /// The publisher of an epoch is negotiated anew, with another payload type.
    Select(Epoch),
}

/// A packet this far from the newest of its publisher.
#[derive(Clone, Debug)]
struct Arrival {
    epoch: Epoch,
    distance: i64,
    keyframe: bool,
    payload_type: u8,
    /// Differs where the publisher sends one number with two contents.
    content: u8,
    /// Octets of a copy of an earlier packet in it, if there is one.
    copy: Option<usize>,
    len: usize,
}

/// Publications and restarts in them.
fn epoch() -> impl Strategy<Value = Epoch> {
    (1u64..3, 0u32..2).prop_map(|(publisher, restart)| Epoch { publisher, restart })
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let distance = prop_oneof![10 => Just(1i64), 4 => -5i64..5, 1 => 1i64..1200, 1 => -1200i64..0];
    let payload_type = prop_oneof![9 => Just(SOURCE), 1 => Just(SOURCE + 1)];
    let len = prop_oneof![5 => 1usize..20, 2 => Just(0), 1 => 1150usize..1240];
    let copy = prop_oneof![2 => Just(None), 2 => (0usize..20).prop_map(Some), 1 => (1000usize..1023).prop_map(Some)];
    (epoch(), distance, prop::bool::weighted(0.2), payload_type, (0u8..3, copy), len).prop_map(
        |(epoch, distance, keyframe, payload_type, (content, copy), len)| Arrival {
            epoch,
            distance,
            keyframe,
            payload_type,
            content,
            copy,
            len,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => arrival().prop_map(Event::Arrive),
        6 => Just(Event::Pull),
        8 => (0u16..40).prop_map(Event::Nack),
        1 => (0u64..3).prop_map(|tenths| Event::PlayoutDelay(tenths * 100)),
        1 => (0u8..32).prop_map(Event::Values),
        2 => (0u8..3).prop_map(|highest| Event::Limit(FrameLimit::Temporal(highest))),
        1 => prop::sample::select(vec![FrameLimit::Nothing, FrameLimit::Reference, FrameLimit::ALL]).prop_map(Event::Limit),
        1 => Just(Event::Pause),
        2 => Just(Event::Resume),
        1 => Just(Event::Restart),
        1 => (0u64..30).prop_map(Event::Seek),
        2 => Just(Event::Replay),
        1 => epoch().prop_map(Event::Select),
    ]
}

/// Every packet that was ever sent, as the encryption sees it.
#[derive(Default)]
struct Recorder {
    contents: HashMap<(u32, u64), Vec<u8>>,
    newest: u16,
}

impl Recorder {
    fn record(&mut self, written: Written, buffer: &[u8]) -> Result<(), TestCaseError> {
        let bytes = &buffer[..written.len];
        prop_assert_eq!(bytes[2..4].to_vec(), (written.index as u16).to_be_bytes().to_vec());
        prop_assert_eq!(bytes[8..12].to_vec(), written.ssrc.to_be_bytes().to_vec());
        if written.ssrc == SSRC {
            self.newest = written.index as u16;
        }
        let before = self.contents.entry((written.ssrc, written.index)).or_insert_with(|| bytes.to_vec());
        prop_assert_eq!(&before[..], bytes, "SSRC {:x}, number {}", written.ssrc, written.index);
        Ok(())
    }
}

/// The payloads and header extensions that an outbound track can write.
fn extensions() -> ExtensionIds {
    ExtensionIds::all("1")
}

/// Of four kinds of values, those whose bits are set; a long dependency descriptor is one of the kinds.
fn values(kinds: u8, index: u64) -> HeaderExtensions {
    let mut extensions = HeaderExtensions::default();
    if kinds & 1 != 0 {
        extensions.set_audio_level(&[index as u8]);
    }
    if kinds & 2 != 0 {
        extensions.set_orientation(&[index as u8 & 3]);
    }
    if kinds & 4 != 0 {
        extensions.set_capture_time(&index.to_be_bytes());
    }
    if kinds & 8 != 0 {
        let [high, low] = (index as u16).to_be_bytes();
        let len = if kinds & 16 != 0 && index.is_multiple_of(3) { 60 } else { 3 };
        extensions.set_dependencies(&[&[0xc0, high, low], &[index as u8; 57][..]].concat()[..len]);
    }
    extensions
}

/// Fails on a number with two contents; returns how many numbers there were.
fn no_number_has_two_contents(
    (kind, rtx): (Kind, bool),
    first: FirstNumbers,
    events: &[Event],
) -> Result<usize, TestCaseError> {
    let start = Instant::now();
    let config = OutboundTrackConfig { first, extensions: extensions(), ..config(kind, rtx) };
    let mut outbound_track = OutboundTrack::new(config);
    let mut kinds = 0;
    outbound_track.select(generation(1), &format(kind), SOURCE);
    let mut history = History::new(HistoryLimits { packets: 24, ..HistoryLimits::default() });
    let mut newest_of = [65_500u64; 4];
    let (mut recorder, mut buffer) = (Recorder::default(), [0; 1500]);
    for (at, event) in (0..).zip(events) {
        let now = start + STEP * at;
        outbound_track.set_send_time(now - start);
        match event {
            Event::Arrive(arrival) => {
                let newest =
                    &mut newest_of[(arrival.epoch.publisher as usize * 2 + arrival.epoch.restart as usize) % 4];
                let index = newest.saturating_add_signed(arrival.distance);
                *newest = index.max(*newest);
                let publisher = Publisher { epoch: arrival.epoch, start };
                let mut payload = vec![arrival.content; arrival.len];
                if arrival.len > 6 {
                    // A VP8 descriptor with all frame numbers, which change at a splice.
                    let [high, low] = (index as u16 | 0x8000).to_be_bytes();
                    payload[..6].copy_from_slice(&[0x90, 0xe0, high, low, index as u8, arrival.content << 6]);
                }
                let redundancy = arrival.copy.map(|copy| {
                    let [_, a, b, c] = (960 << 10 | copy as u32).to_be_bytes();
                    let headers = [SOURCE | 0x80, a, b, c, SOURCE];
                    payload = [&headers, &vec![arrival.content; copy][..], &payload].concat();
                    Redundancy::read(&payload, SOURCE).expect("its headers are right")
                });
                history.push(Arc::new(Packet {
                    received: now,
                    redundancy,
                    keyframe: arrival.keyframe,
                    payload_type: if redundancy.is_some() { SOURCE_RED } else { arrival.payload_type },
                    marker: arrival.content == 1,
                    timestamp: publisher.packet(index).timestamp + u32::from(arrival.content),
                    descriptor: Descriptor::of(if redundancy.is_some() { Codec::Opus } else { Codec::Vp8 }, &payload),
                    frame: FrameLayer::of(Codec::Vp8, &payload).unwrap_or_default(),
                    extensions: values(kinds, index),
                    payload: payload.into(),
                    ..publisher.packet(index)
                }));
            }
            Event::Pull => {
                outbound_track.tick(now);
                let mut drawn = 0;
                while let Some(written) = outbound_track.pull(&history, &mut buffer) {
                    recorder.record(written, &buffer)?;
                    drawn += 1;
                    prop_assert!(drawn < 300, "drawing comes to no end");
                }
            }
            Event::Nack(age) => {
                let sequence = recorder.newest.wrapping_sub(*age);
                let Some(resend) = outbound_track.resend(sequence, &history, now, &mut buffer) else { continue };
                for copy in 0..=resend.copies {
                    let written = match copy {
                        0 => resend.written,
                        _ => outbound_track.copy(&resend, &history, &mut buffer).expect("it was just resent"),
                    };
                    let again = recorder.contents.contains_key(&(written.ssrc, written.index));
                    prop_assert!(!again || written.ssrc != RTX_SSRC);
                    recorder.record(written, &buffer)?;
                }
            }
            Event::Values(new) => kinds = *new,
            Event::Limit(limit) => outbound_track.limit_frames(*limit),
            Event::PlayoutDelay(least) => outbound_track.set_playout_delay(Duration::from_millis(*least)),
            Event::Pause => outbound_track.pause(),
            Event::Resume => outbound_track.resume(),
            Event::Restart => outbound_track.restart(),
            Event::Seek(back) => outbound_track.seek(history.head().saturating_sub(*back)),
            Event::Replay => _ = outbound_track.replay(&history, now),
            Event::Select(epoch) => {
                let source = SOURCE + u8::from(at % 2 == 0);
                outbound_track.select(epoch.generation(), &format(kind), source);
            }
        }
    }
    Ok(recorder.contents.len())
}

/// A camera that restarts with each frame, and encoders that replace each other, for a long time: each change is
/// another epoch, and the viewer asks for packets from before it.
#[test]
fn a_hundred_thousand_changes_of_the_source_give_no_number_two_contents() {
    const CHANGES: u64 = 100_000;
    let mut mixed = 1u64;
    let mut draw = |below: u64| {
        // A linear congruential generator (Knuth's MMIX): the same sequence each time.
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (mixed >> 33) % below
    };
    let mut events = Vec::new();
    // Each publication has three restarts.
    let nth = |change: u64| Epoch { publisher: change / 4, restart: change as u32 % 4 };
    for change in 1..=CHANGES {
        events.push(Event::Select(nth(change)));
        match draw(8) {
            0 => events.push(Event::Restart),
            1 => events.extend([Event::Pause, Event::Resume]),
            2 => events.push(Event::Replay),
            3 => events.push(Event::Seek(draw(30))),
            _ => {}
        }
        // Sometimes a packet of the previous epoch arrives last.
        let late = (draw(4) == 0).then_some(change - 1).filter(|change| *change > 0);
        for (packet, change) in [change, change].into_iter().chain(late).enumerate() {
            events.push(Event::Arrive(Arrival {
                epoch: nth(change),
                distance: 1,
                keyframe: packet == 0,
                payload_type: SOURCE,
                content: draw(3) as u8,
                copy: None,
                len: draw(12) as usize,
            }));
        }
        events.push(Event::Pull);
        events.extend((0..draw(3)).map(|_| Event::Nack(draw(12) as u16)));
    }
    let legs = [(Kind::Video, true), (Kind::Video, false), (Kind::Audio, false)];
    let numbers = legs.map(|leg| no_number_has_two_contents(leg, FIRST, &events).expect("each has one content"));
    assert!(numbers.iter().sum::<usize>() as u64 > CHANGES / 2, "{numbers:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn no_number_ever_has_two_contents(
        (is_audio, rtx) in any::<(bool, bool)>(),
        index in prop_oneof![0u64..10, 0x7ff0u64..0x8000, 0xffe0u64..0x1_0000],
        events in prop::collection::vec(event(), 1..200),
    ) {
        let first = FirstNumbers { index, rtx_index: 0xfff0, timestamp: u32::MAX - 1000 };
        let kind = if is_audio { Kind::Audio } else { Kind::Video };
        no_number_has_two_contents((kind, rtx), first, &events)?;
    }

    /// Reordered within a few packets, with a keyframe at the start of each publisher and padding anywhere.
    #[test]
    fn lossless_publishers_give_an_rtp_stream_without_missing_packets(
        publishers in prop::collection::vec(prop::collection::vec((prop::bool::weighted(0.3), 0u64..6), 1..40), 1..4),
        pulls in prop::collection::vec(any::<bool>(), 200),
    ) {
        let start = Instant::now();
        let mut outbound_track = OutboundTrack::new(OutboundTrackConfig { first: FIRST, ..config(Kind::Video, false) });
        let mut history = history([]);
        let mut received = BTreeSet::new();
        let mut pulls = pulls.into_iter().chain([true].into_iter().cycle());
        for (epoch, packets) in (1..).map(Epoch::of).zip(&publishers) {
            outbound_track.select(epoch.generation(), &format(Kind::Video), SOURCE);
            let publisher = Publisher { epoch, start };
            let mut arrivals: Vec<(u64, u64)> =
                (1..).zip(packets).map(|(index, &(_, delay))| (index + delay, index)).collect();
            arrivals.sort_unstable();
            history.push(Arc::new(publisher.keyframe(0)));
            for (_, index) in arrivals {
                let (padding, _) = packets[index as usize - 1];
                let packet = if padding { publisher.padding(index) } else { publisher.packet(index) };
                history.push(Arc::new(packet));
                if pulls.next() == Some(true) {
                    received.extend(pull(&mut outbound_track, &history));
                }
            }
            received.extend(pull(&mut outbound_track, &history));
        }
        let numbers: Vec<u64> = received.iter().map(|&(index, _)| index).collect();
        prop_assert_eq!(&numbers, &(100..100 + received.len() as u64).collect::<Vec<_>>());
        let media: usize = publishers.iter().map(|packets| 1 + packets.iter().filter(|(padding, _)| !padding).count()).sum();
        prop_assert_eq!(received.iter().filter(|(_, payload)| !payload.is_empty()).count(), media);
    }
}
