//! Deadlines of sessions: one per session, the earliest of everything it waits for.

use std::collections::BTreeSet;
use std::time::Instant;

use slotmap::SecondaryMap;

use crate::demux::Key;

/// A table of at most one deadline a session.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, Key)>,
    by_key: SecondaryMap<Key, Instant>,
}

impl Timers {
    /// Replaces a session's deadline; `None` removes it. A key whose place another session has now gets none.
    pub(crate) fn set(&mut self, key: Key, deadline: Option<Instant>) {
        if deadline.is_some() && self.by_key.entry(key).is_none() {
            return;
        }
        let old = match deadline {
            Some(deadline) => self.by_key.insert(key, deadline),
            None => self.by_key.remove(key),
        };
        if old == deadline {
            return;
        }
        if let Some(old) = old {
            self.by_time.remove(&(old, key));
        }
        if let Some(deadline) = deadline {
            self.by_time.insert((deadline, key));
        }
    }

    /// The earliest deadline of all.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(deadline, _)| *deadline)
    }

    /// How many sessions have a deadline.
    pub(crate) fn len(&self) -> usize {
        self.by_time.len().max(self.by_key.len())
    }

    /// Takes a session out whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Key> {
        let (deadline, key) = *self.by_time.first()?;
        if deadline > now {
            return None;
        }
        self.set(key, None);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use slotmap::SlotMap;

    use super::*;

    #[test]
    fn a_key_that_outlives_its_session_sets_no_deadline() {
        let (mut sessions, mut timers, now) = (SlotMap::<Key, ()>::with_key(), Timers::default(), Instant::now());
        let old = sessions.insert(());
        sessions.remove(old);
        let new = sessions.insert(());
        timers.set(new, Some(now));
        timers.set(old, Some(now));
        timers.set(old, None);
        assert_eq!((timers.pop_due(now), timers.pop_due(now), timers.len()), (Some(new), None, 0));
    }

    #[test]
    fn the_earliest_comes_first_and_a_session_has_one_deadline() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(Key::in_place(1), Some(at(30)));
        timers.set(Key::in_place(2), Some(at(10)));
        timers.set(Key::in_place(1), Some(at(20)));
        timers.set(Key::in_place(3), Some(at(5)));
        timers.set(Key::in_place(3), None);
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(25)), Some(Key::in_place(2)));
        assert_eq!(timers.pop_due(at(25)), Some(Key::in_place(1)));
        assert_eq!((timers.pop_due(at(99)), timers.next()), (None, None));
    }
}
