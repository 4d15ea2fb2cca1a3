//! Which encoding a viewer's video is of, and when it changes.

use std::sync::Arc;

use super::*;
use crate::demux::Key;
use crate::forward::codec::{Codec, Format, Kind};
use crate::forward::{
    Epoch, ExtensionIds, FirstNumbers, HistoryLimits, LayerId, NegotiatedFormat, OutboundTrack, OutboundTrackConfig,
    Packet,
};
use crate::name::StreamName;
use crate::reason::SwitchReason;
use crate::rtcp::{Basis, SenderClock};
use crate::stream::WorkerId;
use crate::worker::message::{LayerState, Published, Subscribed, SubscribedTrack};
use crate::worker::viewing::stream_feed::StreamFeeds;

const FRAME: Duration = Duration::from_millis(40);
/// Of the publisher's packets and the viewer's.
const PAYLOAD_TYPE: u8 = 100;
const SMALL: LayerId = LayerId(0);
const LARGE: LayerId = LayerId(1);

fn format() -> Format {
    Format { codec: Codec::Vp8, clock_rate: 90_000, channels: 0, parameters: String::new() }
}

fn state(layer: LayerId, is_active: bool) -> LayerState {
    let size = if layer == LARGE { (640, 360) } else { (160, 90) };
    LayerState { size: Some(size), bits: 1000, frames: 25.0, is_active }
}

/// A publisher of two encodings, and one viewer.
struct Stream {
    stream: StreamName,
    publisher: u64,
    feeds: StreamFeeds,
    viewer: ViewerTrack,
    selection: Option<Selection>,
    now: Instant,
    /// Frames of each encoding until now: one packet each.
    frames: [u64; 2],
}

impl Stream {
    /// `responsive`: whether the publisher answers keyframe requests. Nothing is sent yet.
    fn new(responsive: Option<bool>, target: Option<LayerTarget>) -> Self {
        let stream: StreamName = "cam".parse().unwrap();
        let mut feeds = StreamFeeds::new(HistoryLimits::default());
        feeds.join(&stream, Key::in_place(0));
        let outbound_track = OutboundTrack::new(OutboundTrackConfig {
            kind: Kind::Video,
            ssrc: 1,
            rtx_ssrc: None,
            extensions: ExtensionIds::default(),
            formats: vec![NegotiatedFormat {
                payload_type: PAYLOAD_TYPE,
                format: format(),
                rtx_payload_type: None,
                red_payload_type: None,
            }],
            max_size: 1200,
            first: FirstNumbers { index: 0, rtx_index: 0, timestamp: 0 },
        });
        let mut viewer = ViewerTrack::new(Kind::Video, outbound_track);
        viewer.set_target(target);
        let mut stream =
            Self { stream, publisher: 0, feeds, viewer, selection: None, now: Instant::now(), frames: [0; 2] };
        stream.publish(&[SMALL, LARGE], responsive);
        stream
    }

    /// Another publisher takes over, with these encodings.
    fn publish(&mut self, layers: &[LayerId], responsive: Option<bool>) {
        self.publisher += 1;
        self.frames = [0; 2];
        let track = |&layer: &LayerId| SubscribedTrack {
            kind: Kind::Video,
            layer,
            rid: Some(format!("{}", layer.0).into()),
            state: state(layer, true),
            epoch: Epoch::of(self.publisher),
            format: format(),
            payload_type: PAYLOAD_TYPE,
            snapshot: Vec::new(),
            clock: Some(SenderClock {
                ntp: 7 << 32,
                rtp: self.timestamp(layer, 0),
                received: self.now,
                basis: Basis::Report,
            }),
            keyframe_responsive: responsive,
        };
        let subscribed = Subscribed {
            stream: self.stream.clone(),
            publisher: self.publisher,
            worker: WorkerId(0),
            tracks: layers.iter().map(track).collect(),
            channels: Vec::new(),
            was_standby: false,
            lost: false,
        };
        assert!(self.feeds.on_subscribed(subscribed).is_some());
        self.attach();
    }

    fn timestamp(&self, layer: LayerId, frame: u64) -> u32 {
        3_000_000_000u32.wrapping_mul(u32::from(layer.0) + 1).wrapping_add(3600 * frame as u32)
    }

    /// What the worker does when something about the publisher has changed.
    fn attach(&mut self) -> FollowUp {
        let feed = self.feeds.get(&self.stream).unwrap();
        let mut follow_up = self.viewer.choose_layer(feed, self.selection.as_ref(), self.now);
        let track = feed.layer(Kind::Video, self.viewer.layer).unwrap();
        self.viewer.select(track);
        if !self.viewer.has_begun(track) {
            follow_up.add(self.viewer.begin(track, self.now));
        }
        follow_up
    }

    fn choose(&mut self, target: LayerTarget) -> FollowUp {
        self.viewer.set_target(Some(target));
        self.attach()
    }

    /// An encoding is sent, or no more.
    fn set_active(&mut self, layer: LayerId, is_active: bool) {
        self.feeds.on_layer(&self.stream, self.publisher, (layer, state(layer, is_active)));
        self.attach();
    }

    /// A frame of each of these encodings arrives. Returns what the viewer is sent: encoding and frame.
    fn show(&mut self, layers: &[(LayerId, bool)]) -> Vec<(u8, u64)> {
        self.now += FRAME;
        for &(layer, keyframe) in layers {
            let frame = &mut self.frames[usize::from(layer.0)];
            *frame += 1;
            let frame = *frame;
            let packet = Packet {
                received: self.now,
                generation: Epoch::of(self.publisher).generation(),
                layer,
                index: frame,
                timestamp: self.timestamp(layer, frame),
                marker: true,
                payload_type: PAYLOAD_TYPE,
                descriptor: Default::default(),
                frame: Default::default(),
                extensions: Default::default(),
                part: Default::default(),
                keyframe,
                leads: 0,
                payload: vec![layer.0, frame as u8].into(),
                redundancy: None,
            };
            let (stream, publisher) = (self.stream.clone(), self.publisher);
            let packets = vec![Arc::new(packet)];
            self.feeds.on_media(&Published { stream, publisher, kind: Kind::Video, layer, packets });
        }
        self.serve()
    }

    fn serve(&mut self) -> Vec<(u8, u64)> {
        let feed = self.feeds.get(&self.stream).unwrap();
        if self.viewer.has_next_layer() {
            self.viewer.enter_next_layer(feed, self.now);
        }
        let track = feed.layer(Kind::Video, self.viewer.layer).unwrap();
        self.viewer.tick(track, self.now);
        let mut buffer = [0; 1200];
        let sent = std::iter::from_fn(|| {
            let written = self.viewer.outbound_track.pull(&track.history, &mut buffer)?;
            let payload = &buffer[written.header_len..written.len];
            Some((payload[0], u64::from(payload[1])))
        });
        sent.collect()
    }

    /// Serves the viewer until it is live.
    fn catch_up(&mut self) -> Vec<(u8, u64)> {
        let mut sent = Vec::new();
        for _ in 0..20 {
            self.now += Duration::from_millis(5);
            sent.extend(self.serve());
        }
        sent
    }
}

fn target(layer: LayerId) -> LayerTarget {
    LayerTarget { layer, limit: FrameLimit::ALL, leaving: Leaving::Whole, rate: None, reason: SwitchReason::Room }
}

const BOTH: [(LayerId, bool); 2] = [(SMALL, false), (LARGE, false)];
const BEGIN: [(LayerId, bool); 2] = [(SMALL, true), (LARGE, true)];

/// A stream of which a viewer has been sent ten frames of this encoding.
fn begun(layer: LayerId, responsive: Option<bool>) -> Stream {
    let mut stream = Stream::new(responsive, Some(target(layer)));
    assert_eq!(stream.show(&BEGIN), [(layer.0, 1)]);
    for frame in 2..=10 {
        assert_eq!(stream.show(&BOTH), [(layer.0, frame)]);
    }
    stream
}

#[test]
fn a_viewer_begins_with_the_encoding_that_is_chosen_and_else_with_the_largest() {
    begun(SMALL, None);
    let mut stream = Stream::new(None, None);
    assert_eq!(stream.show(&BEGIN), [(1, 1)]);
}

#[test]
fn to_a_larger_encoding_a_viewer_goes_at_a_keyframe_of_that_which_is_asked_for_until_then() {
    let mut stream = begun(SMALL, Some(true));
    assert!(stream.choose(target(LARGE)).needs_keyframe.has(LARGE));
    for frame in 11..40 {
        assert_eq!(stream.show(&BOTH), [(0, frame)]);
        let feed = stream.feeds.get(&stream.stream).unwrap();
        assert!(stream.viewer.enter_next_layer(feed, stream.now).needs_keyframe.has(LARGE));
    }
    assert_eq!(stream.show(&[(SMALL, false), (LARGE, true)]), [(1, 40)]);
    assert_eq!(stream.show(&BOTH), [(1, 41)]);
    assert!(!stream.viewer.has_next_layer() && stream.viewer.layer == LARGE);
}

#[test]
fn to_a_smaller_encoding_of_a_publisher_that_ignores_requests_a_viewer_goes_by_its_cached_frames() {
    let mut stream = begun(LARGE, Some(false));
    assert!(stream.choose(target(SMALL)).replay_started);
    let frames = stream.catch_up();
    assert_eq!(frames, (1..=10).map(|frame| (0, frame)).collect::<Vec<_>>());
    assert_eq!(stream.show(&BOTH), [(0, 11)]);
}

#[test]
fn to_a_smaller_encoding_a_viewer_goes_at_a_keyframe_if_one_comes_when_it_is_asked_for() {
    let mut stream = Stream::new(Some(true), Some(target(LARGE)));
    stream.show(&BEGIN);
    for _ in 0..100 {
        stream.show(&BOTH);
    }
    let follow_up = stream.choose(LayerTarget { rate: Some(10), ..target(SMALL) });
    assert!(follow_up.needs_keyframe.has(SMALL) && !follow_up.replay_started, "ten octets a second take long");
    assert_eq!(stream.show(&BOTH), [(1, 102)]);
    assert_eq!(stream.show(&[(SMALL, true), (LARGE, false)]), [(0, 103)]);
}

#[test]
fn a_keyframe_of_a_smaller_encoding_that_does_not_come_is_given_up_for_its_cached_frames() {
    let mut stream = Stream::new(Some(true), Some(target(LARGE)));
    stream.show(&BEGIN);
    for _ in 0..100 {
        stream.show(&BOTH);
    }
    stream.choose(LayerTarget { rate: Some(10), ..target(SMALL) });
    let until = stream.now + ANSWER_TIME;
    assert_eq!(stream.viewer.next_serving(0, stream.now), Some(until));
    while stream.viewer.layer == LARGE {
        stream.show(&BOTH);
        assert!(stream.now < until + FRAME);
    }
    assert!(stream.viewer.outbound_track.is_replaying());
}

#[test]
fn an_encoding_that_the_path_does_not_carry_is_thinned_and_not_resent_until_it_is_left() {
    let mut stream = begun(LARGE, Some(true));
    // Until the keyframe comes, there is nothing of the smaller encoding.
    stream.viewer.next_replay = Some(stream.now + Duration::from_secs(9));
    stream.choose(LayerTarget { leaving: Leaving::Thinned, rate: Some(1), ..target(SMALL) });
    assert_eq!(stream.show(&BOTH), [(1, 11)]);
    assert_eq!(stream.viewer.outbound_track.frame_limit(), FrameLimit::Reference);
    let feed = stream.feeds.get(&stream.stream).unwrap();
    let mut buffer = [0; 1200];
    let resent = stream.viewer.outbound_track.resend(9, &feed.histories(Kind::Video), stream.now, &mut buffer);
    assert!(resent.is_none() && stream.viewer.outbound_track.counts().refused == 1);
    assert_eq!(stream.show(&[(SMALL, true), (LARGE, false)]), [(0, 12)]);
    assert_eq!(stream.viewer.outbound_track.frame_limit(), FrameLimit::ALL);
}

#[test]
fn nothing_more_is_sent_of_an_encoding_of_which_the_path_carries_little() {
    let mut stream = begun(LARGE, Some(true));
    // Until the keyframe comes, there is nothing of the smaller encoding.
    stream.viewer.next_replay = Some(stream.now + Duration::from_secs(9));
    stream.choose(LayerTarget { leaving: Leaving::Stopped, rate: Some(1), ..target(SMALL) });
    assert_eq!(stream.show(&BOTH), []);
    assert_eq!(stream.show(&[(SMALL, false), (LARGE, true)]), [], "its keyframe, which is large, least of all");
    assert_eq!(stream.show(&[(SMALL, true), (LARGE, false)]), [(0, 13)]);
    assert_eq!(stream.show(&BOTH), [(0, 14)]);
}

#[test]
fn an_encoding_that_was_stopped_and_is_not_left_begins_again_at_a_keyframe_which_is_asked_for() {
    let mut stream = begun(LARGE, Some(true));
    stream.viewer.next_replay = Some(stream.now + Duration::from_secs(9));
    stream.choose(LayerTarget { leaving: Leaving::Stopped, rate: Some(1), ..target(SMALL) });
    assert_eq!(stream.show(&BOTH), []);
    assert!(stream.choose(target(LARGE)).needs_keyframe.has(LARGE));
    assert_eq!(stream.show(&BOTH), [], "it would refer to frames that were not sent");
    assert_eq!(stream.show(&[(SMALL, false), (LARGE, true)]), [(1, 13)]);
    assert_eq!(stream.show(&BOTH), [(1, 14)]);
}

#[test]
fn packets_of_an_encoding_that_was_left_are_resent() {
    let mut stream = begun(SMALL, Some(true));
    stream.choose(target(LARGE));
    assert_eq!(stream.show(&[(SMALL, false), (LARGE, true)]), [(1, 11)]);
    let feed = stream.feeds.get(&stream.stream).unwrap();
    let mut buffer = [0; 1200];
    let histories = feed.histories(Kind::Video);
    let resent = stream.viewer.outbound_track.resend(4, &histories, stream.now, &mut buffer).unwrap().written;
    assert_eq!(buffer[resent.header_len..resent.len], [SMALL.0, 5]);
}

#[test]
fn an_encoding_that_is_not_sent_any_more_is_left_and_gone_back_to() {
    let mut stream = begun(LARGE, Some(true));
    stream.set_active(LARGE, false);
    assert_eq!(stream.viewer.layer, SMALL);
    assert_eq!(stream.catch_up().last(), Some(&(0, 10)));
    assert_eq!(stream.show(&[(SMALL, false)]), [(0, 11)]);
    stream.set_active(LARGE, true);
    assert_eq!(stream.show(&[(SMALL, false), (LARGE, false)]), [(0, 12)]);
    assert_eq!(stream.show(&[(SMALL, false), (LARGE, true)]), [(1, 12)]);
}

#[test]
fn a_publisher_without_the_chosen_encoding_is_shown_with_what_it_has() {
    let mut stream = begun(LARGE, Some(true));
    stream.publish(&[SMALL], Some(true));
    assert_eq!(stream.show(&[(SMALL, true)]), [(0, 1)]);
    stream.publish(&[SMALL, LARGE], Some(true));
    stream.show(&BEGIN);
    stream.show(&BEGIN);
    assert_eq!((stream.show(&BOTH), stream.viewer.layer), (vec![(1, 3)], LARGE));
}

#[test]
fn a_selected_temporal_id_limits_the_frames_of_every_encoding() {
    let mut stream = begun(LARGE, Some(true));
    stream.selection = Some(Selection { max_temporal: Some(0), ..Selection::default() });
    stream.attach();
    assert_eq!(stream.viewer.outbound_track.frame_limit(), FrameLimit::Temporal(0));
    stream.choose(LayerTarget { limit: FrameLimit::Temporal(1), ..target(SMALL) });
    stream.show(&BEGIN);
    assert_eq!((stream.viewer.layer, stream.viewer.outbound_track.frame_limit()), (SMALL, FrameLimit::Temporal(0)));
}

#[test]
fn of_a_selected_temporal_id_and_a_highest_one_the_smaller_counts() {
    for (temporal, max_temporal) in [(2, 1), (1, 2)] {
        let selection =
            Selection { temporal: Some(temporal), max_temporal: Some(max_temporal), ..Selection::default() };
        assert_eq!(limit_of(Some(&selection)), FrameLimit::Temporal(1), "{temporal} {max_temporal}");
    }
}
