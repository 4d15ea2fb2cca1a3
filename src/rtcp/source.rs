//! Statistics of one received SSRC: loss, jitter and the sender's clock (RFC 3550 6.4.1, A.3, A.8).

use std::time::{Duration, Instant};

use ::rtcp::reception_report::ReceptionReport;

use super::clocks::{Soonest, later};
use super::ntp::{compact, middle};
use super::sender_clock::SenderClock;

/// A report that seems to be delayed more has a timestamp of another RTP stream.
const MOST_LAG: Duration = Duration::from_secs(30);

/// Statistics of one SSRC that is received.
pub(crate) struct Source {
    pub(crate) ssrc: u32,
    clock_rate: u32,
    /// `None` until the first packet.
    stream: Option<RtpStream>,
    /// From the latest sender report.
    pub(crate) clock: Option<SenderClock>,
    /// As in the sender reports to viewers.
    pub(crate) for_viewers: Option<SenderClock>,
    /// True if its sender reports that it has no wall clock.
    pub(crate) has_no_clock: bool,
    /// True if `for_viewers` has changed.
    pub(crate) is_news: bool,
}

struct RtpStream {
    first: u64,
    highest: u64,
    received: u64,
    /// Packets expected and received at the last report.
    reported: (u64, u64),
    /// Timestamp and arrival of the packet with the highest index.
    latest: (u32, Instant),
    soonest: Soonest,
    /// In 1/16 of a tick (RFC 3550 A.8).
    jitter: u64,
}

/// How a packet continues the RTP stream.
pub(crate) enum Step {
    /// The first packet, or the one behind the highest.
    Next,
    /// Packets are missing between the highest so far, which this holds, and this one.
    Ahead(u64),
    /// The packet is below the highest index.
    Behind,
}

impl Source {
    pub(crate) fn new(ssrc: u32, clock_rate: u32) -> Self {
        Self { ssrc, clock_rate, stream: None, clock: None, for_viewers: None, has_no_clock: false, is_news: false }
    }

    pub(crate) fn on_packet(&mut self, index: u64, timestamp: u32, received: Instant) -> Step {
        let Some(stream) = &mut self.stream else {
            self.stream = Some(RtpStream {
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
        stream.received += 1;
        if index <= stream.highest {
            stream.first = stream.first.min(index);
            return Step::Behind;
        }
        // A late packet, perhaps a retransmission, says nothing about jitter.
        let variation = variation(self.clock_rate, stream.latest, (timestamp, received));
        if timestamp != stream.latest.0 {
            stream.soonest.on_frame(timestamp, received, self.clock_rate);
        }
        stream.jitter = stream.jitter + variation - ((stream.jitter + 8) >> 4);
        stream.latest = (timestamp, received);
        let before = std::mem::replace(&mut stream.highest, index);
        if before + 1 == index { Step::Next } else { Step::Ahead(before) }
    }

    /// Timestamp and arrival of the packet that arrived soonest after its timestamp.
    pub(crate) fn soonest(&self) -> Option<(u32, Instant)> {
        self.stream.as_ref().map(|stream| stream.soonest.get())
    }

    /// The instant of a sender report: when a packet with its RTP timestamp arrived or would have arrived. It is the
    /// arrival of the report if its timestamp does not fit the RTP stream.
    pub(crate) fn moment(&self, clock: SenderClock) -> Instant {
        let Some((timestamp, came)) = self.soonest() else { return clock.received };
        let ticks = clock.rtp.wrapping_sub(timestamp) as i32;
        let distance = Duration::from_secs_f64(f64::from(ticks.unsigned_abs()) / f64::from(self.clock_rate.max(1)));
        let instant = if ticks < 0 { came.checked_sub(distance) } else { came.checked_add(distance) };
        instant
            .filter(|instant| clock.received.checked_duration_since(*instant).is_some_and(|lag| lag <= MOST_LAG))
            .unwrap_or(clock.received)
    }

    /// When the packet with the highest index arrived.
    pub(crate) fn heard(&self) -> Option<Instant> {
        self.stream.as_ref().map(|stream| stream.latest.1)
    }

    /// Packets that have not arrived.
    pub(crate) fn lost(&self) -> u64 {
        self.stream.as_ref().map_or(0, |stream| (stream.highest - stream.first + 1).saturating_sub(stream.received))
    }

    /// Interarrival jitter (RFC 3550 A.8).
    pub(crate) fn jitter(&self) -> Duration {
        let ticks = self.stream.as_ref().map_or(0, |stream| stream.jitter >> 4);
        Duration::from_nanos(ticks.saturating_mul(1_000_000_000) / u64::from(self.clock_rate.max(1)))
    }

    /// The RTP timestamp of the packet with the highest index.
    pub(crate) fn timestamp(&self) -> Option<u32> {
        self.stream.as_ref().map(|stream| stream.latest.0)
    }

    pub(crate) fn highest(&self) -> Option<u64> {
        self.stream.as_ref().map(|stream| stream.highest)
    }

    /// The report block since the last one; `None` if nothing arrived in between.
    pub(crate) fn report(&mut self, now: Instant) -> Option<ReceptionReport> {
        let stream = self.stream.as_mut()?;
        let expected = stream.highest - stream.first + 1;
        let (expected_before, received_before) = std::mem::replace(&mut stream.reported, (expected, stream.received));
        if stream.received == received_before {
            return None;
        }
        let expected_now = expected - expected_before;
        let lost_now = expected_now.saturating_sub(stream.received - received_before);
        let fraction = (lost_now << 8).checked_div(expected_now).unwrap_or(0);
        let total = expected.saturating_sub(stream.received);
        let (last_sender_report, delay) = self
            .clock
            .map_or((0, 0), |clock| (middle(clock.ntp), compact(now.saturating_duration_since(clock.received))));
        Some(ReceptionReport {
            ssrc: self.ssrc,
            fraction_lost: fraction.min(255) as u8,
            // 24 bits with a sign (RFC 3550 6.4.1).
            total_lost: total.min(0x7f_ffff) as u32,
            last_sequence_number: stream.highest as u32,
            jitter: (stream.jitter >> 4).min(u32::MAX.into()) as u32,
            last_sender_report,
            delay,
        })
    }
}

/// The difference between the spacing of two packets at the receiver and in their timestamps, in ticks.
fn variation(clock_rate: u32, before: (u32, Instant), this: (u32, Instant)) -> u64 {
    // A restarted encoder has arbitrary timestamps, which is not jitter; jitter is always below 10 s.
    let variation = later(before, this, clock_rate).unsigned_abs();
    if variation > 10 * u64::from(clock_rate) { 0 } else { variation }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::Basis;

    const TICK: Duration = Duration::from_millis(20);

    #[test]
    fn loss_is_reported_since_the_last_report_and_in_total() {
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
    fn jitter_approaches_the_mean_deviation_and_ignores_an_encoder_restart() {
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
        source.clock = Some(SenderClock { ntp: 0x1234_5678_9abc_def0, rtp: 1, received: start, basis: Basis::Report });
        source.on_packet(1, 1, start);
        let report = source.report(start + Duration::from_millis(1500)).unwrap();
        assert_eq!((report.last_sender_report, report.delay), (0x5678_9abc, 98_304));
    }
}
