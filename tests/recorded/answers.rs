//! Golden answers: for each real client's offer in `tests/golden/`, the answer that the relay gives, byte for byte.
//!
//! A difference is either a mistake or a decision. For a decision,
//! `SLUICE_BLESS=1 cargo test --test recorded answers::` writes the answers anew, and the diff says what every client
//! will see.

use std::path::Path;
use std::{env, fs};

use sluice::forward::codec::{Codec, Format};
use sluice::ice::Credentials;
use sluice::name::Role;
use sluice::sdp::{Candidates, Local, Negotiated, Offer};

fn local() -> Local {
    let addresses = ["203.0.113.7:8081", "[2001:db8::7]:8081"].map(|text| text.parse().expect("an address"));
    Local {
        credentials: Credentials { ufrag: "relay123".to_owned(), pwd: "relaypasswordrelaypassword".to_owned() },
        fingerprint: ["5A"; 32].join(":"),
        candidates: Candidates { udp: addresses.to_vec(), tcp: addresses.to_vec() },
        stream: "cam-1".parse().expect("a name"),
        video_orientation: false,
        max_bitrate: 0,
        seed: 1,
    }
}

fn format(codec: Codec, parameters: &str) -> Format {
    let channels = if codec == Codec::Opus { 2 } else { 0 };
    Format { codec, clock_rate: codec.clock_rate(), channels, parameters: parameters.to_owned() }
}

fn answer(offer: &str, role: Role, tracks: &[Format]) -> Negotiated {
    answer_by(&local(), offer, role, tracks)
}

fn answer_by(local: &Local, offer: &str, role: Role, tracks: &[Format]) -> Negotiated {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{offer}.offer.sdp"));
    let offer = fs::read_to_string(path).expect("a readable offer");
    let offer = Offer::parse(&offer, role).unwrap_or_else(|error| panic!("{error}"));
    let answer = match role {
        Role::Publisher => offer.answer_publisher(local),
        Role::Viewer => offer.answer_viewer(local, tracks),
    };
    answer.unwrap_or_else(|error| panic!("{error}"))
}

fn assert_golden(name: &str, negotiated: &Negotiated) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.answer.sdp"));
    if env::var_os("SLUICE_BLESS").is_some() {
        fs::write(&path, &negotiated.answer).expect("a writable directory");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        negotiated.answer, golden,
        "the answer for {name} has changed: see the head of tests/recorded/answers.rs"
    );
}

#[test]
fn every_publishers_offer_has_its_answer() {
    for name in [
        "ffmpeg-9.0.2-av",
        "ffmpeg-9.0.2-audio-only",
        "ffmpeg-9.0.2-video-only-dtls_active",
        "chromium-156-whip",
        "chromium-156-whip-simulcast",
        "libdatachannel-whip",
        "firefox-153-whip",
        "gstreamer-1.22-whip",
        "gstreamer-1.22-video-only-whip",
        "aiortc-1.16-whip",
        "pion-4.2-whip",
    ] {
        let negotiated = answer(name, Role::Publisher, &[]);
        assert_golden(name, &negotiated);
        // FFmpeg takes no longer answer.
        assert!(negotiated.answer.len() <= 8192);
    }
}

#[test]
fn every_viewers_offer_has_its_answer_before_anyone_publishes() {
    for name in [
        "chromium-156-whep",
        "chromium-156-whep-data",
        "libdatachannel-whep",
        "firefox-153-whep",
        "aiortc-1.16-whep",
        "pion-4.2-whep",
    ] {
        assert_golden(name, &answer(name, Role::Viewer, &[]));
    }
}

#[test]
fn a_viewer_of_a_live_stream_is_answered_with_its_formats() {
    let opus = format(Codec::Opus, "");
    let baseline = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42000a";
    let live = [
        ("vp8", vec![opus.clone(), format(Codec::Vp8, "")]),
        ("h264-baseline", vec![opus.clone(), format(Codec::H264, baseline)]),
        ("h264-high", vec![format(Codec::H264, "packetization-mode=1;profile-level-id=64001f")]),
        ("vp9", vec![opus.clone(), format(Codec::Vp9, "profile-id=0")]),
        ("av1", vec![opus.clone(), format(Codec::Av1, "level-idx=8;profile=0;tier=0")]),
        ("audio-only", vec![opus]),
    ];
    for (stream, tracks) in live {
        let name = "chromium-156-whep";
        assert_golden(&format!("{name}.{stream}"), &answer(name, Role::Viewer, &tracks));
    }
}

/// FFmpeg takes an answer of at most 8,192 octets.
#[test]
fn an_answer_with_eight_addresses_of_ipv6_by_udp_and_tcp_stays_below_8_000_octets() {
    let at = |port: u16| (0..8).map(move |host| format!("[2001:db8:1111:2222:3333:4444:5555:666{host}]:{port}"));
    let read = |text: String| text.parse().expect("an address");
    let candidates =
        Candidates { udp: at(65_535).map(read).collect(), tcp: at(65_535).chain(at(64_443)).map(read).collect() };
    let local = Local { candidates, ..local() };
    for name in ["ffmpeg-9.0.2-av", "chromium-156-whip-simulcast", "chromium-156-whep-data", "firefox-153-whep"] {
        let role = if name.contains("whep") { Role::Viewer } else { Role::Publisher };
        let answer = answer_by(&local, name, role, &[]).answer;
        assert_eq!(answer.matches("a=candidate:").count(), 24, "{name}");
        let first = answer.lines().find(|line| line.starts_with("a=candidate:")).expect("a candidate");
        assert!(first.contains(" udp "), "FFmpeg reads only the first: {first}");
        assert!(answer.len() < 8_000, "{name}: {}", answer.len());
    }
}
