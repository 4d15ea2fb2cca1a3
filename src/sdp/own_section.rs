//! One section of an offer of the relay's own.

use super::extension::Extension;
use super::payload::Payload;
use crate::forward::codec::Kind;

/// A section as the relay offers it.
pub(super) struct OwnSection {
    /// Its `a=mid`.
    pub(super) mid: String,
    pub(super) content: OwnContent,
}

/// What a section of the relay's own offers.
pub(super) enum OwnContent {
    /// Audio or video.
    Media(OwnMedia),
    /// Data channels.
    Application,
}

/// The media that the relay offers to receive or to send.
pub(super) struct OwnMedia {
    pub(super) kind: Kind,
    pub(super) payloads: Vec<Payload>,
    /// With their ids, which are the same in all sections.
    pub(super) extensions: Vec<(u8, Extension)>,
    /// The simulcast encodings to receive; empty where there is one.
    pub(super) rids: Vec<String>,
    /// What it is sent with.
    pub(super) ssrc: u32,
    /// What its retransmissions are sent with.
    pub(super) rtx_ssrc: u32,
}

impl OwnSection {
    /// The first word of its `m=` line.
    pub(super) fn media(&self) -> &'static str {
        match &self.content {
            OwnContent::Media(media) => media.kind.as_str(),
            OwnContent::Application => "application",
        }
    }

    /// Audio or video, unless it is for data channels.
    pub(super) fn as_media(&self) -> Option<&OwnMedia> {
        match &self.content {
            OwnContent::Media(media) => Some(media),
            OwnContent::Application => None,
        }
    }
}

impl OwnMedia {
    /// Whether a payload can be resent as RTX.
    pub(super) fn has_rtx(&self) -> bool {
        self.payloads.iter().any(|payload| payload.rtx_payload_type.is_some())
    }
}
