//! Simulcast of a publisher (RFC 8853): the shapes that clients offer, and those of no client.

use super::*;

const RID: &str = "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
    a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n";

/// The agreed video section for these lines at its end, and the lines of the answer about simulcast.
fn agree(lines: &str) -> Result<(Section, Vec<String>), OfferError> {
    let negotiated = publish(&(offer("sendonly") + RID + lines))?;
    let about = |line: &&str| ["a=rid:", "a=simulcast:"].iter().any(|begin| line.starts_with(begin));
    let answered = negotiated.answer.lines().filter(about).map(str::to_owned).collect();
    Ok((negotiated.sections[1].clone(), answered))
}

fn rids(section: &Section) -> Vec<&str> {
    section.layers.iter().map(|layer| &*layer.rid).collect()
}

fn lines(rids: &[&str], list: &str) -> String {
    let rids: String = rids.iter().map(|rid| format!("a=rid:{rid} send\r\n")).collect();
    format!("{rids}a=simulcast:send {list}\r\n")
}

#[test]
fn one_to_four_encodings_of_any_name_are_accepted_in_the_order_of_the_list() {
    for names in [&["q"][..], &["f", "h"], &["0", "2", "1"], &["high", "mid_2", "a-b", "Z9"]] {
        let mut lines_in_another_order = names.to_vec();
        lines_in_another_order.reverse();
        let (section, answered) = agree(&lines(&lines_in_another_order, &names.join(";"))).unwrap();
        assert_eq!(rids(&section), names);
        let mut expected: Vec<String> = names.iter().map(|name| format!("a=rid:{name} recv")).collect();
        expected.push(format!("a=simulcast:recv {}", names.join(";")));
        assert_eq!(answered, expected);
        assert_eq!(section.extension_id(Extension::RtpStreamId), Some(10));
        assert_eq!(section.extension_id(Extension::RepairedRtpStreamId), Some(11));
    }
}

#[test]
fn paused_encodings_stay_paused_and_of_alternatives_one_that_is_sent_is_chosen() {
    let (section, answered) = agree(&lines(&["1", "2", "3", "4"], "~1;2,~3;4")).unwrap();
    assert_eq!(rids(&section), ["1", "2", "4"]);
    assert_eq!(section.layers.iter().map(|layer| layer.is_paused).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(answered.last().unwrap(), "a=simulcast:recv ~1;2;4");
    let (section, _) = agree(&lines(&["1", "2", "3"], "~1,2;3,x")).unwrap();
    assert_eq!(rids(&section), ["2", "3"], "an alternative without a line of its own is none");
}

#[test]
fn an_encoding_keeps_the_payload_types_it_is_limited_to_if_the_answer_has_any_of_them() {
    let (section, answered) = agree(
        "a=rid:a send pt=96,99;max-width=1280\r\na=rid:b send max-fps=30;pt=97\r\na=rid:c send\r\n\
         a=simulcast:send a;b;c\r\n",
    )
    .unwrap();
    // The answer has 96 and 99 (H.264 with fragmentation units); 97 is a retransmission.
    assert_eq!(numbers(&section), [96, 99]);
    assert_eq!(rids(&section), ["a", "c"]);
    assert_eq!(section.layers[0].payload_types, [96, 99]);
    assert_eq!(answered, ["a=rid:a recv pt=96,99", "a=rid:c recv", "a=simulcast:recv a;c"]);
}

#[test]
fn a_list_to_receive_beside_the_one_to_send_is_left_out() {
    let (section, answered) =
        agree("a=rid:s send\r\na=rid:t send\r\na=rid:r recv\r\na=simulcast:recv r send s;t\r\n").unwrap();
    assert_eq!(rids(&section), ["s", "t"]);
    assert_eq!(answered.last().unwrap(), "a=simulcast:recv s;t");
    let (section, answered) = agree("a=rid:r recv\r\na=simulcast:recv r\r\n").unwrap();
    assert!(section.layers.is_empty() && answered.is_empty());
}

#[test]
fn declared_ssrcs_belong_to_the_rids_in_their_order_if_there_are_as_many() {
    let declared = |lines: &str| -> Vec<(Option<u32>, Option<u32>)> {
        let (section, _) = agree(lines).unwrap();
        section.layers.iter().map(|layer| (layer.ssrc, layer.rtx_ssrc)).collect()
    };
    let rids = lines(&["q", "h"], "q;h");
    let firefox = "a=ssrc:1 cname:x\r\na=ssrc:2 cname:x\r\na=ssrc-group:FID 1 3\r\na=ssrc-group:FID 2 4\r\n";
    assert_eq!(declared(&(rids.clone() + firefox)), [(Some(1), Some(3)), (Some(2), Some(4))]);
    let pion = "a=ssrc:1 cname:x\r\na=ssrc:1 msid:x y\r\na=ssrc:2 cname:x\r\n";
    assert_eq!(declared(&(rids.clone() + pion)), [(Some(1), None), (Some(2), None)]);
    let obs = "a=ssrc:1 cname:x\r\na=ssrc:1 msid:x y\r\n";
    assert_eq!(declared(&(rids + obs)), [(None, None); 2]);
}

#[test]
fn a_group_of_ssrcs_without_rids_is_accepted_and_the_answer_names_none() {
    let (section, answered) = agree("a=ssrc-group:SIM 5 6 7\r\na=ssrc-group:FID 6 8\r\n").unwrap();
    assert_eq!(rids(&section), ["0", "1", "2"]);
    assert_eq!(section.layers[1].rtx_ssrc, Some(8));
    assert!(answered.is_empty() && section.extension_id(Extension::RtpStreamId).is_none());
    assert_unsupported(agree("a=ssrc-group:SIM 5 6 7 8 9\r\n"), "simulcast layers");
    assert_malformed(agree("a=ssrc-group:SIM 5 5\r\n"), "a=ssrc 5");
}

#[test]
fn encodings_that_packets_cannot_name_are_not_accepted_unless_the_offer_has_their_ssrcs() {
    let without = |more: &str| {
        let negotiated = publish(&(offer("sendonly") + &lines(&["q", "h"], "q;h") + more)).unwrap();
        (negotiated.sections[1].layers.len(), negotiated.answer.contains("a=simulcast:recv q;h\r\n"))
    };
    assert_eq!(without(""), (0, false));
    assert_eq!(without("a=ssrc-group:SIM 5 6\r\n"), (2, true));
}

#[test]
fn rids_without_simulcast_and_simulcast_of_audio_or_for_viewers_get_no_layers() {
    let (section, answered) = agree("a=rid:q send\r\na=rid:h send\r\n").unwrap();
    assert!(section.layers.is_empty() && answered.is_empty());
    assert_eq!(section.extension_id(Extension::RtpStreamId), None);
    let (section, answered) = agree("a=simulcast:send q;h\r\n").unwrap();
    assert!(section.layers.is_empty() && answered.is_empty());
    let simulcast = lines(&["q", "h"], "q;h");
    let audio = offer("sendonly").replace("a=rtpmap:111", &format!("{RID}{simulcast}a=rtpmap:111"));
    assert!(!publish(&audio).unwrap().answer.contains("simulcast"));
    let viewer = watch(&(offer("recvonly") + RID + &simulcast.replace("send", "recv")), &[]).unwrap();
    assert!(
        viewer.sections[1].layers.is_empty()
            && !viewer.answer.contains("a=rid")
            && !viewer.answer.contains("stream-id")
    );
}

#[test]
fn contradictions_are_malformed() {
    for (lines, what) in [
        ("a=rid:x send\r\na=rid:x send\r\n", "one name"),
        ("a=rid:x send\r\na=rid:x recv\r\n", "one name"),
        ("a=rid:a/b send\r\n", "letters"),
        ("a=rid: send\r\n", "send or recv"),
        ("a=rid\r\n", "letters"),
        (&format!("a=rid:{} send\r\n", "x".repeat(65)), "letters"),
        ("a=rid:x\r\n", "send or recv"),
        ("a=rid:x sendonly\r\n", "send or recv"),
        ("a=rid:x send pt=x\r\n", "payload types"),
        ("a=rid:x send pt=256\r\n", "payload types"),
        ("a=rid:x send\r\na=simulcast:x\r\n", "send or recv"),
        ("a=rid:x send\r\na=simulcast:send\r\n", "send or recv"),
        ("a=rid:x send\r\na=simulcast:send x send x\r\n", "two lists"),
        ("a=rid:x send\r\na=simulcast:send x;x\r\n", "twice"),
        ("a=simulcast:send x\r\na=simulcast:send x\r\n", "two a=simulcast"),
    ] {
        assert_malformed(agree(lines), what);
    }
}
