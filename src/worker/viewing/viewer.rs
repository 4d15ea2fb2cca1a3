//! The viewer's side of a session: its outbound tracks, which read the feed's histories, and its sealer.

mod begin;
mod choice;

use std::time::{Duration, Instant};

use super::bandwidth::Bandwidth;
use super::channels::ViewerChannels;
use super::downlink::{Downlink, Reported};
use super::stream_feed::StreamFeed;
use super::viewer_track::{FollowUp, ReceptionReport, ViewerTrack};
use crate::bwe::{Bitrate, Sent, Tally};
use crate::forward::codec::Kind;
use crate::forward::{
    ExtensionIds, FirstNumbers, LayerSet, NegotiatedFormat, OutboundTrack, OutboundTrackConfig, Written,
};
use crate::rtcp;
use crate::rtcp::{Blocks, RtcpPacket, Sequences, SsrcList};
use crate::sdp::{Extension, Negotiated, Payload, Section};
use crate::session::Selection;
use crate::srtp::Sealer;
use crate::stream::Watch;
use crate::worker::net::batch::{Batch, MAX_DATAGRAM, Outbox, TCP_BURST};
use crate::worker::presence::{Presence, SILENCE};
use crate::worker::stats::sent::{NacksAnswered, Served};

/// A viewer that sent no RTCP for this long and then sends NACKs had no network in between.
const QUIET: Duration = Duration::from_millis(1500);

/// The most pending NACKs of a viewer, in packets, and the most that are read from one datagram. A NACK can name about
/// 6,000 packets; a viewer that receives anything lacks fewer than this, so the rest of a longer list is ignored.
const MAX_PENDING_NACKS: usize = 512;

/// A connected viewer.
pub(crate) struct Viewer {
    pub(crate) watch: Watch,
    sealer: Sealer,
    /// One of each kind, whatever encodings the publisher has.
    pub(crate) tracks: Vec<ViewerTrack>,
    /// What it has selected; `None` if the choice is the relay's alone.
    pub(crate) selection: Option<Box<Selection>>,
    pub(crate) channels: ViewerChannels,
    /// Pending NACKs: index of the track, and sequence number.
    pending_nacks: Vec<(usize, u16)>,
    pub(crate) next_report: Option<Instant>,
    /// Since when a report waits for audio and video to have one clock.
    pub(crate) reports_wait: Option<Instant>,
    /// An outbound track replays cached frames: a sender report made now would be wrong once it is live.
    pub(crate) replaying: bool,
    /// When it is served although no packets arrive.
    pub(crate) serve_at: Option<Instant>,
    /// It has had a publisher.
    pub(crate) had_publisher: bool,
    pub(crate) presence: Presence,
    /// When its last RTCP arrived.
    heard: Instant,
    /// When it connected: the send time in its packets counts from then.
    began: Instant,
    /// When RTCP arrived after a pause of [`QUIET`].
    back: Option<Instant>,
    /// The bitrate that its network carries by its own estimate (REMB), in bits per second.
    estimate: Option<f32>,
    /// Whether what it is sent arrives.
    downlink: Downlink,
    /// It is sent no video now: its network carries no encoding, or nothing, or it has selected audio alone.
    rests: bool,
    /// What its network is taken to carry until that is measured.
    pub(crate) start: Bitrate,
    /// What its network carries, once it has watched a video of several encodings. Boxed: most viewers have none.
    bandwidth: Option<Box<Bandwidth>>,
    pub(crate) cname: String,
}

/// The result of serving a viewer once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Serving {
    pub(crate) sent: Served,
    /// The time of the next report has changed.
    pub(crate) reschedules_reports: bool,
    /// [`Viewer::serve_at`] has changed.
    pub(crate) reschedules_serving: bool,
    /// What the tracks need.
    pub(crate) follow_up: FollowUp,
}

impl Viewer {
    /// A viewer that has just connected.
    pub(crate) fn new(watch: Watch, sealer: Sealer, negotiated: &Negotiated, cname: String, now: Instant) -> Self {
        let channels = ViewerChannels::new(negotiated.application.is_some(), now);
        let max_size = MAX_DATAGRAM - sealer.overhead();
        let sections = negotiated.sections.iter().filter(|section| !section.payloads.is_empty());
        let format = |payload: &Payload| NegotiatedFormat {
            payload_type: payload.payload_type,
            format: payload.format.clone(),
            rtx_payload_type: payload.rtx_payload_type,
            red_payload_type: payload.red.map(|red| red.payload_type),
        };
        let viewer_track = |section: &Section| {
            let outbound_track = OutboundTrack::new(OutboundTrackConfig {
                kind: section.kind,
                ssrc: section.ssrc,
                rtx_ssrc: section.rtx_ssrc,
                extensions: extension_ids(section),
                formats: section.payloads.iter().map(format).collect(),
                max_size,
                first: FirstNumbers::random(),
            });
            ViewerTrack::new(section.kind, outbound_track)
        };
        let mut tracks: Vec<ViewerTrack> = sections.map(viewer_track).collect();
        // A filtered iterator does not know its length, so the vector has room for four.
        tracks.shrink_to_fit();
        // Audio first: late audio is more noticeable than late video.
        tracks.sort_by_key(|viewer_track| viewer_track.kind == Kind::Video);
        Self {
            watch,
            sealer,
            tracks,
            selection: None,
            channels,
            pending_nacks: Vec::new(),
            next_report: None,
            reports_wait: None,
            replaying: false,
            serve_at: None,
            had_publisher: false,
            presence: Presence::new(now, SILENCE),
            heard: now,
            began: now,
            back: None,
            estimate: None,
            downlink: Downlink::default(),
            rests: false,
            start: Bitrate::from_bits(1e6),
            bandwidth: None,
            cname,
        }
    }

    /// Seals all packets that the viewer does not have yet and sends them as runs.
    pub(crate) fn serve(
        &mut self,
        feed: &StreamFeed,
        batch: &mut Batch,
        outbox: &mut impl Outbox,
        now: Instant,
    ) -> Serving {
        let mut serving = Serving::default();
        if self.presence.is_away() {
            return serving;
        }
        let (mut serve_at, mut replaying) = (None, false);
        if self.bandwidth.is_some() || self.downlink.is_dark() || self.rests {
            serving.follow_up.add(self.follow_network(feed, now));
            serving.sent.is_dark = self.downlink.take_begin();
        }
        let by_tcp = batch.is_tcp();
        let is_audio_only = self.rests || by_tcp && !batch.has_room(outbox);
        for viewer_track in &mut self.tracks {
            if viewer_track.has_next_layer() {
                serving.follow_up.add(viewer_track.enter_next_layer(feed, now));
            }
            if is_audio_only && viewer_track.kind == Kind::Video {
                continue;
            }
            let Some(track) = feed.layer(viewer_track.kind, viewer_track.layer) else { continue };
            let served = &mut serving.sent;
            served.switched = viewer_track.take_switch(feed, self.selection.is_some()).or(served.switched);
            let volume = &mut served.volumes[viewer_track.kind as usize];
            let mut burst = if by_tcp { TCP_BURST } else { u64::MAX };
            viewer_track.update_playout_delay(now);
            if viewer_track.outbound_track.has_send_time() {
                viewer_track.outbound_track.set_send_time(now.saturating_duration_since(self.began));
            }
            if viewer_track.is_busy() {
                let (allowed, ticked) = viewer_track.tick(track, now);
                burst = burst.min(allowed);
                serving.follow_up.add(ticked);
            }
            // Audio is small, and every packet of it can be played.
            if by_tcp && viewer_track.kind == Kind::Video {
                serving.follow_up.add(viewer_track.leave_out_late(track, now));
            }
            let mut bandwidth = self.bandwidth.as_deref_mut().filter(|_| viewer_track.kind == Kind::Video);
            while !batch.is_blocked() && volume.packets < burst {
                let room = batch.room();
                if let Some(bandwidth) = &mut bandwidth
                    && !bandwidth.admit(&mut viewer_track.outbound_track, now)
                {
                    break;
                }
                let Some(written) = viewer_track.outbound_track.pull(&track.history, room) else { break };
                let Some(len) = seal(&mut self.sealer, room, &written) else { continue };
                if let Some(bandwidth) = &mut bandwidth {
                    bandwidth.on_sent(Sent::Video, (&viewer_track.outbound_track, &written), len, now);
                }
                volume.packets += 1;
                volume.bytes += len as u64;
                batch.commit(len, outbox, now);
            }
            viewer_track.sent.packets += volume.packets;
            viewer_track.sent.bytes += volume.bytes;
            let sent = volume.packets;
            viewer_track.take_counts(track, sent > 0, served);
            if viewer_track.outbound_track.wants_keyframe() && feed.live().is_some() {
                serving.follow_up.needs_keyframe.add(LayerSet::of(track.layer, true));
                serving.follow_up.add(viewer_track.unstick(track, now));
            }
            serve_at = (sent >= burst).then_some(now).or(serve_at);
            if viewer_track.is_busy() {
                serve_at = viewer_track.next_serving(sent, now).into_iter().chain(serve_at).min();
                replaying |= viewer_track.outbound_track.is_replaying();
            }
        }
        if self.bandwidth.is_some() || self.rests {
            let padding = self.end_serving(feed, replaying, (batch, outbox), now);
            serving.sent.volumes[Kind::Video as usize].packets += padding.packets;
            serving.sent.volumes[Kind::Video as usize].bytes += padding.bytes;
            serve_at = serve_at.into_iter().chain(self.network_timeout()).min();
        }
        batch.flush(outbox, now);
        self.time_reports(&mut serving, replaying, now);
        // A timer that comes early does no harm, and moving it with each frame costs more.
        let is_early = self.serve_at.is_some_and(|armed| armed > now && serve_at.is_some_and(|due| armed <= due));
        if !is_early && (serve_at != self.serve_at || serve_at.is_some_and(|due| due <= now)) {
            self.serve_at = serve_at;
            serving.reschedules_serving = true;
        }
        serving
    }

    /// Sends the packets again that the viewer's NACKs name.
    pub(crate) fn answer(
        &mut self,
        feed: &StreamFeed,
        batch: &mut Batch,
        outbox: &mut impl Outbox,
        now: Instant,
    ) -> NacksAnswered {
        let mut answered = NacksAnswered::default();
        for (place, sequence) in self.pending_nacks.drain(..) {
            let viewer_track = &mut self.tracks[place];
            let mut bandwidth = self.bandwidth.as_deref_mut().filter(|_| viewer_track.kind == Kind::Video);
            let histories = feed.histories(viewer_track.kind);
            if batch.is_blocked() {
                answered.refused += 1;
                continue;
            }
            let before = *viewer_track.outbound_track.counts();
            viewer_track.outbound_track.set_send_time(now.saturating_duration_since(self.began));
            if let Some(bandwidth) = &bandwidth {
                bandwidth.number(&mut viewer_track.outbound_track);
            }
            let Some(resend) = viewer_track.outbound_track.resend(sequence, &histories, now, batch.room()) else {
                let refused = viewer_track.outbound_track.counts().refused > before.refused;
                *(if refused { &mut answered.refused } else { &mut answered.missing }) += 1;
                answered.lost |=
                    viewer_track.kind == Kind::Video && viewer_track.outbound_track.counts().lost > before.lost;
                answered.overrun |= viewer_track.kind == Kind::Video
                    && viewer_track.outbound_track.counts().over_budget > before.over_budget;
                continue;
            };
            let mut written = Some(resend.written);
            for copy in 0..=resend.copies {
                if copy > 0 {
                    if let Some(bandwidth) = &bandwidth {
                        bandwidth.number(&mut viewer_track.outbound_track);
                    }
                    written = viewer_track.outbound_track.copy(&resend, &histories, batch.room());
                }
                let Some(written) = written.filter(|_| !batch.is_blocked()) else { break };
                let Some(len) = seal(&mut self.sealer, batch.room(), &written) else { break };
                if let Some(bandwidth) = &mut bandwidth {
                    bandwidth.on_sent(Sent::Resend, (&viewer_track.outbound_track, &written), len, now);
                }
                let in_band = written.ssrc == viewer_track.outbound_track.ssrc();
                *(if in_band { &mut answered.in_band } else { &mut answered.rtx }) += 1;
                viewer_track.sent.packets += 1;
                viewer_track.sent.bytes += len as u64;
                batch.commit(len, outbox, now);
            }
        }
        batch.flush(outbox, now);
        answered
    }

    /// Reads a compound RTCP packet of the viewer. Feedback about SSRCs other than its own has no effect.
    pub(crate) fn on_feedback(&mut self, compound: &[u8], now: Instant) -> FeedbackRequests {
        let mut requests = FeedbackRequests::default();
        if now.saturating_duration_since(self.heard) >= QUIET {
            self.back = Some(now);
        }
        self.heard = now;
        for packet in rtcp::packets(compound) {
            match packet {
                RtcpPacket::Nack { ssrc, sequences } => self.on_nack(ssrc, sequences, &mut requests, now),
                RtcpPacket::KeyframeRequest { sources } => requests.keyframe |= self.owns_video(sources),
                RtcpPacket::Estimate { bits, sources } => {
                    if sources.iter().any(|ssrc| self.place(ssrc).is_some()) {
                        self.on_estimate(bits, now);
                    }
                }
                RtcpPacket::TransportFeedback { packet } => {
                    self.downlink.on_arrival();
                    if let Some(bandwidth) = &mut self.bandwidth {
                        bandwidth.on_transport_feedback(packet, now);
                    }
                }
                RtcpPacket::ReceiverReport { blocks } | RtcpPacket::SenderReport { blocks, .. } => {
                    self.on_report(blocks, now)
                }
            }
        }
        if self.bandwidth.is_some() || self.downlink.is_dark() || self.rests {
            self.serve_after_feedback(now);
        }
        requests
    }

    /// The viewer's own estimate came (REMB), in bits per second.
    fn on_estimate(&mut self, bits: f32, now: Instant) {
        self.estimate = Some(bits);
        if let Some(bandwidth) = &mut self.bandwidth {
            bandwidth.on_remb(bits, now);
        }
    }

    /// What its network carries, in bits per second: measured where the video has several encodings, else by the
    /// viewer's own estimate.
    pub(crate) fn estimate(&self, now: Instant) -> Option<f32> {
        let measured = self.bandwidth.as_ref().and_then(|bandwidth| bandwidth.gauges(now));
        measured.map(|gauges| gauges.estimate.bits() as f32).or(self.estimate)
    }

    /// The viewer's address has changed.
    pub(crate) fn on_path_change(&mut self, now: Instant) {
        if let Some(bandwidth) = &mut self.bandwidth {
            bandwidth.on_path_change(now);
        }
    }

    /// Whether what it is sent depends on what its network carries.
    pub(crate) fn is_network_followed(&self) -> bool {
        self.bandwidth.is_some() || self.is_audio_only()
    }

    /// What was counted of its bandwidth since the last call.
    pub(crate) fn take_tally(&mut self) -> Option<Tally> {
        self.bandwidth.as_mut().map(|bandwidth| bandwidth.take_tally())
    }

    fn on_nack(&mut self, ssrc: u32, sequences: Sequences<'_>, requests: &mut FeedbackRequests, now: Instant) {
        let Some(place) = self.place(ssrc) else { return };
        let named = sequences.count().min(MAX_PENDING_NACKS.saturating_sub(requests.packets));
        if named == 0 {
            return;
        }
        requests.packets += named;
        self.downlink.on_arrival();
        self.tracks[place].on_losses(named as u64, now);
        if let Some(bandwidth) = self.bandwidth.as_mut().filter(|_| self.tracks[place].kind == Kind::Video) {
            bandwidth.on_nack(sequences.iter().take(named), now);
        }
        let room = MAX_PENDING_NACKS.saturating_sub(self.pending_nacks.len()).min(named);
        self.pending_nacks.extend(sequences.iter().take(room).map(|sequence| (place, sequence)));
    }

    fn on_report(&mut self, blocks: Blocks<'_>, now: Instant) {
        for block in blocks.iter() {
            let Some(place) = self.place(block.ssrc) else {
                if self.tracks.iter().any(|viewer_track| viewer_track.outbound_track.rtx_ssrc() == Some(block.ssrc)) {
                    self.downlink.on_report(Reported::Resends, block.highest, now);
                }
                continue;
            };
            let viewer_track = &mut self.tracks[place];
            let of = match viewer_track.kind {
                Kind::Audio => Reported::Audio,
                Kind::Video => Reported::Video { next: viewer_track.outbound_track.next_sequence() },
            };
            self.downlink.on_report(of, block.highest, now);
            viewer_track.heard = Some(ReceptionReport { lost: block.total_lost.into(), jitter: block.jitter });
            if let Some(bandwidth) = self.bandwidth.as_mut().filter(|_| viewer_track.kind == Kind::Video) {
                bandwidth.on_report(block.fraction_lost, now);
            }
            if let Some(trip) = viewer_track.round_trip.measure(block.last_sr, block.delay, now) {
                viewer_track.set_rtt(trip);
            }
        }
    }

    fn owns_video(&self, sources: SsrcList<'_>) -> bool {
        let is_video = |ssrc| self.place(ssrc).is_some_and(|place| self.tracks[place].kind == Kind::Video);
        sources.iter().any(is_video)
    }

    /// The index of the track with this SSRC.
    fn place(&self, ssrc: u32) -> Option<usize> {
        self.tracks.iter().position(|viewer_track| viewer_track.outbound_track.ssrc() == ssrc)
    }

    /// When [`Self::poll`] has something.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next_report.into_iter().chain(self.channels.open_at).chain(self.presence.look_at()).min()
    }

    /// Sends nothing and uses no sequence numbers until [`Self::resume`].
    pub(crate) fn pause(&mut self, now: Instant) {
        for viewer_track in &mut self.tracks {
            viewer_track.outbound_track.pause();
        }
        self.pending_nacks.clear();
        (self.next_report, self.replaying, self.serve_at) = (None, false, None);
        self.presence = Presence::Away { since: now };
    }

    /// Continues after a pause: audio at the live end, video with a frame that can be decoded at once. Also returns how
    /// many packets were not sent during the pause.
    pub(crate) fn resume(&mut self, feed: &StreamFeed, now: Instant) -> (FollowUp, u64) {
        let mut missed = 0;
        for viewer_track in &mut self.tracks {
            if let Some(track) = feed.layer(viewer_track.kind, viewer_track.layer) {
                missed += viewer_track.outbound_track.behind(&track.history);
                viewer_track.outbound_track.seek(track.history.head());
            }
            viewer_track.outbound_track.resume();
            viewer_track.forget_replays();
        }
        self.presence = Presence::new(now, SILENCE);
        self.on_path_change(now);
        (self.attach(feed, false, now), missed)
    }

    /// True when NACKs wait for an answer.
    pub(crate) fn has_pending_nacks(&self) -> bool {
        !self.pending_nacks.is_empty()
    }
}

/// The ids under which a section's packets carry header extensions.
fn extension_ids(section: &Section) -> ExtensionIds {
    let id = |extension| section.extension_id(extension);
    ExtensionIds {
        mid: id(Extension::Mid).map(|id| (id, section.mid.clone())),
        capture_time: id(Extension::AbsCaptureTime),
        audio_level: id(Extension::AudioLevel),
        orientation: id(Extension::VideoOrientation),
        dependencies: id(Extension::DependencyDescriptor),
        playout_delay: id(Extension::PlayoutDelay).filter(|_| section.kind == Kind::Video),
        send_time: id(Extension::AbsSendTime),
        transport_number: id(Extension::TransportWideCc),
    }
}

/// What a viewer's feedback requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FeedbackRequests {
    /// How many packets to send again, at most [`MAX_PENDING_NACKS`].
    pub(crate) packets: usize,
    /// Whether it requests a keyframe.
    pub(crate) keyframe: bool,
}

/// Seals a packet that an outbound track wrote; `None` if it is too long to send.
fn seal(sealer: &mut Sealer, room: &mut [u8], written: &Written) -> Option<usize> {
    sealer.seal(room, written.header_len, written.len, written.index).ok()
}
