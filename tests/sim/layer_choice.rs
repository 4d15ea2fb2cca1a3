//! Viewers of several encodings: what each is sent is what its network carries, by the arrivals that it reports.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sluice::forward::codec::Kind;
use sluice::sdp::Extension;
use sluice::session::{Network, Selection};
use sluice::worker::Config;

use crate::bandwidth::transport_feedback::transport_feedback;
use crate::broadcast::{Broadcast, MILLISECOND, SECOND, track};
use crate::net::client::Received;
use crate::net::lane::{Impairment, Way};
use crate::net::{NUMBER, Net};
use crate::simulcast::sender::{FRAME, LAYER, QHF, Sender, list, vp8_of_size};

/// Octets of a frame of each encoding: 0.15, 0.5 and 1.5 Mbit/s.
const OCTETS: [usize; 3] = [750, 2_500, 7_500];
/// A keyframe has this many times the octets of another frame.
const KEYFRAME: usize = 4;
pub(crate) const MBIT: f64 = 1e6;

pub(crate) fn link(bits: f64) -> Impairment {
    let capacity = Some((bits, 300 * MILLISECOND));
    Impairment { delay: 25 * MILLISECOND, capacity, ..Impairment::default() }
}

/// A publisher of three encodings and its viewers, which report by transport-wide feedback what arrives.
pub(crate) struct Scene {
    pub(crate) net: Net,
    sender: Sender,
    /// Sends a keyframe of an encoding when it is asked for one.
    answers: bool,
    viewers: Vec<Reporter>,
    /// Frames from one keyframe to the next without requests; 0 for one keyframe only.
    keyframe_every: u32,
    /// Every second frame is of the second temporal layer.
    has_temporal_layers: bool,
    /// The frame with which the publisher began.
    begins: u32,
    next_frame: Instant,
}

/// A viewer and what it has not reported yet.
pub(crate) struct Reporter {
    viewer: usize,
    /// Packets that it has looked at, as it received them.
    seen: usize,
    /// The number that the next feedback begins with, and the arrivals since.
    base: Option<u64>,
    arrivals: BTreeMap<u64, i64>,
}

impl Reporter {
    /// A viewer that has reported nothing yet.
    pub(crate) fn new(viewer: usize) -> Self {
        Self { viewer, seen: 0, base: None, arrivals: BTreeMap::new() }
    }

    /// The transport-wide numbers of what has arrived.
    pub(crate) fn look(&mut self, net: &Net, began: Instant) {
        let client = &net.clients[self.viewer];
        for packet in &client.received[self.seen..] {
            let Some(number) = number_of(net, self.viewer, packet) else { continue };
            let highest = self.arrivals.keys().next_back().copied().or(self.base).unwrap_or(u64::from(number));
            let number = highest.wrapping_add_signed(i64::from(number.wrapping_sub(highest as u16) as i16));
            self.arrivals.insert(number, packet.at.saturating_duration_since(began).as_micros() as i64);
        }
        self.seen = client.received.len();
    }

    pub(crate) fn report(&mut self, net: &mut Net) {
        let Some((last, _)) = self.arrivals.last_key_value() else { return };
        let first = self.base.unwrap_or(*self.arrivals.first_key_value().unwrap().0);
        let arrivals: Vec<_> = (first..=*last).map(|number| self.arrivals.get(&number).copied()).collect();
        self.base = Some(last + 1);
        self.arrivals.clear();
        let mut octets = bytes::Bytes::from(transport_feedback(first as u16, &arrivals));
        let packets = rtcp::packet::unmarshal(&mut octets).unwrap();
        net.clients[self.viewer].peer.send_rtcp(packets, net.now);
    }
}

/// The transport-wide number of a packet.
fn number_of(net: &Net, viewer: usize, packet: &Received) -> Option<u16> {
    let mut extensions = net.clients[viewer].tracks.iter().flat_map(|track| &track.extensions);
    let id = extensions.find(|(_, extension)| *extension == Extension::TransportWideCc)?.0;
    let (_, value) = packet.elements.iter().find(|(other, _)| *other == id)?;
    Some(u16::from_be_bytes(value.as_slice().try_into().unwrap()))
}

/// Where a payload says which frame of which encoding it is of.
fn number_in(packet: &Received) -> u32 {
    let from = if packet.payload[0] & 0x80 == 0 { NUMBER } else { NUMBER + 2 };
    u32::from_be_bytes(packet.payload[from..from + 4].try_into().unwrap())
}

impl Scene {
    /// A publisher that has sent for 2 s.
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        Self::of(QHF, config)
    }

    /// A publisher of these encodings that has sent for 2 s.
    fn of(encodings: &[(&str, u16, u16)], config: Config) -> Self {
        let mut net = Net::with(1, config);
        let sender = Sender::join(&mut net, encodings, &list(encodings));
        let mut scene = Self {
            next_frame: net.now,
            net,
            sender,
            answers: true,
            viewers: Vec::new(),
            keyframe_every: 0,
            has_temporal_layers: false,
            begins: 0,
        };
        scene.run(2 * SECOND);
        scene
    }

    /// A viewer behind a link joins.
    pub(crate) fn watch(&mut self, down: Impairment, seed: u32) -> usize {
        let viewer = self.watch_in_silence(down, seed);
        self.viewers.push(Reporter::new(viewer));
        viewer
    }

    /// The same of a viewer that reports nothing by itself.
    pub(crate) fn watch_in_silence(&mut self, down: Impairment, seed: u32) -> usize {
        let viewer = self.net.watch("cam");
        let up = Impairment { delay: 25 * MILLISECOND, ..Impairment::default() };
        self.net.links.impair(viewer, up, down, seed);
        while !self.net.clients[viewer].is_connected() {
            self.run(10 * MILLISECOND);
        }
        viewer
    }

    /// The publisher sends, and each viewer reports every 100 ms, for a while.
    pub(crate) fn run(&mut self, how_long: Duration) {
        let until = self.net.now + how_long;
        let mut steps = 0;
        while self.net.now < until {
            if self.next_frame <= self.net.now {
                self.next_frame += FRAME;
                self.send_frames();
            }
            self.net.run(MILLISECOND);
            steps += 1;
            if steps % 100 == 0 {
                let began = self.next_frame - self.sender.frames * FRAME;
                for reporter in &mut self.viewers {
                    reporter.look(&self.net, began);
                    reporter.report(&mut self.net);
                }
            }
        }
    }

    /// A publisher of these encodings takes the stream over.
    fn publish(&mut self, encodings: &[(&str, u16, u16)]) {
        let frames = self.sender.frames;
        self.sender = Sender::join(&mut self.net, encodings, &list(encodings));
        self.sender.frames = frames;
        self.begins = frames;
    }

    fn send_frames(&mut self) {
        let asked = self.sender.newly_asked(&self.net);
        let frame = self.sender.frames;
        for own in 0..self.sender.encodings.len() {
            let (ssrc, width) = (self.sender.encodings[own].ssrc, self.sender.encodings[own].width);
            let place = QHF.iter().position(|(_, other, _)| *other == width).unwrap();
            let is_regular = frame.checked_rem(self.keyframe_every).map_or(frame == self.begins, |rest| rest == 0);
            let keyframe = is_regular || self.answers && asked.contains(&ssrc);
            let size = OCTETS[place] * if keyframe { KEYFRAME } else { 1 };
            let parts = size.div_ceil(1_100);
            let named = (!Sender::is_reported(&self.net, self.sender.publisher, ssrc))
                .then(|| self.sender.encodings[own].rid.clone());
            let timestamp = self.sender.timestamp(own);
            for part in 0..parts {
                let (_, width, height) = QHF[place];
                let mut payload = vp8_of_size(keyframe, (width, height), place as u32 * LAYER + frame);
                // Only the first packet begins the partition (RFC 7741 4.2).
                payload[0] = if part == 0 { 0x10 } else { 0 };
                if self.has_temporal_layers {
                    // X and T bits, the temporal id and Y (RFC 7741 4.2).
                    payload[0] |= 0x80;
                    payload.splice(1..1, [0x20, if frame % 2 == 1 { 0x60 } else { 0x20 }]);
                }
                payload.resize(size / parts, 7);
                self.sender.is_last = part + 1 == parts;
                let datagram = self.sender.seal(&mut self.net, (ssrc, false), named.as_deref(), timestamp, &payload);
                self.net.deliver(self.sender.publisher, datagram);
            }
        }
        self.sender.frames += 1;
    }

    /// Which encoding each packet of the video is of that the viewer received, and when.
    pub(crate) fn shown(&self, viewer: usize) -> Vec<(Instant, u32)> {
        let client = &self.net.clients[viewer];
        let video = client.tracks[track(client, Kind::Video)].ssrc;
        let packets = client.received.iter().filter(|packet| Some(packet.ssrc) == video);
        packets.map(|packet| (packet.at, number_in(packet) / LAYER)).collect()
    }

    /// The numbers of the frames that the viewer was shown of one encoding since then.
    fn frames(&self, viewer: usize, layer: u32, since: Instant) -> BTreeSet<u32> {
        let client = &self.net.clients[viewer];
        let video = client.tracks[track(client, Kind::Video)].ssrc;
        let later = client.received.iter().filter(|packet| packet.at >= since && Some(packet.ssrc) == video);
        later.map(number_in).filter(|number| number / LAYER == layer).map(|number| number % LAYER).collect()
    }

    /// Which encodings the viewer was shown since then, each once a run, and how long after it the last one began.
    fn runs(&self, viewer: usize, since: Instant) -> Vec<(u32, Duration)> {
        let mut runs: Vec<(u32, Duration)> = Vec::new();
        for (at, layer) in self.shown(viewer).into_iter().filter(|(at, _)| *at >= since) {
            if runs.last().is_none_or(|(before, _)| *before != layer) {
                runs.push((layer, at - since));
            }
        }
        runs
    }

    /// Octets of the frames since the last regular keyframe of the smallest encoding.
    fn cached(&self) -> f64 {
        let since = self.sender.frames % self.keyframe_every;
        (OCTETS[0] * (since as usize + KEYFRAME)) as f64
    }

    /// Packets that came by retransmission since then.
    fn retransmitted(&self, viewer: usize, since: Instant) -> usize {
        let client = &self.net.clients[viewer];
        let payload_type = client.tracks[track(client, Kind::Video)].payload_type;
        let later = client.received.iter().filter(|packet| packet.at >= since);
        later.filter(|packet| packet.payload_type != payload_type).count()
    }

    /// What the relay reports of the viewer's network.
    fn network(&self, viewer: usize) -> Network {
        self.net.report(viewer).network.unwrap()
    }

    /// What the relay takes the viewer's network to carry.
    fn estimate(&self, viewer: usize) -> f64 {
        self.net.report(viewer).estimate.map_or(0.0, f64::from)
    }
}

#[test]
fn a_viewer_that_reports_nothing_has_no_estimate() {
    let mut scene = Scene::new();
    let viewer = scene.watch_in_silence(link(6.0 * MBIT), 1);
    scene.run(3 * SECOND);
    assert!(scene.net.clients[viewer].received.len() > 100);
    assert_eq!(scene.net.report(viewer).estimate, None, "nothing was measured");
}

#[test]
fn packets_of_several_encodings_are_numbered_and_their_arrivals_tell_what_the_network_carries() {
    let mut scene = Scene::new();
    let viewer = scene.watch(link(6.0 * MBIT), 1);
    scene.run(5 * SECOND);
    let carried = scene.estimate(viewer);
    assert!((1.3 * MBIT..6.0 * MBIT).contains(&carried), "{carried}");
    let numbers: Vec<u16> =
        scene.net.clients[viewer].received.iter().filter_map(|packet| number_of(&scene.net, viewer, packet)).collect();
    assert!(numbers.len() > 500 && numbers.is_sorted_by(|a, b| b.wrapping_sub(*a) == 1), "{numbers:?}");
    scene.net.links.lane(viewer, Way::Down).impairment = link(0.8 * MBIT);
    scene.run(3 * SECOND);
    let carried = scene.estimate(viewer);
    assert!((0.4 * MBIT..1.0 * MBIT).contains(&carried), "{carried}");
    assert!(scene.net.metric("sluice_lowered_estimates_total") >= 1);
}

#[test]
fn a_viewer_whose_link_slows_down_is_sent_a_smaller_encoding_and_the_largest_again_when_it_is_over() {
    for seed in 1..=3 {
        let mut scene = Scene::new();
        let viewer = scene.watch(link(6.0 * MBIT), seed);
        scene.run(8 * SECOND + u32::from(seed as u8) * 13 * MILLISECOND);
        assert_eq!(scene.shown(viewer).last().unwrap().1, 2);
        let slow = scene.net.now;
        scene.net.links.lane(viewer, Way::Down).impairment = link(0.8 * MBIT);
        scene.run(10 * SECOND);
        let runs = scene.runs(viewer, slow);
        assert!(
            runs.len() <= 3 && runs[1..].iter().all(|(layer, at)| *layer < 2 && *at <= 1500 * MILLISECOND),
            "{runs:?}"
        );
        let fast = scene.net.now;
        scene.net.links.lane(viewer, Way::Down).impairment = link(6.0 * MBIT);
        scene.run(15 * SECOND);
        let runs = scene.runs(viewer, fast);
        let (layer, at) = *runs.last().unwrap();
        assert!(layer == 2 && at <= 5 * SECOND, "{runs:?}");
    }
}

#[test]
fn half_of_the_frames_are_left_out_at_once_where_that_suffices() {
    for seed in 1..=3 {
        let mut scene = Scene::new();
        scene.has_temporal_layers = true;
        let viewer = scene.watch(link(6.0 * MBIT), seed);
        scene.run(8 * SECOND);
        let tracks = scene.net.report(scene.sender.publisher).tracks;
        let track = tracks.into_iter().find(|track| track.rid.as_deref() == Some("f")).unwrap();
        let [half, all] = track.temporal_bits[..] else { panic!("{:?}", track.temporal_bits) };
        assert!(all as f64 == track.rates.bits.floor() && (half as f64 / all as f64 - 0.5).abs() < 0.1, "{track:?}");
        let all = scene.frames(viewer, 2, scene.net.now - 2 * SECOND).len();
        assert!(all >= 49, "{all}");
        let slow = scene.net.now;
        scene.net.links.lane(viewer, Way::Down).impairment = link(1.25 * MBIT);
        scene.run(6 * SECOND);
        let half = scene.frames(viewer, 2, slow + 2 * SECOND);
        assert!(half.iter().all(|frame| frame % 2 == 0), "{seed}: {half:?}");
        assert!((45..=55).contains(&half.len()), "{seed}: {half:?}");
        assert_eq!(scene.runs(viewer, slow).len(), 1, "the encoding is the same");
        scene.net.links.lane(viewer, Way::Down).impairment = link(6.0 * MBIT);
        scene.run(6 * SECOND);
        let all = scene.frames(viewer, 2, scene.net.now - SECOND).len();
        assert!(all >= 24, "{seed}: {all}");
    }
}

#[test]
fn a_keyframe_is_spread_so_that_a_short_queue_takes_it() {
    let mut scene = Scene::new();
    let viewer = scene.watch(link(6.0 * MBIT), 4);
    scene.run(6 * SECOND);
    // 12 kB; a keyframe has 30.
    let capacity = Some((4.0 * MBIT, 24 * MILLISECOND));
    scene.net.links.lane(viewer, Way::Down).impairment.capacity = capacity;
    scene.net.links.lane(viewer, Way::Down).lost = 0;
    for _ in 0..10 {
        scene.net.request_keyframe(viewer);
        scene.run(2 * SECOND);
    }
    assert!(scene.sender.asked(&scene.net).len() >= 9);
    let lost = scene.net.links.lane(viewer, Way::Down).lost;
    assert!(lost <= 5, "{lost}");
    assert_eq!(scene.shown(viewer).last().unwrap().1, 2);
}

#[test]
fn random_loss_makes_no_encoding_smaller() {
    let mut scene = Scene::new();
    let viewer = scene.watch(Impairment { loss: 0.02, ..link(6.0 * MBIT) }, 7);
    scene.run(6 * SECOND);
    let begun = scene.net.now;
    scene.run(20 * SECOND);
    let runs = scene.runs(viewer, begun);
    assert_eq!(runs.iter().map(|(layer, _)| *layer).collect::<Vec<_>>(), [2], "{runs:?}");
}

#[test]
fn a_publisher_that_ignores_requests_is_shown_smaller_by_its_cached_frames() {
    for phase in 0..4 {
        let mut scene = Scene::new();
        scene.keyframe_every = 250;
        scene.answers = false;
        let viewer = scene.watch(link(6.0 * MBIT), 5 + phase);
        scene.run(21 * SECOND + phase * 2100 * MILLISECOND);
        assert_eq!(scene.shown(viewer).last().unwrap().1, 2);
        let slow = scene.net.now;
        scene.net.links.lane(viewer, Way::Down).impairment = link(0.8 * MBIT);
        let most = 700 * MILLISECOND + Duration::from_secs_f64(scene.cached() * 8.0 / (0.8 * MBIT));
        scene.run(8 * SECOND);
        let runs = scene.runs(viewer, slow);
        assert!(runs[1..].iter().all(|(layer, _)| *layer < 2) && runs[1].1 <= most, "{runs:?}, {most:?}");
    }
}

#[test]
fn a_viewer_whose_network_carries_no_encoding_is_sent_none_until_it_does() {
    for seed in 1..=3 {
        let mut scene = Scene::new();
        let viewer = scene.watch(link(6.0 * MBIT), seed);
        scene.run(5 * SECOND);
        scene.net.links.lane(viewer, Way::Down).impairment = link(0.08 * MBIT);
        scene.run(10 * SECOND);
        let alone = scene.net.now;
        scene.run(10 * SECOND);
        assert!(scene.runs(viewer, alone + SECOND).is_empty(), "seed {seed}");
        assert_eq!(scene.net.metric("sluice_layer_viewers{layer=\"none\"}"), 1);
        assert!(scene.network(viewer).is_video_paused);
        let asked = scene.sender.asked(&scene.net).len();
        scene.net.request_keyframe(viewer);
        scene.run(2 * SECOND);
        assert_eq!(scene.sender.asked(&scene.net).len(), asked, "no keyframe is of use to it");
        let back = scene.net.now;
        scene.net.links.lane(viewer, Way::Down).impairment = link(6.0 * MBIT);
        scene.run(12 * SECOND);
        let runs = scene.runs(viewer, back);
        assert!(!runs.is_empty() && runs[0].1 <= 5 * SECOND && runs.last().unwrap().0 == 2, "seed {seed}: {runs:?}");
        assert_eq!(scene.net.metric("sluice_layer_viewers{layer=\"none\"}"), 0);
        let network = scene.network(viewer);
        assert!(!network.is_video_paused && network.lowered > 0 && network.padding > 0 && network.probes_passed > 0);
        assert_eq!(scene.net.metric("sluice_padding_bytes_total"), network.padding);
        assert_eq!(scene.net.metric("sluice_probes_total{result=\"passed\"}"), network.probes_passed);
        assert!(scene.net.metric_sum("sluice_layer_switches_total{") > 0);
        let page = scene.net.metrics.render();
        let seconds = page.lines().find_map(|line| line.strip_prefix("sluice_layer_seconds_total{layer=\"none\"} "));
        let seconds: f64 = seconds.unwrap().parse().unwrap();
        assert!((12.0..30.0).contains(&seconds), "{seconds}");
        let estimates = scene.net.metric("sluice_viewer_estimate_bytes_per_second_count");
        assert!(estimates >= 30, "one a second: {estimates}");
    }
}

#[test]
fn probes_are_retransmissions_and_never_packets_of_the_video_itself() {
    let mut scene = Scene::new();
    let viewer = scene.watch(link(6.0 * MBIT), 3);
    scene.run(5 * SECOND);
    assert!(scene.net.metric("sluice_padding_bytes_total") > 0);
    assert!(scene.retransmitted(viewer, scene.net.now - 5 * SECOND) > 20);
    let client = &scene.net.clients[viewer];
    let video = client.tracks[track(client, Kind::Video)].ssrc;
    let mut numbers: Vec<u64> =
        client.received.iter().filter(|packet| Some(packet.ssrc) == video).map(|packet| packet.index).collect();
    let received = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), received, "each number once");
}

#[test]
fn a_selected_encoding_is_the_largest_that_a_viewer_is_sent() {
    let mut scene = Scene::new();
    let viewer = scene.watch(link(6.0 * MBIT), 9);
    let last = |scene: &Scene| scene.shown(viewer).last().unwrap().1;
    scene.run(5 * SECOND);
    scene.net.select_rid(viewer, "h");
    scene.run(3 * SECOND);
    assert_eq!(last(&scene), 1, "although the network carries more");
    scene.net.select_rid(viewer, "f");
    scene.run(5 * SECOND);
    assert_eq!(last(&scene), 2);
    scene.net.links.lane(viewer, Way::Down).impairment = link(0.8 * MBIT);
    scene.run(6 * SECOND);
    assert_eq!(last(&scene), 1, "the network carries no more");
    scene.net.select_rid(viewer, "q");
    scene.run(3 * SECOND);
    assert_eq!(last(&scene), 0);
    assert!(scene.net.metric("sluice_layer_switches_total{reason=\"selected\"}") >= 2);
}

#[test]
fn a_viewer_that_selects_audio_alone_is_sent_no_video_and_no_probes_until_it_selects_video_again() {
    let mut scene = Scene::new();
    let viewer = scene.watch(link(6.0 * MBIT), 4);
    scene.run(5 * SECOND);
    scene.net.select(viewer, Selection { audio_only: true, ..Selection::default() });
    scene.run(SECOND);
    let alone = scene.net.now;
    let asked = scene.sender.asked(&scene.net).len();
    scene.run(10 * SECOND);
    assert!(scene.runs(viewer, alone).is_empty());
    assert_eq!(scene.retransmitted(viewer, alone), 0);
    assert_eq!(scene.net.metric_sum("sluice_layer_viewers{"), 0, "its network carries more");
    assert_eq!(scene.sender.asked(&scene.net).len(), asked);
    scene.net.select(viewer, Selection::default());
    let back = scene.net.now;
    scene.run(3 * SECOND);
    let runs = scene.runs(viewer, back);
    assert!(!runs.is_empty() && runs[0].1 <= SECOND && runs.last().unwrap().0 == 2, "{runs:?}");
}

/// Which encoding a viewer begins with, and after which time it is sent the largest.
fn begin(scene: &mut Scene) -> (u32, Duration) {
    let joined = scene.net.now;
    let viewer = scene.watch(link(6.0 * MBIT), 1);
    scene.run(4 * SECOND);
    let runs = scene.runs(viewer, joined);
    let largest = runs.iter().find(|(layer, _)| *layer == 2).map(|(_, at)| *at);
    (runs[0].0, largest.unwrap_or(Duration::MAX))
}

#[test]
fn temporal_layers_that_a_viewer_has_not_selected_are_not_probed_for() {
    for selection in [
        Selection { temporal: Some(0), ..Selection::default() },
        Selection { max_temporal: Some(0), ..Selection::default() },
    ] {
        let mut scene = Scene::new();
        scene.has_temporal_layers = true;
        // Half of the frames of the largest encoding take 0.8 Mbit/s, all of them 1.5 Mbit/s.
        let viewer = scene.watch(link(1.2 * MBIT), 2);
        scene.net.select(viewer, selection);
        scene.run(12 * SECOND);
        let (begun, padding) = (scene.net.now, scene.network(viewer).padding);
        scene.run(20 * SECOND);
        assert!(scene.runs(viewer, begun).iter().all(|(layer, _)| *layer == 2), "{:?}", scene.runs(viewer, begun));
        let half = scene.frames(viewer, 2, begun);
        assert!(half.len() >= 240 && half.iter().all(|frame| frame % 2 == 0), "{half:?}");
        assert_eq!(scene.network(viewer).padding, padding, "there is nothing to find out");
        scene.net.links.lane(viewer, Way::Down).impairment = link(6.0 * MBIT);
        scene.net.select(viewer, Selection::default());
        scene.run(8 * SECOND);
        let all = scene.frames(viewer, 2, scene.net.now - SECOND).len();
        assert!(all >= 24, "{all}");
    }
}

#[test]
fn a_viewer_begins_with_what_the_start_bitrate_carries_and_has_the_largest_encoding_soon() {
    let mut fast = Scene::with(Config { start_bitrate: 20_000_000, ..Config::default() });
    let mut between = Scene::with(Config { start_bitrate: 4_000_000, ..Config::default() });
    let mut usual = Scene::new();
    let mut slow = Scene::with(Config { start_bitrate: 150_000, ..Config::default() });
    let begun = [&mut fast, &mut between, &mut usual, &mut slow].map(begin);
    assert_eq!(begun.map(|(layer, _)| layer), [2, 1, 0, 0]);
    assert!(begun[..3].iter().all(|(_, largest)| *largest <= 2 * SECOND), "{begun:?}");
}

#[test]
fn a_viewer_begins_at_a_keyframe_where_no_cached_frames_arrive_soon_and_the_publisher_answers_requests() {
    let mut scene = Scene::new();
    let earlier = scene.watch(link(6.0 * MBIT), 1);
    scene.run(3 * SECOND);
    scene.net.request_keyframe(earlier);
    scene.run(9 * SECOND);
    let (asked, frames, joined) = (scene.sender.asked(&scene.net).len(), scene.sender.frames, scene.net.now);
    let replays = scene.net.metric("sluice_replays_total");
    let viewer = scene.watch(link(6.0 * MBIT), 2);
    scene.run(500 * MILLISECOND);
    // The start bitrate carries the second encoding, but not 9 s of any.
    assert_eq!(scene.sender.asked(&scene.net)[asked..], [0x1001]);
    let (at, layer) = scene.shown(viewer)[0];
    assert!(layer == 1 && at - joined <= 500 * MILLISECOND, "{layer}, {:?}", at - joined);
    let first = *scene.frames(viewer, 1, joined).first().unwrap();
    assert!(first >= frames, "{first} is a cached frame from before {frames}");
    assert_eq!(scene.net.metric("sluice_replays_total"), replays);
}

#[test]
fn a_viewer_of_a_publisher_that_ignores_requests_begins_with_the_frames_that_arrive_soonest() {
    let mut scene = Scene::new();
    (scene.keyframe_every, scene.answers) = (250, false);
    scene.run(15 * SECOND);
    assert_eq!(begin(&mut scene).0, 0);
}

#[test]
fn a_new_publisher_whose_rates_are_not_known_yet_is_shown_at_once() {
    let mut scene = Scene::new();
    let viewer = scene.watch(link(6.0 * MBIT), 6);
    scene.run(5 * SECOND);
    scene.publish(QHF);
    let joined = scene.net.now;
    scene.run(3 * SECOND);
    let shown = scene.shown(viewer);
    let after = shown.iter().position(|(at, _)| *at > joined + 100 * MILLISECOND).unwrap();
    let gap = shown[after - 1..].windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!(gap <= 500 * MILLISECOND, "{gap:?}");
}

#[test]
fn a_viewer_of_one_encoding_is_measured_once_a_publisher_of_three_follows() {
    let mut scene = Scene::of(&QHF[2..], Config::default());
    let viewer = scene.watch(link(6.0 * MBIT), 1);
    scene.run(3 * SECOND);
    assert_eq!(scene.shown(viewer).last().unwrap().1, 2);
    let followed = scene.net.now;
    scene.publish(QHF);
    scene.run(5 * SECOND);
    let later = scene.net.clients[viewer].received.iter().filter(|packet| packet.at >= followed + SECOND);
    let numbers: Vec<u16> = later.filter_map(|packet| number_of(&scene.net, viewer, packet)).collect();
    assert!(numbers.len() > 400 && numbers.is_sorted_by(|a, b| b.wrapping_sub(*a) == 1), "{numbers:?}");
    assert_eq!(scene.shown(viewer).last().unwrap().1, 2, "the largest");
    assert!((1.3 * MBIT..6.0 * MBIT).contains(&scene.estimate(viewer)), "{}", scene.estimate(viewer));
    scene.net.links.lane(viewer, Way::Down).impairment = link(0.8 * MBIT);
    scene.run(5 * SECOND);
    assert_eq!(scene.shown(viewer).last().unwrap().1, 1, "what its network carries");
}

#[test]
fn an_estimate_outlasts_a_publisher_of_one_encoding_although_the_last_feedback_is_lost() {
    let mut scene = Scene::new();
    let viewer = scene.watch(link(6.0 * MBIT), 1);
    scene.run(6 * SECOND);
    let before = scene.estimate(viewer);
    assert!(before > 1.3 * MBIT, "{before}");
    scene.viewers.clear();
    scene.run(50 * MILLISECOND);
    scene.publish(&QHF[2..]);
    scene.run(10 * SECOND);
    scene.publish(QHF);
    let back = scene.net.now;
    let seen = scene.net.clients[viewer].received.len();
    scene.viewers.push(Reporter { seen, ..Reporter::new(viewer) });
    scene.run(4 * SECOND);
    let runs = scene.runs(viewer, back + 500 * MILLISECOND);
    assert_eq!(runs.iter().map(|(layer, _)| *layer).collect::<Vec<_>>(), [2], "{runs:?}");
    assert!(scene.estimate(viewer) >= before * 0.9, "{before}, {}", scene.estimate(viewer));
}

#[test]
fn packets_of_one_encoding_have_no_numbers() {
    let mut net = Net::new(1);
    let mut broadcast = Broadcast::join(&mut net, 0);
    let viewer = broadcast.add_viewer(&mut net);
    broadcast.run(&mut net, SECOND);
    let received = &net.clients[viewer].received;
    assert!(received.len() > 20 && received.iter().all(|packet| number_of(&net, viewer, packet).is_none()));
}
