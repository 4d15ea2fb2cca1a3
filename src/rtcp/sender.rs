//! Sender reports to viewers, so that their audio and video play together, the round-trip time that viewers' reports
//! show, and keyframe requests to publishers.

use std::time::{Duration, Instant};

use ::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use ::rtcp::sender_report::SenderReport;

use super::compound::{Compound, description};
use super::ntp::{fixed_point, middle};
use super::sender_clock::SenderClock;

/// What a sender report says about one outbound track.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    /// The outbound track's SSRC.
    pub(crate) ssrc: u32,
    /// The publisher's clock; all tracks of one publisher share its wall clock, so that they play together.
    pub(crate) clock: SenderClock,
    /// `clock.rtp` as a timestamp of the outbound RTP stream.
    pub(crate) rtp: u32,
    /// Ticks per second.
    pub(crate) clock_rate: u32,
    /// Packets sent on this SSRC; wraps.
    pub(crate) packets: u32,
    /// Payload bytes sent on this SSRC; wraps.
    pub(crate) octets: u32,
}

/// A sender report and source description (RFC 3550 6.4.1, 6.5.1), with both clocks extrapolated to `now`, and the LSR
/// value by which the viewer's reports will name it.
#[must_use]
pub(crate) fn sender_report(outgoing: &Outgoing, cname: &str, now: Instant) -> (Compound, u32) {
    let elapsed = now.saturating_duration_since(outgoing.clock.received);
    let ticks = elapsed.as_nanos() * u128::from(outgoing.clock_rate) / 1_000_000_000;
    let ntp_time = outgoing.clock.ntp.wrapping_add(fixed_point(elapsed));
    let report = SenderReport {
        ssrc: outgoing.ssrc,
        ntp_time,
        rtp_time: outgoing.rtp.wrapping_add(ticks as u32),
        packet_count: outgoing.packets,
        octet_count: outgoing.octets,
        ..SenderReport::default()
    };
    (vec![Box::new(report), description(outgoing.ssrc, cname)], middle(ntp_time))
}

/// A keyframe request (PLI, RFC 4585 6.3.1). The keyframe gate decides when it is sent.
#[must_use]
pub(crate) fn keyframe_request(sender_ssrc: u32, media_ssrc: u32) -> Compound {
    vec![Box::new(PictureLossIndication { sender_ssrc, media_ssrc })]
}

/// The round-trip time to a viewer. It keeps when recent reports were sent, so that it depends only on the relay's
/// clock: the publisher's clock in the reports may jump at a takeover.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    /// The LSR value of a report, and when it was sent; the oldest is overwritten.
    sent: [Option<(u32, Instant)>; 4],
    next: usize,
}

impl RoundTrip {
    /// A sender report was sent; `named` is its LSR value from [`sender_report`].
    pub(crate) fn on_sent(&mut self, named: u32, now: Instant) {
        self.sent[self.next] = Some((named, now));
        self.next = (self.next + 1) % self.sent.len();
    }

    /// The round-trip time by a viewer's report (RFC 3550 6.4.1): `last_sr` names the sender report, `delay` is the
    /// time from its arrival to the viewer's report, in 1/65536 s. `None` if it names no recent report.
    #[must_use]
    pub(crate) fn measure(&self, last_sr: u32, delay: u32, now: Instant) -> Option<Duration> {
        let (_, left) = self.sent.iter().flatten().find(|(named, _)| *named == last_sr)?;
        let waited = Duration::from_nanos((u64::from(delay) * 1_000_000_000) >> 16);
        now.saturating_duration_since(*left).checked_sub(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::Basis;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_report_extrapolates_both_clocks() {
        let start = Instant::now();
        let clock = SenderClock { ntp: 0x0000_0010_c000_0000, rtp: 5, received: start, basis: Basis::Report };
        let outgoing = Outgoing { ssrc: 7, clock, rtp: u32::MAX, clock_rate: 90_000, packets: 2, octets: 3 };
        let (compound, named) = sender_report(&outgoing, "relay", start + 500 * MS);
        let report = compound[0].as_any().downcast_ref::<SenderReport>().unwrap();
        assert_eq!((report.ntp_time, report.rtp_time), (0x0000_0011_4000_0000, 44_999));
        assert_eq!((report.ssrc, report.packet_count, report.octet_count), (7, 2, 3));
        assert_eq!(named, 0x0011_4000);
        assert!(::rtcp::packet::marshal(&compound).is_ok());
    }

    #[test]
    fn the_round_trip_time_excludes_the_delay_at_the_viewer() {
        let start = Instant::now();
        let mut round_trip = RoundTrip::default();
        for report in 1..=5 {
            round_trip.on_sent(report, start + report * 1000 * MS);
        }
        let now = start + 6000 * MS;
        assert_eq!(round_trip.measure(5, 65_536 - 6_554, now).map(|time| time.as_millis()), Some(100));
        assert_eq!(round_trip.measure(1, 0, now), None, "forgotten");
        assert_eq!(round_trip.measure(0, 0, now), None, "the viewer has no report yet");
        assert_eq!(round_trip.measure(5, 70_000, now), None, "it waited longer than it can have");
    }

    #[test]
    fn a_keyframe_request_is_a_picture_loss_indication() {
        let packets = keyframe_request(1, 2);
        let expected = PictureLossIndication { sender_ssrc: 1, media_ssrc: 2 };
        assert_eq!(packets[0].as_any().downcast_ref(), Some(&expected));
    }
}
