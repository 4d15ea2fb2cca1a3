//! Offers from an attacker: whatever the text, an answer that is SDP or an error, and never a panic.

use std::io::Cursor;

use proptest::prelude::*;
use rtc::sdp::description::session::SessionDescription;

use super::*;

/// Real offers of the clients in tests/golden, which are mutated here.
const REAL: [&str; 5] = [
    include_str!("../../../tests/golden/chromium-156-whip-simulcast.offer.sdp"),
    include_str!("../../../tests/golden/chromium-156-whep-data.offer.sdp"),
    include_str!("../../../tests/golden/ffmpeg-9.0.2-av.offer.sdp"),
    include_str!("../../../tests/golden/libdatachannel-whip.offer.sdp"),
    include_str!("../../../tests/golden/libdatachannel-whep.offer.sdp"),
];

/// Lines that mean something, right, wrong and contradictory.
const LINES: [&str; 53] = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 0",
    "m=video 0 UDP/TLS/RTP/SAVPF 96 97",
    "m=video 9/65536 UDP/TLS/RTP/SAVPF 96 97 98 127 0 64",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "m=text 9 RTP/AVP 98",
    "c=IN IP4 0.0.0.0",
    "b=AS:18446744073709551615",
    "a=group:BUNDLE 0 1",
    "a=group:BUNDLE 1 0",
    "a=mid:0",
    "a=mid:1",
    "a=mid",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:0123456789012345678901",
    "a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F",
    "a=fingerprint:sha-256 :::",
    "a=setup:actpass",
    "a=setup:passive",
    "a=sendrecv",
    "a=sendonly",
    "a=recvonly",
    "a=rtcp-mux",
    "a=bundle-only",
    "a=rtpmap:111 opus/48000/2",
    "a=rtpmap:96 VP8/90000",
    "a=rtpmap:98 H264/90000",
    "a=fmtp:98 packetization-mode=1;profile-level-id=\u{e9}\u{e9}42",
    "a=fmtp:98 =;;profile-level-id=4;packetization-mode=99999;SPROP-=\u{1f600}",
    "a=rtpmap:97 VP9/90000",
    "a=rtpmap:96 AV1/90000",
    "a=fmtp:96 profile=256;profile-id=-1;tier-flag=99",
    "a=rtpmap:98 H265/90000",
    "a=rtpmap:111 multiopus/48000/8",
    "a=fmtp:111 num_streams=;channel_mapping=,,;coupled_streams",
    "a=rtpmap:0 G722/8000",
    "a=rtpmap:97 rtx/90000",
    "a=fmtp:97 apt=96",
    "a=fmtp:97 apt=-1;apt=",
    "a=rtcp-fb:* transport-cc",
    "a=rtcp-fb:96 nack pli",
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=extmap:15/sendonly urn:3gpp:video-orientation",
    "a=extmap:3/recvonly http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "a=ssrc-group:FID 1 2",
    "a=ssrc-group:SIM 1 3 5",
    "a=rid:q send",
    "a=rid:h send pt=96,300",
    "a=simulcast:send q;~h",
    "a=simulcast:send ,;~;q,q recv",
    "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    "a=ssrc:1 cname:\u{202e}",
    "a=sctp-port:5000",
    "a=max-message-size:0",
];

/// Both roles, with and without a stream.
fn negotiate(offer: &str) {
    let baseline = format(Codec::H264, "packetization-mode=1;profile-level-id=42e01f");
    let results =
        [publish(offer), watch(offer, &[]), watch(offer, &[baseline]), watch(offer, &[format(Codec::Vp8, "")])];
    for result in results {
        match result {
            Ok(negotiated) => assert_answers(offer, &negotiated),
            Err(error) => assert!(error.to_string().len() < 512, "{error}"),
        }
    }
}

/// An answer is SDP with the offer's sections in the offer's order, and each number in it has one meaning.
fn assert_answers(offer: &str, negotiated: &Negotiated) {
    let parse = |text: &str| SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes())).unwrap();
    let (offered, answered) = (parse(offer), parse(&negotiated.answer));
    let sections = |description: &SessionDescription| -> Vec<(String, Option<String>)> {
        let sections = description.media_descriptions.iter();
        sections
            .map(|section| (section.media_name.media.clone(), section.attribute("mid").flatten().map(str::to_owned)))
            .collect()
    };
    assert_eq!(sections(&offered), sections(&answered));
    assert!(negotiated.answer.is_ascii() && negotiated.answer.len() <= 8192);
    assert!(negotiated.answer.lines().all(|line| line.len() <= 512 && !line.contains(char::is_control)));
    let accepted = answered.media_descriptions.iter().filter(|section| section.media_name.port.value != 0).count();
    assert_eq!(accepted, negotiated.sections.len() + usize::from(negotiated.application.is_some()));
    let mut sources: Vec<u32> = Vec::new();
    let mut payload_types: Vec<u8> = Vec::new();
    for section in &negotiated.sections {
        assert!(!section.payloads.is_empty());
        sources.extend(
            [Some(section.ssrc), section.rtx_ssrc, section.remote_ssrc, section.remote_rtx_ssrc].into_iter().flatten(),
        );
        payload_types.extend(section.payloads.iter().flat_map(Payload::numbers));
        assert!(section.extensions.iter().all(|(id, _)| (1..=14).contains(id)));
    }
    assert!(payload_types.iter().all(|number| !(64..=95).contains(number) && *number < 128));
    for mut numbers in [sources, payload_types.into_iter().map(u32::from).collect()] {
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
    }
}

/// One change to the lines of an offer.
#[derive(Clone, Debug)]
enum Change {
    Remove(prop::sample::Index),
    Repeat(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Insert(prop::sample::Index, &'static str),
    Replace(prop::sample::Index, prop::sample::Index, char),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        index().prop_map(Change::Remove),
        index().prop_map(Change::Repeat),
        (index(), index()).prop_map(|(one, other)| Change::Swap(one, other)),
        (index(), prop::sample::select(&LINES[..])).prop_map(|(at, line)| Change::Insert(at, line)),
        (index(), index(), prop_oneof![prop::char::range(' ', '~'), any::<char>()])
            .prop_map(|(line, at, put)| Change::Replace(line, at, put)),
    ]
}

fn mutate(offer: &str, changes: &[Change]) -> String {
    let mut lines: Vec<String> = offer.lines().map(str::to_owned).collect();
    for change in changes.iter().filter(|_| lines.len() > 1).cloned().collect::<Vec<_>>() {
        match change {
            Change::Remove(at) if lines.len() > 1 => drop(lines.remove(at.index(lines.len()))),
            Change::Remove(_) => {}
            Change::Repeat(at) => lines.push(lines[at.index(lines.len())].clone()),
            Change::Swap(one, other) => {
                let length = lines.len();
                lines.swap(one.index(length), other.index(length));
            }
            Change::Insert(at, line) => lines.insert(at.index(lines.len()), line.to_owned()),
            Change::Replace(line, at, put) => {
                let length = lines.len();
                let line = &mut lines[line.index(length)];
                let mut characters: Vec<char> = line.chars().collect();
                if !characters.is_empty() {
                    let at = at.index(characters.len());
                    characters[at] = put;
                }
                *line = characters.into_iter().collect();
            }
        }
    }
    lines.join("\r\n") + "\r\n"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn real_offers_with_changes_are_answered_or_refused(
        real in prop::sample::select(&REAL[..]),
        changes in prop::collection::vec(change(), 1..8),
    ) {
        negotiate(&mutate(real, &changes));
    }

    #[test]
    fn offers_of_lines_that_mean_something_are_answered_or_refused(
        lines in prop::collection::vec(prop::sample::select(&LINES[..]), 0..60),
    ) {
        negotiate(&format!("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{}\r\n", lines.join("\r\n")));
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in "(v=0\r\n)?\\PC{0,200}") {
        negotiate(&text);
    }

    #[test]
    fn any_bytes_that_are_text_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        negotiate(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn the_unchanged_offers_are_answered() {
    for real in REAL {
        negotiate(real);
        assert!(publish(real).is_ok() != watch(real, &[]).is_ok());
    }
}
