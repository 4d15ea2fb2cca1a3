//! How much a viewer's network carries, where there is something to choose: what the estimator of [`bwe`] is told of
//! the viewer's packets and of its RTCP.
//!
//! A viewer gets one with the first video of several encodings; a viewer that never sees one costs nothing. The rule: a
//! packet takes a transport-wide number only if it carries it, because the receiver reports each number that it does
//! not get as lost.

use std::time::Instant;

use crate::bwe::{self, Bitrate, Feedback, Gauges, Nacked, Sent, Tally};
use crate::forward::{OutboundTrack, Written};

/// What a viewer's network is taken to carry until it shows more or less.
const START: Bitrate = Bitrate::from_bits(1e6);

/// NACKed sequence numbers that are remembered, to tell those that are asked for again.
const REMEMBERED: usize = 64;

/// The bandwidth of one viewer.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    viewer: bwe::Viewer,
    /// There are several encodings now: packets are numbered, if the viewer has agreed.
    is_needed: bool,
    /// The viewer has reported arrivals or an estimate of its own.
    is_measured: bool,
    /// The sequence numbers that the viewer asked for last, in a ring.
    nacked: [Option<u16>; REMEMBERED],
    next_nacked: usize,
}

impl Bandwidth {
    /// Of the viewer that this outbound track of video is for.
    pub(crate) fn new(outbound_track: &OutboundTrack, now: Instant) -> Self {
        let mut viewer = bwe::Viewer::new(START, outbound_track.ssrc(), now);
        if outbound_track.takes_transport_numbers() {
            viewer.number_packets(now);
        }
        Self { viewer, is_needed: true, is_measured: false, nacked: [None; REMEMBERED], next_nacked: 0 }
    }

    /// Whether the video has several encodings now.
    pub(crate) fn set_needed(&mut self, is_needed: bool) {
        self.is_needed = is_needed;
    }

    /// Gives the next packet of the outbound track its transport-wide number.
    #[inline]
    pub(crate) fn number(&self, outbound_track: &mut OutboundTrack) {
        outbound_track.set_transport_number(self.viewer.transport_number().filter(|_| self.is_needed));
    }

    /// A packet that [`Self::number`] was called for is sealed, of `octets` from the RTP header to the tag.
    #[inline]
    pub(crate) fn on_sent(
        &mut self,
        sent: Sent,
        (outbound_track, written): (&OutboundTrack, &Written),
        octets: usize,
        now: Instant,
    ) {
        if self.viewer.transport_number().is_none() || outbound_track.has_transport_number(written) {
            self.viewer.on_sent(sent, octets, now);
        }
    }

    /// Transport-wide feedback came, as an RTCP packet.
    pub(crate) fn on_transport_feedback(&mut self, packet: &[u8], now: Instant) {
        if let Some(feedback) = Feedback::parse(packet) {
            self.is_measured = true;
            self.viewer.on_transport_feedback(&feedback, now);
        }
    }

    /// The viewer's own estimate came (REMB), in bits per second.
    pub(crate) fn on_remb(&mut self, bits: f32, now: Instant) {
        self.is_measured = true;
        self.viewer.on_remb(Bitrate::from_bits(bits.into()), now);
    }

    /// A receiver report about the video came (RFC 3550 6.4.1).
    pub(crate) fn on_report(&mut self, fraction_lost: u8, now: Instant) {
        self.viewer.on_report(fraction_lost, now);
    }

    /// A NACK for packets of the video came.
    pub(crate) fn on_nack(&mut self, sequences: impl Iterator<Item = u16>, now: Instant) {
        let mut nacked = Nacked::default();
        for sequence in sequences {
            if self.nacked.contains(&Some(sequence)) {
                nacked.again += 1;
            } else {
                nacked.first += 1;
                self.nacked[self.next_nacked] = Some(sequence);
                self.next_nacked = (self.next_nacked + 1) % REMEMBERED;
            }
        }
        self.viewer.on_nack(nacked, now);
    }

    /// The viewer's address has changed, or it is back after a pause.
    pub(crate) fn on_path_change(&mut self, now: Instant) {
        self.viewer.on_path_change(now);
    }

    /// Cached frames are sent faster than they were recorded, or no more.
    pub(crate) fn set_replaying(&mut self, is_replaying: bool, now: Instant) {
        if is_replaying {
            self.viewer.on_replay();
        } else {
            self.viewer.on_live(now);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.viewer.poll_timeout()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.viewer.handle_timeout(now);
        }
    }

    /// What is known of the network; `None` while there is nothing to choose, so that nothing is measured, and while
    /// the viewer has reported nothing.
    pub(crate) fn gauges(&self, now: Instant) -> Option<Gauges> {
        (self.is_needed && self.is_measured).then(|| self.viewer.gauges(now))
    }

    /// What was counted since the last call.
    pub(crate) fn take_tally(&mut self) -> Tally {
        self.viewer.take_tally()
    }
}
