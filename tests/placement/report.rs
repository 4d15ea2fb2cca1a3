//! What a run has shown.

use std::fmt;
use std::time::Duration;

use sluice::cluster::placement::{HOPS, LEGS};

use super::model::{PENDING, VIEWERS};

/// The most that was seen of something on one node, and what was refused on all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Peaks {
    pub(crate) legs: usize,
    pub(crate) sessions: usize,
    pub(crate) pending: usize,
    pub(crate) queue: Duration,
    pub(crate) load: f32,
    pub(crate) refused_viewers: usize,
    pub(crate) refused_legs: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    what: &'static str,
    frames: usize,
    p50: Duration,
    p99: Duration,
    longest: Duration,
    depth: usize,
    without: usize,
    peaks: Peaks,
}

impl Row {
    pub(crate) const HEAD: &str = "\
| what happens | viewers that need a frame | p50 | p99 | longest | without one at the end | depth | legs | sessions | \
not connected | join queue | load | requests refused: viewers / legs |\n\
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

    pub(crate) fn new(
        what: &'static str,
        mut samples: Vec<(Duration, usize)>,
        depth: usize,
        without: usize,
        peaks: Peaks,
    ) -> Self {
        samples.sort();
        let frames = samples.iter().map(|(_, viewers)| viewers).sum();
        let quantile = |part: f64| {
            let mut left = (frames as f64 * part).ceil() as usize;
            let place = samples.iter().find(|(_, viewers)| {
                left = left.saturating_sub(*viewers);
                left == 0
            });
            place.map(|(time, _)| *time).unwrap_or_default()
        };
        let (p50, p99, longest) = (quantile(0.5), quantile(0.99), quantile(1.0));
        Self { what, frames, p50, p99, longest, depth, without, peaks }
    }

    /// The worst of each figure.
    pub(crate) fn worst(rows: &[Self]) -> Self {
        let mut worst = rows[0].clone();
        for row in rows {
            worst.frames = worst.frames.max(row.frames);
            worst.p50 = worst.p50.max(row.p50);
            worst.p99 = worst.p99.max(row.p99);
            worst.longest = worst.longest.max(row.longest);
            worst.depth = worst.depth.max(row.depth);
            worst.without = worst.without.max(row.without);
            let (peaks, other) = (&mut worst.peaks, &row.peaks);
            peaks.legs = peaks.legs.max(other.legs);
            peaks.sessions = peaks.sessions.max(other.sessions);
            peaks.pending = peaks.pending.max(other.pending);
            peaks.queue = peaks.queue.max(other.queue);
            peaks.load = peaks.load.max(other.load);
            peaks.refused_viewers = peaks.refused_viewers.max(other.refused_viewers);
            peaks.refused_legs = peaks.refused_legs.max(other.refused_legs);
        }
        worst
    }

    /// What must be true of every run.
    #[track_caller]
    pub(crate) fn check(&self) {
        assert!(self.frames > 0, "nobody needs a frame: {self:?}");
        assert!(self.p99 <= Duration::from_secs(3), "{self:?}");
        assert_eq!(self.without, 0, "{self:?}");
        assert!(self.depth <= usize::from(HOPS) && self.peaks.legs <= LEGS, "{self:?}");
        assert!(self.peaks.sessions <= VIEWERS && self.peaks.pending <= PENDING && self.peaks.load < 1.0, "{self:?}");
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, frames, p50, p99, longest, depth, without, peaks } = self;
        let seconds = |time: &Duration| format!("{:.2} s", time.as_secs_f64());
        let (p50, p99, longest, queue) = (seconds(p50), seconds(p99), seconds(longest), seconds(&peaks.queue));
        let Peaks { legs, sessions, pending, load, refused_viewers, refused_legs, .. } = peaks;
        write!(
            formatter,
            "| {what} | {frames} | {p50} | {p99} | {longest} | {without} | {depth} | {legs} | {sessions} | {pending} | {queue} \
             | {:.0} % | {refused_viewers} / {refused_legs} |",
            load * 100.0
        )
    }
}
