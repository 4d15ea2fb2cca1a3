//! One section of an offer (an `m=` line and its attributes), and whether the relay accepts it.

use rtc::sdp::description::common::Attribute;
use rtc::sdp::description::media::MediaDescription;

use super::OfferError;
use super::extension::{self, Mapping};
use super::limits::{self, MAX_RIDS};
use super::payload::{self, Payload};
use super::simulcast::{self, Layer};
use super::sources::DeclaredSources;
use super::transport::TransportLines;
use crate::forward::codec::Kind;
use crate::name::Role;

/// A section as offered.
pub(crate) struct OfferedSection {
    /// Its `a=mid`; if it has none, a name of the relay's own, which the answer does not contain.
    pub(crate) mid: String,
    pub(crate) is_named: bool,
    /// The first word of the `m=` line.
    pub(crate) media: String,
    /// The transport protocol of the `m=` line, echoed in the answer.
    pub(crate) protocol: String,
    /// The first format of the `m=` line: a rejected section must name one.
    pub(crate) format: String,
    pub(crate) transport: TransportLines,
    pub(crate) content: Content,
    /// The names of its codecs, for the log.
    pub(crate) codecs: Vec<String>,
    /// The number of its ICE candidates, none of which is used.
    pub(crate) candidates: usize,
}

/// What a section offers.
pub(crate) enum Content {
    /// Nothing: it is answered with port 0, for this reason.
    Declined(&'static str),
    /// Audio or video.
    Media(OfferedMedia),
    /// Data channels; the largest message that the client accepts, in bytes, 0 for any.
    Application { max_message_size: u64 },
}

/// The media that a section offers to send or to receive.
pub(crate) struct OfferedMedia {
    pub(crate) kind: Kind,
    pub(crate) payloads: Vec<Payload>,
    pub(crate) extensions: Vec<Mapping>,
    /// `a=extmap-allow-mixed` in this section (RFC 8285 6).
    pub(crate) allows_mixed: bool,
    /// `a=rtcp-rsize` (RFC 5506).
    pub(crate) reduced_size: bool,
    /// The SSRCs that the offer declares for it.
    pub(crate) sources: DeclaredSources,
    /// The simulcast encodings that a publisher offers; empty where there is one.
    pub(crate) layers: Vec<Layer>,
}

/// The direction of media, from the offerer's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Option<Self>, OfferError> {
        let mut found = None;
        for attribute in attributes {
            let direction = match attribute.key.as_str() {
                "sendrecv" => Self::SendRecv,
                "sendonly" => Self::SendOnly,
                "recvonly" => Self::RecvOnly,
                "inactive" => Self::Inactive,
                _ => continue,
            };
            if found.replace(direction).is_some_and(|earlier| earlier != direction) {
                return Err(OfferError::malformed("a section of the offer has two directions"));
            }
        }
        Ok(found)
    }
}

impl OfferedSection {
    /// Reads a section; `direction` is that of the session level. One without `a=mid` is named by
    /// [`Offer`](super::Offer), which knows the others (RFC 9429 5.10).
    pub(crate) fn read(role: Role, section: &MediaDescription, direction: Direction) -> Result<Self, OfferError> {
        let name = &section.media_name;
        let mid = section.attribute("mid").map(Option::unwrap_or_default);
        if mid.is_some_and(|mid| !limits::is_token(mid)) {
            return Err(OfferError::malformed("an a=mid of the offer must be one word of 1 to 64 characters"));
        }
        let format = name.formats.first().filter(|format| limits::is_token(format)).cloned();
        let format = format.ok_or_else(|| OfferError::malformed("an m= line must name its formats"))?;
        let protocol = name.protos.join("/");
        if !name.protos.iter().all(|part| limits::is_token(part)) {
            return Err(OfferError::malformed("an m= line must name its transport protocol"));
        }
        let mut codecs = Vec::new();
        let content = read_content(role, section, direction, &protocol, &mut codecs)?;
        Ok(Self {
            mid: mid.unwrap_or_default().to_owned(),
            is_named: mid.is_some(),
            media: name.media.clone(),
            protocol,
            format,
            transport: TransportLines::read(&section.attributes)?,
            content,
            codecs,
            candidates: section.attributes.iter().filter(|attribute| attribute.is_ice_candidate()).count(),
        })
    }

    pub(crate) fn is_declined(&self) -> bool {
        matches!(self.content, Content::Declined(_))
    }
}

fn read_content(
    role: Role,
    section: &MediaDescription,
    direction: Direction,
    protocol: &str,
    codecs: &mut Vec<String>,
) -> Result<Content, OfferError> {
    // RFC 9143 6: port 0 with a=bundle-only is a section that exists only inside the bundle.
    if section.media_name.port.value == 0 && !section.has_attribute("bundle-only") {
        return Ok(Content::Declined("all sections of the offer are disabled: offer audio or video"));
    }
    let kind = match section.media_name.media.as_str() {
        "audio" => Kind::Audio,
        "video" => Kind::Video,
        "application" => return read_application(role, section, protocol),
        _ => return decline(role, "only audio, video and data channels are relayed: offer no other section"),
    };
    // RFC 8829 5.1.2 lists these as equivalent; the transport is ICE and DTLS in each.
    if !matches!(protocol, "UDP/TLS/RTP/SAVPF" | "UDP/TLS/RTP/SAVP" | "TCP/TLS/RTP/SAVPF" | "RTP/SAVPF" | "RTP/SAVP") {
        return decline(role, "media is relayed over DTLS-SRTP: offer UDP/TLS/RTP/SAVPF");
    }
    match (Direction::read(&section.attributes)?.unwrap_or(direction), role) {
        (Direction::Inactive, _) => {
            return Ok(Content::Declined("all sections of the offer are inactive: offer audio or video"));
        }
        (Direction::RecvOnly, Role::Publisher) => {
            return Err(OfferError::unsupported("a publisher sends: offer sendonly, or watch this stream by WHEP"));
        }
        (Direction::SendOnly, Role::Viewer) => {
            return Err(OfferError::unsupported("a viewer receives: offer recvonly, or publish this stream by WHIP"));
        }
        _ => {}
    }
    if !section.has_attribute("rtcp-mux") && !section.has_attribute("rtcp-mux-only") {
        return Err(OfferError::unsupported("RTP and RTCP share one port here: offer a=rtcp-mux in each section"));
    }
    if section.attributes.iter().filter(|attribute| attribute.key == "rid").count() > MAX_RIDS {
        return Err(simulcast::too_many());
    }
    let payloads = payload::read(kind, &section.media_name.formats, &section.attributes)?;
    *codecs = payloads.names;
    if payloads.known.is_empty() {
        return decline(
            role,
            match kind {
                Kind::Audio => "no audio codec of the offer is relayed: offer Opus, PCMU, PCMA or G722",
                Kind::Video => "no video codec of the offer is relayed: offer H264, H265, VP8, VP9 or AV1",
            },
        );
    }
    let sources = DeclaredSources::read(&section.attributes)?;
    let layers = match (role, kind) {
        (Role::Publisher, Kind::Video) => simulcast::read(&section.attributes, &sources)?,
        _ => Vec::new(),
    };
    Ok(Content::Media(OfferedMedia {
        kind,
        payloads: payloads.known,
        extensions: extension::read(role, &section.attributes)?,
        allows_mixed: section.has_attribute("extmap-allow-mixed"),
        reduced_size: section.has_attribute("rtcp-rsize"),
        sources,
        layers,
    }))
}

/// RFC 9725 4.4: WHIP refuses the whole offer rather than one section of it.
fn decline(role: Role, sentence: &'static str) -> Result<Content, OfferError> {
    match role {
        Role::Publisher => Err(OfferError::unsupported(sentence)),
        Role::Viewer => Ok(Content::Declined(sentence)),
    }
}

/// Data channels (RFC 8841). webrtc-rs supports SCTP only between ports 5000, which every known client offers.
fn read_application(role: Role, section: &MediaDescription, protocol: &str) -> Result<Content, OfferError> {
    let is_data_channel = section.media_name.formats == ["webrtc-datachannel"];
    if !matches!(protocol, "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP") || !is_data_channel {
        return decline(role, "data flows over WebRTC data channels: offer UDP/DTLS/SCTP webrtc-datachannel");
    }
    let Some(port) = section.attribute("sctp-port").flatten().and_then(|port| port.parse::<u16>().ok()) else {
        return Err(OfferError::malformed("a section for data channels needs a=sctp-port with a port number"));
    };
    if port != 5000 {
        return decline(role, "data channels use SCTP port 5000 here: offer a=sctp-port:5000");
    }
    // RFC 8841 6.1: 64 KiB if the attribute is absent.
    let max_message_size = match section.attribute("max-message-size") {
        None => Some(65_536),
        Some(size) => size.and_then(|size| size.parse::<u64>().ok()),
    };
    let Some(max_message_size) = max_message_size else {
        return Err(OfferError::malformed("a=max-message-size must be a number of bytes"));
    };
    Ok(Content::Application { max_message_size })
}
