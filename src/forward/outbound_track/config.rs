//! The configuration of an outbound track.

use crate::forward::codec::{Format, Kind};
use crate::forward::header_extensions::ExtensionIds;

/// What negotiation settled for one outbound track.
#[derive(Clone, Debug)]
pub struct OutboundTrackConfig {
    /// Audio or video.
    pub kind: Kind,
    /// The SSRC of the RTP stream.
    pub ssrc: u32,
    /// The SSRC of resends, where the viewer negotiated RTX.
    pub rtx_ssrc: Option<u32>,
    /// The header extensions that the viewer negotiated.
    pub extensions: ExtensionIds,
    /// The viewer's payload types, in its order of preference.
    pub formats: Vec<NegotiatedFormat>,
    /// Maximum octets of an RTP packet, header included, before encryption. Larger packets are dropped.
    pub max_size: usize,
    /// The first numbers of its RTP streams.
    pub first: FirstNumbers,
}

/// One payload type that the viewer negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedFormat {
    /// Its number in the viewer's answer.
    pub payload_type: u8,
    /// The format that it stands for.
    pub format: Format,
    /// The payload type of its resends (RFC 4588 8.1).
    pub rtx_payload_type: Option<u8>,
    /// The viewer's payload type for redundant audio: packets with copies of earlier ones (RFC 2198).
    pub red_payload_type: Option<u8>,
}

/// Where an outbound track's RTP streams begin: at random numbers (RFC 3550 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstNumbers {
    /// The first packet index; below 2^15, so that losing the first packets cannot make the receiver's rollover count
    /// wrong (RFC 3711 3.3.1).
    pub index: u64,
    /// The first packet index of the RTX stream; below 2^15.
    pub rtx_index: u64,
    /// The RTP timestamp before that of the first packet.
    pub timestamp: u32,
}

impl FirstNumbers {
    /// Random ones.
    pub(crate) fn random() -> Self {
        let below_2_15 = || u64::from(rand::random::<u16>() >> 1);
        Self { index: below_2_15(), rtx_index: below_2_15(), timestamp: rand::random() }
    }
}
