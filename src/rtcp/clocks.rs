//! One wall clock for all tracks of a publisher, so that viewers play its audio and video together.
//!
//! What a viewer is told relates each track's RTP timestamps to a wall clock, and only the difference between the tracks
//! matters to it. Publishers give it in sender reports (RFC 3550 6.4.1). Some have no wall clock (NTP timestamp 0), some
//! report on one track only or on none, and some step their clock. The rules: a clock that steps goes on, as viewers are
//! told it, as if it had not; and while one track has no clock, the clock of all of them is the arrival of their packets.

use std::time::{Duration, Instant};

use super::ntp::fixed_point;
use super::sender_clock::SenderClock;

/// How long a track may be without a clock before all are told by arrival: two intervals of reports (RFC 3550 6.2), and of
/// a publisher that has not reported at all yet, six.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const PATIENCE_WITHOUT_REPORTS: Duration = Duration::from_secs(30);

/// A clock that is off by more than a report can be late has been stepped: in 1/2^32 s.
const STEP: u64 = 1 << 31;

/// What the wall clock of a publisher without one shows when its first packet arrives: 1970, in seconds (RFC 5905 6).
const EPOCH: u64 = 2_208_988_800 << 32;

/// The wall clock that viewers are told.
#[derive(Debug, Default)]
pub(crate) struct WallClock {
    /// The moment from which times are counted here.
    origin: Option<Instant>,
    /// What the clock shows then, by its latest reading; `None` before the first.
    at_origin: Option<u64>,
    /// Added to what the publisher says, because its clock has been stepped. Modulo 2^64.
    correction: u64,
}

impl WallClock {
    /// The publisher's clock as viewers are told it. Its reading moves the clock on. `said` is when the report would
    /// have come without delay on its way: a report that lags is no step of the clock.
    pub(crate) fn read(&mut self, clock: SenderClock, said: Instant) -> SenderClock {
        let shown = clock.ntp.wrapping_sub(self.elapsed(said)).wrapping_add(self.correction);
        let expected = *self.at_origin.get_or_insert(shown);
        let off = shown.wrapping_sub(expected);
        if off.min(off.wrapping_neg()) <= STEP {
            self.at_origin = Some(shown);
        } else {
            self.correction = self.correction.wrapping_sub(off);
        }
        SenderClock { ntp: clock.ntp.wrapping_add(self.correction), ..clock }
    }

    /// The clock of a track by the arrival of a packet.
    pub(crate) fn by_arrival(&mut self, (rtp, received): (u32, Instant)) -> SenderClock {
        let elapsed = self.elapsed(received);
        let ntp = self.at_origin.get_or_insert(EPOCH).wrapping_add(elapsed);
        SenderClock { ntp, rtp, received }
    }

    /// True once the publisher has said what its clock shows.
    pub(crate) fn is_known(&self) -> bool {
        self.at_origin.is_some()
    }

    /// Since the origin, modulo 2^64: what is before it counts too.
    fn elapsed(&mut self, now: Instant) -> u64 {
        let origin = *self.origin.get_or_insert(now);
        match now.checked_duration_since(origin) {
            Some(elapsed) => fixed_point(elapsed),
            None => fixed_point(origin - now).wrapping_neg(),
        }
    }
}

/// The packet of one track that came soonest after its timestamp, lately: what arrived late says less about the clock.
#[derive(Debug)]
pub(crate) struct Soonest {
    best: (u32, Instant),
    /// The best since `since`, which follows when that is over: clocks drift.
    next: (u32, Instant),
    since: Instant,
}

/// From one look for the soonest packet to the next.
const WINDOW: Duration = Duration::from_secs(5);

/// What is later than this has other timestamps.
const JUMP: Duration = Duration::from_secs(2);

impl Soonest {
    /// The first packet.
    pub(crate) fn new(timestamp: u32, received: Instant) -> Self {
        let first = (timestamp, received);
        Self { best: first, next: first, since: received }
    }

    /// The first packet of another frame.
    pub(crate) fn on_frame(&mut self, timestamp: u32, received: Instant, clock_rate: u32) {
        let this = (timestamp, received);
        let late = later(self.best, this, clock_rate);
        if late > ticks(JUMP, clock_rate) as i64 {
            *self = Self::new(timestamp, received);
        } else if late <= 0 {
            (self.best, self.next) = (this, this);
        } else if later(self.next, this, clock_rate) <= 0 {
            self.next = this;
        }
        if received.saturating_duration_since(self.since) >= WINDOW {
            (self.best, self.next, self.since) = (self.next, this, received);
        }
    }

    /// Timestamp and arrival.
    pub(crate) fn get(&self) -> (u32, Instant) {
        self.best
    }
}

/// By how much the second packet came later after the first than their timestamps say, in ticks.
pub(crate) fn later((before, came_before): (u32, Instant), (timestamp, came): (u32, Instant), clock_rate: u32) -> i64 {
    let elapsed = ticks(came.saturating_duration_since(came_before), clock_rate);
    elapsed as i64 - i64::from(timestamp.wrapping_sub(before) as i32)
}

/// A duration in ticks of a clock, up to an hour.
fn ticks(duration: Duration, clock_rate: u32) -> u64 {
    // In 64 bits: a division of 128 takes longer than all else that is done for a packet here.
    let nanoseconds = duration.as_secs().min(3_600) * 1_000_000_000 + u64::from(duration.subsec_nanos());
    nanoseconds * u64::from(clock_rate) / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NTP: u64 = 3_900_000_000 << 32;

    fn told(wall: &mut WallClock, ntp: u64, received: Instant) -> u64 {
        wall.read(SenderClock { ntp, rtp: 0, received }, received).ntp
    }

    #[test]
    fn a_clock_that_steps_goes_on_as_viewers_are_told_it() {
        let start = Instant::now();
        let at = |seconds: u32| start + SECOND * seconds;
        let after = |seconds: u64| NTP + (seconds << 32);
        let mut wall = WallClock::default();
        assert_eq!(told(&mut wall, after(0), at(0)), after(0));
        assert_eq!(told(&mut wall, after(5) + (1 << 28), at(5)), after(5) + (1 << 28), "an early report is no step");
        assert_eq!(told(&mut wall, after(3_606), at(6)), after(6) + (1 << 28));
        assert_eq!(told(&mut wall, after(3_608), at(8)), after(8) + (1 << 28), "all tracks have one correction");
        assert_eq!(told(&mut wall, after(9), at(9)), after(9) + (1 << 28), "and back");
        assert_eq!(told(&mut wall, 0u64.wrapping_sub(1 << 40), at(10)), after(10) + (1 << 28), "anywhere");
    }

    #[test]
    fn the_clock_by_arrival_goes_on_from_the_publishers_and_to_it() {
        let start = Instant::now();
        let mut wall = WallClock::default();
        told(&mut wall, NTP, start);
        assert_eq!(wall.by_arrival((7, start + 2 * SECOND)).ntp, NTP + (2 << 32));
        let mut wall = WallClock::default();
        assert_eq!(wall.by_arrival((7, start)).ntp, EPOCH);
        assert_eq!(told(&mut wall, NTP, start + SECOND), EPOCH + (1 << 32));
    }

    #[test]
    fn the_soonest_packet_counts_until_the_clock_has_drifted_away() {
        let start = Instant::now();
        let at = |frame: u32, late: u64| start + SECOND / 25 * frame + Duration::from_millis(late);
        let mut soonest = Soonest::new(0, at(0, 30));
        for frame in 1..100 {
            soonest.on_frame(3_600 * frame, at(frame, 5 + u64::from(frame * 7 % 40)), 90_000);
        }
        let (rtp, received) = soonest.get();
        assert!(received <= at(rtp / 3_600, 6));
        // Another 200 ms on the way, for good.
        for frame in 100..400 {
            soonest.on_frame(3_600 * frame, at(frame, 200), 90_000);
        }
        let (rtp, received) = soonest.get();
        assert_eq!(received, at(rtp / 3_600, 200));
        // Other timestamps.
        soonest.on_frame(77, at(400, 0), 90_000);
        assert_eq!(soonest.get(), (77, at(400, 0)));
    }
}
