//! Plain integers of one worker, added to the instruments once a turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::local::LocalHistogram;

use super::sent::{NacksAnswered, Served, Volume};
use crate::bwe::Tally;
use crate::forward::codec::Kind;
use crate::label::Label;
use crate::metrics::{Answer, Direction, Medium, Metrics, Probe, Resend};
use crate::reason::DropReason;
use crate::worker::net::batch::SendCounts;

/// What happened in this turn.
pub(crate) struct Counters {
    metrics: Arc<Metrics>,
    drops: [u64; DropReason::ALL.len()],
    received: [Volume; 2],
    sent: [Volume; 2],
    answered: NacksAnswered,
    asked: u64,
    keyframes_asked: u64,
    replays: u64,
    stun_answers: u64,
    /// Of all viewers' networks.
    bandwidth: Tally,
    forward_delay: LocalHistogram,
}

const MEDIA: [Medium; 2] = [Medium::Audio, Medium::Video];

impl Counters {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        let forward_delay = metrics.forward_delay.local();
        Self {
            metrics,
            drops: [0; DropReason::ALL.len()],
            received: Default::default(),
            sent: Default::default(),
            answered: NacksAnswered::default(),
            asked: 0,
            keyframes_asked: 0,
            replays: 0,
            stun_answers: 0,
            bandwidth: Tally::default(),
            forward_delay,
        }
    }

    /// Counts a datagram that went no further.
    pub(crate) fn drop(&mut self, reason: DropReason) {
        self.drops(reason, 1);
    }

    /// Counts several.
    pub(crate) fn drops(&mut self, reason: DropReason, count: u64) {
        self.drops[reason.position()] += count;
    }

    /// Counts a packet of a publisher.
    pub(crate) fn received(&mut self, kind: Kind, bytes: usize) {
        let volume = &mut self.received[kind as usize];
        volume.packets += 1;
        volume.bytes += bytes as u64;
    }

    /// Counts what one viewer was served.
    pub(crate) fn served(&mut self, served: &Served, now: Instant) {
        for (sent, volume) in self.sent.iter_mut().zip(&served.volumes) {
            sent.packets += volume.packets;
            sent.bytes += volume.bytes;
        }
        if served.oversized + served.too_old + served.codec + served.skipped > 0 {
            self.drops(DropReason::Oversized, served.oversized);
            self.drops(DropReason::TooOld, served.too_old);
            self.drops(DropReason::Codec, served.codec);
            self.drops(DropReason::Skipped, served.skipped);
        }
        if let Some(reason) = served.switched {
            self.metrics.layer_switches[reason].inc();
        }
        if served.is_dark {
            self.metrics.dark_downlinks.inc();
        }
        if let Some(received) = served.received {
            self.forward_delay.observe(now.saturating_duration_since(received).as_secs_f64());
        }
    }

    /// Counts what became of a viewer's NACKs.
    pub(crate) fn answered(&mut self, answered: NacksAnswered) {
        self.answered.rtx += answered.rtx;
        self.answered.in_band += answered.in_band;
        self.answered.refused += answered.refused;
        self.answered.missing += answered.missing;
    }

    /// Counts an answer to a Binding request without credentials.
    pub(crate) fn public_stun_answer(&mut self) {
        self.stun_answers += 1;
    }

    /// Counts viewers that are sent the frames since the last keyframe.
    pub(crate) fn add_replays(&mut self, replays: u64) {
        self.replays += replays;
    }

    /// Counts what was measured of one viewer's network.
    pub(crate) fn add_bandwidth(&mut self, tally: &Tally) {
        self.bandwidth.lowered += tally.lowered;
        self.bandwidth.probes_passed += tally.probes_passed;
        self.bandwidth.probes_failed += tally.probes_failed;
        self.bandwidth.padding += tally.padding;
    }

    /// Counts what came of a keyframe request to a publisher.
    pub(crate) fn keyframe_response(&self, keyframe_responsive: bool) {
        self.metrics.keyframe_answers[if keyframe_responsive { Answer::Obeyed } else { Answer::Ignored }].inc();
    }

    /// Counts packets that viewers ask for again, and keyframes.
    pub(crate) fn viewer_requests(&mut self, packets: u64, keyframes: u64) {
        self.asked += packets;
        self.keyframes_asked += keyframes;
    }

    /// Counts messages on data channels.
    pub(crate) fn channel_messages(&mut self, direction: Direction, count: u64) {
        self.metrics.channel_messages[direction].inc_by(count);
    }

    /// Counts what the relay asks of publishers, as it leaves.
    pub(crate) fn asked_of_publisher(&mut self, packets: u64, keyframes: u64) {
        self.metrics.nacks[Direction::Out].inc_by(packets);
        self.metrics.keyframe_requests[Direction::Out].inc_by(keyframes);
    }

    /// Counts what the kernel did with runs.
    pub(crate) fn add_batch(&mut self, tally: SendCounts) {
        self.drops(DropReason::SocketFull, tally.too_old + tally.failed);
        self.drops(DropReason::Oversized, tally.too_long);
    }

    /// Counts sockets that went on without GSO.
    pub(crate) fn add_gso_fallbacks(&mut self, fallbacks: u64) {
        if fallbacks > 0 {
            self.metrics.gso_fallbacks.inc_by(fallbacks);
        }
    }

    /// Observes how long a phase of a session's set-up took.
    pub(crate) fn observe_setup(&self, phase: crate::metrics::Phase, took: Duration) {
        self.metrics.setup[phase].observe(took.as_secs_f64());
    }

    /// Observes how long a viewer waited for its first video packet.
    pub(crate) fn observe_first_frame(&self, took: Duration) {
        self.metrics.first_frame.observe(took.as_secs_f64());
    }

    /// Adds everything to the instruments.
    pub(crate) fn flush(&mut self) {
        let metrics = &self.metrics;
        metrics.worker_turns.inc();
        // Most turns drop nothing, and there are many reasons.
        if self.drops.iter().fold(0, |all, count| all | count) > 0 {
            for (count, reason) in self.drops.iter_mut().zip(DropReason::ALL) {
                add(std::mem::take(count), &metrics.drops[*reason]);
            }
        }
        for (direction, volumes) in [(Direction::In, &mut self.received), (Direction::Out, &mut self.sent)] {
            for (medium, volume) in MEDIA.into_iter().zip(volumes) {
                add(std::mem::take(&mut volume.packets), &metrics.rtp_packets[direction][medium]);
                add(std::mem::take(&mut volume.bytes), &metrics.rtp_bytes[direction][medium]);
            }
        }
        let answered = std::mem::take(&mut self.answered);
        add(answered.rtx, &metrics.resends[Resend::Rtx]);
        add(answered.in_band, &metrics.resends[Resend::InBand]);
        add(answered.refused, &metrics.resends[Resend::Refused]);
        add(answered.missing, &metrics.resends[Resend::Missing]);
        add(std::mem::take(&mut self.replays), &metrics.replays);
        add(std::mem::take(&mut self.stun_answers), &metrics.stun_answers);
        let bandwidth = std::mem::take(&mut self.bandwidth);
        add(bandwidth.lowered.into(), &metrics.lowered_estimates);
        add(bandwidth.probes_passed.into(), &metrics.probes[Probe::Passed]);
        add(bandwidth.probes_failed.into(), &metrics.probes[Probe::Failed]);
        add(bandwidth.padding, &metrics.padding_bytes);
        add(std::mem::take(&mut self.asked), &metrics.nacks[Direction::In]);
        add(std::mem::take(&mut self.keyframes_asked), &metrics.keyframe_requests[Direction::In]);
        self.forward_delay.flush();
    }
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Counters").finish_non_exhaustive()
    }
}

/// An atomic addition only where there is something to add: most turns move few of the instruments.
fn add(count: u64, counter: &prometheus::IntCounter) {
    if count > 0 {
        counter.inc_by(count);
    }
}
