//! STUN: what the codec takes for authentic webrtc-rs takes for authentic as well, and both read the same.

use proptest::prelude::*;
use rtc::crypto::default_provider;
use rtc::stun::attributes::ATTR_USERNAME;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::Message as Reference;
use sluice::ice::stun::{Class, StunMessage, answer, key, request};

use crate::cases;
use crate::change::changed;

const PASSWORD: &str = "passwordpasswordpassword";

fn messages() -> Vec<Vec<u8>> {
    let key = key(PASSWORD);
    let addresses = ["192.0.2.3:5000", "[2001:db8::7]:9"].map(|text| text.parse().expect("an address"));
    let mut messages: Vec<Vec<u8>> = addresses.iter().map(|address| answer(&[5; 12], *address, &key)).collect();
    messages.extend(["abcd:efgh", "a:b", ""].map(|name| request(&[3; 12], name, 7, &key)));
    messages
}

/// `None` if webrtc-rs does not read it; otherwise its user name and whether its integrity holds.
fn reference(datagram: &[u8]) -> Option<(Option<Vec<u8>>, bool)> {
    let mut message = Reference::new();
    message.unmarshal_binary(datagram).ok()?;
    let provider = default_provider().expect("this build has cryptography");
    let is_authentic = MessageIntegrity::check(&mut message, PASSWORD.as_bytes(), provider.crypto()).is_ok();
    Some((message.get(ATTR_USERNAME).ok(), is_authentic))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_message_is_read_as_webrtc_rs_reads_it(datagram in changed(messages())) {
        let Some(message) = StunMessage::parse(&datagram) else { return Ok(()) };
        prop_assert!(datagram.len() <= 1500 && datagram.len().is_multiple_of(4));
        prop_assert_eq!(&message.transaction[..], &datagram[8..20]);
        if message.is_authentic(&key(PASSWORD)) {
            prop_assert!(message.is_signed() && !message.is_authentic(&key("another password than that")));
            let read = reference(&datagram);
            prop_assert_eq!(read, Some((message.username.map(<[u8]>::to_vec), true)));
        }
    }

    #[test]
    fn a_request_and_its_answer_read_back(
        transaction in any::<[u8; 12]>(),
        username in "[a-zA-Z0-9+/]{1,60}:[a-zA-Z0-9+/]{1,60}",
        tie_breaker in any::<u64>(),
        address in any::<std::net::SocketAddr>(),
    ) {
        let key = key(PASSWORD);
        for (datagram, class) in
            [(request(&transaction, &username, tie_breaker, &key), Class::Request), (answer(&transaction, address, &key), Class::Success)]
        {
            let message = StunMessage::parse(&datagram).expect("it is ours");
            prop_assert!(message.is_authentic(&key) && message.class == class && message.transaction == transaction);
            let username = (class == Class::Request).then(|| username.clone().into_bytes());
            prop_assert_eq!(reference(&datagram), Some((username, true)));
        }
    }

    #[test]
    fn what_stands_behind_the_integrity_is_not_believed(
        message in prop::sample::select(messages()),
        attributes in prop::collection::vec(
            (prop::sample::select(vec![6u16, 8, 0x20, 0x24, 0x25, 0x8029]), prop::collection::vec(any::<u8>(), 0..30)), 1..4,
        ),
    ) {
        let mut longer = message[..message.len() - 8].to_vec();
        for (kind, value) in attributes {
            longer.extend(kind.to_be_bytes());
            longer.extend((value.len() as u16).to_be_bytes());
            longer.extend(value);
            longer.resize(longer.len().next_multiple_of(4), 0);
        }
        let length = (longer.len() - 20) as u16;
        longer[2..4].copy_from_slice(&length.to_be_bytes());
        let (plain, longer) = (StunMessage::parse(&message).expect("it is ours"), StunMessage::parse(&longer).expect("it is whole"));
        prop_assert!(longer.is_authentic(&key(PASSWORD)));
        prop_assert_eq!((longer.username, longer.use_candidate), (plain.username, plain.use_candidate));
    }

    #[test]
    fn no_changed_octet_of_what_is_signed_goes_unnoticed(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut datagram = request(&[3; 12], "abcd:efgh", 7, &key(PASSWORD));
        // FINGERPRINT, which is not signed, has the last eight octets.
        let at = at.index(datagram.len() - 8);
        datagram[at] ^= 1 << bit;
        prop_assert!(StunMessage::parse(&datagram).is_none_or(|message| !message.is_authentic(&key(PASSWORD))));
    }
}
