//! The header extension of an outbound track's packets (RFC 8285 4.2): which elements it has and where they stand, settled once and
//! then copied.
//!
//! Two kinds of elements. Those of the packet and of the outbound track (mid, loudness, orientation, capture time) are the same
//! each time that the packet is written. Those of the sending (playout-delay, absolute-send-time, the transport-wide
//! number) stand only on packets whose resend goes by RTX, so that nothing is ever repeated in-band with another content.
//! The rule: as long as a publisher says the same kinds of things, the block has one length.
//!
//! Except for dependency descriptors: one has three octets on most packets and dozens on the first of a key picture, which
//! is therefore longer than the others and ends a run. Where it has more than 16 octets, all elements of that packet are
//! two-byte ones (RFC 8285 4.3). Its frame number is the line's own ([`Frames`]); all else of it goes through octet for octet.
//! A packet that has no room for all its elements has the descriptor alone if that fits, for receivers that have begun with
//! descriptors know no other order of frames. Templates for it are made in the cold path.

use std::time::Duration;

use super::frame_numbers::Frames;
use super::read::HeaderExtensions;
use crate::forward::rtp_header::HEADER_LEN;

/// All elements at once take no more, but for the value of a dependency descriptor, the last: 4 in front, mid 18, capture time
/// 18, loudness 3, orientation 3, of the sending 5 + 5 + 4, and 2 in front of the descriptor. Copied whole, which takes a few
/// instructions where the right number of octets would take a call.
const ROOM: usize = 64;

/// The longest mid that a one-byte element holds.
pub const LONGEST_MID: usize = 16;

/// The longest value of a one-byte element.
const LONGEST_SHORT: usize = 16;

/// Of [`ExtensionBlocks::key`]: the resend goes by RTX. The others are those of [`HeaderExtensions`].
const BY_RTX: u8 = 1 << 7;

/// Of [`ExtensionBlocks::key`]: the dependency descriptor alone.
const LEAST: u8 = 1 << 6;

/// The ids (1 to 14) under which a viewer takes header extensions; `None` for those that it does not.
#[derive(Clone, Debug, Default)]
pub struct ExtensionIds {
    /// The section that a packet belongs to (RFC 9143 15), and its name, which is no longer than [`LONGEST_MID`].
    pub mid: Option<(u8, String)>,
    /// When a frame was captured.
    pub capture_time: Option<u8>,
    /// How loud a packet is (RFC 6464).
    pub audio_level: Option<u8>,
    /// How the picture is to be turned (3GPP TS 26.114).
    pub orientation: Option<u8>,
    /// Which frame a packet is of and which frames that needs. Two-byte elements must be allowed too.
    pub dependencies: Option<u8>,
    /// How long a receiver is to hold pictures back.
    pub playout_delay: Option<u8>,
    /// When a packet left.
    pub send_time: Option<u8>,
    /// A number over all packets that carry it.
    pub transport_number: Option<u8>,
}

/// An outbound track's header extension.
#[derive(Clone, Debug)]
pub(crate) struct ExtensionBlocks {
    ids: ExtensionIds,
    /// Of [`HeaderExtensions`], what the viewer takes.
    takes: u8,
    /// How long pictures are to be held back.
    held_back: Duration,
    /// What playout-delay says; `None` until there is something to say.
    playout_delay: Option<[u8; 3]>,
    send_time: [u8; 3],
    next_number: u16,
    frames: Frames,
    /// What the template is for; `None` for nothing any more, and where a packet has a dependency descriptor.
    key: Option<u8>,
    /// The same, with the octets of the descriptor.
    made: Option<(u8, usize)>,
    template: Template,
}

/// A block without the values of packets and sendings. Positions count from the start of the packet; 0 is none.
#[derive(Clone, Debug)]
struct Template {
    octets: [u8; ROOM],
    len: usize,
    /// Some of the next three are there.
    has_values: bool,
    audio_level: usize,
    orientation: usize,
    capture_time: usize,
    capture_len: usize,
    send_time: usize,
    number: usize,
    dependencies: usize,
    dependencies_len: usize,
    /// What is added to the frame number.
    frame_shift: u16,
    /// More than 16 octets have room in an element.
    two_byte: bool,
}

impl ExtensionBlocks {
    /// `None` where a viewer takes none of the extensions.
    pub(crate) fn new(ids: ExtensionIds) -> Option<Self> {
        let mut takes = 0;
        for (id, bits) in [
            (ids.audio_level, HeaderExtensions::AUDIO_LEVEL),
            (ids.orientation, HeaderExtensions::ORIENTATION),
            (ids.capture_time, HeaderExtensions::CAPTURE_TIME | HeaderExtensions::CAPTURE_OFFSET),
            (ids.dependencies, HeaderExtensions::DEPENDENCIES),
        ] {
            takes |= if id.is_some() { bits } else { 0 };
        }
        let of_sending = [ids.playout_delay, ids.send_time, ids.transport_number];
        let any = takes != 0 || ids.mid.is_some() || of_sending.iter().any(Option::is_some);
        any.then(|| Self {
            ids,
            takes,
            held_back: Duration::ZERO,
            playout_delay: None,
            send_time: [0; 3],
            next_number: 0,
            frames: Frames::default(),
            key: None,
            made: None,
            template: Template::default(),
        })
    }

    /// Lets packets say from now on how long pictures are to be held back at least. With no limit at most.
    #[inline]
    pub(crate) fn hold_back(&mut self, least: Duration) {
        if std::mem::replace(&mut self.held_back, least) != least {
            self.set_playout_delay(least);
        }
    }

    #[cold]
    fn set_playout_delay(&mut self, least: Duration) {
        // Twelve bits each, in 10 ms.
        let least = least.as_millis().div_ceil(10).min(0xfff) as u16;
        // The most is never 0: with a least of 0 that asks for pictures as they come, whatever jitter there is.
        let [high, low] = (least << 4 | 0xf).to_be_bytes();
        // Written from the first need on, then always, so that a burst has packets of one length.
        self.playout_delay = Some([high, low, 0xff]);
        self.key = None;
        self.made = None;
    }

    /// The moment that packets say they are sent at, on a clock that begins anywhere: 6.18 fixed-point seconds.
    #[inline]
    pub(crate) fn set_send_time(&mut self, since: Duration) {
        let ticks = (since.as_micros() as u64).wrapping_mul(1 << 18) / 1_000_000;
        let [.., high, middle, low] = ticks.to_be_bytes();
        self.send_time = [high, middle, low];
    }

    /// True where packets say when they are sent.
    pub(crate) fn tells_send_time(&self) -> bool {
        self.ids.send_time.is_some()
    }

    /// Octets of a block as it was written last.
    pub(crate) fn len(&self) -> usize {
        self.template.len
    }

    /// A segment of the line begins at this number, with a packet that has these values.
    pub(crate) fn begin(&mut self, elements: &HeaderExtensions, index: u64) {
        if self.ids.dependencies.is_some() {
            self.frames.begin(index, elements.frame_number());
        }
    }

    /// Octets of the block of a packet with these values and this number of the line; 0 where there is nothing to say.
    #[inline]
    pub(crate) fn settle(&mut self, elements: &HeaderExtensions, by_rtx: bool, index: u64) -> usize {
        let key = elements.present() & self.takes | if by_rtx { BY_RTX } else { 0 };
        if self.key != Some(key) {
            self.make(key, elements, index);
        }
        self.template.len
    }

    /// The same with the dependency descriptor alone; 0 where there is none.
    #[cold]
    pub(crate) fn settle_least(&mut self, elements: &HeaderExtensions, index: u64) -> usize {
        let key = elements.present() & self.takes & HeaderExtensions::DEPENDENCIES;
        if key == 0 {
            return 0;
        }
        self.make(key | LEAST, elements, index);
        self.template.len
    }

    /// Writes the block that was settled last behind the header, and says so there. Behind it octets are overwritten, up to
    /// [`ROOM`].
    #[inline]
    pub(crate) fn write(&self, elements: &HeaderExtensions, packet: &mut [u8]) {
        let template = &self.template;
        match packet.split_first_chunk_mut::<{ HEADER_LEN + ROOM }>() {
            Some((packet, _)) => packet[HEADER_LEN..].copy_from_slice(&template.octets),
            // There is no more room than for the packet.
            None => {
                let len = template.len.min(ROOM);
                packet[HEADER_LEN..HEADER_LEN + len].copy_from_slice(&template.octets[..len]);
            }
        }
        packet[0] |= 0x10;
        if template.has_values {
            template.fill_in(elements, packet);
        }
    }

    /// Writes what is of the sending into a packet that [`Self::write`] has written a block into or not. Once for each
    /// packet that is sent.
    #[inline]
    pub(crate) fn stamp(&mut self, packet: &mut [u8]) {
        let (send_time, number) = (self.template.send_time, self.template.number);
        if send_time | number == 0 || packet[0] & 0x10 == 0 {
            return;
        }
        if send_time > 0 {
            packet[send_time..send_time + 3].copy_from_slice(&self.send_time);
        }
        if number > 0 {
            packet[number..number + 2].copy_from_slice(&self.next_number.to_be_bytes());
            self.next_number = self.next_number.wrapping_add(1);
        }
    }

    /// Makes the template for a packet that has these values, and for others with such ones.
    #[cold]
    fn make(&mut self, key: u8, elements: &HeaderExtensions, index: u64) {
        let descriptor = (key & HeaderExtensions::DEPENDENCIES != 0).then(|| elements.frame_number()).flatten();
        let shift = descriptor.and_then(|number| self.frames.shift(index, number));
        let len = shift.map_or(0, |_| elements.dependencies().len());
        if self.made != Some((key, len)) {
            self.template = self.template(key, len);
            self.made = Some((key, len));
        }
        self.template.frame_shift = shift.unwrap_or_default();
        self.key = Some(key).filter(|_| descriptor.is_none());
    }

    /// The template for packets that have these values and a dependency descriptor of so many octets.
    fn template(&self, key: u8, dependencies: usize) -> Template {
        let mut template = Template { two_byte: dependencies > LONGEST_SHORT, ..Template::default() };
        let ids = &self.ids;
        let has = |bit: u8| key & bit != 0;
        if let Some((id, mid)) = ids.mid.as_ref().filter(|_| !has(LEAST)) {
            template.add(*id, mid.as_bytes());
        }
        if let Some(id) = ids.audio_level.filter(|_| has(HeaderExtensions::AUDIO_LEVEL)) {
            template.audio_level = template.add(id, &[0]);
        }
        if let Some(id) = ids.orientation.filter(|_| has(HeaderExtensions::ORIENTATION)) {
            template.orientation = template.add(id, &[0]);
        }
        if let Some(id) = ids.capture_time.filter(|_| has(HeaderExtensions::CAPTURE_TIME)) {
            template.capture_len = if has(HeaderExtensions::CAPTURE_OFFSET) { 16 } else { 8 };
            template.capture_time = template.add(id, &[0; 16][..template.capture_len]);
        }
        if has(BY_RTX) {
            if let (Some(id), Some(delay)) = (ids.playout_delay, self.playout_delay) {
                template.add(id, &delay);
            }
            if let Some(id) = ids.send_time {
                template.send_time = template.add(id, &[0; 3]);
            }
            if let Some(id) = ids.transport_number {
                template.number = template.add(id, &[0; 2]);
            }
        }
        if let Some(id) = ids.dependencies.filter(|_| dependencies > 0) {
            template.dependencies = template.begin(id, dependencies);
            template.dependencies_len = dependencies;
        }
        template.has_values = key & !BY_RTX != 0;
        template.finish();
        template
    }
}

impl Default for Template {
    fn default() -> Self {
        Self {
            octets: [0; ROOM],
            len: 0,
            has_values: false,
            audio_level: 0,
            orientation: 0,
            capture_time: 0,
            capture_len: 0,
            send_time: 0,
            number: 0,
            dependencies: 0,
            dependencies_len: 0,
            frame_shift: 0,
            two_byte: false,
        }
    }
}

impl Template {
    /// Adds an element; where its value stands in the packet.
    fn add(&mut self, id: u8, value: &[u8]) -> usize {
        let at = self.begin(id, value.len());
        self.octets[at - HEADER_LEN..self.len].copy_from_slice(value);
        at
    }

    /// Adds an element without its value; where that is to stand in the packet.
    fn begin(&mut self, id: u8, len: usize) -> usize {
        let mut at = self.len.max(4);
        if self.two_byte {
            self.octets[at..at + 2].copy_from_slice(&[id, len as u8]);
            at += 2;
        } else {
            self.octets[at] = id << 4 | (len as u8 - 1);
            at += 1;
        }
        self.len = at + len;
        HEADER_LEN + at
    }

    /// Pads it to whole words, and says in front how many there are.
    fn finish(&mut self) {
        if self.len > 0 {
            self.len = self.len.next_multiple_of(4);
            let [high, low] = if self.two_byte { [0x10, 0x00] } else { [0xbe, 0xde] };
            self.octets[..4].copy_from_slice(&[high, low, 0, (self.len / 4 - 1) as u8]);
        }
    }

    #[inline]
    fn fill_in(&self, elements: &HeaderExtensions, packet: &mut [u8]) {
        if self.audio_level > 0 {
            packet[self.audio_level] = elements.audio_level();
        }
        if self.orientation > 0 {
            packet[self.orientation] = elements.orientation();
        }
        if self.capture_time > 0 {
            let (time, end) = (elements.capture_time(), self.capture_time + self.capture_len);
            packet[self.capture_time..end].copy_from_slice(&time[..self.capture_len]);
        }
        if self.dependencies > 0 {
            self.fill_in_dependencies(elements, packet);
        }
    }

    #[cold]
    fn fill_in_dependencies(&self, elements: &HeaderExtensions, packet: &mut [u8]) {
        let (at, end) = (self.dependencies, self.dependencies + self.dependencies_len);
        packet[at..end].copy_from_slice(elements.dependencies());
        let number = elements.frame_number().unwrap_or_default().wrapping_add(self.frame_shift);
        packet[at + 1..at + 3].copy_from_slice(&number.to_be_bytes());
        // The template may end before the value does.
        packet[end..HEADER_LEN + self.len].fill(0);
    }
}

#[cfg(test)]
mod tests;
