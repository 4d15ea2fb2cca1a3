//! What an offer and its answer have agreed on, for the session.

use super::extension::Extension;
use super::payload::Payload;
use super::simulcast::Layer;
use crate::forward::codec::Kind;
use crate::ice::Credentials;

/// What both sides have agreed on. It contains ICE passwords, also in the text of the answer: do not log it.
pub struct Negotiated {
    /// The SDP for the client.
    pub answer: String,
    /// The client's ICE credentials.
    pub remote: Credentials,
    /// SHA-256 of the client's certificate: upper-case hexadecimal octets with colons.
    pub remote_fingerprint: String,
    /// True if the relay sends the ClientHello, because the client waits for one (`a=setup:passive`).
    pub dtls_client: bool,
    /// Data channels, where they were offered.
    pub application: Option<Application>,
    /// The accepted audio and video sections, in the offer's order.
    pub sections: Vec<Section>,
    /// What the client offered, for the session's facts.
    pub offered: Offered,
}

/// The agreed section for data channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// `a=mid` of the section.
    pub(crate) mid: String,
    /// The largest message that the client accepts, in bytes; 0 for any size (RFC 8841 6.1).
    pub(crate) max_message_size: u64,
}

/// One agreed audio or video section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its place among the `m=` lines, from 0.
    pub(crate) place: usize,
    /// `a=mid` of the section; a name of the relay's own if the offer has none.
    pub(crate) mid: String,
    /// Audio or video.
    pub(crate) kind: Kind,
    /// The payload types that a publisher may send, or that a viewer can be sent; never empty.
    pub(crate) payloads: Vec<Payload>,
    /// The relay's SSRC: of the media for a viewer, of RTCP for a publisher. No other section of the session has it.
    pub(crate) ssrc: u32,
    /// For a viewer with a retransmission payload type: the SSRC of retransmissions.
    pub(crate) rtx_ssrc: Option<u32>,
    /// The SSRC that a publisher declares; without one, it is known by `mid` or payload type.
    pub(crate) remote_ssrc: Option<u32>,
    /// The SSRC of retransmissions that a publisher declares.
    pub(crate) remote_rtx_ssrc: Option<u32>,
    /// The simulcast encodings that a publisher may send, in the offer's order; empty where there is one.
    pub(crate) layers: Vec<Layer>,
    /// Header extensions with their ids (1 to 14), the same in all sections.
    pub(crate) extensions: Vec<(u8, Extension)>,
}

impl Section {
    /// The id of a header extension, if it was agreed.
    pub(crate) fn extension_id(&self, extension: Extension) -> Option<u8> {
        self.extensions.iter().find(|(_, agreed)| *agreed == extension).map(|(id, _)| *id)
    }
}

/// What the client offered, for one line in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// The names of the codecs of audio and video in the offer's order, each at most once a section; tokens of ASCII.
    pub codecs: Vec<String>,
    /// The number of its ICE candidates, none of which is used.
    pub candidates: usize,
}
