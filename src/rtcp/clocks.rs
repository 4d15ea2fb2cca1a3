//! One wall clock for all tracks of a publisher, so that viewers play its audio and video together.
//!
//! Sender reports to viewers relate the RTP timestamps of each track to a wall clock, and only the difference between
//! the tracks matters. Publishers send that clock in sender reports (RFC 3550 6.4.1). Some have no wall clock (NTP
//! timestamp 0), some report on one track or on none, and some step their clock. The rules: steps are corrected, so
//! that the clock of the reports to viewers does not step; and while one track has no clock, the arrival of packets is
//! the clock of all.

use std::time::{Duration, Instant};

use super::ntp::fixed_point;
use super::sender_clock::{Basis, SenderClock};

/// How long a track may be without a clock before arrival becomes the clock of all: two report intervals (RFC 3550
/// 6.2), or six for a publisher that has not sent any report.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const PATIENCE_WITHOUT_REPORTS: Duration = Duration::from_secs(30);

/// A larger difference to the expected clock is a step, because no report is late by that much; in 1/2^32 s.
const STEP: u64 = 1 << 31;

/// The wall clock at the first packet of a publisher without a clock: the year 1970 as an NTP timestamp (RFC 5905 6).
const EPOCH: u64 = 2_208_988_800 << 32;

/// The wall clock of the sender reports to viewers.
#[derive(Debug, Default)]
pub(crate) struct WallClock {
    /// The instant that times are counted from.
    origin: Option<Instant>,
    /// The clock at `origin` by its latest reading; `None` before the first.
    at_origin: Option<u64>,
    /// Added to the publisher's clock to correct steps, modulo 2^64.
    correction: u64,
}

impl WallClock {
    /// The publisher's clock for viewers, with steps corrected. `instant` is when the report would have arrived without
    /// delay: a delayed report is not a step.
    pub(crate) fn read(&mut self, clock: SenderClock, instant: Instant) -> SenderClock {
        let shown = clock.ntp.wrapping_sub(self.elapsed(instant)).wrapping_add(self.correction);
        let expected = *self.at_origin.get_or_insert(shown);
        let off = shown.wrapping_sub(expected);
        if off.min(off.wrapping_neg()) <= STEP {
            self.at_origin = Some(shown);
        } else {
            self.correction = self.correction.wrapping_sub(off);
        }
        SenderClock { ntp: clock.ntp.wrapping_add(self.correction), ..clock }
    }

    /// The clock of a track from the arrival of a packet.
    pub(crate) fn by_arrival(&mut self, (rtp, received): (u32, Instant)) -> SenderClock {
        let elapsed = self.elapsed(received);
        let ntp = self.at_origin.get_or_insert(EPOCH).wrapping_add(elapsed);
        SenderClock { ntp, rtp, received, basis: Basis::Arrival }
    }

    /// Whether there has been a reading.
    pub(crate) fn is_known(&self) -> bool {
        self.at_origin.is_some()
    }

    /// The time since the origin, modulo 2^64; it may be negative.
    fn elapsed(&mut self, now: Instant) -> u64 {
        let origin = *self.origin.get_or_insert(now);
        match now.checked_duration_since(origin) {
            Some(elapsed) => fixed_point(elapsed),
            None => fixed_point(origin - now).wrapping_neg(),
        }
    }
}

/// The recent packet of one track that arrived soonest after its timestamp, which says most about the clock.
#[derive(Debug)]
pub(crate) struct Soonest {
    best: (u32, Instant),
    /// The best since `since`, which replaces `best` after [`WINDOW`], because clocks drift.
    next: (u32, Instant),
    since: Instant,
}

/// How long the soonest packet is searched for before it replaces the previous one.
const WINDOW: Duration = Duration::from_secs(5);

/// A packet that is later than this has timestamps of another encoder run.
const JUMP: Duration = Duration::from_secs(2);

impl Soonest {
    /// Begins with the first packet.
    pub(crate) fn new(timestamp: u32, received: Instant) -> Self {
        let first = (timestamp, received);
        Self { best: first, next: first, since: received }
    }

    /// Takes the first packet of another frame.
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

    /// The timestamp and arrival of the soonest packet.
    pub(crate) fn get(&self) -> (u32, Instant) {
        self.best
    }
}

/// The delay of the second packet relative to the first, in ticks: the difference of their arrivals less that of their
/// timestamps.
pub(crate) fn later((before, came_before): (u32, Instant), (timestamp, came): (u32, Instant), clock_rate: u32) -> i64 {
    let elapsed = ticks(came.saturating_duration_since(came_before), clock_rate);
    elapsed as i64 - i64::from(timestamp.wrapping_sub(before) as i32)
}

/// A duration in ticks of a clock, up to an hour.
fn ticks(duration: Duration, clock_rate: u32) -> u64 {
    // In 64 bits: a 128-bit division takes longer than everything else for a packet here.
    let nanoseconds = duration.as_secs().min(3_600) * 1_000_000_000 + u64::from(duration.subsec_nanos());
    nanoseconds * u64::from(clock_rate) / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NTP: u64 = 3_900_000_000 << 32;

    fn read(wall: &mut WallClock, ntp: u64, received: Instant) -> u64 {
        wall.read(SenderClock { ntp, rtp: 0, received, basis: Basis::Report }, received).ntp
    }

    #[test]
    fn viewers_do_not_see_a_clock_step() {
        let start = Instant::now();
        let at = |seconds: u32| start + SECOND * seconds;
        let after = |seconds: u64| NTP + (seconds << 32);
        let mut wall = WallClock::default();
        assert_eq!(read(&mut wall, after(0), at(0)), after(0));
        assert_eq!(read(&mut wall, after(5) + (1 << 28), at(5)), after(5) + (1 << 28), "an early report is no step");
        assert_eq!(read(&mut wall, after(3_606), at(6)), after(6) + (1 << 28));
        assert_eq!(read(&mut wall, after(3_608), at(8)), after(8) + (1 << 28), "all tracks have one correction");
        assert_eq!(read(&mut wall, after(9), at(9)), after(9) + (1 << 28), "and back");
        assert_eq!(read(&mut wall, 0u64.wrapping_sub(1 << 40), at(10)), after(10) + (1 << 28), "anywhere");
    }

    #[test]
    fn the_clock_by_arrival_continues_the_publishers_and_is_continued_by_it() {
        let start = Instant::now();
        let mut wall = WallClock::default();
        read(&mut wall, NTP, start);
        assert_eq!(wall.by_arrival((7, start + 2 * SECOND)).ntp, NTP + (2 << 32));
        let mut wall = WallClock::default();
        assert_eq!(wall.by_arrival((7, start)).ntp, EPOCH);
        assert_eq!(read(&mut wall, NTP, start + SECOND), EPOCH + (1 << 32));
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
