//! The recent packets of one layer of a track, in the order of arrival: from here each viewer is served, and its losses
//! are repaired.
//!
//! A position counts arrivals and never repeats, so that every viewer keeps a cursor of its own and one that fell behind
//! is told so. What has come since the newest keyframe is kept for longer, as long as it is not too much: from it a
//! viewer that joins late has a picture at once ([`Pictures`]). The rule: one source packet (epoch, layer, index) is here at most once ever. A second one, whatever it
//! contains, is refused; resends repeat what was sent because of that.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::since_keyframe::{PictureLimits, Pictures, Since};
use crate::forward::packet::Packet;
use crate::forward::source::{Epoch, LayerId, Source, SourceIndex};

/// How much a history keeps; the older packets make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Packets kept at most for viewers that are live.
    pub packets: usize,
    /// Age up to which they are kept, by the time of their reception and that of the newest.
    pub age: Duration,
    /// How much is kept besides for viewers that join, since the newest keyframe.
    pub pictures: PictureLimits,
}

impl Default for HistoryLimits {
    /// One second, and no more packets than a line of 20 Mbit/s has in it.
    fn default() -> Self {
        Self { packets: 2048, age: Duration::from_secs(1), pictures: PictureLimits::default() }
    }
}

/// What stands at a position.
#[derive(Clone, Copy, Debug)]
pub enum Get<'a> {
    /// The packet that arrived there.
    Packet(&'a Arc<Packet>),
    /// It is older than what live viewers get: the reader fell behind and goes on at [`History::head`] or later.
    TooOld,
    /// It has not arrived yet.
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
    /// Until when that one is recent, if it has been asked: what comes later makes it leave.
    recent_until: Option<Instant>,
    position_by_source: HashMap<Source, u64, foldhash::fast::RandomState>,
    lines: Vec<Line>,
    /// Publishers up to this epoch are over.
    forgotten: Option<Epoch>,
    since_keyframe: Option<Since>,
}

/// One publisher's line. Of each the history knows below which index everything is over.
#[derive(Clone, Copy, Debug)]
struct Line {
    epoch: Epoch,
    layer: LayerId,
    /// Packets below it are refused: they came and went, or come too late for anybody.
    floor: SourceIndex,
}

/// Lines known at a time: the layers of a publisher and of the one before it. When full the oldest publisher's is
/// forgotten, and nothing of that publisher is taken any more.
const LINES: usize = 8;

/// How far behind a keyframe's start a reader looks for packets that overtook it.
const REORDERED: u64 = 64;

/// Somebody may be on the way from the keyframe to live for so long: what is too old to begin with is still needed.
const LONGEST_REPLAY: Duration = Duration::from_secs(8);

/// Packets dropped at most for one that arrives. A keyframe makes thousands superfluous at once; they leave bit by bit.
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
            position_by_source: HashMap::default(),
            lines: Vec::with_capacity(LINES),
            forgotten: None,
            since_keyframe: None,
        }
    }

    /// Adds a packet and returns its position, or `None` when it is refused: it is here already, or was, or belongs to
    /// a publisher two takeovers ago.
    pub fn push(&mut self, packet: Arc<Packet>) -> Option<u64> {
        let source = packet.source();
        if source.index < self.floor_of(&source)? || self.position_by_source.contains_key(&source) {
            return None;
        }
        self.make_room(&packet);
        let position = self.head();
        match &mut self.since_keyframe {
            Some(since) if !(packet.keyframe && since.is_before(&packet)) => since.add(&packet),
            since if packet.keyframe => *since = Some(Since::keyframe(position, &packet, &self.limits.pictures)),
            _ => {}
        }
        self.position_by_source.insert(source, position);
        self.packets.push_back(packet);
        Some(position)
    }

    /// What stands at a position, for a viewer that is live.
    pub fn get(&self, position: u64) -> Get<'_> {
        if position < self.recent {
            return Get::TooOld;
        }
        // What is recent is kept.
        self.packets.get((position - self.tail) as usize).map_or(Get::NotYet, Get::Packet)
    }

    /// What stands at a position, as far back as anything is kept.
    pub fn kept(&self, position: u64) -> Get<'_> {
        match position.checked_sub(self.tail) {
            None => Get::TooOld,
            Some(offset) => self.packets.get(offset as usize).map_or(Get::NotYet, Get::Packet),
        }
    }

    /// The position that the next packet will get.
    pub fn head(&self) -> u64 {
        self.tail + self.packets.len() as u64
    }

    /// The position of the oldest packet kept; equal to [`History::head`] when there is none.
    pub fn tail(&self) -> u64 {
        self.tail
    }

    /// The packet with this identity, if it is still here.
    pub fn find(&self, source: Source) -> Option<&Arc<Packet>> {
        match self.kept(*self.position_by_source.get(&source)?) {
            Get::Packet(packet) => Some(packet),
            Get::TooOld | Get::NotYet => None,
        }
    }

    /// The position of the newest keyframe start, whether it is still here or not.
    pub fn keyframe(&self) -> Option<u64> {
        self.since_keyframe.map(|since| since.position)
    }

    /// The pictures since the newest keyframe, if all of them are here.
    pub fn pictures(&self) -> Option<Pictures> {
        let since = self.since_keyframe.filter(|since| since.position >= self.tail)?;
        let within = since.is_within(&self.limits.pictures) || since.position >= self.recent;
        within.then(|| since.pictures())
    }

    /// Drops what is too old by now, although nothing comes that would make it leave. What live viewers get has its age,
    /// and so have the pictures since the newest keyframe where they are not few.
    pub fn expire(&mut self, now: Instant) {
        while let Get::Packet(packet) = self.kept(self.recent) {
            if now.saturating_duration_since(packet.received) <= self.limits.age {
                break;
            }
            self.pass_recent();
        }
        let pictures = self.limits.pictures;
        let earlier = now.checked_sub(LONGEST_REPLAY).unwrap_or(now);
        if let Some(since) = self.since_keyframe.as_mut().filter(|since| !since.is_within_at(earlier, &pictures)) {
            since.give_up();
        }
        let longest = pictures.age + LONGEST_REPLAY;
        while let Get::Packet(oldest) = self.kept(self.tail) {
            if self.tail >= self.first_needed() || now.saturating_duration_since(oldest.received) <= longest {
                break;
            }
            self.drop_oldest();
        }
    }

    /// Octets that it takes to keep the pictures since the newest keyframe, and when that came; `None` where they are not
    /// kept.
    pub fn cost_of_pictures(&self) -> Option<(usize, Instant)> {
        let since = self.since_keyframe.filter(|since| since.is_within(&self.limits.pictures))?;
        Some((since.cost(), since.received()))
    }

    /// Gives up the pictures since the newest keyframe: they make room for others.
    pub fn give_up_pictures(&mut self, now: Instant) {
        if let Some(since) = &mut self.since_keyframe {
            since.give_up();
        }
        self.expire(now);
        while self.tail < self.first_needed() {
            self.drop_oldest();
        }
    }

    /// All packets kept, oldest first: what another worker's history begins with, so that nothing is missing between
    /// it and the live packets that follow (those that are in both are refused there).
    pub fn snapshot(&self) -> impl Iterator<Item = &Arc<Packet>> {
        self.packets.iter()
    }

    /// The earliest position from which a reader finds everything behind the packet at `position` in its publisher's
    /// line: packets that overtook it stand before it.
    pub fn rewind(&self, position: u64) -> u64 {
        let Get::Packet(packet) = self.kept(position) else { return position };
        let source = packet.source();
        let overtook = |&at: &u64| {
            matches!(self.kept(at), Get::Packet(other) if other.epoch == source.epoch
                && other.layer == source.layer && other.index > source.index)
        };
        let oldest = if position < self.recent { self.tail } else { self.recent };
        let earliest = position.saturating_sub(REORDERED).max(oldest);
        (earliest..position).find(overtook).unwrap_or(position)
    }

    /// The floor of the packet's line, which begins here if it is new; `None` for a publisher that is long gone.
    fn floor_of(&mut self, source: &Source) -> Option<SourceIndex> {
        let known = self.lines.iter().find(|line| (line.epoch, line.layer) == (source.epoch, source.layer));
        if let Some(line) = known {
            return Some(line.floor);
        }
        if self.forgotten.is_some_and(|epoch| source.epoch <= epoch) {
            return None;
        }
        if self.lines.len() == LINES {
            let oldest = (0..LINES).min_by_key(|&at| self.lines[at].epoch)?;
            if source.epoch <= self.lines[oldest].epoch {
                return None;
            }
            self.forgotten = Some(self.lines.swap_remove(oldest).epoch);
        }
        self.lines.push(Line { epoch: source.epoch, layer: source.layer, floor: 0 });
        Some(0)
    }

    /// Drops what nobody needs once this packet is here.
    fn make_room(&mut self, newest: &Packet) {
        while self.head() > self.recent && self.is_recent_over(newest) {
            self.pass_recent();
        }
        for _ in 0..DROPS.min(self.first_needed().saturating_sub(self.tail) as usize) {
            self.drop_oldest();
        }
    }

    /// Position of the oldest packet that somebody needs.
    fn first_needed(&self) -> u64 {
        let kept = self.since_keyframe.filter(|since| since.is_within(&self.limits.pictures));
        kept.map_or(self.recent, |since| since.position.saturating_sub(REORDERED).min(self.recent))
    }

    /// True when the oldest packet for live viewers is too old for them once `newest` is here.
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
        self.position_by_source.remove(&source);
        let mut lines = self.lines.iter_mut();
        if let Some(line) = lines.find(|line| (line.epoch, line.layer) == (source.epoch, source.layer)) {
            line.floor = line.floor.max(source.index + 1);
        }
    }
}

#[cfg(test)]
mod tests;
