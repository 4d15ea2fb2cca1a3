//! Whole offers, whose lines each test changes, and hostile ones.

mod accepted;
mod hostile;
mod own_offers;
mod refused;
mod simulcast;

use rtc::sdp::description::common::Attribute;

use super::local::*;
use super::negotiated::Application;
use super::payload::Red;
use super::*;
use crate::forward::codec::{Codec, Format, Kind};
use crate::ice::Credentials;
use crate::name::Role;

const TRANSPORT: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 \
    00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
    a=setup:actpass\r\n";

const AUDIO: &str = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n";

const VIDEO: &str = "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 transport-cc\r\n\
    a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
    a=rtpmap:98 H264/90000\r\na=fmtp:98 packetization-mode=0;profile-level-id=42e01f\r\n\
    a=rtpmap:99 H264/90000\r\na=fmtp:99 packetization-mode=1;profile-level-id=64001f\r\n\
    a=rtpmap:100 H264/90000\r\na=fmtp:100 packetization-mode=1;profile-level-id=42e01f\r\n\
    a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";

/// Attributes as lines of `name:value`.
pub(crate) fn attributes(lines: &[&str]) -> Vec<Attribute> {
    let attribute = |line: &&str| {
        let (key, value) = line.split_once(':').unwrap();
        Attribute::new(key.to_owned(), Some(value.to_owned()))
    };
    lines.iter().map(attribute).collect()
}

/// An offer of audio (mid 0) and video (mid 1), each of this direction.
fn offer(direction: &str) -> String {
    let head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n";
    let section = |line: &str, mid: u8, codecs: &str| {
        format!("m={line}\r\nc=IN IP4 0.0.0.0\r\n{TRANSPORT}a=mid:{mid}\r\na={direction}\r\na=rtcp-mux\r\n{codecs}")
    };
    let audio = section("audio 9 UDP/TLS/RTP/SAVPF 111 0", 0, AUDIO);
    let video = section("video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100", 1, VIDEO);
    format!("{head}{audio}{video}")
}

/// The same with a section for data channels (mid 2).
fn offer_with_data(direction: &str) -> String {
    let data = format!(
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{TRANSPORT}a=mid:2\r\na=sctp-port:5000\r\n\
         a=max-message-size:262144\r\n"
    );
    offer(direction).replace("BUNDLE 0 1", "BUNDLE 0 1 2") + &data
}

fn local() -> Local {
    Local {
        credentials: Credentials { ufrag: "relay123".to_owned(), pwd: "relaypasswordrelaypassword".to_owned() },
        fingerprint: ["5A"; 32].join(":"),
        candidates: Candidates { udp: vec!["203.0.113.7:8081".parse().unwrap()], tcp: Vec::new() },
        stream: "cam-1".parse().unwrap(),
        video_orientation: false,
        max_bitrate: 0,
        seed: 7,
    }
}

fn publish(offer: &str) -> Result<Negotiated, OfferError> {
    Offer::parse(offer, Role::Publisher)?.answer_publisher(&local())
}

fn watch(offer: &str, tracks: &[Format]) -> Result<Negotiated, OfferError> {
    Offer::parse(offer, Role::Viewer)?.answer_viewer(&local(), tracks)
}

fn format(codec: Codec, parameters: &str) -> Format {
    let channels = match (codec, codec.kind()) {
        (Codec::Opus, _) => 2,
        (_, Kind::Audio) => 1,
        (_, Kind::Video) => 0,
    };
    Format { codec, clock_rate: codec.clock_rate(), channels, parameters: parameters.to_owned() }
}

fn numbers(section: &Section) -> Vec<u8> {
    section.payloads.iter().map(|payload| payload.payload_type).collect()
}

#[track_caller]
fn assert_malformed<T>(result: Result<T, OfferError>, says: &str) {
    match result.err() {
        Some(OfferError::Malformed(sentence)) if sentence.contains(says) => {}
        other => panic!("not malformed for {says:?}: {other:?}"),
    }
}

#[track_caller]
fn assert_unsupported<T>(result: Result<T, OfferError>, says: &str) {
    match result.err() {
        Some(OfferError::Unsupported(sentence)) if sentence.contains(says) => {}
        other => panic!("not unsupported for {says:?}: {other:?}"),
    }
}
