//! Marks the one packet of a published line with which each keyframe begins.
//!
//! H.264 encoders begin a keyframe with parameter sets in packets of their own (FFmpeg, OBS), in one STAP-A (Chromium)
//! or not at all. A viewer that begins at the bare picture while its parameter sets are late would stay black until the
//! next keyframe, which may be 10 s away. So the rule: a bare picture is a start only where the keyframe before it was
//! bare too; otherwise its parameter sets are on their way, and they are the start.

use super::{Codec, Kind, h264, is_keyframe_start};

/// Finds keyframes in one layer of one publisher, packet by packet in the order of arrival.
#[derive(Clone, Debug)]
pub struct KeyframeFinder {
    codec: Codec,
    /// RTP timestamp of the newest picture whose start was marked.
    marked: Option<u32>,
    /// The newest H.264 keyframe, and whether its parameter sets have come.
    newest: Option<Picture>,
}

#[derive(Clone, Copy, Debug)]
struct Picture {
    timestamp: u32,
    equipped: bool,
}

impl KeyframeFinder {
    /// A finder for a line of this codec.
    pub fn new(codec: Codec) -> Self {
        Self { codec, marked: None, newest: None }
    }

    /// True when this packet is the first of a picture that decodes without any earlier one: what goes into
    /// [`Packet::keyframe`](crate::forward::Packet::keyframe). Always true for audio with a payload.
    pub fn is_start(&mut self, timestamp: u32, payload: &[u8]) -> bool {
        if self.codec.kind() == Kind::Audio {
            return !payload.is_empty();
        }
        let start = match self.codec {
            Codec::H264 => self.is_h264_start(timestamp, payload),
            codec => is_keyframe_start(codec, payload),
        };
        let first = start && self.marked != Some(timestamp);
        if first {
            self.marked = Some(timestamp);
        }
        first
    }

    fn is_h264_start(&mut self, timestamp: u32, payload: &[u8]) -> bool {
        match h264::Start::of(payload) {
            h264::Start::None => false,
            h264::Start::ParameterSet => {
                self.newest = Some(Picture { timestamp, equipped: true });
                true
            }
            h264::Start::Picture => match self.newest {
                Some(picture) if picture.timestamp == timestamp => false,
                before => {
                    self.newest = Some(Picture { timestamp, equipped: false });
                    before.is_none_or(|picture| !picture.equipped)
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[0x67, 0x42, 0xe0, 0x1f];
    const PPS: &[u8] = &[0x68, 0xce];
    const SEI: &[u8] = &[0x06, 0x05];
    const SPS_AND_PPS: &[u8] = &[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce];
    const IDR: &[u8] = &[0x65, 0x88];
    const IDR_START: &[u8] = &[0x7c, 0x85, 0x88];
    const IDR_MIDDLE: &[u8] = &[0x7c, 0x05, 0x88];
    const SLICE: &[u8] = &[0x41, 0x9a];

    fn starts(packets: &[(u32, &[u8])]) -> Vec<usize> {
        let mut finder = KeyframeFinder::new(Codec::H264);
        let is_start = |&(timestamp, payload): &(u32, &[u8])| finder.is_start(timestamp, payload);
        let marks: Vec<bool> = packets.iter().map(is_start).collect();
        (0..marks.len()).filter(|&at| marks[at]).collect()
    }

    #[test]
    fn one_start_a_picture_as_ffmpeg_obs_and_chromium_send_it() {
        let ffmpeg = [(1, SEI), (1, SPS), (1, PPS), (1, IDR), (2, SLICE), (9, SPS), (9, PPS), (9, SEI), (9, IDR_START)];
        assert_eq!(starts(&ffmpeg), [1, 5]);
        let chromium =
            [(1, SPS_AND_PPS), (1, IDR_START), (1, IDR_MIDDLE), (2, SLICE), (9, SPS_AND_PPS), (9, IDR_START)];
        assert_eq!(starts(&chromium), [0, 4]);
    }

    #[test]
    fn a_line_without_parameter_sets_starts_at_its_pictures() {
        assert_eq!(starts(&[(1, IDR_START), (1, IDR_MIDDLE), (2, SLICE), (3, IDR), (3, IDR)]), [0, 3]);
    }

    #[test]
    fn a_picture_that_overtook_its_parameter_sets_waits_for_them() {
        let late = [(1, SPS), (1, PPS), (1, IDR), (9, IDR_START), (9, IDR_MIDDLE), (9, SPS), (9, PPS)];
        assert_eq!(starts(&late), [0, 5]);
    }

    #[test]
    fn parameter_sets_sent_only_once_cost_one_keyframe() {
        assert_eq!(starts(&[(1, SPS), (1, IDR), (2, IDR), (3, IDR), (4, IDR)]), [0, 3, 4]);
    }

    #[test]
    fn vp8_and_opus_start_where_their_payloads_say() {
        let key = [0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a];
        let mut vp8 = KeyframeFinder::new(Codec::Vp8);
        assert!(vp8.is_start(1, &key) && !vp8.is_start(1, &[0x00, 1]) && !vp8.is_start(2, &[0x10, 0x11]));
        let mut opus = KeyframeFinder::new(Codec::Opus);
        assert!(opus.is_start(1, &[0xfc]) && opus.is_start(2, &[0xfc]) && !opus.is_start(3, &[]));
    }
}
