//! The receiver's clock, from the reference times of its feedback. They have 24 bits of 64 ms and wrap every 12 days; a
//! late packet makes the next feedback begin earlier, so they also go back.

use super::time::{MILLISECOND, SECOND};

/// Microseconds of one unit.
const UNIT: i64 = 64 * MILLISECOND;

/// How far the receiver's clock may move against the sender's between two feedbacks. With more it was set, or the
/// receiver is another one.
const MAX_STEP: i64 = 10 * SECOND;

#[derive(Debug, Default)]
pub(crate) struct ReferenceClock {
    /// The last reference time as written and unwrapped (us), and when it was read.
    last: Option<(u32, i64, i64)>,
}

/// A reference time in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reference {
    Continues(i64),
    /// The clock has jumped: earlier arrivals cannot be compared with later ones.
    Jumped(i64),
}

impl ReferenceClock {
    pub(crate) fn unwrap(&mut self, reference: u32, now: i64) -> Reference {
        let Some((written, unwrapped, read)) = self.last else {
            let time = i64::from(reference) * UNIT;
            self.last = Some((reference, time, now));
            return Reference::Continues(time);
        };
        // Of 24 bits the nearest time is meant, before or after.
        let step = i64::from((reference.wrapping_sub(written) << 8) as i32 >> 8) * UNIT;
        let time = unwrapped + step;
        self.last = Some((reference, time, now));
        if (step - (now - read)).abs() > MAX_STEP { Reference::Jumped(time) } else { Reference::Continues(time) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_times_go_forward_over_the_wrap_and_back() {
        let mut clock = ReferenceClock::default();
        assert_eq!(clock.unwrap(0xff_fffe, 0), Reference::Continues(0xff_fffe * UNIT));
        assert_eq!(clock.unwrap(1, 3 * UNIT), Reference::Continues(0x100_0001 * UNIT));
        assert_eq!(clock.unwrap(0xff_ffff, 3 * UNIT), Reference::Continues(0xff_ffff * UNIT), "a late packet");
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_and_a_silence_is_no_jump() {
        let mut clock = ReferenceClock::default();
        clock.unwrap(1000, 0);
        assert_eq!(clock.unwrap(2000, 1000 * UNIT), Reference::Continues(2000 * UNIT), "64 s later");
        assert_eq!(clock.unwrap(2200, 1001 * UNIT), Reference::Jumped(2200 * UNIT));
        assert_eq!(clock.unwrap(2201, 1002 * UNIT), Reference::Continues(2201 * UNIT));
    }
}
