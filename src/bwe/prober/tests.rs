use super::*;
use crate::bwe::feedback::Feedback;
use crate::bwe::overuse::Cause;
use crate::bwe::transport_feedback::transport_feedback;

/// From one packet to the next.
const PACKET: i64 = 5 * MILLISECOND;
/// What is sent, and what the next layer needs.
const CURRENT: Bitrate = Bitrate::from_bits(1e6);
const GOAL: Bitrate = Bitrate::from_bits(2e6);
const AMPLE: Bitrate = Bitrate::from_bits(20e6);

/// Whether a probe for the goal has shown at least that.
fn has_passed(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Passed { goal, shown } if goal == GOAL && shown >= GOAL)
}

/// How the viewer reports.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Transport,
    Remb,
    Nacks,
}

/// A viewer that is sent 1 Mbit/s over one link, and probes for 2 Mbit/s.
struct Bench {
    estimator: Estimator,
    prober: Prober,
    by: By,
    now: i64,
    /// What the link carries, the delay that it adds (us), and of how many packets it loses one; 0 for none.
    link: Bitrate,
    more: i64,
    loses: u32,
    /// Until when the link is busy.
    busy: i64,
    packets: u32,
    number: u16,
    arrivals: Vec<Option<i64>>,
    /// Since the last REMB or NACK: octets that arrived, and packets that did not.
    arrived: usize,
    lost: u32,
    /// What the viewer's best layer costs, as a multiple of the goal.
    best: f64,
    /// All padding.
    padding: usize,
    /// When a ramp or a climb began (ms).
    ramps: Vec<i64>,
}

impl Bench {
    fn new(by: By, link: Bitrate) -> Self {
        let mut estimator = Estimator::new(CURRENT * 1.1, 1, 0);
        if by == By::Transport {
            estimator.number_packets(0);
        }
        let mut bench = Self {
            estimator,
            prober: Prober::new(0),
            by,
            now: 0,
            link,
            more: 0,
            loses: 0,
            busy: 0,
            packets: 0,
            number: 0,
            arrivals: Vec::new(),
            arrived: 0,
            lost: 0,
            best: 1.0,
            padding: 0,
            ramps: Vec::new(),
        };
        // The first probe does not begin before the path is known.
        bench.prober.next = 3 * SECOND;
        assert_eq!(bench.run(3 * SECOND - PACKET), []);
        bench
    }

    /// Sends, reports and probes for some time. Returns how probes ended and when (ms from the start of the run).
    fn run(&mut self, how_long: i64) -> Vec<(i64, Outcome)> {
        let (began, mut outcomes) = (self.now, Vec::new());
        while self.now < began + how_long {
            self.now += PACKET;
            self.send(CURRENT.octets_in(PACKET) as usize, false);
            let mut outcome = None;
            if self.prober.poll_timeout() <= self.now {
                outcome = self.prober.on_timer(CURRENT, &mut self.estimator, self.now);
            }
            if let Some(padding) = self.prober.padding() {
                for _ in 0..padding.octets / padding.packet {
                    self.send(padding.packet, true);
                    self.prober.on_padding(padding.packet);
                }
            }
            if self.now % (50 * MILLISECOND) == 0 {
                outcome = self.report().or(outcome);
            }
            if let Some(Outcome::Passed { goal, .. }) = outcome {
                self.estimator.raise(goal);
            }
            outcomes.extend(outcome.map(|outcome| ((self.now - began) / MILLISECOND, outcome)));
            let was_ramping = self.is_ramping();
            if outcome.is_none() {
                self.prober.begin(GOAL, 1.0 / self.best, &mut self.estimator, self.now);
            }
            if self.is_ramping() && !was_ramping {
                self.ramps.push((self.now - began) / MILLISECOND);
            }
        }
        outcomes
    }

    fn is_ramping(&self) -> bool {
        matches!(self.prober.state, State::Ramp { .. } | State::Climb { .. })
    }

    fn send(&mut self, octets: usize, is_padding: bool) {
        self.packets += 1;
        self.padding += if is_padding { octets } else { 0 };
        let believed = self.prober.assumed().unwrap_or(CURRENT * 1.3);
        self.busy = self.busy.max(self.now) + self.link.time_for(octets as f64) as i64;
        let is_lost = self.packets.checked_rem(self.loses) == Some(0);
        let numbered = self.estimator.next_number().is_some();
        self.estimator.on_sent(octets, is_padding, believed, self.now);
        if numbered {
            self.arrivals.push((!is_lost).then_some(self.busy + 20 * MILLISECOND + self.more));
        }
        self.lost += u32::from(is_lost);
        // What has arrived until now, over a longer time.
        self.arrived += if self.busy <= self.now + 300 * MILLISECOND { octets } else { 0 };
    }

    fn report(&mut self) -> Option<Outcome> {
        match self.by {
            By::Transport => {
                let has_arrived = |arrival: &&Option<i64>| arrival.is_none_or(|arrival| arrival <= self.now);
                let count = self.arrivals.iter().take_while(has_arrived).count();
                let arrivals: Vec<_> = self.arrivals.drain(..count).collect();
                if arrivals.iter().any(Option::is_some) {
                    let packet = transport_feedback(self.number, &arrivals);
                    self.estimator.on_feedback(&Feedback::parse(&packet).expect("well formed"), self.now);
                }
                self.number = self.number.wrapping_add(count as u16);
            }
            By::Remb => {
                if self.now % SECOND == 0 {
                    let rate = Bitrate::of(std::mem::take(&mut self.arrived) as f64, SECOND);
                    self.estimator.on_remb((rate * 1.5).min(self.link), self.now);
                }
            }
            By::Nacks => {
                let first = std::mem::take(&mut self.lost);
                // What the link cannot queue.
                let late = if self.busy > self.now + 300 * MILLISECOND { 20 } else { 0 };
                _ = self.estimator.on_nack(crate::bwe::Nacked { first: first + late, again: 0 }, self.now);
            }
        }
        self.prober.on_feedback(&mut self.estimator, self.now)
    }

    /// Until the first probe has ended.
    fn first(&mut self) -> (i64, Outcome) {
        let outcomes = self.run(6 * SECOND);
        *outcomes.first().expect("a probe ends")
    }
}

#[test]
fn a_path_with_room_is_shown_by_a_train_and_a_ramp_within_a_second() {
    let mut bench = Bench::new(By::Transport, AMPLE);
    let (at, outcome) = bench.first();
    assert!(has_passed(outcome), "{outcome:?}");
    assert!((700..1100).contains(&at), "{at}");
    // 20 ms at 2.9 Mbit/s, then 1 Mbit/s for most of 0.7 s.
    assert!((70_000..110_000).contains(&bench.padding), "{}", bench.padding);
}

#[test]
fn nothing_begins_without_a_goal_above_the_estimate_or_before_its_time() {
    let mut bench = Bench::new(By::Transport, AMPLE);
    let now = bench.now;
    bench.prober.next = now + 1;
    assert!(!bench.prober.begin(GOAL, 1.0, &mut bench.estimator, now), "too soon");
    bench.prober.next = now;
    assert!(!bench.prober.begin(CURRENT, 1.0, &mut bench.estimator, now), "the path is known to carry it");
    assert!(bench.prober.begin(GOAL, 1.0, &mut bench.estimator, now));
    assert!(!bench.prober.begin(GOAL, 1.0, &mut bench.estimator, now), "one runs");
    bench.prober.cancel();
    assert!(bench.prober.is_idle() && bench.prober.padding().is_none());
}

#[test]
fn a_probe_waits_until_no_queue_stands() {
    let mut bench = Bench::new(By::Transport, AMPLE);
    bench.more = 30 * MILLISECOND;
    bench.prober.next += 200 * MILLISECOND;
    assert_eq!(bench.run(2 * SECOND), []);
    assert_eq!(bench.padding, 0);
    bench.more = 0;
    assert!(has_passed(bench.first().1));
}

#[test]
fn a_train_that_arrives_too_slowly_fails_and_fills_no_queue() {
    let mut bench = Bench::new(By::Transport, GOAL * 0.85);
    let outcomes = bench.run(10 * SECOND);
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == Outcome::TrainFailed), "{outcomes:?}");
    let apart: Vec<_> = outcomes.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!((300..500).contains(&apart[0]), "the first one is faster than none: {apart:?}");
    assert!(apart[1..].iter().all(|apart| (1700..1950).contains(apart)), "{apart:?}");
}

#[test]
fn the_first_train_is_longer_than_those_that_repeat_it() {
    let mut bench = Bench::new(By::Transport, GOAL * 0.85);
    let mut sizes = Vec::new();
    while sizes.len() < 3 {
        let before = bench.padding;
        while bench.run(PACKET).is_empty() {}
        sizes.push(bench.padding - before);
    }
    // 20 ms, then 15 ms at 2.9 Mbit/s.
    assert!((6500..7500).contains(&sizes[0]) && sizes[1..].iter().all(|size| (4800..5600).contains(size)), "{sizes:?}");
}

#[test]
fn trains_are_repeated_more_seldom_while_no_ramp_may_begin() {
    let mut bench = Bench::new(By::Transport, GOAL * 1.15);
    bench.prober.next_ramp = bench.now + 60 * SECOND;
    bench.prober.failed_rate = GOAL;
    let outcomes = bench.run(30 * SECOND);
    let apart: Vec<_> = outcomes.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(apart.iter().max().is_some_and(|longest| (4000..4300).contains(longest)), "{apart:?}");
}

#[test]
fn a_ramp_rises_slowly() {
    let mut bench = busy_link();
    let before = bench.padding;
    bench.run(50 * MILLISECOND);
    // 7 kB at the rate of its end.
    assert!(bench.padding <= before + 3500, "{}", bench.padding - before);
}

#[test]
fn a_train_that_is_much_faster_than_the_one_before_is_repeated_at_once() {
    let mut bench = Bench::new(By::Transport, GOAL * 0.6);
    assert_eq!(bench.first().1, Outcome::TrainFailed);
    bench.link = GOAL * 0.85;
    bench.run(2 * SECOND);
    let failed = bench.prober.failed_trains;
    assert!(failed >= 2);
    bench.link = GOAL * 0.6;
    bench.run(3 * SECOND);
    // The path has become faster, though not fast enough.
    bench.prober.last_train = GOAL * 0.5;
    bench.link = GOAL * 0.85;
    let outcomes = bench.run(3 * SECOND);
    assert!(outcomes[1].0 - outcomes[0].0 < 600, "{outcomes:?}");
}

#[test]
fn a_train_that_is_never_reported_ends_after_its_deadline() {
    let mut bench = Bench::new(By::Transport, AMPLE);
    bench.run(PACKET);
    assert!(matches!(bench.prober.state, State::Train { .. }), "{:?}", bench.prober);
    bench.by = By::Nacks;
    let outcomes = bench.run(SECOND);
    let [(at, Outcome::TrainFailed)] = outcomes[..] else { panic!("{outcomes:?}") };
    assert!((800..900).contains(&at), "{at}");
}

/// A link with room for a train and not for a ramp: another sender takes a part of it.
fn busy_link() -> Bench {
    let mut bench = Bench::new(By::Transport, AMPLE);
    bench.run(100 * MILLISECOND);
    let began = bench.now;
    while !bench.prober.is_ramping() {
        bench.run(PACKET);
        assert!(bench.now < began + SECOND);
    }
    bench
}

#[test]
fn a_ramp_ends_when_its_queue_grows_and_the_next_one_waits_longer_each_time() {
    let mut bench = busy_link();
    bench.link = GOAL * 0.75;
    let outcomes = bench.run(SECOND);
    assert!(matches!(outcomes[..], [(100..=600, Outcome::RampFailed), ..]), "{outcomes:?}");
    bench.busy = bench.now;
    let mut waits = Vec::new();
    for _ in 0..3 {
        // Trains pass, and are not much better than before.
        bench.link = GOAL * 1.15;
        let began = bench.now;
        while !bench.prober.is_ramping() {
            bench.run(PACKET);
        }
        waits.push((bench.now - began) / SECOND);
        bench.link = GOAL * 0.75;
        while bench.prober.is_ramping() {
            bench.run(PACKET);
        }
        bench.busy = bench.now;
    }
    assert!(waits[0] < waits[1] && waits[1] < waits[2], "{waits:?}");
}

#[test]
fn a_ramp_ends_when_more_is_lost_than_before() {
    let mut bench = busy_link();
    bench.loses = 4;
    let outcomes = bench.run(600 * MILLISECOND);
    assert!(matches!(outcomes[..], [(_, Outcome::RampFailed), ..]), "{outcomes:?}");
    let mut bench = Bench::new(By::Transport, AMPLE);
    bench.loses = 10;
    bench.run(2 * SECOND);
    bench.run(8 * SECOND);
    assert!(bench.prober.passed.is_some(), "a path that always loses a tenth is probed as others");
}

#[test]
fn a_ramp_of_which_too_little_arrives_fails_after_the_longest_wait_for_reports() {
    let mut bench = busy_link();
    // Nothing is reported any more.
    bench.by = By::Remb;
    let outcomes = bench.run(2 * SECOND);
    let [(at, Outcome::RampFailed), ..] = outcomes[..] else { panic!("{outcomes:?}") };
    assert!((900..1100).contains(&at), "{at}");
}

#[test]
fn a_viewer_that_is_sent_little_of_its_best_layer_bears_a_longer_queue_and_sends_more() {
    let ends = |best: f64| {
        let mut bench = Bench::new(By::Transport, AMPLE);
        bench.best = best;
        while !bench.prober.is_ramping() {
            bench.run(PACKET);
        }
        bench.run(300 * MILLISECOND);
        bench.more = 40 * MILLISECOND;
        let before = bench.prober.assumed().expect("it ramps");
        (bench.run(200 * MILLISECOND).iter().any(|(_, outcome)| *outcome == Outcome::RampFailed), before)
    };
    let ((fails, rate), (small_fails, small_rate)) = (ends(1.0), ends(4.0));
    assert!(fails && !small_fails);
    assert_eq!(rate, GOAL * RAMP_RATE);
    assert_eq!(small_rate, GOAL * (RAMP_RATE + 0.75 * FORCE_OF_SMALL));
}

#[test]
fn two_trains_much_better_than_before_end_the_wait_after_a_failed_ramp() {
    let mut bench = busy_link();
    bench.link = GOAL * 0.75;
    bench.run(SECOND);
    bench.busy = bench.now;
    bench.prober.failed_ramps = 6;
    bench.prober.next_ramp = bench.now + LONGEST_RAMP_WAIT;
    bench.prober.failed_rate = GOAL * 0.75;
    bench.prober.was_better = false;
    bench.link = AMPLE;
    let outcomes = bench.run(12 * SECOND);
    assert_eq!(outcomes.first().map(|(_, outcome)| *outcome), Some(Outcome::TrainFailed), "one is not enough");
    assert!(outcomes.iter().any(|(at, outcome)| *at < 12_000 && has_passed(*outcome)), "{outcomes:?}");
}

#[test]
fn an_estimate_that_falls_soon_after_a_probe_counts_as_a_failed_ramp() {
    let mut bench = Bench::new(By::Transport, AMPLE);
    assert!(has_passed(bench.first().1));
    bench.prober.on_lowered(&bench.estimator, bench.now);
    assert_eq!(bench.prober.failed_ramps, 1);
    assert!(bench.prober.next_ramp >= bench.now + RAMP_WAIT);
    bench.prober.on_lowered(&bench.estimator, bench.now);
    assert_eq!(bench.prober.failed_ramps, 1, "once");
    bench.prober.passed = Some(bench.now - PROOF);
    bench.prober.on_lowered(&bench.estimator, bench.now);
    assert_eq!(bench.prober.failed_ramps, 1, "not after 10 s");
    bench.prober.passed = Some(bench.now - LONG_PROOF - 1);
    bench.prober.on_feedback(&mut bench.estimator, bench.now);
    assert_eq!(bench.prober.failed_ramps, 0, "a rate that was kept for 20 s was right");
}

#[test]
fn a_decrease_ends_a_probe_and_the_next_one_waits() {
    let mut bench = busy_link();
    bench.prober.on_lowered(&bench.estimator, bench.now);
    assert!(bench.prober.is_idle());
    let began = bench.now;
    while bench.prober.is_idle() {
        bench.run(PACKET);
    }
    assert!(bench.now - began >= AFTER_DECREASE, "{}", bench.now - began);
}

#[test]
fn another_path_forgets_failures_and_a_foreign_queue_ends_the_wait() {
    let mut bench = Bench::new(By::Transport, AMPLE);
    bench.prober.ramp_failed(&bench.estimator, bench.now);
    assert!(bench.prober.next > bench.now && bench.prober.failed_ramps == 1);
    bench.prober.hurry(bench.now);
    assert_eq!(bench.prober.next, bench.now);
    bench.prober.on_path_change(bench.now);
    assert_eq!((bench.prober.failed_ramps, bench.prober.next_ramp), (0, bench.now));
    assert_eq!(bench.prober.next, bench.now + AFTER_DECREASE);
}

#[test]
fn by_remb_it_climbs_to_the_goal_in_steps_and_gives_up_after_12_s() {
    let mut bench = Bench::new(By::Remb, AMPLE);
    let (at, outcome) = bench.first();
    assert!(has_passed(outcome), "{outcome:?}");
    assert!((1000..4000).contains(&at), "{at}");
    // For a second up to 1.5 times what is received.
    assert!((40_000..90_000).contains(&bench.padding), "{}", bench.padding);
    let mut bench = Bench::new(By::Remb, GOAL * 0.8);
    let outcomes = bench.run(14 * SECOND);
    let [(at, Outcome::RampFailed)] = outcomes[..] else { panic!("{outcomes:?}") };
    assert!((12_000..12_100).contains(&at), "{at}");
}

#[test]
fn a_climb_ends_when_more_is_lost_than_before() {
    let mut bench = Bench::new(By::Remb, AMPLE);
    bench.run(500 * MILLISECOND);
    assert!(bench.is_ramping());
    _ = bench.estimator.on_nack(crate::bwe::Nacked { first: 60, again: 0 }, bench.now);
    let outcomes = bench.run(100 * MILLISECOND);
    assert!(matches!(outcomes[..], [(_, Outcome::RampFailed)]), "{outcomes:?}");
}

#[test]
fn without_reports_a_longer_ramp_is_judged_by_loss() {
    let mut bench = Bench::new(By::Nacks, AMPLE);
    let (at, outcome) = bench.first();
    assert!(has_passed(outcome), "{outcome:?}");
    assert!((1700..2000).contains(&at), "{at}");
    let mut bench = Bench::new(By::Nacks, GOAL * 0.8);
    assert_eq!(bench.first().1, Outcome::RampFailed);
    let mut bench = Bench::new(By::Nacks, AMPLE);
    bench.run(200 * MILLISECOND);
    bench.loses = 2;
    let (at, outcome) = bench.first();
    assert!(outcome == Outcome::RampFailed && at < 500, "{at}");
}

#[test]
fn without_trains_a_failed_ramp_is_repeated_after_3_s_and_each_further_one_after_twice_as_long() {
    for by in [By::Nacks, By::Remb] {
        let mut bench = Bench::new(by, GOAL * 0.8);
        let outcomes = bench.run(120 * SECOND);
        assert!(outcomes.iter().all(|(_, outcome)| *outcome == Outcome::RampFailed), "{outcomes:?}");
        let ends = outcomes.iter().map(|(at, _)| *at);
        let waits: Vec<i64> = ends.zip(&bench.ramps[1..]).map(|(end, next)| next - end).collect();
        for (wait, least) in waits.iter().zip([3_000, 6_000, 12_000, 24_000, 40_000]) {
            assert!((least..least + 300).contains(wait), "{waits:?}");
        }
        assert!(waits.len() >= 3, "{waits:?}");
    }
}

#[test]
fn a_timer_is_due_for_padding_and_while_idle_when_a_probe_may_begin() {
    let mut bench = Bench::new(By::Transport, AMPLE);
    bench.prober.next = bench.now + SECOND;
    assert_eq!(bench.prober.poll_timeout(), bench.now + SECOND);
    let mut bench = busy_link();
    bench.run(PACKET);
    assert!(bench.prober.poll_timeout() <= bench.now + TICK);
    bench.prober.on_lowered(&bench.estimator, bench.now);
    assert!(bench.prober.poll_timeout() >= bench.now + AFTER_DECREASE);
    let lowered = bench.estimator.on_path_change(bench.now);
    assert_eq!(lowered.cause, Cause::Path);
}
