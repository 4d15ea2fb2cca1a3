//! Trickled fragments: counts are those of the text, and an answer to a restart reads back.

use proptest::prelude::*;
use sluice::ice::Credentials;
use sluice::sdp::{Candidates, TrickleFragment};

use crate::cases;
use crate::change::changed_lines;

const TRICKLE: &str = "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n\
    a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
    a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
    a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host generation 0\r\na=end-of-candidates\r\n";

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_fragment_brings_what_its_lines_say(
        text in changed_lines(vec![TRICKLE.to_owned()], TRICKLE.lines().map(str::to_owned).collect()),
    ) {
        match TrickleFragment::parse(&text) {
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
            Ok(fragment) => {
                let named = |name: &str| {
                    let has = |line: &&str| *line == format!("a={name}") || line.starts_with(&format!("a={name}:"));
                    text.lines().filter(has).count()
                };
                prop_assert_eq!(fragment.candidates, named("candidate"));
                prop_assert_eq!(fragment.end_of_candidates, named("end-of-candidates") > 0);
                prop_assert!(fragment.credentials.is_none() || named("ice-ufrag") > 0 && named("ice-pwd") > 0);
                answer_reads_back(&fragment)?;
            }
        }
    }
}

fn answer_reads_back(fragment: &TrickleFragment) -> Result<(), TestCaseError> {
    let local = Credentials { ufrag: "relay123".to_owned(), pwd: "relaypasswordrelaypassword".to_owned() };
    let addresses = ["203.0.113.7:8081", "[2001:db8::7]:8081"].map(|text| text.parse().expect("an address"));
    let candidates = Candidates { udp: addresses.to_vec(), tcp: addresses.to_vec() };
    let answer = fragment.answer_restart(&local, &candidates);
    let read = TrickleFragment::parse(&answer).map_err(|error| TestCaseError::fail(format!("{error}: {answer}")))?;
    prop_assert_eq!((read.candidates, read.end_of_candidates), (2 * addresses.len(), true));
    let credentials = read.credentials.map(|credentials| (credentials.ufrag, credentials.pwd));
    prop_assert_eq!(credentials, Some((local.ufrag, local.pwd)));
    Ok(())
}
