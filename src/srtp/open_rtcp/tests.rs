//! The opener against the documents' packets, against webrtc-rs's own SRTCP, and against hostile bytes.

use std::collections::HashSet;

use aes::cipher::{BlockEncrypt, KeyInit, generic_array::GenericArray};
use hmac::{Hmac, Mac};
use proptest::prelude::*;
use rtc::srtp::context::Context;
use rtc::srtp::protection_profile::ProtectionProfile;

use super::super::gcm::Gcm;
use super::super::keys::{KdfLabel, SrtpProfile};
use super::*;

const PROFILES: [SrtpProfile; 2] = [SrtpProfile::Aes128Gcm, SrtpProfile::Aes128CmSha1_80];

/// A receiver report without blocks of this SSRC, and a BYE of the same.
fn compound(ssrc: u32) -> Vec<u8> {
    let ssrc = ssrc.to_be_bytes();
    [&[0x80, 201, 0, 1], &ssrc[..], &[0x81, 203, 0, 1], &ssrc].concat()
}

fn master(profile: SrtpProfile) -> MasterKey {
    let mut salt = [0x5a; 14];
    salt[0] = 3;
    MasterKey { profile, key: *b"sixteen  byte ke", salt }
}

fn opener(profile: SrtpProfile) -> RtcpOpener {
    RtcpOpener::new(&master(profile))
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

/// A compound of this SSRC, sealed with this index word: the E flag and the index. Without the E flag it is
/// authenticated alone.
fn sealed(profile: SrtpProfile, ssrc: u32, word: u32) -> Vec<u8> {
    match profile {
        SrtpProfile::Aes128Gcm => sealed_by_gcm(ssrc, word),
        SrtpProfile::Aes128CmSha1_80 => sealed_by_cm(ssrc, word),
    }
}

fn sealed_by_gcm(ssrc: u32, word: u32) -> Vec<u8> {
    let (mut packet, word_octets) = (compound(ssrc), word.to_be_bytes());
    let is_encrypted = word & ENCRYPTED != 0;
    let clear = if is_encrypted { RTCP_CLEAR_LEN } else { packet.len() };
    let authenticated = [&packet[..clear], &word_octets].concat();
    let mut tag = [0; Gcm::TAG_LEN];
    let gcm = Gcm::new(&master(SrtpProfile::Aes128Gcm), Protocol::Rtcp);
    assert!(gcm.seal(ssrc, (word & RTCP_MAX_INDEX).into(), &authenticated, &mut packet[clear..], &mut tag));
    [&packet[..], &tag, &word_octets].concat()
}

fn sealed_by_cm(ssrc: u32, word: u32) -> Vec<u8> {
    let master = master(SrtpProfile::Aes128CmSha1_80);
    let (mut key, mut salt, mut authentication) = ([0; 16], [0; 16], [0; 20]);
    master.derive(Protocol::Rtcp, KdfLabel::Encryption, &mut key);
    master.derive(Protocol::Rtcp, KdfLabel::Salt, &mut salt[..14]);
    master.derive(Protocol::Rtcp, KdfLabel::Authentication, &mut authentication);
    let mut packet = compound(ssrc);
    if word & ENCRYPTED != 0 {
        let index = u128::from(word & RTCP_MAX_INDEX);
        let first = u128::from_be_bytes(salt) ^ u128::from(ssrc) << 64 ^ index << 16;
        let cipher = aes::Aes128::new(&key.into());
        for (counter, chunk) in (0..).zip(packet[RTCP_CLEAR_LEN..].chunks_mut(16)) {
            let mut block = GenericArray::from((first + counter).to_be_bytes());
            cipher.encrypt_block(&mut block);
            chunk.iter_mut().zip(block).for_each(|(octet, key)| *octet ^= key);
        }
    }
    packet.extend(word.to_be_bytes());
    let mut mac = <Hmac<sha1::Sha1> as Mac>::new_from_slice(&authentication).unwrap();
    mac.update(&packet);
    packet.extend(&mac.finalize().into_bytes()[..10]);
    packet
}

#[test]
fn opens_the_packet_of_rfc_7714_17_1_1() {
    let key = std::array::from_fn(|byte| byte as u8);
    let transform = Transform::Gcm(Gcm::with_session_key(&key, *b"Quid pro quo"));
    let mut opener = RtcpOpener { transform, sources: Vec::new() };
    let clear = [
        0x81c8_000d,
        0x4d61_7273,
        0x4e54_5031,
        0x4e54_5032,
        0x5254_5020,
        0x0000_042a,
        0x0000_e930,
        0x4c75_6e61,
        0xdead_beef,
        0xdead_beef,
        0xdead_beef,
        0xdead_beef,
        0xdead_beef_u32,
    ];
    let sealed = [
        0x81c8_000d,
        0x4d61_7273,
        0x63e9_4885,
        0xdcda_b67c,
        0xa727_d766,
        0x2f6b_7e99,
        0x7ff5_c0f7,
        0x6c06_f32d,
        0xc676_a5f1,
        0x730d_6fda,
        0x4ce0_9b46,
        0x8630_3ded,
        0x0bb9_275b,
        0xc84a_a458,
        0x96cf_4d2f,
        0xc5ab_f872,
        0x45d9_eade,
        0x8000_05d4_u32,
    ];
    let mut datagram: Vec<u8> = sealed.iter().flat_map(|word| word.to_be_bytes()).collect();
    let clear: Vec<u8> = clear.iter().flat_map(|word| word.to_be_bytes()).collect();
    assert_eq!(opener.open(&mut datagram), Ok(&clear[..]));
}

#[test]
fn opens_the_packet_that_libsrtp_checks_itself_with() {
    let mut opener = RtcpOpener::new(&MasterKey {
        profile: SrtpProfile::Aes128CmSha1_80,
        key: 0xE1F9_7A0D_3E01_8BE0_D64F_A32C_06DE_4139_u128.to_be_bytes(),
        salt: [0x0E, 0xC6, 0x75, 0xAD, 0x49, 0x8A, 0xFE, 0xEB, 0xB6, 0x96, 0x0B, 0x3A, 0xAB, 0xE6],
    });
    let header = [0x81, 0xc8, 0x00, 0x0b, 0xca, 0xfe, 0xba, 0xbe];
    let encrypted = 0x7128_035b_e487_b9bd_bef8_9041_f977_a5a8_u128.to_be_bytes();
    let trailer = [0x80, 0, 0, 1, 0x99, 0x3e, 0x08, 0xcd, 0x54, 0xd6, 0xc1, 0x23, 0x07, 0x98];
    let mut datagram = [&header[..], &encrypted, &trailer].concat();
    assert_eq!(opener.open(&mut datagram), Ok(&[&header[..], &[0xab; 16]].concat()[..]));
}

#[test]
fn what_webrtc_rs_seals_is_opened_here_and_the_other_way_round() {
    for profile in PROFILES {
        let (mut opener, mut context) = (opener(profile), webrtc_context(profile));
        for ssrc in [7, 8, 7, 7, 8] {
            let mut datagram = context.encrypt_rtcp(&compound(ssrc)).unwrap().to_vec();
            assert_eq!(opener.open(&mut datagram), Ok(&compound(ssrc)[..]), "{profile:?}");
        }
        for index in [9, 10, RTCP_MAX_INDEX] {
            let datagram = sealed(profile, 7, ENCRYPTED | index);
            assert_eq!(context.decrypt_rtcp(&datagram).unwrap(), compound(7), "{profile:?} {index:#x}");
        }
    }
}

#[test]
fn an_index_is_opened_once_for_each_ssrc_and_sixty_three_behind_the_highest_one() {
    for profile in PROFILES {
        let mut opener = opener(profile);
        let mut open = |ssrc, index: u32| opener.open(&mut sealed(profile, ssrc, ENCRYPTED | index)).map(<[u8]>::len);
        assert_eq!((open(1, 100), open(1, 100)), (Ok(16), Err(DropReason::Replayed)));
        assert_eq!((open(2, 100), open(2, 100)), (Ok(16), Err(DropReason::Replayed)));
        assert_eq!(
            (open(1, 37), open(1, 37), open(1, 36)),
            (Ok(16), Err(DropReason::Replayed), Err(DropReason::Replayed))
        );
        assert_eq!((open(1, 103), open(1, 100), open(1, 102)), (Ok(16), Err(DropReason::Replayed), Ok(16)));
        assert_eq!((open(1, 1000), open(1, 103), open(1, 999)), (Ok(16), Err(DropReason::Replayed), Ok(16)));
    }
}

#[test]
fn after_the_last_index_nothing_begins_again() {
    for profile in PROFILES {
        let mut opener = opener(profile);
        let mut open = |index: u32| opener.open(&mut sealed(profile, 1, ENCRYPTED | index)).map(<[u8]>::len);
        assert_eq!((open(RTCP_MAX_INDEX - 1), open(RTCP_MAX_INDEX)), (Ok(16), Ok(16)));
        for index in [0, 1, RTCP_MAX_INDEX - 1, RTCP_MAX_INDEX] {
            assert_eq!(open(index), Err(DropReason::Replayed), "{profile:?} {index:#x}");
        }
    }
}

#[test]
fn authentic_packets_without_encryption_are_refused() {
    for profile in PROFILES {
        let mut opener = opener(profile);
        assert_eq!(opener.open(&mut sealed(profile, 1, 5)), Err(DropReason::Unauthentic), "{profile:?}");
        assert!(opener.open(&mut sealed(profile, 1, ENCRYPTED | 5)).is_ok(), "{profile:?}");
    }
}

#[test]
fn the_packets_of_another_ssrc_index_or_key_are_refused_and_leave_no_state() {
    for profile in PROFILES {
        let mut opener = opener(profile);
        let genuine = sealed(profile, 1, ENCRYPTED | 5);
        let mut of_another_ssrc = genuine.clone();
        of_another_ssrc[7] = 2;
        let word = genuine.len() - RTCP_INDEX_LEN - if profile == PROFILES[0] { 0 } else { 10 };
        let mut of_another_index = genuine.clone();
        of_another_index[word + 3] = 6;
        let mut other = master(profile);
        other.key[0] ^= 1;
        assert_eq!(RtcpOpener::new(&other).open(&mut genuine.clone()), Err(DropReason::Unauthentic));
        for mut forged in [of_another_ssrc, of_another_index] {
            assert_eq!(opener.open(&mut forged), Err(DropReason::Unauthentic), "{profile:?}");
        }
        assert_eq!(opener.sources.capacity(), 0);
        assert!(opener.open(&mut genuine.clone()).is_ok());
    }
}

#[test]
fn the_seventeenth_ssrc_is_refused_and_the_others_go_on() {
    let mut opener = opener(PROFILES[0]);
    let mut open = |ssrc, index| opener.open(&mut sealed(PROFILES[0], ssrc, ENCRYPTED | index)).map(<[u8]>::len);
    assert!((0..16).all(|ssrc| open(ssrc, 1) == Ok(16)));
    assert_eq!(open(16, 1), Err(DropReason::TooManySsrcs));
    assert_eq!(open(3, 2), Ok(16));
}

#[test]
fn a_packet_that_is_cut_anywhere_is_refused() {
    for profile in PROFILES {
        let genuine = sealed(profile, 1, ENCRYPTED | 5);
        for len in 0..genuine.len() {
            let mut opener = opener(profile);
            let is_short = len < RTCP_CLEAR_LEN + RTCP_INDEX_LEN + opener.transform.tag_len();
            let opened = opener.open(&mut genuine[..len].to_vec()).map(<[u8]>::len);
            assert_eq!(opened, Err(if is_short { DropReason::TooShort } else { DropReason::Unauthentic }), "{len}");
        }
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for profile in PROFILES {
            prop_assert!(opener(profile).open(&mut bytes.clone()).is_err());
        }
    }

    #[test]
    fn one_flipped_bit_anywhere_is_noticed_and_moves_nothing(bit in 0usize..8 * 36) {
        for profile in PROFILES {
            let mut opener = opener(profile);
            opener.open(&mut sealed(profile, 1, ENCRYPTED | 500)).unwrap();
            let genuine = sealed(profile, 1, ENCRYPTED | 501);
            let mut forged = genuine.clone();
            let at = bit / 8 % forged.len();
            forged[at] ^= 1 << (bit % 8);
            prop_assert!(opener.open(&mut forged).is_err());
            prop_assert_eq!(opener.open(&mut { genuine }).map(<[u8]>::to_vec), Ok(compound(1)));
        }
    }

    #[test]
    fn an_index_is_admitted_once_and_a_fresh_one_always(
        start in prop_oneof![0u32..100, 0..RTCP_MAX_INDEX, RTCP_MAX_INDEX - 100..=RTCP_MAX_INDEX],
        steps in prop::collection::vec(prop_oneof![8 => -40i32..60, 2 => -200i32..200, 1 => 0i32..9000], 1..400),
    ) {
        let mut source = Source { ssrc: 1, highest: start, seen: 1 };
        let mut model = HashSet::from([start]);
        for step in steps {
            let Some(index) = source.highest.checked_add_signed(step).filter(|index| *index <= RTCP_MAX_INDEX) else {
                continue;
            };
            let is_old = index + 64 <= source.highest;
            prop_assert_eq!(source.admits(index), !is_old && model.insert(index));
            if !is_old {
                source.accept(index);
                prop_assert!(!source.admits(index));
            }
            prop_assert_eq!(source.highest, *model.iter().max().unwrap());
        }
    }
}
