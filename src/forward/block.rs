//! The header extension of an outlet's packets (RFC 8285 4.2): which elements it has and where they stand, settled once and
//! then copied.
//!
//! Two kinds of elements. Those of the packet and of the outlet (mid, loudness, orientation, capture time) are the same
//! each time that the packet is written. Those of the sending (playout-delay, absolute-send-time, the transport-wide
//! number) stand only on packets whose resend goes by RTX, so that nothing is ever repeated in-band with another content.
//! The rule: as long as a publisher says the same kinds of things, the block has one length.

use std::time::Duration;

use super::Elements;
use super::header::HEADER_LEN;

/// More than all elements at once take: 4 in front, mid 17, capture time 17, loudness 2, orientation 2, and of the sending
/// 4 + 4 + 3. Copied whole, which takes a few instructions where the right number of octets would take a call.
const ROOM: usize = 64;

/// The longest mid that a one-byte element holds.
pub const LONGEST_MID: usize = 16;

/// Of [`Blocks::key`]: the resend goes by RTX. The others are those of [`Elements`].
const BY_RTX: u8 = 1 << 7;

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
    /// How long a receiver is to hold pictures back.
    pub playout_delay: Option<u8>,
    /// When a packet left.
    pub send_time: Option<u8>,
    /// A number over all packets that carry it.
    pub transport_number: Option<u8>,
}

/// An outlet's header extension.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    ids: ExtensionIds,
    /// Of [`Elements`], what the viewer takes.
    takes: u8,
    /// How long pictures are to be held back.
    held_back: Duration,
    /// What playout-delay says; `None` until there is something to say.
    playout_delay: Option<[u8; 3]>,
    send_time: [u8; 3],
    next_number: u16,
    /// What the template is for; `None` for nothing any more.
    key: Option<u8>,
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
}

impl Blocks {
    /// `None` where a viewer takes none of the extensions.
    pub(super) fn new(ids: ExtensionIds) -> Option<Self> {
        let mut takes = 0;
        for (id, bits) in [
            (ids.audio_level, Elements::AUDIO_LEVEL),
            (ids.orientation, Elements::ORIENTATION),
            (ids.capture_time, Elements::CAPTURE_TIME | Elements::CAPTURE_OFFSET),
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
            key: None,
            template: Template::new(),
        })
    }

    /// Lets packets say from now on how long pictures are to be held back at least. With no limit at most.
    #[inline]
    pub(super) fn hold_back(&mut self, least: Duration) {
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
    }

    /// The moment that packets say they are sent at, on a clock that begins anywhere: 6.18 fixed-point seconds.
    #[inline]
    pub(super) fn set_send_time(&mut self, since: Duration) {
        let ticks = (since.as_micros() as u64).wrapping_mul(1 << 18) / 1_000_000;
        let [.., high, middle, low] = ticks.to_be_bytes();
        self.send_time = [high, middle, low];
    }

    /// True where packets say when they are sent.
    pub(super) fn tells_send_time(&self) -> bool {
        self.ids.send_time.is_some()
    }

    /// Octets of a block as it was written last.
    pub(super) fn len(&self) -> usize {
        self.template.len
    }

    /// Octets of the block of a packet with these values; 0 where there is nothing to say.
    #[inline]
    pub(super) fn settle(&mut self, elements: &Elements, by_rtx: bool) -> usize {
        let key = elements.present() & self.takes | if by_rtx { BY_RTX } else { 0 };
        if self.key != Some(key) {
            self.make(key);
        }
        self.template.len
    }

    /// Writes the block that was settled last behind the header, and says so there. Behind it octets are overwritten, up to
    /// [`ROOM`].
    #[inline]
    pub(super) fn write(&self, elements: &Elements, packet: &mut [u8]) {
        let template = &self.template;
        match packet.split_first_chunk_mut::<{ HEADER_LEN + ROOM }>() {
            Some((packet, _)) => packet[HEADER_LEN..].copy_from_slice(&template.octets),
            // There is no more room than for the packet.
            None => packet[HEADER_LEN..HEADER_LEN + template.len].copy_from_slice(&template.octets[..template.len]),
        }
        packet[0] |= 0x10;
        if template.has_values {
            template.fill_in(elements, packet);
        }
    }

    /// Writes what is of the sending into a packet that [`Self::write`] has written a block into or not. Once for each
    /// packet that is sent.
    #[inline]
    pub(super) fn stamp(&mut self, packet: &mut [u8]) {
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

    /// Makes the template for packets that have these values.
    #[cold]
    fn make(&mut self, key: u8) {
        let mut template = Template::new();
        let ids = &self.ids;
        if let Some((id, mid)) = &ids.mid {
            template.add(*id, mid.as_bytes());
        }
        let has = |bit: u8| key & bit != 0;
        if let Some(id) = ids.audio_level.filter(|_| has(Elements::AUDIO_LEVEL)) {
            template.audio_level = template.add(id, &[0]);
        }
        if let Some(id) = ids.orientation.filter(|_| has(Elements::ORIENTATION)) {
            template.orientation = template.add(id, &[0]);
        }
        if let Some(id) = ids.capture_time.filter(|_| has(Elements::CAPTURE_TIME)) {
            template.capture_len = if has(Elements::CAPTURE_OFFSET) { 16 } else { 8 };
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
        template.has_values = key & !BY_RTX != 0;
        template.finish();
        self.template = template;
        self.key = Some(key);
    }
}

impl Template {
    fn new() -> Self {
        let octets = [0; ROOM];
        Self {
            octets,
            len: 0,
            has_values: false,
            audio_level: 0,
            orientation: 0,
            capture_time: 0,
            capture_len: 0,
            send_time: 0,
            number: 0,
        }
    }

    /// Adds an element; where its value stands in the packet.
    fn add(&mut self, id: u8, value: &[u8]) -> usize {
        let at = self.len.max(4);
        self.octets[at] = id << 4 | (value.len() as u8 - 1);
        self.octets[at + 1..at + 1 + value.len()].copy_from_slice(value);
        self.len = at + 1 + value.len();
        HEADER_LEN + at + 1
    }

    /// Pads it to whole words, and says in front how many there are.
    fn finish(&mut self) {
        if self.len > 0 {
            self.len = self.len.next_multiple_of(4);
            self.octets[..4].copy_from_slice(&[0xbe, 0xde, 0, (self.len / 4 - 1) as u8]);
        }
    }

    #[inline]
    fn fill_in(&self, elements: &Elements, packet: &mut [u8]) {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [u8; HEADER_LEN] = [0x80, 96, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1];

    fn all() -> ExtensionIds {
        ExtensionIds {
            mid: Some((4, "0".to_owned())),
            capture_time: Some(8),
            audio_level: Some(1),
            orientation: Some(13),
            playout_delay: Some(5),
            send_time: Some(2),
            transport_number: Some(3),
        }
    }

    fn blocks(ids: ExtensionIds) -> Blocks {
        Blocks::new(ids).expect("it takes some")
    }

    /// The block of the next packet, and the first octet of its header.
    fn written(blocks: &mut Blocks, elements: &Elements, by_rtx: bool) -> (u8, Vec<u8>) {
        let mut packet = [0xee; 200];
        packet[..HEADER_LEN].copy_from_slice(&HEADER);
        let len = blocks.settle(elements, by_rtx);
        if len > 0 {
            blocks.write(elements, &mut packet);
        }
        blocks.stamp(&mut packet);
        (packet[0], packet[HEADER_LEN..HEADER_LEN + len].to_vec())
    }

    fn loud(level: u8) -> Elements {
        let mut elements = Elements::default();
        elements.set_audio_level(&[level]);
        elements
    }

    #[test]
    fn a_viewer_that_takes_nothing_has_no_block() {
        assert!(Blocks::new(ExtensionIds::default()).is_none());
    }

    #[test]
    fn what_nobody_says_is_not_written() {
        let mut blocks = blocks(ExtensionIds { audio_level: Some(1), playout_delay: Some(5), ..Default::default() });
        assert_eq!(written(&mut blocks, &Elements::default(), true), (0x80, vec![]));
        assert_eq!(written(&mut blocks, &loud(9), true), (0x90, vec![0xbe, 0xde, 0, 1, 0x10, 9, 0, 0]));
    }

    #[test]
    fn a_playout_delay_of_110_ms_is_11_and_no_limit_and_stands_only_beside_rtx() {
        let mut blocks = blocks(ExtensionIds { playout_delay: Some(5), ..Default::default() });
        blocks.hold_back(Duration::from_millis(101));
        let block = vec![0xbe, 0xde, 0, 1, 0x52, 0x00, 0xbf, 0xff];
        assert_eq!(written(&mut blocks, &Elements::default(), true), (0x90, block));
        blocks.hold_back(Duration::ZERO);
        assert_eq!(written(&mut blocks, &Elements::default(), true).1[5..], [0x00, 0x0f, 0xff]);
        assert_eq!(written(&mut blocks, &Elements::default(), false), (0x80, vec![]));
    }

    #[test]
    fn what_is_of_the_sending_is_told_anew_each_time_and_the_rest_is_not() {
        let mut blocks = blocks(all());
        let without = vec![0xbe, 0xde, 0, 1, 0x40, b'0', 0x10, 7];
        assert_eq!(written(&mut blocks, &loud(7), false).1, without);
        let beside = |blocks: &mut Blocks| written(blocks, &loud(7), true).1;
        assert_eq!(beside(&mut blocks), [0xbe, 0xde, 0, 3, 0x40, b'0', 0x10, 7, 0x22, 0, 0, 0, 0x31, 0, 0, 0]);
        blocks.set_send_time(Duration::from_millis(64_500));
        assert_eq!(
            beside(&mut blocks)[8..],
            [0x22, 2, 0, 0, 0x31, 0, 1, 0],
            "half a second after 64, and the next number"
        );
        assert_eq!(written(&mut blocks, &loud(7), false).1, without);
    }

    #[test]
    fn a_packet_that_carries_no_block_takes_no_number() {
        let mut blocks = blocks(ExtensionIds { transport_number: Some(3), ..Default::default() });
        written(&mut blocks, &Elements::default(), true);
        blocks.stamp(&mut HEADER.clone());
        written(&mut blocks, &Elements::default(), false);
        written(&mut blocks, &Elements::default(), true);
        assert_eq!(written(&mut blocks, &Elements::default(), true).1[4..], [0x31, 0, 2, 0]);
    }

    #[test]
    fn all_at_once_fit_and_have_one_length() {
        let mut elements = loud(7);
        elements.set_orientation(&[3]);
        elements.set_capture_time(&[0xcc; 16]);
        let mut blocks = blocks(ExtensionIds { mid: Some((4, "m".repeat(LONGEST_MID))), ..all() });
        blocks.hold_back(Duration::from_millis(10));
        let (_, block) = written(&mut blocks, &elements, true);
        assert!(block.len() <= ROOM && block.len() == 4 + 4 * usize::from(block[3]));
        let mut rest = &block[4..];
        let mut found = Vec::new();
        while let Some((&first, behind)) = rest.split_first().filter(|(first, _)| **first != 0) {
            let (value, behind) = behind.split_at(usize::from(first & 0xf) + 1);
            found.push((first >> 4, value.to_vec()));
            rest = behind;
        }
        let mid = "m".repeat(LONGEST_MID).into_bytes();
        let expected = [(4, mid), (1, vec![7]), (13, vec![3]), (8, vec![0xcc; 16]), (5, vec![0, 0x1f, 0xff])];
        assert_eq!(found[..5], expected);
        assert_eq!(found[5..], [(2, vec![0; 3]), (3, vec![0; 2])]);
        assert_eq!(written(&mut blocks, &elements, true).1.len(), block.len());
    }
}
