//! What is wrong with what a publisher sends, so that viewers have less of it than they could: said once in the log, and in
//! `/api` for as long as it is so.

use std::time::{Duration, Instant};

use super::publisher::Publisher;
use super::track::Track;
use crate::forward::SetsSource;
use crate::forward::codec::Kind;

/// A video without a keyframe for so long since it began, or since its last one where it has other ways to begin, is worth
/// a word.
const WITHOUT_KEYFRAME: Duration = Duration::from_secs(10);

/// What is wrong with one track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    SetsAdded,
    SetsMissing,
    HeaderMissing,
    IntraRefresh,
    NoKeyframe,
    KeyframesFarApart,
}

/// What is known of one track's problems.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lint {
    found: Vec<Problem>,
    /// Those that have been said.
    said: Vec<Problem>,
    /// When its first video packet came.
    pub(crate) began: Option<Instant>,
}

impl Problem {
    fn line(self) -> &'static str {
        match self {
            Self::SetsAdded => {
                "the publisher sends keyframes without parameter sets: the relay adds those of the offer or of earlier \
                 keyframes; let the encoder repeat them before each keyframe (x264: repeat-headers=1; FFmpeg: -bsf:v \
                 dump_extra)"
            }
            Self::SetsMissing => {
                "the publisher sends keyframes without parameter sets, and its offer has none (sprop-parameter-sets): \
                 viewers cannot decode the video; let the encoder repeat them before each keyframe (x264: \
                 repeat-headers=1; FFmpeg: -bsf:v dump_extra)"
            }
            Self::HeaderMissing => {
                "the publisher sends key frames without a sequence header: viewers that join begin only at one with it; let \
                 the encoder repeat the sequence header with each key frame"
            }
            Self::IntraRefresh => {
                "the publisher sends recovery points instead of keyframes (intra refresh): viewers that join see nothing; \
                 turn intra refresh off, or let the encoder send an IDR frame every few seconds"
            }
            Self::NoKeyframe => {
                "the publisher has sent no keyframe for 10 s: viewers see nothing until one comes; set a shorter keyframe \
                 interval"
            }
            Self::KeyframesFarApart => {
                "the publisher's last keyframe is older than what is kept for late viewers (--fast-start): viewers that join \
                 see nothing until the next one; set a shorter keyframe interval (FFmpeg: -g), or a longer --fast-start"
            }
        }
    }
}

impl Lint {
    /// What is wrong now.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &'static str> {
        self.found.iter().map(|problem| problem.line())
    }
}

impl Track {
    /// How its newest keyframe came by its parameter sets.
    pub(crate) fn sets_source(&self) -> Option<SetsSource> {
        self.assembler.as_ref()?.sets_source()
    }

    fn problems(&self, now: Instant) -> Vec<Problem> {
        let sets = match self.sets_source() {
            Some(SetsSource::Added) => Some(Problem::SetsAdded),
            Some(SetsSource::Missing) => Some(Problem::SetsMissing),
            Some(SetsSource::InBand) | None => self.keyframes.lacks_header().then_some(Problem::HeaderMissing),
        };
        let is_long = |since: Instant| now.saturating_duration_since(since) >= WITHOUT_KEYFRAME;
        let keyframe = self.intake.newest_keyframe();
        let since = keyframe.or(self.lint.began).filter(|since| is_long(*since));
        let keyframes = match since {
            Some(_) if self.keyframes.refreshes() => Some(Problem::IntraRefresh),
            Some(_) if keyframe.is_none() && sets.is_none() => Some(Problem::NoKeyframe),
            // One that answers keyframe requests, or may, sends one to whoever joins.
            Some(_)
                if keyframe.is_some()
                    && self.keyframe_responsive == Some(false)
                    && self.history.pictures().is_none() =>
            {
                Some(Problem::KeyframesFarApart)
            }
            _ => None,
        };
        sets.into_iter().chain(keyframes).collect()
    }
}

impl Publisher {
    /// Looks for what is wrong with the tracks, and says what is new.
    pub(crate) fn examine(&mut self, now: Instant) {
        for track in self.tracks.iter_mut().filter(|track| track.kind == Kind::Video) {
            track.lint.found = track.problems(now);
            for problem in &track.lint.found {
                if !track.lint.said.contains(problem) {
                    track.lint.said.push(*problem);
                    tracing::warn!(stream = %self.stream, codec = track.format.codec.name(), "{}", problem.line());
                }
            }
        }
    }
}
