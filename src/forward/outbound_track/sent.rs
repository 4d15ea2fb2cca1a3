//! Which of the newest packet indexes have been sent, so that no packet is sent twice.

/// Words of 64 indexes remembered: that of the highest index sent and those before it.
const WORDS: u64 = 32;

/// A bitmap that slides along with the highest index sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// The index after the highest one marked.
    next: u64,
    /// One bit per index, at its value modulo the size.
    bits: [u64; WORDS as usize],
}

impl Sent {
    pub(crate) fn new() -> Self {
        Self { next: 0, bits: [0; WORDS as usize] }
    }

    /// Marks an index. False when it was marked before, or is too old to tell.
    pub(crate) fn mark(&mut self, index: u64) -> bool {
        if index >= self.next {
            self.slide_to(index);
        } else if index / 64 + WORDS <= (self.next - 1) / 64 {
            return false;
        }
        let word = &mut self.bits[(index / 64 % WORDS) as usize];
        let bit = 1 << (index % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    /// Makes this index the highest, and clears the words that come into use again.
    fn slide_to(&mut self, index: u64) {
        // Words begin at multiples of 64, so a word is new when no index in it is below `next`.
        let first_new_word = self.next.div_ceil(64);
        let last_word = index / 64;
        for word in first_new_word.max((last_word + 1).saturating_sub(WORDS))..=last_word {
            self.bits[(word % WORDS) as usize] = 0;
        }
        self.next = index + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_fresh_once() {
        let mut sent = Sent::new();
        assert!(sent.mark(40_000) && sent.mark(39_999) && sent.mark(40_002));
        assert!(!sent.mark(40_000) && !sent.mark(40_002) && sent.mark(40_001));
    }

    #[test]
    fn a_number_too_old_to_tell_is_not_fresh() {
        let mut sent = Sent::new();
        assert!(sent.mark(64 * 100));
        assert!(!sent.mark(64 * 69 - 1) && sent.mark(64 * 69));
    }

    proptest! {
        #[test]
        fn agrees_with_a_set_inside_the_window(
            start in 0u64..70_000,
            steps in prop::collection::vec(prop_oneof![9 => -100i64..200, 1 => -3000i64..9000], 1..300),
        ) {
            let mut sent = Sent::new();
            let mut set = HashSet::new();
            let mut highest = start;
            for step in steps {
                let index = highest.saturating_add_signed(step);
                let fresh = sent.mark(index);
                highest = highest.max(index);
                if highest - index <= 64 * (WORDS - 1) {
                    prop_assert_eq!(fresh, set.insert(index));
                } else {
                    prop_assert!(!fresh || set.insert(index));
                }
            }
        }
    }
}
