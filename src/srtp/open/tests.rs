//! The opener against the sealer, against webrtc-rs's own SRTP, and against hostile bytes.

use proptest::prelude::*;
use rtc::srtp::context::Context;
use rtc::srtp::protection_profile::ProtectionProfile;

use super::super::{MasterKey, Sealer, SrtpProfile};
use super::*;

const PROFILES: [SrtpProfile; 2] = [SrtpProfile::Aes128Gcm, SrtpProfile::Aes128CmSha1_80];

fn master(profile: SrtpProfile) -> MasterKey {
    let mut salt = [0x5a; 14];
    salt[0] = 3;
    MasterKey { profile, key: *b"sixteen  byte ke", salt }
}

fn webrtc_context(profile: SrtpProfile) -> Context {
    let master = master(profile);
    let theirs = match profile {
        SrtpProfile::Aes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProfile::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let provider = rtc::crypto::default_provider().unwrap();
    let salt = &master.salt[..profile.salt_len()];
    Context::new(&master.key, salt, theirs, None, None, provider.crypto()).unwrap()
}

fn packet(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0xe0];
    packet.extend(sequence.to_be_bytes());
    packet.extend(77u32.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

fn sealed(sealer: &mut Sealer, index: u64, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    seal(sealer, index, packet(ssrc, index as u16, payload), 12)
}

fn seal(sealer: &mut Sealer, index: u64, mut packet: Vec<u8>, header_len: usize) -> Vec<u8> {
    let len = packet.len();
    packet.resize(len + sealer.overhead(), 0);
    sealer.seal(&mut packet, header_len, len, index).unwrap();
    packet
}

#[test]
fn webrtc_rs_opens_what_is_sealed_here() {
    for profile in PROFILES {
        let (mut sealer, mut context) = (Sealer::new(&master(profile)), webrtc_context(profile));
        for index in [0x7ff0, 0x7ff1, 0xf000, 0xfffe, 0xffff, 0x1_0000, 0x1_0001] {
            let datagram = sealed(&mut sealer, index, 9, b"payload");
            let opened = context.decrypt_rtp(&datagram).unwrap();
            assert_eq!(opened[..], packet(9, index as u16, b"payload"), "{profile:?} {index:#x}");
        }
    }
}

#[test]
fn what_webrtc_rs_seals_is_opened_here() {
    for profile in PROFILES {
        let (mut context, mut opener) = (webrtc_context(profile), Opener::new(&master(profile)));
        for index in [0x9000u64, 0xfff0, 0xffff, 0x1_0000, 0x1_0001] {
            let mut clear = packet(9, index as u16, b"payload");
            // An extension: it belongs to the header, so it is authenticated and stays readable.
            clear[0] |= 0x10;
            clear.splice(12..12, [0xBE, 0xDE, 0, 1, 0x32, 1, 2, 3]);
            let mut datagram = context.encrypt_rtp(&clear).unwrap().to_vec();
            let opened = opener.open(&mut datagram).unwrap();
            assert_eq!((opened.index, opened.ssrc, opened.header_len), (index, 9, 20));
            assert_eq!(&datagram[opened.payload], b"payload");
            assert!(opened.extension.unwrap().elements(&datagram).eq([(3, &[1, 2, 3][..])]));
        }
    }
}

#[test]
fn padding_is_removed_and_may_be_all_there_is() {
    let (mut sealer, mut opener) = (Sealer::new(&master(PROFILES[0])), Opener::new(&master(PROFILES[0])));
    let mut open = |sequence: u16, payload: &[u8]| {
        let mut clear = packet(1, sequence, payload);
        clear[0] |= 0x20;
        let opened = opener.open(&mut seal(&mut sealer, sequence.into(), clear, 12));
        opened.map(|opened| opened.payload)
    };
    assert_eq!(open(1, &[7, 7, 0, 0, 3]), Ok(12..14));
    assert_eq!(open(2, &[0, 0, 3]), Ok(12..12));
    assert_eq!(open(3, &[0, 0, 4]), Err(DropReason::NotRtp));
    assert_eq!(open(4, &[0, 0, 0]), Err(DropReason::NotRtp));
    assert_eq!(open(5, &[]), Err(DropReason::NotRtp));
}

#[test]
fn a_packet_is_opened_once() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = (Sealer::new(&master(profile)), Opener::new(&master(profile)));
        let late = sealed(&mut sealer, 999, 1, b"late");
        for index in [1000, 1001, 1003] {
            let datagram = sealed(&mut sealer, index, 1, b"x");
            assert_eq!(opener.open(&mut datagram.clone()).unwrap().index, index);
            assert_eq!(opener.open(&mut datagram.clone()), Err(DropReason::Replayed));
        }
        assert_eq!(opener.open(&mut late.clone()).unwrap().index, 999);
        assert_eq!(opener.open(&mut late.clone()), Err(DropReason::Replayed));
    }
}

#[test]
fn a_source_whose_first_packets_are_lost_may_have_wrapped() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = (Sealer::new(&master(profile)), Opener::new(&master(profile)));
        let datagram = sealed(&mut sealer, 0x1_0005, 1, b"x");
        let mut forged = datagram.clone();
        forged[12] ^= 1;
        assert_eq!(opener.open(&mut forged), Err(DropReason::Unauthentic));
        assert_eq!(opener.open(&mut datagram.clone()).unwrap().index, 0x1_0005);
        assert_eq!(opener.open(&mut sealed(&mut sealer, 0xfffe, 1, b"y")).unwrap().index, 0xfffe);
    }
}

#[test]
fn a_million_ssrcs_of_a_stranger_leave_no_state() {
    let mut opener = Opener::new(&master(PROFILES[0]));
    for ssrc in 0..1_000_000u32 {
        let mut datagram = packet(ssrc, 40_000, &[0; 20]);
        assert_eq!(opener.open(&mut datagram), Err(DropReason::Unauthentic));
    }
    assert_eq!(opener.sources.capacity(), 0);
}

/// A publisher that uses a new SSRC for each packet.
fn one_packet(sealer: &mut Sealer, ssrc: u32) -> Vec<u8> {
    sealed(sealer, 50_000, ssrc, b"x")
}

#[test]
fn a_silent_ssrc_makes_room_and_goes_on_where_it_was() {
    let (mut sealer, mut opener) = (Sealer::new(&master(PROFILES[0])), Opener::new(&master(PROFILES[0])));
    let (start, ms) = (Instant::now(), Duration::from_millis(1));
    let first = sealed(&mut sealer, 0x1_0005, 0, b"x");
    assert!(opener.open_at(&mut first.clone(), start).is_ok());
    for ssrc in 1..16 {
        assert!(opener.open_at(&mut one_packet(&mut sealer, ssrc), start + 100 * ms).is_ok());
    }
    let one_more = one_packet(&mut sealer, 16);
    assert_eq!(opener.open_at(&mut one_more.clone(), start + 499 * ms), Err(DropReason::TooManySsrcs));
    assert!(opener.open_at(&mut { one_more }, start + 500 * ms).is_ok(), "the first one has been silent longest");
    assert_eq!(opener.open_at(&mut one_packet(&mut sealer, 17), start + 500 * ms), Err(DropReason::TooManySsrcs));
    let later = start + 700 * ms;
    assert_eq!(opener.open_at(&mut first.clone(), later), Err(DropReason::Replayed));
    assert_eq!(opener.open_at(&mut sealed(&mut sealer, 0x1_0004, 0, b"x"), later), Err(DropReason::Replayed));
    let next = sealed(&mut sealer, 0x1_0009, 0, b"x");
    assert_eq!(opener.open_at(&mut next.clone(), later).unwrap().index, 0x1_0009);
    assert_eq!(opener.open_at(&mut sealed(&mut sealer, 0x1_0007, 0, b"x"), later).unwrap().index, 0x1_0007);
    assert_eq!(opener.open_at(&mut { first }, later), Err(DropReason::Replayed));
    assert_eq!(opener.open_at(&mut { next }, later), Err(DropReason::Replayed));
}

#[test]
fn new_ssrcs_without_end_are_taken_at_a_bounded_rate_in_flat_memory_and_never_twice() {
    let (mut sealer, mut opener) = (Sealer::new(&master(PROFILES[0])), Opener::new(&master(PROFILES[0])));
    let start = Instant::now();
    let at = |number: u32| start + Duration::from_millis(40) * number;
    for ssrc in 0..20_000 {
        assert!(opener.open_at(&mut one_packet(&mut sealer, ssrc), at(ssrc)).is_ok(), "there is no end: {ssrc}");
    }
    for ssrc in (0..20_000).step_by(7) {
        let replayed = opener.open_at(&mut one_packet(&mut sealer, ssrc), at(20_000 + ssrc));
        assert_eq!(replayed, Err(DropReason::Replayed), "{ssrc}");
    }
    assert_eq!((opener.sources.len(), opener.sources.capacity()), (MAX_SSRCS, MAX_SSRCS));
    // A flood is refused before any of it is authenticated.
    let now = at(60_000);
    let taken = (100_000..300_000).filter(|ssrc| opener.open_at(&mut one_packet(&mut sealer, *ssrc), now).is_ok());
    assert!(taken.count() <= MAX_SSRCS);
    assert!(opener.retired.size() < 2 << 20);
}

#[test]
fn strangers_use_up_nothing_of_what_new_ssrcs_are_allowed() {
    let (mut sealer, mut opener) = (Sealer::new(&master(PROFILES[0])), Opener::new(&master(PROFILES[0])));
    let now = Instant::now();
    for ssrc in 0..1_000 {
        let mut forged = packet(ssrc, 40_000, &[0; 20]);
        assert_eq!(opener.open_at(&mut forged, now), Err(DropReason::Unauthentic));
    }
    assert!(opener.open_at(&mut one_packet(&mut sealer, 7), now).is_ok());
}

#[test]
fn the_seventeenth_ssrc_is_refused_and_the_others_go_on() {
    let (mut sealer, mut opener) = (Sealer::new(&master(PROFILES[0])), Opener::new(&master(PROFILES[0])));
    for ssrc in 0..16 {
        assert!(opener.open(&mut sealed(&mut sealer, 1, ssrc, b"x")).is_ok());
    }
    assert_eq!(opener.open(&mut sealed(&mut sealer, 1, 16, b"x")), Err(DropReason::TooManySsrcs));
    assert!(opener.open(&mut sealed(&mut sealer, 2, 3, b"x")).is_ok());
}

#[test]
fn packets_that_are_not_srtp_are_recognised_by_their_clear_header() {
    let mut opener = Opener::new(&master(PROFILES[0])).accept_payload_types([0x60]);
    assert_eq!(opener.open(&mut []), Err(DropReason::TooShort));
    assert_eq!(opener.open(&mut packet(1, 1, &[0; 15])), Err(DropReason::TooShort));
    assert_eq!(opener.open(&mut packet(1, 1, &[0; 16])), Err(DropReason::Unauthentic));
    assert_eq!(opener.open(&mut packet(1, 1, &[0; 1489])), Err(DropReason::TooLong));
    assert_eq!(opener.open(&mut packet(1, 1, &[0; 1488])), Err(DropReason::Unauthentic));
    assert_eq!(opener.open(&mut [0; 40]), Err(DropReason::NotRtp));
    let mut other = packet(1, 1, &[0; 40]);
    other[1] = 0x61;
    assert_eq!(opener.open(&mut other), Err(DropReason::Undeclared));
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused_without_a_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>()
    ) {
        if version && !bytes.is_empty() {
            bytes[0] = bytes[0] & 0x3f | 0x80;
        }
        for profile in PROFILES {
            prop_assert!(Opener::new(&master(profile)).open(&mut bytes.clone()).is_err());
        }
    }

    #[test]
    fn one_flipped_bit_anywhere_is_noticed_and_moves_nothing(bit in 0usize..8 * 40) {
        for profile in PROFILES {
            let (mut sealer, mut opener) = (Sealer::new(&master(profile)), Opener::new(&master(profile)));
            opener.open(&mut sealed(&mut sealer, 500, 1, b"0123456789")).unwrap();
            let datagram = sealed(&mut sealer, 501, 1, b"0123456789");
            let mut forged = datagram.clone();
            let at = bit / 8 % forged.len();
            forged[at] ^= 1 << (bit % 8);
            prop_assert!(opener.open(&mut forged).is_err());
            prop_assert_eq!(opener.open(&mut datagram.clone()).unwrap().index, 501);
        }
    }

    #[test]
    fn any_stream_of_packets_arrives_with_its_indices(
        start in 0u64..0x8000, steps in prop::collection::vec(1u64..3000, 1..60), payload_len in 0usize..80
    ) {
        for profile in PROFILES {
            let (mut sealer, mut opener) = (Sealer::new(&master(profile)), Opener::new(&master(profile)));
            let mut index = start;
            for step in &steps {
                index += step;
                let payload = vec![index as u8; payload_len];
                let mut datagram = sealed(&mut sealer, index, 1, &payload);
                let opened = opener.open(&mut datagram).unwrap();
                prop_assert_eq!(opened.index, index);
                prop_assert_eq!(&datagram[opened.payload], &payload[..]);
            }
        }
    }
}
