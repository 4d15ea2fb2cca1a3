//! Marks the one packet of a published line with which each keyframe begins.
//!
//! Encoders of H.264 and H.265 begin a keyframe with parameter sets in packets of their own (OBS), in one packet (FFmpeg,
//! Chromium) or not at all. A viewer that begins at the bare picture while its parameter sets are late would stay black
//! until the next keyframe, which may be 10 s away. So the rule: a keyframe starts with nothing less than the keyframe
//! before it had; what is missing is on its way, and is the start.

use super::{Codec, FrameSize, Kind, Start};

/// Finds keyframes in one layer of one publisher, packet by packet in the order of arrival.
#[derive(Clone, Debug)]
pub struct KeyframeFinder {
    codec: Codec,
    /// RTP timestamp of the newest picture whose start was marked.
    marked: Option<u32>,
    newest: Option<Picture>,
    /// The best start of the keyframe before the newest.
    expected: Start,
    size: Option<FrameSize>,
}

#[derive(Clone, Copy, Debug)]
struct Picture {
    timestamp: u32,
    /// The best of its starts that have come.
    start: Start,
}

impl KeyframeFinder {
    /// A finder for a line of this codec.
    pub fn new(codec: Codec) -> Self {
        Self { codec, marked: None, newest: None, expected: Start::None, size: None }
    }

    /// How large the pictures are, once a keyframe has told.
    pub fn size(&self) -> Option<FrameSize> {
        self.size
    }

    /// True when this packet is the first of a picture that decodes without any earlier one: what goes into
    /// [`Packet::keyframe`](crate::forward::Packet::keyframe). Always true for audio with a payload.
    pub fn is_start(&mut self, timestamp: u32, payload: &[u8]) -> bool {
        let start = Start::of(self.codec, payload);
        if start == Start::None || self.codec.kind() == Kind::Audio {
            return start != Start::None;
        }
        self.size = FrameSize::of(self.codec, payload).or(self.size);
        match &mut self.newest {
            Some(newest) if newest.timestamp == timestamp => newest.start = newest.start.max(start),
            newest => {
                self.expected = newest.map_or(Start::None, |before| before.start);
                *newest = Some(Picture { timestamp, start });
            }
        }
        let first = start >= self.expected && self.marked != Some(timestamp);
        if first {
            self.marked = Some(timestamp);
        }
        first
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
        starts_of(Codec::H264, packets)
    }

    fn starts_of(codec: Codec, packets: &[(u32, &[u8])]) -> Vec<usize> {
        let mut finder = KeyframeFinder::new(codec);
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
    fn h265_waits_for_the_video_parameter_set_where_there_is_one() {
        let (vps, sps): (&[u8], &[u8]) = (&[0x40, 0x01, 0x0c], &[0x42, 0x01, 0x01]);
        let (pps, idr): (&[u8], &[u8]) = (&[0x44, 0x01], &[0x28, 0x01, 0xac]);
        let x265 = [(1, vps), (1, sps), (1, pps), (1, idr), (9, vps), (9, sps), (9, pps), (9, idr)];
        assert_eq!(starts_of(Codec::H265, &x265), [0, 4]);
        let late = [(1, vps), (1, sps), (1, idr), (9, sps), (9, idr), (9, vps)];
        assert_eq!(starts_of(Codec::H265, &late), [0, 5]);
        let sps_only = [(1, sps), (1, idr), (9, sps), (9, idr)];
        assert_eq!(starts_of(Codec::H265, &sps_only), [0, 2]);
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
