//! One viewer in virtual time, over a path that a test describes by the delay and the loss of each packet.

use super::*;
use crate::bwe::transport_feedback::transport_feedback;
use crate::bwe::{Layer, Leaving, Step};

const MS: Duration = Duration::from_millis(1);

const AUDIO: f64 = 40e3;
const RATES: [f64; 3] = [150e3, 500e3, 1700e3];

fn bits(bits: f64) -> Bitrate {
    Bitrate::from_bits(bits)
}

fn layers(rates: &[f64]) -> Layers {
    let layer = |rate: &f64| Layer { rates: [bits(*rate); 4], is_active: true, ..Layer::default() };
    Layers::new(bits(AUDIO), &rates.iter().map(layer).collect::<Vec<_>>())
}

/// A viewer that is sent what it chooses, one packet every 5 ms, and reports every 100 ms.
struct Bench {
    viewer: Viewer,
    now: Instant,
    began: Instant,
    /// The number of the first packet that was not reported, and the arrivals since.
    base: u16,
    arrivals: Vec<Option<i64>>,
    packets: u32,
}

impl Bench {
    fn new(start: f64) -> Self {
        let now = Instant::now();
        let mut viewer = Viewer::new(bits(start), 1, now);
        viewer.number_packets(now);
        viewer.set_layers(&layers(&RATES), now);
        let mut bench = Self { viewer, now, began: now, base: 0, arrivals: Vec::new(), packets: 0 };
        bench.follow();
        bench
    }

    fn follow(&mut self) {
        let layer = self.layer();
        if self.viewer.sending != layer {
            self.viewer.on_switched(layer, self.now);
        }
    }

    fn layer(&self) -> Option<u8> {
        self.viewer.choice().video.map(|step| step.layer)
    }

    /// Sends for some time; `path` says how much a packet is delayed, or that it is lost.
    fn run(&mut self, how_long: Duration, mut path: impl FnMut(u32) -> Option<Duration>) {
        let until = self.now + how_long;
        while self.now < until {
            self.now += 5 * MS;
            self.packets += 1;
            let rate = self.viewer.sending.map_or(0.0, |layer| RATES[usize::from(layer)]);
            self.send(Sent::Video, (rate * 0.005 / 8.0) as usize, &mut path);
            if self.viewer.poll_timeout().is_some_and(|due| due <= self.now) {
                self.viewer.handle_timeout(self.now);
            }
            if let Some(padding) = self.viewer.poll_padding() {
                for _ in 0..padding.octets / padding.packet {
                    self.send(Sent::Padding, padding.packet, &mut path);
                }
            }
            if self.packets.is_multiple_of(20) {
                self.report();
            }
            self.follow();
        }
    }

    fn send(&mut self, sent: Sent, octets: usize, path: &mut impl FnMut(u32) -> Option<Duration>) {
        let arrival = path(self.packets).map(|delay| (self.now + delay - self.began).as_micros() as i64);
        if self.viewer.transport_number().is_some() {
            self.arrivals.push(arrival);
        }
        self.viewer.on_sent(sent, octets, self.now);
    }

    fn report(&mut self) {
        if self.arrivals.iter().all(Option::is_none) {
            return;
        }
        let packet = transport_feedback(self.base, &self.arrivals);
        self.base = self.base.wrapping_add(self.arrivals.len() as u16);
        self.arrivals.clear();
        self.viewer.on_transport_feedback(&Feedback::parse(&packet).expect("well formed"), self.now);
    }
}

fn calm(_: u32) -> Option<Duration> {
    Some(20 * MS)
}

#[test]
fn a_calm_path_is_probed_up_to_the_best_layer() {
    let mut bench = Bench::new(1e6);
    assert_eq!(bench.layer(), Some(1));
    bench.run(3000 * MS, calm);
    assert_eq!(bench.layer(), Some(2));
    let tally = bench.viewer.take_tally();
    assert_eq!((tally.probes_passed, tally.lowered), (1, 0));
    assert!(tally.padding > 0);
    bench.run(3000 * MS, calm);
    assert_eq!(bench.viewer.take_tally(), Tally::default(), "there is nothing more to find out");
}

#[test]
fn a_layer_whose_rate_has_grown_a_little_during_its_probe_is_begun_when_that_passes() {
    let mut bench = Bench::new(1e6);
    bench.run(900 * MS, calm);
    assert_eq!(bench.layer(), Some(1));
    bench.viewer.set_layers(&layers(&[150e3, 500e3, 1750e3]), bench.now);
    bench.run(700 * MS, calm);
    assert_eq!((bench.layer(), bench.viewer.take_tally().probes_passed), (Some(2), 1));
}

#[test]
fn a_queue_that_grows_lowers_the_estimate_and_the_layer() {
    let mut bench = Bench::new(2e6);
    bench.run(2000 * MS, calm);
    assert_eq!(bench.layer(), Some(2));
    let began = bench.packets;
    bench.run(500 * MS, |packet| Some((20 + 3 * (packet - began)) * MS));
    assert_eq!(bench.layer(), Some(1));
    assert_eq!(bench.viewer.choice().reason, SwitchReason::Queue);
    assert!(bench.viewer.gauges(bench.now).queue > Some(25 * MS));
}

#[test]
fn a_stall_of_some_packets_and_a_loss_of_every_tenth_change_nothing() {
    let mut bench = Bench::new(2e6);
    bench.run(10_000 * MS, |packet| {
        let stall = 12_u32.saturating_sub(packet % 40);
        (packet % 10 != 7).then_some((20 + 5 * stall) * MS)
    });
    assert_eq!((bench.layer(), bench.viewer.take_tally().lowered), (Some(2), 0));
    assert!((0.05..0.15).contains(&bench.viewer.gauges(bench.now).loss));
}

#[test]
fn lost_feedback_is_not_lost_packets() {
    let mut bench = Bench::new(2e6);
    bench.run(2000 * MS, calm);
    // What was to be reported is forgotten by the receiver.
    bench.base = bench.base.wrapping_add(bench.arrivals.len() as u16);
    bench.arrivals.clear();
    bench.run(400 * MS, calm);
    assert_eq!(bench.viewer.gauges(bench.now).loss, 0.0);
}

#[test]
fn a_loss_far_above_the_paths_own_lowers_the_estimate() {
    let mut bench = Bench::new(2e6);
    bench.run(2000 * MS, calm);
    bench.run(3000 * MS, |packet| (packet % 3 != 0).then_some(20 * MS));
    assert_eq!(bench.viewer.choice().reason, SwitchReason::Loss);
    assert!(bench.layer() < Some(2));
}

#[test]
fn without_feedback_the_estimate_halves_every_700_ms() {
    let mut bench = Bench::new(2e6);
    bench.run(2000 * MS, calm);
    let before = bench.viewer.estimate();
    bench.run(750 * MS, |_| None);
    assert_eq!(bench.viewer.estimate(), before * 0.5);
    bench.run(700 * MS, |_| None);
    assert_eq!(bench.viewer.estimate(), before * 0.25);
    assert_eq!(bench.viewer.choice().reason, SwitchReason::Silence);
    assert!(bench.viewer.transport_number().is_some(), "a dark path is not a client without feedback");
}

#[test]
fn numbers_end_after_2_s_without_any_feedback() {
    let mut bench = Bench::new(1e6);
    bench.run(1950 * MS, |_| None);
    assert!(bench.viewer.transport_number().is_some());
    bench.run(100 * MS, |_| None);
    assert_eq!((bench.viewer.transport_number(), bench.viewer.estimate()), (None, bits(1e6)));
}

#[test]
fn another_path_keeps_half_of_the_estimate_and_no_delays() {
    let mut bench = Bench::new(2e6);
    bench.run(2000 * MS, calm);
    let before = bench.viewer.estimate();
    bench.viewer.on_path_change(bench.now);
    assert_eq!(bench.viewer.estimate(), before * 0.5);
    bench.arrivals.clear();
    bench.base = bench.viewer.transport_number().expect("still written");
    bench.run(1000 * MS, |_| Some(300 * MS));
    assert_eq!(bench.viewer.take_tally().lowered, 1, "the longer delay of the new path is no queue");
}

#[test]
fn a_receivers_clock_that_is_set_is_no_queue() {
    let mut bench = Bench::new(2e6);
    bench.run(2000 * MS, calm);
    bench.run(1000 * MS, |_| Some(3_600_000 * MS));
    assert_eq!(bench.viewer.take_tally().lowered, 0);
}

#[test]
fn nothing_is_decided_during_a_replay_and_its_delivered_rate_is_the_first_estimate() {
    let now = Instant::now();
    let mut bench = Bench::new(300e3);
    bench.viewer = Viewer::new(bits(300e3), 1, now);
    bench.viewer.number_packets(now);
    bench.viewer.on_replay();
    bench.viewer.set_layers(&layers(&RATES), now);
    bench.viewer.on_switched(Some(2), now);
    bench.viewer.on_transport_feedback(&Feedback::parse(&transport_feedback(0, &[])).expect("empty"), now);
    assert_eq!(bench.viewer.choice().video, None);
    bench.arrivals.clear();
    for _ in 0..100 {
        bench.now += 5 * MS;
        bench.send(Sent::Video, 1200, &mut |_| Some(20 * MS));
        assert!(bench.viewer.may_send(bench.now), "a replay has a pace of its own");
    }
    bench.report();
    bench.viewer.on_live(bench.now);
    assert_eq!(bench.layer(), Some(2), "what is sent is kept");
    assert!(bench.viewer.estimate() > bits(1.8e6), "{:?}", bench.viewer.estimate());
}

#[test]
fn a_replay_of_a_lower_layer_does_not_raise_an_estimate_by_what_arrived_before_the_path_slowed_down() {
    let mut bench = Bench::new(2e6);
    bench.run(2000 * MS, calm);
    let began = bench.packets;
    bench.run(300 * MS, |packet| Some((20 + 3 * (packet - began)) * MS));
    let lowered = bench.viewer.estimate();
    assert_eq!(bench.layer(), Some(1));
    bench.viewer.on_replay();
    bench.run(500 * MS, calm);
    bench.viewer.on_live(bench.now);
    assert_eq!(bench.viewer.estimate(), lowered);
}

#[test]
fn a_remb_lowers_the_estimate_only_where_it_limits_what_is_sent() {
    let now = Instant::now();
    let mut viewer = Viewer::new(bits(2e6), 1, now);
    viewer.set_layers(&layers(&RATES), now);
    viewer.on_switched(Some(2), now);
    let send = |viewer: &mut Viewer, rate: f64, from: Instant| {
        (0..100u32).for_each(|packet| viewer.on_sent(Sent::Video, (rate / 800.0) as usize, from + packet * 10 * MS));
        from + 1000 * MS
    };
    let now = send(&mut viewer, 500e3, now);
    viewer.on_remb(bits(760e3), now);
    assert_eq!(viewer.estimate(), bits(2e6), "it is capped near 1.5 times what is received");
    let now = send(&mut viewer, 1700e3, now);
    viewer.on_remb(bits(1e6), now);
    assert_eq!((viewer.estimate(), viewer.choice().reason), (bits(1e6), SwitchReason::Remb));
    assert_eq!(viewer.choice().video, Some(Step { layer: 1, temporal: 0 }));
    assert_eq!(viewer.choice().leaving, Leaving::Nothing);
    viewer.on_switched(Some(1), now);
    assert_eq!(viewer.choice().leaving, Leaving::All);
}

#[test]
fn a_remb_that_rises_with_padding_ends_the_climb_at_the_goal() {
    let now = Instant::now();
    let mut viewer = Viewer::new(bits(600e3), 1, now);
    viewer.set_layers(&layers(&RATES), now);
    viewer.on_switched(Some(1), now);
    viewer.on_remb(bits(760e3), now);
    let mut octets = 0;
    for tick in 1..2400u32 {
        let now = now + tick * 5 * MS;
        viewer.on_sent(Sent::Video, 312, now);
        octets += 312;
        if viewer.poll_timeout().is_some_and(|due| due <= now) {
            viewer.handle_timeout(now);
        }
        if let Some(padding) = viewer.poll_padding() {
            viewer.on_sent(Sent::Padding, padding.octets, now);
            octets += padding.octets;
        }
        if tick % 200 == 0 {
            viewer.on_remb(bits(octets as f64 * 8.0 * 1.5 + 10e3), now);
            octets = 0;
        }
    }
    assert_eq!(viewer.choice().video, Some(Step { layer: 2, temporal: 0 }));
    assert_eq!(viewer.take_tally().probes_passed, 1);
}

#[test]
fn without_any_feedback_nacks_lower_the_estimate_and_a_ramp_raises_it() {
    let now = Instant::now();
    let mut viewer = Viewer::new(bits(2e6), 1, now);
    viewer.set_layers(&layers(&RATES), now);
    viewer.on_switched(Some(2), now);
    let run = |viewer: &mut Viewer, ticks: std::ops::Range<u32>, nacked: u32| {
        for tick in ticks {
            let now = now + tick * 5 * MS;
            viewer.on_sent(Sent::Video, 600, now);
            if viewer.poll_timeout().is_some_and(|due| due <= now) {
                viewer.handle_timeout(now);
            }
            if let Some(padding) = viewer.poll_padding() {
                viewer.on_sent(Sent::Padding, padding.octets, now);
            }
            if nacked > 0 && tick % 20 == 0 {
                viewer.on_nack(Nacked { first: nacked, again: 0 }, now);
            }
            if tick % 200 == 0 {
                viewer.on_report(0, now);
            }
        }
    };
    run(&mut viewer, 1..600, 1);
    assert_eq!(viewer.choice().video, Some(Step { layer: 2, temporal: 0 }), "5 % lost");
    run(&mut viewer, 600..1000, 5);
    assert_eq!(
        (viewer.choice().video, viewer.choice().reason),
        (Some(Step { layer: 1, temporal: 0 }), SwitchReason::Loss)
    );
    viewer.on_switched(Some(1), now + 5000 * MS);
    run(&mut viewer, 1000..2400, 0);
    assert_eq!(
        (viewer.choice().video, viewer.choice().reason),
        (Some(Step { layer: 2, temporal: 0 }), SwitchReason::Room)
    );
}

#[test]
fn a_viewer_is_small_and_what_it_numbers_is_too() {
    let (viewer, path) = (size_of::<Viewer>(), size_of::<crate::bwe::path::Path>());
    assert!(viewer <= 2 << 10, "{viewer}");
    assert!(viewer + path <= 16_000, "{viewer} and {path}");
}

#[test]
fn the_timer_is_never_due_at_once_again() {
    let mut bench = Bench::new(600e3);
    let mut timers = 0;
    // A queue that stands and does not grow: nothing is lowered, and no probe may begin.
    for _ in 0..200 {
        bench.run(20 * MS, |packet| Some((if packet < 100 { 20 } else { 42 }) * MS));
        while bench.viewer.poll_timeout().is_some_and(|due| due <= bench.now) {
            bench.viewer.handle_timeout(bench.now);
            timers += 1;
            assert!(timers < 1000, "{:?}", bench.viewer);
        }
    }
}
