//! Which of a publisher's sources is active on a track. A source is an SSRC; one is active at a time, and the publisher
//! may change to another as often as it likes.
//!
//! Another source becomes active with the first packet of its keyframe (audio: with any packet), or with any packet
//! once the active source has been silent for 500 ms. The source before is then retired for one second: its late
//! packets fill their gaps in the history, and after that it may become active again like any other. Each change is an
//! [`Epoch`] of the track, which viewers join at its keyframe. The rule: at most ten changes a
//! second; packets that would cause another one are dropped and counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::publisher::Publisher;
use super::sources::{Admitted, RetiredSource};
use crate::forward::codec::{Descriptor, FrameLayer, Part};
use crate::forward::{Epoch, HeaderExtensions, Packet, PersistentExtensions};
use crate::reason::DropReason;
use crate::srtp::Opened;

/// After this time without a packet of the active source, any other source may become active.
const SILENT: Duration = Duration::from_millis(500);

/// How long a retired source cannot become active again, and its late packets fill gaps.
const RETIREMENT: Duration = Duration::from_secs(1);

impl Publisher {
    /// Handles a packet of a source other than the active one.
    ///
    /// # Errors
    /// Why the packet goes no further.
    #[cold]
    pub(crate) fn admit_source(
        &mut self,
        place: usize,
        datagram: &[u8],
        opened: &Opened,
        received: Instant,
    ) -> Result<Admitted, DropReason> {
        let Opened { ssrc, index, .. } = *opened;
        // Browsers probe the network on SSRC 0 before they have media to send.
        if ssrc == 0 {
            return Ok(Admitted::Probe);
        }
        let track = &mut self.tracks[place];
        let Some(active) = track.ssrc else {
            self.start_source(place, ssrc, received);
            return Ok(Admitted::Activated);
        };
        let payload = &datagram[opened.payload.clone()];
        if track.sources.retired(|retired| retired.ssrc == ssrc, received).is_some() {
            return self.fill_gap(place, (ssrc, index), opened, payload, received);
        }
        let is_start = Part::of(track.format.codec, payload).is_keyframe();
        let heard = self.reception.heard(active);
        let is_silent = heard.is_none_or(|heard| received.saturating_duration_since(heard) >= SILENT);
        if !is_start && !is_silent {
            track.sources.keep(datagram, opened, received);
            return Err(DropReason::OtherSource);
        }
        if !track.sources.may_change(received) {
            self.warn_of_changes(received);
            return Err(DropReason::OtherSource);
        }
        let lead = std::mem::take(&mut track.sources.lead);
        self.start_source(place, ssrc, received);
        if lead.of == (ssrc, opened.timestamp) {
            for (datagram, opened, received) in lead.packets {
                // The keyframe starts even if a packet before it is refused.
                let _ = self.on_packet(&datagram, &opened, received);
            }
        }
        Ok(Admitted::Activated)
    }

    /// Handles a retransmission on an unknown SSRC: the first of the active source, or one of a retired source.
    ///
    /// # Errors
    /// Why it goes no further.
    #[cold]
    pub(crate) fn admit_retransmission(
        &mut self,
        place: usize,
        opened: &Opened,
        original: u16,
        payload: &[u8],
        received: Instant,
    ) -> Result<Admitted, DropReason> {
        if opened.ssrc == 0 {
            return Ok(Admitted::Probe);
        }
        let track = &mut self.tracks[place];
        if let Some(retired) = track.sources.retired(|retired| retired.rtx_ssrc == Some(opened.ssrc), received) {
            let index = retired.arrived.admit(original).ok_or(DropReason::Replayed)?;
            let ssrc = retired.ssrc;
            return self.fill_gap(place, (ssrc, index), opened, payload, received);
        }
        // It does not name its source. While it may belong to a retired one, it must repair a packet that is missing.
        let is_doubtful = !track.sources.retired.is_empty();
        let active = track.ssrc.ok_or(DropReason::Undeclared)?;
        if is_doubtful && self.reception.recover(active, original, received).is_none() {
            return Err(DropReason::OtherSource);
        }
        self.tracks[place].rtx_ssrc = Some(opened.ssrc);
        Ok(Admitted::Activated)
    }

    /// Starts a source, with the first packet of a track, of an SSRC or of another codec. Its indices are independent
    /// of those before, so viewers join it at its keyframe, like a new publisher. Packets of the source before that
    /// still wait are passed on first.
    pub(crate) fn start_source(&mut self, place: usize, ssrc: u32, received: Instant) {
        self.release_track(place, received);
        let before = self.tracks[place].ssrc.replace(ssrc);
        let arrived = self.tracks[place].arrived.take();
        if let Some(before) = before {
            let quality = self.reception.forget_source(before).unwrap_or_default();
            let track = &mut self.tracks[place];
            track.lost_before += quality.lost;
            track.repaired_before += quality.repaired;
            track.sources.changes.push_back(received);
            track.sources.retired.retain(|retired| retired.ssrc != ssrc);
            // Packets that the assembler added have shifted the indices of the others.
            let is_renumbered = track.assembler.as_ref().is_some_and(|assembler| assembler.has_added());
            if let Some(arrived) = arrived.filter(|_| before != ssrc) {
                track.sources.retired.push_back(RetiredSource {
                    ssrc: before,
                    rtx_ssrc: track.rtx_ssrc,
                    restart: track.epoch.restart,
                    payload_type: track.payload_type,
                    fills_gaps: !is_renumbered,
                    arrived,
                    until: received + RETIREMENT,
                });
            }
            track.epoch = track.epoch.restarted();
            track.announce = true;
            self.log_change(place, before);
        }
        let track = &mut self.tracks[place];
        track.rtx_ssrc = None;
        track.clear_waiting();
        track.meter.restart();
        track.persistent_extensions = PersistentExtensions::new(track.format.clock_rate);
        self.reception.add_source(ssrc, track.format.clock_rate, track.nack);
    }

    /// True for a retired source.
    pub(crate) fn is_retired(&mut self, place: usize, ssrc: u32, now: Instant) -> bool {
        self.tracks[place].sources.retired(|retired| retired.ssrc == ssrc, now).is_some()
    }

    /// Puts a late packet of a retired source into its gap in the history. Packets after the last one of that source
    /// are refused: viewers' sequence numbers have continued with the next source there.
    fn fill_gap(
        &mut self,
        place: usize,
        (ssrc, index): (u32, u64),
        opened: &Opened,
        payload: &[u8],
        received: Instant,
    ) -> Result<Admitted, DropReason> {
        let track = &mut self.tracks[place];
        let retired = track.sources.retired(|retired| retired.ssrc == ssrc, received);
        let Some(retired) = retired.filter(|retired| retired.fills_gaps && index < retired.arrived.highest()) else {
            return Err(DropReason::OtherSource);
        };
        let is_whole = opened.payload_type == retired.payload_type || opened.ssrc != ssrc;
        if !is_whole || retired.arrived.admit(index as u16) != Some(index) {
            return Err(DropReason::OtherSource);
        }
        retired.arrived.accept(index);
        let packet = Arc::new(Packet {
            received,
            generation: Epoch { restart: retired.restart, ..track.epoch }.generation(),
            layer: track.layer,
            index,
            timestamp: opened.timestamp,
            marker: opened.marker,
            payload_type: retired.payload_type,
            descriptor: Descriptor::of(track.format.codec, payload),
            frame: FrameLayer::of(track.format.codec, payload).unwrap_or_default(),
            extensions: HeaderExtensions::default(),
            // No viewer begins with it.
            part: Part::default(),
            keyframe: false,
            leads: 0,
            payload: Bytes::copy_from_slice(payload),
            redundancy: None,
        });
        if track.history.push(packet.clone()).is_some() {
            track.pending.push(packet);
        }
        Ok(Admitted::FilledGap)
    }

    fn log_change(&self, place: usize, before: u32) {
        let (track, session) = (&self.tracks[place], self.publication.session());
        let (kind, ssrc, changes) = (track.kind.as_str(), track.ssrc, track.epoch.restart);
        tracing::info!(%session, stream = %self.stream, kind, before, ssrc, changes, "publisher's source changed");
    }

    fn warn_of_changes(&mut self, now: Instant) {
        if self.refusals_logged.allows(now) {
            tracing::warn!(
                session = %self.publication.session(),
                stream = %self.stream,
                "publisher changes its SSRC more than ten times a second: packets of further ones are dropped; let its \
                 encoder keep one SSRC for each track"
            );
        }
    }

    /// Packets of an SSRC have been refused, because too many are in use.
    #[cold]
    pub(crate) fn warn_of_ssrcs(&mut self, now: Instant) {
        if self.refusals_logged.allows(now) {
            tracing::warn!(
                session = %self.publication.session(),
                stream = %self.stream,
                "publisher uses more than 16 SSRCs at a time, or more than 64 new ones within a second: packets of further \
                 ones are dropped; let its encoder keep one SSRC for each track"
            );
        }
    }
}
