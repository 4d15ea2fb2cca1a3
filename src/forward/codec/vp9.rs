//! VP9 as RFC 9628 packetises it: which payload begins a keyframe, the frame size, where PictureID and TL0PICIDX are,
//! and the layer.
//!
//! The descriptor is not enough: intra-only frames have bit P clear too, and some senders (FFmpeg) never set it. So the
//! frame header after the descriptor is read as well.

use super::bits::Bits;
use super::descriptor::Descriptor;
use super::format::Format;
use super::frame_layer::FrameLayer;
use super::frame_size::FrameSize;

const PICTURE_ID: u8 = 0x80;
const INTER_PREDICTED: u8 = 0x40;
const LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const BEGINS: u8 = 0x08;
const STRUCTURE: u8 = 0x02;

/// True for the packet with the first byte of a keyframe of the lowest spatial layer (RFC 9628 4.2).
pub(super) fn is_keyframe_start(payload: &[u8]) -> bool {
    let Some((&flags, rest)) = payload.split_first() else { return false };
    let begins = flags & BEGINS != 0 && flags & INTER_PREDICTED == 0;
    begins && frame_of_lowest_layer(flags, rest).is_some_and(is_key_frame)
}

/// The size in a keyframe's header; of several spatial layers the largest, from the descriptor.
pub(super) fn size(payload: &[u8]) -> Option<FrameSize> {
    let (&flags, rest) = payload.split_first().filter(|_| is_keyframe_start(payload))?;
    let structure = structure_of_lowest_layer(flags, rest)?;
    let largest = if flags & STRUCTURE != 0 { size_in_structure(structure) } else { None };
    largest.or_else(|| size_in_frame(frame_of_lowest_layer(flags, rest)?))
}

/// The size of the highest layer in a scalability structure, if it contains sizes (RFC 9628 4.2.1).
fn size_in_structure(structure: &[u8]) -> Option<FrameSize> {
    let (&flags, sizes) = structure.split_first().filter(|(flags, _)| **flags & 0x10 != 0)?;
    let last = sizes.get(usize::from(flags >> 5) * 4..)?.first_chunk::<4>()?;
    let side = |high: u8, low: u8| u32::from(u16::from_be_bytes([high, low]));
    FrameSize::new(side(last[0], last[1]), side(last[2], last[3]))
}

/// The size in the uncompressed header of a keyframe (VP9 bitstream specification 6.2, 7.2).
fn size_in_frame(frame: &[u8]) -> Option<FrameSize> {
    const SRGB: u32 = 7;
    let bits = &mut Bits::new(frame);
    bits.skip(2)?;
    let profile = u32::from(bits.flag()?) + 2 * u32::from(bits.flag()?);
    // Reserved in profile 3, show_existing_frame, frame_type, show_frame, error_resilient_mode, sync code.
    bits.skip(u32::from(profile == 3) + 4 + 24)?;
    bits.skip(u32::from(profile >= 2))?;
    let odd = profile % 2 == 1;
    match bits.number(3)? {
        SRGB => bits.skip(u32::from(odd))?,
        _ => bits.skip(1 + if odd { 3 } else { 0 })?,
    }
    FrameSize::new(bits.number(16)? + 1, bits.number(16)? + 1)
}

/// The profile that a format's parameters name: 0 to 3, by chroma and bit depth; 0 where there is none (RFC 9628 6).
pub(super) fn profile(format: &Format) -> u8 {
    format.parameter("profile-id").and_then(|id| id.parse().ok()).unwrap_or(0)
}

/// Where PictureID and TL0PICIDX are: after the first octet, and after the layer (RFC 9628 4.2). The flexible mode has
/// no TL0PICIDX.
pub(super) fn descriptor(payload: &[u8]) -> Option<Descriptor> {
    let &flags = payload.first()?;
    let has_picture_id = flags & PICTURE_ID != 0;
    let long = has_picture_id && payload.get(1)? & 0x80 != 0;
    let layer_at = layer_at(payload)?;
    let has_base = flags & LAYERS != 0 && flags & FLEXIBLE == 0;
    let [picture_id_at, tl0_pic_idx_at] =
        [(has_picture_id, 1), (has_base, layer_at + 1)].map(|(has, at)| if has { at } else { 0 });
    // Frames refer to others by differences of PictureIDs, so the numbers of frames left out stay unused.
    Some(Descriptor { picture_id_at, long, tl0_pic_idx_at, closes_up: false })
}

/// The temporal and spatial layer (RFC 9628 4.2). Bit U marks a frame after which higher temporal layers refer to none
/// of their frames from before it; encoders set it where that frame itself refers to lower temporal layers only.
pub(super) fn layer(payload: &[u8]) -> Option<FrameLayer> {
    const SWITCHING_UP: u8 = 0x10;
    let &flags = payload.first()?;
    let octet = if flags & LAYERS != 0 { payload.get(usize::from(layer_at(payload)?)).copied() } else { None };
    let Some(octet) = octet else { return Some(FrameLayer::default()) };
    let is_up = octet & SWITCHING_UP != 0;
    Some(FrameLayer::new(octet >> 5, octet >> 1 & 0x07).sync(is_up).opens(is_up))
}

/// Octets before the octet of the layer, if there is one.
fn layer_at(payload: &[u8]) -> Option<u8> {
    let has_picture_id = payload.first()? & PICTURE_ID != 0;
    let long = has_picture_id && payload.get(1)? & 0x80 != 0;
    Some(1 + u8::from(has_picture_id) + u8::from(long))
}

/// The frame after the rest of the descriptor, if it is of spatial layer 0.
fn frame_of_lowest_layer(flags: u8, rest: &[u8]) -> Option<&[u8]> {
    let rest = structure_of_lowest_layer(flags, rest)?;
    // No reference indices: they are present with INTER_PREDICTED only.
    if flags & STRUCTURE != 0 { behind_structure(rest) } else { Some(rest) }
}

/// What follows the descriptor's first fields, if it is of spatial layer 0: its scalability structure, or the frame.
fn structure_of_lowest_layer(flags: u8, mut rest: &[u8]) -> Option<&[u8]> {
    if flags & PICTURE_ID != 0 {
        let long = rest.first()? & 0x80 != 0;
        rest = rest.get(1 + usize::from(long)..)?;
    }
    if flags & LAYERS != 0 {
        let (&layer, behind) = rest.split_first()?;
        let spatial = layer >> 1 & 0x07;
        // TL0PICIDX follows in the non-flexible mode.
        rest = behind.get(usize::from(flags & FLEXIBLE == 0)..).filter(|_| spatial == 0)?;
    }
    Some(rest)
}

/// Skips the scalability structure: the size of each layer and the frames of a group (RFC 9628 4.2.1).
fn behind_structure(rest: &[u8]) -> Option<&[u8]> {
    let (&flags, mut rest) = rest.split_first()?;
    let (layers, has_sizes, has_group) = (usize::from(flags >> 5) + 1, flags & 0x10 != 0, flags & 0x08 != 0);
    if has_sizes {
        rest = rest.get(layers * 4..)?;
    }
    if has_group {
        let (&pictures, mut behind) = rest.split_first()?;
        for _ in 0..pictures {
            let references = usize::from(behind.first()? >> 2 & 0x03);
            behind = behind.get(1 + references..)?;
        }
        rest = behind;
    }
    Some(rest)
}

/// Reads the beginning of the uncompressed header (VP9 bitstream specification 6.2): marker, profile, whether an
/// earlier frame is shown again, frame type. In a keyframe a sync code follows; a packet that is long enough and has
/// none is not a keyframe.
fn is_key_frame(frame: &[u8]) -> bool {
    let Some(&first) = frame.first() else { return false };
    let marked = first >> 6 == 0b10;
    if first >> 4 & 0b11 == 0b11 {
        // Profile 3 has a reserved bit after it, which moves everything else by one.
        return marked && first & 0b1110 == 0;
    }
    let coded = frame.get(1..4).is_none_or(|code| code == [0x49, 0x83, 0x42]);
    marked && first & 0b1100 == 0 && coded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 6] = [0x82, 0x49, 0x83, 0x42, 0x00, 0x05];
    const INTER: [u8; 4] = [0x86, 0x00, 0x40, 0x92];
    const SHOWN_AGAIN: [u8; 2] = [0x88, 0x00];

    fn packet(descriptor: &[u8], frame: &[u8]) -> Vec<u8> {
        [descriptor, frame].concat()
    }

    #[test]
    fn the_layer_is_behind_every_form_of_picture_id() {
        let layers = [&[0x28, 0x40][..], &[0xa8, 0x11, 0x40], &[0xa8, 0x92, 0x34, 0x40], &[0xb8, 0x92, 0x34, 0x40]];
        for descriptor in layers {
            let read =
                |octet: u8| layer(&packet(&[&descriptor[..descriptor.len() - 1], &[octet]].concat(), &INTER)).unwrap();
            assert_eq!(
                [0x00, 0x20, 0x44].map(|octet| (read(octet).temporal(), read(octet).spatial())),
                [(0, 0), (1, 0), (2, 2)]
            );
            assert_eq!(
                [0x20, 0x30].map(|octet| (read(octet).is_sync(), read(octet).is_opening())),
                [(false, false), (true, true)]
            );
        }
        assert_eq!(layer(&[0x88, 0x11, 0x40]), Some(FrameLayer::default()), "no layers");
        assert_eq!((layer(&[0xa8, 0x92, 0x34]), layer(&[])), (Some(FrameLayer::default()), None));
    }

    #[test]
    fn finds_the_key_frame_behind_every_form_of_descriptor() {
        let descriptors: [&[u8]; 9] = [
            &[0x08],
            &[0x88, 0x11],
            &[0x88, 0x92, 0x34],
            &[0xa8, 0x92, 0x34, 0x00, 0x07],
            &[0xb8, 0x92, 0x34, 0x00],
            &[0x0a, 0x00],
            &[0x8a, 0x11, 0x00],
            // One layer with its size, and a group of two frames with one and no reference.
            &[0x0a, 0x18, 1, 0, 1, 0, 2, 0x04, 9, 0x00],
            // Three spatial layers with their sizes, as Chromium sends SVC.
            &[0xba, 0x92, 0x34, 0x00, 0x50, 0, 80, 0, 45, 0, 160, 0, 90, 1, 64, 0, 180],
        ];
        for descriptor in descriptors {
            assert!(is_keyframe_start(&packet(descriptor, &KEY)), "{descriptor:02x?}");
            assert!(!is_keyframe_start(&packet(descriptor, &INTER)), "{descriptor:02x?}");
            assert!(!is_keyframe_start(&packet(descriptor, &SHOWN_AGAIN)), "{descriptor:02x?}");
        }
    }

    #[test]
    fn the_size_is_the_frames_or_that_of_the_uppermost_layer() {
        // Profile 0, 640 x 360: after the sync code three bits of colour space, one of range, and the sides minus one.
        let key = [0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xf0, 0x16, 0x70];
        assert_eq!(size(&packet(&[0x88, 0x11], &key)), FrameSize::new(640, 360));
        assert_eq!(size(&packet(&[0x0a, 0x00], &key)), FrameSize::new(640, 360), "a structure without sizes");
        let layers = [0xba, 0x92, 0x34, 0x00, 0x50, 0, 80, 0, 45, 0, 160, 0, 90, 1, 64, 0, 180];
        assert_eq!(size(&packet(&layers, &key)), FrameSize::new(320, 180));
        assert_eq!(size(&packet(&[0x88, 0x11], &INTER)), None);
        assert_eq!(size(&packet(&[0x88, 0x11], &key[..7])), None);
    }

    #[test]
    fn later_packets_other_frames_and_upper_layers_begin_nothing() {
        assert!(!is_keyframe_start(&packet(&[0x00], &KEY)), "not the beginning of a frame");
        assert!(!is_keyframe_start(&packet(&[0x48], &KEY)), "predicted from another picture");
        assert!(!is_keyframe_start(&packet(&[0x38, 0x02], &KEY)), "spatial layer 1");
        assert!(is_keyframe_start(&packet(&[0x38, 0x20], &KEY)), "temporal layer 1 of spatial layer 0");
    }

    #[test]
    fn all_four_profiles_are_read() {
        for key in [&[0x82, 0x49, 0x83, 0x42][..], &[0xa2, 0x49, 0x83, 0x42], &[0x92, 0x49, 0x83, 0x42], &[0xb1, 0x24]]
        {
            assert!(is_keyframe_start(&packet(&[0x08], key)), "{key:02x?}");
        }
        for other in [&[0x86][..], &[0xa6], &[0x96], &[0xb2], &[0xb4], &[0x42], &[0xc2], &[0x82, 0, 0, 0]] {
            assert!(!is_keyframe_start(&packet(&[0x08], other)), "{other:02x?}");
        }
    }

    #[test]
    fn cut_descriptors_begin_nothing() {
        for payload in
            [&[][..], &[0x08], &[0x88], &[0x88, 0x92, 0x34], &[0x28, 0], &[0x0a], &[0x0a, 0x18, 0], &[0x0a, 8]]
        {
            assert!(!is_keyframe_start(payload), "{payload:02x?}");
        }
        assert!(!is_keyframe_start(&[0x0a, 0x08, 255, 0x0c, 0x82]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = is_keyframe_start(&payload);
        }

        #[test]
        fn any_structure_is_read_without_panic(flags: u8, rest in prop::collection::vec(any::<u8>(), 0..64)) {
            let payload: Vec<u8> = [0x0a, flags].into_iter().chain(rest).collect();
            let _ = (is_keyframe_start(&payload), size(&payload));
        }
    }
}
