//! Audio and video stay in step however often a viewer changes encodings: each encoding counts from a random timestamp
//! and takes its own time to arrive, and the reports that relate their timestamps may be late or missing.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rtcp::sender_report::SenderReport;
use sluice::forward::codec::Kind;

use crate::broadcast::{MILLISECOND, SECOND, Shown, assert_spliced, track};
use crate::net::Net;
use crate::net::lane::Random;
use crate::simulcast::sender::{EPOCH, LAYER, QHF, Sender, ntp};

/// Ticks of 90 kHz and of 48 kHz in a millisecond.
const VIDEO: u32 = 90;
const AUDIO: u32 = 48;
/// From one frame to the next, and from one audio packet to the next, in milliseconds.
const FRAME: u32 = 40;
const AUDIO_PACKET: u32 = 20;

const SWITCHES: usize = 100;

/// By how many milliseconds video may move against audio.
const MOST: i64 = 40;

/// A frame that arrives later than this after its capture belongs to a replay, in which the viewer catches up.
const CATCHING_UP: Duration = Duration::from_millis(150);

/// How many frames an encoding may take until its timestamps are right: if it arrives later than the encoding before,
/// they are compressed first.
const CATCHING_UP_FRAMES: usize = 5;

/// How the relay learns the relation of the timestamps of encodings and audio.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Clocks {
    /// Sender reports from the beginning, every second.
    Reports,
    /// Sender reports that begin between 5 s and 40 s, and are up to 3 s old when they come.
    LateReports,
    /// Sender reports, but none of the encoding in the middle.
    ReportsButOfOne,
    /// Capture times in every packet of video, and no reports.
    CaptureTimes,
    /// Nothing but the arrival of packets.
    Arrival,
}

/// A publisher of three encodings and audio, and a viewer that selects one encoding after another.
struct Scene {
    net: Net,
    sender: Sender,
    viewer: usize,
    clocks: Clocks,
    random: Random,
    began: Instant,
    /// When each encoding, then audio, reports next.
    next_report: [Duration; 4],
    /// How long each encoding takes to arrive at least.
    latency: [Duration; 3],
    /// The packets of each encoding that have left and not arrived, in order.
    on_its_way: [VecDeque<(Instant, Vec<u8>)>; 3],
    audio_packets: u32,
}

impl Scene {
    fn new(clocks: Clocks, seed: u32) -> Self {
        let mut random = Random::new(seed);
        let mut net = Net::new(1);
        let mut sender = Sender::join(&mut net, QHF, "q;h;f");
        for encoding in &mut sender.encodings {
            encoding.start = (random.draw() * f64::from(u32::MAX)) as u32;
        }
        let viewer = net.watch("cam");
        net.connect();
        // Where arrival counts, it must differ by less than video may move.
        let most = if matches!(clocks, Clocks::Reports | Clocks::CaptureTimes) { 0.1 } else { 0.015 };
        let latency = [(); 3].map(|()| Duration::from_secs_f64(random.between(0.0, most)));
        let first = match clocks {
            Clocks::Reports | Clocks::ReportsButOfOne => [SECOND / 5; 4],
            Clocks::LateReports => [(); 4].map(|()| Duration::from_secs_f64(random.between(5.0, 40.0))),
            Clocks::CaptureTimes | Clocks::Arrival => [Duration::MAX; 4],
        };
        let began = net.now;
        let mut next_report = first;
        if clocks == Clocks::ReportsButOfOne {
            next_report[1] = Duration::MAX;
        }
        let on_its_way = Default::default();
        Self { net, sender, viewer, clocks, random, began, next_report, latency, on_its_way, audio_packets: 0 }
    }

    fn elapsed(&self) -> Duration {
        self.net.now - self.began
    }

    /// The publisher sends for a while.
    fn run(&mut self, how_long: Duration) {
        let until = self.net.now + how_long;
        while self.net.now < until {
            let elapsed = self.elapsed().as_millis() as u32;
            if elapsed >= self.sender.frames * FRAME {
                self.send_frames();
            }
            while elapsed >= self.audio_packets * AUDIO_PACKET {
                let place = track(&self.net.clients[self.sender.publisher], Kind::Audio);
                let timestamp = self.audio_packets * AUDIO_PACKET * AUDIO;
                self.net.send(self.sender.publisher, place, timestamp, false, &self.audio_packets.to_be_bytes());
                self.audio_packets += 1;
            }
            for place in 0..3 {
                while let Some((_, datagram)) = self.on_its_way[place].pop_front_if(|(due, _)| *due <= self.net.now) {
                    self.net.deliver(self.sender.publisher, datagram);
                }
            }
            self.report();
            self.net.run(MILLISECOND);
        }
    }

    /// A frame of each encoding leaves: a keyframe where one was asked for.
    fn send_frames(&mut self) {
        let asked = self.sender.newly_asked(&self.net);
        let captured = self.sender.frames * FRAME;
        self.sender.capture_ntp = (self.clocks == Clocks::CaptureTimes).then(|| ntp(captured));
        for place in 0..3 {
            let keyframe = captured == 0 || asked.contains(&self.sender.encodings[place].ssrc);
            let datagram = self.sender.frame(&mut self.net, place, keyframe);
            let jitter = Duration::from_secs_f64(self.random.between(0.0, 0.015));
            let due = self.net.now + self.latency[place] + jitter;
            let due = self.on_its_way[place].back().map_or(due, |(before, _)| due.max(*before));
            self.on_its_way[place].push_back((due, datagram));
        }
        self.sender.capture_ntp = None;
        self.sender.frames += 1;
    }

    /// Sends the reports that are due.
    fn report(&mut self) {
        for place in 0..4 {
            if self.elapsed() < self.next_report[place] {
                continue;
            }
            let late = if self.clocks == Clocks::LateReports { self.random.between(0.0, 3.0) } else { 0.0 };
            let of = (self.elapsed().as_millis() as u32).saturating_sub((late * 1000.0) as u32);
            self.next_report[place] += SECOND;
            let (ssrc, start, rate) = match self.sender.encodings.get(place) {
                Some(encoding) => (encoding.ssrc, encoding.start, VIDEO),
                None => (self.net.ssrc(self.sender.publisher, Kind::Audio), 0, AUDIO),
            };
            let rtp_time = start.wrapping_add(of * rate);
            let report = SenderReport { ssrc, ntp_time: ntp(of), rtp_time, ..SenderReport::default() };
            self.net.send_rtcp(self.sender.publisher, report);
        }
    }

    /// The viewer selects one of these encodings after another, at random, until the encoding that it is sent has
    /// changed a hundred times.
    fn switch(&mut self, places: &[usize]) {
        let mut selected = 2;
        for _ in 0..SWITCHES + 2 {
            let others: Vec<usize> = places.iter().copied().filter(|place| *place != selected).collect();
            selected = others[(self.random.draw() * others.len() as f64) as usize];
            self.net.select_rid(self.viewer, QHF[selected].0);
            let pause = Duration::from_secs_f64(self.random.between(0.7, 1.6));
            self.run(pause);
        }
    }

    /// By how many milliseconds a frame's timestamp is later than its capture, up to a constant.
    fn video_offset(&self, shown: &Shown) -> i64 {
        let captured = self.sender.captured[&shown.number] * FRAME * VIDEO;
        i64::from(shown.timestamp.wrapping_sub(captured) as i32) / i64::from(VIDEO)
    }

    fn captured_at(&self, shown: &Shown) -> Instant {
        self.began + MILLISECOND * self.sender.captured[&shown.number] * FRAME
    }

    /// The same of an audio packet.
    fn audio_offset(&self, shown: &Shown) -> i64 {
        let sent = shown.number * AUDIO_PACKET * AUDIO;
        i64::from(shown.timestamp.wrapping_sub(sent) as i32) / i64::from(AUDIO)
    }

    /// By how many milliseconds the viewer's reports put audio behind video: one value for each pair of newest reports.
    fn reported(&self) -> Vec<i64> {
        let packets = self.net.clients[self.viewer].rtcp.iter();
        let [video, audio] = [Kind::Video, Kind::Audio].map(|kind| self.net.ssrc(self.viewer, kind));
        let (mut parted, mut latest) = (Vec::new(), [None, None]);
        for compound in packets {
            for report in compound.iter().filter_map(|packet| packet.as_any().downcast_ref::<SenderReport>()) {
                let place = usize::from(report.ssrc == audio);
                assert!(report.ssrc == audio || report.ssrc == video);
                latest[place] = Some((report.ntp_time, report.rtp_time));
            }
            if let [Some(video), Some(audio)] = latest {
                parted.push(self.parted(video, audio));
            }
        }
        parted
    }

    /// By how many milliseconds two reports put audio behind video, where the first packets of both are in step.
    fn parted(&self, video: (u64, u32), audio: (u64, u32)) -> i64 {
        let milliseconds = |(ntp, rtp): (u64, u32), rate: u32, offset: i64| {
            let wall = (ntp.wrapping_sub(EPOCH) as i64 as f64 / f64::powi(2.0, 32) * 1000.0) as i64;
            wall - (i64::from(rtp as i32) / i64::from(rate) - offset)
        };
        let first = |kind| self.net.packets(self.viewer, kind)[0];
        milliseconds(audio, AUDIO, self.audio_offset(&first(Kind::Audio)))
            - milliseconds(video, VIDEO, self.video_offset(&first(Kind::Video)))
    }
}

/// Fails unless audio and video stay together while a viewer changes between these encodings.
fn assert_in_step(clocks: Clocks, places: &[usize]) {
    for seed in 1..=2 {
        let mut scene = Scene::new(clocks, seed);
        scene.run(SECOND);
        scene.switch(places);
        let (video, audio) = (scene.net.video(scene.viewer), scene.net.audio(scene.viewer));
        assert_spliced(&video);
        assert!(audio.iter().all(|shown| scene.audio_offset(shown) == scene.audio_offset(&audio[0])));
        let runs: Vec<_> = video.chunk_by(|one, other| one.number / LAYER == other.number / LAYER).collect();
        assert!(runs.len() > SWITCHES, "{clocks:?}, seed {seed}: {} runs", runs.len());
        let settled = |run: &&[Shown]| -> Vec<Shown> {
            let live = run.iter().filter(|shown| shown.at <= scene.captured_at(shown) + CATCHING_UP);
            live.skip(CATCHING_UP_FRAMES).copied().collect()
        };
        let first = scene.video_offset(&video[0]);
        let frames: Vec<Shown> = runs.iter().flat_map(settled).collect();
        assert!(frames.len() > video.len() / 2);
        let moved = frames.iter().map(|shown| scene.video_offset(shown) - first);
        let worst = moved.max_by_key(|moved| moved.abs()).unwrap();
        assert!(worst.abs() <= MOST, "{clocks:?}, seed {seed}: video has moved by {worst} ms");
        let reported = scene.reported();
        assert!(reported.len() > SWITCHES / 2, "{clocks:?}, seed {seed}: {} reports", reported.len());
        let moved = reported.iter().map(|parted| parted - reported[0]);
        let worst = moved.max_by_key(|moved| moved.abs()).unwrap();
        assert!(worst.abs() <= MOST, "{clocks:?}, seed {seed}: reports move audio by {worst} ms");
    }
}

const ALL: [usize; 3] = [0, 1, 2];

#[test]
fn sender_reports_hold_audio_and_video_together_across_a_hundred_switches() {
    assert_in_step(Clocks::Reports, &ALL);
}

#[test]
fn late_sender_reports_hold_audio_and_video_together_across_a_hundred_switches() {
    assert_in_step(Clocks::LateReports, &ALL);
}

#[test]
fn an_encoding_without_sender_reports_stays_together_with_audio_across_a_hundred_switches() {
    assert_in_step(Clocks::ReportsButOfOne, &ALL);
}

#[test]
fn capture_times_hold_audio_and_video_together_across_a_hundred_switches() {
    assert_in_step(Clocks::CaptureTimes, &ALL);
}

#[test]
fn arrival_holds_audio_and_video_together_across_a_hundred_switches() {
    assert_in_step(Clocks::Arrival, &ALL);
}

#[test]
fn errors_of_arrival_do_not_add_up_while_a_viewer_never_returns_to_its_first_encoding() {
    assert_in_step(Clocks::Arrival, &[0, 1]);
    assert_in_step(Clocks::ReportsButOfOne, &[1, 2]);
}
