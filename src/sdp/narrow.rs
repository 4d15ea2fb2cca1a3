//! Which of a section's payload types the answer keeps.

use super::payload::Payload;
use crate::forward::codec::{Codec, CodecProfile, Format, H264Profile};

/// Payload types of one section in the answer to a viewer that waits for a publisher. Chromium and Safari offer about
/// 15 profiles of all their codecs together.
const MAX_WAITING: usize = 24;

/// For a publisher: one payload type of each codec, in its own order. Browsers send the first; Pion offers all its
/// codecs, uses the one of its track, and refuses an answer without it.
pub(crate) fn for_publisher(offered: &[Payload]) -> Vec<Payload> {
    let mut kept: Vec<Payload> = Vec::new();
    for first in offered {
        let codec = first.format.codec;
        if kept.iter().any(|kept| kept.format.codec == codec) {
            continue;
        }
        // Without fragmentation units a keyframe does not fit its packets.
        let mut same_codec = offered.iter().filter(|payload| payload.format.codec == codec);
        kept.push(without_limits(same_codec.find(|payload| fragments(&payload.format)).unwrap_or(first)));
    }
    kept
}

/// Removes the parameters of VP8 and VP9 that limit the frame size of a receiver (RFC 7741 6.1, RFC 9628 6.1): the
/// relay has no limit, and Firefox would scale its video to its own limits if the answer repeated them.
fn without_limits(payload: &Payload) -> Payload {
    let mut payload = payload.clone();
    let Format { codec, parameters, .. } = &mut payload.format;
    if matches!(codec, Codec::Vp8 | Codec::Vp9) {
        let is_limit = |parameter: &&str| matches!(parameter.split('=').next(), Some("max-fs" | "max-fr"));
        let kept: Vec<&str> = parameters.split(';').map(str::trim).filter(|parameter| !is_limit(parameter)).collect();
        *parameters = kept.join(";");
    }
    payload
}

/// For a viewer of a stream with known tracks of this kind: the payload type that fits each, then one of each other
/// codec, so that a publisher with another codec can take the stream over. Empty if no track fits.
pub(crate) fn for_tracks<'a>(offered: &[Payload], tracks: impl Iterator<Item = &'a Format>) -> Vec<Payload> {
    let mut kept: Vec<Payload> = Vec::new();
    for track in tracks {
        let fitting = offered.iter().filter_map(|payload| Some((payload.format.format_match(track)?, payload)));
        // The first of the best: `min_by_key` keeps the offer's order among equals.
        let best = fitting.min_by_key(|(matched, _)| *matched).map(|(_, payload)| payload);
        kept.extend(best.filter(|payload| !kept.contains(payload)).cloned());
    }
    if kept.is_empty() {
        return kept;
    }
    for payload in for_any_track(offered) {
        if !kept.iter().any(|kept| kept.format.codec == payload.format.codec) {
            kept.push(payload);
        }
    }
    kept
}

/// For a viewer that waits for a publisher: one payload type for each codec and profile, so that any publisher fits. Of
/// the H.264 profiles Constrained Baseline is first, because every decoder supports it.
pub(crate) fn for_any_track(offered: &[Payload]) -> Vec<Payload> {
    let mut ranked: Vec<&Payload> = offered.iter().collect();
    // The sort is stable: among equals the offer's order is kept, and the order of codecs too.
    let codec_rank = |codec| offered.iter().position(|payload| payload.format.codec == codec);
    ranked.sort_by_key(|payload| {
        let format = &payload.format;
        let constrained_baseline = format.profile() == CodecProfile::H264(H264Profile::ConstrainedBaseline);
        (codec_rank(format.codec), !fragments(format), !constrained_baseline)
    });
    let mut kept: Vec<Payload> = Vec::new();
    for payload in ranked {
        let same = |kept: &Payload| decoder(&kept.format) == decoder(&payload.format);
        if kept.len() < MAX_WAITING && !kept.iter().any(same) {
            kept.push(payload.clone());
        }
    }
    kept
}

/// Whether a keyframe may take several packets.
fn fragments(format: &Format) -> bool {
    format.codec != Codec::H264 || format.packetization_mode() == 1
}

/// The decoder that a format needs.
fn decoder(format: &Format) -> (Codec, u8, CodecProfile) {
    (format.codec, format.channels, format.profile())
}
