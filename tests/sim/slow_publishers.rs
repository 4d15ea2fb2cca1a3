//! Publishers that read little: one datagram for each frame that they write, as FFmpeg does. Losses are seeded.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use sluice::forward::codec::Codec;
use sluice::name::Role;

use crate::broadcast::{GCM, MILLISECOND};
use crate::net::lane::Impairment;
use crate::net::{NUMBER, Net, RELAY, vp8};
use crate::receiver::Answers;

/// One way.
const DELAY: Duration = Duration::from_millis(25);
/// Packets of a frame.
const PARTS: u32 = 3;

/// A publisher of video behind a link that loses packets from it, and a viewer.
struct Scene {
    net: Net,
    publisher: usize,
    viewer: usize,
    answers: Answers,
    /// What has arrived at the publisher, or will, and is not read yet.
    socket: VecDeque<(Instant, Vec<u8>)>,
    /// The most that has waited there.
    most: usize,
    told: usize,
    /// Reads at once, where this is so; else one datagram for each frame.
    at_once: bool,
    frame: Duration,
    published: Vec<Instant>,
}

impl Scene {
    fn new(frame: Duration, loss: f64, at_once: bool, seed: u32) -> Self {
        let mut net = Net::new(1);
        let publisher = net.join(Role::Publisher, "cam", &[Codec::Vp8], GCM);
        let viewer = net.join(Role::Viewer, "cam", &[Codec::Vp8], GCM);
        net.connect();
        let up = Impairment { loss, delay: DELAY, ..Impairment::default() };
        net.links.impair(publisher, up, Impairment::default(), seed);
        let answers = Answers::new(&mut net, publisher);
        let (socket, published) = (VecDeque::new(), Vec::new());
        Self { net, publisher, viewer, answers, socket, most: 0, told: 0, at_once, frame, published }
    }

    /// Publishes for a while, then waits for repairs.
    fn run(&mut self, how_long: Duration) {
        let start = self.net.now;
        let mut due = start;
        while self.net.now < start + how_long + Duration::from_secs(2) {
            let writes = due <= self.net.now && self.net.now < start + how_long;
            let waits = self.socket.iter().filter(|(at, _)| *at <= self.net.now).count();
            self.most = self.most.max(waits);
            let reads = if self.at_once { waits } else { waits.min(usize::from(writes)) };
            for (_, datagram) in self.socket.drain(..reads).collect::<Vec<_>>() {
                let now = self.net.now;
                let _ = self.net.clients[self.publisher].peer.handle_datagram(&datagram, RELAY, now);
            }
            self.step();
            self.answers.poll(&mut self.net);
            if writes {
                due += self.frame;
                self.write();
            }
            self.net.now += MILLISECOND;
        }
    }

    fn write(&mut self) {
        let number = self.published.len() as u32;
        for part in 0..PARTS {
            self.published.push(self.net.now);
            let timestamp = number.wrapping_mul(1000);
            self.net.send(
                self.publisher,
                0,
                timestamp,
                part == PARTS - 1,
                &vp8(number == 0 && part == 0, number + part),
            );
        }
    }

    fn step(&mut self) {
        let (publisher, at, socket) = (self.publisher, self.net.now + DELAY, &mut self.socket);
        let before = socket.len();
        self.net.step(|number, datagram| {
            let is_announced = number == publisher;
            if is_announced {
                socket.push_back((at, datagram.to_vec()));
            }
            !is_announced
        });
        self.told += self.socket.len() - before;
    }

    /// Packets that never came to the viewer, and by how much the latest was late.
    fn outcome(&self) -> (usize, Duration) {
        let mut arrived: BTreeMap<u32, Instant> = BTreeMap::new();
        for packet in &self.net.clients[self.viewer].received {
            let number = u32::from_be_bytes(packet.payload[NUMBER..NUMBER + 4].try_into().expect("four octets"));
            arrived.entry(number).or_insert(packet.at);
        }
        let late = arrived.iter().map(|(number, at)| *at - self.published[*number as usize]).max();
        (self.published.len() - arrived.len(), late.unwrap_or_default())
    }
}

#[test]
fn a_publisher_that_reads_one_datagram_per_frame_is_sent_no_more_and_loses_nothing() {
    for frames in [30, 15] {
        for seed in 0..4 {
            let mut scene = Scene::new(Duration::from_secs(1) / frames, 0.05, false, seed);
            scene.run(Duration::from_secs(25));
            let (lost, late) = scene.outcome();
            let shown =
                format!("{frames} frames a second, seed {seed}: {lost} lost, {late:?} late, {} waited", scene.most);
            assert_eq!(lost, 0, "{shown}");
            // A viewer's frames are held back by 400 ms at most, and a frame is on its way for 25 ms.
            assert!(late < Duration::from_millis(if frames == 30 { 350 } else { 500 }), "{shown}");
            assert!(scene.most <= 4, "{shown}");
            assert!(scene.told <= 25 * frames as usize, "{} datagrams: {shown}", scene.told);
        }
    }
}

#[test]
fn a_publisher_of_five_frames_a_second_loses_nothing() {
    let mut scene = Scene::new(Duration::from_millis(200), 0.05, false, 1);
    scene.run(Duration::from_secs(40));
    assert_eq!(scene.outcome().0, 0, "{:?}, {} waited", scene.outcome(), scene.most);
    assert!(scene.most <= 5, "{} waited", scene.most);
}

#[test]
fn a_publisher_that_reads_at_once_is_repaired_within_two_round_trips_at_any_frame_rate() {
    for frame in [33, 200] {
        let mut scene = Scene::new(Duration::from_millis(frame), 0.05, true, 1);
        scene.run(Duration::from_secs(10));
        // By then it has shown that it reads at once.
        let (before, begun) = (scene.published.len(), scene.net.now);
        scene.run(Duration::from_secs(25));
        let late = scene.net.clients[scene.viewer].received.iter().filter(|packet| packet.at > begun);
        let late = late.map(|packet| {
            let number = u32::from_be_bytes(packet.payload[NUMBER..NUMBER + 4].try_into().expect("four octets"));
            packet.at - scene.published[number as usize]
        });
        let latest = late.max().expect("packets arrived");
        assert_eq!(scene.outcome().0, 0);
        // The loss shows at the next frame; then two NACKs follow.
        let bound = Duration::from_millis(frame + 2 * 50 + 2 * 60);
        assert!(latest <= bound, "{frame} ms a frame: {latest:?} late after {before}");
    }
}
