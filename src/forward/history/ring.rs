//! The recent packets of one layer of a track, in the order of arrival. Viewers are served from here, and their losses
//! repaired.
//!
//! A position counts arrivals and never repeats, so every viewer keeps its own cursor, and a viewer that fell behind is
//! noticed. Packets since the newest keyframe are kept longer, within limits: they give a viewer that joins late a
//! frame at once ([`CachedFrames`]). The rule: a source packet (generation, layer, index) enters at most once ever. A
//! second one is refused whatever it contains, so a resend always repeats what was sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rtp_stream::RtpStream;
use super::since_keyframe::{CacheLimits, CachedFrames, Since};
use crate::forward::packet::Packet;
use crate::forward::source::{Generation, Source};

/// How much a history keeps. When a limit is reached, older packets are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Packets kept at most for live viewers.
    pub packets: usize,
    /// Maximum age of packets for live viewers, measured between their reception and that of the newest packet.
    pub age: Duration,
    /// How much is kept beyond that since the newest keyframe, for viewers that join.
    pub cache: CacheLimits,
}

impl Default for HistoryLimits {
    /// One second, and no more packets than one second of 20 Mbit/s holds.
    fn default() -> Self {
        Self { packets: 2048, age: Duration::from_secs(1), cache: CacheLimits::default() }
    }
}

/// What is at a position.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Get<'a> {
    /// The packet that arrived there.
    Packet(&'a Arc<Packet>),
    /// The packet is older than what live viewers get: the reader fell behind and continues at [`History::head`] or
    /// later.
    TooOld,
    /// The packet has not arrived yet.
    NotYet,
}

/// A ring of recent packets.
#[derive(Clone, Debug)]
pub struct History {
    limits: HistoryLimits,
    packets: VecDeque<Arc<Packet>>,
    /// Position of the oldest packet kept.
    tail: u64,
    /// Position of the oldest packet for viewers that are live.
    recent: u64,
    /// Until when that packet is recent, once this was computed: a packet that arrives later drops it.
    recent_until: Option<Instant>,
    rtp_streams: Vec<RtpStream>,
    /// Packets of publishers up to this generation are refused.
    forgotten: Option<Generation>,
    since_keyframe: Option<Since>,
}

/// RTP streams known at a time: the layers of a publisher and of the one before it. When full, the oldest publisher's
/// stream is forgotten, and no more packets of that publisher are accepted.
const RTP_STREAMS: usize = 8;

/// How far behind the start of a keyframe a reader looks for packets that overtook it.
const REORDERED: u64 = 64;

/// Packets that are too old to begin with are kept this long, because a replay may still need them.
const LONGEST_REPLAY: Duration = Duration::from_secs(8);

/// Packets dropped at most for each one that arrives. A keyframe makes thousands superfluous at once; they are dropped
/// gradually.
const DROPS: usize = 4;

impl History {
    /// An empty history.
    pub fn new(limits: HistoryLimits) -> Self {
        Self {
            limits,
            packets: VecDeque::new(),
            tail: 0,
            recent: 0,
            recent_until: None,
            rtp_streams: Vec::with_capacity(RTP_STREAMS),
            forgotten: None,
            since_keyframe: None,
        }
    }

    /// Adds a packet and returns its position. `None` when it is refused: it is or was here already, or belongs to a
    /// publisher two takeovers ago.
    pub fn push(&mut self, packet: Arc<Packet>) -> Option<u64> {
        let source = packet.source();
        let position = self.head();
        if !self.rtp_stream_of(source)?.admit(source.index, position) {
            return None;
        }
        self.make_room(&packet);
        match &mut self.since_keyframe {
            Some(since) if !(packet.keyframe && since.is_before(&packet)) => since.add(&packet),
            since if packet.keyframe => *since = Some(Since::keyframe(position, &packet, &self.limits.cache)),
            _ => {}
        }
        self.packets.push_back(packet);
        Some(position)
    }

    /// What is at a position, for a live viewer.
    pub(crate) fn get(&self, position: u64) -> Get<'_> {
        if position < self.recent {
            return Get::TooOld;
        }
        // Recent packets are always kept.
        self.packets.get((position - self.tail) as usize).map_or(Get::NotYet, Get::Packet)
    }

    /// What is at a position, as far back as any packet is kept.
    pub(crate) fn kept(&self, position: u64) -> Get<'_> {
        match position.checked_sub(self.tail) {
            None => Get::TooOld,
            Some(offset) => self.packets.get(offset as usize).map_or(Get::NotYet, Get::Packet),
        }
    }

    /// The position that the next packet will get.
    pub(crate) fn head(&self) -> u64 {
        self.tail + self.packets.len() as u64
    }

    /// The packet with this identity, while it is kept.
    pub(crate) fn find(&self, source: Source) -> Option<&Arc<Packet>> {
        let rtp_stream = self.rtp_streams.iter().find(|known| known.has(source))?;
        match self.kept(rtp_stream.position_of(source.index)?) {
            Get::Packet(packet) => Some(packet),
            Get::TooOld | Get::NotYet => None,
        }
    }

    /// The position where the newest keyframe starts, even if that packet is no longer kept.
    pub(crate) fn keyframe(&self) -> Option<u64> {
        self.since_keyframe.map(|since| since.position)
    }

    /// The frames since the newest keyframe, if all of them are kept.
    pub(crate) fn cached_frames(&self) -> Option<CachedFrames> {
        let since = self.since_keyframe.filter(|since| since.position >= self.tail)?;
        let within = since.is_within(&self.limits.cache) || since.position >= self.recent;
        within.then(|| since.cached_frames())
    }

    /// Drops what has become too old although no packet arrives. Packets for live viewers have a maximum age, and so
    /// have the frames since the newest keyframe unless they are few.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Get::Packet(packet) = self.kept(self.recent) {
            if now.saturating_duration_since(packet.received) <= self.limits.age {
                break;
            }
            self.pass_recent();
        }
        let limits = self.limits.cache;
        let earlier = now.checked_sub(LONGEST_REPLAY).unwrap_or(now);
        if let Some(since) = self.since_keyframe.as_mut().filter(|since| !since.is_within_at(earlier, &limits)) {
            since.give_up();
        }
        let longest = limits.age + LONGEST_REPLAY;
        while let Get::Packet(oldest) = self.kept(self.tail) {
            if self.tail >= self.first_needed() || now.saturating_duration_since(oldest.received) <= longest {
                break;
            }
            self.drop_oldest();
        }
    }

    /// Octets needed to keep the frames since the newest keyframe, and when that keyframe arrived; `None` where they
    /// are not kept.
    pub(crate) fn cache_cost(&self) -> Option<(usize, Instant)> {
        let since = self.since_keyframe.filter(|since| since.is_within(&self.limits.cache))?;
        Some((since.cost(), since.received()))
    }

    /// Gives up the frames since the newest keyframe to make room for those of other streams.
    pub(crate) fn give_up_cache(&mut self, now: Instant) {
        if let Some(since) = &mut self.since_keyframe {
            since.give_up();
        }
        self.expire(now);
        while self.tail < self.first_needed() {
            self.drop_oldest();
        }
    }

    /// All packets kept, oldest first: the start of another worker's history, so that no packet is missing between it
    /// and the live packets that follow. Packets in both are refused there.
    pub(crate) fn snapshot(&self) -> impl Iterator<Item = &Arc<Packet>> {
        self.packets.iter()
    }

    /// The earliest position from which a reader finds everything after the packet at `position` in its RTP stream,
    /// including packets that overtook it.
    pub(crate) fn rewind(&self, position: u64) -> u64 {
        let Get::Packet(packet) = self.kept(position) else { return position };
        let source = packet.source();
        let overtook = |&at: &u64| {
            matches!(self.kept(at), Get::Packet(other) if other.generation == source.generation
                && other.layer == source.layer && other.index > source.index)
        };
        let oldest = if position < self.recent { self.tail } else { self.recent };
        let earliest = position.saturating_sub(REORDERED).max(oldest);
        (earliest..position).find(overtook).unwrap_or(position)
    }

    /// The RTP stream of a packet, which is registered here if it is new; `None` for a publisher that left long ago.
    #[inline]
    fn rtp_stream_of(&mut self, source: Source) -> Option<&mut RtpStream> {
        let place = match self.rtp_streams.iter().position(|known| known.has(source)) {
            Some(place) => place,
            None => self.register(source)?,
        };
        self.rtp_streams.get_mut(place)
    }

    #[cold]
    fn register(&mut self, source: Source) -> Option<usize> {
        if self.forgotten.is_some_and(|generation| source.generation <= generation) {
            return None;
        }
        if self.rtp_streams.len() == RTP_STREAMS {
            let oldest = (0..RTP_STREAMS).min_by_key(|&at| self.rtp_streams[at].generation)?;
            if source.generation <= self.rtp_streams[oldest].generation {
                return None;
            }
            self.forgotten = Some(self.rtp_streams.swap_remove(oldest).generation);
        }
        self.rtp_streams.push(RtpStream::of(source));
        Some(self.rtp_streams.len() - 1)
    }

    /// Drops what is not needed once this packet is here.
    fn make_room(&mut self, newest: &Packet) {
        while self.head() > self.recent && self.is_recent_over(newest) {
            self.pass_recent();
        }
        for _ in 0..DROPS.min(self.first_needed().saturating_sub(self.tail) as usize) {
            self.drop_oldest();
        }
    }

    /// Position of the oldest packet that is needed.
    fn first_needed(&self) -> u64 {
        let kept = self.since_keyframe.filter(|since| since.is_within(&self.limits.cache));
        kept.map_or(self.recent, |since| since.position.saturating_sub(REORDERED).min(self.recent))
    }

    /// True when the oldest packet for live viewers is too old for them, measured against `newest`.
    #[inline]
    fn is_recent_over(&mut self, newest: &Packet) -> bool {
        if self.head() - self.recent >= self.limits.packets as u64 {
            return true;
        }
        let until = self.recent_until.or_else(|| match self.kept(self.recent) {
            Get::Packet(packet) => packet.received.checked_add(self.limits.age),
            Get::TooOld | Get::NotYet => None,
        });
        self.recent_until = until;
        until.is_some_and(|until| newest.received > until)
    }

    fn pass_recent(&mut self) {
        self.recent += 1;
        self.recent_until = None;
    }

    fn drop_oldest(&mut self) {
        let Some(packet) = self.packets.pop_front() else { return };
        let source = packet.source();
        self.tail += 1;
        if let Some(known) = self.rtp_streams.iter_mut().find(|known| known.has(source)) {
            known.on_drop(source.index);
        }
    }
}

#[cfg(test)]
mod tests;
