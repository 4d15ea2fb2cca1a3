//! Which of a section's payload types the answer keeps.

use super::payload::Payload;
use crate::forward::codec::{Codec, CodecProfile, Format, H264Profile};

/// Payload types of one section that a waiting viewer is answered with, which bounds the answer. Chromium and Safari offer
/// some 15 profiles of all their codecs together.
const MAX_WAITING: usize = 24;

/// For a publisher: one payload type of each codec, in its own order. Browsers send the first; Pion offers all that it
/// knows, takes from the answer what its track has, and refuses an answer that has it not.
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

/// Without what says how large a picture a receiver of VP8 and VP9 takes (RFC 7741 6.1, RFC 9628 6.1): the relay takes
/// any, and Firefox would shrink its pictures to its own limits, repeated.
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

/// For a viewer of a stream whose tracks of this kind are known: the payload type that takes each, then one of each other
/// codec, so that a publisher with another one can take the stream over. Empty where no track fits.
pub(crate) fn for_tracks<'a>(offered: &[Payload], tracks: impl Iterator<Item = &'a Format>) -> Vec<Payload> {
    let mut kept: Vec<Payload> = Vec::new();
    for track in tracks {
        let fitting = offered.iter().filter_map(|payload| Some((payload.format.fit(track)?, payload)));
        // The first of the best: `min_by_key` keeps the offer's order among equals.
        let best = fitting.min_by_key(|(fit, _)| *fit).map(|(_, payload)| payload);
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

/// For a viewer who waits for a publisher: one payload type for each codec and profile, so that whatever is published
/// later fits. Of the H.264 profiles Constrained Baseline stands first: every decoder takes it.
pub(crate) fn for_any_track(offered: &[Payload]) -> Vec<Payload> {
    let mut ranked: Vec<&Payload> = offered.iter().collect();
    // The sort is stable: the offer's order decides among equals, and which codec stands first.
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

/// True where a keyframe need not fit into one packet.
fn fragments(format: &Format) -> bool {
    format.codec != Codec::H264 || format.packetization_mode() == 1
}

/// Which decoder a format asks for.
fn decoder(format: &Format) -> (Codec, u8, CodecProfile) {
    (format.codec, format.channels, format.profile())
}
