use super::*;
use crate::bwe::transport_feedback::transport_feedback;

/// From one packet to the next.
const PACKET: i64 = 5 * MILLISECOND;
/// 2 Mbit/s at one packet every 5 ms.
const OCTETS: usize = 1250;
const SENT: f64 = 2e6;
const AUDIO: f64 = 400e3;

const fn bits(bits: f64) -> Bitrate {
    Bitrate::from_bits(bits)
}

/// An estimator whose viewer is sent 2 Mbit/s of video and is told of its arrivals every 100 ms.
struct Bench {
    estimator: Estimator,
    now: i64,
    number: u16,
    arrivals: Vec<Option<i64>>,
    /// Feedback reaches the relay.
    answers: bool,
}

impl Bench {
    /// The path is taken to carry 4 Mbit/s.
    fn new() -> Self {
        let mut estimator = Estimator::new(bits(4e6), 1, 0);
        estimator.set_unnumbered(bits(AUDIO));
        Self { estimator, now: 0, number: 0, arrivals: Vec::new(), answers: true }
    }

    fn numbered() -> Self {
        let mut bench = Self::new();
        bench.estimator.number_packets(0);
        bench.run(3 * SECOND, |_| Some(20));
        bench
    }

    /// Sends for this time; `path` gives the delay (ms) of a packet by its time since the start (ms), or says that
    /// it is lost. Returns when the estimate was lowered (ms), and why.
    fn run(&mut self, how_long: i64, path: impl Fn(i64) -> Option<i64>) -> Vec<(i64, Cause)> {
        let (began, mut lowered) = (self.now, Vec::new());
        while self.now < began + how_long {
            self.now += PACKET;
            let age = (self.now - began) / MILLISECOND;
            let believed = self.estimator.estimate();
            if self.estimator.next_number().is_some() {
                self.arrivals.push(path(age).map(|delay| self.now + delay * MILLISECOND));
            }
            self.estimator.on_sent(OCTETS, false, believed, self.now);
            if self.estimator.poll_timeout().is_some_and(|due| due <= self.now) {
                lowered.extend(self.estimator.on_timer(self.now).map(|lowered| (age, lowered.cause)));
            }
            if self.now % (100 * MILLISECOND) == 0 {
                lowered.extend(self.report().map(|lowered| (age, lowered.cause)));
            }
        }
        lowered
    }

    fn report(&mut self) -> Option<Lowered> {
        let arrivals = std::mem::take(&mut self.arrivals);
        let first = self.number;
        self.number = first.wrapping_add(arrivals.len() as u16);
        if !self.answers || arrivals.iter().all(Option::is_none) {
            return None;
        }
        let packet = transport_feedback(first, &arrivals);
        self.estimator.on_feedback(&Feedback::parse(&packet).expect("well formed"), self.now);
        self.estimator.judge(bits(SENT + AUDIO), 1.0, self.now)
    }
}

/// A queue that a path of 1 Mbit/s builds up: half a millisecond longer each millisecond.
fn overloaded(age: i64) -> Option<i64> {
    Some(20 + age.min(1000) / 2)
}

#[test]
fn a_standing_queue_lowers_the_estimate_to_what_arrives_and_the_audio() {
    let mut bench = Bench::numbered();
    let lowered = bench.run(600 * MILLISECOND, overloaded);
    assert!(matches!(lowered[..], [(_, Cause::Queue)]), "{lowered:?}");
    // Packets that are sent 5 ms apart arrive 7.5 ms apart.
    let arrives = SENT / 1.5 * 0.97 + AUDIO;
    assert!((bench.estimator.estimate().bits() / arrives - 1.0).abs() < 0.1, "{:?}", bench.estimator.estimate());
}

#[test]
fn a_queue_is_no_overuse_while_as_much_arrives_as_is_sent() {
    let mut bench = Bench::numbered();
    bench.estimator.set_unnumbered(bits(SENT));
    assert_eq!(bench.run(600 * MILLISECOND, overloaded), [], "what arrives, audio included, is all that is sent");
}

#[test]
fn what_arrives_without_a_queue_raises_the_estimate_and_time_does_not() {
    let mut bench = Bench::new();
    bench.estimator = Estimator::new(bits(500e3), 1, 0);
    bench.estimator.set_unnumbered(bits(AUDIO));
    bench.estimator.number_packets(0);
    bench.run(4 * SECOND, |_| Some(20));
    let raised = bench.estimator.estimate();
    assert!((raised.bits() / (SENT + AUDIO) - 1.0).abs() < 0.05, "{raised:?}");
    bench.run(20 * SECOND, |_| Some(20));
    assert!(bench.estimator.estimate() <= raised * 1.02, "{:?}", bench.estimator.estimate());
}

#[test]
fn a_first_feedback_that_never_comes_ends_the_numbers_and_lowers_nothing() {
    let mut bench = Bench::new();
    bench.answers = false;
    bench.estimator.number_packets(0);
    assert_eq!(bench.run(UNANSWERED - PACKET, |_| Some(20)), []);
    assert!(bench.estimator.next_number().is_some());
    assert_eq!(bench.run(2 * PACKET, |_| Some(20)), []);
    assert_eq!((bench.estimator.next_number(), bench.estimator.poll_timeout()), (None, None));
    assert_eq!(bench.estimator.estimate(), bits(4e6));
}

#[test]
fn packets_that_are_not_sent_are_not_waited_for() {
    let mut estimator = Estimator::new(bits(4e6), 1, 0);
    estimator.number_packets(0);
    (0..9).for_each(|packet| estimator.on_sent(OCTETS, false, bits(4e6), packet));
    assert_eq!(estimator.poll_timeout(), Some(UNANSWERED));
    assert_eq!(estimator.on_timer(UNANSWERED), None);
    assert_eq!(estimator.next_number(), Some(9), "nine packets say nothing about the client");
    assert_eq!(estimator.poll_timeout(), Some(2 * UNANSWERED));
    estimator.on_sent(OCTETS, false, bits(4e6), UNANSWERED);
    estimator.on_timer(2 * UNANSWERED);
    assert_eq!(estimator.next_number(), None, "ten do");
}

#[test]
fn numbers_go_on_when_they_are_asked_for_again() {
    let mut bench = Bench::numbered();
    let next = bench.estimator.next_number();
    bench.estimator.number_packets(bench.now);
    assert_eq!(bench.estimator.next_number(), next);
}

#[test]
fn each_700_ms_without_an_answer_halve_the_estimate_and_an_answer_ends_it() {
    let mut bench = Bench::numbered();
    let before = bench.estimator.estimate();
    bench.answers = false;
    let lowered = bench.run(1500 * MILLISECOND, |_| Some(20));
    assert_eq!(lowered, [(705, Cause::Silence), (1405, Cause::Silence)]);
    assert_eq!(bench.estimator.estimate(), before * 0.25);
    bench.answers = true;
    assert_eq!(bench.run(3 * SECOND, |_| Some(20)), []);
}

#[test]
fn silence_while_nothing_is_sent_lowers_nothing() {
    let mut bench = Bench::numbered();
    assert_eq!(bench.estimator.unanswered, None, "everything is answered");
    assert_eq!(bench.estimator.poll_timeout(), None);
    assert_eq!(bench.estimator.on_timer(bench.now + 60 * SECOND), None);
}

#[test]
fn nothing_lowers_the_estimate_below_an_audio_stream() {
    let mut bench = Bench::numbered();
    for _ in 0..20 {
        bench.estimator.on_path_change(bench.now);
    }
    assert_eq!(bench.estimator.estimate(), LEAST);
}

#[test]
fn another_path_has_no_remb_no_arrivals_and_half_of_the_estimate() {
    let mut bench = Bench::numbered();
    bench.estimator.on_remb(bits(3e6), bench.now);
    let before = bench.estimator.estimate();
    let lowered = bench.estimator.on_path_change(bench.now);
    assert_eq!(lowered, Lowered { cause: Cause::Path, estimate: before * 0.5 });
    assert_eq!((bench.estimator.remb(), bench.estimator.received(20)), (None, bits(AUDIO)));
    assert_eq!(bench.run(SECOND, |_| Some(500)), [], "its longer delay is no queue");
}

#[test]
fn feedback_counts_before_a_remb_and_a_remb_before_losses() {
    let mut bench = Bench::numbered();
    let now = bench.now;
    assert_eq!(bench.estimator.signal(now), Signal::Transport);
    assert_eq!(bench.estimator.on_remb(bits(100e3), now), None, "feedback comes");
    assert_eq!(bench.estimator.on_nack(Nacked { first: 300, again: 300 }, now), None);
    bench.estimator.on_sent(OCTETS, false, bits(4e6), now);
    let stale = now + FRESH;
    bench.estimator.on_remb(bits(5e6), stale);
    assert_eq!(bench.estimator.signal(stale), Signal::Remb, "no answer for 3 s");
    assert_eq!(bench.estimator.signal(stale + FRESH), Signal::Loss);
}

#[test]
fn a_remb_raises_the_estimate_and_lowers_it_only_where_it_limits() {
    let mut bench = Bench::new();
    bench.run(SECOND, |_| None);
    assert_eq!(bench.estimator.on_remb(bits(5e6), bench.now), None);
    assert_eq!(bench.estimator.estimate(), bits(5e6));
    assert_eq!(bench.estimator.on_remb(bits(SENT * 1.5), bench.now), None, "1.5 times what is sent is its cap");
    assert_eq!(bench.estimator.estimate(), bits(5e6));
    let lowered = bench.estimator.on_remb(bits(SENT), bench.now);
    assert_eq!(lowered, Some(Lowered { cause: Cause::Remb, estimate: bits(SENT) }));
}

#[test]
fn loss_far_above_the_paths_own_lowers_the_estimate_every_1500_ms() {
    let mut bench = Bench::new();
    bench.run(2 * SECOND, |_| None);
    // 200 packets a second.
    assert_eq!(bench.estimator.on_nack(Nacked { first: 18, again: 0 }, bench.now), None, "10 %");
    let lowered = bench.estimator.on_nack(Nacked { first: 18, again: 0 }, bench.now).expect("20 %");
    assert_eq!(lowered.cause, Cause::Loss);
    assert!((lowered.estimate.bits() / (SENT * 0.8 * 0.9) - 1.0).abs() < 0.15, "{lowered:?}");
    bench.run(PATIENCE - 2 * PACKET, |_| None);
    assert_eq!(bench.estimator.on_nack(Nacked { first: 60, again: 0 }, bench.now), None, "too soon");
    bench.run(2 * PACKET, |_| None);
    assert!(bench.estimator.on_nack(Nacked::default(), bench.now).is_some());
}

#[test]
fn packets_that_are_asked_for_again_and_again_are_overuse_without_much_loss() {
    let mut bench = Bench::new();
    bench.run(2 * SECOND, |_| None);
    assert_eq!(bench.estimator.on_nack(Nacked { first: 2, again: 3 }, bench.now), None);
    assert!(bench.estimator.on_nack(Nacked { first: 0, again: 8 }, bench.now).is_some());
}

#[test]
fn a_path_that_always_loses_as_much_is_not_lowered_for_it() {
    let reports = |loss: u8, seconds: usize| {
        let mut bench = Bench::new();
        let mut lowered = 0;
        bench.run(SECOND, |_| None);
        // Rises slowly enough to be learnt.
        for second in 0..seconds {
            bench.run(SECOND, |_| None);
            let fraction = (usize::from(loss) * (second + 1) / seconds) as u8;
            lowered += usize::from(bench.estimator.on_report(fraction, bench.now).is_some());
        }
        lowered
    };
    assert_eq!(reports(38, 120), 0, "15 % after two minutes");
    assert_eq!(reports(38, 1), 1, "15 % at once");
}

#[test]
fn a_replay_shows_what_the_path_carries() {
    let replayed = |path: fn(i64) -> Option<i64>, start: f64| {
        let mut bench = Bench::new();
        bench.estimator = Estimator::new(bits(start), 1, 0);
        bench.estimator.number_packets(0);
        bench.run(50 * MILLISECOND, |_| Some(20));
        let run = bench.now;
        while bench.now < run + 500 * MILLISECOND {
            bench.now += PACKET;
            let age = (bench.now - run) / MILLISECOND;
            bench.arrivals.push(path(age).map(|delay| bench.now + delay * MILLISECOND));
            // A fast path explains no queue.
            bench.estimator.on_sent(OCTETS, false, bits(100e6), bench.now);
        }
        let packet = transport_feedback(bench.number, &bench.arrivals);
        bench.estimator.on_feedback(&Feedback::parse(&packet).expect("well formed"), bench.now);
        bench.estimator.on_replayed(true, bench.now);
        bench.estimator.estimate().bits()
    };
    assert!((replayed(|_| Some(20), 500e3) / SENT - 1.0).abs() < 0.1, "more than the start");
    assert_eq!(replayed(|_| Some(20), 3e6), 3e6, "not less without a queue");
    let queued = replayed(|age| Some(20 + age / 2), 3e6);
    assert!((1.1e6..1.7e6).contains(&queued), "less where a queue stands behind it: {queued}");
}

#[test]
fn a_probe_waits_for_fresh_feedback_and_an_empty_queue() {
    let mut bench = Bench::numbered();
    assert!(bench.estimator.is_calm(bench.now));
    bench.run(100 * MILLISECOND, |_| Some(45));
    assert!(!bench.estimator.is_calm(bench.now), "a queue of 25 ms");
    assert!(bench.estimator.is_calm(bench.now + SECOND + PACKET), "it has drained since the last packet");
    bench.run(500 * MILLISECOND, |_| Some(20));
    assert!(bench.estimator.is_calm(bench.now));
    bench.answers = false;
    bench.run(ANSWERED + 2 * PACKET, |_| Some(20));
    assert!(!bench.estimator.is_calm(bench.now), "feedback is missing");
}

#[test]
fn the_loss_is_that_of_the_signal_that_counts() {
    let mut bench = Bench::numbered();
    bench.run(SECOND, |age| (age % 20 != 0).then_some(20));
    assert!((0.2..0.3).contains(&bench.estimator.loss(bench.now)), "by feedback: a fourth");
    let mut bench = Bench::new();
    bench.run(SECOND, |_| None);
    bench.estimator.on_report(64, bench.now);
    assert_eq!(bench.estimator.loss(bench.now), 0.25);
}
