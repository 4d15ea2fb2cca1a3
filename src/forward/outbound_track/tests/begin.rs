//! Where a viewer's RTP stream begins, what is left out of it, and how it continues after an interruption.

use super::*;
use crate::forward::outbound_track::pull::LONGEST_HOLE;

#[test]
fn video_begins_at_a_keyframe_and_audio_at_once() {
    let publisher = Publisher::new();
    let packets = [publisher.packet(5), publisher.keyframe(6), publisher.packet(7), publisher.packet(4)];
    let mut video = outbound_track(Kind::Video, false);
    assert!(video.wants_keyframe());
    assert_eq!(forward(&mut video, &packets), line([(100, "1/6"), (101, "1/7")]));
    assert!(!video.wants_keyframe());
    let audio_packets = packets.map(|packet| Packet { keyframe: true, ..packet });
    let mut audio = outbound_track(Kind::Audio, false);
    assert!(!audio.wants_keyframe());
    assert_eq!(forward(&mut audio, &audio_packets), line([(100, "1/5"), (101, "1/6"), (102, "1/7")]));
}

#[test]
fn writes_the_viewers_labels_and_the_publishers_payload() {
    let mut outbound_track = outbound_track(Kind::Video, false);
    let mut buffer = [0; 1500];
    let first = Packet { marker: true, ..Publisher::new().keyframe(1) };
    let written = outbound_track.forward(&first, &mut buffer).unwrap();
    assert_eq!(written, Written { ssrc: SSRC, index: 100, header_len: 12, len: 15 });
    assert_eq!(buffer[..4], [0x80, 0x80 | VIEWER, 0, 100]);
    assert_eq!(buffer[4..8], 1_000_001u32.to_be_bytes());
    assert_eq!(buffer[8..12], SSRC.to_be_bytes());
    assert_eq!(&buffer[12..15], b"1/1");
    assert_eq!((outbound_track.counts().packets, outbound_track.counts().octets, outbound_track.ssrc()), (1, 3, SSRC));
}

#[test]
fn a_packet_is_sent_once() {
    let publisher = Publisher::new();
    let packets = [publisher.keyframe(1), publisher.packet(3), publisher.packet(3), publisher.keyframe(1)];
    assert_eq!(forward(&mut outbound_track(Kind::Video, false), &packets), line([(100, "1/1"), (102, "1/3")]));
}

#[test]
fn padding_and_foreign_payload_types_are_left_out_and_late_ones_go_as_empty_packets() {
    let publisher = Publisher::new();
    let foreign = |index| Packet { payload_type: SOURCE + 1, ..publisher.packet(index) };
    let mut outbound_track = outbound_track(Kind::Video, false);
    let in_order = [publisher.padding(0), publisher.keyframe(1), publisher.padding(2), foreign(3), publisher.packet(4)];
    assert_eq!(forward(&mut outbound_track, &in_order), line([(100, "1/1"), (101, "1/4")]));
    assert_eq!(outbound_track.counts().skipped, 2);
    let late = [publisher.packet(8), foreign(6), publisher.padding(7), publisher.packet(5), publisher.padding(2)];
    assert_eq!(forward(&mut outbound_track, &late), line([(105, "1/8"), (103, ""), (104, ""), (102, "1/5")]));
}

#[test]
fn a_keyframe_that_the_viewer_cannot_decode_begins_nothing_and_is_not_asked_for() {
    let h264 = Format { codec: Codec::H264, ..format(Kind::Video) };
    let mut outbound_track = OutboundTrack::new(config(Kind::Video, false));
    assert_eq!(outbound_track.select(generation(1), &h264, SOURCE), None);
    assert!(!outbound_track.wants_keyframe());
    assert_eq!(forward(&mut outbound_track, &[Publisher::new().keyframe(1)]), []);
    assert_eq!((outbound_track.counts().undecodable, outbound_track.state()), (1, TrackState::Waiting));
}

#[test]
fn takes_the_payload_type_that_fits_best() {
    let h264 = |level_id: &str| Format {
        codec: Codec::H264,
        parameters: format!("packetization-mode=1;profile-level-id={level_id}"),
        ..format(Kind::Video)
    };
    let offered = |payload_type, level_id| NegotiatedFormat {
        payload_type,
        format: h264(level_id),
        rtx_payload_type: None,
        red_payload_type: None,
    };
    let formats = vec![offered(102, "42e01f"), offered(104, "64001f"), offered(106, "42001f"), offered(108, "42001f")];
    let mut outbound_track = OutboundTrack::new(OutboundTrackConfig { formats, ..config(Kind::Video, false) });
    for (level_id, payload_type) in [("42000a", 106), ("42c01f", 102), ("640c1f", 104), ("f4001f", 102)] {
        assert_eq!(outbound_track.select(generation(1), &h264(level_id), SOURCE), Some(payload_type), "{level_id}");
    }
}

#[test]
fn packets_above_the_viewers_maximum_size_are_dropped() {
    let publisher = Publisher::new();
    let sized = |packet: Packet, len: usize| Packet { payload: vec![b'x'; len].into(), ..packet };
    let packets = [
        sized(publisher.keyframe(1), 1229),
        sized(publisher.keyframe(2), 1228),
        sized(publisher.packet(3), 1229),
        publisher.packet(4),
    ];
    let mut outbound_track = outbound_track(Kind::Video, false);
    let received: Vec<_> =
        forward(&mut outbound_track, &packets).into_iter().map(|(index, text)| (index, text.len())).collect();
    assert_eq!(received, [(100, 1228), (102, 3)]);
    assert_eq!(outbound_track.counts().oversized, 2);
}

#[test]
fn a_pause_gives_no_number_away_and_ends_at_a_keyframe_with_timestamps_moved_by_the_time_passed() {
    let publisher = Publisher::new();
    let mut outbound_track = outbound_track(Kind::Video, false);
    let mut buffer = [0; 1500];
    assert_eq!(forward(&mut outbound_track, &[publisher.keyframe(0)]), line([(100, "1/0")]));
    outbound_track.pause();
    outbound_track.restart();
    assert_eq!(forward(&mut outbound_track, &[publisher.packet(1), publisher.keyframe(2)]), []);
    assert!(!outbound_track.wants_keyframe());
    outbound_track.resume();
    assert!(outbound_track.wants_keyframe());
    assert_eq!(forward(&mut outbound_track, &[publisher.packet(799)]), []);
    let resumed = Packet { timestamp: 77, ..publisher.keyframe(800) };
    let written = outbound_track.forward(&resumed, &mut buffer).unwrap();
    assert_eq!((written.index, timestamp(&buffer)), (101, 1_000_001 + 8 * 90_000));
}

#[test]
fn a_hole_too_long_to_repair_is_closed_by_a_splice() {
    let publisher = Publisher::new();
    let far = LONGEST_HOLE + 3;
    let packets =
        [publisher.keyframe(1), publisher.packet(far), publisher.keyframe(far + 1), publisher.packet(far + 2)];
    let mut video = outbound_track(Kind::Video, false);
    let received = line([(100, "1/1"), (101, "1/1028"), (102, "1/1029")]);
    assert_eq!(forward(&mut video, &packets), received);
    let audio_packets = packets.map(|packet| Packet { keyframe: true, ..packet });
    let received = line([(100, "1/1"), (101, "1/1027"), (102, "1/1028"), (103, "1/1029")]);
    assert_eq!(forward(&mut outbound_track(Kind::Audio, false), &audio_packets), received);
}

#[test]
fn a_viewer_that_fell_behind_continues_at_the_newest_keyframe_or_for_audio_at_the_head() {
    let publisher = Publisher::new();
    let mut history = history([publisher.keyframe(0)]);
    let (mut video, mut audio) = (outbound_track(Kind::Video, false), outbound_track(Kind::Audio, false));
    assert_eq!(pull(&mut video, &history), line([(100, "1/0")]));
    assert_eq!(pull(&mut audio, &history), line([(100, "1/0")]));
    for index in 1..100 {
        let begins = index == 97;
        history.push(Arc::new(Packet { keyframe: begins, ..publisher.packet(index) }));
    }
    assert_eq!(pull(&mut video, &history), line([(101, "1/97"), (102, "1/98"), (103, "1/99")]));
    assert_eq!(pull(&mut audio, &history), []);
    history.push(Arc::new(publisher.keyframe(100)));
    assert_eq!(pull(&mut audio, &history), line([(101, "1/100")]));
    assert_eq!((video.counts().fell_behind, audio.counts().fell_behind), (1, 1));
}

#[test]
fn a_viewer_joins_at_the_head() {
    let publisher = Publisher::new();
    let mut history = history([publisher.keyframe(0), publisher.packet(1)]);
    let mut outbound_track = outbound_track(Kind::Video, false);
    outbound_track.seek(history.head());
    assert_eq!(pull(&mut outbound_track, &history), []);
    history.push(Arc::new(publisher.keyframe(2)));
    assert_eq!(pull(&mut outbound_track, &history), line([(100, "1/2")]));
}

#[test]
fn packets_that_overtook_the_keyframes_start_are_read_again() {
    let publisher = Publisher::new();
    let arrivals = [9, 12, 11, 13].map(|index| publisher.packet(index));
    let mut history = history(arrivals);
    let mut outbound_track = outbound_track(Kind::Video, false);
    assert_eq!(pull(&mut outbound_track, &history), []);
    history.push(Arc::new(publisher.keyframe(10)));
    history.push(Arc::new(publisher.packet(14)));
    let received = line([(100, "1/10"), (102, "1/12"), (101, "1/11"), (103, "1/13"), (104, "1/14")]);
    assert_eq!(pull(&mut outbound_track, &history), received);
    assert_eq!(outbound_track.counts().late, 0);
}

#[test]
fn padding_that_overtook_the_keyframes_start_leaves_no_hole() {
    let publisher = Publisher::new();
    let arrivals = [publisher.padding(11), publisher.packet(12), publisher.padding(14), publisher.keyframe(10)];
    let history = history(arrivals.into_iter().chain([publisher.packet(13), publisher.packet(15)]));
    let received = line([(100, "1/10"), (101, "1/12"), (102, "1/13"), (103, "1/15")]);
    assert_eq!(pull(&mut outbound_track(Kind::Video, false), &history), received);
}

#[test]
fn pulling_ends_however_a_publisher_orders_its_packets() {
    let publisher = Publisher::new();
    let far = |times: u64| publisher.packet(5000 + times * (LONGEST_HOLE + 1));
    let history = history([publisher.keyframe(1), publisher.packet(5001), far(4), far(2), publisher.keyframe(5000)]);
    let mut outbound_track = outbound_track(Kind::Video, false);
    let mut buffer = [0; 1500];
    let drawn = (0..100).take_while(|_| outbound_track.pull(&history, &mut buffer).is_some()).count();
    assert_eq!(drawn, 3);
}
