//! What the header extension of a publisher's packet says and viewers are told (RFC 8285): how loud it is, how the picture
//! is turned, when it was captured, and which pictures it needs (dependency descriptor: AV1 RTP specification, appendix A).
//!
//! These are values of the packet, read once when it arrives, so that whoever writes it, and as often as it is written,
//! writes the same. What a publisher writes on some packets only, all have here ([`Steady`]): packets of one length leave
//! in one run, and timestamps that a splice squeezes tell a receiver nothing from which it could go on by itself. A
//! dependency descriptor is of its packet alone, and no other gets it.

use crate::forward::source::SourceIndex;

/// The longest abs-capture-time: when, and the offset of the clock.
const LONG_CAPTURE: usize = 16;

/// Octets that each dependency descriptor begins with: start and end of the frame, the template, and the frame's number.
const MANDATORY: usize = 3;

/// The shorter one has no offset.
const SHORT_CAPTURE: usize = 8;

/// The values of one packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderExtensions {
    present: u8,
    audio_level: u8,
    orientation: u8,
    capture_time: [u8; LONG_CAPTURE],
    dependencies: Option<Box<[u8]>>,
}

impl HeaderExtensions {
    /// Bits of [`Self::present`].
    pub(crate) const AUDIO_LEVEL: u8 = 1;
    pub(crate) const ORIENTATION: u8 = 1 << 1;
    pub(crate) const CAPTURE_TIME: u8 = 1 << 2;
    /// The capture time has the offset of the clock behind it.
    pub(crate) const CAPTURE_OFFSET: u8 = 1 << 3;
    pub(crate) const DEPENDENCIES: u8 = 1 << 4;

    /// How loud the packet is (RFC 6464 3). Of another length than one octet it is none.
    pub fn set_audio_level(&mut self, value: &[u8]) {
        if let [level] = *value {
            self.audio_level = level;
            self.present |= Self::AUDIO_LEVEL;
        }
    }

    /// How the picture is to be turned (3GPP TS 26.114 7.4.5). Of another length than one octet it is none.
    pub fn set_orientation(&mut self, value: &[u8]) {
        if let [orientation] = *value {
            self.orientation = orientation;
            self.present |= Self::ORIENTATION;
        }
    }

    /// When it was captured: NTP time in 8 octets, perhaps the offset of that clock in 8 more. Of another length it is none.
    pub fn set_capture_time(&mut self, value: &[u8]) {
        let bits = match value.len() {
            SHORT_CAPTURE => Self::CAPTURE_TIME,
            LONG_CAPTURE => Self::CAPTURE_TIME | Self::CAPTURE_OFFSET,
            _ => return,
        };
        self.capture_time[..value.len()].copy_from_slice(value);
        self.present |= bits;
    }

    /// What the frame is and which frames it needs: a dependency descriptor. Shorter than its mandatory fields, or longer
    /// than an element can be, it is none.
    pub fn set_dependencies(&mut self, value: &[u8]) {
        if (MANDATORY..=usize::from(u8::MAX)).contains(&value.len()) {
            self.dependencies = Some(value.into());
            self.present |= Self::DEPENDENCIES;
        }
    }

    /// Which values there are.
    #[inline]
    pub(crate) fn present(&self) -> u8 {
        self.present
    }

    pub(crate) fn audio_level(&self) -> u8 {
        self.audio_level
    }

    pub(crate) fn orientation(&self) -> u8 {
        self.orientation
    }

    /// With the offset, which is 0 where there is none.
    pub(crate) fn capture_time(&self) -> &[u8; LONG_CAPTURE] {
        &self.capture_time
    }

    /// Nothing where there is none.
    pub(crate) fn dependencies(&self) -> &[u8] {
        self.dependencies.as_deref().unwrap_or_default()
    }

    /// The number of the frame that the packet is of, as its publisher counts them, modulo 2^16.
    pub(crate) fn frame_number(&self) -> Option<u16> {
        self.dependencies().get(1..MANDATORY).map(|number| u16::from_be_bytes([number[0], number[1]]))
    }

    fn has(&self, value: u8) -> bool {
        self.present & value != 0
    }
}

/// Gives every packet of a publisher's line what only some of them say: from the first one that says something of a kind,
/// all do.
///
/// Loudness and orientation hold until the next that is told (3GPP TS 26.114 7.4.5). A capture time goes on by the RTP
/// timestamp, as receivers do by themselves where it is missing. The newest packet decides what holds: one that comes late
/// or by a resend changes nothing for others.
#[derive(Clone, Debug)]
pub struct Steady {
    clock_rate: u32,
    audio_level: Option<Told<u8>>,
    orientation: Option<Told<u8>>,
    capture_time: Option<Told<Capture>>,
}

#[derive(Clone, Copy, Debug)]
struct Told<T> {
    by: SourceIndex,
    value: T,
}

#[derive(Clone, Copy, Debug)]
struct Capture {
    /// RTP timestamp of the packet that told it.
    timestamp: u32,
    /// NTP time, 32.32 fixed-point seconds.
    time: u64,
    offset: Option<[u8; SHORT_CAPTURE]>,
}

impl Steady {
    /// For a line with this clock, in hertz; nothing has been said yet.
    pub fn new(clock_rate: u32) -> Self {
        Self { clock_rate, audio_level: None, orientation: None, capture_time: None }
    }

    /// What a packet says, and what it leaves out because another has said it.
    #[inline]
    pub fn complete(&mut self, index: SourceIndex, timestamp: u32, elements: HeaderExtensions) -> HeaderExtensions {
        let silent = self.audio_level.is_none() && self.orientation.is_none() && self.capture_time.is_none();
        if silent && elements.present == 0 { elements } else { self.fill_in(index, timestamp, elements) }
    }

    fn fill_in(&mut self, index: SourceIndex, timestamp: u32, mut elements: HeaderExtensions) -> HeaderExtensions {
        if elements.has(HeaderExtensions::AUDIO_LEVEL) {
            tell(&mut self.audio_level, index, elements.audio_level);
        } else if let Some(told) = self.audio_level {
            elements.set_audio_level(&[told.value]);
        }
        if elements.has(HeaderExtensions::ORIENTATION) {
            tell(&mut self.orientation, index, elements.orientation);
        } else if let Some(told) = self.orientation {
            elements.set_orientation(&[told.value]);
        }
        self.fill_in_capture_time(index, timestamp, &mut elements);
        elements
    }

    fn fill_in_capture_time(&mut self, index: SourceIndex, timestamp: u32, elements: &mut HeaderExtensions) {
        let before = self.capture_time.map(|told| told.value);
        let mut offset = before.and_then(|capture| capture.offset);
        let time = if elements.has(HeaderExtensions::CAPTURE_TIME) {
            let (time, own_offset) = halves(&elements.capture_time);
            if elements.has(HeaderExtensions::CAPTURE_OFFSET) {
                offset = Some(own_offset);
            }
            let capture = Capture { timestamp, time: u64::from_be_bytes(time), offset };
            tell(&mut self.capture_time, index, capture);
            if let Some(told) = &mut self.capture_time {
                // That of a late packet is better than none.
                told.value.offset = told.value.offset.or(offset);
            }
            time
        } else {
            let Some(before) = before else { return };
            let ticks = timestamp.wrapping_sub(before.timestamp) as i32;
            let distance = (i64::from(ticks) << 32) / i64::from(self.clock_rate.max(1));
            before.time.wrapping_add_signed(distance).to_be_bytes()
        };
        match offset {
            None => elements.set_capture_time(&time),
            Some(offset) => {
                let mut long = [0; LONG_CAPTURE];
                long[..SHORT_CAPTURE].copy_from_slice(&time);
                long[SHORT_CAPTURE..].copy_from_slice(&offset);
                elements.set_capture_time(&long);
            }
        }
    }
}

/// Lets a value hold from the packet with this index on, if none behind it has told another.
fn tell<T>(told: &mut Option<Told<T>>, by: SourceIndex, value: T) {
    if told.as_ref().is_none_or(|before| before.by <= by) {
        *told = Some(Told { by, value });
    }
}

fn halves(long: &[u8; LONG_CAPTURE]) -> ([u8; SHORT_CAPTURE], [u8; SHORT_CAPTURE]) {
    let (mut time, mut offset) = ([0; SHORT_CAPTURE], [0; SHORT_CAPTURE]);
    time.copy_from_slice(&long[..SHORT_CAPTURE]);
    offset.copy_from_slice(&long[SHORT_CAPTURE..]);
    (time, offset)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(set: impl FnOnce(&mut HeaderExtensions)) -> HeaderExtensions {
        let mut elements = HeaderExtensions::default();
        set(&mut elements);
        elements
    }

    fn seconds(elements: &HeaderExtensions) -> f64 {
        u64::from_be_bytes(halves(elements.capture_time()).0) as f64 / f64::powi(2.0, 32)
    }

    #[test]
    fn a_publisher_that_says_nothing_is_not_made_to() {
        let mut steady = Steady::new(90_000);
        assert_eq!(steady.complete(7, 0, HeaderExtensions::default()), HeaderExtensions::default());
    }

    #[test]
    fn loudness_and_orientation_hold_until_the_next_and_are_not_taken_back_by_a_late_packet() {
        let mut steady = Steady::new(48_000);
        let loud = |level| said(|elements| elements.set_audio_level(&[level]));
        assert_eq!(steady.complete(7, 0, loud(0x85)), loud(0x85));
        assert_eq!(steady.complete(8, 0, HeaderExtensions::default()), loud(0x85));
        assert_eq!(steady.complete(6, 0, loud(0x11)), loud(0x11), "its own");
        assert_eq!(steady.complete(9, 0, HeaderExtensions::default()), loud(0x85));
        let turned = said(|elements| elements.set_orientation(&[3]));
        let both = steady.complete(10, 0, turned);
        assert_eq!((both.orientation(), both.audio_level()), (3, 0x85));
        assert_eq!(steady.complete(11, 0, HeaderExtensions::default()), both);
    }

    #[test]
    fn a_capture_time_goes_on_by_the_timestamp_across_its_wrap_and_back() {
        let mut steady = Steady::new(90_000);
        let captured = said(|elements| elements.set_capture_time(&(100u64 << 32).to_be_bytes()));
        steady.complete(7, u32::MAX - 44_999, captured);
        assert_eq!(seconds(&steady.complete(8, u32::MAX - 44_999, HeaderExtensions::default())), 100.0);
        assert_eq!(seconds(&steady.complete(9, 45_000, HeaderExtensions::default())), 101.0);
        assert_eq!(seconds(&steady.complete(5, u32::MAX - 89_999, HeaderExtensions::default())), 99.5, "before it");
        assert!(!steady.complete(9, 45_000, HeaderExtensions::default()).has(HeaderExtensions::CAPTURE_OFFSET));
    }

    #[test]
    fn a_dependency_descriptor_is_of_its_packet_alone_and_has_at_least_its_mandatory_fields() {
        let mut steady = Steady::new(90_000);
        let described = |value: &[u8]| said(|elements| elements.set_dependencies(value));
        let first = steady.complete(7, 0, described(&[0xc0, 1, 2, 0x80]));
        assert_eq!((first.frame_number(), first.dependencies()), (Some(0x0102), &[0xc0, 1, 2, 0x80][..]));
        assert_eq!(steady.complete(8, 0, HeaderExtensions::default()), HeaderExtensions::default());
        assert_eq!(described(&[0xc0, 1]), HeaderExtensions::default());
        assert_eq!(described(&[0; 256]), HeaderExtensions::default());
        assert_eq!(described(&[0; 255]).dependencies().len(), 255);
    }

    #[test]
    fn an_offset_is_kept_where_it_is_left_out_so_that_the_length_stays() {
        let mut steady = Steady::new(90_000);
        let mut long = [0; 16];
        long[15] = 9;
        steady.complete(7, 0, said(|elements| elements.set_capture_time(&long)));
        let next = steady.complete(8, 0, said(|elements| elements.set_capture_time(&[1; 8])));
        assert_eq!(
            (next.present(), next.capture_time()[15]),
            (HeaderExtensions::CAPTURE_TIME | HeaderExtensions::CAPTURE_OFFSET, 9)
        );
        assert_eq!(next.capture_time()[..8], [1; 8]);
    }

    proptest! {
        #[test]
        fn from_the_first_that_says_something_all_packets_say_as_much(
            packets in prop::collection::vec(
                (0u64..1000, any::<u32>(), prop::collection::vec((0u8..3, prop::collection::vec(any::<u8>(), 0..18)), 0..4)), 1..40),
            clock_rate in prop_oneof![Just(0u32), Just(48_000), Just(90_000)],
        ) {
            let mut steady = Steady::new(clock_rate);
            let mut present = 0;
            for (index, timestamp, values) in packets {
                let mut elements = HeaderExtensions::default();
                for (kind, value) in values {
                    match kind {
                        0 => elements.set_audio_level(&value),
                        1 => elements.set_orientation(&value),
                        _ => elements.set_capture_time(&value),
                    }
                }
                let said = elements.present();
                let complete = steady.complete(index, timestamp, elements);
                prop_assert_eq!(complete.present() & present, present);
                prop_assert_eq!(complete.present() & said, said);
                present = complete.present();
            }
        }
    }
}
