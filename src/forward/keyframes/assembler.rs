//! Where the keyframes of a published video begin: with the parameter sets before their first slice, those that are missing
//! put there.
//!
//! Packets pass in the order of arrival, but for two kinds. Parameter sets in packets of their own wait for the packet
//! behind them, because only that says whether a keyframe follows. And what belongs to a keyframe waits while packets are
//! missing right before it: those may be its beginning or its parameter sets, nothing can be put between numbers that are
//! given away, and no decoder has use for a keyframe without its beginning. Both wait for [`PATIENCE`] at most.
//!
//! What is put in becomes packets of the publisher's line: it gets numbers there, and what follows is numbered on. So
//! viewers, resends, replays and other workers know them as packets like any other. The rule: the number of a source packet
//! is settled before any behind it has gone on, and stays a function of its own index.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::forward::codec::{FrameSize, Lacking, ParameterSets, Part};
use crate::forward::packet::Packet;
use crate::forward::source::SourceIndex;

/// How long packets wait for what is missing before them: as long as most repairs take.
const PATIENCE: Duration = Duration::from_millis(200);

/// Packets that wait at most.
const MOST_WAITING: usize = 512;

/// Packets with parameter sets before one keyframe at most; more of them are none of a keyframe's.
const MOST_LEADING: usize = 16;

/// A longer gap before a keyframe is no loss that will be repaired.
const LONGEST_GAP: u64 = 64;

/// Shifts remembered. What comes later than so many keyframes has no number any more.
const SHIFTS: usize = 64;

/// How a publisher's keyframes come by their parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetsSource {
    /// They come with them.
    InBand,
    /// From earlier keyframes or from the offer: the relay puts them there.
    Added,
    /// From nowhere: no viewer that joins later can decode them.
    Missing,
}

impl SetsSource {
    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InBand => "in-band",
            Self::Added => "added",
            Self::Missing => "missing",
        }
    }
}

/// Assembles the keyframes of one published video.
#[derive(Debug)]
pub struct KeyframeAssembler {
    sets: ParameterSets,
    adds: bool,
    /// In the order of the publisher's line; none has gone on.
    waiting: VecDeque<Packet>,
    /// When what waits goes on, whatever is missing.
    until: Option<Instant>,
    /// Everything below has gone on, or is late; `None` before the first packet.
    next: Option<SourceIndex>,
    /// How far numbers are moved, from which source index on. The newest is last.
    shifts: VecDeque<Shift>,
    /// RTP timestamp of the newest picture that began.
    begun: Option<u32>,
    /// Number of the packet with which the newest keyframe begins, if a viewer can begin there.
    keyframe: Option<SourceIndex>,
    source: Option<SetsSource>,
}

#[derive(Clone, Copy, Debug)]
struct Shift {
    from: SourceIndex,
    by: u64,
}

impl KeyframeAssembler {
    /// An assembler that knows these sets from the offer. Where units may not stand alone in packets (interleaved mode of
    /// H.264), it `adds` none.
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

    /// How the newest keyframe came by its parameter sets; `None` before the first.
    pub fn sets_source(&self) -> Option<SetsSource> {
        self.source
    }

    /// How large the pictures are, by the sets that are known.
    pub fn size(&self) -> Option<FrameSize> {
        self.sets.size()
    }

    /// True when packets were put into the line that the assembler has now, so that it is numbered on.
    pub fn has_added(&self) -> bool {
        !self.shifts.is_empty()
    }

    /// Numbers a packet that goes on at once: the usual case. False for one that [`Self::push`] is to take.
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

    /// Takes a packet; what goes on now is added to `ready`.
    pub fn push(&mut self, packet: Packet, ready: &mut Vec<Packet>) {
        if packet.part.has_sets() {
            self.sets.note(Some(packet.index), &packet.payload);
        }
        if self.next.is_some_and(|next| packet.index < next) {
            return self.go_on_late(packet, ready);
        }
        self.next.get_or_insert(packet.index);
        let place = self.waiting.partition_point(|waiting| waiting.index < packet.index);
        self.waiting.insert(place, packet);
        self.go_on(false, ready);
        while self.waiting.len() > MOST_WAITING {
            self.go_on(true, ready);
        }
    }

    /// Lets go on what has waited long enough.
    pub fn poll(&mut self, now: Instant, ready: &mut Vec<Packet>) {
        while self.until.is_some_and(|until| until <= now) {
            self.go_on(true, ready);
        }
    }

    /// Lets go on all that waits: nothing follows.
    pub fn drain(&mut self, ready: &mut Vec<Packet>) {
        while !self.waiting.is_empty() {
            self.go_on(true, ready);
        }
    }

    /// When [`Self::poll`] has something.
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.until
    }

    /// True when nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Forgets what waits and how packets were numbered: another line begins. The sets stay until newer ones come.
    pub fn begin_again(&mut self) {
        self.waiting.clear();
        self.shifts.clear();
        (self.until, self.next, self.begun, self.keyframe) = (None, None, None, None);
        self.sets.begin_again();
    }

    /// Lets packets go on in order as far as it is known how. With `forced`, nothing more is waited for by the first of
    /// them.
    fn go_on(&mut self, mut forced: bool, ready: &mut Vec<Packet>) {
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
                // Where the packet behind the sets is, all is known.
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

    /// How many packets at the front may lead a keyframe: they begin with parameter sets, have no slice and follow each
    /// other.
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

    /// What waits goes on at once when the first of it is not alone any more, or has waited for [`PATIENCE`].
    fn wait(&mut self) {
        self.until = self.waiting.front().map(|first| first.received + PATIENCE);
    }

    /// Lets a keyframe begin, which so many packets lead, and puts before it what it lacks.
    fn begin(&mut self, leading: usize, is_cut: bool, ready: &mut Vec<Packet>) {
        let payloads: Vec<&[u8]> = self.waiting.iter().take(leading + 1).map(|packet| &packet.payload[..]).collect();
        let lacking = self.sets.lacking(&payloads);
        let units = if self.adds { &lacking.units[..] } else { &[] };
        self.source = Some(match lacking {
            Lacking { is_complete: true, .. } => SetsSource::InBand,
            // What is missing before it may have been its sets.
            Lacking { has_own: true, .. } if units.is_empty() => SetsSource::InBand,
            _ if units.is_empty() => SetsSource::Missing,
            _ => SetsSource::Added,
        });
        // A viewer could do nothing with a keyframe whose sets are lost.
        let mut marks = lacking.decodes || !is_cut;
        self.keyframe = None;
        // Behind those of its own: what refers to a set comes after it.
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

    /// Whether the packet with this number is the one at which viewers begin: the first of a keyframe is.
    fn mark(&mut self, number: SourceIndex, marks: &mut bool) -> bool {
        let marked = std::mem::take(marks);
        if marked {
            self.keyframe = Some(number);
        }
        marked
    }

    /// Lets packets go on that begin no keyframe.
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

    /// A packet that comes later than others waited for it. With all sets in it a viewer can begin there.
    fn go_on_late(&mut self, packet: Packet, ready: &mut Vec<Packet>) {
        let keyframe = packet.keyframe && {
            let lacking = self.sets.lacking(&[&packet.payload]);
            lacking.is_complete || self.sets.is_empty()
        };
        // Before the oldest shift that is remembered its number is not known.
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
