//! One synthetic viewer: receives an RTP stream, and reports on it once per second.

use std::time::{Duration, Instant};

use ::rtcp::receiver_report::ReceiverReport;
use ::rtcp::reception_report::ReceptionReport;

use super::link::{Buffers, Link};
use super::rtp_stream::ReceivedStream;
use crate::peer::PeerEvent;
use crate::peer::client::Track;
use crate::rtcp;
use crate::rtcp::{Compound, RtcpPacket};
use crate::srtp::Opener;

/// Time between two receiver reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The SSRC of a viewer that sends nothing else.
const OWN_SSRC: u32 = 1;

pub(super) struct Viewer {
    pub(super) link: Link,
    pub(super) line: ReceivedStream,
    asked: Instant,
    /// From the request for a session to the DTLS connection.
    pub(super) connected_after: Option<Duration>,
    next_report: Option<Instant>,
    /// The middle 32 bits of the latest sender report's NTP time, and when it arrived.
    sender_report: Option<(u32, Instant)>,
    pub(super) ended: Option<String>,
}

impl Viewer {
    /// A viewer that asked for its session at this time and decrypts its packets if it is in the sample.
    pub(super) fn new(link: Link, track: Option<&Track>, asked: Instant, is_sample: bool) -> Self {
        Self {
            link,
            line: ReceivedStream::new(track.and_then(|track| track.ssrc), is_sample),
            asked,
            connected_after: None,
            next_report: None,
            sender_report: None,
            ended: None,
        }
    }

    /// From the request for a session to the first packet.
    pub(super) fn media_after(&self) -> Option<Duration> {
        self.line.began.map(|began| began.saturating_duration_since(self.asked))
    }

    /// Receives all packets that wait; true if there was anything but media.
    pub(super) fn receive(&mut self, buffers: &mut Buffers, now: Instant) -> bool {
        let Self { link, line, .. } = self;
        let other = link.receive(buffers, now, |datagram, at| line.take(datagram, at, now));
        if self.next_report.is_none() && line.began.is_some() {
            self.next_report = Some(now + REPORT_INTERVAL);
            return true;
        }
        other
    }

    /// Handles the relay's events.
    pub(super) fn take_events(&mut self, now: Instant) {
        while let Some(event) = self.link.poll_event() {
            match event {
                PeerEvent::Connected(keys) => {
                    self.connected_after = Some(now.saturating_duration_since(self.asked));
                    self.line.open_with(|| Opener::new(&keys.remote));
                }
                PeerEvent::Rtcp(compound) => {
                    for packet in rtcp::packets(&compound) {
                        if let RtcpPacket::SenderReport { ssrc, ntp, .. } = packet
                            && self.line.ssrc() == Some(ssrc)
                        {
                            self.sender_report = Some(((ntp >> 16) as u32, now));
                        }
                    }
                }
                PeerEvent::Closed => self.ended = Some("the relay ended the session".to_owned()),
                PeerEvent::Failed(reason) => self.ended = Some(reason),
                PeerEvent::Misused(violation) => self.ended = Some(violation.to_string()),
                PeerEvent::ChannelOpened(_) | PeerEvent::ChannelMessage(..) => {}
            }
        }
    }

    /// Sends the receiver report that is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.next_report.is_some_and(|due| due <= now) {
            self.next_report = Some(now + REPORT_INTERVAL);
            if let Some(report) = self.report(now) {
                self.link.send_rtcp(report, now);
            }
        }
    }

    /// When the next report is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next_report
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
