//! Which of the negotiated formats and which source a track's packets have: both are learnt from the packets, and may
//! change.
//!
//! The first packet of a track decides. A publisher may change to another codec that the answer accepts: browsers do so
//! by `setParameters`, without a new offer. Its viewers follow as they follow a new publisher, at the new codec's first
//! keyframe; the session of a viewer without a payload type for it ends. The rule: each change is a new epoch of the
//! track, so there is at most one a second, and packets that would change the codec sooner are dropped.

use std::time::{Duration, Instant};

use super::publisher::Publisher;
use super::track::Track;
use crate::forward::codec::{Format, Kind, may_begin};
use crate::reason::DropReason;
use crate::sdp::Payload;
use crate::srtp::Opened;

/// The minimum time between two changes of the codec.
const CHANGE_INTERVAL: Duration = Duration::from_secs(1);

impl Publisher {
    /// The track of a packet whose payload type none has now: audio with copies of earlier packets, a track's first
    /// packet, or the first in another codec.
    ///
    /// # Errors
    /// Why the packet goes no further.
    #[cold]
    pub(crate) fn place_of_other(
        &mut self,
        payload: &[u8],
        opened: &Opened,
        received: Instant,
    ) -> Result<usize, DropReason> {
        let is_redundant = |track: &Track| track.red_payload_type == Some(opened.payload_type) && track.is_settled;
        if let Some(place) = self.tracks.iter().position(is_redundant) {
            return Ok(place);
        }
        let is_agreed = |track: &Track| track.choice_of(opened.payload_type).is_some();
        let place = self.tracks.iter().position(is_agreed).ok_or(DropReason::Undeclared)?;
        self.adopt_format(place, payload, opened, received)?;
        Ok(place)
    }

    /// From this packet on a track has the agreed format of its payload type, if it can have it.
    ///
    /// # Errors
    /// Why the packet goes no further.
    #[cold]
    pub(crate) fn adopt_format(
        &mut self,
        place: usize,
        payload: &[u8],
        opened: &Opened,
        received: Instant,
    ) -> Result<(), DropReason> {
        let choice = self.tracks[place].choice_of(opened.payload_type).ok_or(DropReason::Undeclared)?;
        if self.tracks[place].is_settled {
            self.check_change(place, choice, payload, opened, received)?;
        }
        let choice = self.tracks[place].choices[choice].clone();
        self.choose(place, &choice, opened.ssrc, received);
        Ok(())
    }

    /// Whether a track can go on in another codec with this packet.
    fn check_change(
        &mut self,
        place: usize,
        choice: usize,
        payload: &[u8],
        opened: &Opened,
        received: Instant,
    ) -> Result<(), DropReason> {
        let is_retired = self.is_retired(place, opened.ssrc, received);
        let track = &mut self.tracks[place];
        let choice = &track.choices[choice];
        let highest = track.arrived.as_ref().map(|arrived| arrived.highest());
        // Packets from before its last change may arrive late.
        let is_late = track.ssrc == Some(opened.ssrc) && Some(opened.index) <= highest;
        let is_soon =
            track.changed.is_some_and(|changed| received.saturating_duration_since(changed) < CHANGE_INTERVAL);
        if is_late || is_soon || is_retired {
            return Err(DropReason::CodecChange);
        }
        if !may_begin(choice.format.codec, payload) {
            // Viewers get nothing of the new codec before its keyframe, so they cannot ask for one themselves.
            if track.kind == Kind::Video && !self.subscribers.is_empty() {
                track.demand_keyframe(received);
            }
            return Err(DropReason::CodecChange);
        }
        track.changed = Some(received);
        let (from, to) = (track.format.codec.name(), choice.format.codec.name());
        tracing::info!(stream = %self.stream, from, to, "publisher changed codec");
        Ok(())
    }

    /// Gives a track this one of the negotiated formats from here on.
    fn choose(&mut self, place: usize, choice: &Payload, ssrc: u32, received: Instant) {
        let was_settled = self.tracks[place].is_settled;
        let track = &mut self.tracks[place];
        track.set_format(choice);
        track.announce = true;
        if was_settled {
            // Clock and losses belong to the codec before, even if the SSRC stays.
            self.start_source(place, ssrc, received);
        }
        let mut formats: Vec<Format> = Vec::new();
        for track in self.tracks.iter().filter(|track| track.is_settled) {
            if !formats.contains(&track.format) {
                formats.push(track.format.clone());
            }
        }
        self.publication.settle(formats);
    }
}
