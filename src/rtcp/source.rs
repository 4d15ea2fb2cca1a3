//! What a receiver knows of one SSRC: loss, jitter and the sender's clock (RFC 3550 6.4.1, A.3, A.8).

use std::time::{Duration, Instant};

use ::rtcp::reception_report::ReceptionReport;

use super::clocks::{Soonest, later};
use super::ntp::{compact, middle};
use super::sender_clock::SenderClock;

/// A report that seems to lag more has a timestamp of another line.
const MOST_LAG: Duration = Duration::from_secs(30);

/// Statistics of one SSRC that is received.
pub(crate) struct Source {
    pub(crate) ssrc: u32,
    clock_rate: u32,
    /// None until the first packet.
    line: Option<Line>,
    /// As its sender says it.
    pub(crate) clock: Option<SenderClock>,
    /// As viewers are told it.
    pub(crate) told: Option<SenderClock>,
    /// Its sender has said that it has no wall clock.
    pub(crate) has_no_clock: bool,
    /// What viewers are told has changed.
    pub(crate) is_news: bool,
}

struct Line {
    first: u64,
    highest: u64,
    received: u64,
    /// Expected and received at the last report.
    reported: (u64, u64),
    /// The packet with the highest index: what it says, and when it came.
    latest: (u32, Instant),
    soonest: Soonest,
    /// In 1/16 of a tick (RFC 3550 A.8).
    jitter: u64,
}

/// How a packet continues the line.
pub(crate) enum Step {
    /// The first packet, or the one behind the highest.
    Next,
    /// Packets are missing between the highest so far, which this holds, and this one.
    Ahead(u64),
    /// It comes late.
    Behind,
}

impl Source {
    pub(crate) fn new(ssrc: u32, clock_rate: u32) -> Self {
        Self { ssrc, clock_rate, line: None, clock: None, told: None, has_no_clock: false, is_news: false }
    }

    pub(crate) fn on_packet(&mut self, index: u64, timestamp: u32, received: Instant) -> Step {
        let Some(line) = &mut self.line else {
            self.line = Some(Line {
                first: index,
                highest: index,
                received: 1,
                reported: (0, 0),
                latest: (timestamp, received),
                soonest: Soonest::new(timestamp, received),
                jitter: 0,
            });
            return Step::Next;
        };
        line.received += 1;
        if index <= line.highest {
            line.first = line.first.min(index);
            return Step::Behind;
        }
        // A packet that comes late, perhaps by retransmission, says nothing about jitter.
        let variation = variation(self.clock_rate, line.latest, (timestamp, received));
        if timestamp != line.latest.0 {
            line.soonest.on_frame(timestamp, received, self.clock_rate);
        }
        line.jitter = line.jitter + variation - ((line.jitter + 8) >> 4);
        line.latest = (timestamp, received);
        let before = std::mem::replace(&mut line.highest, index);
        if before + 1 == index { Step::Next } else { Step::Ahead(before) }
    }

    /// The packet by whose arrival its clock is known best.
    pub(crate) fn soonest(&self) -> Option<(u32, Instant)> {
        self.line.as_ref().map(|line| line.soonest.get())
    }

    /// The moment of which a report speaks: when a packet with its RTP timestamp came, or would have come. That is when
    /// the report came, where its timestamp is none of this line's.
    pub(crate) fn moment(&self, clock: SenderClock) -> Instant {
        let Some((timestamp, came)) = self.soonest() else { return clock.received };
        let ticks = clock.rtp.wrapping_sub(timestamp) as i32;
        let distance = Duration::from_secs_f64(f64::from(ticks.unsigned_abs()) / f64::from(self.clock_rate.max(1)));
        let said = if ticks < 0 { came.checked_sub(distance) } else { came.checked_add(distance) };
        said.filter(|said| clock.received.checked_duration_since(*said).is_some_and(|lag| lag <= MOST_LAG))
            .unwrap_or(clock.received)
    }

    /// When the packet with the highest index came.
    pub(crate) fn heard(&self) -> Option<Instant> {
        self.line.as_ref().map(|line| line.latest.1)
    }

    /// Packets of the line that are not here.
    pub(crate) fn lost(&self) -> u64 {
        self.line.as_ref().map_or(0, |line| (line.highest - line.first + 1).saturating_sub(line.received))
    }

    /// How unevenly packets arrive (RFC 3550 A.8).
    pub(crate) fn jitter(&self) -> Duration {
        let ticks = self.line.as_ref().map_or(0, |line| line.jitter >> 4);
        Duration::from_nanos(ticks.saturating_mul(1_000_000_000) / u64::from(self.clock_rate.max(1)))
    }

    /// The RTP timestamp of the packet with the highest index.
    pub(crate) fn timestamp(&self) -> Option<u32> {
        self.line.as_ref().map(|line| line.latest.0)
    }

    pub(crate) fn highest(&self) -> Option<u64> {
        self.line.as_ref().map(|line| line.highest)
    }

    /// The report block since the last one; `None` if nothing arrived in between.
    pub(crate) fn report(&mut self, now: Instant) -> Option<ReceptionReport> {
        let line = self.line.as_mut()?;
        let expected = line.highest - line.first + 1;
        let (expected_before, received_before) = std::mem::replace(&mut line.reported, (expected, line.received));
        if line.received == received_before {
            return None;
        }
        let expected_now = expected - expected_before;
        let lost_now = expected_now.saturating_sub(line.received - received_before);
        let fraction = (lost_now << 8).checked_div(expected_now).unwrap_or(0);
        let total = expected.saturating_sub(line.received);
        let (last_sender_report, delay) = self
            .clock
            .map_or((0, 0), |clock| (middle(clock.ntp), compact(now.saturating_duration_since(clock.received))));
        Some(ReceptionReport {
            ssrc: self.ssrc,
            fraction_lost: fraction.min(255) as u8,
            // 24 bits with a sign (RFC 3550 6.4.1).
            total_lost: total.min(0x7f_ffff) as u32,
            last_sequence_number: line.highest as u32,
            jitter: (line.jitter >> 4).min(u32::MAX.into()) as u32,
            last_sender_report,
            delay,
        })
    }
}

/// By how much the spacing of two packets differs at the receiver from what their timestamps say, in ticks.
fn variation(clock_rate: u32, before: (u32, Instant), this: (u32, Instant)) -> u64 {
    // An encoder that restarts jumps anywhere; that is no jitter, and ten seconds are more than any.
    let variation = later(before, this, clock_rate).unsigned_abs();
    if variation > 10 * u64::from(clock_rate) { 0 } else { variation }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(20);

    #[test]
    fn loss_is_told_since_the_last_report_and_altogether() {
        let start = Instant::now();
        let mut source = Source::new(7, 48_000);
        assert_eq!(source.report(start), None);
        for index in (100..200).filter(|index| index % 4 != 0) {
            source.on_packet(0x1_0000 + index, index as u32 * 960, start + TICK * index as u32);
        }
        let report = source.report(start).unwrap();
        // 101..=199 expected, of which 104, 108 .. 196 are lost.
        assert_eq!((report.total_lost, report.fraction_lost), (24, (24 * 256 / 99) as u8));
        assert_eq!((report.ssrc, report.last_sequence_number, report.jitter), (7, 0x1_00c7, 0));
        assert_eq!(source.report(start), None, "nothing new");
        source.on_packet(0x1_0000 + 196, 0, start);
        source.on_packet(0x1_0000 + 200, 200 * 960, start + TICK * 200);
        let report = source.report(start).unwrap();
        assert_eq!((report.total_lost, report.fraction_lost), (23, 0));
    }

    #[test]
    fn jitter_nears_the_mean_deviation_and_ignores_a_jump_of_the_encoder() {
        let start = Instant::now();
        let mut source = Source::new(7, 48_000);
        for index in 0..400u32 {
            let late = if index % 2 == 0 { Duration::ZERO } else { Duration::from_millis(5) };
            source.on_packet(index.into(), index * 960, start + TICK * index + late);
        }
        source.on_packet(400, 0x8000_0000, start + TICK * 400);
        // Every packet is 5 ms, 240 ticks, off its predecessor's spacing.
        let jitter = source.report(start).unwrap().jitter;
        assert!((220..=241).contains(&jitter), "{jitter}");
    }

    #[test]
    fn the_delay_since_the_senders_report_is_in_units_of_65536ths() {
        let start = Instant::now();
        let mut source = Source::new(7, 90_000);
        source.clock = Some(SenderClock { ntp: 0x1234_5678_9abc_def0, rtp: 1, received: start });
        source.on_packet(1, 1, start);
        let report = source.report(start + Duration::from_millis(1500)).unwrap();
        assert_eq!((report.last_sender_report, report.delay), (0x5678_9abc, 98_304));
    }
}
