//! Writes the header extensions of an outbound track's packets (RFC 8285 4.2): a template of the elements is built once
//! and then copied.
//!
//! There are two kinds of elements. Those of the packet and of the outbound track (mid, audio level, orientation,
//! capture time) are the same each time the packet is written. Those of the sending (playout-delay, absolute-send-time,
//! the transport-wide number) are present only on packets that are resent by RTX, so that a resend without RTX never
//! differs from the first sending. The rule: while a publisher sends the same kinds of values, the block has the same
//! length.
//!
//! Dependency descriptors are the exception: one has three octets on most packets and dozens on the first packet of a
//! keyframe, which is therefore longer than the others and ends a run. With more than 16 octets, all elements of that
//! packet are two-byte ones (RFC 8285 4.3). Its frame number is that of the viewer's RTP stream ([`FrameNumbers`]);
//! everything else in it is copied. A packet without room for all elements gets the descriptor alone if that fits,
//! because receivers that began with descriptors know no other order of frames. Templates for descriptors are built in
//! the cold path.

use std::time::Duration;

use super::frame_numbers::FrameNumbers;
use super::read::HeaderExtensions;
use crate::forward::rtp_header::HEADER_LEN;

/// Octets of all elements together, except for the value of a dependency descriptor, which is the last: 4 in front, mid
/// 18, capture time 18, audio level 3, orientation 3, those of the sending 5 + 5 + 4, and 2 in front of the descriptor.
/// The whole block is copied: that takes a few instructions, where copying the exact number of octets would be a call.
const ROOM: usize = 64;

/// The longest mid that a one-byte element holds.
pub(crate) const LONGEST_MID: usize = 16;

/// The longest value of a one-byte element.
const LONGEST_SHORT: usize = 16;

/// In [`ExtensionBlocks::key`]: the packet is resent by RTX. The other bits are those of [`HeaderExtensions`].
const BY_RTX: u8 = 1 << 7;

/// In [`ExtensionBlocks::key`]: the dependency descriptor alone.
const LEAST: u8 = 1 << 6;

/// The ids (1 to 14) of the header extensions that a viewer negotiated; `None` for the others.
#[derive(Clone, Debug, Default)]
pub struct ExtensionIds {
    /// The media section of a packet (RFC 9143 15), and its name, which is no longer than [`LONGEST_MID`].
    pub(crate) mid: Option<(u8, String)>,
    /// When a frame was captured.
    pub(crate) capture_time: Option<u8>,
    /// The audio level of a packet (RFC 6464).
    pub(crate) audio_level: Option<u8>,
    /// The rotation of the video (3GPP TS 26.114).
    pub(crate) orientation: Option<u8>,
    /// Which frame a packet belongs to and which frames that depends on. Two-byte elements must be allowed too.
    pub(crate) dependencies: Option<u8>,
    /// How long a receiver should delay playout.
    pub(crate) playout_delay: Option<u8>,
    /// When a packet was sent.
    pub(crate) send_time: Option<u8>,
    /// A number that counts all packets with this extension: see [`OutboundTrack::set_transport_number`].
    ///
    /// [`OutboundTrack::set_transport_number`]: crate::forward::OutboundTrack::set_transport_number
    pub(crate) transport_number: Option<u8>,
}

#[cfg(test)]
impl ExtensionIds {
    /// An id for each header extension; `mid` is the name of the media section.
    pub(crate) fn all(mid: &str) -> Self {
        Self {
            mid: Some((4, mid.to_owned())),
            capture_time: Some(8),
            audio_level: Some(1),
            orientation: Some(13),
            dependencies: Some(12),
            playout_delay: Some(5),
            send_time: Some(2),
            transport_number: Some(3),
        }
    }
}

/// The header extensions of an outbound track.
#[derive(Clone, Debug)]
pub(crate) struct ExtensionBlocks {
    ids: ExtensionIds,
    /// Bits of [`HeaderExtensions`] that the viewer negotiated.
    takes: u8,
    /// The minimum playout delay.
    playout_delay: Duration,
    /// The value of playout-delay; `None` before the first delay.
    playout_delay_value: Option<[u8; 3]>,
    send_time: [u8; 3],
    /// The transport-wide number of the next packet, if the viewer negotiated them; `None`: it has none.
    transport_number: Option<u16>,
    frame_numbers: FrameNumbers,
    /// What the template is for; `None` when it must be rebuilt, and where a packet has a dependency descriptor.
    key: Option<u8>,
    /// What the template was built for, with the octets of the descriptor.
    made: Option<(u8, usize)>,
    template: Template,
}

/// A block without the values of packets and sendings. Positions count from the start of the packet; 0 means absent.
#[derive(Clone, Debug)]
struct Template {
    octets: [u8; ROOM],
    len: usize,
    /// At least one of the next three is present.
    has_values: bool,
    audio_level: usize,
    orientation: usize,
    capture_time: usize,
    capture_len: usize,
    send_time: usize,
    number: usize,
    dependencies: usize,
    dependencies_len: usize,
    /// Added to the frame number.
    frame_shift: u16,
    /// Elements have two-byte headers, which allow more than 16 octets.
    two_byte: bool,
}

impl ExtensionBlocks {
    /// `None` where a viewer negotiated none of the extensions.
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
            playout_delay: Duration::ZERO,
            playout_delay_value: None,
            send_time: [0; 3],
            transport_number: None,
            frame_numbers: FrameNumbers::default(),
            key: None,
            made: None,
            template: Template::default(),
        })
    }

    /// Sets the minimum playout delay that packets announce from now on. The maximum is the highest possible value.
    #[inline]
    pub(crate) fn set_playout_delay(&mut self, least: Duration) {
        if std::mem::replace(&mut self.playout_delay, least) != least {
            self.encode_playout_delay(least);
        }
    }

    #[cold]
    fn encode_playout_delay(&mut self, least: Duration) {
        // Twelve bits each, in units of 10 ms.
        let least = least.as_millis().div_ceil(10).min(0xfff) as u16;
        // The maximum is never 0: together with a minimum of 0 it would mean that frames are shown as they arrive,
        // regardless of jitter.
        let [high, low] = (least << 4 | 0xf).to_be_bytes();
        // Present on all packets once it was needed, so that the packets of a burst have one length.
        self.playout_delay_value = Some([high, low, 0xff]);
        self.key = None;
        self.made = None;
    }

    /// Sets the send time of the next packets, on a clock with any origin: 6.18 fixed-point seconds.
    #[inline]
    pub(crate) fn set_send_time(&mut self, since: Duration) {
        let ticks = (since.as_micros() as u64).wrapping_mul(1 << 18) / 1_000_000;
        let [.., high, middle, low] = ticks.to_be_bytes();
        self.send_time = [high, middle, low];
    }

    /// Sets the transport-wide number of the next packet; with `None` packets have none.
    #[inline]
    pub(crate) fn set_transport_number(&mut self, number: Option<u16>) {
        let before = std::mem::replace(&mut self.transport_number, number);
        if before.is_some() != number.is_some() {
            self.key = None;
            self.made = None;
        }
    }

    /// True if the viewer has negotiated transport-wide numbers.
    pub(crate) fn takes_transport_numbers(&self) -> bool {
        self.ids.transport_number.is_some()
    }

    /// True if the block that was written last has a transport-wide number.
    pub(crate) fn has_transport_number(&self) -> bool {
        self.template.number > 0
    }

    /// True where packets carry their send time.
    pub(crate) fn has_send_time(&self) -> bool {
        self.ids.send_time.is_some()
    }

    /// Octets of the block that was written last.
    pub(crate) fn len(&self) -> usize {
        self.template.len
    }

    /// Begins a segment of the RTP stream at this packet index, with a packet that has these values.
    pub(crate) fn begin(&mut self, extensions: &HeaderExtensions, index: u64) {
        if self.ids.dependencies.is_some() {
            self.frame_numbers.begin(index, extensions.frame_number());
        }
    }

    /// Builds or reuses the template for a packet with these values and this index; returns the octets of its block, or
    /// 0 where it is empty.
    #[inline]
    pub(crate) fn settle(&mut self, extensions: &HeaderExtensions, by_rtx: bool, index: u64) -> usize {
        let key = extensions.present() & self.takes | if by_rtx { BY_RTX } else { 0 };
        if self.key != Some(key) {
            self.make(key, extensions, index);
        }
        self.template.len
    }

    /// The same with the dependency descriptor alone; 0 where there is none.
    #[cold]
    pub(crate) fn settle_least(&mut self, extensions: &HeaderExtensions, index: u64) -> usize {
        let key = extensions.present() & self.takes & HeaderExtensions::DEPENDENCIES;
        if key == 0 {
            return 0;
        }
        self.make(key | LEAST, extensions, index);
        self.template.len
    }

    /// Writes the settled block after the header, and sets the header's extension bit. Octets after the block are
    /// overwritten, up to [`ROOM`].
    #[inline]
    pub(crate) fn write(&self, extensions: &HeaderExtensions, packet: &mut [u8]) {
        let template = &self.template;
        match packet.split_first_chunk_mut::<{ HEADER_LEN + ROOM }>() {
            Some((packet, _)) => packet[HEADER_LEN..].copy_from_slice(&template.octets),
            // The buffer ends with the packet.
            None => {
                let len = template.len.min(ROOM);
                packet[HEADER_LEN..HEADER_LEN + len].copy_from_slice(&template.octets[..len]);
            }
        }
        packet[0] |= 0x10;
        if template.has_values {
            template.fill_in(extensions, packet);
        }
    }

    /// Fills in the values of the sending, in a packet with or without a block. Once for each packet that is sent.
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
            packet[number..number + 2].copy_from_slice(&self.transport_number.unwrap_or_default().to_be_bytes());
        }
    }

    /// Builds the template for packets with the same kinds of values as this one.
    #[cold]
    fn make(&mut self, key: u8, extensions: &HeaderExtensions, index: u64) {
        let descriptor = (key & HeaderExtensions::DEPENDENCIES != 0).then(|| extensions.frame_number()).flatten();
        let shift = descriptor.and_then(|number| self.frame_numbers.shift(index, number));
        let len = shift.map_or(0, |_| extensions.dependencies().len());
        if self.made != Some((key, len)) {
            self.template = self.template(key, len);
            self.made = Some((key, len));
        }
        self.template.frame_shift = shift.unwrap_or_default();
        self.key = Some(key).filter(|_| descriptor.is_none());
    }

    /// The template for packets with the values in `key` and a dependency descriptor of this many octets.
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
            if let (Some(id), Some(delay)) = (ids.playout_delay, self.playout_delay_value) {
                template.add(id, &delay);
            }
            if let Some(id) = ids.send_time {
                template.send_time = template.add(id, &[0; 3]);
            }
            if let Some(id) = ids.transport_number.filter(|_| self.transport_number.is_some()) {
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
    /// Adds an element; returns where its value is in the packet.
    fn add(&mut self, id: u8, value: &[u8]) -> usize {
        let at = self.begin(id, value.len());
        self.octets[at - HEADER_LEN..self.len].copy_from_slice(value);
        at
    }

    /// Adds an element without its value; returns where the value belongs in the packet.
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

    /// Pads the block to whole words and writes their number in front.
    fn finish(&mut self) {
        if self.len > 0 {
            self.len = self.len.next_multiple_of(4);
            let [high, low] = if self.two_byte { [0x10, 0x00] } else { [0xbe, 0xde] };
            self.octets[..4].copy_from_slice(&[high, low, 0, (self.len / 4 - 1) as u8]);
        }
    }

    #[inline]
    fn fill_in(&self, extensions: &HeaderExtensions, packet: &mut [u8]) {
        if self.audio_level > 0 {
            packet[self.audio_level] = extensions.audio_level();
        }
        if self.orientation > 0 {
            packet[self.orientation] = extensions.orientation();
        }
        if self.capture_time > 0 {
            let (time, end) = (extensions.capture_time(), self.capture_time + self.capture_len);
            packet[self.capture_time..end].copy_from_slice(&time[..self.capture_len]);
        }
        if self.dependencies > 0 {
            self.fill_in_dependencies(extensions, packet);
        }
    }

    #[cold]
    fn fill_in_dependencies(&self, extensions: &HeaderExtensions, packet: &mut [u8]) {
        let (at, end) = (self.dependencies, self.dependencies + self.dependencies_len);
        packet[at..end].copy_from_slice(extensions.dependencies());
        let number = extensions.frame_number().unwrap_or_default().wrapping_add(self.frame_shift);
        packet[at + 1..at + 3].copy_from_slice(&number.to_be_bytes());
        // The template may be shorter than the block.
        packet[end..HEADER_LEN + self.len].fill(0);
    }
}

#[cfg(test)]
mod tests;
