//! One synthetic viewer: receives an RTP stream, and reports on it once per second. One that measures its link also
//! reports the arrival of each packet.

use std::time::{Duration, Instant};

use ::rtcp::receiver_report::ReceiverReport;
use ::rtcp::reception_report::ReceptionReport;

use super::downlink::Downlink;
use super::link::{Buffers, Link};
use super::payload::wall_clock;
use super::rtp_stream::ReceivedStream;
use crate::peer::PeerEvent;
use crate::peer::client::Track;
use crate::rtcp;
use crate::rtcp::{Arrivals, Compound, RtcpPacket};
use crate::sdp::Extension;
use crate::srtp::{Clear, Opener};

/// Time between two receiver reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The SSRC of a viewer that sends nothing else.
const OWN_SSRC: u32 = 1;

pub(super) struct Viewer {
    pub(super) link: Link,
    pub(super) line: ReceivedStream,
    /// The end of its link, if that is limited.
    pub(super) downlink: Option<Downlink>,
    feedback: Option<TransportFeedback>,
    asked: Instant,
    /// From the request for a session to the DTLS connection.
    pub(super) connected_after: Option<Duration>,
    next_report: Option<Instant>,
    /// The middle 32 bits of the latest sender report's NTP time, and when it arrived.
    sender_report: Option<(u32, Instant)>,
    pub(super) ended: Option<String>,
}

/// How a viewer is made.
pub(super) struct Config {
    /// When it asked for its session.
    pub(super) asked: Instant,
    /// It decrypts its packets.
    pub(super) is_sample: bool,
    /// It reports the arrival of each packet.
    pub(super) measures_link: bool,
    /// The end of its link, if that is limited.
    pub(super) downlink: Option<Downlink>,
}

/// What it has to report about the arrival of packets, by their transport-wide numbers.
struct TransportFeedback {
    /// The id of the extension with the number.
    id: u8,
    arrivals: Arrivals,
}

impl TransportFeedback {
    fn new(track: &Track) -> Option<Self> {
        let (id, _) = track.extensions.iter().find(|(_, extension)| *extension == Extension::TransportWideCc)?;
        Some(Self { id: *id, arrivals: Arrivals::new() })
    }

    fn take(&mut self, datagram: &[u8], at: Instant) {
        let Some(ssrc) = datagram.get(8..12).and_then(|octets| octets.first_chunk()) else { return };
        if let Some(number) = transport_number(datagram, self.id) {
            self.arrivals.on_packet(u32::from_be_bytes(*ssrc), number, at);
        }
    }
}

impl Viewer {
    /// A viewer of this track.
    pub(super) fn new(link: Link, track: Option<&Track>, config: Config) -> Self {
        let Config { asked, is_sample, measures_link, downlink } = config;
        let ssrc = track.and_then(|track| track.ssrc);
        let rtx_ssrc = track.and_then(|track| track.rtx_ssrc);
        Self {
            link,
            line: ReceivedStream::new(ssrc, rtx_ssrc, is_sample),
            downlink,
            feedback: track.filter(|_| measures_link).and_then(TransportFeedback::new),
            asked,
            connected_after: None,
            next_report: None,
            sender_report: None,
            ended: None,
        }
    }

    pub(super) fn begin_counting(&mut self) {
        self.line.begin_counting();
        if let Some(downlink) = &mut self.downlink {
            downlink.dropped = 0;
        }
    }

    /// From the request for a session to the first packet.
    pub(super) fn media_after(&self) -> Option<Duration> {
        self.line.began.map(|began| began.saturating_duration_since(self.asked))
    }

    /// Receives all packets that wait; true if a timer may have changed, which media alone does only where the viewer
    /// measures its link.
    pub(super) fn receive(&mut self, buffers: &mut Buffers, now: Instant) -> bool {
        let Self { link, line, downlink, feedback, .. } = self;
        let clock = wall_clock();
        let other = link.receive(buffers, now, |datagram, at| {
            let arrived = now.checked_sub(clock.saturating_sub(at)).unwrap_or(now);
            if let Some(downlink) = downlink {
                return downlink.push(datagram, arrived, at);
            }
            if let Some(feedback) = feedback {
                feedback.take(datagram, arrived);
            }
            line.take(datagram, at, now);
        });
        let measures_link = self.feedback.is_some() || self.downlink.is_some();
        self.expect_report(now) || measures_link || other
    }

    /// Sets when the first report is due, once media has arrived; true if it did.
    fn expect_report(&mut self, now: Instant) -> bool {
        let begins = self.next_report.is_none() && self.line.began.is_some();
        if begins {
            self.next_report = Some(now + REPORT_INTERVAL);
        }
        begins
    }

    /// Takes the packets that have reached the end of its link.
    fn deliver(&mut self, now: Instant) {
        while let Some(mut delivery) = self.downlink.as_mut().and_then(|downlink| downlink.pop(now)) {
            if let Some(feedback) = &mut self.feedback {
                feedback.take(&delivery.datagram, delivery.at);
            }
            self.line.take(&mut delivery.datagram, delivery.reached + delivery.delay, now);
        }
        self.expect_report(now);
    }

    /// Handles the relay's events.
    pub(super) fn take_events(&mut self, now: Instant) {
        while let Some(compound) = self.link.poll_rtcp() {
            self.take_rtcp(&compound, now);
        }
        while let Some(event) = self.link.poll_event() {
            match event {
                PeerEvent::Connected(keys) => {
                    self.connected_after = Some(now.saturating_duration_since(self.asked));
                    self.line.open_with(|| Opener::new(&keys.remote));
                }
                PeerEvent::Closed => self.ended = Some("the relay ended the session".to_owned()),
                PeerEvent::Unanswered => self.ended = Some("the relay did not complete DTLS".to_owned()),
                PeerEvent::Failed(reason) => self.ended = Some(reason),
                PeerEvent::Misused(violation) => self.ended = Some(violation.to_string()),
                PeerEvent::ChannelOpened(_) | PeerEvent::ChannelMessage(..) => {}
            }
        }
    }

    fn take_rtcp(&mut self, compound: &[u8], now: Instant) {
        for packet in rtcp::packets(compound) {
            if let RtcpPacket::SenderReport { ssrc, ntp, .. } = packet
                && self.line.ssrc() == Some(ssrc)
            {
                self.sender_report = Some(((ntp >> 16) as u32, now));
            }
        }
    }

    /// Takes the packets and sends the reports that are due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.deliver(now);
        if let Some(feedback) = &mut self.feedback {
            while let Some(report) = feedback.arrivals.poll(OWN_SSRC, now) {
                self.link.send_rtcp(vec![Box::new(report)], now);
            }
        }
        if self.next_report.is_some_and(|due| due <= now) {
            self.next_report = Some(now + REPORT_INTERVAL);
            if let Some(report) = self.report(now) {
                self.link.send_rtcp(report, now);
            }
        }
    }

    /// When the next packet reaches the end of its link or the next report is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let arrival = self.downlink.as_ref().and_then(Downlink::poll_timeout);
        let feedback = self.feedback.as_ref().and_then(|feedback| feedback.arrivals.poll_timeout());
        [self.next_report, arrival, feedback].into_iter().flatten().min()
    }

    fn report(&mut self, now: Instant) -> Option<Compound> {
        let reception = self.line.report()?;
        let (last_sender_report, delay) = match self.sender_report {
            // In units of 1/65536 s (RFC 3550 6.4.1).
            Some((middle, at)) => (middle, (now.saturating_duration_since(at).as_secs_f64() * 65_536.0) as u32),
            None => (0, 0),
        };
        let reports = vec![ReceptionReport { last_sender_report, delay, ..reception }];
        Some(vec![Box::new(ReceiverReport { ssrc: OWN_SSRC, reports, ..Default::default() })])
    }
}

/// The transport-wide number of a packet, from the header extension with this id.
fn transport_number(datagram: &[u8], id: u8) -> Option<u16> {
    let extension = Clear::read(datagram).ok()?.extension?;
    let (_, number) = extension.elements(datagram).find(|(found, _)| *found == id)?;
    number.first_chunk().copied().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transport_wide_number_is_found_among_other_extensions() {
        let mut packet = vec![0x91, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 1, 1, 1];
        packet.extend([0xbe, 0xde, 0, 2, 0x10, b'0', 0, 0x31, 0x12, 0x34, 0, 0, 0x31, 9, 9]);
        assert_eq!((transport_number(&packet, 3), transport_number(&packet, 4)), (Some(0x1234), None));
        for len in 0..20 {
            assert_eq!(transport_number(&packet[..len], 3), None, "{len}");
        }
        packet[0] = 0x81;
        assert_eq!(transport_number(&packet, 3), None);
    }
}
