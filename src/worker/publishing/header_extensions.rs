//! What the header extension of a publisher's packet says (RFC 8285), read once a packet, in one-byte or two-byte
//! elements.
//!
//! A block that makes no sense says nothing, from where it stops making sense on; the packet is as good as any other.

use crate::forward::HeaderExtensions;
use crate::sdp::{Extension, Negotiated};
use crate::srtp::Opened;

/// Ids that one-byte elements can have, and 0.
const IDS: usize = 15;

/// What a publisher may say, by the ids that its sections agree on.
#[derive(Clone, Debug)]
pub(crate) struct Ids([Option<Extension>; IDS]);

/// What one packet says.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExtensionValues {
    /// The number that counts all packets of the transport.
    pub(crate) transport_sequence: Option<u16>,
    /// What viewers are sent.
    pub(crate) extensions: HeaderExtensions,
}

impl Ids {
    /// The ids in all sections: bundled ones share them.
    pub(crate) fn new(negotiated: &Negotiated) -> Self {
        let mut ids = [None; IDS];
        for (id, extension) in negotiated.sections.iter().flat_map(|section| &section.extensions) {
            if let Some(slot) = ids.get_mut(usize::from(*id)) {
                *slot = Some(*extension);
            }
        }
        Self(ids)
    }

    /// Reads what a packet says.
    #[inline]
    pub(crate) fn read(&self, datagram: &[u8], opened: &Opened) -> ExtensionValues {
        let mut said = ExtensionValues::default();
        let Some(extension) = &opened.extension else { return said };
        for (id, value) in extension.elements(datagram) {
            match self.0.get(usize::from(id)).copied().flatten() {
                Some(Extension::TransportWideCc) => {
                    said.transport_sequence = value.first_chunk().map(|number| u16::from_be_bytes(*number));
                }
                Some(Extension::AudioLevel) => said.extensions.set_audio_level(value),
                Some(Extension::VideoOrientation) => said.extensions.set_orientation(value),
                Some(Extension::AbsCaptureTime) => said.extensions.set_capture_time(value),
                Some(Extension::DependencyDescriptor) => said.extensions.set_dependencies(value),
                _ => {}
            }
        }
        said
    }
}
