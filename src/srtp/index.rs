//! The 48-bit packet index of one SSRC: rollover count and sequence number (RFC 3711 3.3.1), and the replay
//! window.
//!
//! The index of a packet is estimated before authentication and marked as received after it, so that a forged packet
//! changes nothing. An index is accepted once.

/// The largest index: 32 bits of rollover count, 16 of sequence number.
pub(crate) const MAX: u64 = (1 << 48) - 1;

/// How far behind the highest index a packet is accepted. In-band retransmissions may be a second late; 4,096 packets
/// are more than a second at 30 Mb/s.
pub(crate) const WINDOW: u64 = 4096;

const WORDS: usize = (WINDOW / 64) as usize;

/// How often the sequence number has wrapped (ROC).
#[must_use]
pub(crate) const fn rollover_count(index: u64) -> u32 {
    (index >> 16) as u32
}

/// The index closest to `highest` that has this sequence number; `None` if that would be below 0 or above
/// [`MAX`] (RFC 3711 3.3.1).
#[must_use]
pub(crate) const fn estimate(highest: u64, sequence: u16) -> Option<u64> {
    // The wrapped difference is the shortest distance from the highest sequence number to this one.
    let step = sequence.wrapping_sub(highest as u16) as i16;
    match highest.checked_add_signed(step as i64) {
        Some(index) if index <= MAX => Some(index),
        _ => None,
    }
}

/// Which indices of one SSRC have been received (RFC 3711 3.3.2).
pub(crate) struct ReceivedIndices {
    highest: u64,
    /// One bit per index, at `index % WINDOW`; the indices are `highest - WINDOW + 1 ..= highest`.
    seen: Box<[u64; WORDS]>,
}

impl ReceivedIndices {
    /// Begins with the first authenticated packet. Makes one allocation of 512 bytes.
    #[must_use]
    pub(crate) fn begin(index: u64) -> Self {
        let mut received = Self { highest: index, seen: Box::new([0; WORDS]) };
        received.mark(index);
        received
    }

    /// Begins behind an index up to which nothing is accepted any more.
    #[must_use]
    pub(crate) fn after(highest: u64) -> Self {
        Self { highest, seen: Box::new([u64::MAX; WORDS]) }
    }

    /// The highest index received.
    #[must_use]
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// The index of a packet that is not authenticated yet; `None` if it was received before, or is behind the
    /// window.
    #[must_use]
    #[inline]
    pub(crate) fn admit(&self, sequence: u16) -> Option<u64> {
        let index = estimate(self.highest, sequence)?;
        if index > self.highest {
            return Some(index);
        }
        let fresh = self.highest - index < WINDOW && self.seen[word(index)] & bit(index) == 0;
        fresh.then_some(index)
    }

    /// Marks an index that [`Self::admit`] gave and that turned out authentic.
    #[inline]
    pub(crate) fn accept(&mut self, index: u64) {
        if index > self.highest {
            self.advance(index);
        } else if self.highest - index >= WINDOW {
            return;
        }
        self.mark(index);
    }

    /// Clears the bits of indices that leave the window.
    fn advance(&mut self, index: u64) {
        if index - self.highest >= WINDOW {
            self.seen.fill(0);
        } else {
            for skipped in self.highest + 1..index {
                self.seen[word(skipped)] &= !bit(skipped);
            }
        }
        self.highest = index;
    }

    fn mark(&mut self, index: u64) {
        self.seen[word(index)] |= bit(index);
    }
}

const fn word(index: u64) -> usize {
    (index % WINDOW / 64) as usize
}

const fn bit(index: u64) -> u64 {
    1 << (index % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_index_is_below_zero() {
        assert_eq!(estimate(2, 0xffff), None);
        assert_eq!(estimate(0x1_0002, 0xffff), Some(0xffff));
        assert_eq!(estimate(0xfffe, 1), Some(0x1_0001));
        assert_eq!(estimate(MAX, 0), None);
        assert_eq!(estimate(MAX, 0xfffe), Some(MAX - 1));
    }

    #[test]
    fn a_jump_of_the_whole_window_clears_it() {
        let mut received = ReceivedIndices::begin(10);
        received.accept(10 + WINDOW);
        assert_eq!(received.admit(10), None, "ten is one too old");
        assert_eq!(received.admit(11), Some(11));
    }

    #[test]
    fn a_window_that_begins_behind_an_index_accepts_nothing_up_to_it() {
        let mut received = ReceivedIndices::after(0x1_0010);
        assert_eq!((received.admit(0x10), received.admit(0xf), received.admit(0xfff0)), (None, None, None));
        assert_eq!(received.admit(0x12), Some(0x1_0012));
        received.accept(0x1_0012);
        assert_eq!((received.admit(0x11), received.admit(0x12), received.admit(0x10)), (Some(0x1_0011), None, None));
    }

    proptest! {
        #[test]
        fn the_estimate_is_right_whenever_the_packet_is_less_than_half_a_round_away(
            highest in 0..=MAX, step in -0x8000i64..0x8000
        ) {
            let index = highest.checked_add_signed(step).filter(|index| *index <= MAX);
            prop_assume!(index.is_some());
            prop_assert_eq!(estimate(highest, index.unwrap() as u16), index);
        }

        #[test]
        fn an_index_is_admitted_once_and_a_fresh_one_always(
            start in prop_oneof![0u64..10, 0xff00u64..0x1_0100, 0..MAX / 2],
            steps in prop::collection::vec(
                prop_oneof![8 => -40i64..60, 2 => -6000i64..200, 1 => 0i64..9000], 1..400),
        ) {
            let mut received = ReceivedIndices::begin(start);
            let mut model = HashSet::from([start]);
            for step in steps {
                let Some(index) = received.highest().checked_add_signed(step) else { continue };
                let too_old = index + WINDOW <= received.highest();
                let fresh = !too_old && !model.contains(&index);
                prop_assert_eq!(received.admit(index as u16), fresh.then_some(index));
                if fresh {
                    received.accept(index);
                    model.insert(index);
                    prop_assert_eq!(received.admit(index as u16), None);
                }
                prop_assert_eq!(received.highest(), *model.iter().max().unwrap());
            }
        }
    }
}
