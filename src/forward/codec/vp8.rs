//! VP8 as RFC 7741 packetises it: which payload begins a keyframe, the frame size, where PictureID and TL0PICIDX are,
//! and the temporal layer.

use super::descriptor::Descriptor;
use super::frame_layer::FrameLayer;
use super::frame_size::FrameSize;

/// True for the packet with the first byte of the first partition of a keyframe (RFC 7741 4.2, 4.3).
pub(super) fn is_keyframe_start(payload: &[u8]) -> bool {
    let Some(frame) = first_partition(payload) else { return false };
    // The inverse key frame flag, bit P, is the lowest bit of the frame tag (RFC 6386 9.1). In a keyframe a start code
    // follows; a packet that is long enough and has none is not a keyframe.
    let key = frame.first().is_some_and(|tag| tag & 0x01 == 0);
    let coded = frame.get(3..6).is_none_or(|code| code == [0x9d, 0x01, 0x2a]);
    key && coded
}

/// The size in a keyframe's header, after its start code (RFC 6386 9.1): 14 bits each, and two of scaling.
pub(super) fn size(payload: &[u8]) -> Option<FrameSize> {
    let header = first_partition(payload).filter(|_| is_keyframe_start(payload))?.get(6..10)?;
    let side = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    FrameSize::new(side(header[0], header[1]), side(header[2], header[3]))
}

/// Where PictureID and TL0PICIDX are: after the first octet and the extension flags (RFC 7741 4.2).
pub(super) fn descriptor(payload: &[u8]) -> Option<Descriptor> {
    let (&first, &flags) = (payload.first()?, payload.get(1)?);
    if first & 0x80 == 0 {
        return None;
    }
    let [has_picture_id, has_base] = [0x80, 0x40].map(|bit| flags & bit != 0);
    let long = has_picture_id && payload.get(2)? & 0x80 != 0;
    let behind = 2 + u8::from(has_picture_id) + u8::from(long);
    let [picture_id_at, tl0_pic_idx_at] =
        [(has_picture_id, 2), (has_base, behind)].map(|(has, at)| if has { at } else { 0 });
    // Receivers take a missing PictureID for a lost frame, and wait for it before they decode a higher temporal layer.
    Some(Descriptor { picture_id_at, long, tl0_pic_idx_at, closes_up: true })
}

/// The temporal layer, in the octet of TID and KEYIDX (RFC 7741 4.2); bit N marks a frame that no other refers to.
pub(super) fn layer(payload: &[u8]) -> Option<FrameLayer> {
    const NON_REFERENCE: u8 = 0x20;
    const LAYER_SYNC: u8 = 0x20;
    let &first = payload.first()?;
    let (temporal, is_sync) = match temporal_octet(payload) {
        Some(octet) => (octet >> 6, octet & LAYER_SYNC != 0),
        None => (0, false),
    };
    Some(FrameLayer::new(temporal, 0).discardable(first & NON_REFERENCE != 0).sync(is_sync))
}

/// The octet of TID, Y and KEYIDX, if it contains a TID.
fn temporal_octet(payload: &[u8]) -> Option<u8> {
    let (&first, &flags) = (payload.first()?, payload.get(1)?);
    if first & 0x80 == 0 || flags & 0x20 == 0 {
        return None;
    }
    let [has_picture_id, has_base] = [0x80, 0x40].map(|bit| flags & bit != 0);
    let long = has_picture_id && payload.get(2)? & 0x80 != 0;
    payload.get(2 + usize::from(has_picture_id) + usize::from(long) + usize::from(has_base)).copied()
}

/// The payload after its descriptor when it begins partition 0 (bit S set, PID 0), else `None`.
fn first_partition(payload: &[u8]) -> Option<&[u8]> {
    let (&first, rest) = payload.split_first()?;
    let begins = first & 0x10 != 0 && first & 0x07 == 0;
    let extended = first & 0x80 != 0;
    let behind = if extended { behind_extension(rest)? } else { rest };
    begins.then_some(behind)
}

/// Skips the optional fields: PictureID (7 or 15 bits), TL0PICIDX, and TID/KEYIDX in one byte.
fn behind_extension(rest: &[u8]) -> Option<&[u8]> {
    let (&flags, mut rest) = rest.split_first()?;
    let [has_picture_id, has_tl0, has_tid, has_key_index] = [0x80, 0x40, 0x20, 0x10].map(|bit| flags & bit != 0);
    if has_picture_id {
        let long = rest.first()? & 0x80 != 0;
        rest = rest.get(1 + usize::from(long)..)?;
    }
    rest.get(usize::from(has_tl0) + usize::from(has_tid || has_key_index)..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frame tags of RFC 6386 9.1 with the keyframe's start code, and of an inter frame.
    const KEY: [u8; 10] = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
    const INTER: [u8; 4] = [0x11, 0x02, 0x00, 0x77];

    fn packet(descriptor: &[u8], frame: &[u8]) -> Vec<u8> {
        [descriptor, frame].concat()
    }

    #[test]
    fn finds_the_key_frame_behind_every_form_of_descriptor() {
        let descriptors: [&[u8]; 7] = [
            &[0x10],
            &[0x90, 0x80, 0x11],
            &[0x90, 0x80, 0x92, 0x34],
            &[0x90, 0xc0, 0x92, 0x34, 0x07],
            &[0x90, 0xe0, 0x92, 0x34, 0x07, 0x20],
            &[0x90, 0x30, 0x41],
            &[0x90, 0x00],
        ];
        for descriptor in descriptors {
            assert!(is_keyframe_start(&packet(descriptor, &KEY)), "{descriptor:02x?}");
            assert_eq!(size(&packet(descriptor, &KEY)), FrameSize::new(640, 360));
            assert_eq!(size(&packet(descriptor, &INTER)), None);
            assert!(!is_keyframe_start(&packet(descriptor, &INTER)), "{descriptor:02x?}");
        }
    }

    #[test]
    fn later_packets_and_later_partitions_of_a_key_frame_begin_nothing() {
        assert!(!is_keyframe_start(&packet(&[0x00], &KEY)));
        assert!(!is_keyframe_start(&packet(&[0x11], &KEY)));
        assert!(!is_keyframe_start(&packet(&[0x90, 0x80, 0x11], &[0x10, 0x02, 0x00, 1, 2, 3])));
    }

    #[test]
    fn cut_descriptors_begin_nothing() {
        for payload in [&[][..], &[0x10], &[0x90], &[0x90, 0x80], &[0x90, 0x80, 0x92], &[0x90, 0xf0, 0x92, 0x34]] {
            assert!(!is_keyframe_start(payload), "{payload:02x?}");
        }
    }

    #[test]
    fn the_temporal_layer_is_behind_every_form_of_numbers() {
        let numbers: [(u8, &[u8]); 5] =
            [(0x20, &[]), (0xa0, &[0x11]), (0xa0, &[0x92, 0x34]), (0xe0, &[0x92, 0x34, 7]), (0x70, &[7])];
        for (flags, numbers) in numbers {
            let read = |first, octet| layer(&[&[first, flags], numbers, &[octet, 0x02]].concat()).unwrap();
            assert_eq!([0x05, 0x40, 0x85, 0xa5].map(|octet| read(0x90, octet).temporal()), [0, 1, 2, 2]);
            assert_eq!([0x85, 0xa5].map(|octet| read(0x90, octet).is_sync()), [false, true]);
            assert_eq!([0x90, 0xb0].map(|first| read(first, 0x85).is_discardable()), [false, true]);
        }
        assert_eq!(layer(&[0x90, 0x90, 0x11, 0xa5]), Some(FrameLayer::default()), "KEYIDX alone");
        assert_eq!(layer(&[0x90, 0xe0, 0x92]), Some(FrameLayer::default()), "cut");
        assert!(layer(&[0x30]).is_some_and(FrameLayer::is_discardable) && layer(&[]).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(payload in prop::collection::vec(any::<u8>(), 0..32)) {
            let _ = (is_keyframe_start(&payload), size(&payload), layer(&payload));
        }

        #[test]
        fn any_descriptor_with_extensions_is_read_without_panic(flags: u8, rest in prop::collection::vec(any::<u8>(), 0..8)) {
            let payload: Vec<u8> = [0x90, flags].into_iter().chain(rest).collect();
            let _ = is_keyframe_start(&payload);
        }
    }
}
