//! The running numbers in the payload descriptors of VP8 (RFC 7741 4.2) and VP9 (RFC 9628 4.2): PictureID and TL0PICIDX.
//!
//! Receivers tell by them which picture refers to which, so they have to go on at a splice as sequence numbers do. The
//! rule: what is written has the length of what was there, and differs in these numbers only. H.264, H.265 and AV1 have
//! none.

/// Where a payload has its running numbers, found once when it arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Octets before the PictureID; 0 where there is none.
    pub(super) picture_at: u8,
    /// It has 15 bits, not 7.
    pub(super) long: bool,
    /// Octets before the TL0PICIDX; 0 where there is none.
    pub(super) base_at: u8,
}

/// PictureID and TL0PICIDX of a payload, or what is added to them, modulo the size of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PictureNumbers {
    /// PictureID: 7 or 15 bits.
    pub picture: u16,
    /// TL0PICIDX: counts the pictures of the lowest temporal layer.
    pub base: u8,
}

impl PictureNumbers {
    /// What has to be added to `other`, a picture of the lowest layer, so that it follows this one.
    pub fn up_to(self, other: Self) -> Self {
        Self {
            picture: self.picture.wrapping_add(1).wrapping_sub(other.picture),
            base: self.base.wrapping_add(1).wrapping_sub(other.base),
        }
    }
}

impl Descriptor {
    /// True where there is no number.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.picture_at == 0 && self.base_at == 0
    }

    /// The numbers of the payload, with `shift` added; 0 for what it has not.
    pub fn read(self, payload: &[u8], shift: PictureNumbers) -> PictureNumbers {
        let mut numbers = PictureNumbers::default();
        if self.picture_at > 0 {
            let at = usize::from(self.picture_at);
            numbers.picture = match self.long {
                true => u16::from_be_bytes([payload[at], payload[at + 1]]).wrapping_add(shift.picture) & 0x7fff,
                false => u16::from(payload[at]).wrapping_add(shift.picture) & 0x7f,
            };
        }
        if self.base_at > 0 {
            numbers.base = payload[usize::from(self.base_at)].wrapping_add(shift.base);
        }
        numbers
    }

    /// Adds `shift` to the numbers of the payload.
    #[cold]
    pub fn add(self, shift: PictureNumbers, payload: &mut [u8]) {
        let numbers = self.read(payload, shift);
        if self.picture_at > 0 {
            let at = usize::from(self.picture_at);
            match self.long {
                true => payload[at..at + 2].copy_from_slice(&(numbers.picture | 0x8000).to_be_bytes()),
                false => payload[at] = numbers.picture as u8,
            }
        }
        if self.base_at > 0 {
            payload[usize::from(self.base_at)] = numbers.base;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forward::codec::Codec;

    const SHIFT: PictureNumbers = PictureNumbers { picture: 3, base: 5 };

    fn shifted(codec: Codec, payload: &[u8]) -> (PictureNumbers, Vec<u8>) {
        let descriptor = Descriptor::of(codec, payload);
        let mut written = payload.to_vec();
        descriptor.add(SHIFT, &mut written);
        (descriptor.read(payload, PictureNumbers::default()), written)
    }

    #[test]
    fn vp8_has_its_numbers_behind_the_extension_octet() {
        let numbers = |picture, base| PictureNumbers { picture, base };
        let short = [0x90, 0x80, 0x7e, 1, 2];
        assert_eq!(shifted(Codec::Vp8, &short), (numbers(0x7e, 0), vec![0x90, 0x80, 0x01, 1, 2]));
        let long = [0x90, 0xe0, 0xff, 0xfe, 0xfe, 0x20, 1, 2];
        let written = vec![0x90, 0xe0, 0x80, 0x01, 0x03, 0x20, 1, 2];
        assert_eq!(shifted(Codec::Vp8, &long), (numbers(0x7ffe, 0xfe), written));
        let base_only = [0x80, 0x60, 0x10, 0x20, 1, 2];
        assert_eq!(shifted(Codec::Vp8, &base_only), (numbers(0, 0x10), vec![0x80, 0x60, 0x15, 0x20, 1, 2]));
    }

    #[test]
    fn vp9_has_the_base_number_only_where_it_is_not_flexible() {
        let numbers = |picture, base| PictureNumbers { picture, base };
        let layered = [0xa8, 0x92, 0x34, 0x00, 0x07, 0x82, 1];
        let written = vec![0xa8, 0x92, 0x37, 0x00, 0x0c, 0x82, 1];
        assert_eq!(shifted(Codec::Vp9, &layered), (numbers(0x1234, 7), written));
        let flexible = [0xb8, 0x92, 0x34, 0x00, 0x82, 1];
        assert_eq!(shifted(Codec::Vp9, &flexible), (numbers(0x1234, 0), vec![0xb8, 0x92, 0x37, 0x00, 0x82, 1]));
    }

    #[test]
    fn what_has_no_numbers_stays_as_it_is() {
        let payloads: [(Codec, &[u8]); 6] = [
            (Codec::Vp8, &[0x10, 0x80, 0x92, 0x34, 1]),
            (Codec::Vp8, &[0x90, 0x20, 0x41, 1]),
            (Codec::Vp8, &[0x90, 0x80, 0x92]),
            (Codec::Vp9, &[0x08, 0x82]),
            (Codec::H264, &[0x90, 0x80, 0x11, 1]),
            (Codec::Av1, &[0xa8, 0x92, 0x34, 0x00, 0x07]),
        ];
        for (codec, payload) in payloads {
            assert_eq!(shifted(codec, payload).1, payload, "{codec:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_move_by_what_is_added_and_nothing_else_changes(
            codec in prop_oneof![Just(Codec::Vp8), Just(Codec::Vp9)],
            payload in prop::collection::vec(any::<u8>(), 0..24),
            picture: u16,
            base: u8,
        ) {
            let shift = PictureNumbers { picture, base };
            let descriptor = Descriptor::of(codec, &payload);
            let expected = descriptor.read(&payload, shift);
            let mut written = payload.clone();
            descriptor.add(shift, &mut written);
            prop_assert_eq!(Descriptor::of(codec, &written), descriptor);
            prop_assert_eq!(descriptor.read(&written, PictureNumbers::default()), expected);
            let back = PictureNumbers { picture: 0u16.wrapping_sub(picture), base: 0u8.wrapping_sub(base) };
            descriptor.add(back, &mut written);
            prop_assert_eq!(written, payload);
        }

        #[test]
        fn a_picture_follows_the_one_before_it(before: (u16, u8), after: (u16, u8), long: bool) {
            let numbers = |(picture, base): (u16, u8)| PictureNumbers { picture: picture & 0x7fff, base };
            let shift = numbers(before).up_to(numbers(after));
            let mask = if long { 0x7fff } else { 0x7f };
            let moved = numbers(after).picture.wrapping_add(shift.picture) & mask;
            prop_assert_eq!(moved, numbers(before).picture.wrapping_add(1) & mask);
            prop_assert_eq!(after.1.wrapping_add(shift.base), before.1.wrapping_add(1));
        }
    }
}
