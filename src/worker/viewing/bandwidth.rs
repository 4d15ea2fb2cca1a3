//! How much a viewer's network carries, for videos of several encodings: the estimator of [`bwe`] gets the packets that
//! the viewer is sent, and its RTCP.
//!
//! A viewer gets one with the first video of several encodings; a viewer that never sees one costs nothing. The rule: a
//! packet takes a transport-wide number only if it carries it, because the receiver reports each number that it does
//! not get as lost.

use std::time::{Duration, Instant};

use super::stream_feed::{FeedTrack, StreamFeed};
use super::viewer_track::layer_target::{LayerTarget, Leaving};
use crate::bwe::{self, Bitrate, Cap, Choice, Feedback, Gauges, Layer, Layers, MAX_LAYERS};
use crate::bwe::{Nacked, Padding, Sent, Step, Tally, first_layer};
use crate::forward::codec::Kind;
use crate::forward::{FrameLimit, LayerId, OutboundTrack, Written};
use crate::reason::SwitchReason;
use crate::worker::stats::layer_rates::Shares;

/// How often the rates of the encodings are looked at.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a viewer that has reported nothing is sent what it began with. Then it is sent the best encoding, because
/// some clients never report.
const UNMEASURED: Duration = Duration::from_millis(1500);

/// NACKed sequence numbers that are remembered, to tell those that are asked for again.
const REMEMBERED: usize = 64;

/// The bandwidth of one viewer.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    viewer: bwe::Viewer,
    /// What the network is taken to carry until it shows more or less.
    start: Bitrate,
    /// There are several encodings now: packets are numbered, if the viewer has agreed.
    is_needed: bool,
    /// The viewer has reported arrivals, an estimate of its own, or that too much is lost.
    is_measured: bool,
    began: Instant,
    /// The sequence numbers that the viewer asked for last, in a ring.
    nacked: [Option<u16>; REMEMBERED],
    next_nacked: usize,
    /// The encodings, the smallest first: the estimator knows each by its place.
    places: Vec<LayerId>,
    /// When the rates were looked at last, and the octets of audio that had been sent by then.
    measured: Option<(Instant, u64)>,
    /// The encoding that is sent.
    sending: Option<LayerId>,
    /// What was chosen when it was asked for last.
    choice: Option<Choice>,
    /// The highest temporal id of each encoding.
    highest: [u8; MAX_LAYERS],
}

/// What the rates of the encodings are compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Octets of audio sent until now.
    pub(crate) audio: u64,
    /// The encoding that the viewer has selected, or the largest that it may have: it is sent no larger one.
    pub(crate) most: Option<LayerId>,
    /// The highest temporal id that it has selected.
    pub(crate) most_temporal: Option<u8>,
    /// It has been sent video.
    pub(crate) has_begun: bool,
}

/// Something else is chosen than before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// `None` leaves the choice to others: nothing is known yet, or nothing is to be sent.
    pub(crate) target: Option<LayerTarget>,
}

impl Bandwidth {
    /// Of the viewer that this outbound track of video is for. Its network is taken to carry `start` until it shows more
    /// or less.
    pub(crate) fn new(outbound_track: &OutboundTrack, start: Bitrate, now: Instant) -> Self {
        let mut viewer = bwe::Viewer::new(start, outbound_track.ssrc(), now);
        if outbound_track.takes_transport_numbers() {
            viewer.number_packets(now);
        }
        Self {
            viewer,
            start,
            is_needed: true,
            is_measured: false,
            began: now,
            nacked: [None; REMEMBERED],
            next_nacked: 0,
            places: Vec::new(),
            measured: None,
            sending: None,
            choice: None,
            highest: [0; MAX_LAYERS],
        }
    }

    /// Whether the video has several encodings now.
    pub(crate) fn set_needed(&mut self, is_needed: bool, now: Instant) {
        let begins_again = is_needed && !self.is_needed;
        self.is_needed = is_needed;
        if begins_again && self.viewer.transport_number().is_some() {
            self.viewer.number_packets(now);
        }
    }

    /// True when [`Self::measure`] is to be called.
    pub(crate) fn is_measuring_due(&self, now: Instant) -> bool {
        self.measured.is_none_or(|(at, _)| now >= at + MEASURE_INTERVAL)
    }

    /// Gives the estimator the rates of the encodings.
    pub(crate) fn measure(&mut self, feed: &StreamFeed, measured: Measured, now: Instant) {
        let mut tracks: Vec<&FeedTrack> = feed.layers(Kind::Video).collect();
        tracks.sort_by_key(|track| (track.state.size_order(), track.layer));
        tracks.truncate(MAX_LAYERS);
        self.places.clear();
        self.places.extend(tracks.iter().map(|track| track.layer));

        let (since, octets) = self.measured.replace((now, measured.audio)).unwrap_or((now, measured.audio));
        let elapsed = now.saturating_duration_since(since).as_secs_f64();
        let audio = if elapsed > 0.0 { measured.audio.saturating_sub(octets) as f64 * 8.0 / elapsed } else { 0.0 };
        let layers: Vec<Layer> = tracks.iter().map(|track| layer(track, &tracks)).collect();
        for (highest, layer) in self.highest.iter_mut().zip(&layers) {
            *highest = layer.highest_temporal;
        }
        let layer = measured.most.and_then(|most| self.place(most));
        let cap = Cap { layer, temporal: measured.most_temporal, ..Cap::default() };
        if !measured.has_begun && self.choice.is_none() {
            self.viewer.on_switched(self.first_place(&tracks), now);
        }
        self.viewer.set_cap(cap, now);
        self.viewer.set_layers(&Layers::new(Bitrate::from_bits(audio), &layers), now);
    }

    /// With which of these encodings a viewer begins: the largest one whose cached frames arrive soon. Without one,
    /// `None` leaves it to the rates if the publisher answers requests for keyframes; else it is the one with the least
    /// to send.
    fn first_place(&self, tracks: &[&FeedTrack]) -> Option<u8> {
        let octets = |track: &&FeedTrack| {
            let frames = track.history.cached_frames().filter(|_| track.state.is_active)?;
            Some(frames.octets)
        };
        let cached: Vec<Option<usize>> = tracks.iter().map(octets).collect();
        let is_answered = || tracks.iter().any(|track| track.keyframe_responsive == Some(true));
        let least = || (0..).zip(&cached).filter_map(|(place, octets)| Some((octets.as_ref()?, place))).min();
        first_layer(&cached, self.start).or_else(|| least().filter(|_| !is_answered()).map(|(_, place)| place))
    }

    /// Whether its reports say what to send, or are still to come.
    fn chooses(&self, now: Instant) -> bool {
        self.is_needed && (self.is_measured || now < self.began + UNMEASURED)
    }

    /// True if something else is chosen than [`Self::take_change`] returned last, or padding is due.
    pub(crate) fn has_news(&self, now: Instant) -> bool {
        let chosen = self.chooses(now).then(|| self.viewer.choice());
        chosen != self.choice || self.padding().is_some()
    }

    /// What is chosen now, if that is something else than at the last call.
    pub(crate) fn take_change(&mut self, now: Instant) -> Option<Change> {
        let choice = self.viewer.choice();
        if !self.chooses(now) {
            return self.choice.take().map(|_| Change { target: None });
        }
        if self.choice.replace(choice) == Some(choice) {
            return None;
        }
        let layer = choice.video.and_then(|step| self.places.get(usize::from(step.layer)).copied());
        let target = layer.map(|layer| LayerTarget {
            layer,
            limit: choice.video.map_or(FrameLimit::ALL, |step| self.limit(step)),
            leaving: match choice.leaving {
                bwe::Leaving::All => Leaving::Whole,
                bwe::Leaving::Half => Leaving::Thinned,
                bwe::Leaving::Nothing => Leaving::Stopped,
            },
            rate: Some((self.viewer.estimate().bits() / 8.0) as u64),
            reason: choice.reason,
        });
        Some(Change { target })
    }

    /// True while the network carries no encoding. Without a choice for another reason, the rates of a new publisher are
    /// not known yet.
    pub(crate) fn is_audio_only(&self) -> bool {
        use SwitchReason::{Loss, Path, Queue, Remb, Silence};
        let carries_too_little = |choice: Choice| matches!(choice.reason, Queue | Loss | Silence | Remb | Path);
        self.choice.is_some_and(|choice| choice.video.is_none() && carries_too_little(choice))
    }

    /// From now on this encoding is sent; `None`: no video.
    pub(crate) fn set_sending(&mut self, layer: Option<LayerId>, now: Instant) {
        if std::mem::replace(&mut self.sending, layer) != layer {
            self.viewer.on_switched(layer.and_then(|layer| self.place(layer)), now);
        }
    }

    /// Padding that is due. A viewer that reports nothing gets none.
    pub(crate) fn padding(&self) -> Option<Padding> {
        self.viewer.poll_padding().filter(|_| self.is_needed && self.is_measured)
    }

    /// Which frames of an encoding are sent.
    fn limit(&self, step: Step) -> FrameLimit {
        let is_all = self.highest.get(usize::from(step.layer)).is_none_or(|highest| step.temporal >= *highest);
        if is_all { FrameLimit::ALL } else { FrameLimit::Temporal(step.temporal) }
    }

    /// Whether a packet of video may be sent now, which then gets its number; if not, [`Self::poll_timeout`] says when
    /// to try again. Only what is measured is paced.
    // A call, so that viewers without a bandwidth do not pay for it.
    #[inline(never)]
    pub(crate) fn admit(&mut self, outbound_track: &mut OutboundTrack, now: Instant) -> bool {
        let may_send = !self.is_needed || !self.is_measured || self.viewer.may_send(now);
        if may_send {
            self.number(outbound_track);
        }
        may_send
    }

    fn place(&self, layer: LayerId) -> Option<u8> {
        self.places.iter().position(|other| *other == layer).map(|place| place as u8)
    }

    /// Gives the next packet of the outbound track its transport-wide number.
    #[inline]
    pub(crate) fn number(&self, outbound_track: &mut OutboundTrack) {
        outbound_track.set_transport_number(self.viewer.transport_number().filter(|_| self.is_needed));
    }

    /// A packet that [`Self::number`] was called for is sealed, of `octets` from the RTP header to the tag.
    // See `admit`.
    #[inline(never)]
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
        let before = self.viewer.estimate();
        self.viewer.on_report(fraction_lost, now);
        self.is_measured |= self.viewer.estimate() < before;
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
        let before = self.viewer.estimate();
        self.viewer.on_nack(nacked, now);
        self.is_measured |= self.viewer.estimate() < before;
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

    /// When [`Self::handle_timeout`] has something to do. Without numbers feedback is not waited for.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.viewer.poll_timeout().filter(|_| self.is_needed)
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

/// What the estimator gets to know of an encoding. While its rate is not known, it is taken to have as many bits per
/// pixel as another one; without that it cannot be chosen.
fn layer(track: &FeedTrack, all: &[&FeedTrack]) -> Layer {
    let (width, height) = track.state.size.unwrap_or_default();
    let known = all.iter().filter(|other| other.state.bits > 0 && other.state.pixels() > 0);
    let guess = known.max_by_key(|known| known.state.pixels()).map_or(0.0, |known| {
        known.state.bits as f64 * f64::from(track.state.pixels()) / f64::from(known.state.pixels())
    });
    let bits = if track.state.bits > 0 { track.state.bits as f64 } else { guess };
    let Shares { up_to, highest } = track.rates.shares();
    Layer {
        rates: up_to.map(|share| Bitrate::from_bits(bits * share)),
        highest_temporal: highest,
        width,
        height,
        is_active: track.state.is_active && bits > 0.0,
    }
}
