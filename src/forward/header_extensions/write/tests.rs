//! The header extensions of packets.

use super::*;

const HEADER: [u8; HEADER_LEN] = [0x80, 96, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1];

fn all() -> ExtensionIds {
    ExtensionIds::all("0")
}

fn blocks(ids: ExtensionIds) -> ExtensionBlocks {
    let mut blocks = ExtensionBlocks::new(ids).expect("it takes some");
    blocks.set_transport_number(Some(0));
    blocks
}

/// The block of the next packet, and the first octet of its header.
fn written(blocks: &mut ExtensionBlocks, extensions: &HeaderExtensions, by_rtx: bool) -> (u8, Vec<u8>) {
    let mut packet = [0xee; 400];
    packet[..HEADER_LEN].copy_from_slice(&HEADER);
    let len = blocks.settle(extensions, by_rtx, 100);
    if len > 0 {
        blocks.write(extensions, &mut packet);
    }
    blocks.stamp(&mut packet);
    (packet[0], packet[HEADER_LEN..HEADER_LEN + len].to_vec())
}

fn loud(level: u8) -> HeaderExtensions {
    let mut extensions = HeaderExtensions::default();
    extensions.set_audio_level(&[level]);
    extensions
}

#[test]
fn a_viewer_that_takes_nothing_has_no_block() {
    assert!(ExtensionBlocks::new(ExtensionIds::default()).is_none());
}

#[test]
fn missing_values_are_not_written() {
    let mut blocks = blocks(ExtensionIds { audio_level: Some(1), playout_delay: Some(5), ..Default::default() });
    assert_eq!(written(&mut blocks, &HeaderExtensions::default(), true), (0x80, vec![]));
    assert_eq!(written(&mut blocks, &loud(9), true), (0x90, vec![0xbe, 0xde, 0, 1, 0x10, 9, 0, 0]));
}

#[test]
fn a_playout_delay_of_110_ms_is_11_and_no_limit_and_stands_only_beside_rtx() {
    let mut blocks = blocks(ExtensionIds { playout_delay: Some(5), ..Default::default() });
    blocks.set_playout_delay(Duration::from_millis(101));
    let block = vec![0xbe, 0xde, 0, 1, 0x52, 0x00, 0xbf, 0xff];
    assert_eq!(written(&mut blocks, &HeaderExtensions::default(), true), (0x90, block));
    blocks.set_playout_delay(Duration::ZERO);
    assert_eq!(written(&mut blocks, &HeaderExtensions::default(), true).1[5..], [0x00, 0x0f, 0xff]);
    assert_eq!(written(&mut blocks, &HeaderExtensions::default(), false), (0x80, vec![]));
}

#[test]
fn a_transport_wide_number_stands_in_the_packets_that_have_one() {
    let mut blocks = ExtensionBlocks::new(ExtensionIds { transport_number: Some(3), ..Default::default() }).unwrap();
    let mut numbers = Vec::new();
    for number in [None, Some(7), Some(8), None, None, Some(0x109)] {
        blocks.set_transport_number(number);
        let block = written(&mut blocks, &HeaderExtensions::default(), true).1;
        assert_eq!((!block.is_empty(), blocks.has_transport_number()), (number.is_some(), number.is_some()));
        numbers.extend(block.get(5..7).map(<[u8]>::to_vec));
    }
    assert_eq!(numbers, [[0, 7], [0, 8], [1, 9]]);
    blocks.set_transport_number(Some(10));
    let alone = written(&mut blocks, &HeaderExtensions::default(), false).1;
    assert!(alone.is_empty(), "a resend would repeat the number");
    assert!(!blocks.has_transport_number());
}

#[test]
fn values_of_the_sending_change_with_each_sending_and_the_rest_does_not() {
    let mut blocks = blocks(all());
    let without = vec![0xbe, 0xde, 0, 1, 0x40, b'0', 0x10, 7];
    assert_eq!(written(&mut blocks, &loud(7), false).1, without);
    let beside = |blocks: &mut ExtensionBlocks| written(blocks, &loud(7), true).1;
    assert_eq!(beside(&mut blocks), [0xbe, 0xde, 0, 3, 0x40, b'0', 0x10, 7, 0x22, 0, 0, 0, 0x31, 0, 0, 0]);
    blocks.set_send_time(Duration::from_millis(64_500));
    blocks.set_transport_number(Some(1));
    assert_eq!(beside(&mut blocks)[8..], [0x22, 2, 0, 0, 0x31, 0, 1, 0], "half a second after 64, and the next number");
    assert_eq!(written(&mut blocks, &loud(7), false).1, without);
}

#[test]
fn all_at_once_fit_and_have_one_length() {
    let mut extensions = loud(7);
    extensions.set_orientation(&[3]);
    extensions.set_capture_time(&[0xcc; 16]);
    let mut blocks = blocks(ExtensionIds { mid: Some((4, "m".repeat(LONGEST_MID))), ..all() });
    blocks.set_playout_delay(Duration::from_millis(10));
    let (_, block) = written(&mut blocks, &extensions, true);
    assert!(block.len() <= ROOM && block.len() == 4 + 4 * usize::from(block[3]));
    let mut rest = &block[4..];
    let mut found = Vec::new();
    while let Some((&first, behind)) = rest.split_first().filter(|(first, _)| **first != 0) {
        let (value, behind) = behind.split_at(usize::from(first & 0xf) + 1);
        found.push((first >> 4, value.to_vec()));
        rest = behind;
    }
    let mid = "m".repeat(LONGEST_MID).into_bytes();
    let expected = [(4, mid), (1, vec![7]), (13, vec![3]), (8, vec![0xcc; 16]), (5, vec![0, 0x1f, 0xff])];
    assert_eq!(found[..5], expected);
    assert_eq!(found[5..], [(2, vec![0; 3]), (3, vec![0; 2])]);
    assert_eq!(written(&mut blocks, &extensions, true).1.len(), block.len());
}

fn described(mut extensions: HeaderExtensions, value: &[u8]) -> HeaderExtensions {
    extensions.set_dependencies(value);
    extensions
}

#[test]
fn a_short_descriptor_is_last_with_the_frame_number_of_the_viewers_rtp_stream() {
    let mut blocks = blocks(ExtensionIds { audio_level: Some(1), dependencies: Some(12), ..Default::default() });
    let first = described(loud(7), &[0xc0, 0, 9]);
    blocks.begin(&first, 90);
    let block = vec![0xbe, 0xde, 0, 2, 0x10, 7, 0xc2, 0xc0, 0, 9, 0, 0];
    assert_eq!(written(&mut blocks, &first, true), (0x90, block));
    blocks.begin(&described(loud(7), &[0xc0, 0xff, 0xff]), 100);
    let next = described(loud(7), &[0x42, 0xff, 0xff, 0x33]);
    assert_eq!(written(&mut blocks, &next, true).1[6..], [0xc3, 0x42, 0, 10, 0x33, 0], "the next frame of the line");
    assert_eq!(written(&mut blocks, &loud(7), true).1, [0xbe, 0xde, 0, 1, 0x10, 7, 0, 0]);
    assert_eq!(written(&mut blocks, &next, true).1[6..], [0xc3, 0x42, 0, 10, 0x33, 0]);
}

#[test]
fn a_long_descriptor_makes_all_elements_of_its_packet_two_byte_ones_up_to_the_longest() {
    for len in [17, 60, 255] {
        let mut extensions = loud(7);
        extensions.set_orientation(&[3]);
        extensions.set_capture_time(&[0xcc; 16]);
        let mut blocks = blocks(ExtensionIds { mid: Some((4, "m".repeat(LONGEST_MID))), ..all() });
        blocks.set_playout_delay(Duration::from_millis(10));
        let value = [&[0x80, 0, 9][..], &vec![0xdd; len - 3]].concat();
        let extensions = described(extensions, &value);
        blocks.begin(&extensions, 100);
        let (_, block) = written(&mut blocks, &extensions, true);
        assert_eq!((&block[..2], block.len()), (&[0x10, 0][..], 4 + 4 * usize::from(block[3])));
        let (mut rest, mut found) = (&block[4..], Vec::new());
        while let Some((&[id, len], behind)) = rest.split_first_chunk().filter(|([id, _], _)| *id != 0) {
            let (value, behind) = behind.split_at(len.into());
            found.push((id, value));
            rest = behind;
        }
        assert_eq!(found.len(), 8);
        assert_eq!((found[0], found[7]), ((4, "m".repeat(LONGEST_MID).as_bytes()), (12, &value[..])));
        assert!(rest.len() < 4 && rest.iter().all(|octet| *octet == 0));
    }
}

#[test]
fn where_all_do_not_fit_the_descriptor_stands_alone_and_where_there_is_none_nothing() {
    let mut blocks = blocks(all());
    let first = described(loud(7), &[0xc0, 0, 9]);
    blocks.begin(&first, 90);
    assert_eq!((blocks.settle_least(&loud(7), 100), blocks.settle_least(&first, 100)), (0, 8));
    let mut packet = [0xee; 200];
    blocks.write(&first, &mut packet);
    assert_eq!(packet[HEADER_LEN..HEADER_LEN + 8], [0xbe, 0xde, 0, 1, 0xc2, 0xc0, 0, 9]);
    assert_eq!(blocks.settle_least(&first, 89), 0, "before the segment");
}
