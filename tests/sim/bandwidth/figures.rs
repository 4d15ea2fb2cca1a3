//! Figures of what some viewers saw, over all seeds.

use super::relay::{LAYERS, Seen};
use super::scene::Setup;
use super::{MILLISECOND, SECOND};

/// Layers that the link carries from each time on, by their place.
pub(crate) type Best = Vec<(i64, i8)>;

/// What the seeds of one setup show.
pub(crate) struct Row {
    name: &'static str,
    length: i64,
    best: Best,
    seen: Vec<Vec<Seen>>,
}

impl Row {
    pub(crate) fn run(name: &'static str, setup: &Setup, best: &[(i64, i8)], seeds: &[u32]) -> Self {
        let seen = seeds.iter().map(|seed| setup.run(*seed)).collect();
        Self { name, length: setup.length, best: best.to_vec(), seen }
    }

    fn viewers(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter().flatten()
    }

    fn best(&self, seen: &Seen, at: i64) -> i8 {
        let known = |(from, _): &&(i64, i8)| seen.moved(*from) <= at;
        self.best.iter().rev().find(known).expect("from the start").1
    }

    fn figure(&self, what: &str, of: impl Fn(&Seen) -> f64) -> Figure {
        let mut values: Vec<f64> = self.viewers().map(of).collect();
        values.sort_by(f64::total_cmp);
        let figure = Figure { name: format!("{}: {what}", self.name), values };
        eprintln!(
            "{:20} {what:30} median {:8.2} most {:8.2} mean {:8.2}",
            self.name,
            figure.median(),
            figure.most(),
            figure.mean()
        );
        figure
    }

    /// From `at` to the first decision for a lower layer (ms).
    pub(crate) fn decided(&self, at: i64) -> Figure {
        self.figure("lower layer decided (ms)", |seen| {
            let at = seen.moved(at);
            let down = seen.decisions.iter().find(|(when, from, to)| *when > at && to < from);
            down.map_or(f64::INFINITY, |(when, ..)| (when - at) as f64 / MILLISECOND as f64)
        })
    }

    /// Packets that the queue dropped within 5 s after `at`.
    pub(crate) fn dropped(&self, at: i64) -> Figure {
        self.figure("packets dropped", |seen| {
            let after = seen.moved(at)..seen.moved(at) + 5 * SECOND;
            seen.drops.iter().filter(|when| after.contains(*when)).count() as f64
        })
    }

    /// From `at` to the best layer (s).
    pub(crate) fn reached(&self, at: i64) -> Figure {
        self.figure("best layer reached (s)", |seen| {
            let (best, at) = (self.best(seen, at), at.max(seen.layers[0].0));
            let held = seen.layers.iter().rev().find(|(when, _)| *when <= at);
            if held.is_some_and(|(_, layer)| *layer >= best) {
                return 0.0;
            }
            let reached = seen.layers.iter().find(|(when, layer)| *when >= at && *layer >= best);
            reached.map_or(f64::INFINITY, |(when, _)| (when - at) as f64 / SECOND as f64)
        })
    }

    /// Decisions for a lower layer although the link carried the higher one, a minute.
    pub(crate) fn wrong(&self) -> Figure {
        self.figure("wrong down-switches a minute", |seen| {
            let wrong =
                seen.decisions.iter().filter(|(when, from, to)| to < from && self.best(seen, *when) >= *from).count();
            wrong as f64 / self.minutes()
        })
    }

    /// Decisions a minute, but the first one.
    pub(crate) fn switches(&self) -> Figure {
        self.figure("switches a minute", |seen| (seen.decisions.len() - 1) as f64 / self.minutes())
    }

    /// What was sent of what the link carried, by the rates of the layers, from 3 s after joining on, in percent.
    pub(crate) fn share_at_best(&self) -> Figure {
        let rate = |layer: i8| usize::try_from(layer).map_or(0.0, |layer| LAYERS[layer]);
        self.figure("at the best layer (%)", |seen| {
            let (mut could, mut had) = (0.0, 0.0);
            for at in (seen.layers[0].0 + 3 * SECOND..self.length).step_by(10_000) {
                let layer = seen.layers.iter().rev().find(|(when, _)| *when <= at).expect("it has a first one").1;
                let best = self.best(seen, at);
                could += rate(best);
                had += if layer <= best { rate(layer) } else { 0.0 };
            }
            had / could * 100.0
        })
    }

    /// The 95th percentile of the queue after 10 s (ms).
    pub(crate) fn queue(&self) -> Figure {
        self.figure("95 % of queues below (ms)", |seen| {
            let late = seen.delays.iter().filter(|(when, _)| *when > 10 * SECOND);
            percentile(late.map(|(_, delay)| *delay as f64 / MILLISECOND as f64).collect(), 0.95)
        })
    }

    /// Packets that the queue dropped.
    pub(crate) fn lost(&self) -> Figure {
        self.figure("packets dropped in all", |seen| seen.drops.len() as f64)
    }

    /// The share of padding, in percent.
    pub(crate) fn padding(&self) -> Figure {
        self.figure("padding (%)", |seen| seen.octets.1 as f64 / seen.octets.0 as f64 * 100.0)
    }

    /// Jain's index of the viewers' mean received rates from a second on, for each seed.
    pub(crate) fn fairness(&self, from: usize) -> Figure {
        let index = |viewers: &Vec<Seen>| {
            let rate = |seen: &Seen| seen.received.iter().skip(from).sum::<u64>() as f64;
            let rates: Vec<f64> = viewers.iter().map(rate).collect();
            let sum: f64 = rates.iter().sum();
            sum * sum / (rates.len() as f64 * rates.iter().map(|rate| rate * rate).sum::<f64>())
        };
        let mut values: Vec<f64> = self.seen.iter().map(index).collect();
        values.sort_by(f64::total_cmp);
        let figure = Figure { name: format!("{}: Jain's index", self.name), values };
        eprintln!(
            "{:20} {:30} median {:8.2} least {:7.2} mean {:8.2}",
            self.name,
            "Jain's index",
            figure.median(),
            figure.least(),
            figure.mean()
        );
        figure
    }

    /// Mean received rate (bit/s).
    pub(crate) fn received(&self) -> Figure {
        self.figure("received (bit/s)", |seen| {
            seen.received.iter().sum::<u64>() as f64 * 8.0 * SECOND as f64 / self.length as f64
        })
    }

    /// Whether something holds for each viewer.
    pub(crate) fn all(&self, holds: impl Fn(&Seen) -> bool) -> bool {
        self.viewers().all(holds)
    }

    /// Packets of a paced run.
    pub(crate) fn packets_a_run(&self) -> Figure {
        self.figure("packets a run", |seen| seen.runs.0 as f64 / seen.runs.1 as f64)
    }

    fn minutes(&self) -> f64 {
        self.length as f64 / (60 * SECOND) as f64
    }
}

/// One number for each viewer, in ascending order.
pub(crate) struct Figure {
    name: String,
    values: Vec<f64>,
}

impl Figure {
    /// The median and the largest are at most these. Few values have no median worth the name: there only the largest
    /// counts.
    #[track_caller]
    pub(crate) fn holds(&self, median: f64, most: f64) {
        let median = if self.is_small() { most } else { median };
        let holds = self.median() <= median && self.most() <= most;
        assert!(holds, "{}: {:?}, must be {median}/{most}", self.name, self.values);
    }

    /// The mean is at most this; twice that for few values.
    #[track_caller]
    pub(crate) fn mean_is_at_most(&self, limit: f64) {
        let limit = if self.is_small() { limit * 2.0 } else { limit };
        assert!(self.mean() <= limit, "{}: {:?}, the mean must be at most {limit}", self.name, self.values);
    }

    /// The mean is at least this; 0.85 of it for few values.
    #[track_caller]
    pub(crate) fn mean_is_at_least(&self, limit: f64) {
        let limit = if self.is_small() { limit * 0.85 } else { limit };
        assert!(self.mean() >= limit, "{}: {:?}, the mean must be at least {limit}", self.name, self.values);
    }

    /// Nine of ten are at least this.
    #[track_caller]
    pub(crate) fn most_are_at_least(&self, limit: f64) {
        let tenth = self.values[self.values.len() / 10];
        assert!(tenth >= limit, "{}: {:?}, nine of ten must be at least {limit}", self.name, self.values);
    }

    /// Nine of ten are at most this.
    #[track_caller]
    pub(crate) fn most_are_at_most(&self, limit: f64) {
        let tenth = self.values[self.values.len() * 9 / 10];
        assert!(tenth <= limit, "{}: {:?}, nine of ten must be at most {limit}", self.name, self.values);
    }

    fn is_small(&self) -> bool {
        self.values.len() < 20
    }

    /// It happened to no viewer.
    #[track_caller]
    pub(crate) fn never(&self) {
        assert_eq!(self.least(), f64::INFINITY, "{}", self.name);
    }

    pub(crate) fn median(&self) -> f64 {
        self.values[self.values.len() / 2]
    }

    pub(crate) fn most(&self) -> f64 {
        self.values[self.values.len() - 1]
    }

    pub(crate) fn least(&self) -> f64 {
        self.values[0]
    }

    pub(crate) fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }
}

fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}
