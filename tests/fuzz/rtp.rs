//! The RTP header and its extension against the parser of webrtc-rs.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rtc::shared::marshal::{Marshal as _, Unmarshal as _};
use rtp::header::{Extension, Header};
use sluice::srtp::Clear;

use crate::cases;
use crate::change::changed;

fn packets() -> Vec<Vec<u8>> {
    let fixed = |first: u8| vec![first, 0xe0, 0x12, 0x34, 0, 0, 0, 2, 0, 0, 0, 3];
    let plain = [fixed(0x80), vec![1, 2, 3]].concat();
    let sources = [fixed(0x82), vec![9; 8], vec![1, 2, 3]].concat();
    let one_byte = [fixed(0x90), vec![0xbe, 0xde, 0, 2, 0x10, 0xaa, 0x31, 1, 2, 0, 0, 0], vec![1, 2]].concat();
    let two_byte = [fixed(0xb1), vec![8; 4], vec![0x10, 0, 0, 2, 1, 0, 0, 200, 2, 7, 8, 0], vec![1, 2, 2]].concat();
    let unknown = [fixed(0x90), vec![0xab, 0xcd, 0, 1, 1, 2, 3, 4]].concat();
    vec![plain, sources, one_byte, two_byte, unknown]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_header_that_webrtc_rs_writes_reads_back(
        sources in prop::collection::vec(any::<u32>(), 0..16),
        elements in prop::collection::btree_map(1u8..15, prop::collection::vec(any::<u8>(), 1..17), 0..8),
        wide: bool,
        numbers: (u16, u32, u32),
        (marker, payload_type) in (any::<bool>(), 0u8..128),
    ) {
        let (sequence_number, timestamp, ssrc) = numbers;
        let profile = if wide { 0x1000 } else { 0xbede };
        let mut header = Header { version: 2, marker, payload_type, sequence_number, timestamp, ssrc, csrc: sources, ..Header::default() };
        if !elements.is_empty() {
            (header.extension, header.extension_profile) = (true, profile);
            let written = elements.iter().map(|(id, content)| Extension { id: *id, payload: content.clone().into() });
            header.extensions = written.collect();
        }
        let written = header.marshal().expect("it fits");
        let clear = Clear::read(&written).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        prop_assert_eq!(clear.header_len, written.len());
        prop_assert_eq!((clear.marker, clear.payload_type), (marker, payload_type));
        prop_assert_eq!((clear.sequence, clear.timestamp, clear.ssrc), numbers);
        let read = clear.extension.iter().flat_map(|extension| extension.elements(&written));
        let read: BTreeMap<u8, Vec<u8>> = read.map(|(id, content)| (id, content.to_vec())).collect();
        prop_assert_eq!(read, elements);
    }

    #[test]
    fn a_header_is_read_as_webrtc_rs_reads_it(packet in changed(packets())) {
        let Ok(clear) = Clear::read(&packet) else { return Ok(()) };
        prop_assert!((12..=packet.len()).contains(&clear.header_len));
        let Ok(header) = Header::unmarshal(&mut &packet[..]) else { return Ok(()) };
        prop_assert_eq!((clear.marker, clear.payload_type), (header.marker, header.payload_type));
        prop_assert_eq!((clear.sequence, clear.timestamp, clear.ssrc), (header.sequence_number, header.timestamp, header.ssrc));
        prop_assert_eq!((clear.padding, clear.extension.is_some()), (header.padding, header.extension));
        let Some(extension) = clear.extension else { return Ok(()) };
        prop_assert_eq!(extension.profile, header.extension_profile);
        prop_assert_eq!(extension.range.end, clear.header_len);
        let elements: Vec<(u8, &[u8])> = extension.elements(&packet).collect();
        let octets: usize = elements.iter().map(|(_, content)| 1 + content.len()).sum();
        prop_assert!(octets <= extension.range.len());
        if matches!(header.extension_profile, 0xbede | 0x1000) {
            for (id, content) in elements.iter().filter(|(id, _)| header.get_extension_ids().contains(id)) {
                let all = header.extensions.iter().filter(|extension| extension.id == *id);
                prop_assert!(all.clone().any(|extension| extension.payload == *content), "element {}", id);
            }
        }
    }
}
