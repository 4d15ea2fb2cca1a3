//! The headers with which a coded sequence begins, read as far as the frame size: the sequence parameter sets of H.264
//! and H.265, the sequence header of AV1. Written by hand because no crate reads all three, each is a page, and any
//! bytes must be accepted.

use super::bits::Bits;
use super::frame_size::FrameSize;

/// Profiles of H.264 whose parameter sets contain the chroma format (ITU-T H.264 7.3.2.1.1).
const WITH_CHROMA: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Maximum number of reference frames in an order cycle (ITU-T H.264 7.4.2.1.1).
const LONGEST_CYCLE: u32 = 255;

/// The cropping of a frame, in units of its chroma samples.
struct Cut {
    left: u32,
    right: u32,
    top: u32,
    bottom: u32,
}

impl Cut {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        if !bits.flag()? {
            return Some(Self { left: 0, right: 0, top: 0, bottom: 0 });
        }
        Some(Self { left: bits.golomb()?, right: bits.golomb()?, top: bits.golomb()?, bottom: bits.golomb()? })
    }

    /// The size of a cropped frame; each unit is `across` columns and `down` rows.
    fn apply(&self, width: u32, height: u32, across: u32, down: u32) -> Option<FrameSize> {
        let columns = self.left.checked_add(self.right)?.checked_mul(across)?;
        let rows = self.top.checked_add(self.bottom)?.checked_mul(down)?;
        FrameSize::new(width.checked_sub(columns)?, height.checked_sub(rows)?)
    }
}

/// Columns and rows of one chroma sample (ITU-T H.264 table 6-1); (1, 1) for frames without chroma.
fn chroma_sample(format: u32) -> (u32, u32) {
    match format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    }
}

/// The chroma format; 0 where the colour planes are coded separately.
fn chroma_format(bits: &mut Bits<'_>) -> Option<u32> {
    let format = bits.golomb()?;
    let separate = format == 3 && bits.flag()?;
    Some(if separate { 0 } else { format })
}

/// The size in a sequence parameter set of H.264, without its NAL header (ITU-T H.264 7.3.2.1.1).
pub(super) fn h264(set: &[u8]) -> Option<FrameSize> {
    let bits = &mut Bits::of_unit(set);
    let profile = bits.number(8)?;
    bits.skip(16)?;
    bits.golomb()?;
    let mut chroma = 1;
    if WITH_CHROMA.contains(&profile) {
        let format = bits.golomb()?;
        let separate = format == 3 && bits.flag()?;
        chroma = if separate { 0 } else { format };
        bits.golomb()?;
        bits.golomb()?;
        bits.skip(1)?;
        if bits.flag()? {
            for list in 0..if format == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.golomb()?;
    skip_picture_order(bits)?;
    bits.golomb()?;
    bits.skip(1)?;
    let width = bits.golomb()?.checked_add(1)?.checked_mul(16)?;
    let height = bits.golomb()?.checked_add(1)?.checked_mul(16)?;
    let frames_only = bits.flag()?;
    if !frames_only {
        bits.skip(1)?;
    }
    bits.skip(1)?;
    let fields = if frames_only { 1 } else { 2 };
    let (across, down) = chroma_sample(chroma);
    Cut::read(bits)?.apply(width, height.checked_mul(fields)?, across, down * fields)
}

/// ITU-T H.264 7.3.2.1.1.1.
fn skip_scaling_list(bits: &mut Bits<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..size {
        if next != 0 {
            next = (last + bits.signed_golomb()?.rem_euclid(256)) % 256;
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

fn skip_picture_order(bits: &mut Bits<'_>) -> Option<()> {
    match bits.golomb()? {
        0 => bits.golomb().map(drop),
        1 => {
            bits.skip(1)?;
            bits.golomb()?;
            bits.golomb()?;
            let frames = bits.golomb().filter(|frames| *frames <= LONGEST_CYCLE)?;
            (0..frames).try_for_each(|_| bits.golomb().map(drop))
        }
        _ => Some(()),
    }
}

/// The size in a sequence parameter set of H.265, without its NAL header (ITU-T H.265 7.3.2.2).
pub(super) fn h265(set: &[u8]) -> Option<FrameSize> {
    let bits = &mut Bits::of_unit(set);
    h265_until_id(bits)?;
    bits.golomb()?;
    let (across, down) = chroma_sample(chroma_format(bits)?);
    let (width, height) = (bits.golomb()?, bits.golomb()?);
    Cut::read(bits)?.apply(width, height, across, down)
}

/// Skips the fields before the id of a sequence parameter set of H.265.
pub(super) fn h265_until_id(bits: &mut Bits<'_>) -> Option<()> {
    /// Profile, tier and constraints of a layer; its level (ITU-T H.265 7.3.3).
    const PROFILE: u32 = 88;
    const LEVEL: u32 = 8;
    bits.skip(4)?;
    let sub_layers = bits.number(3)?;
    bits.skip(1 + PROFILE + LEVEL)?;
    let mut behind = 0;
    for _ in 0..sub_layers {
        behind += if bits.flag()? { PROFILE } else { 0 };
        behind += if bits.flag()? { LEVEL } else { 0 };
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers))?;
    }
    bits.skip(behind)
}

/// The largest size in a sequence header of AV1, without its OBU header (AV1 bitstream specification 5.5.1).
pub(super) fn av1(header: &[u8]) -> Option<FrameSize> {
    let bits = &mut Bits::new(header);
    bits.skip(4)?;
    let is_reduced = bits.flag()?;
    if is_reduced {
        bits.skip(5)?;
    } else {
        skip_operating_points(bits)?;
    }
    let (across, down) = (bits.number(4)? + 1, bits.number(4)? + 1);
    FrameSize::new(bits.number(across)?.checked_add(1)?, bits.number(down)?.checked_add(1)?)
}

/// Timing, decoder model and operating points (AV1 bitstream specification 5.5.1 to 5.5.4).
fn skip_operating_points(bits: &mut Bits<'_>) -> Option<()> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(64)?;
        if bits.flag()? {
            // uvlc() is coded as an Exp-Golomb number is (4.10.3).
            bits.golomb()?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.number(5)? + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let has_delays = bits.flag()?;
    for _ in 0..=bits.number(5)? {
        bits.skip(12)?;
        if bits.number(5)? > 7 {
            bits.skip(1)?;
        }
        if let Some(count) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * count + 1)?;
        }
        if has_delays && bits.flag()? {
            bits.skip(4)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(width: u32, height: u32) -> Option<FrameSize> {
        FrameSize::new(width, height)
    }

    #[test]
    fn sets_of_x264_are_read_with_their_crop() {
        // Constrained baseline 640x360, High 1920x1080 (cropped from 1088), as x264 writes them.
        let baseline = [0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01];
        assert_eq!(h264(&baseline), size(640, 360));
        let high = [0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00];
        assert_eq!(h264(&high), size(1920, 1080));
    }

    #[test]
    fn cut_sets_have_no_size() {
        let high = [0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44];
        for end in 0..9 {
            assert_eq!(h264(&high[..end]), None, "{end}");
        }
        assert_eq!((h265(&[]), av1(&[]), h265(&[0xff; 8]), av1(&[0x00; 3])), (None, None, None, None));
    }

    #[test]
    fn a_crop_larger_than_the_frame_is_refused() {
        // One macroblock, cropped by 8 x 2 columns.
        let mut set = vec![0x42, 0x00, 0x1e];
        // id 0, frame number 0, order type 2, references 0, no gaps, width 1, height 1, frames, direct, cut 8 0 0 0.
        let bits = "1".to_owned() + "1" + "011" + "1" + "0" + "1" + "1" + "1" + "0" + "1" + "0001001" + "1" + "1" + "1";
        let padded = format!("{bits:0<32}");
        set.extend(u32::from_str_radix(&padded[..32], 2).unwrap().to_be_bytes());
        assert_eq!(h264(&set), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (h264(&bytes), h265(&bytes), av1(&bytes));
        }

        #[test]
        fn any_bytes_behind_a_profile_with_chroma_are_read_without_panic(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 0..80)
        ) {
            let _ = h264(&[&[100, 0, 30, 0x80 | 0x58], &bytes[..]].concat());
        }
    }
}
