//! Made-up media: VP8 frames and Opus packets whose every byte is known from their number.

use bytes::Bytes;

/// Packets of one video frame.
pub(crate) const PACKETS_A_FRAME: usize = 4;
/// A keyframe, then this many frames that depend on it.
pub(crate) const FRAMES_A_GROUP: usize = 15;
/// RTP ticks from one video frame to the next: 30 a second at 90 kHz.
pub(crate) const FRAME_TICKS: u32 = 3_000;
/// RTP ticks from one audio packet to the next: 20 ms at 48 kHz.
pub(crate) const AUDIO_TICKS: u32 = 960;

/// The payload of packet `packet` of frame `frame` (RFC 7741: descriptor, then the frame's bytes; the first packet of
/// a keyframe carries its start code and size).
pub(crate) fn vp8_payload(frame: usize, packet: usize) -> Bytes {
    let is_first = packet == 0;
    let mut payload = vec![if is_first { 0x10 } else { 0x00 }];
    if is_first && is_keyframe(frame) {
        payload.extend([0x10, 0x00, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
    } else if is_first {
        payload.extend([0x11, 0x00, 0x00]);
    }
    let filling = (frame * 31 + packet * 7) as u8;
    payload.resize(900 + (frame * 13 + packet * 29) % 200, filling);
    payload.extend((frame as u32).to_be_bytes());
    payload.push(packet as u8);
    payload.into()
}

/// Whether frame `frame` starts a group.
pub(crate) fn is_keyframe(frame: usize) -> bool {
    frame.is_multiple_of(FRAMES_A_GROUP)
}

/// The frame and packet number that a payload made by [`vp8_payload`] bears.
pub(crate) fn vp8_number(payload: &[u8]) -> (usize, usize) {
    let (_, tail) = payload.split_at(payload.len() - 5);
    (u32::from_be_bytes([tail[0], tail[1], tail[2], tail[3]]) as usize, tail[4] as usize)
}

/// The payload of audio packet `number`.
pub(crate) fn opus_payload(number: usize) -> Bytes {
    let mut payload = vec![0x78; 60 + number % 40];
    payload.extend((number as u32).to_be_bytes());
    payload.into()
}

/// The number that a payload made by [`opus_payload`] bears.
pub(crate) fn opus_number(payload: &[u8]) -> usize {
    let (_, tail) = payload.split_at(payload.len() - 4);
    u32::from_be_bytes([tail[0], tail[1], tail[2], tail[3]]) as usize
}
