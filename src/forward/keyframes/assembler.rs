//! Completes the keyframes of a published video: inserts the parameter sets that are missing before the first slice.
//!
//! Packets pass through in the order of arrival, with two exceptions. Parameter sets in packets of their own wait for
//! the packet after them, because only that packet shows whether a keyframe follows. And the packets of a keyframe wait
//! while packets are missing right before it: the missing ones may hold its beginning or its parameter sets, nothing
//! can be inserted between numbers that are already taken, and no decoder can use a keyframe without its beginning.
//! Both wait for [`PATIENCE`] at most.
//!
//! Inserted packets become packets of the publisher's RTP stream: they get numbers, and later packets are renumbered.
//! Viewers, resends, replays and other workers treat them like any other packet. The rule: the number of a source
//! packet is settled before any later packet has passed, and is a function of its own index only.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::forward::codec::{FrameSize, Lacking, ParameterSets, Part};
use crate::forward::packet::Packet;
use crate::forward::source::SourceIndex;

/// How long packets wait for missing packets before them: as long as most repairs take.
const PATIENCE: Duration = Duration::from_millis(200);

/// Packets that may wait at a time.
const MOST_WAITING: usize = 512;

/// Packets with parameter sets before one keyframe; a keyframe has no more than this.
const MOST_LEADING: usize = 16;

/// A longer gap before a keyframe will not be repaired.
const LONGEST_GAP: u64 = 64;

/// Shifts remembered. A packet that is older than the oldest of them cannot be numbered and is dropped.
const SHIFTS: usize = 64;

/// Where the parameter sets of a publisher's keyframes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetsSource {
    /// The keyframes contain them.
    InBand,
    /// The relay inserts them from earlier keyframes or from the offer.
    Added,
    /// They are unknown: viewers that join later cannot decode the keyframes.
    Missing,
}

impl SetsSource {
    /// Every source.
    pub(crate) const ALL: [Self; 3] = [Self::InBand, Self::Added, Self::Missing];

    /// The name that people read.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InBand => "in-band",
            Self::Added => "added",
            Self::Missing => "missing",
        }
    }
}

/// Completes the keyframes of one published video.
#[derive(Debug)]
pub struct KeyframeAssembler {
    sets: ParameterSets,
    adds: bool,
    /// Packets that wait, in the order of the publisher's RTP stream.
    waiting: VecDeque<Packet>,
    /// When the first packet that waits passes even if packets are still missing.
    until: Option<Instant>,
    /// Packets below this index have passed, or are late; `None` before the first packet.
    next: Option<SourceIndex>,
    /// By how much numbers are shifted, by first source index. The newest is last.
    shifts: VecDeque<Shift>,
    /// RTP timestamp of the newest frame of which a slice has passed.
    begun: Option<u32>,
    /// Number of the packet at which the newest keyframe begins, if a viewer can begin there.
    keyframe: Option<SourceIndex>,
    source: Option<SetsSource>,
}

#[derive(Clone, Copy, Debug)]
struct Shift {
    from: SourceIndex,
    by: u64,
}

impl KeyframeAssembler {
    /// An assembler that knows the parameter sets of the offer. It `adds` none where NAL units cannot have packets of
    /// their own (interleaved mode of H.264).
    pub fn new(sets: ParameterSets, adds: bool) -> Self {
        Self {
            sets,
            adds,
            waiting: VecDeque::new(),
            until: None,
            next: None,
            shifts: VecDeque::new(),
            begun: None,
            keyframe: None,
            source: None,
        }
    }

    /// Where the parameter sets of the newest keyframe came from; `None` before the first keyframe.
    pub(crate) fn sets_source(&self) -> Option<SetsSource> {
        self.source
    }

    /// The size of the frames, according to the known parameter sets.
    pub(crate) fn size(&self) -> Option<FrameSize> {
        self.sets.size()
    }

    /// True when packets were inserted into the current RTP stream, so that its packets are renumbered.
    pub(crate) fn has_added(&self) -> bool {
        !self.shifts.is_empty()
    }

    /// Numbers a packet that passes at once, which is the usual case. False for a packet that needs [`Self::push`].
    #[inline]
    pub fn pass(&mut self, packet: &mut Packet) -> bool {
        if !packet.part.is_plain() || !self.waiting.is_empty() {
            return false;
        }
        let index = packet.index;
        if self.next.is_none_or(|next| index < next) {
            return false;
        }
        self.next = Some(index + 1);
        if let Some(shift) = self.shifts.back() {
            packet.index += shift.by;
        }
        true
    }

    /// Takes a packet, and adds the packets that pass now to `ready`.
    pub fn push(&mut self, packet: Packet, ready: &mut Vec<Packet>) {
        if packet.part.has_sets() {
            self.sets.note(Some(packet.index), &packet.payload);
        }
        if self.next.is_some_and(|next| packet.index < next) {
            return self.pass_late(packet, ready);
        }
        self.next.get_or_insert(packet.index);
        let place = self.waiting.partition_point(|waiting| waiting.index < packet.index);
        self.waiting.insert(place, packet);
        self.pass_in_order(false, ready);
        while self.waiting.len() > MOST_WAITING {
            self.pass_in_order(true, ready);
        }
    }

    /// Passes the packets that have waited long enough.
    pub(crate) fn poll(&mut self, now: Instant, ready: &mut Vec<Packet>) {
        while self.until.is_some_and(|until| until <= now) {
            self.pass_in_order(true, ready);
        }
    }

    /// Passes all packets that wait, because no more packets follow.
    pub fn drain(&mut self, ready: &mut Vec<Packet>) {
        while !self.waiting.is_empty() {
            self.pass_in_order(true, ready);
        }
    }

    /// When [`Self::poll`] has work.
    #[inline]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.until
    }

    /// Forgets the packets that wait and how packets were numbered, because another RTP stream begins. Parameter sets
    /// are kept until newer ones arrive.
    pub(crate) fn begin_again(&mut self) {
        self.waiting.clear();
        self.shifts.clear();
        (self.until, self.next, self.begun, self.keyframe) = (None, None, None, None);
        self.sets.begin_again();
    }

    /// Passes packets in order as far as their numbers are settled. With `forced`, the first of them waits no longer.
    fn pass_in_order(&mut self, mut forced: bool, ready: &mut Vec<Packet>) {
        while let Some(first) = self.waiting.front() {
            let next = self.next.unwrap_or(first.index);
            let is_new = self.begun != Some(first.timestamp);
            let (part, gap) = (first.part, first.index - next);
            let waits = is_new && (part.is_random_access() || part.has_sets() && !part.has_slice());
            if waits && (1..=LONGEST_GAP).contains(&gap) && !forced {
                return self.wait();
            }
            let leading = if is_new { self.leading() } else { 0 };
            match self.waiting.get(leading) {
                // The packet after the parameter sets is here, so all is known.
                Some(behind) if behind.index == self.waiting[0].index + leading as u64 => {
                    let first = &self.waiting[0];
                    let begins = is_new && behind.timestamp == first.timestamp && behind.part.is_keyframe();
                    if begins {
                        self.begin(leading, gap > 0, ready);
                    } else {
                        self.release(leading + 1, ready);
                    }
                }
                behind => {
                    let marked = self.waiting[leading - 1].marker;
                    let awaited = behind.is_none_or(|behind| behind.part.is_random_access());
                    if awaited && !marked && leading < MOST_LEADING && !forced {
                        return self.wait();
                    }
                    self.release(leading, ready);
                }
            }
            forced = false;
        }
        self.until = None;
    }

    /// How many packets at the front may lead a keyframe: consecutive packets that begin with parameter sets and have
    /// no slice.
    fn leading(&self) -> usize {
        let Some(first) = self.waiting.front().filter(|first| first.part.has_sets()) else { return 0 };
        let leads = |(place, packet): &(usize, &Packet)| {
            packet.index == first.index + *place as u64
                && packet.timestamp == first.timestamp
                && !packet.part.has_slice()
                && *place < MOST_LEADING
        };
        self.waiting.iter().enumerate().take_while(leads).count()
    }

    /// Sets the deadline of the first packet that waits: [`PATIENCE`] after its reception.
    fn wait(&mut self) {
        self.until = self.waiting.front().map(|first| first.received + PATIENCE);
    }

    /// Passes the first packets of a keyframe, of which `leading` come before its first slice, and inserts missing
    /// parameter sets.
    fn begin(&mut self, leading: usize, is_cut: bool, ready: &mut Vec<Packet>) {
        let payloads: Vec<&[u8]> = self.waiting.iter().take(leading + 1).map(|packet| &packet.payload[..]).collect();
        let lacking = self.sets.lacking(&payloads);
        let units = if self.adds { &lacking.units[..] } else { &[] };
        self.source = Some(match lacking {
            Lacking { is_complete: true, .. } => SetsSource::InBand,
            // The packets missing before it may hold its parameter sets.
            Lacking { has_own: true, .. } if units.is_empty() => SetsSource::InBand,
            _ if units.is_empty() => SetsSource::Missing,
            _ => SetsSource::Added,
        });
        // A viewer cannot use a keyframe whose parameter sets are lost.
        let mut marks = lacking.decodes || !is_cut;
        self.keyframe = None;
        // After its own parameter sets: a set follows those that it refers to.
        let behind = if lacking.has_own { leading } else { 0 };
        for place in 0..=leading {
            let Some(mut packet) = self.waiting.pop_front() else { return };
            if place == behind && !units.is_empty() {
                let by = self.shift(packet.index);
                for (number, unit) in (0..).zip(units) {
                    let index = packet.index + by + number;
                    let keyframe = self.mark(index, &mut marks);
                    let (part, payload) = (Part::of(self.sets.codec(), unit), unit.clone());
                    ready.push(Packet { index, marker: false, part, keyframe, payload, ..packet.clone() });
                }
                self.shift_from(packet.index, by + units.len() as u64);
            }
            packet.keyframe = self.mark(packet.index + self.shift(packet.index), &mut marks);
            self.give(packet, ready);
        }
    }

    /// Whether viewers begin at the packet with this number: true for the first packet of a keyframe.
    fn mark(&mut self, number: SourceIndex, marks: &mut bool) -> bool {
        let marked = std::mem::take(marks);
        if marked {
            self.keyframe = Some(number);
        }
        marked
    }

    /// Passes packets that do not begin a keyframe.
    fn release(&mut self, count: usize, ready: &mut Vec<Packet>) {
        for _ in 0..count {
            let Some(packet) = self.waiting.pop_front() else { return };
            self.give(Packet { keyframe: false, ..packet }, ready);
        }
    }

    fn give(&mut self, mut packet: Packet, ready: &mut Vec<Packet>) {
        self.next = Some(packet.index + 1);
        if packet.part.has_slice() {
            self.begun = Some(packet.timestamp);
        }
        packet.index += self.shift(packet.index);
        if packet.part.is_skipped_leading() {
            packet.leads_from(self.keyframe);
        }
        ready.push(packet);
    }

    /// Passes a packet that arrives after its place was given up. A viewer can begin there only if it contains all
    /// parameter sets.
    fn pass_late(&mut self, packet: Packet, ready: &mut Vec<Packet>) {
        let keyframe = packet.keyframe && {
            let lacking = self.sets.lacking(&[&packet.payload]);
            lacking.is_complete || self.sets.is_empty()
        };
        // Before the oldest shift that is remembered, the number is unknown.
        let Some(by) = self.shift_of(packet.index) else { return };
        let mut packet = Packet { index: packet.index + by, keyframe, ..packet };
        if packet.part.is_skipped_leading() {
            packet.leads_from(self.keyframe);
        }
        ready.push(packet);
    }

    fn shift(&self, index: SourceIndex) -> u64 {
        self.shift_of(index).unwrap_or_default()
    }

    fn shift_of(&self, index: SourceIndex) -> Option<u64> {
        let shift = self.shifts.iter().rev().find(|shift| shift.from <= index);
        match shift {
            Some(shift) => Some(shift.by),
            None => (self.shifts.len() < SHIFTS).then_some(0),
        }
    }

    fn shift_from(&mut self, from: SourceIndex, by: u64) {
        if self.shifts.len() == SHIFTS {
            self.shifts.pop_front();
        }
        self.shifts.push_back(Shift { from, by });
    }
}

#[cfg(test)]
mod tests;
