//! Reads the header extension of a publisher's packets (RFC 8285), once for each packet, in one-byte or two-byte
//! elements.
//!
//! In a malformed extension the elements before the fault count; the packet is forwarded like any other.

use crate::forward::HeaderExtensions;
use crate::sdp::{Extension, Negotiated};
use crate::srtp::Opened;

/// Ids that one-byte elements can have, and 0.
const IDS: usize = 15;

/// The negotiated extensions by their ids.
#[derive(Clone, Debug)]
pub(crate) struct Ids([Option<Extension>; IDS]);

/// The simulcast encoding that a packet names (RFC 8852).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Named<'a> {
    /// Its own rid.
    pub(crate) rid: Option<&'a [u8]>,
    /// The rid of what it repairs.
    pub(crate) repaired: Option<&'a [u8]>,
}

/// The extension values of one packet.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExtensionValues {
    /// The transport-wide sequence number.
    pub(crate) transport_sequence: Option<u16>,
    /// The values that viewers get.
    pub(crate) extensions: HeaderExtensions,
}

impl Ids {
    /// The ids of all sections, which agree because the sections are bundled.
    pub(crate) fn new(negotiated: &Negotiated) -> Self {
        let mut ids = [None; IDS];
        for (id, extension) in negotiated.sections.iter().flat_map(|section| &section.extensions) {
            if let Some(slot) = ids.get_mut(usize::from(*id)) {
                *slot = Some(*extension);
            }
        }
        Self(ids)
    }

    /// Reads the extension values of a packet.
    #[inline]
    pub(crate) fn read(&self, datagram: &[u8], opened: &Opened) -> ExtensionValues {
        let mut values = ExtensionValues::default();
        let Some(extension) = &opened.extension else { return values };
        for (id, value) in extension.elements(datagram) {
            match self.0.get(usize::from(id)).copied().flatten() {
                Some(Extension::TransportWideCc) => {
                    values.transport_sequence = value.first_chunk().map(|number| u16::from_be_bytes(*number));
                }
                Some(Extension::AudioLevel) => values.extensions.set_audio_level(value),
                Some(Extension::VideoOrientation) => values.extensions.set_orientation(value),
                Some(Extension::AbsCaptureTime) => values.extensions.set_capture_time(value),
                Some(Extension::DependencyDescriptor) => values.extensions.set_dependencies(value),
                _ => {}
            }
        }
        values
    }

    /// Reads which encoding a packet names.
    pub(crate) fn named<'a>(&self, datagram: &'a [u8], opened: &Opened) -> Named<'a> {
        let mut named = Named::default();
        let Some(extension) = &opened.extension else { return named };
        for (id, value) in extension.elements(datagram) {
            match self.0.get(usize::from(id)).copied().flatten() {
                Some(Extension::RtpStreamId) => named.rid = Some(value),
                Some(Extension::RepairedRtpStreamId) => named.repaired = Some(value),
                _ => {}
            }
        }
        named
    }
}
