//! Limits how often the same line is logged. The caller passes the time and the subject of a line.
//!
//! Time is divided into windows. In each, a place in the code that logs (a callsite) may write a few lines per session
//! or client, and a number in total. Suppressed lines are counted and reported at the end of the window. The rule:
//! memory is bounded, whoever logs and however often.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Length of a window.
pub(super) const WINDOW: Duration = Duration::from_secs(30);

/// Lines of one callsite about one session or client per window, or, for another crate's callsite, in total.
const LINES: u32 = 5;

/// Lines of one callsite in total per window: 33 per second.
const LINES_IN_ALL: u32 = 1_000;

/// Callsites that are counted separately; all others count as one.
const CALLSITES: usize = 1_024;

/// Pairs of a callsite and a session that are counted per window; others have only the limit of the callsite.
const PAIRS: usize = 8_192;

/// A place in the code that logs, by a number of its own.
pub(super) type Callsite = u64;

/// What the limit knows about a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) callsite: Callsite,
    /// The session or client that it is about, by a number of its own; `None` for the relay itself.
    pub(super) about: Option<u64>,
}

/// Suppressed lines of one callsite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suppressed {
    /// The callsite.
    pub(super) place: String,
    pub(super) lines: u64,
}

/// The counts of a window.
#[derive(Debug)]
pub(super) struct Limits {
    until: Instant,
    by_callsite: HashMap<Callsite, Count>,
    by_pair: HashMap<(Callsite, u64), u32>,
}

#[derive(Debug, Default)]
struct Count {
    written: u32,
    suppressed: u64,
    place: String,
}

impl Limits {
    pub(super) fn new(now: Instant) -> Self {
        Self { until: now + WINDOW, by_callsite: HashMap::new(), by_pair: HashMap::new() }
    }

    /// Whether to write the line. `place` names its callsite in case it is the first that is suppressed.
    pub(super) fn admits(&mut self, line: Line, now: Instant, place: impl FnOnce() -> String) -> bool {
        if now >= self.until {
            self.until = now + WINDOW;
            self.by_pair.clear();
            // Suppressed lines are kept until they are reported.
            self.by_callsite.retain(|_, count| count.suppressed > 0);
            self.by_callsite.values_mut().for_each(|count| count.written = 0);
        }
        let is_known = self.by_callsite.contains_key(&line.callsite) || self.by_callsite.len() < CALLSITES;
        let callsite = if is_known { line.callsite } else { Callsite::MAX };
        let count = self.by_callsite.entry(callsite).or_default();
        let is_written = count.written < LINES_IN_ALL
            && line.about.is_none_or(|about| {
                let pair = (callsite, about);
                if !self.by_pair.contains_key(&pair) && self.by_pair.len() >= PAIRS {
                    return true;
                }
                let lines = self.by_pair.entry(pair).or_default();
                *lines += 1;
                *lines <= LINES
            });
        if is_written {
            count.written += 1;
        } else {
            if count.suppressed == 0 {
                count.place = place();
            }
            count.suppressed += 1;
        }
        is_written
    }

    /// The lines suppressed since the last call, most frequent first.
    pub(super) fn take_suppressed(&mut self) -> Vec<Suppressed> {
        let counts = self.by_callsite.values_mut().filter(|count| count.suppressed > 0);
        let mut suppressed: Vec<_> = counts
            .map(|count| Suppressed {
                place: std::mem::take(&mut count.place),
                lines: std::mem::take(&mut count.suppressed),
            })
            .collect();
        suppressed.sort_by_key(|suppressed| std::cmp::Reverse(suppressed.lines));
        suppressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(limits: &mut Limits, callsite: Callsite, about: Option<u64>, now: Instant) -> bool {
        limits.admits(Line { callsite, about }, now, || format!("place {callsite}"))
    }

    fn written(limits: &mut Limits, lines: impl Iterator<Item = (Callsite, Option<u64>)>, now: Instant) -> usize {
        lines.filter(|(callsite, about)| admit(limits, *callsite, *about, now)).count()
    }

    #[test]
    fn a_session_writes_a_few_lines_per_callsite_and_window_and_the_rest_is_counted() {
        let now = Instant::now();
        let mut limits = Limits::new(now);
        for round in 0..3 {
            let now = now + WINDOW * round;
            assert_eq!(written(&mut limits, (0..20_000).map(|_| (1, Some(7))), now), 5);
            assert_eq!(written(&mut limits, (0..20_000).map(|_| (2, Some(7))), now), 5, "another callsite");
            assert_eq!(written(&mut limits, (0..3).map(|_| (1, Some(8))), now), 3, "another session");
        }
        let lines = 3 * 19_995;
        let suppressed = |callsite| Suppressed { place: format!("place {callsite}"), lines };
        let mut taken = limits.take_suppressed();
        taken.sort_by(|one, other| one.place.cmp(&other.place));
        assert_eq!(taken, [suppressed(1), suppressed(2)]);
        assert_eq!(limits.take_suppressed(), []);
    }

    #[test]
    fn many_sessions_share_the_limit_of_the_callsite() {
        let now = Instant::now();
        let mut limits = Limits::new(now);
        assert_eq!(written(&mut limits, (0..100_000).map(|session| (1, Some(session))), now), 1_000);
        assert_eq!(written(&mut limits, (0..100_000).map(|_| (2, None)), now), 1_000);
        assert_eq!(written(&mut limits, (0..10).map(|_| (3, None)), now), 10, "others are not concerned");
    }

    #[test]
    fn memory_is_bounded_and_freed_with_its_window() {
        let now = Instant::now();
        let mut limits = Limits::new(now);
        for number in 0..200_000 {
            admit(&mut limits, number % 5_000, Some(number), now);
        }
        assert!(limits.by_callsite.len() <= CALLSITES + 1 && limits.by_pair.len() <= PAIRS);
        limits.take_suppressed();
        admit(&mut limits, 1, Some(1), now + WINDOW);
        assert_eq!((limits.by_callsite.len(), limits.by_pair.len()), (1, 1));
    }
}
