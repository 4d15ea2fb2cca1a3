//! Another publisher on the same line.

use super::*;

#[test]
fn the_old_publisher_goes_on_until_the_new_ones_keyframe_and_is_over_then() {
    let old = Publisher::new();
    let new = old.successor();
    let mut outlet = outlet(Kind::Video, false);
    assert_eq!(forward(&mut outlet, &[old.keyframe(10), old.packet(12)]), line([(100, "1/10"), (102, "1/12")]));
    assert!(!outlet.wants_keyframe());
    assert_eq!(outlet.select(2, &format(Kind::Video), SOURCE), Some(VIEWER));
    assert!(outlet.wants_keyframe());
    let mixed = [new.packet(500), old.packet(13), new.keyframe(501), old.packet(11), old.keyframe(14), new.packet(502)];
    assert_eq!(forward(&mut outlet, &mixed), line([(103, "1/13"), (104, "2/501"), (105, "2/502")]));
    assert!(!outlet.wants_keyframe());
    assert_eq!((outlet.counts().segments, outlet.counts().late), (2, 2));
}

#[test]
fn timestamps_go_on_by_the_time_that_passed_between_receptions() {
    let old = Publisher::new();
    let mut outlet = outlet(Kind::Video, false);
    outlet.select(2, &format(Kind::Video), SOURCE);
    let mut buffer = [0; 1500];
    let last_of_its_picture = Packet { received: old.start + STEP * 5, ..old.packet(0) };
    for packet in [old.keyframe(0), Packet { index: 1, ..last_of_its_picture }] {
        assert!(outlet.forward(&packet, &mut buffer).is_some());
        assert_eq!(timestamp(&buffer), 1_000_001);
    }
    assert!(outlet.forward(&old.successor().keyframe(250), &mut buffer).is_some());
    assert_eq!(timestamp(&buffer), 1_000_001 + 225_000);
    assert_eq!(outlet.map_timestamp(2, LayerId(0), 2_000_225_900), Some(1_225_901));
    assert_eq!(outlet.map_timestamp(1, LayerId(0), 0), None);
}

#[test]
fn sound_of_the_new_publisher_is_taken_at_once() {
    let old = Publisher::new();
    let new = old.successor();
    let mut outlet = outlet(Kind::Audio, false);
    outlet.select(2, &format(Kind::Audio), SOURCE);
    let packets = [old.keyframe(1), old.keyframe(2), new.keyframe(9), old.keyframe(3), new.keyframe(10)];
    let received = line([(100, "1/1"), (101, "1/2"), (102, "2/9"), (103, "2/10")]);
    assert_eq!(forward(&mut outlet, &packets), received);
}

#[test]
fn a_publisher_that_the_viewer_cannot_decode_does_not_take_over() {
    let old = Publisher::new();
    let mut outlet = outlet(Kind::Video, false);
    let h264 = Format { codec: Codec::H264, ..format(Kind::Video) };
    assert_eq!(outlet.select(2, &h264, SOURCE), None);
    let packets = [old.keyframe(1), old.successor().keyframe(2), old.packet(2)];
    assert_eq!(forward(&mut outlet, &packets), line([(100, "1/1"), (101, "1/2")]));
    assert!(!outlet.wants_keyframe());
}

#[test]
fn a_waiting_viewer_does_not_go_back_to_the_publisher_before() {
    let old = Publisher::new();
    let new = old.successor();
    let mut outlet = outlet(Kind::Video, false);
    outlet.select(2, &format(Kind::Video), SOURCE);
    assert_eq!(forward(&mut outlet, &[new.keyframe(1)]), line([(100, "2/1")]));
    outlet.restart();
    assert_eq!(forward(&mut outlet, &[old.keyframe(9), new.packet(2), new.keyframe(3)]), line([(101, "2/3")]));
}
