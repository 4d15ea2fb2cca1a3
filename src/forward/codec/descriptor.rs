//! The frame numbers in the payload descriptors of VP8 (RFC 7741 4.2) and VP9 (RFC 9628 4.2): PictureID and TL0PICIDX.
//!
//! Receivers see from them which frame refers to which, so they must continue at a splice as sequence numbers do. The
//! rule: the rewritten payload has the same length and differs in these numbers only. H.264, H.265 and AV1 have no such
//! numbers.

/// Where a payload has these numbers, found once when it arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Octets before the PictureID; 0 where there is none.
    pub(super) picture_id_at: u8,
    /// The PictureID has 15 bits, not 7.
    pub(super) long: bool,
    /// Octets before the TL0PICIDX; 0 where there is none.
    pub(super) tl0_pic_idx_at: u8,
    /// The numbers of frames that are left out are used for the next ones.
    pub(super) closes_up: bool,
}

/// PictureID and TL0PICIDX of a payload, or what is added to them, modulo the size of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PictureIds {
    /// PictureID: 7 or 15 bits.
    pub picture_id: u16,
    /// TL0PICIDX: counts the frames of the lowest temporal layer.
    pub tl0_pic_idx: u8,
}

impl PictureIds {
    /// Both shifts together.
    pub fn and(self, other: Self) -> Self {
        Self {
            picture_id: self.picture_id.wrapping_add(other.picture_id),
            tl0_pic_idx: self.tl0_pic_idx.wrapping_add(other.tl0_pic_idx),
        }
    }

    /// What must be added to `other`, a frame of the lowest layer, so that it follows this one.
    pub(crate) fn up_to(self, other: Self) -> Self {
        Self {
            picture_id: self.picture_id.wrapping_add(1).wrapping_sub(other.picture_id),
            tl0_pic_idx: self.tl0_pic_idx.wrapping_add(1).wrapping_sub(other.tl0_pic_idx),
        }
    }
}

impl Descriptor {
    /// True where there are no numbers.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.picture_id_at == 0 && self.tl0_pic_idx_at == 0
    }

    /// What must be added to the numbers of all later frames when this frame, of the lowest temporal layer or not, is
    /// left out.
    pub fn without(self, is_lowest: bool) -> PictureIds {
        if !self.closes_up {
            return PictureIds::default();
        }
        let before = |has: bool| if has { u16::MAX } else { 0 };
        let tl0_pic_idx = before(self.tl0_pic_idx_at > 0 && is_lowest) as u8;
        PictureIds { picture_id: before(self.picture_id_at > 0), tl0_pic_idx }
    }

    /// The numbers in the payload, with `shift` added; 0 for a missing one.
    pub fn read(self, payload: &[u8], shift: PictureIds) -> PictureIds {
        let mut numbers = PictureIds::default();
        if self.picture_id_at > 0 {
            let at = usize::from(self.picture_id_at);
            numbers.picture_id = match self.long {
                true => u16::from_be_bytes([payload[at], payload[at + 1]]).wrapping_add(shift.picture_id) & 0x7fff,
                false => u16::from(payload[at]).wrapping_add(shift.picture_id) & 0x7f,
            };
        }
        if self.tl0_pic_idx_at > 0 {
            numbers.tl0_pic_idx = payload[usize::from(self.tl0_pic_idx_at)].wrapping_add(shift.tl0_pic_idx);
        }
        numbers
    }

    /// Adds `shift` to the numbers of the payload.
    #[cold]
    pub fn add(self, shift: PictureIds, payload: &mut [u8]) {
        let numbers = self.read(payload, shift);
        if self.picture_id_at > 0 {
            let at = usize::from(self.picture_id_at);
            match self.long {
                true => payload[at..at + 2].copy_from_slice(&(numbers.picture_id | 0x8000).to_be_bytes()),
                false => payload[at] = numbers.picture_id as u8,
            }
        }
        if self.tl0_pic_idx_at > 0 {
            payload[usize::from(self.tl0_pic_idx_at)] = numbers.tl0_pic_idx;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forward::codec::Codec;

    const SHIFT: PictureIds = PictureIds { picture_id: 3, tl0_pic_idx: 5 };

    fn shifted(codec: Codec, payload: &[u8]) -> (PictureIds, Vec<u8>) {
        let descriptor = Descriptor::of(codec, payload);
        let mut written = payload.to_vec();
        descriptor.add(SHIFT, &mut written);
        (descriptor.read(payload, PictureIds::default()), written)
    }

    #[test]
    fn vp8_has_its_numbers_behind_the_extension_octet() {
        let numbers = |picture_id, tl0_pic_idx| PictureIds { picture_id, tl0_pic_idx };
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
        let numbers = |picture_id, tl0_pic_idx| PictureIds { picture_id, tl0_pic_idx };
        let layered = [0xa8, 0x92, 0x34, 0x00, 0x07, 0x82, 1];
        let written = vec![0xa8, 0x92, 0x37, 0x00, 0x0c, 0x82, 1];
        assert_eq!(shifted(Codec::Vp9, &layered), (numbers(0x1234, 7), written));
        let flexible = [0xb8, 0x92, 0x34, 0x00, 0x82, 1];
        assert_eq!(shifted(Codec::Vp9, &flexible), (numbers(0x1234, 0), vec![0xb8, 0x92, 0x37, 0x00, 0x82, 1]));
    }

    #[test]
    fn a_payload_without_numbers_stays_unchanged() {
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
            picture_id: u16,
            tl0_pic_idx: u8,
        ) {
            let shift = PictureIds { picture_id, tl0_pic_idx };
            let descriptor = Descriptor::of(codec, &payload);
            let expected = descriptor.read(&payload, shift);
            let mut written = payload.clone();
            descriptor.add(shift, &mut written);
            prop_assert_eq!(Descriptor::of(codec, &written), descriptor);
            prop_assert_eq!(descriptor.read(&written, PictureIds::default()), expected);
            let back = PictureIds { picture_id: 0u16.wrapping_sub(picture_id), tl0_pic_idx: 0u8.wrapping_sub(tl0_pic_idx) };
            descriptor.add(back, &mut written);
            prop_assert_eq!(written, payload);
        }

        #[test]
        fn a_frame_follows_the_one_before_it(before: (u16, u8), after: (u16, u8), long: bool) {
            let numbers = |(picture_id, tl0_pic_idx): (u16, u8)| PictureIds { picture_id: picture_id & 0x7fff, tl0_pic_idx };
            let shift = numbers(before).up_to(numbers(after));
            let mask = if long { 0x7fff } else { 0x7f };
            let moved = numbers(after).picture_id.wrapping_add(shift.picture_id) & mask;
            prop_assert_eq!(moved, numbers(before).picture_id.wrapping_add(1) & mask);
            prop_assert_eq!(after.1.wrapping_add(shift.tl0_pic_idx), before.1.wrapping_add(1));
        }
    }
}
