//! Reads numbers bit by bit, as headers of coded video contain them. Any bytes are accepted: reading ends where they
//! end.

/// Bits from the front of some bytes.
#[derive(Clone, Debug)]
pub(super) struct Bits<'a> {
    rest: &'a [u8],
    /// What is left of the current byte, in the low bits.
    byte: u8,
    left: u32,
    /// Number of zero bytes just read: a 3 after two of them is not data.
    zeros: Option<u8>,
}

impl<'a> Bits<'a> {
    /// Reads all bits of these bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, byte: 0, left: 0, zeros: None }
    }

    /// Reads a NAL unit without its emulation prevention bytes (ITU-T H.264 7.4.1, H.265 7.4.2).
    pub(super) fn of_unit(bytes: &'a [u8]) -> Self {
        Self { zeros: Some(0), ..Self::new(bytes) }
    }

    /// A number of `count` bits, 32 at most.
    pub(super) fn number(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0u32, |number, _| Some(number << 1 | u32::from(self.flag()?)))
    }

    /// One bit.
    pub(super) fn flag(&mut self) -> Option<bool> {
        if self.left == 0 {
            self.byte = self.next_byte()?;
            self.left = 8;
        }
        self.left -= 1;
        Some(self.byte >> self.left & 1 == 1)
    }

    /// Skips bits.
    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.flag().map(drop))
    }

    /// An Exp-Golomb number, `ue(v)` (ITU-T H.264 9.1).
    pub(super) fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        // No field has a number larger than 2^32 - 1.
        (zeros < 32).then_some(())?;
        Some((1u32 << zeros) - 1 + self.number(zeros)?)
    }

    /// A signed Exp-Golomb number, `se(v)` (ITU-T H.264 9.1.1).
    pub(super) fn signed_golomb(&mut self) -> Option<i32> {
        let number = i64::from(self.golomb()?);
        let half = (number + 1) / 2;
        i32::try_from(if number % 2 == 1 { half } else { -half }).ok()
    }

    fn next_byte(&mut self) -> Option<u8> {
        let mut byte = self.take()?;
        if let Some(zeros) = &mut self.zeros {
            let escapes = *zeros >= 2 && byte == 3;
            *zeros = if escapes || byte != 0 { 0 } else { zeros.saturating_add(1) };
            if escapes {
                byte = self.take()?;
                self.zeros = Some(u8::from(byte == 0));
            }
        }
        Some(byte)
    }

    fn take(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_bits_that_are_asked_for() {
        let mut bits = Bits::new(&[0b1010_0110, 0xff]);
        assert_eq!((bits.number(3), bits.flag(), bits.number(4)), (Some(0b101), Some(false), Some(0b0110)));
        assert_eq!((bits.skip(2), bits.number(6), bits.number(0)), (Some(()), Some(0b11_1111), Some(0)));
        assert_eq!((bits.flag(), bits.number(1), bits.skip(1)), (None, None, None));
    }

    #[test]
    fn exp_golomb_numbers_are_those_of_table_9_2() {
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!(std::iter::from_fn(|| bits.golomb()).take(5).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!(std::iter::from_fn(|| bits.signed_golomb()).take(5).collect::<Vec<_>>(), [0, 1, -1, 2, -2]);
        assert_eq!(Bits::new(&[0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff]).golomb(), None, "more than 32 bits");
        assert_eq!(Bits::new(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]).golomb(), Some(u32::MAX - 1));
    }

    #[test]
    fn emulation_prevention_bytes_are_no_data() {
        let mut bits = Bits::of_unit(&[0, 0, 3, 0, 0, 3, 1, 3]);
        assert_eq!(std::iter::from_fn(|| bits.number(8)).collect::<Vec<_>>(), [0, 0, 0, 0, 1, 3]);
        let mut bits = Bits::new(&[0, 0, 3, 1]);
        assert_eq!(bits.number(32), Some(0x0000_0301));
    }
}
