//! Offers that are accepted, and what their answers contain.

use super::*;

#[test]
fn a_publisher_may_send_one_payload_type_of_each_codec_with_its_retransmissions() {
    let negotiated = publish(&offer("sendonly")).unwrap();
    let [audio, video] = negotiated.sections.as_slice() else { panic!("two sections") };
    assert_eq!((numbers(audio), numbers(video)), (vec![111, 0], vec![96, 99]));
    assert_eq!(video.payloads[0].rtx_payload_type, Some(97));
    assert_eq!(video.extension_id(Extension::TransportWideCc), Some(3));
    assert_eq!((audio.rtx_ssrc, video.rtx_ssrc), (None, None));
    assert_ne!(audio.ssrc, video.ssrc);
    assert_eq!(negotiated.answer.matches("a=recvonly").count(), 2);
    assert!(!negotiated.answer.contains("a=ssrc"));
    assert_eq!(negotiated.offered.codecs, ["opus", "PCMU", "VP8", "rtx", "H264"]);
}

#[test]
fn redundant_audio_keeps_its_place_in_a_publishers_offer_and_comes_after_opus_for_viewers() {
    let red = "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:111 opus/48000/2\r\n";
    let with = |direction: &str, numbers: &str| {
        let line = format!("audio 9 UDP/TLS/RTP/SAVPF {numbers}\r\n");
        let offer = offer(direction).replace("audio 9 UDP/TLS/RTP/SAVPF 111 0\r\n", &line);
        offer.replace("a=rtpmap:111 opus/48000/2\r\n", red)
    };
    for (numbers, preferred) in [("63 111 0", true), ("111 63 0", false), ("111 0 63", false)] {
        for negotiated in [publish(&with("sendonly", numbers)), watch(&with("recvonly", numbers), &[])] {
            let Negotiated { answer, sections, .. } = negotiated.unwrap();
            let order = if preferred { "63 111 0" } else { "111 63 0" };
            assert!(answer.contains(&format!("m=audio 9 UDP/TLS/RTP/SAVPF {order}\r\n")), "{answer}");
            assert!(answer.contains("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"), "{answer}");
            let agreed = Red { payload_type: 63, blocks: 2, preferred };
            assert_eq!(sections[0].payloads[0].red, Some(agreed));
        }
    }
    let pcmu = watch(&with("recvonly", "63 111 0"), &[format(Codec::Pcmu, "")]).unwrap();
    assert_eq!(numbers(&pcmu.sections[0]), [0, 111], "what the stream has stands first");
}

#[test]
fn a_publishers_own_limits_are_not_repeated_in_the_answer() {
    let limits = "a=rtpmap:96 VP8/90000\r\na=fmtp:96 max-fs=12288; max-fr=60\r\n";
    let publisher = offer("sendonly").replace("a=rtpmap:96 VP8/90000\r\n", limits);
    let answer = publish(&publisher).unwrap().answer;
    assert!(answer.contains("a=rtpmap:96 VP8/90000\r\n") && !answer.contains("a=fmtp:96"), "{answer}");
    let answer = publish(&publisher.replace("max-fr=60", "max-fr=60;x=1")).unwrap().answer;
    assert!(answer.contains("a=fmtp:96 x=1\r\n"), "{answer}");
}

#[test]
fn a_publisher_of_h264_is_asked_to_fragment_its_frames() {
    let h264 = offer("sendonly").replace("SAVPF 96 97 98 99 100", "SAVPF 98 99 100 96 97");
    assert_eq!(numbers(&publish(&h264).unwrap().sections[1]), [99, 96]);
}

#[test]
fn a_waiting_viewer_gets_each_codec_and_profile_once_with_constrained_baseline_first() {
    let negotiated = watch(&offer("recvonly"), &[]).unwrap();
    let [audio, video] = negotiated.sections.as_slice() else { panic!("two sections") };
    assert_eq!((numbers(audio), numbers(video)), (vec![111, 0], vec![96, 100, 99]));
    assert_eq!(negotiated.answer.matches("a=sendonly").count(), 2);
    assert_eq!(negotiated.answer.matches("a=msid:cam-1 ").count(), 2);
    let rtx = video.rtx_ssrc.unwrap();
    assert!(negotiated.answer.contains(&format!("a=ssrc-group:FID {} {rtx}\r\n", video.ssrc)));
    assert!(negotiated.answer.contains(&format!("a=ssrc:{} cname:cam-1\r\n", audio.ssrc)));
}

#[test]
fn a_viewer_of_a_live_stream_gets_the_fitting_payload_type_first() {
    let chosen = |track| numbers(&watch(&offer("recvonly"), &[track]).unwrap().sections[1]);
    assert_eq!(chosen(format(Codec::Vp8, "")), [96, 100]);
    assert_eq!(chosen(format(Codec::H264, "profile-level-id=42c00a;packetization-mode=1")), [100, 96]);
    assert_eq!(chosen(format(Codec::H264, "profile-level-id=42c00a")), [98, 96]);
    assert_eq!(chosen(format(Codec::H264, "profile-level-id=640028;packetization-mode=1")), [99, 96]);
    // High decodes Main; no offered profile is exactly Main.
    assert_eq!(chosen(format(Codec::H264, "profile-level-id=4d0028;packetization-mode=1")), [99, 96]);
    // A stream without video may get a video track later.
    assert_eq!(chosen(format(Codec::Opus, "")), [96, 100, 99]);
}

#[test]
fn a_viewer_gets_the_publishers_profile_of_a_codec() {
    let lines = "a=rtpmap:41 VP9/90000\r\na=fmtp:41 profile-id=0\r\na=rtpmap:42 VP9/90000\r\na=fmtp:42 profile-id=2\r\n\
        a=rtpmap:43 AV1/90000\r\na=fmtp:43 level-idx=5;profile=0;tier=0\r\na=rtpmap:44 AV1/90000\r\na=fmtp:44 profile=1\r\n\
        a=rtpmap:45 H265/90000\r\na=fmtp:45 profile-id=1\r\na=rtpmap:46 H265/90000\r\na=fmtp:46 profile-id=2\r\n";
    let offer = offer("recvonly").replace("SAVPF 96 97 98 99 100", "SAVPF 41 42 43 44 45 46") + lines;
    let video = |tracks: &[Format]| numbers(&watch(&offer, tracks).unwrap().sections[1]);
    assert_eq!(video(&[]), [41, 42, 43, 44, 45, 46], "whatever comes fits");
    assert_eq!(video(&[format(Codec::Vp9, "profile-id=2")]), [42, 43, 45]);
    assert_eq!(video(&[format(Codec::Av1, "level-idx=8;profile=1;tier=0")]), [44, 41, 45]);
    assert_eq!(video(&[format(Codec::Av1, "")]), [43, 41, 45]);
    assert_eq!(video(&[format(Codec::H265, "level-id=120;profile-id=2;tier-flag=0")]), [46, 41, 43]);
    assert_eq!(video(&[format(Codec::H265, "profile-id=4")]), [45, 41, 43], "hopeful, but a picture at best");
}

#[test]
fn the_answer_to_a_waiting_viewer_is_bounded_whatever_is_offered() {
    let numbers_offered: Vec<u8> = (35..64).chain(96..127).collect();
    let list: String = numbers_offered.iter().map(|number| format!(" {number}")).collect();
    let lines: String = numbers_offered
        .iter()
        .map(|number| {
            let level = format!("packetization-mode=1;profile-level-id=42{number:02x}1f;x={}", "x".repeat(400));
            format!("a=rtpmap:{number} H264/90000\r\na=fmtp:{number} {level}\r\n")
        })
        .collect();
    let offer = offer("recvonly")
        .replace("m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100", &format!("m=video 9 UDP/TLS/RTP/SAVPF{list}"));
    let (head, _) = offer.split_once("a=rtpmap:96").unwrap();
    let negotiated = watch(&(head.replace("SAVPF 111 0", "SAVPF 0") + &lines), &[]).unwrap();
    assert!((2..=24).contains(&negotiated.sections[1].payloads.len()));
}

#[test]
fn static_payload_types_are_answered_with_their_names() {
    let offer = offer("recvonly").replace("SAVPF 111 0", "SAVPF 8 9 0").replace("a=rtpmap:0 PCMU/8000\r\n", "");
    let negotiated = watch(&offer, &[format(Codec::Pcmu, "")]).unwrap();
    assert_eq!(numbers(&negotiated.sections[0]), [0, 8, 9]);
    for line in ["a=rtpmap:0 PCMU/8000\r\n", "a=rtpmap:8 PCMA/8000\r\n", "a=rtpmap:9 G722/8000\r\n"] {
        assert!(negotiated.answer.contains(line), "{}", negotiated.answer);
    }
}

#[test]
fn surround_audio_is_answered_with_its_channels() {
    let surround = "a=fmtp:112 channel_mapping=0,4,1,2,3,5;coupled_streams=2;num_streams=4\r\n";
    let offer = offer("sendonly").replace("SAVPF 111 0", "SAVPF 112 111 0");
    let offer = offer.replace("a=rtpmap:111", &format!("a=rtpmap:112 multiopus/48000/6\r\n{surround}a=rtpmap:111"));
    let negotiated = publish(&offer).unwrap();
    assert_eq!(numbers(&negotiated.sections[0]), [112, 111, 0]);
    assert!(negotiated.answer.contains("a=rtpmap:112 multiopus/48000/6\r\n") && negotiated.answer.contains(surround));
}

#[test]
fn a_section_that_does_not_fit_the_stream_is_rejected_in_its_place() {
    let h264_only = offer("recvonly").replace("SAVPF 96 97 98 99 100", "SAVPF 98 99 100");
    let h264_only = h264_only.replace("a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n", "");
    let negotiated = watch(&h264_only, &[format(Codec::Vp8, "")]).unwrap();
    assert_eq!(negotiated.sections.len(), 1);
    assert!(negotiated.answer.contains("a=group:BUNDLE 0\r\n"));
    assert!(
        negotiated.answer.ends_with("m=video 0 UDP/TLS/RTP/SAVPF 98\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=inactive\r\n")
    );
}

#[test]
fn the_first_accepted_section_has_the_transport() {
    let silent = offer("recvonly").replacen("a=recvonly", "a=inactive", 1).replacen(":abcd", ":audi", 1);
    let negotiated = watch(&silent, &[]).unwrap();
    assert_eq!(negotiated.remote.ufrag, "abcd");
    let (audio, video) = negotiated.answer.split_once("m=video").unwrap();
    assert!(audio.contains("m=audio 0 ") && !audio.contains("a=candidate"));
    assert!(video.contains("a=candidate:1 1 udp 2130706431 203.0.113.7 8081 typ host\r\na=end-of-candidates\r\n"));
}

#[test]
fn a_single_section_needs_no_bundle_and_gets_none() {
    let both = offer("sendonly").replace("a=group:BUNDLE 0 1\r\n", "");
    let (audio, _) = both.split_once("m=video").unwrap();
    let negotiated = publish(audio).unwrap();
    assert!(!negotiated.answer.contains("a=group"));
    assert!(negotiated.answer.contains("a=mid:0\r\n") && negotiated.answer.contains("a=candidate:1 1 udp "));
    assert_eq!(negotiated.sections.len(), 1);
}

#[test]
fn a_disabled_section_in_the_bundle_needs_no_transport() {
    let disabled = offer("recvonly").replacen("m=audio 9", "m=audio 0", 1).replacen(TRANSPORT, "", 1);
    let negotiated = watch(&disabled, &[]).unwrap();
    assert!(negotiated.answer.contains("a=group:BUNDLE 1\r\n"));
    assert!(watch(&disabled.replace("BUNDLE 0 1", "BUNDLE 0"), &[]).is_err());
}

#[test]
fn a_second_section_of_a_kind_is_declined_for_a_viewer() {
    let offer = offer("recvonly").replace("m=video", "m=audio").replace("SAVPF 96 97", "SAVPF 96 97 63");
    let offer = offer + "a=rtpmap:63 opus/48000/2\r\n";
    let negotiated = watch(&offer, &[]).unwrap();
    assert_eq!((negotiated.sections.len(), negotiated.answer.matches("m=audio 0 ").count()), (1, 1));
}

/// The offer of a page that receives several of each kind: these lines two, three and four times.
fn with_sections(audio: usize, video: usize, bundled: impl Fn(usize) -> bool) -> String {
    let both = offer("recvonly");
    let (head, sections) = both.split_once("m=audio").unwrap();
    let (one_audio, one_video) = sections.split_once("m=video").unwrap();
    let audios = std::iter::repeat_n(format!("m=audio{one_audio}"), audio);
    let videos = std::iter::repeat_n(format!("m=video{one_video}"), video);
    let name = |(mid, text): (usize, String)| {
        text.replace("a=mid:0", &format!("a=mid:{mid}")).replace("a=mid:1\r", &format!("a=mid:{mid}\r"))
    };
    let sections: String = audios.chain(videos).enumerate().map(name).collect();
    let group: String = (0..audio + video).filter(|mid| bundled(*mid)).map(|mid| format!(" {mid}")).collect();
    head.replace(" 0 1", &group) + &sections
}

#[test]
fn a_viewer_may_offer_eight_sections_and_gets_the_first_of_each_kind() {
    for (audio, video) in [(4, 4), (1, 7), (7, 1), (2, 1), (1, 2), (0, 8), (3, 0)] {
        let negotiated = watch(&with_sections(audio, video, |_| true), &[]).unwrap();
        let lines: Vec<&str> = negotiated.answer.lines().filter(|line| line.starts_with("m=")).collect();
        assert_eq!(lines.len(), audio + video, "the answer mirrors the offer");
        let taken: Vec<usize> = (0..lines.len()).filter(|index| !lines[*index].contains(" 0 UDP")).collect();
        let first = [(audio > 0).then_some(0), (video > 0).then_some(audio)];
        let first: Vec<usize> = first.into_iter().flatten().collect();
        assert_eq!(taken, first);
        let group: String = first.iter().map(|mid| format!(" {mid}")).collect();
        assert!(negotiated.answer.contains(&format!("a=group:BUNDLE{group}\r\n")), "{}", negotiated.answer);
        assert_eq!(negotiated.answer.matches("a=inactive\r\n").count(), audio + video - first.len());
        assert_eq!(negotiated.answer.matches("a=end-of-candidates").count(), 1);
        assert_eq!(negotiated.sections.len(), first.len());
    }
    assert!(matches!(watch(&with_sections(5, 4, |_| true), &[]).err(), Some(OfferError::Unsupported(_))));
    assert!(publish(&with_sections(2, 1, |_| true).replace("recvonly", "sendonly")).is_err());
}

#[test]
fn of_several_sections_a_viewer_gets_one_in_the_bundle() {
    let negotiated = watch(&with_sections(2, 2, |mid| mid == 1 || mid == 3), &[]).unwrap();
    assert!(negotiated.answer.contains("a=group:BUNDLE 1 3\r\n"), "{}", negotiated.answer);
    let mids: Vec<&str> = negotiated.sections.iter().map(|section| section.mid.as_str()).collect();
    assert_eq!(mids, ["1", "3"]);
    assert!(watch(&with_sections(1, 1, |mid| mid == 0), &[]).is_err(), "it would miss the video");
}

#[test]
fn a_section_without_a_mid_is_accepted_and_answered_without_one() {
    for (role, direction) in [(Role::Publisher, "sendonly"), (Role::Viewer, "recvonly")] {
        let both = offer(direction).replace("a=group:BUNDLE 0 1\r\n", "");
        let (head, sections) = both.split_once("m=audio").unwrap();
        let (audio, video) = sections.split_once("m=video").unwrap();
        for section in [format!("m=audio{audio}"), format!("m=video{video}")] {
            let section = section.replace("a=mid:0\r\n", "").replace("a=mid:1\r\n", "");
            let offer = format!("{head}{section}");
            let negotiated = match role {
                Role::Publisher => publish(&offer).unwrap(),
                Role::Viewer => watch(&offer, &[]).unwrap(),
            };
            assert_eq!(negotiated.sections.len(), 1);
            assert!(
                !negotiated.answer.contains("a=mid") && !negotiated.answer.contains("a=group"),
                "{}",
                negotiated.answer
            );
            assert!(!negotiated.answer.contains("sdes:mid"), "it would distinguish nothing");
            assert!(negotiated.answer.contains("a=candidate:1 1 udp "));
        }
        // Several sections without names cannot share a transport.
        let unnamed = both.replace("a=mid:0\r\n", "").replace("a=mid:1\r\n", "");
        let refused = if role == Role::Publisher { publish(&unnamed) } else { watch(&unnamed, &[]) };
        assert!(refused.err().unwrap().to_string().contains("BUNDLE"));
    }
    // A viewer's further section is declined, named or not, and the answer stays in the offer's order.
    let surplus = with_sections(2, 1, |mid| mid != 1).replace("a=mid:1\r\n", "");
    let negotiated = watch(&surplus, &[]).unwrap();
    assert!(negotiated.answer.contains("a=group:BUNDLE 0 2\r\n"));
    assert!(negotiated.answer.contains("m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n"));
    // A client cannot use the relay's own name for a section.
    let taken = with_sections(2, 1, |_| true)
        .replace("a=mid:1\r\n", "")
        .replace("a=mid:2\r", "a=mid:unnamed-1\r")
        .replace(" 0 1 2", " 0 unnamed-1");
    let mids: Vec<_> = watch(&taken, &[]).unwrap().sections.into_iter().map(|section| section.mid).collect();
    assert_eq!(mids, ["0", "unnamed-1"]);
}

#[test]
fn of_a_viewers_sections_of_a_kind_the_first_that_fits_the_stream_is_answered() {
    // Audio 0; video 1 and 2, of which the first has H.264 alone.
    let offer = with_sections(1, 2, |_| true).replacen("SAVPF 96 97 98 99 100", "SAVPF 99", 1);
    for (track, answered) in [
        (format(Codec::H264, "packetization-mode=1;profile-level-id=64001f"), ["0", "1"]),
        (format(Codec::Vp8, ""), ["0", "2"]),
    ] {
        let negotiated = watch(&offer, std::slice::from_ref(&track)).unwrap();
        let mids: Vec<_> = negotiated.sections.iter().map(|section| section.mid.as_str()).collect();
        assert_eq!(mids, answered, "{track:?}");
        assert_eq!(negotiated.sections[1].payloads[0].format.codec, track.codec);
        assert!(negotiated.answer.contains(&format!("a=group:BUNDLE {}\r\n", answered.join(" "))));
        assert_eq!(negotiated.answer.matches("m=video 0 ").count(), 1);
    }
    let waiting = watch(&offer, &[]).unwrap();
    assert_eq!(waiting.sections[1].mid, "1", "of a stream that nobody publishes yet the first");
    let outside = watch(&offer.replace("BUNDLE 0 1 2", "BUNDLE 0 1"), &[format(Codec::Vp8, "")]).unwrap();
    assert_eq!(outside.sections.len(), 1, "what is outside of the bundle is not answered");
}

#[test]
fn both_directions_are_narrowed_to_the_one_of_the_role() {
    for direction in ["sendrecv", "x-unknown"] {
        assert!(publish(&offer(direction)).unwrap().answer.contains("a=recvonly"));
        assert!(watch(&offer(direction), &[]).unwrap().answer.contains("a=sendonly"));
    }
    let session_level = offer("x-unknown").replace("t=0 0\r\n", "t=0 0\r\na=recvonly\r\n");
    assert!(watch(&session_level, &[]).is_ok());
    assert!(publish(&session_level).is_err());
}

#[test]
fn the_relay_waits_for_the_client_hello_unless_the_client_waits() {
    for (offered, answered, dtls_client) in
        [("actpass", "passive", false), ("active", "passive", false), ("passive", "active", true)]
    {
        let offer = offer("sendrecv").replace("a=setup:actpass", &format!("a=setup:{offered}"));
        for negotiated in [publish(&offer).unwrap(), watch(&offer, &[]).unwrap()] {
            assert_eq!(negotiated.dtls_client, dtls_client);
            assert_eq!(negotiated.answer.matches(&format!("a=setup:{answered}\r\n")).count(), 2);
        }
    }
}

#[test]
fn transport_lines_at_the_session_level_apply_to_all_sections() {
    let offer = offer("sendonly").replace(TRANSPORT, "").replace("t=0 0\r\n", &format!("t=0 0\r\n{TRANSPORT}"));
    let offer = offer.replace("a=group:BUNDLE 0 1\r\n", "a=group:LS 0 1\r\na=group:BUNDLE 0 1\r\n");
    let negotiated = publish(&offer).unwrap();
    assert_eq!(negotiated.remote.ufrag, "abcd");
    assert!(negotiated.remote_fingerprint.starts_with("00:01:02:") && negotiated.remote_fingerprint.len() == 95);
}

#[test]
fn a_bundle_only_section_uses_the_transport_of_the_first() {
    let bundled = format!("m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100\r\nc=IN IP4 0.0.0.0\r\n{TRANSPORT}");
    let offer = offer("sendonly")
        .replace(&bundled, "m=video 0 UDP/TLS/RTP/SAVPF 96 97 98 99 100\r\nc=IN IP4 0.0.0.0\r\na=bundle-only\r\n");
    assert_eq!(publish(&offer).unwrap().sections.len(), 2);
    assert_eq!(publish(&offer.replace("a=bundle-only\r\n", "")).unwrap().sections.len(), 1);
}

#[test]
fn a_viewer_without_rtx_gets_no_extension_that_changes_with_each_sending() {
    let offer = offer("recvonly").replace("apt=96", "apt=98");
    let negotiated = watch(&offer, &[format(Codec::Vp8, "")]).unwrap();
    let video = &negotiated.sections[1];
    assert_eq!((video.rtx_ssrc, video.extensions.as_slice()), (None, &[(4, Extension::Mid)][..]));
    assert!(!video.payloads[0].feedback.transport_cc && video.payloads[0].feedback.nack);
    assert!(!negotiated.answer.contains("transport-cc") && !negotiated.answer.contains("FID"));
}

#[test]
fn data_channels_are_accepted_if_they_are_offered() {
    let negotiated = watch(&offer_with_data("recvonly"), &[]).unwrap();
    assert_eq!(negotiated.application, Some(Application { mid: "2".to_owned(), max_message_size: 262_144 }));
    assert!(negotiated.answer.contains("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"));
    assert!(negotiated.answer.contains("a=group:BUNDLE 0 1 2\r\n"));
    assert!(publish(&offer_with_data("sendonly")).unwrap().application.is_some());
    assert_eq!(watch(&offer("recvonly"), &[]).unwrap().application, None);
    let other_port = offer_with_data("recvonly").replace("sctp-port:5000", "sctp-port:5001");
    let negotiated = watch(&other_port, &[]).unwrap();
    assert_eq!(negotiated.application, None);
    assert!(negotiated.answer.contains("m=application 0 "));
}

#[test]
fn a_publishers_own_parameters_are_kept_but_not_repeated() {
    let offer = offer("sendonly").replace("SAVPF 96 97 98 99 100", "SAVPF 100 96 97");
    let offer = offer.replace("a=fmtp:100 ", "a=fmtp:100 sprop-parameter-sets=Z0IAH5WoFAFuQA==,aM48gA==;");
    let negotiated = publish(&offer).unwrap();
    assert!(negotiated.sections[1].payloads[0].format.parameters.starts_with("sprop-parameter-sets="));
    assert!(negotiated.answer.contains("a=fmtp:100 packetization-mode=1;profile-level-id=42e01f\r\n"));
}

#[test]
fn declared_sources_are_found_by_their_groups() {
    let video = |lines: &str| {
        let negotiated = publish(&(offer("sendonly") + lines)).unwrap();
        (negotiated.sections[1].remote_ssrc, negotiated.sections[1].remote_rtx_ssrc)
    };
    assert_eq!(video(""), (None, None));
    assert_eq!(video("a=ssrc:5 cname:x\r\n"), (Some(5), None));
    assert_eq!(video("a=ssrc-group:FID 7 8\r\na=ssrc:8 cname:x\r\na=ssrc:7 cname:x\r\n"), (Some(7), Some(8)));
    let simulcast = "a=ssrc:3 cname:x\r\na=ssrc-group:FID 3 4\r\na=ssrc-group:FID 1 2\r\na=ssrc-group:SIM 1 3\r\n";
    assert_eq!(video(simulcast), (Some(1), Some(2)));
    let ignored = watch(&(offer("sendrecv") + "a=ssrc:5 cname:x\r\n"), &[]).unwrap();
    assert_eq!(ignored.sections[1].remote_ssrc, None);
}

#[test]
fn a_reserved_ssrc_is_not_one_of_the_clients() {
    let reserved = publish(&offer("sendonly")).unwrap().sections[0].ssrc;
    let taken = publish(&format!("{}a=ssrc:{reserved} cname:x\r\n", offer("sendonly"))).unwrap();
    assert_eq!(taken.sections[1].remote_ssrc, Some(reserved));
    assert!(taken.sections.iter().all(|section| section.ssrc != reserved));
}

#[test]
fn candidates_of_the_client_are_counted_and_not_repeated() {
    let offer = offer("recvonly") + &"a=candidate:1 1 udp 1 169.254.169.254 80 typ host\r\n".repeat(1000);
    let negotiated = watch(&offer, &[]).unwrap();
    assert_eq!(negotiated.offered.candidates, 1000);
    assert!(!negotiated.answer.contains("169.254"));
}

#[test]
fn own_candidates_are_in_order_and_bounded() {
    let mut local = local();
    local.candidates.udp = (0..200).map(|host| format!("192.0.2.{host}:8081").parse().unwrap()).collect();
    let negotiated = Offer::parse(&offer("sendonly"), Role::Publisher).unwrap().answer_publisher(&local).unwrap();
    let hosts: Vec<&str> =
        negotiated.answer.lines().filter_map(|line| line.strip_prefix("a=candidate:")?.split(' ').nth(4)).collect();
    assert_eq!((hosts.len(), hosts[0], hosts[31]), (32, "192.0.2.0", "192.0.2.31"));
    assert!(negotiated.answer.len() <= 8192);
}

#[test]
fn the_seed_determines_every_random_part() {
    let offer = Offer::parse(&offer("recvonly"), Role::Viewer).unwrap();
    let answer = |seed| offer.answer_viewer(&Local { seed, ..local() }, &[]).unwrap().answer;
    assert_eq!(answer(1), answer(1));
    assert_ne!(answer(1), answer(2));
}

#[test]
fn dependency_descriptors_are_accepted_for_video_with_mixed_extensions() {
    const MIXED: &str = "a=extmap-allow-mixed\r\n";
    let descriptor = format!("a=extmap:12 {}\r\n", Extension::DependencyDescriptor.uri());
    let agree = |offer: &str| {
        [publish(&offer.replace("recvonly", "sendonly")).unwrap(), watch(offer, &[]).unwrap()].map(|negotiated| {
            let ids = |section: &Section| section.extension_id(Extension::DependencyDescriptor);
            (ids(&negotiated.sections[0]), ids(&negotiated.sections[1]), negotiated.answer)
        })
    };
    let line = "a=rtcp-mux\r\n";
    let offered = offer("recvonly").replace(line, &format!("{line}{descriptor}"));
    for (audio, video, answer) in agree(&offered) {
        assert_eq!((audio, video, answer.contains(MIXED)), (None, None, false));
    }
    for (audio, video, answer) in agree(&offered.replace("a=group", &format!("{MIXED}a=group"))) {
        assert_eq!((audio, video), (None, Some(12)));
        let (session, sections) = answer.split_once("m=").unwrap();
        assert!(session.contains(MIXED) && !sections.contains(MIXED), "{answer}");
    }
    for (audio, video, answer) in agree(&offered.replace(line, &format!("{line}{MIXED}"))) {
        assert_eq!((audio, video), (None, Some(12)));
        let (session, sections) = answer.split_once("m=").unwrap();
        assert!(!session.contains(MIXED) && sections.matches(MIXED).count() == 2, "{answer}");
    }
    let (_, _, answer) = &agree(&offer("recvonly").replace("a=group", &format!("{MIXED}a=group")))[0];
    assert!(!answer.contains(MIXED), "an offer without descriptors gets one-byte elements only");
}
