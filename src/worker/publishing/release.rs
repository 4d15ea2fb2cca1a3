//! How packets leave a publisher: at once, or after the repair delay; then through the keyframe assembler to the
//! tracks' histories and pending batches.

use std::time::{Duration, Instant};

use super::publisher::Publisher;
use crate::forward::Packet;
use crate::forward::codec::Kind;

impl Publisher {
    /// Passes a packet on to the tracks' pending batches.
    #[inline]
    pub(crate) fn pass_on(&mut self, place: usize, packet: Packet) {
        let track = &mut self.tracks[place];
        let rebuilt = track.release(packet);
        if let Some(ssrc) = track.ssrc {
            for index in rebuilt {
                self.reception.restore(ssrc, index);
            }
        }
    }

    /// Holds a packet for the repair delay, so that lost packets before it can be repaired.
    #[cold]
    pub(crate) fn wait(&mut self, place: usize, packet: Packet) {
        let delay = self.repair_delay.of_packet(!self.subscribers.is_empty(), packet.received);
        self.tracks[place].delay.put(packet, delay);
    }

    /// Sets the repair delay from the losses since the last call.
    pub(crate) fn update_repair_delay(&mut self, now: Instant) {
        let mut need = Duration::ZERO;
        for track in self.tracks.iter_mut().filter(|track| track.kind == Kind::Video) {
            let Some((losses, repair)) = track.ssrc.and_then(|ssrc| self.reception.take_losses(ssrc)) else {
                continue;
            };
            if losses > 0 {
                track.playout_delay.on_losses(losses, repair, now);
            }
            need = need.max(track.playout_delay.need(now));
        }
        self.repair_delay.set_need(need);
    }

    /// Passes on packets whose repair delay is over; true if there are packets to push.
    pub(crate) fn release(&mut self, now: Instant) -> bool {
        for place in 0..self.tracks.len() {
            while let Some(packet) = self.tracks[place].delay.pop(now) {
                self.pass_on_delayed(place, packet);
            }
            self.tracks[place].release_assembled(now);
        }
        self.tracks.iter().any(|track| !track.pending.is_empty())
    }

    /// Passes on all packets that wait, because this publisher has ended.
    pub(crate) fn release_all(&mut self, now: Instant) {
        for place in 0..self.tracks.len() {
            self.release_track(place, now);
        }
    }

    /// Passes on all packets of one track that wait.
    pub(crate) fn release_track(&mut self, place: usize, now: Instant) {
        for packet in self.tracks[place].delay.drain(now).collect::<Vec<_>>() {
            self.pass_on_delayed(place, packet);
        }
        self.tracks[place].drain_assembled();
    }

    /// Passes on a packet that has waited, in the current epoch: its publisher may have taken the stream over
    /// meanwhile.
    fn pass_on_delayed(&mut self, place: usize, packet: Packet) {
        let generation = self.tracks[place].epoch.generation();
        self.pass_on(place, Packet { generation, ..packet });
    }
}
