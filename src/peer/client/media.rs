//! What a client offers, and what it finds in the answer.

use rand::random;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::RTCPeerConnection;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_AV1, MIME_TYPE_G722, MIME_TYPE_H264, MIME_TYPE_HEVC, MIME_TYPE_OPUS, MIME_TYPE_PCMA, MIME_TYPE_PCMU,
    MIME_TYPE_RTX, MIME_TYPE_VP8, MIME_TYPE_VP9, MediaEngine,
};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::shared::error::Error;

use super::config::Config;
use crate::forward::codec::{Codec, Kind};
use crate::name::Role;
use crate::sdp::Extension;

/// Surround audio as Chromium names it; webrtc-rs has no constant for it.
const MIME_TYPE_MULTIOPUS: &str = "audio/multiopus";

/// The header extensions that webrtc-rs's own clients offer.
pub const EXTENSIONS: &[Extension] = &[Extension::Mid, Extension::TransportWideCc];

/// One media section of the answer, from the client's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// The section's `a=mid`.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// The first codec that the answer accepts; `None` for one that this client never offers.
    pub codec: Option<Codec>,
    /// Its payload type.
    pub payload_type: u8,
    /// Every payload type that the answer accepts, with its codec, without those of retransmissions.
    pub accepted: Vec<(u8, Codec)>,
    /// The SSRC of the media: the client's own for a publisher, the relay's for a viewer.
    pub ssrc: Option<u32>,
    /// The SSRC of its retransmissions (RFC 4588), where there is one.
    pub rtx_ssrc: Option<u32>,
    /// The header extensions that the answer accepts, with their ids.
    pub extensions: Vec<(u8, Extension)>,
}

/// The codecs, with retransmission and feedback for video.
pub(super) fn engine(codecs: &[Codec], extensions: &[Extension]) -> Result<MediaEngine, Error> {
    let mut engine = MediaEngine::default();
    for codec in codecs {
        let parameters = parameters(*codec);
        let payload_type = parameters.payload_type;
        match kind(*codec) {
            RtpCodecKind::Video => {
                engine.register_codec(parameters, RtpCodecKind::Video)?;
                engine.register_codec(retransmission(payload_type), RtpCodecKind::Video)?;
            }
            other => engine.register_codec(parameters, other)?,
        }
    }
    for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
        for extension in extensions {
            let capability = RTCRtpHeaderExtensionCapability { uri: extension.uri().to_owned() };
            engine.register_header_extension(capability, kind, None)?;
        }
    }
    Ok(engine)
}

/// Adds one section for each kind, and one for data channels.
pub(super) fn add_sections(connection: &mut RTCPeerConnection, config: &Config<'_>) -> Result<(), Error> {
    for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
        let Some(codec) = config.codecs.iter().find(|codec| self::kind(**codec) == kind) else { continue };
        match config.role {
            Role::Publisher => {
                let coding = RTCRtpCodingParameters { ssrc: Some(random()), ..Default::default() };
                let encoding = RTCRtpEncodingParameters {
                    rtp_coding_parameters: coding,
                    codec: parameters(*codec).rtp_codec,
                    active: true,
                    ..Default::default()
                };
                let name = format!("{}-{:08x}", Kind::as_str(codec.kind()), random::<u32>());
                let track = MediaStreamTrack::new("sluice".to_owned(), name.clone(), name, kind, vec![encoding]);
                let direction = RTCRtpTransceiverDirection::Sendonly;
                connection.add_transceiver_from_track(track, Some(init(direction)))?;
            }
            Role::Viewer => {
                connection.add_transceiver_from_kind(kind, Some(init(RTCRtpTransceiverDirection::Recvonly)))?;
            }
        }
    }
    if config.application {
        connection.create_data_channel("sluice", None)?;
    }
    Ok(())
}

fn init(direction: RTCRtpTransceiverDirection) -> RTCRtpTransceiverInit {
    RTCRtpTransceiverInit { direction, streams: Vec::new(), send_encodings: Vec::new() }
}

/// The accepted media sections, in the answer's order.
pub(super) fn tracks(role: Role, offer: &str, answer: &str) -> Vec<Track> {
    let offered: Vec<Section<'_>> = sections(offer);
    sections(answer)
        .into_iter()
        .filter(|section| section.port != "0")
        .filter_map(|section| {
            let kind = match section.media {
                "audio" => Kind::Audio,
                "video" => Kind::Video,
                _ => return None,
            };
            let source = match role {
                Role::Viewer => &section,
                Role::Publisher => offered.iter().find(|offered| offered.mid == section.mid)?,
            };
            Some(Track {
                mid: section.mid.to_owned(),
                kind,
                codec: section.codec_of(section.payload_types.first()?),
                payload_type: *section.payload_types.first()?,
                accepted: section.accepted(),
                ssrc: source.ssrc,
                rtx_ssrc: source.rtx_ssrc,
                extensions: section.extensions.clone(),
            })
        })
        .collect()
}

/// What a client reads from an `m=` section.
#[derive(Default)]
struct Section<'a> {
    media: &'a str,
    port: &'a str,
    mid: &'a str,
    /// As the `m=` line has them, best first.
    payload_types: Vec<u8>,
    /// Name, clock and channels of payload types.
    encodings: Vec<(u8, &'a str)>,
    ssrc: Option<u32>,
    rtx_ssrc: Option<u32>,
    extensions: Vec<(u8, Extension)>,
}

impl Section<'_> {
    fn accepted(&self) -> Vec<(u8, Codec)> {
        self.payload_types.iter().filter_map(|number| Some((*number, self.codec_of(number)?))).collect()
    }

    fn codec_of(&self, payload_type: &u8) -> Option<Codec> {
        let (_, encoding) = self.encodings.iter().find(|(number, _)| number == payload_type)?;
        let (name, _) = encoding.split_once('/')?;
        Codec::named(name)
    }
}

fn sections(sdp: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for line in sdp.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split(' ');
            let (media, port) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let payload_types = words.skip(1).filter_map(|number| number.parse().ok()).collect();
            sections.push(Section { media, port, payload_types, ..Section::default() });
        }
        let (Some(section), Some(attribute)) = (sections.last_mut(), line.strip_prefix("a=")) else { continue };
        if let Some(mid) = attribute.strip_prefix("mid:") {
            section.mid = mid;
        } else if let Some((payload_type, encoding)) =
            attribute.strip_prefix("rtpmap:").and_then(|map| map.split_once(' '))
        {
            section.encodings.extend(payload_type.parse().ok().map(|number| (number, encoding)));
        } else if let Some((id, uri)) = attribute.strip_prefix("extmap:").and_then(|map| map.split_once(' ')) {
            section.extensions.extend(id.parse().ok().zip(Extension::named(uri)));
        } else if let Some(group) = attribute.strip_prefix("ssrc-group:FID ") {
            let mut members = group.split(' ').map(|ssrc| ssrc.parse().ok());
            section.ssrc = members.next().flatten();
            section.rtx_ssrc = members.next().flatten();
        } else if let Some((ssrc, _)) = attribute.strip_prefix("ssrc:").and_then(|source| source.split_once(' ')) {
            section.ssrc = section.ssrc.or_else(|| ssrc.parse().ok());
        }
    }
    sections
}

fn kind(codec: Codec) -> RtpCodecKind {
    match codec.kind() {
        Kind::Audio => RtpCodecKind::Audio,
        Kind::Video => RtpCodecKind::Video,
    }
}

/// How a codec is offered: name, clock, channels, parameters and payload type as in Chromium.
fn parameters(codec: Codec) -> RTCRtpCodecParameters {
    let (mime_type, clock_rate, channels, parameters, payload_type) = match codec {
        Codec::H264 => {
            let parameters = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
            (MIME_TYPE_H264, 90_000, 0, parameters, 102)
        }
        Codec::H265 => (MIME_TYPE_HEVC, 90_000, 0, "level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST", 116),
        Codec::Vp8 => (MIME_TYPE_VP8, 90_000, 0, "", 96),
        Codec::Vp9 => (MIME_TYPE_VP9, 90_000, 0, "profile-id=0", 98),
        Codec::Av1 => (MIME_TYPE_AV1, 90_000, 0, "level-idx=5;profile=0;tier=0", 45),
        Codec::Opus => (MIME_TYPE_OPUS, 48_000, 2, "minptime=10;useinbandfec=1", 111),
        Codec::Multiopus => {
            let parameters = "channel_mapping=0,4,1,2,3,5;coupled_streams=2;minptime=10;num_streams=4;useinbandfec=1";
            (MIME_TYPE_MULTIOPUS, 48_000, 6, parameters, 112)
        }
        Codec::Pcmu => (MIME_TYPE_PCMU, 8_000, 1, "", 0),
        Codec::Pcma => (MIME_TYPE_PCMA, 8_000, 1, "", 8),
        Codec::G722 => (MIME_TYPE_G722, 8_000, 1, "", 9),
    };
    let feedback: &[(&str, &str)] = match codec.kind() {
        Kind::Audio => &[("transport-cc", "")],
        Kind::Video => &[("transport-cc", ""), ("goog-remb", ""), ("ccm", "fir"), ("nack", ""), ("nack", "pli")],
    };
    let rtcp_feedback = feedback
        .iter()
        .map(|(typ, parameter)| RTCPFeedback { typ: (*typ).to_owned(), parameter: (*parameter).to_owned() })
        .collect();
    let rtp_codec = RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate,
        channels,
        sdp_fmtp_line: parameters.to_owned(),
        rtcp_feedback,
    };
    RTCRtpCodecParameters { rtp_codec, payload_type }
}

/// The retransmission format (RFC 4588) of a payload type: the next number.
fn retransmission(payload_type: u8) -> RTCRtpCodecParameters {
    let rtp_codec = RTCRtpCodec {
        mime_type: MIME_TYPE_RTX.to_owned(),
        clock_rate: 90_000,
        sdp_fmtp_line: format!("apt={payload_type}"),
        ..Default::default()
    };
    RTCRtpCodecParameters { rtp_codec, payload_type: payload_type + 1 }
}
