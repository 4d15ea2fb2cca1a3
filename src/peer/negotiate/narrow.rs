//! Which of a section's payload types the answer keeps.

use super::payload::Payload;
use crate::forward::codec::{Codec, Format, H264Profile};

/// For a publisher: its first codec, since a publisher may send any payload type that the answer names.
pub(super) fn for_publisher(offered: &[Payload]) -> Vec<Payload> {
    let Some(first) = offered.first() else {
        return Vec::new();
    };
    let same_codec = || offered.iter().filter(|payload| payload.format.codec == first.format.codec);
    // Without fragmentation units a keyframe does not fit its packets.
    let fragmenting = same_codec().find(|payload| fragments(&payload.format));
    vec![fragmenting.unwrap_or(first).clone()]
}

/// For a viewer of a stream whose tracks of this kind are known: the payload type that takes each.
pub(super) fn for_tracks<'a>(offered: &[Payload], tracks: impl Iterator<Item = &'a Format>) -> Vec<Payload> {
    let mut kept: Vec<Payload> = Vec::new();
    for track in tracks {
        let fitting = offered.iter().filter_map(|payload| Some((payload.format.fit(track)?, payload)));
        // The first of the best: `min_by_key` keeps the offer's order among equals.
        let best = fitting.min_by_key(|(fit, _)| *fit).map(|(_, payload)| payload);
        kept.extend(best.filter(|payload| !kept.contains(payload)).cloned());
    }
    kept
}

/// For a viewer who waits for a publisher: one payload type for each codec and H.264 profile, so that whatever is
/// published later fits. Constrained Baseline stands before the other profiles: every decoder takes it.
pub(super) fn for_any_track(offered: &[Payload]) -> Vec<Payload> {
    let mut kept: Vec<Payload> = Vec::new();
    let mut ranked: Vec<&Payload> = offered.iter().collect();
    // The sort is stable: the offer's order decides among equals, and which codec stands first.
    let codec_rank = |codec| offered.iter().position(|payload| payload.format.codec == codec);
    ranked.sort_by_key(|payload| {
        let format = &payload.format;
        let constrained_baseline = decoder(format).1 == Some(H264Profile::ConstrainedBaseline);
        (codec_rank(format.codec), !fragments(format), !constrained_baseline)
    });
    for payload in ranked {
        if !kept.iter().any(|kept| decoder(&kept.format) == decoder(&payload.format)) {
            kept.push(payload.clone());
        }
    }
    kept
}

fn fragments(format: &Format) -> bool {
    format.codec != Codec::H264 || format.packetization_mode() == 1
}

/// Which decoder a format asks for: of an H.264 profile, or of a codec that has one only.
fn decoder(format: &Format) -> (Codec, Option<H264Profile>) {
    (format.codec, (format.codec == Codec::H264).then(|| format.h264_profile()))
}
