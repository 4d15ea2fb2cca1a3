//! DTLS records, handshake fragments and the ClientHello: what is read writes back to the octets that it came from, and
//! a message is whole whatever pieces it comes in.

use proptest::prelude::*;
use sluice::dtls::{DtlsRecord, HandshakeFragment, Reassembly, SrtpProfiles, fragments, records, write_message};

use crate::cases;
use crate::change::changed;

const VERSION: [u8; 2] = [0xfe, 0xfd];
const CLIENT_HELLO: u8 = 1;

/// The body of a ClientHello of a browser's shape, with these SRTP profiles behind `padding` octets of a key share.
fn hello(profiles: &[u16], padding: u16) -> Vec<u8> {
    let mut body = VERSION.to_vec();
    body.extend([7; 32]);
    body.extend([0, 4, 1, 2, 3, 4, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    let mut extensions = vec![0, 23, 0, 0, 0, 51];
    extensions.extend(padding.to_be_bytes());
    extensions.resize(extensions.len() + usize::from(padding), 0xab);
    let list: Vec<u8> = profiles.iter().flat_map(|profile| profile.to_be_bytes()).collect();
    extensions.extend([0, 14]);
    extensions.extend((list.len() as u16 + 3).to_be_bytes());
    extensions.extend((list.len() as u16).to_be_bytes());
    extensions.extend(list);
    extensions.push(0);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    body
}

fn record(content_type: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![content_type, VERSION[0], VERSION[1], 0, epoch, 0, 0, 0, 0, 0, 9];
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn fragment(length: usize, offset: usize, body: &[u8]) -> HandshakeFragment<'_> {
    HandshakeFragment { message_type: CLIENT_HELLO, length, message_sequence: 1, offset, body }
}

/// A fragment as it was on the wire.
fn written(fragment: &HandshakeFragment) -> Vec<u8> {
    let uint24 = |number: usize| (number as u32).to_be_bytes()[1..].to_vec();
    let mut bytes = vec![fragment.message_type];
    bytes.extend(uint24(fragment.length));
    bytes.extend(fragment.message_sequence.to_be_bytes());
    bytes.extend(uint24(fragment.offset));
    bytes.extend(uint24(fragment.body.len()));
    bytes.extend(fragment.body);
    bytes
}

fn datagrams() -> Vec<Vec<u8>> {
    let body = hello(&[1, 7], 20);
    let whole = write_message(VERSION, [0; 8], &fragment(body.len(), 0, &[]), &body);
    let pieces = [&body[..40], &body[40..]];
    let first = record(22, 0, &written(&fragment(body.len(), 0, pieces[0])));
    let second = record(22, 0, &written(&fragment(body.len(), 40, pieces[1])));
    let end = [record(20, 0, &[1]), record(22, 1, &[0x5a; 40])].concat();
    let alerts = [record(21, 0, &[2, 40]), record(21, 1, &[0x5a; 26]), record(23, 1, &[0x5a; 60])].concat();
    vec![whole, first.clone(), [first, second].concat(), end, alerts]
}

fn whole(octets: &[u8], datagram: &[u8]) -> Result<(), TestCaseError> {
    prop_assert!(datagram.starts_with(octets), "{:?} of {:?}", octets, datagram);
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn records_and_fragments_write_back_to_their_octets(datagram in changed(datagrams())) {
        let all: Vec<_> = records(&datagram).collect();
        let good: Vec<DtlsRecord> = all.iter().copied().flatten().collect();
        prop_assert!(all.len() - good.len() <= 1 && all[..good.len()].iter().all(Result::is_ok), "it ends behind the first");
        let mut octets = Vec::new();
        for record in &good {
            octets.push(record.content_type);
            octets.extend(record.version);
            octets.extend(record.sequence);
            octets.extend((record.body.len() as u16).to_be_bytes());
            octets.extend(record.body);
            let read: Vec<HandshakeFragment> = fragments(*record).map_while(Result::ok).collect();
            whole(&read.iter().flat_map(written).collect::<Vec<u8>>(), record.body)?;
            for fragment in read {
                prop_assert!(fragment.offset + fragment.body.len() <= fragment.length && fragment.length <= 16_000);
            }
        }
        whole(&octets, &datagram)?;
        prop_assert!(all.len() > good.len() || octets.len() == datagram.len(), "all is read, or the rest is malformed");
    }

    #[test]
    fn a_hello_says_its_profiles_or_nothing(body in changed(vec![hello(&[1, 7], 0), hello(&[7], 200), hello(&[2], 3)])) {
        let profiles = SrtpProfiles::of(&body).unwrap_or_default();
        let has = |profile: [u8; 2]| body.windows(2).any(|octets| octets == profile);
        prop_assert!(!profiles.gcm || has([0, 7]));
        prop_assert!(!profiles.sha1_80 || has([0, 1]));
    }

    #[test]
    fn profiles_are_found_whatever_stands_before_them(profiles in prop::collection::vec(0u16..10, 0..6), padding in 0u16..2000) {
        let found = SrtpProfiles::of(&hello(&profiles, padding));
        prop_assert_eq!(found, Some(SrtpProfiles { gcm: profiles.contains(&7), sha1_80: profiles.contains(&1) }));
    }

    #[test]
    fn a_hello_in_pieces_is_whole_when_each_octet_has_come(
        pieces in prop::collection::vec((any::<prop::sample::Index>(), 1usize..400), 0..12),
        padding in 0u16..900,
    ) {
        let body = hello(&[7], padding);
        let record = DtlsRecord { content_type: 22, version: VERSION, sequence: [0; 8], body: &[] };
        let mut reassembly = Reassembly::new(&record, &fragment(body.len(), 0, &[]));
        let mut has = vec![false; body.len()];
        // The last piece is all of it, so that the message is whole at the end.
        let places = pieces.iter().map(|(at, count)| (at.index(body.len()), *count)).chain([(0, body.len())]);
        for (start, count) in places {
            let end = (start + count).min(body.len());
            let piece = fragment(body.len(), start, &body[start..end]);
            prop_assert!(reassembly.fits(&piece));
            reassembly.push(&piece);
            has[start..end].fill(true);
            let finished = reassembly.finish(&piece);
            prop_assert_eq!(finished.is_some(), has.iter().all(|has| *has));
            let Some(datagram) = finished else { continue };
            let record = records(&datagram).next().and_then(Result::ok).expect("one record");
            let message = fragments(record).next().and_then(Result::ok).expect("one fragment");
            prop_assert_eq!(message.body, &body[..]);
        }
    }
}
