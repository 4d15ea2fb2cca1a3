//! Which publication of a stream counts where several nodes believe to have it: the one with the highest epoch.
//!
//! An origin that was paused, or cut off from the directory, goes on sending although another node has its stream. What it sends
//! has a lower epoch: nodes that have seen the higher one drop it, and tell that origin. The rule needs no directory, and no
//! common clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::node_id::NodeId;
use crate::name::StreamName;

/// How much longer than asked for a pause may last before the node counts as having stood still.
pub(super) const STANDSTILL: Duration = Duration::from_secs(4);

/// The highest epochs of streams that this node has seen, in the directory, on legs, and in requests of other nodes.
#[derive(Clone, Debug, Default)]
pub struct Fence {
    newest: HashMap<StreamName, Seen>,
}

/// A publication as other nodes name it. The greater one counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// The epoch of its claim.
    pub epoch: u64,
    /// The node that has its publisher. It decides between equal epochs, which nodes may give while the directory has lost its
    /// values.
    pub origin: NodeId,
}

/// What to do about a publication that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one that counts.
    Current,
    /// It counts from now on, and the one before does not: its origin is to be told.
    Newer {
        /// The origin of the one before, if that is another node.
        tell: Option<NodeId>,
    },
    /// It does not count: its media is dropped, and its origin is to be told of this one.
    Older(Seen),
}

impl Fence {
    /// Takes note of a publication, and says whether it counts.
    pub fn see(&mut self, stream: &StreamName, seen: Seen) -> Verdict {
        let Some(newest) = self.newest.get_mut(stream) else {
            self.newest.insert(stream.clone(), seen);
            return Verdict::Current;
        };
        match seen.cmp(newest) {
            std::cmp::Ordering::Equal => Verdict::Current,
            std::cmp::Ordering::Less => Verdict::Older(newest.clone()),
            std::cmp::Ordering::Greater => {
                let before = std::mem::replace(newest, seen);
                Verdict::Newer { tell: Some(before.origin).filter(|before| *before != newest.origin) }
            }
        }
    }

    /// Whether the origin of a publication may answer a request that names an epoch of the stream.
    ///
    /// # Errors
    /// The publication that counts, if the request is about another one, or the own one does not count any more.
    pub fn check(&self, stream: &StreamName, own: &Seen, asked: u64) -> Result<(), Seen> {
        let newest = self.newest.get(stream).unwrap_or(own).max(own);
        match newest == own && asked == own.epoch {
            true => Ok(()),
            false => Err(newest.clone()),
        }
    }

    /// Forgets the streams that this node has nothing to do with any more.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&StreamName) -> bool) {
        self.newest.retain(|stream, _| is_kept(stream));
    }
}

/// Whether a pause that was asked for took so much longer that others may have taken the streams of this node meanwhile.
pub(super) fn has_stood_still(began: Instant, asked: Duration, now: Instant) -> bool {
    now.saturating_duration_since(began) > asked + STANDSTILL
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(epoch: u64, origin: &str) -> Seen {
        Seen { epoch, origin: origin.parse().unwrap() }
    }

    fn cam() -> StreamName {
        "cam".parse().unwrap()
    }

    #[test]
    fn the_higher_epoch_counts_and_the_origin_of_the_lower_one_is_told() {
        let mut fence = Fence::default();
        assert_eq!(fence.see(&cam(), of(5, "a")), Verdict::Current);
        assert_eq!(fence.see(&cam(), of(5, "a")), Verdict::Current);
        assert_eq!(fence.see(&cam(), of(7, "b")), Verdict::Newer { tell: Some("a".parse().unwrap()) });
        assert_eq!(fence.see(&cam(), of(5, "a")), Verdict::Older(of(7, "b")));
        assert_eq!(fence.see(&cam(), of(8, "b")), Verdict::Newer { tell: None }, "its next publisher");
        assert_eq!(fence.see(&"other".parse().unwrap(), of(1, "c")), Verdict::Current);
    }

    #[test]
    fn of_two_equal_epochs_that_of_the_greater_name_counts() {
        let mut fence = Fence::default();
        fence.see(&cam(), of(5, "b"));
        assert_eq!(fence.see(&cam(), of(5, "a")), Verdict::Older(of(5, "b")));
        assert_eq!(fence.see(&cam(), of(5, "c")), Verdict::Newer { tell: Some("b".parse().unwrap()) });
    }

    #[test]
    fn an_origin_answers_about_its_own_epoch_and_only_while_that_counts() {
        let mut fence = Fence::default();
        let own = of(5, "a");
        assert_eq!(fence.check(&cam(), &own, 5), Ok(()));
        assert_eq!(fence.check(&cam(), &own, 4), Err(own.clone()));
        assert_eq!(fence.check(&cam(), &own, 6), Err(own.clone()), "it has not seen that one");
        fence.see(&cam(), of(6, "b"));
        assert_eq!(fence.check(&cam(), &own, 5), Err(of(6, "b")));
        fence.retain(|_| false);
        assert_eq!(fence.check(&cam(), &own, 5), Ok(()));
    }

    #[test]
    fn a_pause_that_takes_four_seconds_more_than_asked_for_is_a_standstill() {
        let (began, asked) = (Instant::now(), Duration::from_secs(3));
        assert!(!has_stood_still(began, asked, began + Duration::from_secs(7)));
        assert!(has_stood_still(began, asked, began + Duration::from_millis(7_001)));
        assert!(!has_stood_still(began, asked, began), "a reply came early");
    }

    proptest! {
        #[test]
        fn nodes_agree_in_whatever_order_they_see_publications(
            seen in prop::collection::vec((0..20_u64, "[a-d]"), 1..30),
            seed: u64,
        ) {
            let mut shuffled = seen.clone();
            rand::seq::SliceRandom::shuffle(shuffled.as_mut_slice(), &mut <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed));
            let newest = |seen: &[(u64, String)]| {
                let mut fence = Fence::default();
                for (epoch, origin) in seen {
                    fence.see(&cam(), of(*epoch, origin));
                }
                fence.newest[&cam()].clone()
            };
            let (one, other) = (newest(&seen), newest(&shuffled));
            prop_assert_eq!(&one, &other);
            prop_assert!(seen.iter().all(|(epoch, origin)| of(*epoch, origin) <= one));
        }
    }
}
