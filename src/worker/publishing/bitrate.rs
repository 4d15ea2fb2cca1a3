//! Ends publishers that stay above the bitrate limit.
//!
//! Four times a second what has arrived is compared with what was allowed since the last measurement. The excess is a
//! debt that is paid off while less arrives, so a keyframe's burst is forgiven as soon as the mean is below the limit
//! again. The rule: a publisher is ended that has been in debt for 5 s without a pause and is still above the limit.
//! Since a pause forgives what a burst owes, one is ended too whose mean over a whole minute is above.

use std::time::{Duration, Instant};

/// The time between two measurements.
const INTERVAL: Duration = Duration::from_millis(250);

/// Consecutive measurements in debt that end a publisher. An excess of 5 s spans at most 21.
const MAX_IN_DEBT: u32 = 22;

/// The largest debt, as the time in which the limit allows as much: a burst is paid off soon after it.
const MOST_DEBT: Duration = Duration::from_secs(2);

/// The time over which the mean must be below the limit, whatever pauses are in it.
const LONG: Duration = Duration::from_secs(60);

/// What is allowed above the limit, in percent: a browser keeps its video to the limit, and sends audio and headers
/// besides.
const TOLERANCE: u64 = 10;

/// The limit of one publisher, and how far it is above.
#[derive(Debug)]
pub(crate) struct BitrateLimit {
    limit: u64,
    due: Instant,
    measured: Instant,
    /// Octets that had arrived at the last measurement.
    octets: u64,
    /// In bits.
    debt: f64,
    /// Consecutive measurements in debt.
    in_debt: u32,
    /// When the debt began, and the octets by then.
    since: (Instant, u64),
    /// When the current period of [`LONG`] began, and the octets by then.
    long: (Instant, u64),
}

impl BitrateLimit {
    /// A limit from now on, in bits per second; `None` for 0.
    pub(crate) fn new(limit: u64, now: Instant) -> Option<Self> {
        let (due, start) = (now + INTERVAL, (now, 0));
        let new = Self { limit, due, measured: now, octets: 0, debt: 0.0, in_debt: 0, since: start, long: start };
        (limit > 0).then_some(new)
    }

    /// The text for the end of a publisher with this mean bitrate, in bits per second.
    pub(crate) fn failure(&self, rate: u64) -> String {
        format!(
            "it sent {} kbit/s for more than 5 s, where --max-publisher-bitrate allows {}: lower the encoder's bitrate, or \
             raise the limit",
            rate / 1000,
            self.limit / 1000
        )
    }

    /// When [`Self::measure`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// Measures at `octets` that have arrived by now. Returns the mean bitrate, in bits per second, if the publisher is
    /// to be ended.
    pub(crate) fn measure(&mut self, octets: u64, now: Instant) -> Option<u64> {
        if now < self.due {
            return None;
        }
        let allowed = |time: Duration| (self.limit + self.limit / 100 * TOLERANCE) as f64 * time.as_secs_f64();
        let arrived = octets.saturating_sub(self.octets) as f64 * 8.0;
        let excess = arrived - allowed(now.saturating_duration_since(self.measured));
        if self.in_debt == 0 {
            self.since = (self.measured, self.octets);
        }
        self.debt = (self.debt + excess).clamp(0.0, allowed(MOST_DEBT));
        self.in_debt = if self.debt > 0.0 { self.in_debt + 1 } else { 0 };
        (self.due, self.measured, self.octets) = (now + INTERVAL, now, octets);
        let mean = |(since, before): (Instant, u64)| {
            let time = now.saturating_duration_since(since);
            (octets.saturating_sub(before) as f64 * 8.0, time)
        };
        let rate = |(bits, time): (f64, Duration)| (bits / time.as_secs_f64()) as u64;
        if self.in_debt >= MAX_IN_DEBT && excess > 0.0 {
            return Some(rate(mean(self.since)));
        }
        let (bits, time) = mean(self.long);
        if time < LONG {
            return None;
        }
        self.long = (now, octets);
        (bits > allowed(time)).then(|| rate((bits, time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1_000_000;
    const FRAME: Duration = Duration::from_millis(40);
    /// Octets of a frame at the limit, 25 frames a second.
    const OCTETS: u64 = LIMIT / 8 / 25;

    /// Sends frames of `octets(number)` and says after how long the publisher is ended, if it is, and at what rate.
    fn run(frames: u64, octets: impl Fn(u64) -> u64) -> Option<(Duration, u64)> {
        let start = Instant::now();
        // The connection is older than the media, by no whole number of intervals.
        let mut limit = BitrateLimit::new(LIMIT, start - Duration::from_millis(90)).unwrap();
        let (mut now, mut sent) = (start, 0);
        for number in 0..frames {
            sent += octets(number);
            for _ in 0..FRAME.as_millis() {
                now += Duration::from_millis(1);
                if limit.poll_timeout() <= now
                    && let Some(rate) = limit.measure(sent, now)
                {
                    return Some((now - start, rate));
                }
            }
        }
        None
    }

    fn seconds(frames: u64) -> Duration {
        FRAME * u32::try_from(frames).unwrap()
    }

    #[test]
    fn a_publisher_that_stays_above_for_five_seconds_is_ended_soon_after() {
        for factor in [120, 150, 200, 1000] {
            let (after, rate) = run(1000, |_| OCTETS * factor / 100).expect("it is above");
            assert!((5000..6000).contains(&after.as_millis()), "{factor}: {after:?}");
            let expected = LIMIT * factor / 100;
            assert!(rate.abs_diff(expected) < expected / 20, "{factor}: {rate}");
        }
    }

    #[test]
    fn a_publisher_above_for_less_than_five_seconds_is_not_ended() {
        let above = 122;
        assert!(seconds(above) < Duration::from_secs(5) && seconds(above) > Duration::from_millis(4850));
        for factor in [2, 10, 100] {
            let sent = |number: u64| if number < above { OCTETS * factor } else { OCTETS / 2 };
            assert_eq!(run(1000, sent), None, "{factor} times");
        }
        let again = |number: u64| if number % 500 < above { OCTETS * 2 } else { OCTETS / 2 };
        assert_eq!(run(5000, again), None, "again and again, within the mean");
    }

    #[test]
    fn a_publisher_that_pauses_between_bursts_is_ended_by_the_mean_of_a_minute() {
        // Frames of a burst and of the pause after it, the burst's factor, and the mean of it all in percent.
        for (burst, pause, factor, mean) in
            [(100, 57, 8, 509), (122, 378, 10, 244), (122, 1378, 100, 813), (25, 75, 5, 125)]
        {
            let sent = |number: u64| if number % (burst + pause) < burst { OCTETS * factor } else { 0 };
            let (after, rate) = run(5000, sent).expect("its mean is above");
            assert!((59..62).contains(&after.as_secs()), "{factor} times: {after:?}");
            let expected = LIMIT * mean / 100;
            assert!(rate.abs_diff(expected) < expected / 5, "{factor} times: {rate}");
        }
    }

    #[test]
    fn a_publisher_that_begins_to_burst_late_is_ended_within_two_minutes() {
        let sent = |number: u64| if number > 10_000 && number % 157 < 100 { OCTETS * 8 } else { OCTETS / 2 };
        let (after, _) = run(20_000, sent).expect("its mean is above");
        assert!((400..521).contains(&after.as_secs()), "{after:?}");
    }

    #[test]
    fn a_publisher_within_the_limit_may_send_any_keyframes() {
        for (interval, share) in [(25, 50), (50, 70), (250, 60), (25, 90), (1000, 20)] {
            let total = OCTETS * interval * 95 / 100;
            let keyframe = total * share / 100;
            let others = (total - keyframe) / (interval - 1);
            let sent = |number: u64| if number.is_multiple_of(interval) { keyframe } else { others };
            assert_eq!(run(5000, sent), None, "every {interval} frames, {share} %");
        }
        assert_eq!(run(5000, |_| OCTETS * 105 / 100), None, "audio and headers come on top");
    }

    #[test]
    fn a_bursty_encoder_whose_mean_is_above_is_ended_too() {
        let total = OCTETS * 50 * 150 / 100;
        let (keyframe, others) = (total * 70 / 100, total * 30 / 100 / 49);
        let ended = run(5000, |number| if number % 50 == 0 { keyframe } else { others });
        assert!(ended.is_some_and(|(after, _)| after < Duration::from_secs(9)), "{ended:?}");
    }

    #[test]
    fn no_limit_is_none() {
        assert!(BitrateLimit::new(0, Instant::now()).is_none());
    }
}
