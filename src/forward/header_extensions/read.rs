//! The header extensions of a publisher's packet that viewers get (RFC 8285): audio level, video orientation, capture
//! time, and the frames that it depends on (dependency descriptor: AV1 RTP specification, appendix A).
//!
//! They belong to the packet and are read once when it arrives, so that every sending repeats the same values. Values
//! that a publisher writes on some packets only are added to all ([`PersistentExtensions`]): packets of one length
//! leave in one run, and a receiver could not extrapolate a capture time over timestamps that a replay compresses. A
//! dependency descriptor belongs to its packet alone.

use crate::forward::source::SourceIndex;

/// The longest abs-capture-time: the time, and the offset of the clock.
const LONG_CAPTURE: usize = 16;

/// Octets with which each dependency descriptor begins: start and end of the frame, the template, and the frame number.
const MANDATORY: usize = 3;

/// The short form has no offset.
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
    /// The capture time is followed by the offset of the clock.
    pub(crate) const CAPTURE_OFFSET: u8 = 1 << 3;
    pub(crate) const DEPENDENCIES: u8 = 1 << 4;

    /// Sets the audio level (RFC 6464 3). A value that is not one octet long is ignored.
    pub(crate) fn set_audio_level(&mut self, value: &[u8]) {
        if let [level] = *value {
            self.audio_level = level;
            self.present |= Self::AUDIO_LEVEL;
        }
    }

    /// Sets the video orientation (3GPP TS 26.114 7.4.5). A value that is not one octet long is ignored.
    pub(crate) fn set_orientation(&mut self, value: &[u8]) {
        if let [orientation] = *value {
            self.orientation = orientation;
            self.present |= Self::ORIENTATION;
        }
    }

    /// Sets the capture time: NTP time in 8 octets, optionally the offset of that clock in 8 more. A value of another
    /// length is ignored.
    pub(crate) fn set_capture_time(&mut self, value: &[u8]) {
        let bits = match value.len() {
            SHORT_CAPTURE => Self::CAPTURE_TIME,
            LONG_CAPTURE => Self::CAPTURE_TIME | Self::CAPTURE_OFFSET,
            _ => return,
        };
        self.capture_time[..value.len()].copy_from_slice(value);
        self.present |= bits;
    }

    /// Sets the dependency descriptor: which frame this is and which frames it needs. A value that is shorter than the
    /// mandatory fields, or longer than an element can be, is ignored.
    pub(crate) fn set_dependencies(&mut self, value: &[u8]) {
        if (MANDATORY..=usize::from(u8::MAX)).contains(&value.len()) {
            self.dependencies = Some(value.into());
            self.present |= Self::DEPENDENCIES;
        }
    }

    /// Which values are present, as bits.
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

    /// With the offset, or 0 in its place.
    pub(crate) fn capture_time(&self) -> &[u8; LONG_CAPTURE] {
        &self.capture_time
    }

    /// The capture time: NTP time in 32.32 fixed-point seconds.
    pub(crate) fn capture_ntp(&self) -> Option<u64> {
        self.has(Self::CAPTURE_TIME).then(|| u64::from_be_bytes(halves(&self.capture_time).0))
    }

    /// Empty without a descriptor.
    pub(crate) fn dependencies(&self) -> &[u8] {
        self.dependencies.as_deref().unwrap_or_default()
    }

    /// The number of the packet's frame as its publisher counts frames, modulo 2^16.
    pub(crate) fn frame_number(&self) -> Option<u16> {
        self.dependencies().get(1..MANDATORY).map(|number| u16::from_be_bytes([number[0], number[1]]))
    }

    fn has(&self, value: u8) -> bool {
        self.present & value != 0
    }
}

/// Adds values that a publisher writes on some packets only to all packets of its RTP stream, from the first one on.
///
/// Audio level and orientation are valid until the next value (3GPP TS 26.114 7.4.5). A capture time advances with the
/// RTP timestamp, as receivers extrapolate it where it is missing. The packet with the highest index decides: a late or
/// resent packet changes nothing for others.
#[derive(Clone, Debug)]
pub(crate) struct PersistentExtensions {
    clock_rate: u32,
    audio_level: Option<Known<u8>>,
    orientation: Option<Known<u8>>,
    capture_time: Option<Known<Capture>>,
}

#[derive(Clone, Copy, Debug)]
struct Known<T> {
    by: SourceIndex,
    value: T,
}

#[derive(Clone, Copy, Debug)]
struct Capture {
    /// RTP timestamp of the packet with this value.
    timestamp: u32,
    /// NTP time, 32.32 fixed-point seconds.
    time: u64,
    offset: Option<[u8; SHORT_CAPTURE]>,
}

impl PersistentExtensions {
    /// For an RTP stream with this clock in hertz; without values yet.
    pub(crate) fn new(clock_rate: u32) -> Self {
        Self { clock_rate, audio_level: None, orientation: None, capture_time: None }
    }

    /// The values of a packet, completed by those of earlier packets.
    #[inline]
    pub(crate) fn complete(
        &mut self,
        index: SourceIndex,
        timestamp: u32,
        extensions: HeaderExtensions,
    ) -> HeaderExtensions {
        let none_known = self.audio_level.is_none() && self.orientation.is_none() && self.capture_time.is_none();
        if none_known && extensions.present == 0 { extensions } else { self.fill_in(index, timestamp, extensions) }
    }

    fn fill_in(&mut self, index: SourceIndex, timestamp: u32, mut extensions: HeaderExtensions) -> HeaderExtensions {
        if extensions.has(HeaderExtensions::AUDIO_LEVEL) {
            keep(&mut self.audio_level, index, extensions.audio_level);
        } else if let Some(known) = self.audio_level {
            extensions.set_audio_level(&[known.value]);
        }
        if extensions.has(HeaderExtensions::ORIENTATION) {
            keep(&mut self.orientation, index, extensions.orientation);
        } else if let Some(known) = self.orientation {
            extensions.set_orientation(&[known.value]);
        }
        self.fill_in_capture_time(index, timestamp, &mut extensions);
        extensions
    }

    fn fill_in_capture_time(&mut self, index: SourceIndex, timestamp: u32, extensions: &mut HeaderExtensions) {
        let before = self.capture_time.map(|known| known.value);
        let mut offset = before.and_then(|capture| capture.offset);
        let time = if extensions.has(HeaderExtensions::CAPTURE_TIME) {
            let (time, own_offset) = halves(&extensions.capture_time);
            if extensions.has(HeaderExtensions::CAPTURE_OFFSET) {
                offset = Some(own_offset);
            }
            let capture = Capture { timestamp, time: u64::from_be_bytes(time), offset };
            keep(&mut self.capture_time, index, capture);
            if let Some(known) = &mut self.capture_time {
                // The offset of a late packet is better than none.
                known.value.offset = known.value.offset.or(offset);
            }
            time
        } else {
            let Some(before) = before else { return };
            let ticks = timestamp.wrapping_sub(before.timestamp) as i32;
            let distance = (i64::from(ticks) << 32) / i64::from(self.clock_rate.max(1));
            before.time.wrapping_add_signed(distance).to_be_bytes()
        };
        match offset {
            None => extensions.set_capture_time(&time),
            Some(offset) => {
                let mut long = [0; LONG_CAPTURE];
                long[..SHORT_CAPTURE].copy_from_slice(&time);
                long[SHORT_CAPTURE..].copy_from_slice(&offset);
                extensions.set_capture_time(&long);
            }
        }
    }
}

/// Keeps a value from the packet with this index on, unless a later packet has already set one.
fn keep<T>(known: &mut Option<Known<T>>, by: SourceIndex, value: T) {
    if known.as_ref().is_none_or(|before| before.by <= by) {
        *known = Some(Known { by, value });
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

    fn extensions_with(set: impl FnOnce(&mut HeaderExtensions)) -> HeaderExtensions {
        let mut extensions = HeaderExtensions::default();
        set(&mut extensions);
        extensions
    }

    fn seconds(extensions: &HeaderExtensions) -> f64 {
        u64::from_be_bytes(halves(extensions.capture_time()).0) as f64 / f64::powi(2.0, 32)
    }

    #[test]
    fn a_publisher_without_extensions_gets_none() {
        let mut persistent = PersistentExtensions::new(90_000);
        assert_eq!(persistent.complete(7, 0, HeaderExtensions::default()), HeaderExtensions::default());
    }

    #[test]
    fn audio_level_and_orientation_are_valid_until_the_next_and_are_not_changed_by_a_late_packet() {
        let mut persistent = PersistentExtensions::new(48_000);
        let loud = |level| extensions_with(|extensions| extensions.set_audio_level(&[level]));
        assert_eq!(persistent.complete(7, 0, loud(0x85)), loud(0x85));
        assert_eq!(persistent.complete(8, 0, HeaderExtensions::default()), loud(0x85));
        assert_eq!(persistent.complete(6, 0, loud(0x11)), loud(0x11), "its own");
        assert_eq!(persistent.complete(9, 0, HeaderExtensions::default()), loud(0x85));
        let turned = extensions_with(|extensions| extensions.set_orientation(&[3]));
        let both = persistent.complete(10, 0, turned);
        assert_eq!((both.orientation(), both.audio_level()), (3, 0x85));
        assert_eq!(persistent.complete(11, 0, HeaderExtensions::default()), both);
    }

    #[test]
    fn a_capture_time_goes_on_by_the_timestamp_across_its_wrap_and_back() {
        let mut persistent = PersistentExtensions::new(90_000);
        let captured = extensions_with(|extensions| extensions.set_capture_time(&(100u64 << 32).to_be_bytes()));
        persistent.complete(7, u32::MAX - 44_999, captured);
        assert_eq!(seconds(&persistent.complete(8, u32::MAX - 44_999, HeaderExtensions::default())), 100.0);
        assert_eq!(seconds(&persistent.complete(9, 45_000, HeaderExtensions::default())), 101.0);
        assert_eq!(seconds(&persistent.complete(5, u32::MAX - 89_999, HeaderExtensions::default())), 99.5, "before it");
        assert!(!persistent.complete(9, 45_000, HeaderExtensions::default()).has(HeaderExtensions::CAPTURE_OFFSET));
    }

    #[test]
    fn a_dependency_descriptor_is_of_its_packet_alone_and_has_at_least_its_mandatory_fields() {
        let mut persistent = PersistentExtensions::new(90_000);
        let described = |value: &[u8]| extensions_with(|extensions| extensions.set_dependencies(value));
        let first = persistent.complete(7, 0, described(&[0xc0, 1, 2, 0x80]));
        assert_eq!((first.frame_number(), first.dependencies()), (Some(0x0102), &[0xc0, 1, 2, 0x80][..]));
        assert_eq!(persistent.complete(8, 0, HeaderExtensions::default()), HeaderExtensions::default());
        assert_eq!(described(&[0xc0, 1]), HeaderExtensions::default());
        assert_eq!(described(&[0; 256]), HeaderExtensions::default());
        assert_eq!(described(&[0; 255]).dependencies().len(), 255);
    }

    #[test]
    fn an_offset_is_kept_where_it_is_left_out_so_that_the_length_stays() {
        let mut persistent = PersistentExtensions::new(90_000);
        let mut long = [0; 16];
        long[15] = 9;
        persistent.complete(7, 0, extensions_with(|extensions| extensions.set_capture_time(&long)));
        let next = persistent.complete(8, 0, extensions_with(|extensions| extensions.set_capture_time(&[1; 8])));
        assert_eq!(
            (next.present(), next.capture_time()[15]),
            (HeaderExtensions::CAPTURE_TIME | HeaderExtensions::CAPTURE_OFFSET, 9)
        );
        assert_eq!(next.capture_time()[..8], [1; 8]);
    }

    proptest! {
        #[test]
        fn from_the_first_packet_with_values_all_packets_have_them(
            packets in prop::collection::vec(
                (0u64..1000, any::<u32>(), prop::collection::vec((0u8..3, prop::collection::vec(any::<u8>(), 0..18)), 0..4)), 1..40),
            clock_rate in prop_oneof![Just(0u32), Just(48_000), Just(90_000)],
        ) {
            let mut persistent = PersistentExtensions::new(clock_rate);
            let mut present = 0;
            for (index, timestamp, values) in packets {
                let mut extensions = HeaderExtensions::default();
                for (kind, value) in values {
                    match kind {
                        0 => extensions.set_audio_level(&value),
                        1 => extensions.set_orientation(&value),
                        _ => extensions.set_capture_time(&value),
                    }
                }
                let own = extensions.present();
                let complete = persistent.complete(index, timestamp, extensions);
                prop_assert_eq!(complete.present() & present, present);
                prop_assert_eq!(complete.present() & own, own);
                present = complete.present();
            }
        }
    }
}
