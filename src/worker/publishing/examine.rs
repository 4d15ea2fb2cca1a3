//! Finds problems in a publisher's media. Each problem is logged once, and `/api` lists it while it lasts.

use std::time::{Duration, Instant};

use super::lint::TrackProblem;
use super::publisher::Publisher;
use super::track::Track;
use crate::forward::SetsSource;
use crate::forward::codec::Kind;

/// Video without a keyframe for this long, since it began or since its last keyframe, is a problem.
const WITHOUT_KEYFRAME: Duration = Duration::from_secs(10);

impl Track {
    /// Where the parameter sets of its newest keyframe came from.
    pub(crate) fn sets_source(&self) -> Option<SetsSource> {
        self.assembler.as_ref()?.sets_source()
    }

    fn problems(&self, now: Instant) -> Vec<TrackProblem> {
        let sets = match self.sets_source() {
            Some(SetsSource::Added) => Some(TrackProblem::SetsAdded),
            Some(SetsSource::Missing) => Some(TrackProblem::SetsMissing),
            Some(SetsSource::InBand) | None => self.keyframes.lacks_header().then_some(TrackProblem::HeaderMissing),
        };
        let is_long = |since: Instant| now.saturating_duration_since(since) >= WITHOUT_KEYFRAME;
        let keyframe = self.meter.newest_keyframe();
        let since = keyframe.or(self.lint.began).filter(|since| is_long(*since));
        let keyframes = match since {
            Some(_) if self.keyframes.refreshes() => Some(TrackProblem::IntraRefresh),
            Some(_) if keyframe.is_none() && sets.is_none() => Some(TrackProblem::NoKeyframe),
            // A publisher that answers keyframe requests, or may answer, sends one to each viewer that joins.
            Some(_)
                if keyframe.is_some()
                    && self.keyframe_responsive == Some(false)
                    && self.history.cached_frames().is_none() =>
            {
                Some(TrackProblem::KeyframesFarApart)
            }
            _ => None,
        };
        sets.into_iter().chain(keyframes).collect()
    }
}

impl Publisher {
    /// Finds the problems of the tracks, and logs those that are new.
    pub(crate) fn examine(&mut self, now: Instant) {
        for track in self.tracks.iter_mut().filter(|track| track.kind == Kind::Video) {
            track.lint.found = if track.is_active() { track.problems(now) } else { Vec::new() };
            for problem in &track.lint.found {
                if !track.lint.logged.contains(problem) {
                    track.lint.logged.push(*problem);
                    tracing::warn!(stream = %self.stream, codec = track.format.codec.name(), "{}", problem.line());
                }
            }
        }
    }
}
