//! Offers: what gets an answer gets one that webrtc-rs can read, that fits the offer, and that is the same each time.
//! Answers to offers of the relay's own: what is agreed on was offered.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use rtc::sdp::description::session::SessionDescription;
use sluice::forward::codec::{Codec, Format};
use sluice::ice::Credentials;
use sluice::name::Role;
use sluice::sdp::{Candidates, Local, Offer, OfferError, OwnOffer};

use crate::cases;
use crate::change::changed_lines;

/// The offers of real clients.
static OFFERS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = std::fs::read_dir(directory).expect("the offers are there").map(|entry| entry.expect("listed").path());
    let mut offers: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(".offer.sdp")).collect();
    offers.sort();
    offers.iter().map(|path| std::fs::read_to_string(path).expect("an offer is text")).collect()
});

/// Every line that a client has, and some that none has.
fn lines() -> Vec<String> {
    let all: BTreeSet<&str> = OFFERS.iter().flat_map(|offer| offer.lines()).collect();
    let strange = [
        "m=audio 0 UDP/TLS/RTP/SAVPF 111",
        "m=video 9/65536 UDP/TLS/RTP/SAVPF 96 97 98 127 0 64",
        "m=text 9 RTP/AVP 98",
        "b=AS:18446744073709551615",
        "a=group:BUNDLE",
        "a=mid",
        "a=mid:0",
        "a=rtpmap:96 AV1/90000",
        "a=fmtp:96 profile=256;profile-id=-1;tier-flag=99",
        "a=fmtp:97 apt=97",
        "a=extmap:15/sendonly urn:3gpp:video-orientation",
        "a=extmap:0 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=ssrc-group:FID 1 2",
        "a=ssrc-group:SIM 1 3 5",
        "a=rid:q send",
        "a=rid:q send pt=96,97;max-width=1280",
        "a=rid:h send pt=",
        "a=rid:~ recv",
        "a=simulcast:send q;h",
        "a=simulcast:send ~h,q;x;; recv q",
        "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        "a=max-message-size:0",
        "a=setup:holdconn",
        "a=ice-pwd:short",
        "a=fingerprint:sha-1 00",
    ];
    all.into_iter().chain(strange).map(str::to_owned).collect()
}

fn local() -> Local {
    Local {
        credentials: Credentials { ufrag: "relay123".to_owned(), pwd: "relaypasswordrelaypassword".to_owned() },
        fingerprint: ["5A"; 32].join(":"),
        candidates: Candidates { udp: vec!["203.0.113.7:8081".parse().expect("an address")], tcp: Vec::new() },
        stream: "cam-1".parse().expect("a name"),
        video_orientation: true,
        max_bitrate: 4_000_000,
        seed: 1,
    }
}

fn answer(offer: &str, role: Role, tracks: &[Format]) -> Result<String, OfferError> {
    let offer = Offer::parse(offer, role)?;
    let negotiated = match role {
        Role::Publisher => offer.answer_publisher(&local()),
        Role::Viewer => offer.answer_viewer(&local(), tracks),
    };
    negotiated.map(|negotiated| negotiated.answer)
}

fn own_offers() -> [OwnOffer; 2] {
    let opus = Format { codec: Codec::Opus, clock_rate: 48_000, channels: 2, parameters: String::new() };
    let vp8 = Format { codec: Codec::Vp8, clock_rate: 90_000, channels: 0, parameters: String::new() };
    let rids = ["h", "m", "l"].map(str::to_owned);
    [OwnOffer::to_pull(local(), &rids), OwnOffer::to_push(local(), &[opus, vp8]).expect("there are formats")]
}

/// The answers of a relay to them.
fn answers() -> Vec<String> {
    let roles = [Role::Viewer, Role::Publisher];
    let answer = |(offer, role): (OwnOffer, Role)| answer(&offer.text(), role, &[]).expect("it is accepted");
    own_offers().into_iter().zip(roles).map(answer).collect()
}

fn media_lines(text: &str) -> Vec<Vec<&str>> {
    text.lines().filter_map(|line| line.strip_prefix("m=")).map(|line| line.split_whitespace().collect()).collect()
}

fn assert_answers(offer: &str, answer: &str) -> Result<(), TestCaseError> {
    let read = SessionDescription::unmarshal(&mut Cursor::new(answer));
    prop_assert!(read.is_ok(), "{:?}: {answer}", read.err());
    let (offered, answered) = (media_lines(offer), media_lines(answer));
    prop_assert_eq!(offered.len(), answered.len(), "{}", answer);
    prop_assert_eq!(read.map(|read| read.media_descriptions.len()).ok(), Some(answered.len()));
    for (offered, answered) in offered.iter().zip(&answered) {
        prop_assert_eq!(offered[0], answered[0], "sections keep their media: {}", answer);
        let is_refused = answered[1] == "0";
        let known = answered[3..].iter().all(|format| offered.contains(format));
        prop_assert!(is_refused || known, "{} has a format that was not offered: {}", answered.join(" "), answer);
    }
    prop_assert!(answer.len() <= 16 * 1024 + 8 * offer.len(), "{} octets", answer.len());
    prop_assert!(!answer.contains('\0') && answer.lines().all(|line| line.as_bytes().get(1) == Some(&b'=')));
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_offer_is_refused_in_a_sentence_or_answered(offer in changed_lines(OFFERS.clone(), lines())) {
        let format = |codec: Codec, parameters: &str| Format {
            codec, clock_rate: codec.clock_rate(), channels: 0, parameters: parameters.to_owned(),
        };
        let baseline = format(Codec::H264, "packetization-mode=1;profile-level-id=42e01f");
        for (role, tracks) in [
            (Role::Publisher, vec![]),
            (Role::Viewer, vec![]),
            (Role::Viewer, vec![baseline, format(Codec::Opus, "")]),
            (Role::Viewer, vec![format(Codec::Vp9, "profile-id=2")]),
        ] {
            match answer(&offer, role, &tracks) {
                Ok(text) => {
                    assert_answers(&offer, &text)?;
                    prop_assert_eq!(answer(&offer, role, &tracks).ok(), Some(text), "the same offer, another answer");
                }
                Err(error) => {
                    let sentence = error.to_string();
                    prop_assert!(!sentence.is_empty() && sentence.len() < 512, "{}", sentence);
                    prop_assert!(!sentence.contains(['\r', '\n']), "{:?}", sentence);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_answer_is_refused_in_a_sentence_or_agrees_on_what_was_offered(answer in changed_lines(answers(), lines())) {
        for offer in own_offers() {
            match offer.read_answer(&answer) {
                Ok(answered) => {
                    let offered = media_lines(&answer).len();
                    prop_assert_eq!(offered, media_lines(&offer.text()).len());
                    prop_assert!((1..=2).contains(&answered.negotiated.sections.len()));
                    prop_assert!(answered.candidates.len() <= 32);
                }
                Err(error) => {
                    let sentence = error.to_string();
                    prop_assert!(!sentence.is_empty() && sentence.len() < 640, "{}", sentence);
                    prop_assert!(!sentence.contains(['\r', '\n']), "{:?}", sentence);
                }
            }
        }
    }
}

#[test]
fn every_answer_to_an_own_offer_is_read_as_it_is() {
    for (offer, answer) in own_offers().iter().zip(answers()) {
        assert!(offer.read_answer(&answer).is_ok(), "the changes would begin with an answer that is refused: {answer}");
    }
}

#[test]
fn every_offer_is_answered_as_it_is() {
    for offer in OFFERS.iter() {
        let is_answered = [Role::Publisher, Role::Viewer].into_iter().any(|role| answer(offer, role, &[]).is_ok());
        assert!(is_answered, "the changes would begin with an offer that is refused: {offer}");
    }
}
