//! One published medium: its format, the packets that arrived, and what is requested from the publisher for it.

use std::sync::Arc;
use std::time::Instant;

use super::lint::Lint;
use super::simulcast::Simulcast;
use super::sources::TrackSources;
use crate::forward::codec::{Codec, Format, FrameLayers, KeyframeFinder, Kind, NalCodec, ParameterSets};
use crate::forward::{
    Epoch, History, HistoryLimits, KeyframeAssembler, KeyframeGate, LayerId, Packet, PersistentExtensions,
    PlayoutDelay, RepairBuffer,
};
use crate::reason::DropReason;
use crate::sdp::Payload;
use crate::srtp::index::ReceivedIndices;
use crate::worker::stats::layer_rates::LayerRates;
use crate::worker::stats::meter::TrackMeter;

/// One published medium.
pub(crate) struct Track {
    pub(crate) kind: Kind,
    /// Which of its video's encodings it is; 0 where there is one.
    pub(crate) layer: LayerId,
    /// As one of several encodings.
    pub(crate) simulcast: Option<Box<Simulcast>>,
    /// The formats that the answer accepts.
    pub(crate) choices: Vec<Payload>,
    /// Whether its format is known: from its first packet, unless the answer accepts only one.
    pub(crate) is_settled: bool,
    pub(crate) format: Format,
    pub(crate) payload_type: u8,
    pub(crate) rtx_payload_type: Option<u8>,
    /// The payload type of audio packets with copies of earlier ones (RFC 2198).
    pub(crate) red_payload_type: Option<u8>,
    pub(crate) accepts_keyframe_requests: bool,
    /// The SSRC of the active source, learnt from its first packet.
    pub(crate) ssrc: Option<u32>,
    /// The SSRC of its retransmissions, learnt from the first of them.
    pub(crate) rtx_ssrc: Option<u32>,
    /// When it last changed to another codec.
    pub(super) changed: Option<Instant>,
    /// The epoch of the packets of its active source.
    pub(crate) epoch: Epoch,
    pub(crate) sources: TrackSources,
    /// Packets of earlier sources that never arrived.
    pub(crate) lost_before: u64,
    /// Packets of earlier sources that arrived as retransmissions or copies.
    pub(crate) repaired_before: u64,
    /// Subscribers must get its format and epoch before its next packet.
    pub(crate) announce: bool,
    pub(crate) nack: bool,
    /// Which indices have arrived, directly or as retransmissions, so that a packet counts once.
    pub(crate) arrived: Option<ReceivedIndices>,
    pub(crate) keyframes: KeyframeFinder,
    pub(crate) frame_layers: FrameLayers,
    /// Extension values that hold until a packet changes them.
    pub(crate) persistent_extensions: PersistentExtensions,
    pub(crate) history: History,
    pub(crate) pending: Vec<Arc<Packet>>,
    pub(crate) gate: KeyframeGate,
    /// Whether keyframe requests are answered; `None` until one has been sent.
    pub(crate) keyframe_responsive: Option<bool>,
    pub(crate) meter: TrackMeter,
    /// What the temporal layers of video cost.
    pub(crate) layer_rates: LayerRates,
    pub(crate) playout_delay: PlayoutDelay,
    pub(crate) delay: RepairBuffer,
    /// Only for codecs whose keyframes begin with parameter sets.
    pub(crate) assembler: Option<Box<KeyframeAssembler>>,
    pub(crate) lint: Lint,
}

impl Track {
    /// A track with this format, whose packets begin with this epoch.
    pub(crate) fn new(kind: Kind, payload: &Payload, epoch: Epoch, limits: HistoryLimits) -> Self {
        Self {
            kind,
            layer: LayerId::default(),
            simulcast: None,
            choices: Vec::new(),
            is_settled: true,
            format: payload.format.clone(),
            payload_type: payload.payload_type,
            rtx_payload_type: payload.rtx_payload_type,
            red_payload_type: payload.red.map(|red| red.payload_type),
            accepts_keyframe_requests: payload.feedback.pli,
            ssrc: None,
            rtx_ssrc: None,
            changed: None,
            epoch,
            sources: TrackSources::default(),
            lost_before: 0,
            repaired_before: 0,
            announce: false,
            nack: payload.feedback.nack,
            arrived: None,
            keyframes: KeyframeFinder::new(payload.format.codec),
            frame_layers: FrameLayers::new(payload.format.codec),
            persistent_extensions: PersistentExtensions::new(payload.format.clock_rate),
            history: History::new(limits),
            pending: Vec::new(),
            gate: KeyframeGate::default(),
            keyframe_responsive: (!payload.feedback.pli).then_some(false),
            meter: TrackMeter::default(),
            layer_rates: LayerRates::default(),
            playout_delay: PlayoutDelay::default(),
            delay: RepairBuffer::default(),
            assembler: assembler(&payload.format),
            lint: Lint::default(),
        }
    }

    /// False for one of several encodings that the publisher does not send at present.
    pub(crate) fn is_active(&self) -> bool {
        self.simulcast.as_ref().is_none_or(|own| own.state.is_active)
    }

    /// A viewer waits for a keyframe of it.
    pub(crate) fn demand_keyframe(&mut self, now: Instant) {
        self.gate.demand(now);
        if let Some(own) = &mut self.simulcast {
            own.demand(now);
        }
    }

    /// The place of a payload type among what it may send.
    pub(super) fn choice_of(&self, payload_type: u8) -> Option<usize> {
        let is_it = |choice: &Payload| {
            let red = choice.red.map(|red| red.payload_type);
            choice.payload_type == payload_type || red == Some(payload_type)
        };
        self.choices.iter().position(is_it)
    }

    /// True for the payload types that it is known to send: of media and of retransmissions.
    #[inline]
    pub(super) fn has_now(&self, payload_type: u8) -> bool {
        (self.payload_type == payload_type || self.rtx_payload_type == Some(payload_type)) && self.is_settled
    }

    /// Notes a packet as arrived, the first of its source too.
    ///
    /// # Errors
    /// It has arrived before, or is too old to know.
    pub(super) fn accept(&mut self, index: u64, received: Instant) -> Result<(), DropReason> {
        match &mut self.arrived {
            None => {
                self.arrived = Some(ReceivedIndices::begin(index));
                self.lint.began.get_or_insert(received);
            }
            Some(arrived) if arrived.admit(index as u16) == Some(index) => arrived.accept(index),
            Some(_) => return Err(DropReason::Replayed),
        }
        Ok(())
    }

    /// Adds a packet to the history and the pending batch. Missing packets that it has copies of go before it; returns
    /// their indices.
    #[inline]
    pub(crate) fn release(&mut self, packet: Packet) -> Vec<u64> {
        self.delay.pass(packet.index);
        if self.assembler.is_some() {
            self.assemble(packet);
            return Vec::new();
        }
        let rebuilt = packet.redundancy.map_or(Vec::new(), |redundancy| self.rebuild(&packet, redundancy));
        let packet = Arc::new(packet);
        if self.history.push(packet.clone()).is_some() {
            self.pending.push(packet);
        }
        rebuilt
    }

    /// Passes a packet whose codec has parameter sets through the assembler: it leaves alone, with others, or later.
    #[inline(never)]
    fn assemble(&mut self, mut packet: Packet) {
        let Some(assembler) = &mut self.assembler else { return };
        if assembler.pass(&mut packet) {
            return self.keep([packet]);
        }
        let mut ready = Vec::new();
        assembler.push(packet, &mut ready);
        self.keep(ready);
    }

    /// Releases packets from the assembler that have waited long enough for missing ones.
    pub(crate) fn release_assembled(&mut self, now: Instant) {
        let mut ready = Vec::new();
        if let Some(assembler) = &mut self.assembler {
            assembler.poll(now, &mut ready);
        }
        self.keep(ready);
    }

    /// Releases all packets from the assembler.
    pub(crate) fn drain_assembled(&mut self) {
        let mut ready = Vec::new();
        if let Some(assembler) = &mut self.assembler {
            assembler.drain(&mut ready);
        }
        self.keep(ready);
    }

    /// Drops all waiting packets, because another source begins.
    pub(crate) fn clear_waiting(&mut self) {
        self.delay.clear();
        if let Some(assembler) = &mut self.assembler {
            assembler.begin_again();
        }
    }

    /// Keeps packets in the current epoch: the publisher may have taken the stream over since they arrived.
    fn keep(&mut self, packets: impl IntoIterator<Item = Packet>) {
        for packet in packets {
            let packet = Arc::new(Packet { generation: self.epoch.generation(), ..packet });
            if self.history.push(packet.clone()).is_some() {
                self.pending.push(packet);
            }
        }
    }

    /// Width and height of its frames, once known from a keyframe or the offer.
    pub(crate) fn size(&self) -> Option<(u16, u16)> {
        let offered = || self.assembler.as_ref()?.size();
        self.keyframes.size().or_else(offered).map(|size| (size.width, size.height))
    }

    /// Sets the format of its packets from here on; the history stays.
    pub(crate) fn set_format(&mut self, payload: &Payload) {
        self.is_settled = true;
        self.format = payload.format.clone();
        self.payload_type = payload.payload_type;
        self.rtx_payload_type = payload.rtx_payload_type;
        self.red_payload_type = payload.red.map(|red| red.payload_type);
        self.accepts_keyframe_requests = payload.feedback.pli;
        self.nack = payload.feedback.nack;
        self.keyframes = KeyframeFinder::new(payload.format.codec);
        self.frame_layers = FrameLayers::new(payload.format.codec);
        self.assembler = assembler(&payload.format);
        self.lint = Lint::default();
        self.keyframe_responsive = (!payload.feedback.pli).then_some(false);
    }
}

/// The keyframe assembler of a format that has parameter sets.
fn assembler(format: &Format) -> Option<Box<KeyframeAssembler>> {
    // In the interleaved mode of H.264 no unit stands alone in a packet (RFC 6184 6.4).
    let adds = format.codec != Codec::H264 || format.packetization_mode() < 2;
    let assembler = || Box::new(KeyframeAssembler::new(ParameterSets::of(format), adds));
    NalCodec::of(format.codec).is_some().then(assembler)
}
