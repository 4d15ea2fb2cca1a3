//! Viewers of several encodings that send no transport-wide feedback: their own estimate (REMB), or NACKs and receiver
//! reports alone, say what their networks carry.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

use std::collections::BTreeMap;

use rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use sluice::forward::codec::Kind;
use sluice::sdp::Extension;

use crate::broadcast::{MILLISECOND, SECOND, track};
use crate::layer_choice::{MBIT, Scene, link};
use crate::net::lane::Way;

/// A viewer joins that has agreed to no transport-wide numbers.
fn watch(scene: &mut Scene, seed: u32) -> usize {
    scene.net.extensions = vec![Extension::Mid, Extension::AbsSendTime];
    scene.watch_in_silence(link(6.0 * MBIT), seed)
}

fn newest(scene: &Scene, viewer: usize) -> u32 {
    scene.shown(viewer).last().unwrap().1
}

/// The viewer sends its own estimate each second: as libwebrtc what the link carries, but not more than 1.5 times what it
/// has received.
fn estimate_for(scene: &mut Scene, viewer: usize, seconds: u32, carried: f64) {
    for _ in 0..seconds {
        let since = scene.net.now;
        scene.run(SECOND);
        let received = scene.net.clients[viewer].received.iter().filter(|packet| packet.at >= since);
        let bits = received.map(|packet| packet.sealed.len()).sum::<usize>() as f64 * 8.0;
        let estimate = ReceiverEstimatedMaximumBitrate {
            sender_ssrc: 1,
            bitrate: carried.min(1.5 * bits + 10e3) as f32,
            ssrcs: vec![scene.net.ssrc(viewer, Kind::Video)],
        };
        scene.net.send_rtcp(viewer, estimate);
    }
}

#[test]
fn a_viewer_that_estimates_by_itself_is_sent_what_it_estimates() {
    for seed in 1..=3 {
        let mut scene = Scene::new();
        let viewer = watch(&mut scene, seed);
        estimate_for(&mut scene, viewer, 15, 5.5 * MBIT);
        assert_eq!(newest(&scene, viewer), 2, "seed {seed}");
        scene.net.links.lane(viewer, Way::Down).impairment = link(0.8 * MBIT);
        estimate_for(&mut scene, viewer, 6, 0.7 * MBIT);
        assert_eq!(newest(&scene, viewer), 1, "seed {seed}");
        assert!(scene.net.metric("sluice_layer_switches_total{reason=\"remb\"}") >= 1);
        scene.net.links.lane(viewer, Way::Down).impairment = link(6.0 * MBIT);
        estimate_for(&mut scene, viewer, 30, 5.5 * MBIT);
        assert_eq!(newest(&scene, viewer), 2, "seed {seed}: the largest again");
    }
}

/// A viewer that asks for lost packets again, and reports the share that was lost each second.
struct Losses {
    viewer: usize,
    /// Packets that it has looked at, as it received them.
    seen: usize,
    next: Option<u64>,
    /// How often it has asked for each missing packet.
    missing: BTreeMap<u64, u32>,
    expected: u64,
    lost: u64,
    total_lost: u32,
}

impl Losses {
    fn new(viewer: usize) -> Self {
        Self { viewer, seen: 0, next: None, missing: BTreeMap::new(), expected: 0, lost: 0, total_lost: 0 }
    }

    fn run(&mut self, scene: &mut Scene, seconds: u32) {
        for step in 1..=seconds * 20 {
            scene.run(50 * MILLISECOND);
            self.look(scene);
            let asked: Vec<u64> =
                self.missing.iter().filter(|(_, times)| **times < 4).map(|(index, _)| *index).collect();
            self.missing.values_mut().for_each(|times| *times += 1);
            if !asked.is_empty() {
                scene.net.nack(self.viewer, asked);
            }
            if step % 20 == 0 {
                self.report(scene);
            }
        }
    }

    fn look(&mut self, scene: &Scene) {
        let client = &scene.net.clients[self.viewer];
        let video = &client.tracks[track(client, Kind::Video)];
        for packet in &client.received[self.seen..] {
            if Some(packet.ssrc) == video.ssrc {
                let next = self.next.unwrap_or(packet.index);
                self.missing.extend((next..packet.index).map(|index| (index, 0)));
                self.missing.remove(&packet.index);
                self.lost += packet.index.saturating_sub(next);
                self.expected += (packet.index + 1).saturating_sub(next);
                self.next = Some(next.max(packet.index + 1));
            } else if Some(packet.ssrc) == video.rtx_ssrc {
                let original = u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
                self.missing.retain(|index, _| *index as u16 != original);
            }
        }
        self.seen = client.received.len();
    }

    fn report(&mut self, scene: &mut Scene) {
        let Some(next) = self.next else { return };
        self.total_lost += self.lost as u32;
        let report = ReceptionReport {
            ssrc: scene.net.ssrc(self.viewer, Kind::Video),
            fraction_lost: (self.lost * 256 / self.expected.max(1)).min(255) as u8,
            total_lost: self.total_lost,
            last_sequence_number: next as u32 - 1,
            ..ReceptionReport::default()
        };
        (self.lost, self.expected) = (0, 0);
        scene
            .net
            .send_rtcp(self.viewer, ReceiverReport { ssrc: 1, reports: vec![report], ..ReceiverReport::default() });
    }
}

#[test]
fn a_viewer_that_only_asks_for_lost_packets_and_reports_losses_is_sent_less_while_too_much_is_lost() {
    for seed in 1..=3 {
        let mut scene = Scene::new();
        let viewer = watch(&mut scene, seed);
        let mut losses = Losses::new(viewer);
        losses.run(&mut scene, 8);
        assert_eq!(newest(&scene, viewer), 2, "seed {seed}: without losses");
        scene.net.links.lane(viewer, Way::Down).impairment = link(0.8 * MBIT);
        losses.run(&mut scene, 10);
        assert!(newest(&scene, viewer) <= 1, "seed {seed}");
        assert!(scene.net.metric("sluice_layer_switches_total{reason=\"loss\"}") >= 1, "seed {seed}");
        scene.net.links.lane(viewer, Way::Down).impairment = link(6.0 * MBIT);
        losses.run(&mut scene, 40);
        assert_eq!(newest(&scene, viewer), 2, "seed {seed}: the largest again");
    }
}
