//! Offers that are refused, with which error, and with a sentence that says what to do.

use super::*;

#[test]
fn text_that_is_not_sdp_is_malformed() {
    for text in ["", "{}", "v=1\r\n", "v=0\r\n", "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        assert!(matches!(publish(text).err(), Some(OfferError::Malformed(_))), "{text:?}");
    }
    assert_malformed(publish(&offer("sendonly").replace("m=audio 9", "m=audio x")), "no valid SDP");
    for (line, wrong) in
        [("t=0 0", "q=0 0"), ("v=0", "v=1"), ("c=IN IP4", "c=IN IP9"), ("m=audio 9 UDP", "m=film 9 UDP")]
    {
        let error = publish(&offer("sendonly").replace(line, wrong)).err().unwrap().to_string();
        assert!(error.contains("no valid SDP") && !error.contains("Sdp"), "{wrong}: {error}");
    }
    assert_malformed(publish("v=0\r\no=- \u{202e}\u{202e}\r\n"), "\\u{202e}");
}

#[test]
fn an_offer_without_media_is_unsupported() {
    let head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 2\r\n";
    assert_unsupported(publish(head), "no audio and no video");
    let data = offer_with_data("sendonly");
    let data = head.to_owned()
        + data.split_once("m=application").map(|(_, data)| "m=application".to_owned() + data).unwrap().as_str();
    assert_unsupported(publish(&data), "no audio and no video");
    assert_unsupported(watch(&data, &[]), "no audio and no video");
    assert_unsupported(publish(&offer("inactive")), "inactive");
    assert_unsupported(watch(&offer("recvonly").replace(" 9 UDP", " 0 UDP"), &[]), "disabled");
}

#[test]
fn the_wrong_direction_points_to_the_other_protocol() {
    assert_unsupported(publish(&offer("recvonly")), "WHEP");
    assert_unsupported(watch(&offer("sendonly"), &[]), "WHIP");
    assert_malformed(publish(&offer("sendonly\r\na=recvonly")), "two directions");
}

#[test]
fn media_outside_one_bundle_is_unsupported() {
    let offer = offer("sendonly");
    assert_unsupported(publish(&offer.replace("a=group:BUNDLE 0 1\r\n", "")), "BUNDLE");
    assert_unsupported(publish(&offer.replace("BUNDLE 0 1", "BUNDLE 0")), "each a=mid");
    assert_unsupported(publish(&offer.replace("BUNDLE 0 1", "BUNDLE 0\r\na=group:BUNDLE 1")), "one a=group:BUNDLE");
    assert_unsupported(publish(&offer.replace("BUNDLE 0 1", "BUNDLE0 1")), "BUNDLE");
    assert_malformed(publish(&offer.replace("BUNDLE 0 1", "BUNDLE 0 1 7")), "does not have");
    assert_malformed(publish(&offer.replace("BUNDLE 0 1", "BUNDLE 0 1 0")), "twice");
    assert_malformed(publish(&offer.replace("a=mid:1", "a=mid:0")), "same a=mid");
    assert_malformed(publish(&offer.replace("a=mid:1\r\n", "")), "a=mid");
    assert_malformed(publish(&offer.replace("a=mid:1", "a=mid:a b")), "a=mid");
}

#[test]
fn a_transport_that_is_not_dtls_srtp_over_one_port_is_refused() {
    let offer = offer("sendonly");
    assert_unsupported(publish(&offer.replace("a=rtcp-mux\r\n", "")), "rtcp-mux");
    assert_unsupported(publish(&offer.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP")), "DTLS-SRTP");
    assert_unsupported(publish(&offer.replace("sha-256", "sha-1")), "sha-256");
    assert_unsupported(publish(&offer.replace("setup:actpass", "setup:holdconn")), "holdconn");
    for line in ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup"] {
        let kept: Vec<&str> = offer.lines().filter(|kept| !kept.starts_with(line)).collect();
        assert_malformed(publish(&(kept.join("\r\n") + "\r\n")), line);
    }
}

#[test]
fn a_publisher_is_refused_if_one_section_does_not_fit() {
    let unknown = offer("sendrecv").replace("VP8/90000", "theora/90000").replace("H264/90000", "H263/90000");
    assert_unsupported(publish(&unknown), "VP9 or AV1");
    assert_eq!(watch(&unknown, &[]).unwrap().sections.len(), 1);
    let two = offer("sendonly").replace("m=audio 9 UDP/TLS/RTP/SAVPF 111 0", "m=video 9 UDP/TLS/RTP/SAVPF 111 0");
    assert_unsupported(publish(&two.replace("111 opus/48000/2", "111 VP8/90000")), "one audio and one video");
    let text = offer_with_data("sendonly").replace("m=application", "m=text");
    assert_unsupported(publish(&text), "no other section");
    assert_unsupported(publish(&offer_with_data("sendonly").replace("sctp-port:5000", "sctp-port:1")), "5000");
}

#[test]
fn a_viewer_that_decodes_no_codec_of_the_stream_is_refused() {
    let video_only = offer("recvonly").replacen("a=recvonly", "a=inactive", 1);
    let vp8_only = video_only.replace("H264/90000", "VP9/90000");
    assert_unsupported(watch(&vp8_only, &[format(Codec::H264, "")]), "codec");
}

#[test]
fn a_section_for_data_needs_its_port_and_a_size_that_is_a_number() {
    let offer = offer_with_data("recvonly");
    assert_malformed(watch(&offer.replace("a=sctp-port:5000\r\n", ""), &[]), "sctp-port");
    assert_malformed(watch(&offer.replace("sctp-port:5000", "sctp-port:70000"), &[]), "sctp-port");
    assert_malformed(watch(&offer.replace("size:262144", "size:-1"), &[]), "max-message-size");
}

#[test]
fn numbers_that_bundled_sections_use_differently_are_malformed() {
    let offer =
        offer("sendonly").replace("a=rtpmap:111", "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=rtpmap:111");
    assert!(publish(&offer).is_ok());
    assert_malformed(publish(&offer.replacen("extmap:4", "extmap:5", 1)), "extmap");
    let shared = offer.replace("111", "96");
    assert_malformed(publish(&shared), "payload type 96");
    let sources = offer.replace("a=rtpmap:111", "a=ssrc:5 cname:x\r\na=rtpmap:111") + "a=ssrc:5 cname:x\r\n";
    assert_malformed(publish(&sources), "a=ssrc 5");
    assert_malformed(publish(&(offer + "a=ssrc:4294967296 cname:x\r\n")), "32-bit");
}

#[test]
fn the_limits_hold() {
    let offer = offer("sendonly");
    assert_unsupported(publish(&(offer.clone() + &"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(2))), "3 sections");
    let rids = |count: u8| (0..count).map(|rid| format!("a=rid:{rid} send\r\n")).collect::<String>();
    assert_unsupported(publish(&(offer.clone() + &rids(5))), "simulcast layers");
    assert!(publish(&(offer.clone() + &rids(4))).is_ok());
    assert_malformed(publish(&(offer.clone() + &"a=x\r\n".repeat(14_000))), "64 KiB");
    assert_malformed(publish(&format!("{offer}a={}\r\n", "x".repeat(511))), "512 bytes");
    assert_malformed(publish(&offer.replace("apt=96", "apt=101")), "apt=");
    let many = (0..65).map(|number| format!(" {number}")).collect::<String>();
    assert_unsupported(publish(&offer.replace(" 111 0", &many)), "64 payload types");
}
