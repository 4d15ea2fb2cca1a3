//! The payload types that the relay offers by itself: to watch, each codec and profile that it forwards; to publish, the
//! formats of the stream.

use std::iter::Chain;
use std::ops::RangeInclusive;

use super::payload::{Feedback, Payload, Red};
use crate::forward::codec::{Codec, Format, Kind};

/// The formats that are offered to receive, in the order of preference. A level is the highest one of its codec, because
/// the relay decodes nothing. Of H.264, Constrained Baseline is first, because every encoder has it.
const RECEIVED: [(Codec, u8, &str); 18] = [
    (Codec::Opus, 2, "minptime=10;stereo=1;useinbandfec=1"),
    (Codec::Multiopus, 6, "channel_mapping=0,4,1,2,3,5;coupled_streams=2;minptime=10;num_streams=4;useinbandfec=1"),
    (Codec::Multiopus, 8, "channel_mapping=0,6,1,2,3,4,5,7;coupled_streams=3;minptime=10;num_streams=5;useinbandfec=1"),
    (Codec::G722, 1, ""),
    (Codec::Pcmu, 1, ""),
    (Codec::Pcma, 1, ""),
    (Codec::H264, 0, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e034"),
    (Codec::H264, 0, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=420034"),
    (Codec::H264, 0, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d0034"),
    (Codec::H264, 0, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c34"),
    (Codec::H264, 0, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640034"),
    (Codec::H264, 0, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e034"),
    (Codec::Vp8, 0, ""),
    (Codec::Vp9, 0, "profile-id=0"),
    (Codec::Vp9, 0, "profile-id=2"),
    (Codec::Av1, 0, "level-idx=19;profile=0;tier=1"),
    (Codec::H265, 0, "level-id=186;profile-id=1;tier-flag=1;tx-mode=SRST"),
    (Codec::H265, 0, "level-id=186;profile-id=2;tier-flag=1;tx-mode=SRST"),
];

/// Payload types that no codec of an offer has yet: those of RFC 3551 6 for dynamic assignment, then those that rtcp-mux
/// leaves (RFC 5761 4).
pub(super) struct Numbers(Chain<RangeInclusive<u8>, RangeInclusive<u8>>);

impl Default for Numbers {
    fn default() -> Self {
        Self((96..=127).chain(35..=63))
    }
}

impl Numbers {
    fn next(&mut self) -> Option<u8> {
        self.0.next()
    }

    /// The number of a format: its fixed one (RFC 3551 table 4), or the next free one.
    fn of(&mut self, codec: Codec) -> Option<u8> {
        match codec {
            Codec::Pcmu => Some(0),
            Codec::Pcma => Some(8),
            Codec::G722 => Some(9),
            _ => self.next(),
        }
    }
}

/// All that the relay can receive of this kind.
pub(super) fn to_receive(kind: Kind, numbers: &mut Numbers) -> Vec<Payload> {
    let formats = RECEIVED.iter().filter(|(codec, ..)| codec.kind() == kind);
    let formats = formats.map(|(codec, channels, parameters)| Format {
        codec: *codec,
        clock_rate: codec.clock_rate(),
        channels: *channels,
        parameters: (*parameters).to_owned(),
    });
    let mut payloads: Vec<Payload> = formats.filter_map(|format| payload(format, numbers)).collect();
    for payload in &mut payloads {
        // The relay sends a publisher no estimate.
        payload.feedback.remb = false;
    }
    for payload in payloads.iter_mut().filter(|payload| payload.format.codec == Codec::Opus) {
        payload.red = numbers.next().map(|payload_type| Red { payload_type, blocks: 2, preferred: false });
    }
    payloads
}

/// The formats of a stream of this kind.
pub(super) fn to_send(kind: Kind, formats: &[Format], numbers: &mut Numbers) -> Vec<Payload> {
    let formats = formats.iter().filter(|format| format.codec.kind() == kind);
    formats.filter_map(|format| payload(format.clone(), numbers)).collect()
}

/// `None` if no number is left.
fn payload(format: Format, numbers: &mut Numbers) -> Option<Payload> {
    let is_video = format.codec.kind() == Kind::Video;
    let payload_type = numbers.of(format.codec)?;
    let rtx_payload_type = if is_video { Some(numbers.next()?) } else { None };
    // Audio is resent without RTX.
    let feedback = Feedback { nack: true, pli: is_video, fir: is_video, remb: is_video, transport_cc: is_video };
    Some(Payload { payload_type, format, rtx_payload_type, red: None, feedback })
}
