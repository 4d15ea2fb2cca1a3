//! How one section of an offer is answered, before the answer is text.

use super::extension::Mapping;
use super::negotiated::Section;
use super::section::OfferedMedia;
use crate::forward::codec::Kind;

/// A section of the answer before it is text.
pub(crate) enum Reply<'a> {
    Rejected,
    Media { offered: &'a OfferedMedia, mappings: Vec<Mapping>, agreed: Section },
    Application,
}

impl Reply<'_> {
    /// Audio or video, where the section is accepted.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Self::Media { agreed, .. } => Some(agreed.kind),
            Self::Rejected | Self::Application => None,
        }
    }
}
