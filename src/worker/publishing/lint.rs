//! The problems of a published track that cost its viewers something: their texts, and which of them a track has.

use std::time::Instant;

/// What is wrong with one track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrackProblem {
    SetsAdded,
    SetsMissing,
    HeaderMissing,
    IntraRefresh,
    NoKeyframe,
    KeyframesFarApart,
}

/// The problems of one track.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lint {
    /// The current problems.
    pub(super) found: Vec<TrackProblem>,
    /// The problems that have been logged.
    pub(super) logged: Vec<TrackProblem>,
    /// When its first packet arrived.
    pub(crate) began: Option<Instant>,
}

impl TrackProblem {
    pub(super) fn line(self) -> &'static str {
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
    /// The texts of the current problems.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &'static str> {
        self.found.iter().map(|problem| problem.line())
    }
}
