//! When the operator hears of a certificate that ends: once when little of its lifetime is left, and once when it is
//! over. Lifetimes are from 6 days to more than a year, so that "little" is a part of it.

use std::time::{Duration, SystemTime};

use super::certificate::Facts;

/// The longest time before its end in which a certificate counts as ending.
const ENDING: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How far a certificate is in its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Clients with a right clock refuse it.
    NotYetValid,
    Valid,
    /// Less than 14 days are left, or less than a sixth of its lifetime if that is shorter.
    Ending,
    Over,
}

impl Stage {
    pub(super) fn of(facts: &Facts, now: SystemTime) -> Self {
        match facts.expires.duration_since(now) {
            Err(_) => Self::Over,
            Ok(left) if left.is_zero() => Self::Over,
            Ok(_) if now < facts.valid_from => Self::NotYetValid,
            Ok(left) if left < ENDING.min(facts.lifetime() / 6) => Self::Ending,
            Ok(_) => Self::Valid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_ending_in_its_last_fourteen_days_or_its_last_sixth() {
        let day = |number: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(number * 24 * 60 * 60);
        let facts = |last: u64| Facts { names: Vec::new(), valid_from: day(1000), expires: day(1000 + last) };
        for (lifetime, at, stage) in [
            (90, 75, Stage::Valid),
            (90, 77, Stage::Ending),
            (397, 380, Stage::Valid),
            (397, 384, Stage::Ending),
            (6, 4, Stage::Valid),
            (12, 11, Stage::Ending),
            (90, 90, Stage::Over),
            (90, 91, Stage::Over),
        ] {
            assert_eq!(Stage::of(&facts(lifetime), day(1000 + at)), stage, "{lifetime} days, on day {at}");
        }
        assert_eq!(Stage::of(&facts(90), day(999)), Stage::NotYetValid);
    }
}
