//! What a relay sends to one viewer as its `bwe::Viewer` says: video of three layers with keyframes, audio, resends and
//! padding. Frames are numbers of octets; a layer begins at its keyframe, some time after it was asked for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sluice::bwe::{Bitrate, Layer, Layers, Leaving, Sent, Viewer};

use super::bottleneck::exponential;
use super::{MILLISECOND, SECOND};
use crate::net::lane::Random;

/// Bits per second of each layer, the cheapest first, and of the audio.
pub(crate) const LAYERS: [f64; 3] = [150e3, 500e3, 1700e3];
pub(crate) const AUDIO: f64 = 40e3;

/// The largest packet.
pub(crate) const PACKET: f64 = 1200.0;

/// From one packet of audio to the next.
pub(crate) const AUDIO_FRAME: i64 = 20 * MILLISECOND;

/// A keyframe's size over that of another frame.
const KEYFRAME: f64 = 5.0;

/// Octets of resends that may be sent at first and at most; half of the video's octets are added.
const RESENDS: (f64, f64) = (65e3, 256e3);

/// A packet as it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    sent: Sent,
    octets: u32,
    asked: bool,
}

/// What a relay does that the estimator cannot know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    /// From a decision to the keyframe of the new layer.
    pub(crate) keyframe_wait: i64,
    /// Bits per second of its layers, the cheapest first.
    pub(crate) layers: &'static [f64],
    /// Whether the frames have temporal ids (L1T3).
    pub(crate) temporal: bool,
    /// From one frame to the next.
    pub(crate) frame: i64,
}

pub(crate) struct Relay {
    pub(crate) viewer: Viewer,
    epoch: Instant,
    stream: Stream,
    layer: Option<u8>,
    /// The layer that a keyframe was asked for, and when it comes.
    pending: Option<(u8, i64)>,
    frames: u64,
    next_keyframe: i64,
    queue: VecDeque<(Sent, u32)>,
    records: Vec<Record>,
    /// Packets before this one are of a layer that was left.
    switched: usize,
    resends: f64,
    loss: f64,
    random: Random,
    pub(crate) seen: Seen,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// When a layer was wanted: the one wanted before, and the new one; -1 for none.
    pub(crate) decisions: Vec<(i64, i8, i8)>,
    /// When a layer was sent.
    pub(crate) layers: Vec<(i64, i8)>,
    /// What each packet waited in the queue (us).
    pub(crate) delays: Vec<(i64, i64)>,
    /// When the queue dropped a packet.
    pub(crate) drops: Vec<i64>,
    /// Octets in all and of padding.
    pub(crate) octets: (u64, u64),
    /// Octets that arrived, by second.
    pub(crate) received: Vec<u64>,
    /// When the link changes for the first time, and how much later than the setup says.
    pub(crate) change: (i64, i64),
    /// Packets of paced runs and runs.
    pub(crate) runs: (u64, u64),
}

impl Relay {
    pub(crate) fn new(stream: Stream, start: Bitrate, seed: u32, epoch: Instant, now: i64) -> Self {
        let joined = epoch + Duration::from_micros(now as u64);
        let mut viewer = Viewer::new(start, seed, joined);
        viewer.number_packets(joined);
        viewer.set_layers(&layers(stream), joined);
        let mut relay = Self {
            viewer,
            epoch,
            stream,
            layer: None,
            pending: None,
            frames: 0,
            next_keyframe: 0,
            queue: VecDeque::new(),
            records: Vec::new(),
            switched: 0,
            resends: RESENDS.0,
            loss: 0.0,
            random: Random::new(seed),
            seen: Seen::default(),
        };
        relay.next_keyframe = now + 5 * SECOND + exponential(&mut relay.random, 8e6);
        let first = relay.viewer.choice().video.map(|step| step.layer);
        relay.layer = first;
        relay.seen.layers.push((now, number(first)));
        relay.seen.decisions.push((now, -1, number(first)));
        relay.viewer.on_switched(first, joined);
        relay
    }

    pub(crate) fn instant(&self, now: i64) -> Instant {
        self.epoch + Duration::from_micros(now as u64)
    }

    /// The next frame of video is due.
    pub(crate) fn on_frame(&mut self, now: i64) {
        self.frames += 1;
        let mut is_keyframe = false;
        if let Some((layer, comes)) = self.pending
            && now >= comes
        {
            self.pending = None;
            self.switch(Some(layer), now);
            is_keyframe = true;
        }
        if now >= self.next_keyframe {
            is_keyframe = true;
            self.next_keyframe = now + 3 * SECOND + exponential(&mut self.random, 8e6);
        }
        let factor = (0.7 + 0.6 * self.random.draw()) * if is_keyframe { KEYFRAME } else { 1.0 };
        let Some(layer) = self.layer else { return };
        let choice = self.viewer.choice();
        let temporal = [0, 2, 1, 2][self.frames as usize % 4];
        let most = choice.video.filter(|step| step.layer == layer).map_or(2, |step| step.temporal);
        let is_left_out = self.stream.temporal && temporal > most && !is_keyframe;
        let is_halved = choice.leaving == Leaving::Half && self.frames % 2 == 1 || choice.leaving == Leaving::Nothing;
        if is_left_out || is_halved {
            return;
        }
        let octets = self.stream.layers[usize::from(layer)] * self.stream.frame as f64 / (8 * SECOND) as f64 * factor;
        let packets = (octets / PACKET).ceil();
        for _ in 0..packets as usize {
            self.queue.push_back((Sent::Video, (octets / packets) as u32));
        }
    }

    fn switch(&mut self, layer: Option<u8>, now: i64) {
        self.layer = layer;
        self.switched = self.records.len();
        // What was queued of the old layer is thrown away.
        self.queue.retain(|(sent, _)| *sent != Sent::Video);
        self.seen.layers.push((now, number(layer)));
        self.viewer.on_switched(layer, self.instant(now));
        self.follow(now);
    }

    /// The next packet that the pacer lets pass.
    pub(crate) fn pull(&mut self, now: i64) -> Option<(Sent, u32)> {
        self.queue.front()?;
        let instant = self.instant(now);
        if !self.viewer.may_send(instant) {
            return None;
        }
        self.queue.pop_front()
    }

    /// A packet is sent; its number.
    pub(crate) fn on_sent(&mut self, sent: Sent, octets: u32, now: i64) -> Option<u64> {
        let instant = self.instant(now);
        let is_numbered = sent != Sent::Audio && self.viewer.transport_number().is_some();
        self.viewer.on_sent(sent, octets as usize, instant);
        self.seen.octets.0 += u64::from(octets);
        match sent {
            Sent::Video => self.resends = (self.resends + f64::from(octets) / 2.0).min(RESENDS.1),
            Sent::Padding => self.seen.octets.1 += u64::from(octets),
            Sent::Audio | Sent::Resend => {}
        }
        is_numbered.then(|| {
            self.records.push(Record { sent, octets, asked: false });
            self.records.len() as u64 - 1
        })
    }

    /// The viewer lacks these of the packets that it told of: they are sent again unless they are of a layer that is
    /// left.
    pub(crate) fn on_missing(&mut self, missing: &[u64], told: u64) {
        let share = missing.len() as f64 / told.max(1) as f64;
        self.loss += (share - self.loss) * (0.005 * told as f64).min(1.0);
        let is_leaving = self.viewer.choice().leaving != Leaving::All;
        let copies = if self.loss > 0.2 { 1 } else { 2 };
        for number in missing {
            let Some(record) = self.records.get_mut(*number as usize).filter(|record| !record.asked) else { continue };
            record.asked = true;
            let (octets, is_stale) = (record.octets, is_leaving || (*number as usize) < self.switched);
            if record.sent != Sent::Video || is_stale {
                continue;
            }
            for _ in 0..copies {
                if self.resends >= f64::from(octets) {
                    self.resends -= f64::from(octets);
                    self.queue.push_front((Sent::Resend, octets));
                }
            }
        }
    }

    /// Does what the viewer's choice says now.
    pub(crate) fn follow(&mut self, now: i64) {
        let wanted = self.viewer.choice().video.map(|step| step.layer);
        let before = self.seen.decisions.last().expect("the first one").2;
        if before != number(wanted) {
            self.seen.decisions.push((now, before, number(wanted)));
        }
        match wanted {
            None if self.layer.is_some() => self.switch(None, now),
            None => self.pending = None,
            Some(layer) if self.layer == Some(layer) => self.pending = None,
            Some(layer) if self.pending.is_some_and(|(pending, _)| pending == layer) => {}
            Some(layer) => self.pending = Some((layer, now + self.stream.keyframe_wait)),
        }
    }
}

impl Seen {
    /// When what the setup says for `at` happened.
    pub(crate) fn moved(&self, at: i64) -> i64 {
        let (change, later) = self.change;
        if at == change { at + later } else { at }
    }
}

pub(crate) fn number(layer: Option<u8>) -> i8 {
    layer.map_or(-1, |layer| layer as i8)
}

fn layers(stream: Stream) -> Layers {
    let layer = |rate: &f64| Layer {
        rates: if stream.temporal { [0.25, 0.5, 1.0, 1.0] } else { [1.0; 4] }
            .map(|share| Bitrate::from_bits(share * rate)),
        highest_temporal: if stream.temporal { 2 } else { 0 },
        width: 0,
        height: 0,
        is_active: true,
    };
    let all: Vec<Layer> = stream.layers.iter().map(layer).collect();
    Layers::new(Bitrate::from_bits(AUDIO), &all)
}
