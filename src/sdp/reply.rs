//! The answer to one section of an offer, before it is written as SDP.

use super::extension::Mapping;
use super::negotiated::Section;
use super::section::OfferedMedia;
use crate::forward::codec::Kind;

/// The answer to one section.
pub(crate) enum Reply<'a> {
    Rejected,
    Media { offered: &'a OfferedMedia, mappings: Vec<Mapping>, agreed: Section },
    Application,
}

impl Reply<'_> {
    /// Audio or video, if the section is accepted.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Self::Media { agreed, .. } => Some(agreed.kind),
            Self::Rejected | Self::Application => None,
        }
    }
}
