//! The RTP header extensions that the relay supports, and which of an offer it accepts (RFC 8285).

use rtc::sdp::description::common::Attribute;

use super::OfferError;
use crate::name::Role;

/// A header extension that an answer of the relay may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extension {
    /// The `a=mid` of the section a packet belongs to (RFC 9143 15).
    Mid,
    /// When the sender's hardware captured the frame.
    AbsCaptureTime,
    /// The minimum and maximum playout delay of a frame.
    PlayoutDelay,
    /// The rotation of the video (3GPP TS 26.114).
    VideoOrientation,
    /// The frame of a packet and the frames that it depends on (AV1 RTP specification, appendix A); with any codec.
    DependencyDescriptor,
    /// The audio level of a packet (RFC 6464).
    AudioLevel,
    /// When the packet left the sender, in 6.18 fixed-point seconds.
    AbsSendTime,
    /// A number over all packets of a transport, for send-side bandwidth estimation.
    TransportWideCc,
    /// The rid of the simulcast encoding that a packet belongs to (RFC 8852 3.1).
    RtpStreamId,
    /// The same of a retransmission (RFC 8852 3.2).
    RepairedRtpStreamId,
}

const ALL: [Extension; 10] = [
    Extension::Mid,
    Extension::AbsCaptureTime,
    Extension::PlayoutDelay,
    Extension::VideoOrientation,
    Extension::DependencyDescriptor,
    Extension::AudioLevel,
    Extension::AbsSendTime,
    Extension::TransportWideCc,
    Extension::RtpStreamId,
    Extension::RepairedRtpStreamId,
];

impl Extension {
    /// The URI in `a=extmap`.
    pub(crate) fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::TransportWideCc => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            Self::RtpStreamId => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRtpStreamId => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        }
    }

    /// The extension with this URI, if the relay knows it.
    pub(crate) fn named(uri: &str) -> Option<Self> {
        ALL.into_iter().find(|extension| extension.uri() == uri)
    }

    /// Whether each sending of a packet has another value, so that a resend needs RTX.
    pub(crate) fn changes_with_each_sending(self) -> bool {
        matches!(self, Self::AbsSendTime | Self::TransportWideCc)
    }

    fn is_taken_from(self, role: Role) -> bool {
        match role {
            Role::Publisher => !matches!(self, Self::AbsSendTime | Self::PlayoutDelay),
            Role::Viewer => !matches!(self, Self::RtpStreamId | Self::RepairedRtpStreamId),
        }
    }
}

/// One accepted `a=extmap` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) id: u8,
    pub(crate) extension: Extension,
    /// Firefox writes a direction behind the id; the answer then names the opposite one (RFC 8285 7).
    pub(crate) directional: bool,
}

/// The extensions of a section that the relay accepts from a client in this role.
pub(crate) fn read(role: Role, attributes: &[Attribute]) -> Result<Vec<Mapping>, OfferError> {
    let mut taken: Vec<Mapping> = Vec::new();
    // One-byte elements have the ids 1 to 14; an id names one extension in a section (RFC 8285 4.2, 5).
    let mut uri_by_id = [None; 15];
    let lines = attributes.iter().filter(|attribute| attribute.key == "extmap");
    for value in lines.filter_map(|attribute| attribute.value.as_deref()) {
        let mut words = value.split_ascii_whitespace();
        let (Some(number), Some(uri)) = (words.next(), words.next()) else {
            return Err(OfferError::malformed("an a=extmap line needs an id and a URI"));
        };
        let (id, direction) = number.split_once('/').map_or((number, None), |(id, way)| (id, Some(way)));
        let Ok(id) = id.parse::<u16>() else {
            return Err(OfferError::malformed("the id of an a=extmap line must be a number"));
        };
        let flows = match direction {
            None | Some("sendrecv") => true,
            Some("sendonly") => role == Role::Publisher,
            Some("recvonly") => role == Role::Viewer,
            Some("inactive") => false,
            Some(_) => return Err(OfferError::malformed("an a=extmap line has an unknown direction")),
        };
        let Some(slot) = uri_by_id.get_mut(usize::from(id)).filter(|_| id != 0) else {
            continue;
        };
        if slot.replace(uri).is_some_and(|earlier| earlier != uri) {
            return Err(OfferError::malformed("two a=extmap lines of a section give one id to different extensions"));
        }
        let Some(extension) = Extension::named(uri) else { continue };
        let known = taken.iter().any(|mapping| mapping.extension == extension);
        if flows && !known && extension.is_taken_from(role) {
            let directional = matches!(direction, Some("sendonly" | "recvonly"));
            // The id is in `uri_by_id`, so it is at most 14.
            taken.push(Mapping { id: id as u8, extension, directional });
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(values: &[&str]) -> Vec<Attribute> {
        values.iter().map(|value| Attribute::new("extmap".to_owned(), Some((*value).to_owned()))).collect()
    }

    #[test]
    fn send_time_extensions_are_not_accepted_from_publishers() {
        let time = "4 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
        let offer = lines(&[time, "3 urn:ietf:params:rtp-hdrext:sdes:mid"]);
        let taken = read(Role::Publisher, &offer).unwrap();
        assert_eq!(taken, [Mapping { id: 3, extension: Extension::Mid, directional: false }]);
        assert_eq!(read(Role::Viewer, &offer).unwrap().len(), 2);
    }

    #[test]
    fn a_directional_extension_is_accepted_only_in_the_direction_of_media() {
        let offer = lines(&["3/sendonly urn:ietf:params:rtp-hdrext:sdes:mid"]);
        assert_eq!(read(Role::Publisher, &offer).unwrap().len(), 1);
        assert!(read(Role::Viewer, &offer).unwrap().is_empty());
        let offer = lines(&["1/recvonly urn:ietf:params:rtp-hdrext:ssrc-audio-level"]);
        assert!(read(Role::Viewer, &offer).unwrap()[0].directional);
    }

    #[test]
    fn an_id_that_does_not_fit_one_byte_elements_is_left_out() {
        for id in ["0", "15", "255", "4096"] {
            let offer = lines(&[&format!("{id} urn:ietf:params:rtp-hdrext:sdes:mid")]);
            assert!(read(Role::Publisher, &offer).unwrap().is_empty(), "{id}");
        }
    }

    #[test]
    fn contradictions_are_malformed() {
        for offer in [
            &["3"][..],
            &["x urn:a"],
            &["3/up urn:a"],
            &["-1 urn:a"],
            &["3 urn:a", "3 urn:ietf:params:rtp-hdrext:sdes:mid"],
        ] {
            assert!(matches!(read(Role::Viewer, &lines(offer)), Err(OfferError::Malformed(_))), "{offer:?}");
        }
    }
}
