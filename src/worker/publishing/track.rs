//! One published medium: what it sends, what has arrived of it and what is asked of it.

use std::sync::Arc;
use std::time::Instant;

use super::lint::Lint;
use super::sources::Sources;
use crate::forward::codec::{Codec, Format, KeyframeFinder, Kind, ParameterSets};
use crate::forward::{
    Epoch, History, HistoryLimits, KeyframeAssembler, KeyframeGate, Packet, PersistentExtensions, PlayoutDelay,
    RepairBuffer,
};
use crate::reason::DropReason;
use crate::sdp::Payload;
use crate::srtp::index::Received;
use crate::worker::stats::meter::Intake;

/// One published medium.
pub(crate) struct Track {
    pub(crate) kind: Kind,
    /// What it may send.
    pub(crate) choices: Vec<Payload>,
    /// Whether it is known which of those it sends: its first packet says so, unless there is only one.
    pub(crate) is_settled: bool,
    pub(crate) format: Format,
    pub(crate) payload_type: u8,
    pub(crate) rtx_payload_type: Option<u8>,
    /// Of audio packets with copies of earlier ones (RFC 2198).
    pub(crate) red_payload_type: Option<u8>,
    pub(crate) accepts_keyframe_requests: bool,
    /// Where packets come from now: declared in the offer, else learnt from the first packet.
    pub(crate) ssrc: Option<u32>,
    /// Where its retransmissions come from; learnt from the first.
    pub(crate) rtx_ssrc: Option<u32>,
    /// How many sources it has had before.
    pub(crate) number: u32,
    pub(crate) sources: Sources,
    /// Packets of those that did not come, or came as repairs.
    pub(crate) lost_before: u64,
    pub(crate) repaired_before: u64,
    /// The subscribers must be told of its source before the next packet.
    pub(crate) announce: bool,
    pub(crate) nack: bool,
    /// Which indices have arrived, on whatever SSRC, so that a packet and its resend count once.
    pub(crate) arrived: Option<Received>,
    pub(crate) keyframes: KeyframeFinder,
    /// What packets say that leave it out.
    pub(crate) persistent_extensions: PersistentExtensions,
    pub(crate) history: History,
    pub(crate) pending: Vec<Arc<Packet>>,
    pub(crate) gate: KeyframeGate,
    /// Whether keyframe requests are answered; `None` until one has been sent.
    pub(crate) keyframe_responsive: Option<bool>,
    pub(crate) intake: Intake,
    pub(crate) playout_delay: PlayoutDelay,
    pub(crate) delay: RepairBuffer,
    /// Of codecs whose keyframes begin with parameter sets.
    pub(crate) assembler: Option<Box<KeyframeAssembler>>,
    pub(crate) lint: Lint,
}

impl Track {
    /// A track that sends this.
    pub(crate) fn new(kind: Kind, payload: &Payload, limits: HistoryLimits) -> Self {
        Self {
            kind,
            choices: Vec::new(),
            is_settled: true,
            format: payload.format.clone(),
            payload_type: payload.payload_type,
            rtx_payload_type: payload.rtx_payload_type,
            red_payload_type: payload.red.map(|red| red.payload_type),
            accepts_keyframe_requests: payload.feedback.pli,
            ssrc: None,
            rtx_ssrc: None,
            number: 0,
            sources: Sources::default(),
            lost_before: 0,
            repaired_before: 0,
            announce: false,
            nack: payload.feedback.nack,
            arrived: None,
            keyframes: KeyframeFinder::new(payload.format.codec),
            persistent_extensions: PersistentExtensions::new(payload.format.clock_rate),
            history: History::new(limits),
            pending: Vec::new(),
            gate: KeyframeGate::default(),
            keyframe_responsive: (!payload.feedback.pli).then_some(false),
            intake: Intake::default(),
            playout_delay: PlayoutDelay::default(),
            delay: RepairBuffer::default(),
            assembler: assembler(&payload.format),
            lint: Lint::default(),
        }
    }

    /// Notes a packet as arrived, the first of its source too.
    ///
    /// # Errors
    /// It has arrived before, or is too old to tell.
    pub(super) fn accept(&mut self, index: u64, received: Instant) -> Result<(), DropReason> {
        match &mut self.arrived {
            None => {
                self.arrived = Some(Received::begin(index));
                self.lint.began.get_or_insert(received);
            }
            Some(arrived) if arrived.admit(index as u16) == Some(index) => arrived.accept(index),
            Some(_) => return Err(DropReason::Replayed),
        }
        Ok(())
    }

    /// Lets a packet go on to the viewers, and before it what is missing and has a copy in it; the indices of that.
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

    /// Lets a packet go on whose codec has parameter sets: alone, with others, or later.
    #[inline(never)]
    fn assemble(&mut self, mut packet: Packet) {
        let Some(assembler) = &mut self.assembler else { return };
        let epoch = packet.epoch;
        if assembler.pass(&mut packet) {
            return self.keep([packet], epoch);
        }
        let mut ready = Vec::new();
        assembler.push(packet, &mut ready);
        self.keep(ready, epoch);
    }

    /// Lets go on what has waited long enough for what is missing before it. Its publisher has this epoch now.
    pub(crate) fn release_assembled(&mut self, now: Instant, epoch: Epoch) {
        let mut ready = Vec::new();
        if let Some(assembler) = &mut self.assembler {
            assembler.poll(now, &mut ready);
        }
        self.keep(ready, epoch);
    }

    /// Lets go on all that waits to be assembled.
    pub(crate) fn drain_assembled(&mut self, epoch: Epoch) {
        let mut ready = Vec::new();
        if let Some(assembler) = &mut self.assembler {
            assembler.drain(&mut ready);
        }
        self.keep(ready, epoch);
    }

    /// Another line of packets begins: what waits is forgotten.
    pub(crate) fn clear_waiting(&mut self) {
        self.delay.clear();
        if let Some(assembler) = &mut self.assembler {
            assembler.begin_again();
        }
    }

    fn keep(&mut self, packets: impl IntoIterator<Item = Packet>, epoch: Epoch) {
        for packet in packets {
            let packet = Arc::new(Packet { epoch, ..packet });
            if self.history.push(packet.clone()).is_some() {
                self.pending.push(packet);
            }
        }
    }

    /// Columns and rows of its frames, once a keyframe or the offer has shown them.
    pub(crate) fn size(&self) -> Option<(u16, u16)> {
        let offered = || self.assembler.as_ref()?.size();
        self.keyframes.size().or_else(offered).map(|size| (size.width, size.height))
    }

    /// It sends this from here on; what it has sent stays.
    pub(crate) fn set_format(&mut self, payload: &Payload) {
        self.is_settled = true;
        self.format = payload.format.clone();
        self.payload_type = payload.payload_type;
        self.rtx_payload_type = payload.rtx_payload_type;
        self.red_payload_type = payload.red.map(|red| red.payload_type);
        self.accepts_keyframe_requests = payload.feedback.pli;
        self.nack = payload.feedback.nack;
        self.keyframes = KeyframeFinder::new(payload.format.codec);
        self.assembler = assembler(&payload.format);
        self.lint = Lint::default();
        self.keyframe_responsive = (!payload.feedback.pli).then_some(false);
    }
}

/// What assembles the keyframes of a format that has parameter sets.
fn assembler(format: &Format) -> Option<Box<KeyframeAssembler>> {
    // In the interleaved mode of H.264 no unit stands alone in a packet (RFC 6184 6.4).
    let adds = format.codec != Codec::H264 || format.packetization_mode() < 2;
    let assembler = || Box::new(KeyframeAssembler::new(ParameterSets::of(format), adds));
    matches!(format.codec, Codec::H264 | Codec::H265).then(assembler)
}
