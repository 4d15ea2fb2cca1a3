//! Tracks as `/api` shows them: a stream's as they come from the publisher, a session's as it sends or gets them.

use std::time::Duration;

use serde::Serialize;

use crate::session::TrackReport;

/// What a publisher sends.
#[derive(Debug, Serialize)]
pub(super) struct StreamTrack {
    kind: &'static str,
    codec: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u16>,
    bits_per_second: f64,
    packets_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyframe_interval_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter_sets: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lint: Vec<&'static str>,
    lost_packets: u64,
    repaired_packets: u64,
    hold_seconds: f64,
    jitter_seconds: f64,
}

/// What one session sends or gets.
#[derive(Debug, Serialize)]
pub(super) struct SessionTrack {
    kind: &'static str,
    codec: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ssrc: Option<u32>,
    bits_per_second: f64,
    packets: u64,
    lost_packets: u64,
    repaired_packets: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter_seconds: Option<f64>,
}

impl From<TrackReport> for StreamTrack {
    fn from(track: TrackReport) -> Self {
        Self {
            kind: track.kind,
            codec: track.codec,
            profile: track.profile,
            width: track.size.map(|(width, _)| width),
            height: track.size.map(|(_, height)| height),
            bits_per_second: track.rates.bits,
            packets_per_second: track.rates.packets,
            frames_per_second: (track.kind == "video").then_some(track.rates.frames),
            keyframe_interval_seconds: track.keyframe_interval.map(|interval| interval.as_secs_f64()),
            parameter_sets: track.sets,
            lint: track.lint,
            lost_packets: track.lost_packets,
            repaired_packets: track.repaired_packets,
            hold_seconds: track.hold.as_secs_f64(),
            jitter_seconds: track.jitter.unwrap_or_default().as_secs_f64(),
        }
    }
}

impl From<TrackReport> for SessionTrack {
    fn from(track: TrackReport) -> Self {
        Self {
            kind: track.kind,
            codec: track.codec,
            ssrc: track.ssrc,
            bits_per_second: track.rates.bits,
            packets: track.packets,
            lost_packets: track.lost_packets,
            repaired_packets: track.repaired_packets,
            jitter_seconds: track.jitter.as_ref().map(Duration::as_secs_f64),
        }
    }
}
