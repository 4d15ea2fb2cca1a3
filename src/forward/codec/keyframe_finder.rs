//! Finds the keyframes in a publisher's RTP stream, packet by packet as they arrive, and the size of its frames.

use super::frame_size::FrameSize;
use super::kind::{Codec, Kind};
use super::part::Part;

/// Finds keyframes in one layer of one publisher, packet by packet in the order of arrival.
#[derive(Clone, Debug)]
pub struct KeyframeFinder {
    codec: Codec,
    /// RTP timestamp of the newest keyframe.
    newest: Option<u32>,
    size: Option<FrameSize>,
    /// A recovery point has arrived since the newest keyframe.
    refreshes: bool,
    /// The newest keyframe had no sequence header.
    lacks_header: bool,
}

impl KeyframeFinder {
    /// A finder for an RTP stream of this codec.
    pub fn new(codec: Codec) -> Self {
        Self { codec, newest: None, size: None, refreshes: false, lacks_header: false }
    }

    /// The size of the frames, once a keyframe has shown it.
    pub fn size(&self) -> Option<FrameSize> {
        self.size
    }

    /// True while the encoder marks where decoders may begin (intra refresh) instead of sending keyframes.
    pub(crate) fn refreshes(&self) -> bool {
        self.refreshes
    }

    /// True when the newest keyframe had no sequence header, so that no decoder begins at it.
    pub(crate) fn lacks_header(&self) -> bool {
        self.lacks_header
    }

    /// What a payload contains, and whether a frame that decodes without any earlier one begins with it: once per
    /// frame, with its first slice; always true for audio with a payload.
    #[inline]
    pub fn read(&mut self, timestamp: u32, payload: &[u8]) -> (Part, bool) {
        let part = Part::of(self.codec, payload);
        (part, !part.is_plain() && self.notice(part, timestamp, payload))
    }

    fn notice(&mut self, part: Part, timestamp: u32, payload: &[u8]) -> bool {
        if self.codec.kind() == Kind::Audio {
            return true;
        }
        self.size = FrameSize::of(self.codec, payload).or(self.size);
        let begins = part.is_keyframe() && self.newest != Some(timestamp);
        if begins {
            self.newest = Some(timestamp);
            self.lacks_header = false;
        }
        // The header may have arrived in a packet of its own.
        self.lacks_header |= part.is_bare_keyframe() && self.newest != Some(timestamp);
        self.refreshes = part.is_recovery_point() || self.refreshes && !part.is_keyframe();
        begins
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
        let is_start = |&(timestamp, payload): &(u32, &[u8])| finder.read(timestamp, payload).1;
        let marks: Vec<bool> = packets.iter().map(is_start).collect();
        (0..marks.len()).filter(|&at| marks[at]).collect()
    }

    #[test]
    fn a_keyframe_begins_once_with_its_first_slice() {
        let ffmpeg = [(1, SEI), (1, SPS), (1, PPS), (1, IDR), (2, SLICE), (9, SPS), (9, PPS), (9, SEI), (9, IDR_START)];
        assert_eq!(starts(&ffmpeg), [3, 8]);
        let chromium =
            [(1, SPS_AND_PPS), (1, IDR_START), (1, IDR_MIDDLE), (2, SLICE), (9, SPS_AND_PPS), (9, IDR_START)];
        assert_eq!(starts(&chromium), [1, 5]);
        assert_eq!(starts(&[(1, IDR_START), (1, IDR_MIDDLE), (2, SLICE), (3, IDR), (3, IDR)]), [0, 3]);
    }

    #[test]
    fn parameter_sets_before_another_frame_begin_nothing() {
        assert_eq!(starts(&[(1, SPS), (1, PPS), (1, SLICE), (2, SPS_AND_PPS), (2, SLICE)]), [0; 0]);
        let (vps, sps): (&[u8], &[u8]) = (&[0x40, 0x01, 0x0c], &[0x42, 0x01, 0x01]);
        let (slice, idr): (&[u8], &[u8]) = (&[0x02, 0x01, 0xd0], &[0x28, 0x01, 0xac]);
        assert_eq!(starts_of(Codec::H265, &[(1, vps), (1, sps), (1, slice), (2, vps), (2, idr)]), [4]);
    }

    #[test]
    fn a_key_frame_of_av1_begins_with_its_sequence_header_and_one_without_is_known() {
        let (header, both): (&[u8], &[u8]) = (&[0x18, 0x08, 0], &[0x28, 4, 0x08, 0, 0, 0, 0x30, 0x10]);
        let (key, inter): (&[u8], &[u8]) = (&[0x10, 0x30, 0x10], &[0x10, 0x30, 0x30]);
        assert_eq!(
            starts_of(Codec::Av1, &[(1, both), (2, inter), (3, header), (3, key), (4, key), (5, both)]),
            [0, 2, 5]
        );
        let mut finder = KeyframeFinder::new(Codec::Av1);
        let mut lacks = |timestamp, payload| {
            finder.read(timestamp, payload);
            finder.lacks_header()
        };
        let marks = [(1, both), (3, header), (3, key), (4, key), (5, inter), (6, both)].map(|(at, it)| lacks(at, it));
        assert_eq!(marks, [false, false, false, true, true, false]);
    }

    #[test]
    fn vp8_and_opus_start_where_their_payloads_say() {
        let key = [0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a];
        let mut vp8 = KeyframeFinder::new(Codec::Vp8);
        assert!(vp8.read(1, &key).1 && !vp8.read(1, &[0x00, 1]).1 && !vp8.read(2, &[0x10, 0x11]).1);
        let mut opus = KeyframeFinder::new(Codec::Opus);
        assert!(opus.read(1, &[0xfc]).1 && opus.read(2, &[0xfc]).1 && !opus.read(3, &[]).1);
    }
}
