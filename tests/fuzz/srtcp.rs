//! SRTCP: of datagrams that were changed on the way only those open that were not, with the compound that was sealed.

use proptest::prelude::*;
use rtc::srtp::context::Context;
use rtc::srtp::protection_profile::ProtectionProfile;
use sluice::srtp::{MasterKey, RtcpOpener, SrtpProfile};

use crate::cases;
use crate::change::changed;

const GCM: MasterKey = MasterKey { profile: SrtpProfile::Aes128Gcm, key: [7; 16], salt: [9; 14] };
const SHA1: MasterKey = MasterKey { profile: SrtpProfile::Aes128CmSha1_80, ..GCM };

/// Compounds of two SSRCs: a report, feedback of 20 octets, and a long one.
fn compounds() -> Vec<Vec<u8>> {
    let feedback = [&[0x8f, 205, 0, 4, 0, 0, 0, 1][..], &[3; 12]].concat();
    let long = [&[0x81, 204, 0, 63, 0, 0, 0, 2][..], &[5; 248]].concat();
    vec![vec![0x80, 201, 0, 1, 0, 0, 0, 1], feedback, long]
}

/// The same as webrtc-rs seals them.
fn sealed(master: &MasterKey) -> Vec<Vec<u8>> {
    let (profile, salt) = match master.profile {
        SrtpProfile::Aes128Gcm => (ProtectionProfile::AeadAes128Gcm, &master.salt[..12]),
        SrtpProfile::Aes128CmSha1_80 => (ProtectionProfile::Aes128CmHmacSha1_80, &master.salt[..]),
    };
    let provider = rtc::crypto::default_provider().expect("there is one");
    let mut context = Context::new(&master.key, salt, profile, None, None, provider.crypto())
        .expect("key and salt have their lengths");
    let seal = |compound: Vec<u8>| context.encrypt_rtcp(&compound).expect("it is a compound").to_vec();
    compounds().into_iter().map(seal).collect()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn only_what_was_sealed_opens_and_forgeries_leave_no_trace(
        forged in prop::collection::vec((any::<bool>(), changed(sealed(&GCM)), changed(sealed(&SHA1))), 1..20),
    ) {
        for master in [GCM, SHA1] {
            let (mut opener, genuine) = (RtcpOpener::new(&master), sealed(&master));
            let mut opened = vec![false; genuine.len()];
            for (of_gcm, by_gcm, by_sha1) in &forged {
                let datagram = if *of_gcm { by_gcm } else { by_sha1 };
                let place = genuine.iter().position(|genuine| genuine == datagram);
                match (opener.open(&mut datagram.clone()), place) {
                    (Ok(compound), Some(place)) => {
                        prop_assert_eq!(compound, &compounds()[place][..]);
                        prop_assert!(!std::mem::replace(&mut opened[place], true), "a second time");
                    }
                    (Err(_), Some(place)) => prop_assert!(opened[place], "a genuine one"),
                    (Err(_), None) => {}
                    (Ok(_), None) => prop_assert!(false, "a forged one: {:?}", datagram),
                }
            }
            for (datagram, opened) in genuine.iter().zip(opened) {
                prop_assert_eq!(opener.open(&mut datagram.clone()).is_ok(), !opened);
            }
        }
    }
}
