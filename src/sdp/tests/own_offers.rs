//! Offers of the relay's own, and the answers of servers to them.

use std::net::SocketAddr;
use std::path::Path;
use std::{env, fs};

use proptest::prelude::*;

use super::*;

const RIDS: [&str; 3] = ["h", "m", "l"];

fn pull(rids: &[&str]) -> OwnOffer {
    OwnOffer::to_pull(local(), &rids.iter().map(|rid| (*rid).to_owned()).collect::<Vec<_>>())
}

fn formats() -> [Format; 2] {
    [format(Codec::Opus, "minptime=10"), format(Codec::H264, "packetization-mode=1;profile-level-id=64001f")]
}

fn push() -> OwnOffer {
    OwnOffer::to_push(local(), &formats()).unwrap()
}

/// Another relay.
fn other() -> Local {
    let credentials = Credentials { ufrag: "other123".to_owned(), pwd: "otherpasswordotherpassword".to_owned() };
    let candidates = Candidates { udp: vec!["198.51.100.9:8081".parse().unwrap()], tcp: Vec::new() };
    Local { credentials, fingerprint: ["A5"; 32].join(":"), candidates, seed: 8, ..local() }
}

/// The answer of another relay that has a stream with these tracks.
fn answer_of_a_relay(offer: &OwnOffer, tracks: &[Format]) -> String {
    Offer::parse(&offer.text(), Role::Viewer).unwrap().answer_viewer(&other(), tracks).unwrap().answer
}

/// The answer to a pull as MediaMTX and other servers with Pion write it: one codec of each kind, and no data channels.
fn answer_of_pion() -> String {
    let transport = "a=setup:active\r\na=ice-ufrag:KmLhXvzQwErTyUiO\r\na=ice-pwd:abcdefghijklmnopqrstuvwxyzabcdef\r\n\
        a=rtcp-mux\r\na=rtcp-rsize\r\n";
    let fingerprint = ["0F"; 32].join(":");
    let offer = pull(&[]);
    let [audio, video, _] = offer.sections.as_slice() else { panic!("three sections") };
    let number = |section: &crate::sdp::own_section::OwnSection, codec| {
        let payloads = &section.as_media().unwrap().payloads;
        let payload = payloads.iter().find(|payload| payload.format.codec == codec).unwrap();
        (payload.payload_type, payload.rtx_payload_type.unwrap_or_default())
    };
    let ((opus, _), (h264, rtx)) = (number(audio, Codec::Opus), number(video, Codec::H264));
    format!(
        "v=0\r\no=- 4117 1795 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=msid-semantic:WMS *\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\na=extmap-allow-mixed\r\na=group:BUNDLE 0 1\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF {opus}\r\nc=IN IP4 0.0.0.0\r\n{transport}a=mid:0\r\n\
         a=rtpmap:{opus} opus/48000/2\r\na=fmtp:{opus} minptime=10;useinbandfec=1;stereo=1\r\n\
         a=ssrc:1234 cname:mediamtx\r\na=ssrc:1234 msid:mediamtx audio\r\na=msid:mediamtx audio\r\na=sendonly\r\n\
         a=candidate:1 1 udp 2130706431 198.51.100.20 8189 typ host ufrag KmLhXvzQwErTyUiO generation 0\r\n\
         a=candidate:1 2 udp 2130706431 198.51.100.20 8189 typ host ufrag KmLhXvzQwErTyUiO generation 0\r\n\
         a=end-of-candidates\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF {h264} {rtx}\r\nc=IN IP4 0.0.0.0\r\n{transport}a=mid:1\r\n\
         a=rtpmap:{h264} H264/90000\r\n\
         a=fmtp:{h264} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
         a=rtcp-fb:{h264} nack\r\na=rtcp-fb:{h264} nack pli\r\na=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={h264}\r\n\
         a=ssrc-group:FID 5678 5679\r\na=ssrc:5678 cname:mediamtx\r\na=ssrc:5679 cname:mediamtx\r\na=sendonly\r\n\
         m=application 0 UDP/DTLS/SCTP 0\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n"
    )
}

#[track_caller]
fn assert_golden(name: &str, offer: &OwnOffer) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.offer.sdp"));
    if env::var_os("SLUICE_BLESS").is_some() {
        fs::write(&path, offer.text()).unwrap();
    }
    assert_eq!(
        offer.text(),
        fs::read_to_string(&path).unwrap_or_default(),
        "{name} has changed: SLUICE_BLESS=1 writes it"
    );
}

#[track_caller]
fn assert_unfitting(offer: &OwnOffer, answer: &str, says: &str) {
    match offer.read_answer(answer).err() {
        Some(AnswerError::Unfitting(sentence)) if sentence.contains(says) => {}
        other => panic!("not unfitting for {says:?}: {other:?}\n{answer}"),
    }
}

#[test]
fn the_relays_own_offers_are_as_recorded() {
    assert_golden("sluice-pull", &pull(&[]));
    assert_golden("sluice-pull-simulcast", &pull(&RIDS));
    assert_golden("sluice-push", &push());
    assert!(OwnOffer::to_push(local(), &[]).is_none());
}

#[test]
fn each_number_of_an_own_offer_has_one_meaning() {
    for offer in [pull(&RIDS), push()] {
        let media: Vec<_> = offer.sections.iter().filter_map(|section| section.as_media()).collect();
        let mut numbers: Vec<u8> = media.iter().flat_map(|media| &media.payloads).flat_map(Payload::numbers).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
        assert!(numbers.iter().all(|number| !(64..=95).contains(number) && *number < 128));
        assert!(media.iter().flat_map(|media| &media.extensions).all(|(id, _)| (1..=14).contains(id)));
    }
}

#[test]
fn a_pull_from_a_relay_agrees_on_the_streams_format_and_every_other_codec() {
    let offer = pull(&[]);
    let answer = answer_of_a_relay(&offer, &formats());
    let Answered { negotiated, candidates } = offer.read_answer(&answer).unwrap();
    assert_eq!(candidates, ["198.51.100.9:8081".parse::<SocketAddr>().unwrap()]);
    assert!(negotiated.dtls_client && negotiated.answer.is_empty());
    assert_eq!(
        (negotiated.remote.ufrag.as_str(), negotiated.remote.pwd.as_str()),
        ("other123", "otherpasswordotherpassword")
    );
    assert_eq!(negotiated.remote_fingerprint, ["A5"; 32].join(":"));
    let [audio, video] = negotiated.sections.as_slice() else { panic!("two sections") };
    assert_eq!(audio.payloads[0].format.codec, Codec::Opus);
    assert_eq!(audio.payloads[0].red.map(|red| red.blocks), Some(2));
    assert_eq!(video.payloads[0].format.parameter("profile-level-id"), Some("640034"));
    let codecs: Vec<Codec> = video.payloads.iter().map(|payload| payload.format.codec).collect();
    for codec in [Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H265] {
        assert!(codecs.contains(&codec), "{codec:?}");
    }
    assert!(video.remote_ssrc.is_some() && video.remote_rtx_ssrc.is_some() && video.rtx_ssrc.is_none());
    for extension in [Extension::Mid, Extension::VideoOrientation, Extension::DependencyDescriptor] {
        assert!(video.extension_id(extension).is_some(), "{extension:?}");
    }
    assert!(negotiated.application.is_some());
}

#[test]
fn a_pull_of_a_stream_without_a_publisher_keeps_every_profile_that_the_server_may_send() {
    let offer = pull(&[]);
    let negotiated = offer.read_answer(&answer_of_a_relay(&offer, &[])).unwrap().negotiated;
    let profiles = negotiated.sections[1].payloads.iter().filter(|payload| payload.format.codec == Codec::H264).count();
    assert!(profiles >= 4, "{profiles}");
}

#[test]
fn a_push_to_a_relay_sends_with_the_sources_that_its_offer_declares() {
    let offer = push();
    let read = Offer::parse(&offer.text(), Role::Publisher).unwrap().answer_publisher(&other()).unwrap();
    let negotiated = offer.read_answer(&read.answer).unwrap().negotiated;
    for (sent, received) in negotiated.sections.iter().zip(&read.sections) {
        assert_eq!((Some(sent.ssrc), sent.rtx_ssrc), (received.remote_ssrc, received.remote_rtx_ssrc));
        assert_eq!(sent.payloads[0].payload_type, received.payloads[0].payload_type);
    }
    assert_eq!((negotiated.sections.len(), read.sections.len()), (2, 2));
    let video = &negotiated.sections[1];
    assert!(video.payloads[0].feedback.nack && video.payloads[0].feedback.transport_cc);
    assert_eq!(video.payloads[0].format.parameter("profile-level-id"), Some("64001f"));
}

#[test]
fn a_server_with_pion_is_understood() {
    let Answered { negotiated, candidates } = pull(&[]).read_answer(&answer_of_pion()).unwrap();
    assert_eq!(candidates, ["198.51.100.20:8189".parse::<SocketAddr>().unwrap()]);
    assert!(!negotiated.dtls_client && negotiated.application.is_none());
    let [audio, video] = negotiated.sections.as_slice() else { panic!("two sections") };
    assert_eq!((audio.remote_ssrc, video.remote_ssrc, video.remote_rtx_ssrc), (Some(1234), Some(5678), Some(5679)));
}

#[test]
fn recorded_answers_of_a_real_server_with_pion_are_understood() {
    let watched = include_str!("../../../tests/golden/pion-4.2-server-whep.answer.sdp");
    let Answered { negotiated, candidates } = pull(&[]).read_answer(watched).unwrap();
    assert_eq!(candidates.len(), 2);
    let codecs: Vec<Codec> = negotiated.sections.iter().map(|section| section.payloads[0].format.codec).collect();
    assert_eq!((codecs.as_slice(), negotiated.application.is_some()), (&[Codec::Opus, Codec::H264][..], true));
    let published = include_str!("../../../tests/golden/pion-4.2-server-whip.answer.sdp");
    let offer = OwnOffer::to_push(local(), &[format(Codec::Vp8, "")]).unwrap();
    let negotiated = offer.read_answer(published).unwrap().negotiated;
    let [video] = negotiated.sections.as_slice() else { panic!("one section") };
    assert_eq!((numbers(video), video.payloads[0].rtx_payload_type), (vec![96], Some(97)));
    assert!(!negotiated.dtls_client, "it is the client");
}

#[test]
fn a_server_that_sends_simulcast_is_understood_and_only_for_encodings_that_were_asked_for() {
    let offer = pull(&RIDS);
    let number = offer.sections[1].as_media().unwrap().extensions.iter().find(|(_, it)| *it == Extension::RtpStreamId);
    let lines = format!(
        "a=extmap:{} {}\r\na=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l\r\n",
        number.unwrap().0,
        Extension::RtpStreamId.uri()
    );
    let answer = answer_of_pion().replace("a=mid:1\r\n", &format!("a=mid:1\r\n{lines}"));
    let layers = offer.read_answer(&answer).unwrap().negotiated.sections[1].layers.clone();
    assert_eq!(layers.iter().map(|layer| layer.rid.as_str()).collect::<Vec<_>>(), ["h", "l"]);
    assert_unfitting(&pull(&["h"]), &answer, "the simulcast encoding l was not offered");
    assert_unfitting(&pull(&[]), &answer, "the a=extmap id");
    let group = answer_of_pion().replace("a=ssrc-group:FID 5678 5679", "a=ssrc-group:SIM 5678 5679");
    assert_unfitting(&offer, &group, "was not offered");
}

#[test]
fn an_answer_that_accepts_what_was_not_offered_is_refused() {
    let (offer, answer) = (pull(&[]), answer_of_pion());
    let swapped = |from: &str, to: &str| {
        assert!(answer.contains(from), "{from}");
        answer.replace(from, to)
    };
    let cut = answer.split("m=application").next().unwrap().to_owned();
    let opus = offer.sections[0].as_media().unwrap().payloads[0].payload_type;
    for (answer, says) in [
        (cut, "it has 2 sections and the offer 3"),
        (swapped("m=audio", "m=video"), "section 1 of the offer is for audio"),
        (swapped("a=mid:1\r\n", "a=mid:7\r\n").replace("BUNDLE 0 1", "BUNDLE 0 7"), "a=mid is not that of the offer"),
        (swapped(&format!(" {opus}\r\n"), " 34\r\n").replace(&format!(":{opus} "), ":34 "), "payload type 34"),
        (swapped("H264/90000", "VP8/90000"), "was not offered for VP8"),
        (swapped("a=mid:1\r\n", &format!("a=mid:1\r\na=extmap:9 {}\r\n", Extension::Mid.uri())), "a=extmap id 9"),
        (swapped("a=setup:active", "a=setup:actpass"), "a=setup must be active or passive"),
    ] {
        let (first, second) = (answer.find("m=audio"), answer.find("m=video"));
        if first.is_none() && second.is_some() {
            // Two sections of one kind are refused before the comparison.
            assert!(matches!(offer.read_answer(&answer), Err(AnswerError::Unusable(_))), "{says}");
        } else {
            assert_unfitting(&offer, &answer, says);
        }
    }
}

#[test]
fn an_answer_that_declines_everything_or_is_no_answer_says_so() {
    let offer = pull(&[]);
    let declined = answer_of_pion().replace("m=audio 9", "m=audio 0").replace("m=video 9", "m=video 0");
    assert_eq!(offer.read_answer(&declined).err(), Some(AnswerError::NothingAccepted));
    let sentence = offer.read_answer("<html>").err().unwrap().to_string();
    assert!(sentence.contains("the server's answer cannot be used"), "{sentence}");
    let wrong_way = answer_of_pion().replace("a=sendonly", "a=recvonly");
    assert!(matches!(offer.read_answer(&wrong_way), Err(AnswerError::Unusable(_))));
    assert!(matches!(offer.read_answer(""), Err(AnswerError::Unusable(_))));
}

proptest! {
    #[test]
    fn a_mutated_answer_never_panics_and_agrees_on_nothing_that_was_not_offered(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3_u8), 0..12),
    ) {
        let offer = pull(&RIDS);
        let mut lines: Vec<String> = answer_of_pion().lines().map(str::to_owned).collect();
        let relay: Vec<String> = answer_of_a_relay(&offer, &formats()).lines().map(str::to_owned).collect();
        for (place, other, what) in cuts {
            let place = place.index(lines.len().max(1));
            match what {
                0 if place < lines.len() => drop(lines.remove(place)),
                1 => lines.insert(place.min(lines.len()), other.get(&relay).clone()),
                _ if place < lines.len() => lines[place] = other.get(&relay).clone(),
                _ => {}
            }
        }
        let answer = lines.join("\r\n") + "\r\n";
        if let Ok(Answered { negotiated, .. }) = offer.read_answer(&answer) {
            for section in &negotiated.sections {
                let own = offer.sections[section.place].as_media().unwrap();
                let offered: Vec<u8> = own.payloads.iter().flat_map(Payload::numbers).collect();
                prop_assert!(section.payloads.iter().flat_map(Payload::numbers).all(|number| offered.contains(&number)));
                prop_assert!(section.extensions.iter().all(|extension| own.extensions.contains(extension)));
            }
        }
    }
}
