//! Which of a publisher's sources plays on a track. A source is an SSRC; one plays at a time, and its publisher may go
//! on under another as often as it likes.
//!
//! Another source takes over with the first packet of its keyframe (audio: any packet), or once the one that plays has
//! been silent for 500 ms. Then the one before is retired: for a second what comes late of it goes to its old place,
//! and after that it may return as any other. Each change is an [`Epoch`](crate::forward::Epoch) of the track, which
//! viewers join at its keyframe. The rule: at most ten changes a second; what would be one more is dropped and counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::publisher::Publisher;
use super::sources::{Admitted, Retired};
use crate::forward::codec::{Descriptor, Part};
use crate::forward::{HeaderExtensions, LayerId, Packet, PersistentExtensions, epoch};
use crate::reason::DropReason;
use crate::srtp::Opened;

/// Without a packet for this long, the source that plays gives way to any other.
const SILENT: Duration = Duration::from_millis(500);

/// How long a retired source stays away, and what comes late of it has a place.
const RETIREMENT: Duration = Duration::from_secs(1);

impl Publisher {
    /// A packet of another source than the one that plays.
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
        let track = &mut self.tracks[place];
        let Some(playing) = track.ssrc else {
            self.start_source(place, ssrc, received);
            return Ok(Admitted::Plays);
        };
        let payload = &datagram[opened.payload.clone()];
        if track.sources.retired(|retired| retired.ssrc == ssrc, received).is_some() {
            return self.place_late(place, (ssrc, index), opened, payload, received);
        }
        let is_start = Part::of(track.format.codec, payload).is_keyframe();
        let heard = self.reception.heard(playing);
        let is_silent = heard.is_none_or(|heard| received.saturating_duration_since(heard) >= SILENT);
        if !is_start && !is_silent {
            track.sources.keep(datagram, opened, received);
            return Err(DropReason::OtherSource);
        }
        if !track.sources.may_change(received) || track.number == u32::MAX {
            self.warn_of_changes(received);
            return Err(DropReason::OtherSource);
        }
        if !is_start {
            track.gate.demand(received);
        }
        let lead = std::mem::take(&mut track.sources.lead);
        self.start_source(place, ssrc, received);
        if lead.of == (ssrc, opened.timestamp) {
            for (datagram, opened, received) in lead.packets {
                // What comes before the start of the keyframe is worth less than it: its faults are no matter here.
                let _ = self.on_packet(&datagram, &opened, received);
            }
        }
        Ok(Admitted::Plays)
    }

    /// A retransmission on another SSRC than those before: the first of the source that plays, or one of a source that
    /// does not any more.
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
        let track = &mut self.tracks[place];
        if let Some(retired) = track.sources.retired(|retired| retired.rtx_ssrc == Some(opened.ssrc), received) {
            let index = retired.arrived.admit(original).ok_or(DropReason::Replayed)?;
            let ssrc = retired.ssrc;
            return self.place_late(place, (ssrc, index), opened, payload, received);
        }
        // Nothing says whose it is; while it may be of the source before, it must be one that is waited for.
        let is_doubtful = !track.sources.retired.is_empty();
        let playing = track.ssrc.ok_or(DropReason::Undeclared)?;
        if is_doubtful && self.reception.recover(playing, original, received).is_none() {
            return Err(DropReason::OtherSource);
        }
        self.tracks[place].rtx_ssrc = Some(opened.ssrc);
        Ok(Admitted::Plays)
    }

    /// The first packet of a track, of a new source, or of another codec: its indices are a new line, which viewers join at
    /// its keyframe like that of a new publisher. What waits of the source before goes on
    /// first.
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
            // Packets that were put into its line have moved the numbers of the others.
            let is_numbered_on = track.assembler.as_ref().is_some_and(|assembler| assembler.has_added());
            if let Some(arrived) = arrived.filter(|_| before != ssrc) {
                track.sources.retired.push_back(Retired {
                    ssrc: before,
                    rtx_ssrc: track.rtx_ssrc,
                    number: track.number,
                    payload_type: track.payload_type,
                    has_places: !is_numbered_on,
                    arrived,
                    until: received + RETIREMENT,
                });
            }
            track.number += 1;
            track.announce = true;
            self.log_change(place, before);
        }
        let track = &mut self.tracks[place];
        track.rtx_ssrc = None;
        track.clear_waiting();
        track.intake.restart();
        track.persistent_extensions = PersistentExtensions::new(track.format.clock_rate);
        self.reception.add_source(ssrc, track.format.clock_rate, track.nack);
    }

    /// True for a source that was retired within the last second.
    pub(crate) fn is_retired(&mut self, place: usize, ssrc: u32, now: Instant) -> bool {
        self.tracks[place].sources.retired(|retired| retired.ssrc == ssrc, now).is_some()
    }

    /// A packet of a retired source fills a hole in its line, if it has one: only what is before its last packet has a
    /// place, because viewers' numbers go on behind that.
    fn place_late(
        &mut self,
        place: usize,
        (ssrc, index): (u32, u64),
        opened: &Opened,
        payload: &[u8],
        received: Instant,
    ) -> Result<Admitted, DropReason> {
        let publisher = self.publication.epoch();
        let track = &mut self.tracks[place];
        let retired = track.sources.retired(|retired| retired.ssrc == ssrc, received);
        let Some(retired) = retired.filter(|retired| retired.has_places && index < retired.arrived.highest()) else {
            return Err(DropReason::OtherSource);
        };
        let is_whole = opened.payload_type == retired.payload_type || opened.ssrc != ssrc;
        if !is_whole || retired.arrived.admit(index as u16) != Some(index) {
            return Err(DropReason::OtherSource);
        }
        retired.arrived.accept(index);
        let packet = Arc::new(Packet {
            received,
            epoch: epoch(publisher, retired.number),
            layer: LayerId::default(),
            index,
            timestamp: opened.timestamp,
            marker: opened.marker,
            payload_type: retired.payload_type,
            descriptor: Descriptor::of(track.format.codec, payload),
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
        Ok(Admitted::Placed)
    }

    fn log_change(&self, place: usize, before: u32) {
        let (track, session) = (&self.tracks[place], self.publication.session());
        let (kind, ssrc, changes) = (track.kind.as_str(), track.ssrc, track.number);
        tracing::info!(%session, stream = %self.stream, kind, before, ssrc, changes, "publisher's source changed");
    }

    fn warn_of_changes(&mut self, now: Instant) {
        if self.refusals_logged.may(now) {
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
        if self.refusals_logged.may(now) {
            tracing::warn!(
                session = %self.publication.session(),
                stream = %self.stream,
                "publisher uses more than 16 SSRCs at a time, or more than 64 new ones within a second: packets of further \
                 ones are dropped; let its encoder keep one SSRC for each track"
            );
        }
    }
}
