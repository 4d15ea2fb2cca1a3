//! A network that carries what a viewer sends and nothing to it: the viewer goes on to report. Its video rests until
//! something arrives, and then has no hole.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

use std::time::{Duration, Instant};

use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use sluice::forward::codec::{Codec, Kind};
use sluice::name::Role;
use sluice::node::Create;

use crate::broadcast::{BOTH, Broadcast, GCM, MILLISECOND, SECOND, assert_spliced, track};
use crate::layer_choice::{MBIT, Reporter, Scene, link};
use crate::net::Net;
use crate::net::lane::{Impairment, Way};

const DELAY: Impairment = Impairment {
    loss: 0.0,
    burst: None,
    delay: Duration::from_millis(25),
    jitter: Duration::ZERO,
    reorder: 0.0,
    duplicate: 0.0,
    capacity: None,
};
const DARK: Impairment = Impairment { loss: 1.0, ..DELAY };

/// A receiver report about each SSRC that the viewer has received something of.
fn report(net: &mut Net, viewer: usize) {
    let client = &net.clients[viewer];
    let mut reports: Vec<ReceptionReport> = Vec::new();
    for packet in &client.received {
        let highest = packet.index as u32;
        match reports.iter_mut().find(|report| report.ssrc == packet.ssrc) {
            Some(report) => report.last_sequence_number = report.last_sequence_number.max(highest),
            None => reports.push(ReceptionReport {
                ssrc: packet.ssrc,
                last_sequence_number: highest,
                ..ReceptionReport::default()
            }),
        }
    }
    net.send_rtcp(viewer, ReceiverReport { ssrc: 1, reports, ..ReceiverReport::default() });
}

/// A publisher and a viewer behind a link.
struct Watched {
    net: Net,
    broadcast: Broadcast,
    viewer: usize,
    /// When it reports next.
    next_report: Instant,
    /// It reports transport-wide numbers too.
    reporter: Option<Reporter>,
}

impl Watched {
    fn new(seed: u32) -> Self {
        Self::of(seed, BOTH, true)
    }

    /// The same of a viewer of these codecs, with or without RTX.
    fn of(seed: u32, codecs: &[Codec], has_rtx: bool) -> Self {
        let mut watched = Self::behind(DELAY, seed, codecs, has_rtx);
        watched.run(5 * SECOND, true);
        watched
    }

    /// A viewer that has just connected, behind this link.
    fn behind(down: Impairment, seed: u32, codecs: &[Codec], has_rtx: bool) -> Self {
        let mut net = Net::new(1);
        let mut broadcast = Broadcast::join(&mut net, 0);
        (broadcast.keyframe_every, broadcast.keyframe_responsive) = (250, true);
        broadcast.run(&mut net, 50 * MILLISECOND);
        let change = |request: &mut Create| {
            if !has_rtx {
                request.offer = request.offer.replace(" rtx/", " other/");
            }
        };
        let viewer = net.try_join(Role::Viewer, "cam", codecs, GCM, change).unwrap();
        net.links.impair(viewer, DELAY, down, seed);
        while !net.clients[viewer].is_connected() {
            broadcast.run(&mut net, MILLISECOND);
        }
        let next_report = net.now + seed * 97 * MILLISECOND;
        Self { net, broadcast, viewer, next_report, reporter: None }
    }

    /// Nothing reaches the viewer for four seconds; returns when that is over.
    fn go_dark_for_four_seconds(&mut self) -> Instant {
        self.is(DARK);
        self.run(4 * SECOND, true);
        self.is(DELAY);
        self.net.now
    }

    /// Lets time pass; the publisher sends or rests.
    fn run(&mut self, how_long: Duration, sends: bool) {
        let (until, mut steps) = (self.net.now + how_long, 0);
        let began = self.net.now - 3600 * SECOND;
        while self.net.now < until {
            if sends {
                self.broadcast.publish(&mut self.net);
            }
            if self.next_report <= self.net.now {
                self.next_report += SECOND;
                report(&mut self.net, self.viewer);
            }
            steps += 1;
            if let Some(reporter) = self.reporter.as_mut().filter(|_| steps % 100 == 0) {
                reporter.look(&self.net, began);
                reporter.report(&mut self.net);
            }
            self.net.run(MILLISECOND);
        }
    }

    fn is(&mut self, down: Impairment) {
        self.net.links.lane(self.viewer, Way::Down).impairment = down;
    }

    /// After which time the first packet of the video arrived, how many of its numbers are missing before that, and
    /// whether it is the first one of a frame that decodes by itself.
    fn returned(&self, back: Instant) -> (Duration, u64, bool) {
        let client = &self.net.clients[self.viewer];
        let video = client.tracks[track(client, Kind::Video)].ssrc;
        let packets: Vec<_> = client.received.iter().filter(|packet| Some(packet.ssrc) == video).collect();
        let place = packets.iter().position(|packet| packet.at >= back).unwrap();
        let missing = packets[place].index - packets[place - 1].index - 1;
        (packets[place].at - back, missing, packets[place].payload[1] == 0)
    }

    fn times_dark(&self) -> u64 {
        self.net.metric("sluice_dark_downlinks_total")
    }
}

#[test]
fn a_viewer_to_which_nothing_came_for_four_seconds_is_shown_a_frame_as_soon_as_it_reports_a_probe() {
    for seed in 1..=10 {
        for with_numbers in [false, true] {
            let mut watched = Watched::new(seed);
            watched.reporter = with_numbers.then(|| Reporter::new(watched.viewer));
            let back = watched.go_dark_for_four_seconds();
            assert_eq!(watched.times_dark(), 1);
            watched.run(4 * SECOND, true);
            let (after, missing, is_keyframe) = watched.returned(back);
            let most = if with_numbers { 500 * MILLISECOND } else { 1700 * MILLISECOND };
            assert!(after <= most, "{seed}: {after:?}");
            // 75 packets a second until it was noticed.
            assert!(missing <= 180 && is_keyframe, "{seed}: {missing}");
            let line = watched.net.video(watched.viewer);
            let since: Vec<_> = line.into_iter().filter(|shown| shown.at >= back).collect();
            assert_spliced(&since);
            assert_eq!(watched.times_dark(), 1);
        }
    }
}

#[test]
fn a_viewer_without_rtx_or_without_audio_is_shown_a_frame_as_soon_as_anything_arrives() {
    // Without RTX there is no probe: reports on the audio say it. Without both, video is sent once more after 5 s.
    for (codecs, has_rtx, with_numbers, most) in [
        (BOTH, false, false, 1700),
        (BOTH, false, true, 1700),
        (&[Codec::Vp8], true, false, 1700),
        (&[Codec::Vp8], true, true, 500),
        (&[Codec::Vp8], false, false, 5000),
    ] {
        for seed in 1..=3 {
            let mut watched = Watched::of(seed, codecs, has_rtx);
            watched.reporter = with_numbers.then(|| Reporter::new(watched.viewer));
            let back = watched.go_dark_for_four_seconds();
            assert_eq!(watched.times_dark(), 1, "{codecs:?}, {has_rtx}");
            watched.run(6 * SECOND, true);
            let (after, missing, is_keyframe) = watched.returned(back);
            assert!(after <= most * MILLISECOND, "{codecs:?}, {has_rtx}, {with_numbers}, {seed}: {after:?}");
            assert!(missing <= 180 && is_keyframe, "{seed}: {missing}");
            assert_eq!(watched.times_dark(), 1);
        }
    }
}

#[test]
fn a_viewer_that_has_never_got_anything_is_sent_video_all_the_time() {
    for seed in 1..=3 {
        let mut watched = Watched::behind(DARK, seed, BOTH, true);
        watched.run(4 * SECOND, true);
        assert!(watched.net.clients[watched.viewer].received.is_empty());
        watched.is(DELAY);
        let back = watched.net.now;
        watched.run(100 * MILLISECOND, true);
        assert!(!watched.net.video(watched.viewer).is_empty(), "at once");
        watched.net.request_keyframe(watched.viewer);
        watched.run(SECOND, true);
        let client = &watched.net.clients[watched.viewer];
        let video = client.tracks[track(client, Kind::Video)].ssrc;
        let keyframe = client.received.iter().find(|packet| Some(packet.ssrc) == video && packet.payload[1] == 0);
        let after = keyframe.unwrap().at - back;
        assert!(after <= 700 * MILLISECOND, "{seed}: {after:?}");
        assert_eq!(watched.times_dark(), 0);
    }
}

#[test]
fn a_nack_says_that_something_arrives() {
    let mut watched = Watched::new(1);
    let back = watched.go_dark_for_four_seconds();
    let client = &watched.net.clients[watched.viewer];
    let media_ssrc = client.tracks[track(client, Kind::Audio)].ssrc.unwrap();
    let nacks = vec![NackPair { packet_id: 1, lost_packets: 0 }];
    watched.net.send_rtcp(watched.viewer, TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks });
    watched.run(2 * SECOND, true);
    assert!(watched.returned(back).0 <= 500 * MILLISECOND);
}

#[test]
fn a_still_screen_and_silent_audio_are_no_dark_network() {
    for seed in 1..=3 {
        let mut watched = Watched::new(seed);
        watched.run(20 * SECOND, false);
        assert_eq!(watched.times_dark(), 0);
        let frame = watched.broadcast.frame;
        watched.run(2 * SECOND, true);
        assert!(watched.broadcast.frame > frame);
        assert_eq!(watched.times_dark(), 0, "after the pause");
    }
}

#[test]
fn heavy_loss_is_no_darkness() {
    let mut watched = Watched::new(2);
    watched.is(Impairment { loss: 0.5, ..DELAY });
    watched.run(20 * SECOND, true);
    assert_eq!(watched.times_dark(), 0);
}

#[test]
fn a_viewer_that_reports_no_probe_is_sent_video_again_after_five_seconds() {
    let mut watched = Watched::new(1);
    let back = watched.go_dark_for_four_seconds();
    watched.next_report += 3600 * SECOND;
    watched.run(6 * SECOND, true);
    assert!(watched.returned(back).0 <= 5 * SECOND);
}

#[test]
fn a_viewer_of_several_encodings_is_shown_a_frame_within_half_a_second_of_its_feedback() {
    for seed in 1..=5 {
        let mut scene = Scene::new();
        let viewer = scene.watch(link(6.0 * MBIT), seed);
        let run = |scene: &mut Scene, seconds: u32| {
            for _ in 0..seconds {
                scene.run(SECOND);
                report(&mut scene.net, viewer);
            }
        };
        scene.run(seed * 131 * MILLISECOND);
        run(&mut scene, 6);
        scene.net.links.lane(viewer, Way::Down).impairment.loss = 1.0;
        run(&mut scene, 4);
        let back = scene.net.now;
        scene.net.links.lane(viewer, Way::Down).impairment.loss = 0.0;
        run(&mut scene, 10);
        let shown = scene.shown(viewer);
        let (first, _) = shown.iter().find(|(at, _)| *at >= back).unwrap();
        assert!(*first - back <= 900 * MILLISECOND, "{seed}: {:?}", *first - back);
        assert_eq!(shown.last().unwrap().1, 2, "{seed}: the largest again");
    }
}
