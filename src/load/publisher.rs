//! One synthetic publisher: bursts of packets at an even pace, and a keyframe whenever the relay asks for one.

use std::time::{Duration, Instant};

use super::layers::{self, Shape};
use super::link::Link;
use super::payload;
use super::payload::{Contents, Part, wall_clock};
use crate::peer::PeerEvent;
use crate::peer::client::Track;
use crate::rtcp;
use crate::rtcp::RtcpPacket;
use crate::sdp::Extension;
use crate::srtp::Sealer;

/// VP8's RTP clock (RFC 7741 4.1).
const CLOCK_RATE: f64 = 90_000.0;
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
    /// Simulcast layers; burst and payload are those of the largest.
    pub(super) layers: u8,
}

/// One layer as it is sent.
struct Layer {
    shape: Shape,
    ssrc: u32,
    /// Fixed header and extensions of its packets.
    header: Vec<u8>,
    keyframe_wanted: bool,
    index: u64,
    /// Requests for a keyframe since counting began.
    requests: u64,
}

pub(super) struct Publisher {
    pub(super) link: Link,
    layers: Vec<Layer>,
    pace: Pace,
    sealer: Option<Sealer>,
    /// When the next burst is due; `None` while paused.
    next: Option<Instant>,
    bursts: u64,
    /// Packets sent since counting began.
    pub(super) sent: u64,
    /// Bursts skipped since then, because this process was too slow.
    pub(super) skipped: u64,
    pub(super) ended: Option<String>,
    packet: Vec<u8>,
}

impl Publisher {
    pub(super) fn new(link: Link, track: &Track, pace: Pace) -> Self {
        let shapes = layers::shapes(pace.layers, pace.burst, pace.payload);
        let layer = |(place, shape)| {
            let is_only = pace.layers == 1;
            let ssrc = track.ssrc.filter(|_| is_only).unwrap_or_else(rand::random);
            let rid = (!is_only).then(|| layers::rid(place));
            // Below 2^15, so that losing the first packets cannot make the relay's rollover count wrong.
            let index = 1000;
            Layer { shape, ssrc, header: header(track, ssrc, rid), keyframe_wanted: true, index, requests: 0 }
        };
        let layers: Vec<Layer> = shapes.into_iter().enumerate().map(layer).collect();
        let longest = layers.iter().map(|layer| layer.header.len() + layer.shape.payload).max().unwrap_or_default();
        Self {
            link,
            layers,
            pace,
            sealer: None,
            next: None,
            bursts: 0,
            sent: 0,
            skipped: 0,
            ended: None,
            packet: vec![0; longest + TAG_ROOM],
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
        self.layers.iter_mut().for_each(|layer| layer.requests = 0);
    }

    /// Requests for a keyframe of each layer since counting began, the smallest layer first.
    pub(super) fn requests(&self) -> impl Iterator<Item = u64> {
        self.layers.iter().map(|layer| layer.requests)
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
        while let Some(compound) = self.link.poll_rtcp() {
            self.take_rtcp(&compound);
        }
        while let Some(event) = self.link.poll_event() {
            match event {
                PeerEvent::Connected(keys) => self.sealer = Some(Sealer::new(&keys.local)),
                PeerEvent::Closed => self.ended = Some("the relay ended the session".to_owned()),
                PeerEvent::Unanswered => self.ended = Some("the relay did not complete DTLS".to_owned()),
                PeerEvent::Failed(reason) => self.ended = Some(reason),
                PeerEvent::Misused(violation) => self.ended = Some(violation.to_string()),
                PeerEvent::ChannelOpened(_) | PeerEvent::ChannelMessage(..) => {}
            }
        }
    }

    fn take_rtcp(&mut self, compound: &[u8]) {
        for packet in rtcp::packets(compound) {
            let RtcpPacket::KeyframeRequest { sources } = packet else { continue };
            for ssrc in sources.iter() {
                if let Some(layer) = self.layers.iter_mut().find(|layer| layer.ssrc == ssrc) {
                    layer.keyframe_wanted = true;
                    layer.requests += 1;
                }
            }
        }
    }

    fn send_burst(&mut self) {
        let Some(sealer) = &mut self.sealer else { return };
        let ticks = self.pace.interval.as_secs_f64() * CLOCK_RATE * self.bursts as f64;
        // RTP timestamps wrap (RFC 3550 5.1).
        let timestamp = ticks as u64 as u32;
        self.bursts += 1;
        for layer in &mut self.layers {
            for number in 0..layer.shape.packets {
                let len = layer.write(&mut self.packet, number, timestamp);
                let sealed = sealer.seal(&mut self.packet, layer.header.len(), len, layer.index);
                let sealed = sealed.expect("header, index and room for the tag are as the sealer wants them");
                layer.index += 1;
                self.sent += 1;
                // A packet that does not fit into the send buffer counts as lost on the way to the relay.
                self.link.send_media(&self.packet[..sealed]);
            }
        }
    }
}

impl Layer {
    /// Writes a packet of a frame and returns its length.
    fn write(&mut self, packet: &mut [u8], number: u32, timestamp: u32) -> usize {
        let part = match number {
            0 if std::mem::take(&mut self.keyframe_wanted) => Part::KeyframeStart,
            0 => Part::Start,
            _ => Part::Continuation,
        };
        let marker = u8::from(number + 1 == self.shape.packets) << 7;
        let (header, len) = (self.header.len(), self.header.len() + self.shape.payload);
        packet[..header].copy_from_slice(&self.header);
        packet[1] |= marker;
        packet[2..4].copy_from_slice(&(self.index as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
        let contents = Contents { size: self.shape.size, number: self.index, sent: wall_clock() };
        payload::write(&mut packet[header..len], part, contents);
        len
    }
}

/// The header of an SSRC's packets. A rid and the section's mid stand in extensions of it (RFC 8285 4.2).
fn header(track: &Track, ssrc: u32, rid: Option<String>) -> Vec<u8> {
    let mut header = vec![0x80, track.payload_type, 0, 0, 0, 0, 0, 0];
    header.extend(ssrc.to_be_bytes());
    let Some(rid) = rid else { return header };
    let mut elements = Vec::new();
    for (extension, value) in [(Extension::Mid, &track.mid), (Extension::RtpStreamId, &rid)] {
        if let Some((id, _)) = track.extensions.iter().find(|(_, agreed)| *agreed == extension) {
            elements.push(id << 4 | (value.len() as u8).saturating_sub(1));
            elements.extend(value.bytes());
        }
    }
    elements.resize(elements.len().next_multiple_of(4), 0);
    header[0] |= 0x10;
    header.extend([0xbe, 0xde, 0, (elements.len() / 4) as u8]);
    header.extend(elements);
    header
}
