//! What an outbound track is told when it is made.

use crate::forward::codec::{Format, Kind};
use crate::forward::header_extensions::ExtensionIds;

/// What negotiation settled about one outbound track.
#[derive(Clone, Debug)]
pub struct OutboundTrackConfig {
    /// Sound or pictures.
    pub kind: Kind,
    /// The SSRC of the line.
    pub ssrc: u32,
    /// The SSRC of resends, where the viewer negotiated RTX.
    pub rtx_ssrc: Option<u32>,
    /// The header extensions that the viewer takes.
    pub extensions: ExtensionIds,
    /// The viewer's payload types, in its order of preference.
    pub formats: Vec<Negotiated>,
    /// Octets of the largest RTP packet, header included, before it is sealed. Larger ones are dropped.
    pub max_size: usize,
    /// Where the lines begin.
    pub first: FirstNumbers,
}

/// One payload type that the viewer takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Its number in the viewer's answer.
    pub payload_type: u8,
    /// What it stands for.
    pub format: Format,
    /// The payload type of its resends (RFC 4588 8.1).
    pub rtx_payload_type: Option<u8>,
    /// The payload type under which it takes the sound with copies of earlier packets (RFC 2198).
    pub red_payload_type: Option<u8>,
}

/// Where an outbound track's lines begin (RFC 3550 5.1: at random).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstNumbers {
    /// The first number of the line; below 2^15, so that losing the first packets cannot cost the receiver its rollover
    /// count (RFC 3711 3.3.1).
    pub index: u64,
    /// The first number of the resends' line; below 2^15.
    pub rtx_index: u64,
    /// The RTP timestamp before the first packet's.
    pub timestamp: u32,
}

impl FirstNumbers {
    /// Random ones.
    pub fn random() -> Self {
        let below_2_15 = || u64::from(rand::random::<u16>() >> 1);
        Self { index: below_2_15(), rtx_index: below_2_15(), timestamp: rand::random() }
    }
}
