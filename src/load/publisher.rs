//! One synthetic publisher: bursts of packets at an even pace, and a keyframe whenever the relay asks for one.

use std::time::{Duration, Instant};

use super::link::Link;
use super::payload;
use super::payload::{Part, wall_clock};
use crate::peer::PeerEvent;
use crate::peer::client::Track;
use crate::rtcp;
use crate::rtcp::RtcpPacket;
use crate::srtp::Sealer;

/// VP8's RTP clock (RFC 7741 4.1).
const CLOCK_RATE: f64 = 90_000.0;
const HEADER_LEN: usize = 12;
/// Room for the authentication tag of any SRTP profile.
const TAG_ROOM: usize = 16;

/// A publisher that is further behind than this skips bursts instead of sending them all at once.
const MAX_BEHIND: u32 = 3;

/// The settings that all publishers of a run share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Time between two bursts.
    pub(super) interval: Duration,
    /// Packets in each burst.
    pub(super) burst: u32,
    /// Bytes of payload in each packet.
    pub(super) payload: usize,
}

pub(super) struct Publisher {
    pub(super) link: Link,
    track: Track,
    pace: Pace,
    sealer: Option<Sealer>,
    /// When the next burst is due; `None` while paused.
    next: Option<Instant>,
    keyframe_wanted: bool,
    index: u64,
    bursts: u64,
    /// Packets sent since counting began.
    pub(super) sent: u64,
    /// Bursts skipped since then, because this process was too slow.
    pub(super) skipped: u64,
    pub(super) ended: Option<String>,
    packet: Vec<u8>,
}

impl Publisher {
    pub(super) fn new(link: Link, track: Track, pace: Pace) -> Self {
        Self {
            link,
            track,
            pace,
            sealer: None,
            next: None,
            keyframe_wanted: true,
            // Below 2^15, so that losing the first packets cannot make the relay's rollover count wrong.
            index: 1000,
            bursts: 0,
            sent: 0,
            skipped: 0,
            ended: None,
            packet: vec![0; HEADER_LEN + pace.payload + TAG_ROOM],
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.sealer.is_some() && self.ended.is_none()
    }

    /// Starts sending at `first`.
    pub(super) fn start(&mut self, first: Instant) {
        self.next = Some(first);
    }

    pub(super) fn pause(&mut self) {
        self.next = None;
    }

    pub(super) fn begin_counting(&mut self) {
        (self.sent, self.skipped) = (0, 0);
    }

    /// Sends the burst that is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let Some(due) = self.next.filter(|due| *due <= now) else { return };
        let mut next = due + self.pace.interval;
        while next + self.pace.interval * MAX_BEHIND < now {
            next += self.pace.interval;
            self.skipped += 1;
        }
        self.next = Some(next);
        self.send_burst();
    }

    /// When the next burst is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Handles the relay's events.
    pub(super) fn take_events(&mut self) {
        while let Some(event) = self.link.poll_event() {
            match event {
                PeerEvent::Connected(keys) => self.sealer = Some(Sealer::new(&keys.local)),
                PeerEvent::Rtcp(compound) => self.keyframe_wanted |= asks_for_keyframe(&compound),
                PeerEvent::Closed => self.ended = Some("the relay ended the session".to_owned()),
                PeerEvent::Failed(reason) => self.ended = Some(reason),
                PeerEvent::Misused(violation) => self.ended = Some(violation.to_string()),
                PeerEvent::ChannelOpened(_) | PeerEvent::ChannelMessage(..) => {}
            }
        }
    }

    fn send_burst(&mut self) {
        let Some(sealer) = &mut self.sealer else { return };
        let ssrc = self.track.ssrc.unwrap_or_default();
        let ticks = self.pace.interval.as_secs_f64() * CLOCK_RATE * self.bursts as f64;
        // RTP timestamps wrap (RFC 3550 5.1).
        let timestamp = ticks as u64 as u32;
        self.bursts += 1;
        for number in 0..self.pace.burst {
            let part = match number {
                0 if std::mem::take(&mut self.keyframe_wanted) => Part::KeyframeStart,
                0 => Part::Start,
                _ => Part::Continuation,
            };
            let marker = u8::from(number + 1 == self.pace.burst) << 7;
            let len = HEADER_LEN + self.pace.payload;
            self.packet[..2].copy_from_slice(&[0x80, marker | self.track.payload_type]);
            self.packet[2..4].copy_from_slice(&(self.index as u16).to_be_bytes());
            self.packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
            self.packet[8..HEADER_LEN].copy_from_slice(&ssrc.to_be_bytes());
            payload::write(&mut self.packet[HEADER_LEN..len], part, self.index, wall_clock());
            let sealed = sealer.seal(&mut self.packet, HEADER_LEN, len, self.index);
            let sealed = sealed.expect("header, index and room for the tag are as the sealer wants them");
            self.index += 1;
            self.sent += 1;
            // A packet that does not fit into the send buffer counts as lost on the way to the relay.
            self.link.send_media(&self.packet[..sealed]);
        }
    }
}

fn asks_for_keyframe(compound: &[u8]) -> bool {
    rtcp::packets(compound).any(|packet| matches!(packet, RtcpPacket::KeyframeRequest { .. }))
}
