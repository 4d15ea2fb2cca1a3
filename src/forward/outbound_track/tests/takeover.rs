//! Another publisher in the same RTP stream.

use super::*;

#[test]
fn the_old_publisher_goes_on_until_the_new_ones_keyframe_and_is_over_then() {
    let old = Publisher::new();
    let new = old.successor();
    let mut outbound_track = outbound_track(Kind::Video, false);
    assert_eq!(forward(&mut outbound_track, &[old.keyframe(10), old.packet(12)]), line([(100, "1/10"), (102, "1/12")]));
    assert!(!outbound_track.wants_keyframe());
    assert_eq!(outbound_track.select(generation(2), &format(Kind::Video), SOURCE), Some(VIEWER));
    assert!(outbound_track.wants_keyframe());
    let mixed = [new.packet(500), old.packet(13), new.keyframe(501), old.packet(11), old.keyframe(14), new.packet(502)];
    // A missing packet of the old publisher still has its place; a packet after the splice has none.
    let expected = [(103, "1/13"), (104, "2/501"), (101, "1/11"), (105, "2/502")];
    assert_eq!(forward(&mut outbound_track, &mixed), line(expected));
    assert!(!outbound_track.wants_keyframe());
    assert_eq!((outbound_track.counts().segments, outbound_track.counts().late), (2, 1));
}

#[test]
fn timestamps_go_on_by_the_time_that_passed_between_receptions() {
    let old = Publisher::new();
    let mut outbound_track = outbound_track(Kind::Video, false);
    outbound_track.select(generation(2), &format(Kind::Video), SOURCE);
    let mut buffer = [0; 1500];
    let last_of_its_frame = Packet { received: old.start + STEP * 5, ..old.packet(0) };
    for packet in [old.keyframe(0), Packet { index: 1, ..last_of_its_frame }] {
        assert!(outbound_track.forward(&packet, &mut buffer).is_some());
        assert_eq!(timestamp(&buffer), 1_000_001);
    }
    assert!(outbound_track.forward(&old.successor().keyframe(250), &mut buffer).is_some());
    assert_eq!(timestamp(&buffer), 1_000_001 + 225_000);
    assert_eq!(outbound_track.map_timestamp(generation(2), LayerId(0), 2_000_225_900), Some(1_225_901));
    assert_eq!(outbound_track.map_timestamp(generation(1), LayerId(0), 0), None);
}

#[test]
fn audio_of_the_new_publisher_is_forwarded_at_once() {
    let old = Publisher::new();
    let new = old.successor();
    let mut outbound_track = outbound_track(Kind::Audio, false);
    outbound_track.select(generation(2), &format(Kind::Audio), SOURCE);
    let packets = [old.keyframe(1), old.keyframe(2), new.keyframe(9), old.keyframe(3), new.keyframe(10)];
    let received = line([(100, "1/1"), (101, "1/2"), (102, "2/9"), (103, "2/10")]);
    assert_eq!(forward(&mut outbound_track, &packets), received);
}

#[test]
fn a_publisher_that_the_viewer_cannot_decode_does_not_take_over() {
    let old = Publisher::new();
    let mut outbound_track = outbound_track(Kind::Video, false);
    let h264 = Format { codec: Codec::H264, ..format(Kind::Video) };
    assert_eq!(outbound_track.select(generation(2), &h264, SOURCE), None);
    let packets = [old.keyframe(1), old.successor().keyframe(2), old.packet(2)];
    assert_eq!(forward(&mut outbound_track, &packets), line([(100, "1/1"), (101, "1/2")]));
    assert!(!outbound_track.wants_keyframe());
}

#[test]
fn a_waiting_viewer_does_not_go_back_to_the_publisher_before() {
    let old = Publisher::new();
    let new = old.successor();
    let mut outbound_track = outbound_track(Kind::Video, false);
    outbound_track.select(generation(2), &format(Kind::Video), SOURCE);
    assert_eq!(forward(&mut outbound_track, &[new.keyframe(1)]), line([(100, "2/1")]));
    outbound_track.restart();
    assert_eq!(forward(&mut outbound_track, &[old.keyframe(9), new.packet(2), new.keyframe(3)]), line([(101, "2/3")]));
}

#[test]
fn picture_ids_continue_from_publisher_to_publisher_and_back_to_cached_frames() {
    let old = Publisher::new();
    let new = old.successor();
    let packets = [
        numbered(old.keyframe(1), true, 0x7fff, 255),
        numbered(old.packet(2), true, 0x0000, 0),
        numbered(new.keyframe(7), false, 5, 9),
        numbered(new.packet(8), false, 5, 9),
        numbered(new.packet(9), false, 6, 9),
    ];
    let history = history(packets.clone());
    let mut outbound_track = outbound_track(Kind::Video, true);
    outbound_track.select(generation(2), &format(Kind::Video), SOURCE);
    let mut buffer = [0; 1500];
    let mut pull = |outbound_track: &mut OutboundTrack| {
        let written = outbound_track.pull(&history, &mut buffer)?;
        let payload = &buffer[written.header_len..written.len];
        assert!(packets.iter().any(|packet| packet.payload.len() == payload.len()), "the length stays");
        Some((written.index, numbers_in(payload)))
    };
    let mut sent = Vec::new();
    while let Some(packet) = pull(&mut outbound_track) {
        sent.push(packet);
    }
    let expected = [(100, (0x7fff, 255)), (101, (0, 0)), (102, (1, 1)), (103, (1, 1)), (104, (2, 1))];
    assert_eq!(sent, expected);
    let later = old.start + STEP * 20;
    assert!(outbound_track.replay(&history, later));
    outbound_track.tick(later);
    assert_eq!(pull(&mut outbound_track), Some((105, (3, 2))), "the same keyframe again is another frame");
    let mut again = [0; 1500];
    let resent = outbound_track.resend(102, &history, later, &mut again).unwrap().written;
    assert_eq!(numbers_in(&again[resent.header_len + 2..resent.len]), (1, 1), "resent as it was sent");
}

#[test]
fn a_keyframe_alone_before_the_next_one_has_a_picture_id_of_its_own() {
    let publisher = Publisher::new();
    let mut outbound_track = outbound_track(Kind::Video, false);
    let mut buffer = [0; 1500];
    let mut ids = |index: u64| {
        outbound_track.restart();
        let written = outbound_track.forward(&numbered(publisher.keyframe(index), true, 7, 7), &mut buffer).unwrap();
        numbers_in(&buffer[written.header_len..written.len])
    };
    assert_eq!([1, 5, 9].map(&mut ids), [(7, 7), (8, 8), (9, 9)]);
}
