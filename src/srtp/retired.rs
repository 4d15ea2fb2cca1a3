//! The SSRCs that an [`Opener`](super::Opener) does not keep a replay window for any more, in bounded memory.
//!
//! A publisher may change its SSRC any number of times, and no packet may be accepted twice, however long ago its SSRC
//! was in use. So the highest index of the latest retired SSRCs is kept, behind which they may continue. Older ones are
//! spent: they are never accepted again. A Bloom filter remembers all spent SSRCs. It also takes a few new SSRCs for
//! spent ones: none before the first 256 changes, 2 % after a million.

use std::collections::VecDeque;

/// SSRCs that may return. With one more, the oldest is spent.
const MAX_RETIRED: usize = 256;

/// Octets of the filter, which exists once something is spent.
const FILTER_LEN: usize = 1 << 20;

/// Bits in the filter for one SSRC.
const BITS: u32 = 4;

/// The SSRCs that were replaced by others.
#[derive(Default)]
pub(super) struct Retired {
    /// SSRC and highest index, the oldest first.
    latest: VecDeque<(u32, u64)>,
    /// Empty until something is spent.
    spent: Vec<u64>,
}

impl Retired {
    /// The highest index that was received under this SSRC, if it may return.
    pub(super) fn highest(&self, ssrc: u32) -> Option<u64> {
        self.latest.iter().find(|(other, _)| *other == ssrc).map(|(_, highest)| *highest)
    }

    /// True if this SSRC is never taken again.
    pub(super) fn is_spent(&self, ssrc: u32) -> bool {
        !self.spent.is_empty() && bits(ssrc).all(|(word, bit)| self.spent[word] & bit != 0)
    }

    /// An SSRC has made room for another.
    pub(super) fn add(&mut self, ssrc: u32, highest: u64) {
        if self.latest.len() == MAX_RETIRED
            && let Some((oldest, _)) = self.latest.pop_front()
        {
            self.spent.resize(FILTER_LEN / 8, 0);
            for (word, bit) in bits(oldest) {
                self.spent[word] |= bit;
            }
        }
        self.latest.push_back((ssrc, highest));
    }

    /// An SSRC has returned.
    pub(super) fn remove(&mut self, ssrc: u32) {
        self.latest.retain(|(other, _)| *other != ssrc);
    }

    /// Octets of memory.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.latest.capacity() * size_of::<(u32, u64)>() + self.spent.capacity() * 8
    }
}

/// The words and bits of an SSRC in the filter. They need not be secret: only the session's publisher makes entries.
fn bits(ssrc: u32) -> impl Iterator<Item = (usize, u64)> {
    (1..=BITS).map(move |number| {
        // SplitMix64: spreads neighbouring numbers.
        let mut hash = (u64::from(ssrc) | u64::from(number) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let place = (hash ^ hash >> 31) as usize % (FILTER_LEN * 8);
        (place / 64, 1 << (place % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any numbers that differ.
    fn ssrc(number: u32) -> u32 {
        number.wrapping_mul(2_654_435_761)
    }

    #[test]
    fn the_latest_may_return_and_the_older_ones_never() {
        let mut retired = Retired::default();
        for number in 0..10_000 {
            retired.add(ssrc(number), number.into());
        }
        for number in 0..10_000 {
            let is_latest = number >= 10_000 - MAX_RETIRED as u32;
            assert_eq!(retired.highest(ssrc(number)), is_latest.then_some(number.into()));
            assert_eq!(retired.is_spent(ssrc(number)), !is_latest);
        }
        retired.remove(ssrc(9_999));
        assert_eq!(retired.highest(ssrc(9_999)), None);
    }

    #[test]
    fn a_million_are_kept_in_a_megabyte_and_few_new_ones_are_taken_for_them() {
        let mut retired = Retired::default();
        for number in 0..1_000_000 {
            retired.add(ssrc(number), 1);
        }
        assert!((0..1_000_000 - MAX_RETIRED as u32).all(|number| retired.is_spent(ssrc(number))));
        let mistaken = (1_000_000..1_100_000).filter(|number| retired.is_spent(ssrc(*number))).count();
        assert!(mistaken < 3_000, "{mistaken} of 100,000");
        assert!(retired.size() <= FILTER_LEN + 2 * MAX_RETIRED * size_of::<(u32, u64)>(), "{}", retired.size());
    }
}
