//! The publisher's side of a session: opened packets become shared ones and are pushed once to each worker with
//! viewers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::bitrate::BitrateLimit;
use super::header_extensions::{ExtensionValues, Ids};
use super::repair_delay::RepairDelay;
use super::simulcast::{Looks, Simulcast};
use super::sources::{Admitted, LogThrottle};
use super::track::Track;
use crate::forward::codec::{Descriptor, Kind, Redundancy};
use crate::forward::{Epoch, History, HistoryLimits, LayerId, Packet};
use crate::name::StreamName;
use crate::peer::Channel;
use crate::reason::DropReason;
use crate::rtcp::{Compound, Reception, SenderClock};
use crate::sdp::{Layer, Negotiated, Payload, Section};
use crate::srtp::{Opened, Opener};
use crate::stream::{Publication, Takeover, WorkerId};
use crate::worker::message::{LayerState, Published, Subscribed, SubscribedTrack};
use crate::worker::presence::{LOST, Presence};

/// How often a standby checks whether the live publisher is still heard.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A connected publisher: the live one of its stream, or its standby.
pub(crate) struct Publisher {
    pub(crate) stream: StreamName,
    pub(crate) publication: Publication,
    pub(crate) opener: Opener,
    pub(crate) reception: Reception,
    /// Workers that have viewers of the stream.
    pub(crate) subscribers: Vec<WorkerId>,
    pub(crate) tracks: Vec<Track>,
    /// Data channels that it has opened.
    pub(crate) channels: Vec<Channel>,
    pub(super) extension_ids: Ids,
    pub(crate) refusals_logged: LogThrottle,
    keyframe_responses: Vec<KeyframeResponsive>,
    pub(super) limits: HistoryLimits,
    /// When the encodings of its video are compared, where there are several.
    pub(super) looks: Option<Looks>,
    /// When a standby next checks whether to take over.
    look_at: Option<Instant>,
    pub(crate) presence: Presence,
    pub(crate) repair_delay: RepairDelay,
    /// The limit of its bitrate, if one is configured.
    pub(crate) bitrate_limit: Option<BitrateLimit>,
}

/// What is due for a publisher.
#[derive(Default)]
pub(crate) struct Due {
    /// Compound packets, each a datagram.
    pub(crate) datagrams: Vec<Compound>,
    /// RTP packets that the NACKs in them name.
    pub(crate) packets_asked: u64,
    /// Keyframe requests in them.
    pub(crate) keyframes_asked: u64,
    /// The repair delay of some packets is over: push them.
    pub(crate) releases: bool,
}

/// Whether a publisher has answered a keyframe request for a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyframeResponsive {
    pub(crate) kind: Kind,
    pub(crate) layer: LayerId,
    pub(crate) keyframe_responsive: bool,
}

impl Publisher {
    /// A publisher that has just connected.
    pub(crate) fn new(
        stream: StreamName,
        publication: Publication,
        opener: Opener,
        negotiated: &Negotiated,
        sender_ssrc: u32,
        limits: HistoryLimits,
        now: Instant,
    ) -> Self {
        let epoch = publication.number().map_or(Epoch::STANDBY, Epoch::of);
        let tracks = negotiated.sections.iter().flat_map(|section| tracks_of(section, epoch, limits));
        let tracks: Vec<Track> = tracks.collect();
        let has_layers = tracks.iter().any(|track| track.simulcast.is_some());
        let payloads = negotiated.sections.iter().flat_map(|section| &section.payloads);
        let opener = opener.accept_payload_types(payloads.flat_map(Payload::numbers));
        let reception = Reception::new(sender_ssrc, stream.as_str());
        Self {
            stream,
            publication,
            opener,
            reception,
            subscribers: Vec::new(),
            tracks,
            channels: Vec::new(),
            extension_ids: Ids::new(negotiated),
            refusals_logged: LogThrottle::default(),
            keyframe_responses: Vec::new(),
            limits,
            looks: has_layers.then(|| Looks::new(now)),
            look_at: None,
            presence: Presence::new(now, LOST),
            repair_delay: RepairDelay::default(),
            bitrate_limit: None,
        }
    }

    /// Makes it the standby of the live publisher: it checks from now on whether to take over.
    pub(crate) fn stand_by(&mut self, now: Instant) {
        self.look_at = Some(now + LOOK_INTERVAL);
        tracing::info!(session = %self.publication.session(), stream = %self.stream, "publisher stands by");
    }

    /// Makes a standby the live publisher when the one before it has left or has been silent for `after`. Viewers begin
    /// with the standby's frames since its last keyframe.
    pub(crate) fn take_over(&mut self, after: Duration, now: Instant) -> Option<Takeover> {
        self.look_at.take_if(|due| *due <= now)?;
        self.look_at = Some(now + LOOK_INTERVAL);
        let takeover = self.publication.take_over(after, now)?;
        self.look_at = None;
        self.subscribers.clone_from(&takeover.workers);
        for track in &mut self.tracks {
            // A packet's generation names its publisher: the standby's kept packets get the new one.
            let epoch = Epoch { publisher: takeover.number, ..track.epoch };
            let before = std::mem::replace(&mut track.epoch, epoch);
            let old = std::mem::replace(&mut track.history, History::new(self.limits));
            for packet in old.snapshot().filter(|packet| packet.generation == before.generation()) {
                track.history.push(Arc::new(Packet { generation: epoch.generation(), ..Packet::clone(packet) }));
            }
            track.pending.clear();
            track.announce = false;
        }
        Some(takeover)
    }

    /// Makes the live publisher the standby of the one that has taken over.
    pub(crate) fn stand_down(&mut self, now: Instant) {
        self.publication.stand_down();
        self.subscribers.clear();
        for track in &mut self.tracks {
            track.gate.withdraw();
            track.epoch.publisher = Epoch::STANDBY.publisher;
            track.history = History::new(self.limits);
            track.pending.clear();
            track.clear_waiting();
        }
        self.stand_by(now);
    }

    /// Takes a packet that has been opened in place, to be pushed by [`Self::take_pending`].
    ///
    /// # Errors
    /// Why it goes no further.
    pub(crate) fn on_packet(
        &mut self,
        datagram: &[u8],
        opened: &Opened,
        received: Instant,
    ) -> Result<Kind, DropReason> {
        let ExtensionValues { transport_sequence, extensions } = self.extension_ids.read(datagram, opened);
        // Whatever becomes of the packet: its publisher estimates its network by what arrives.
        if let Some(sequence) = transport_sequence {
            self.reception.on_transport_sequence(opened.ssrc, sequence, received);
        }
        let mut payload = &datagram[opened.payload.clone()];
        let Some(place) = self.place(datagram, opened, received)? else { return Ok(Kind::Video) };
        let resent = self.tracks[place].rtx_payload_type == Some(opened.payload_type);
        let index = if resent {
            // RFC 4588 4: the original sequence number stands before the original payload. Without one it is a probe.
            let Some((original, rest)) = payload.split_first_chunk::<2>() else { return Ok(self.tracks[place].kind) };
            payload = rest;
            let original = u16::from_be_bytes(*original);
            if self.tracks[place].rtx_ssrc != Some(opened.ssrc)
                && self.admit_retransmission(place, opened, original, payload, received)? != Admitted::Activated
            {
                return Ok(self.tracks[place].kind);
            }
            let track = &self.tracks[place];
            let (Some(arrived), Some(ssrc)) = (&track.arrived, track.ssrc) else { return Err(DropReason::Undeclared) };
            self.reception.recover(ssrc, original, received);
            arrived.admit(original).ok_or(DropReason::Replayed)?
        } else {
            if self.tracks[place].ssrc != Some(opened.ssrc)
                && self.admit_source(place, datagram, opened, received)? != Admitted::Activated
            {
                return Ok(self.tracks[place].kind);
            }
            self.reception.on_packet(opened.ssrc, opened.index, opened.timestamp, received);
            opened.index
        };
        let track = &mut self.tracks[place];
        track.accept(index, received)?;
        let redundancy = if resent || opened.payload_type == track.payload_type {
            None
        } else {
            Some(Redundancy::read(payload, track.payload_type).ok_or(DropReason::Redundancy)?)
        };
        let own = redundancy.map_or(payload, |redundancy| redundancy.own(payload));
        let (part, keyframe) = track.keyframes.read(opened.timestamp, own);
        let is_frame = track.meter.on_packet(datagram.len(), opened.timestamp);
        if let Some(own) = &mut track.simulcast {
            own.on_packet(is_frame, received);
        }
        if keyframe && track.kind == Kind::Video {
            track.meter.on_keyframe(received);
            if track.gate.satisfied(received) {
                track.keyframe_responsive = Some(true);
                let (kind, layer) = (track.kind, track.layer);
                self.keyframe_responses.push(KeyframeResponsive { kind, layer, keyframe_responsive: true });
            }
        }
        let packet = Packet {
            received,
            generation: track.epoch.generation(),
            layer: track.layer,
            index,
            timestamp: opened.timestamp,
            marker: opened.marker,
            payload_type: if redundancy.is_some() { opened.payload_type } else { track.payload_type },
            descriptor: Descriptor::of(track.format.codec, own),
            frame: track.frame_layers.read(opened.timestamp, own, extensions.dependencies()),
            extensions: track.persistent_extensions.complete(index, opened.timestamp, extensions),
            part,
            keyframe,
            leads: 0,
            payload: Bytes::copy_from_slice(payload),
            redundancy,
        };
        let kind = track.kind;
        if kind == Kind::Video {
            track.layer_rates.on_packet(&packet);
        }
        if self.repair_delay.is_zero() && track.delay.is_empty() {
            self.pass_on(place, packet);
        } else {
            self.wait(place, packet);
        }
        Ok(kind)
    }

    /// The track of a packet; `None` for one without media.
    #[inline]
    fn place(&mut self, datagram: &[u8], opened: &Opened, received: Instant) -> Result<Option<usize>, DropReason> {
        let place = self.tracks.iter().position(|track| track.has_now(opened.payload_type));
        match place.filter(|place| self.tracks[*place].simulcast.is_none()) {
            Some(place) => Ok(Some(place)),
            None if self.looks.is_some() => self.place_among_layers(datagram, opened, received),
            None => self.place_of_other(&datagram[opened.payload.clone()], opened, received).map(Some),
        }
    }

    /// The announcement for subscribers, which they need before the packets: once after a track's format became known, and
    /// after another source has begun to play. It leaves out what they have already.
    pub(crate) fn take_announcement(&mut self, worker: WorkerId) -> Option<Subscribed> {
        if !self.tracks.iter().any(|track| track.announce) {
            return None;
        }
        let new = |track: &mut Track| std::mem::take(&mut track.announce) && track.is_settled;
        let places = self.tracks.iter_mut().map(new).collect::<Vec<_>>();
        let tracks = self.tracks.iter().zip(places).filter(|(_, is_new)| *is_new);
        let tracks = tracks.map(|(track, _)| self.subscribed_track(track, Vec::new())).collect();
        self.subscribed(worker, tracks)
    }

    /// Which tracks have answered or ignored a keyframe request since the last call.
    pub(crate) fn take_keyframe_responses(&mut self) -> Vec<KeyframeResponsive> {
        std::mem::take(&mut self.keyframe_responses)
    }

    /// The packets that arrived since the last call, in one batch for each track, to be pushed once to each subscriber.
    /// A standby pushes nothing.
    pub(crate) fn take_pending(&mut self) -> Vec<Arc<Published>> {
        let newest = self.tracks.iter().filter_map(|track| Some(track.pending.last()?.received)).max();
        if let Some(received) = newest {
            self.publication.beat(received);
        }
        let filled = self.tracks.iter_mut().filter(|track| !track.pending.is_empty());
        let batch = |track: &mut Track| {
            let packets = std::mem::take(&mut track.pending);
            let (kind, layer, publisher) = (track.kind, track.layer, self.publication.number()?);
            Some(Arc::new(Published { stream: self.stream.clone(), publisher, kind, layer, packets }))
        };
        filled.filter_map(batch).collect()
    }

    /// The stream's state, from which a worker's viewers continue without a gap. Packets that still wait for
    /// [`Self::take_pending`] are in it too: the worker gets them twice and keeps them once. `None` for a standby.
    pub(crate) fn snapshot(&self, worker: WorkerId) -> Option<Subscribed> {
        let settled = self.tracks.iter().filter(|track| track.is_settled);
        let tracks = settled.map(|track| self.subscribed_track(track, track.history.snapshot().cloned().collect()));
        self.subscribed(worker, tracks.collect())
    }

    fn subscribed(&self, worker: WorkerId, tracks: Vec<SubscribedTrack>) -> Option<Subscribed> {
        Some(Subscribed {
            stream: self.stream.clone(),
            publisher: self.publication.number()?,
            worker,
            tracks,
            channels: self.channels.clone(),
            was_standby: false,
            lost: self.presence.is_away(),
        })
    }

    fn subscribed_track(&self, track: &Track, snapshot: Vec<Arc<Packet>>) -> SubscribedTrack {
        let own = track.simulcast.as_ref();
        SubscribedTrack {
            kind: track.kind,
            layer: track.layer,
            rid: own.map(|own| own.rid.clone()),
            state: own.map_or(LayerState { is_active: true, ..LayerState::default() }, |own| own.state),
            epoch: track.epoch,
            format: track.format.clone(),
            payload_type: track.payload_type,
            snapshot,
            clock: track.ssrc.and_then(|ssrc| self.reception.clock(ssrc)),
            keyframe_responsive: track.keyframe_responsive,
        }
    }

    /// A viewer waits for a keyframe of this encoding.
    pub(crate) fn demand_keyframe(&mut self, layer: LayerId, now: Instant) {
        for track in self.tracks.iter_mut().filter(|track| (track.kind, track.layer) == (Kind::Video, layer)) {
            track.demand_keyframe(now);
        }
    }

    /// Reports, requests and feedback that are due.
    pub(crate) fn poll(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        let asked_before = self.reception.tally().asked;
        for track in &mut self.tracks {
            let Some(ssrc) = track.ssrc.filter(|_| track.accepts_keyframe_requests) else { continue };
            if track.gate.poll_ignored(now) {
                track.keyframe_responsive = Some(false);
                let (kind, layer) = (track.kind, track.layer);
                self.keyframe_responses.push(KeyframeResponsive { kind, layer, keyframe_responsive: false });
            }
            if track.gate.poll(now) {
                self.reception.request_keyframe(ssrc, now);
                due.keyframes_asked += 1;
            }
        }
        due.datagrams.extend(std::iter::from_fn(|| self.reception.poll(now)));
        due.packets_asked = self.reception.tally().asked - asked_before;
        self.update_repair_delay(now);
        self.compare_layers(now);
        due.releases = self.release(now);
        due
    }

    /// When [`Self::poll`] has something.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let asking = |track: &&Track| track.ssrc.is_some() && track.accepts_keyframe_requests;
        let gates = self.tracks.iter().filter(asking).filter_map(|track| track.gate.poll_timeout());
        let waiting = self.tracks.iter().filter_map(|track| track.delay.poll_timeout());
        let assembled = self.tracks.iter().filter_map(|track| track.assembler.as_ref()?.poll_timeout());
        let measured = self.bitrate_limit.as_ref().map(BitrateLimit::poll_timeout);
        gates
            .chain(waiting)
            .chain(assembled)
            .chain(self.reception.poll_timeout())
            .chain(self.look_at)
            .chain(self.looks.as_ref().map(Looks::poll_timeout))
            .chain(measured)
            .chain(self.presence.look_at())
            .min()
    }

    /// Takes the publisher's own reports.
    pub(crate) fn on_reports(&mut self, compound: &[u8], now: Instant) {
        self.reception.on_rtcp(compound, now);
    }

    /// The clocks of its tracks that are new since the last call.
    pub(crate) fn take_clocks(&mut self) -> Vec<(Kind, LayerId, SenderClock)> {
        let reception = &mut self.reception;
        let clock = |track: &Track| Some((track.kind, track.layer, reception.take_clock(track.ssrc?)?));
        self.tracks.iter().filter_map(clock).collect()
    }
}

/// The tracks of an agreed section: one, or one for each of its simulcast encodings.
fn tracks_of(section: &Section, epoch: Epoch, limits: HistoryLimits) -> Vec<Track> {
    let track = |choices: Vec<Payload>| {
        let payload = choices.first()?;
        let track = Track::new(section.kind, payload, epoch, limits);
        Some(Track { is_settled: choices.len() == 1, choices, ..track })
    };
    // A single encoding needs no name: its packets are known by their payload type.
    if section.layers.len() < 2 {
        return track(section.payloads.clone()).into_iter().collect();
    }
    let encoding = |(id, layer): (u8, &Layer)| {
        let choices = section.payloads.iter().filter(|payload| layer.takes(payload)).cloned().collect();
        let simulcast = Some(Box::new(Simulcast::new(layer)));
        Some(Track { layer: LayerId(id), simulcast, ..track(choices)? })
    };
    (0..).zip(&section.layers).filter_map(encoding).collect()
}
