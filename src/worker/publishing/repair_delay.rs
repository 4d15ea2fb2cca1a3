//! How long a publisher's packets wait here, so that those which were lost before them come back in time: as long as a
//! repair takes, while there are losses. Sound waits with the pictures, so that they stay together.

use std::time::{Duration, Instant};

use super::publisher::Publisher;
use crate::forward::codec::Kind;
use crate::forward::{Glide, Packet};

/// What is held now, and what it comes to.
#[derive(Debug, Default)]
pub(crate) struct RepairDelay {
    need: Duration,
    glide: Glide,
}

impl RepairDelay {
    /// True while nothing is lost, and for long enough that nothing waits any more.
    #[inline]
    pub(crate) fn is_zero(&self) -> bool {
        self.need.is_zero() && self.glide.is_zero()
    }

    /// How long a packet waits that arrives now.
    pub(crate) fn length(&self) -> Duration {
        self.glide.held()
    }
}

impl Publisher {
    /// Lets a packet go on to the viewers.
    #[inline]
    pub(crate) fn go_on(&mut self, place: usize, packet: Packet) {
        let track = &mut self.tracks[place];
        let rebuilt = track.release(packet);
        if let Some(ssrc) = track.ssrc {
            for index in rebuilt {
                self.reception.restore(ssrc, index);
            }
        }
    }

    /// Makes a packet wait. Where nobody watches, nobody sees that packets begin to wait longer.
    #[cold]
    pub(crate) fn wait(&mut self, place: usize, packet: Packet) {
        let RepairDelay { need, glide } = &mut self.hold;
        let now = packet.received;
        let hold = if self.subscribers.is_empty() { glide.begin(*need, now) } else { glide.toward(*need, now) };
        self.tracks[place].delay.put(packet, hold);
    }

    /// Looks at what was lost since the last call.
    pub(crate) fn weigh_losses(&mut self, now: Instant) {
        self.hold.need = Duration::ZERO;
        for track in self.tracks.iter_mut().filter(|track| track.kind == Kind::Video) {
            let Some((losses, repair)) = track.ssrc.and_then(|ssrc| self.reception.take_losses(ssrc)) else {
                continue;
            };
            if losses > 0 {
                track.playout_delay.on_losses(losses, repair, now);
            }
            self.hold.need = self.hold.need.max(track.playout_delay.need(now));
        }
    }

    /// Lets go on what has waited long enough; true if there is something to be pushed.
    pub(crate) fn release(&mut self, now: Instant) -> bool {
        for place in 0..self.tracks.len() {
            while let Some(packet) = self.tracks[place].delay.pop(now) {
                self.go_on_waiting(place, packet);
            }
            let epoch = self.track_epoch(place);
            self.tracks[place].release_assembled(now, epoch);
        }
        self.tracks.iter().any(|track| !track.pending.is_empty())
    }

    /// Lets go on all that waits: this publisher sends no more.
    pub(crate) fn release_all(&mut self, now: Instant) {
        for place in 0..self.tracks.len() {
            self.release_track(place, now);
        }
    }

    /// Lets go on all that waits of one track.
    pub(crate) fn release_track(&mut self, place: usize, now: Instant) {
        for packet in self.tracks[place].delay.drain(now).collect::<Vec<_>>() {
            self.go_on_waiting(place, packet);
        }
        let epoch = self.track_epoch(place);
        self.tracks[place].drain_assembled(epoch);
    }

    /// Lets a packet go on that has waited: its publisher may have taken the stream over meanwhile.
    fn go_on_waiting(&mut self, place: usize, packet: Packet) {
        let epoch = self.track_epoch(place);
        self.go_on(place, Packet { epoch, ..packet });
    }
}
