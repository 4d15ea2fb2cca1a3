//! When a certificate is ordered. A failed order is followed by a pause that doubles; the pause and the number of
//! failures are kept over restarts, so that a relay that restarts again and again stays within the limits of its
//! authority. An order counts as failed from its start until its certificate is kept.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::error::AcmeError;
use crate::http::tls::certificate::Facts;

/// The longest pause after a failed order.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// The longest pause that an authority can ask for.
const ASKED: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// The least time between two orders that an operator asks for.
const BETWEEN: Duration = Duration::from_secs(60);

/// The record of former orders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempts {
    /// The names of these orders; for other names the record starts empty.
    domains: Vec<String>,
    /// How many have failed since the last certificate.
    failures: u32,
    /// When the last one began, in seconds since 1970.
    begun: u64,
    /// When the next one may begin, in seconds since 1970.
    next: u64,
    /// Whether the authority named that time.
    is_asked: bool,
}

impl Attempts {
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// This record if it is about orders for `domains`; else an empty one.
    pub(super) fn of(self, domains: &[String]) -> Self {
        if self.domains == domains { self } else { Self { domains: domains.to_vec(), ..Self::default() } }
    }

    /// An order begins now. `dice` is a random number from 0 to 1.
    pub(super) fn begin(&self, now: SystemTime, dice: f64) -> Self {
        let failures = self.failures.saturating_add(1);
        let begun = seconds(now);
        let next = seconds(now + pause(failures, first_pause(None), dice));
        Self { domains: self.domains.clone(), failures, begun, next, is_asked: false }
    }

    /// The order that began last has failed; its authority refuses requests for the time of `refused_for`.
    pub(super) fn fail(&self, error: &AcmeError, refused_for: Option<Duration>, now: SystemTime, dice: f64) -> Self {
        let own = pause(self.failures, first_pause(Some(error)), dice);
        let asked = refused_for.unwrap_or_default().min(ASKED);
        Self { next: seconds(now + own.max(asked)), is_asked: asked > own, ..self.clone() }
    }

    /// The order has given this certificate. However wrong this machine's clock is, the next one is not ordered before a
    /// third of its lifetime has passed.
    pub(super) fn succeed(&self, facts: &Facts, now: SystemTime) -> Self {
        let next = seconds(now + facts.lifetime() / 3);
        Self { failures: 0, next, is_asked: false, ..self.clone() }
    }

    /// When to order the next certificate: when two thirds of the lifetime of this one have passed, or at once without
    /// one, but not within a pause.
    pub(super) fn due(&self, facts: Option<&Facts>, now: SystemTime) -> SystemTime {
        let due = facts.map_or(UNIX_EPOCH, |facts| facts.valid_from + facts.lifetime() * 2 / 3);
        let is_in_force = if facts.is_some() { self.begun > 0 } else { self.failures > 0 };
        // A start in the future was written when the clock was wrong.
        if !is_in_force || self.begun > seconds(now) {
            return due;
        }
        due.max(UNIX_EPOCH + Duration::from_secs(self.next))
    }

    /// Whether an operator may have an order before the pause after a failed one is over.
    pub(super) fn may_hurry(&self, now: SystemTime) -> bool {
        self.failures > 0 && !self.is_asked && seconds(now) >= self.begun.saturating_add(BETWEEN.as_secs())
    }
}

/// The pause after the first failure. An authority that cannot be reached is asked again soon; failed validations are
/// limited (Let's Encrypt: 5 an hour for each name).
fn first_pause(error: Option<&AcmeError>) -> Duration {
    Duration::from_secs(match error {
        Some(AcmeError::Unreachable { .. } | AcmeError::Failing(_) | AcmeError::State(_)) => 30,
        Some(AcmeError::Limited(_)) => 60 * 60,
        _ => 5 * 60,
    })
}

/// Doubles with each failure after the first, and is up to a fifth longer or shorter at random.
fn pause(failures: u32, first: Duration, dice: f64) -> Duration {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST);
    doubled.mul_f64(0.8 + 0.4 * dice)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const MINUTE: Duration = Duration::from_secs(60);

    fn day(number: u32) -> SystemTime {
        UNIX_EPOCH + DAY * (20_000 + number)
    }

    /// Valid for 90 days from the first one.
    fn facts() -> Facts {
        Facts { names: vec![], valid_from: day(0), expires: day(90) }
    }

    fn names() -> Vec<String> {
        vec!["live.example.org".to_owned()]
    }

    fn none() -> Attempts {
        Attempts::default().of(&names())
    }

    fn away() -> AcmeError {
        AcmeError::Unreachable { directory: String::new(), cause: String::new() }
    }

    #[test]
    fn a_certificate_is_renewed_when_two_thirds_of_its_lifetime_have_passed() {
        let issued = none().begin(day(0), 0.5).succeed(&facts(), day(0));
        assert_eq!(issued.due(Some(&facts()), day(1)), day(60));
        assert_eq!(issued.failures(), 0);
        assert_eq!(none().due(Some(&facts()), day(1)), day(60), "a certificate without a record of its order");
        assert!(none().due(None, day(1)) <= day(1), "without one, at once");
    }

    #[test]
    fn pauses_double_from_five_minutes_to_twelve_hours_and_differ_by_a_fifth() {
        let refused = AcmeError::Refused(String::new());
        let mut attempts = none();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            attempts = attempts.begin(day(0), 0.5).fail(&refused, None, day(0), 0.5);
            pauses.push(attempts.due(None, day(0)).duration_since(day(0)).unwrap().as_secs() / 60);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 720, 720]);
        assert_eq!([0.0, 1.0].map(|dice| pause(1, MINUTE * 5, dice)), [MINUTE * 4, MINUTE * 6]);
        assert_eq!(pause(u32::MAX, LONGEST, 1.0), LONGEST.mul_f64(1.2));
        let limited = none().begin(day(0), 0.5).fail(&AcmeError::Limited(String::new()), None, day(0), 0.5);
        assert_eq!(limited.due(None, day(0)), day(0) + MINUTE * 60);
        let unreachable = none().begin(day(0), 0.5).fail(&away(), None, day(0), 0.5);
        assert_eq!(unreachable.due(None, day(0)), day(0) + MINUTE / 2);
    }

    #[test]
    fn an_hour_has_at_most_four_failed_validations() {
        let refused = AcmeError::NotValidated { domain: String::new(), words: String::new() };
        let (mut attempts, mut now, mut count) = (none(), day(0), 0);
        while now < day(0) + MINUTE * 60 {
            count += 1;
            attempts = attempts.begin(now, 0.0).fail(&refused, None, now, 0.0);
            now = attempts.due(None, now);
        }
        assert_eq!(count, 4);
    }

    #[test]
    fn an_order_that_was_cut_off_counts_as_failed() {
        let begun = none().begin(day(0), 0.5);
        assert_eq!((begun.failures(), begun.due(None, day(0))), (1, day(0) + MINUTE * 5));
    }

    #[test]
    fn the_time_that_an_authority_asks_for_is_kept_even_if_an_operator_hurries() {
        let begun = none().begin(day(0), 0.5);
        let own = begun.fail(&away(), Some(Duration::from_secs(1)), day(0), 0.5);
        assert!(own.may_hurry(day(0) + MINUTE) && !own.may_hurry(day(0) + MINUTE / 2));
        let asked = begun.fail(&AcmeError::Limited(String::new()), Some(MINUTE * 600), day(0), 0.5);
        assert_eq!(asked.due(None, day(0)), day(0) + MINUTE * 600);
        assert!(!asked.may_hurry(day(0) + MINUTE * 599));
        let endless = begun.fail(&away(), Some(Duration::MAX), day(0), 0.5);
        assert_eq!(endless.due(None, day(0)), day(2));
        assert!(!none().may_hurry(day(9)), "nothing has failed");
    }

    #[test]
    fn a_wrong_clock_neither_orders_without_end_nor_never() {
        let (early, late) = (day(0), day(300));
        let issued = none().begin(late, 0.5).succeed(&facts(), late);
        assert_eq!(issued.due(Some(&facts()), late), day(330), "the new certificate looks expired");
        assert_eq!(issued.due(Some(&facts()), early), day(60), "the clock is right again");
        let failed = none().begin(late, 0.5);
        assert!(failed.due(None, early) <= early);
    }

    #[test]
    fn a_certificate_that_is_lost_is_ordered_at_once_and_other_names_begin_anew() {
        let issued = none().begin(day(0), 0.5).succeed(&facts(), day(0));
        assert!(issued.due(None, day(1)) <= day(1));
        let failed = none().begin(day(0), 0.5);
        assert_eq!(failed.clone().of(&names()), failed);
        assert_eq!(failed.of(&["other.example.org".to_owned()]).failures(), 0);
    }
}
