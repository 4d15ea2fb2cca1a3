//! Tracks as `/api` shows them: a stream's as they come from the publisher, a session's as it sends or gets them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::openapi::texts::{Kind, ParameterSets};
use crate::label::Label;
use crate::session::TrackReport;

/// What a publisher sends. Rates are those of the last second.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StreamTrack {
    #[schema(value_type = Kind, inline)]
    kind: &'static str,
    codec: &'static str,
    /// The codec's profile, if it has several.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    /// The name of the simulcast encoding; absent if the video has one.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rid: Option<String>,
    /// Whether the publisher sends the encoding at present; absent if the video has one.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    /// Of the frames, in pixels; absent until the first keyframe.
    #[schema(nullable = false, minimum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u16>,
    #[schema(nullable = false, minimum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u16>,
    bits_per_second: u64,
    /// The bitrate of the frames up to each temporal id, starting with 0; absent with one temporal layer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    temporal_bits_per_second: Vec<u64>,
    #[schema(minimum = 0)]
    packets_per_second: f64,
    #[schema(nullable = false, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    frames_per_second: Option<f64>,
    /// From one keyframe to the next; absent until the second.
    #[schema(nullable = false, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    keyframe_interval_seconds: Option<f64>,
    #[schema(value_type = ParameterSets, inline, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter_sets: Option<&'static str>,
    /// What is wrong with what the publisher sends, and what to do; absent if nothing is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lint: Vec<&'static str>,
    /// Packets that did not arrive and are not waited for any more.
    lost_packets: u64,
    /// Packets that arrived on request, or as copies in later ones.
    repaired_packets: u64,
    /// How long packets wait here for those that were lost before them: 0 without loss.
    #[schema(minimum = 0)]
    hold_seconds: f64,
    /// RFC 3550 6.4.1.
    #[schema(minimum = 0)]
    jitter_seconds: f64,
}

/// What a session sends or receives. The rate is that of the last second.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionTrack {
    #[schema(value_type = Kind, inline)]
    kind: &'static str,
    codec: &'static str,
    /// The name of the simulcast encoding that it sends or receives; absent if the video has one.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rid: Option<String>,
    /// The name of the encoding that a viewer is to be sent; other than rid while it waits for a keyframe of that.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    target_rid: Option<String>,
    /// How often a viewer was sent another encoding of the same publisher's video; absent if the video has one.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    layer_switches: Option<u64>,
    /// The same by reason, named as in the metric `sluice_layer_switches_total`; absent if there was none.
    #[schema(value_type = BTreeMap<String, u64>, required = false)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    layer_switches_by_reason: BTreeMap<&'static str, u64>,
    /// For how many seconds a viewer was sent the largest encoding, the smallest, one between them, and none (audio
    /// alone), of videos that have several; absent if there was none.
    #[schema(value_type = BTreeMap<String, f64>, required = false)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    layer_seconds: BTreeMap<&'static str, f64>,
    /// Absent until the publisher's first packet.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ssrc: Option<u32>,
    bits_per_second: u64,
    /// Retransmissions included.
    packets: u64,
    /// Packets that did not arrive: here, or at a viewer as it reports.
    lost_packets: u64,
    /// Packets that a retransmission or a copy in a later packet brought here, or that were sent again to a viewer.
    repaired_packets: u64,
    /// RFC 3550 6.4.1; of a viewer once it has reported.
    #[schema(nullable = false, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter_seconds: Option<f64>,
}

impl From<TrackReport> for StreamTrack {
    fn from(track: TrackReport) -> Self {
        Self {
            kind: track.kind,
            codec: track.codec,
            profile: track.profile,
            active: track.rid.as_ref().map(|_| track.is_active),
            rid: track.rid.map(|rid| rid.to_string()),
            width: track.size.map(|(width, _)| width),
            height: track.size.map(|(_, height)| height),
            bits_per_second: track.rates.bits.round() as u64,
            temporal_bits_per_second: track.temporal_bits,
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
        let layers = track.layers.as_deref().copied().unwrap_or_default();
        Self {
            kind: track.kind,
            codec: track.codec,
            layer_switches: track.target.is_some().then(|| layers.switches.iter().sum()),
            layer_switches_by_reason: named(|reason| layers.switches(reason), 0),
            layer_seconds: named(|place| layers.seconds(place), 0.0),
            target_rid: track.target.map(|rid| rid.to_string()),
            rid: track.rid.map(|rid| rid.to_string()),
            ssrc: track.ssrc,
            bits_per_second: track.rates.bits.round() as u64,
            packets: track.packets,
            lost_packets: track.lost_packets,
            repaired_packets: track.repaired_packets,
            jitter_seconds: track.jitter.as_ref().map(Duration::as_secs_f64),
        }
    }
}

/// The values of a set by their names, without those that are `zero`.
fn named<L: Label, T: PartialEq>(value: impl Fn(L) -> T, zero: T) -> BTreeMap<&'static str, T> {
    let all = L::ALL.iter().map(|label| (label.as_str(), value(*label)));
    all.filter(|(_, value)| *value != zero).collect()
}
