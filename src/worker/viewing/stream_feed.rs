//! The viewers' side of a stream on one worker: the packets that arrived for it, and which viewer is served next.
//!
//! All viewers read one history through cursors of their own, so a packet is kept once for any number of viewers. Each
//! pass begins with another viewer.
//!
//! This history is not that of the publisher, even where both are on one worker: a publisher's history begins and ends
//! with its publication, the one here goes on from publisher to publisher, and a live publisher and its standby each
//! have one. They share the packets, so a second history costs a pointer and a position (24 to 48 octets) and 320
//! instructions a packet; opening the packet and forwarding it to ten viewers takes 53,000.
//!
//! Encodings of the video that no viewer here is sent are kept here all the same. Such a packet costs its publisher's
//! worker and this one some 1,450 instructions together, a packet that one viewer is sent some 6,000, and it takes no
//! memory of its own: eight viewers of the largest of three encodings pay 1.1 % for it. In return a viewer moves down
//! in the turn in which its network has shown that it carries less, by frames that are here; the first encoding of a
//! viewer is chosen by what its cached frames take; and the shares of temporal layers and the clocks of an encoding are
//! known before it is needed. With a subscription for each encoding, all of these would wait for two inboxes or become
//! messages of the publisher's worker.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::demux::Key;
use crate::forward::codec::{Format, Kind};
use crate::forward::{Epoch, Get, Histories, History, HistoryLimits, LayerClocks, LayerId, LayerSet, Packet, Source};
use crate::name::StreamName;
use crate::peer::Channel;
use crate::rtcp::{Basis, SenderClock};
use crate::session::{Choosable, Selection};
use crate::stream::{SILENT, WorkerId};
use crate::worker::mailbox::Mailbox;
use crate::worker::message::{LayerState, Message, Published, Subscribed, SubscribedTrack};
use crate::worker::stats::layer_rates::LayerRates;

/// One stream that has viewers on this worker.
#[derive(Debug)]
pub(crate) struct StreamFeed {
    pub(crate) stream: StreamName,
    /// The publisher whose packets arrive now.
    pub(crate) source: Option<FeedSource>,
    /// The number of the newest publication that has arrived here, also when it has ended.
    newest: Option<u64>,
    pub(crate) tracks: Vec<FeedTrack>,
    /// How the timestamps of the video's encodings relate.
    pub(crate) clocks: LayerClocks,
    /// Data channels that the publisher has opened.
    pub(crate) channels: Vec<Channel>,
    pub(crate) viewers: Vec<Key>,
    /// The index of the viewer that the current pass began with.
    first: usize,
    /// How many viewers the current pass has served.
    served: usize,
    pass: Pass,
    /// Until when viewers wait for a publisher that has left; `None` while there is one, or if there has been none.
    pub(crate) abandoned: Option<Instant>,
}

/// The publisher that packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeedSource {
    pub(crate) worker: WorkerId,
    /// The number of the publication.
    pub(crate) publisher: u64,
    /// It is connected but silent: see the module `publisher_loss`.
    pub(crate) lost: bool,
}

/// One track of the current publisher, and its recent packets. Each encoding of a video is a track of its own.
#[derive(Debug)]
pub(crate) struct FeedTrack {
    pub(crate) kind: Kind,
    /// Which encoding of the video it is; 0 where there is one.
    pub(crate) layer: LayerId,
    /// The name of the encoding, where there are several.
    pub(crate) rid: Option<Arc<str>>,
    pub(crate) state: LayerState,
    /// What its temporal layers cost, where there are several encodings.
    pub(crate) rates: LayerRates,
    /// A keyframe has been requested and has not arrived yet.
    demanded: bool,
    /// The epoch of its live packets.
    pub(crate) epoch: Epoch,
    pub(crate) format: Format,
    /// The publisher's payload type for it.
    pub(crate) payload_type: u8,
    /// Continues from publisher to publisher, so that viewers keep their positions in it.
    pub(crate) history: History,
    pub(crate) clock: Option<SenderClock>,
    /// Whether the publisher answers keyframe requests, as far as it is known.
    pub(crate) keyframe_responsive: Option<bool>,
}

impl FeedTrack {
    /// Takes what the publisher's worker says of the encoding, each second at least: viewers repeat then what they
    /// need. Returns what was known before.
    fn set_state(&mut self, state: LayerState) -> LayerState {
        self.demanded = false;
        self.rates.turn();
        std::mem::replace(&mut self.state, state)
    }

    fn choosable(&self) -> Choosable<'_> {
        let LayerState { size, bits, is_active, .. } = self.state;
        Choosable { layer: self.layer, rid: self.rid.as_deref(), size, bits, is_active }
    }

    /// True when no packet of it has arrived for a second. A viewer that has everything then misses nothing.
    pub(crate) fn is_still(&self, now: Instant) -> bool {
        let Some(newest) = self.history.head().checked_sub(1) else { return false };
        match self.history.get(newest) {
            Get::Packet(packet) => now.saturating_duration_since(packet.received) >= SILENT,
            // It has arrived, and at most the cache of frames still has it.
            Get::TooOld => true,
            Get::NotYet => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Every viewer has everything that arrived.
    Done,
    /// Viewers are being served.
    Running,
    /// More arrived since the pass began: another one follows.
    RunningAndMore,
}

/// All feeds of a worker.
#[derive(Debug)]
pub(crate) struct StreamFeeds {
    limits: HistoryLimits,
    feed_by_stream: HashMap<StreamName, StreamFeed, foldhash::fast::RandomState>,
    /// Streams with packets that viewers do not have yet, in the order in which the packets arrived.
    ready: VecDeque<StreamName>,
    /// Streams whose publishers have left, and until when their viewers wait: in the order of time, because all wait
    /// equally long. A stream that got a publisher again stays in it until its time is over.
    abandoned: VecDeque<(Instant, StreamName)>,
}

/// The histories of all encodings of a track.
pub(crate) struct TrackHistories<'a> {
    feed: &'a StreamFeed,
    kind: Kind,
}

impl Histories for TrackHistories<'_> {
    fn find(&self, source: Source) -> Option<&Arc<Packet>> {
        self.feed.layer(self.kind, source.layer)?.history.find(source)
    }
}

impl StreamFeed {
    fn new(stream: StreamName) -> Self {
        Self {
            stream,
            source: None,
            newest: None,
            tracks: Vec::new(),
            clocks: LayerClocks::default(),
            channels: Vec::new(),
            viewers: Vec::new(),
            first: 0,
            served: 0,
            pass: Pass::Done,
            abandoned: None,
        }
    }

    /// The publisher, while it is connected and not lost. Without one there are no replays.
    pub(crate) fn live(&self) -> Option<FeedSource> {
        self.source.filter(|source| !source.lost)
    }

    /// The track of a kind: of several encodings the best that is sent now.
    pub(crate) fn track(&self, kind: Kind) -> Option<&FeedTrack> {
        self.layers(kind).reduce(|best, other| if other.state.rank() > best.state.rank() { other } else { best })
    }

    /// The track of a kind that a viewer with this selection is to be sent.
    pub(crate) fn choose(&self, kind: Kind, selection: Option<&Selection>) -> Option<&FeedTrack> {
        let Some(selection) = selection.filter(|_| kind == Kind::Video) else { return self.track(kind) };
        self.layer(kind, selection.choose(self.layers(kind).map(FeedTrack::choosable))?)
    }

    /// The tracks of a kind: the encodings of the video, in no order.
    pub(crate) fn layers(&self, kind: Kind) -> impl Iterator<Item = &FeedTrack> + Clone {
        self.tracks.iter().filter(move |track| track.kind == kind)
    }

    /// Where packets of a kind are found, whichever encoding they are of.
    pub(crate) fn histories(&self, kind: Kind) -> TrackHistories<'_> {
        TrackHistories { feed: self, kind }
    }

    /// The track of one encoding.
    #[inline]
    pub(crate) fn layer(&self, kind: Kind, layer: LayerId) -> Option<&FeedTrack> {
        self.tracks.iter().find(|track| track.kind == kind && track.layer == layer)
    }

    fn layer_mut(&mut self, kind: Kind, layer: LayerId) -> Option<&mut FeedTrack> {
        self.tracks.iter_mut().find(|track| track.kind == kind && track.layer == layer)
    }

    /// Starts a publisher's track: its history continues that of the publisher before it. Encodings that only the
    /// publisher before it had end.
    fn start_track(&mut self, started: SubscribedTrack, limits: HistoryLimits) {
        let publisher = started.epoch.publisher;
        self.tracks.retain(|track| {
            let is_kept = track.kind != started.kind || track.layer == started.layer;
            is_kept || track.epoch.publisher == publisher
        });
        let is_same = |track: &FeedTrack| (track.kind, track.layer) == (started.kind, started.layer);
        let history = match self.tracks.iter().position(is_same) {
            Some(place) => self.tracks.swap_remove(place).history,
            None => History::new(limits),
        };
        let SubscribedTrack { kind, layer, rid, state, epoch, format, payload_type, .. } = started;
        let SubscribedTrack { snapshot, clock, keyframe_responsive, .. } = started;
        let mut track = FeedTrack {
            kind,
            layer,
            rid,
            state,
            rates: LayerRates::default(),
            demanded: false,
            epoch,
            format,
            payload_type,
            history,
            clock,
            keyframe_responsive,
        };
        for packet in snapshot {
            track.history.push(packet);
        }
        if let Some(clock) = clock {
            note_clock(&mut self.clocks, &track, clock);
        }
        self.tracks.push(track);
    }

    /// The viewer whose turn it is in this pass; `None` ends the pass.
    fn next_viewer(&mut self) -> Option<Key> {
        if self.served >= self.viewers.len() {
            return None;
        }
        let key = self.viewers[(self.first + self.served) % self.viewers.len()];
        self.served += 1;
        Some(key)
    }

    /// The publisher is lost, or heard again.
    pub(crate) fn set_lost(&mut self, lost: bool) {
        if let Some(source) = &mut self.source {
            source.lost = lost;
        }
    }

    /// Asks the publisher's worker for a keyframe of these encodings, once for all viewers here until one has come.
    pub(crate) fn demand_keyframe(&mut self, layers: LayerSet, mailbox: &mut Mailbox) {
        let Some(source) = self.source else { return };
        let videos = self.tracks.iter_mut().filter(|track| track.kind == Kind::Video);
        for track in videos.filter(|track| layers.has(track.layer) && !track.demanded) {
            let demand = Message::Demand { stream: self.stream.clone(), layer: track.layer };
            track.demanded = mailbox.send_command(source.worker, demand);
        }
    }

    fn forget_demands(&mut self) {
        for track in &mut self.tracks {
            track.demanded = false;
        }
    }

    /// Starts a publisher: its tracks continue those of the publisher before it.
    fn start(&mut self, subscribed: Subscribed, limits: HistoryLimits) {
        let Subscribed { worker, publisher, lost, .. } = subscribed;
        self.source = Some(FeedSource { worker, publisher, lost });
        self.newest = Some(publisher);
        self.abandoned = None;
        self.forget_demands();
        self.channels = subscribed.channels;
        for track in subscribed.tracks {
            self.start_track(track, limits);
        }
    }

    /// Keeps packets for the viewers.
    fn push(&mut self, published: &Published) {
        let is_it = |track: &&mut FeedTrack| (track.kind, track.layer) == (published.kind, published.layer);
        let Some(track) = self.tracks.iter_mut().find(is_it) else { return };
        if let (Some(first), true) = (published.packets.first(), track.rid.is_some()) {
            self.clocks.on_packet(first, track.format.clock_rate);
        }
        for packet in &published.packets {
            if packet.keyframe {
                track.demanded = false;
            }
            if track.rid.is_some() {
                track.rates.on_packet(packet);
            }
            track.history.push(packet.clone());
        }
    }
}

impl StreamFeeds {
    /// No feeds yet; each will keep packets of each track within these limits.
    pub(crate) fn new(limits: HistoryLimits) -> Self {
        Self { limits, feed_by_stream: HashMap::default(), ready: VecDeque::new(), abandoned: VecDeque::new() }
    }

    /// The feed of a stream.
    pub(crate) fn get(&self, stream: &StreamName) -> Option<&StreamFeed> {
        self.feed_by_stream.get(stream)
    }

    /// The feed of a stream.
    pub(crate) fn get_mut(&mut self, stream: &StreamName) -> Option<&mut StreamFeed> {
        self.feed_by_stream.get_mut(stream)
    }

    /// The feed of a stream, if its packets come from this publisher.
    pub(crate) fn of_publisher(&mut self, stream: &StreamName, publisher: u64) -> Option<&mut StreamFeed> {
        self.get_mut(stream).filter(|feed| feed.source.is_some_and(|source| source.publisher == publisher))
    }

    /// A track of this publisher, if the packets of the stream come from it.
    pub(crate) fn track_of_publisher(
        &mut self,
        stream: &StreamName,
        publisher: u64,
        (kind, layer): (Kind, LayerId),
    ) -> Option<&mut FeedTrack> {
        self.of_publisher(stream, publisher)?.layer_mut(kind, layer)
    }

    /// Takes a sender report of this publisher for a track; true if it is the first.
    pub(crate) fn on_clock(
        &mut self,
        stream: &StreamName,
        publisher: u64,
        (kind, layer): (Kind, LayerId),
        clock: SenderClock,
    ) -> bool {
        let Some(feed) = self.of_publisher(stream, publisher) else { return false };
        let is_it = |track: &&mut FeedTrack| (track.kind, track.layer) == (kind, layer);
        let Some(track) = feed.tracks.iter_mut().find(is_it) else { return false };
        note_clock(&mut feed.clocks, track, clock);
        track.clock.replace(clock).is_none()
    }

    /// This publisher has answered a keyframe request for a track, or ignored it.
    pub(crate) fn on_keyframe_response(
        &mut self,
        stream: &StreamName,
        publisher: u64,
        track: (Kind, LayerId),
        keyframe_responsive: bool,
    ) {
        if let Some(track) = self.track_of_publisher(stream, publisher, track) {
            track.keyframe_responsive = Some(keyframe_responsive);
        }
    }

    /// Drops the frames since the last keyframe of one encoding of this publisher's video.
    pub(crate) fn drop_cached_frames(&mut self, stream: &StreamName, publisher: u64, layer: LayerId, now: Instant) {
        if let Some(track) = self.track_of_publisher(stream, publisher, (Kind::Video, layer)) {
            track.history.give_up_cache(now);
        }
    }

    /// Takes what is known of one encoding of this publisher's video; the feed, if viewers may have to go on with
    /// another.
    pub(crate) fn on_layer(
        &mut self,
        stream: &StreamName,
        publisher: u64,
        (layer, state): (LayerId, LayerState),
    ) -> Option<&StreamFeed> {
        let before = self.track_of_publisher(stream, publisher, (Kind::Video, layer))?.set_state(state);
        self.get(stream).filter(|_| state.reorders(&before))
    }

    /// Keeps packets for the viewers of their stream. Returns how many were dropped, because their publisher has been
    /// replaced.
    pub(crate) fn on_media(&mut self, published: &Published) -> u64 {
        let Some(feed) = self.get_mut(&published.stream) else { return 0 };
        if feed.source.is_none_or(|source| source.publisher != published.publisher) {
            return published.packets.len() as u64;
        }
        feed.push(published);
        self.mark_ready(&published.stream);
        0
    }

    /// Starts a publisher; `None` if the stream has no viewers here, or has or had a newer publisher.
    pub(crate) fn on_subscribed(&mut self, subscribed: Subscribed) -> Option<&mut StreamFeed> {
        let limits = self.limits;
        let feed = self.get_mut(&subscribed.stream)?;
        if feed.newest > Some(subscribed.publisher) {
            return None;
        }
        feed.start(subscribed, limits);
        Some(feed)
    }

    /// A publisher has left: its viewers wait for the next one for `grace`. `None` if it was not the live one.
    pub(crate) fn on_unpublished(
        &mut self,
        stream: &StreamName,
        publisher: u64,
        grace: Duration,
        now: Instant,
    ) -> Option<&StreamFeed> {
        let feed = self.of_publisher(stream, publisher)?;
        feed.source = None;
        feed.forget_demands();
        let until = now + grace;
        feed.abandoned = Some(until);
        self.abandoned.push_back((until, stream.clone()));
        self.get(stream)
    }

    /// How many streams have viewers here or wait to be served.
    pub(crate) fn len(&self) -> usize {
        self.feed_by_stream.len().max(self.ready.len())
    }

    /// Adds a viewer, and the feed if it is the first.
    pub(crate) fn join(&mut self, stream: &StreamName, viewer: Key) -> &mut StreamFeed {
        let feed = self.feed_by_stream.entry(stream.clone()).or_insert_with(|| StreamFeed::new(stream.clone()));
        feed.viewers.push(viewer);
        feed
    }

    /// Removes a viewer, and the feed with its last one.
    pub(crate) fn leave(&mut self, stream: &StreamName, viewer: Key) {
        let Some(feed) = self.feed_by_stream.get_mut(stream) else { return };
        feed.viewers.retain(|key| *key != viewer);
        if feed.viewers.is_empty() {
            self.feed_by_stream.remove(stream);
            self.ready.retain(|ready| ready != stream);
        } else if feed.pass != Pass::Done {
            // Indices have moved, so the pass may have skipped a viewer.
            feed.pass = Pass::RunningAndMore;
        }
    }

    /// Notes that a stream has packets for its viewers.
    pub(crate) fn mark_ready(&mut self, stream: &StreamName) {
        let Some(feed) = self.feed_by_stream.get_mut(stream) else { return };
        match feed.pass {
            Pass::Done => {
                feed.pass = Pass::Running;
                self.ready.push_back(feed.stream.clone());
            }
            Pass::Running => feed.pass = Pass::RunningAndMore,
            Pass::RunningAndMore => {}
        }
    }

    /// The next viewer to serve; `None` when every viewer has every packet.
    pub(crate) fn next_viewer(&mut self) -> Option<Key> {
        loop {
            let Some(feed) = self.feed_by_stream.get_mut(self.ready.front()?) else {
                self.ready.pop_front();
                continue;
            };
            if let Some(key) = feed.next_viewer() {
                return Some(key);
            }
            feed.first = feed.first.wrapping_add(1) % feed.viewers.len().max(1);
            feed.served = 0;
            let more = feed.pass == Pass::RunningAndMore;
            feed.pass = if more { Pass::Running } else { Pass::Done };
            if more {
                self.ready.rotate_left(1);
            } else {
                self.ready.pop_front();
            }
        }
    }

    /// Drops packets that are too old for viewers, also from tracks that get no new ones.
    pub(crate) fn expire(&mut self, now: Instant) {
        for track in self.feed_by_stream.values_mut().flat_map(|feed| &mut feed.tracks) {
            track.history.expire(now);
        }
    }

    /// When [`Self::pop_abandoned`] has something to look at.
    pub(crate) fn next_abandoned(&self) -> Option<Instant> {
        self.abandoned.front().map(|(until, _)| *until)
    }

    /// The viewers of a stream that have waited long enough for its publisher.
    pub(crate) fn pop_abandoned(&mut self, now: Instant) -> Option<Vec<Key>> {
        while self.next_abandoned().is_some_and(|until| until <= now) {
            let (until, stream) = self.abandoned.pop_front()?;
            let feed = self.feed_by_stream.get_mut(&stream);
            // The publisher may have come back and left again.
            if let Some(feed) = feed.filter(|feed| feed.abandoned == Some(until)) {
                feed.abandoned = None;
                return Some(feed.viewers.clone());
            }
        }
        None
    }

    /// True if a viewer waits to be served.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }
}

/// Notes how timestamps of a track's packets relate to those of other encodings. Clocks by arrival are left out:
/// `StreamFeed::push` notes arrivals.
fn note_clock(clocks: &mut LayerClocks, track: &FeedTrack, clock: SenderClock) {
    if track.kind == Kind::Video && clock.basis == Basis::Report {
        clocks.on_report(track.epoch.generation(), track.layer, clock.ntp, clock.rtp, track.format.clock_rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(feeds: &mut StreamFeeds) -> Vec<u32> {
        std::iter::from_fn(|| feeds.next_viewer().map(Key::place)).collect()
    }

    #[test]
    fn every_viewer_is_served_once_a_pass_and_none_is_always_last() {
        let mut feeds = StreamFeeds::new(HistoryLimits::default());
        let stream: StreamName = "cam".parse().unwrap();
        for key in 0..3 {
            feeds.join(&stream, Key::in_place(key));
        }
        feeds.mark_ready(&stream);
        assert_eq!(pass(&mut feeds), [0, 1, 2]);
        assert!(!feeds.is_ready());
        feeds.mark_ready(&stream);
        assert_eq!(pass(&mut feeds), [1, 2, 0]);
    }

    #[test]
    fn what_arrives_during_a_pass_and_a_leaving_viewer_start_another_pass() {
        let mut feeds = StreamFeeds::new(HistoryLimits::default());
        let stream: StreamName = "cam".parse().unwrap();
        for key in 0..3 {
            feeds.join(&stream, Key::in_place(key));
        }
        feeds.mark_ready(&stream);
        assert_eq!(feeds.next_viewer(), Some(Key::in_place(0)));
        feeds.mark_ready(&stream);
        assert_eq!(pass(&mut feeds), [1, 2, 1, 2, 0]);
        feeds.mark_ready(&stream);
        feeds.next_viewer();
        feeds.leave(&stream, Key::in_place(0));
        let rest = pass(&mut feeds);
        assert!(rest.contains(&1) && rest.contains(&2), "{rest:?}");
        feeds.leave(&stream, Key::in_place(1));
        feeds.leave(&stream, Key::in_place(2));
        assert!(feeds.get(&stream).is_none());
    }
}
