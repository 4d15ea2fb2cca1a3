//! The answers to NACKs.

use super::*;

const RTT: Duration = Duration::from_millis(40);

struct Viewer {
    outbound_track: OutboundTrack,
    buffer: [u8; 1500],
}

impl Viewer {
    fn new(rtx: bool) -> Self {
        let mut outbound_track = outbound_track(Kind::Video, rtx);
        outbound_track.set_rtt(RTT);
        assert_eq!(outbound_track.select(generation(2), &format(Kind::Video), SOURCE), Some(VIEWER));
        Self { outbound_track, buffer: [0; 1500] }
    }

    fn forward(&mut self, packet: &Packet) -> Vec<u8> {
        let written = self.outbound_track.forward(packet, &mut self.buffer).unwrap();
        self.buffer[..written.len].to_vec()
    }

    fn pad(&mut self, size: usize, history: &History) -> Option<(Written, Vec<u8>)> {
        let written = self.outbound_track.pad(size, history, &mut self.buffer)?;
        Some((written, self.buffer[..written.len].to_vec()))
    }

    fn resend(&mut self, sequence: u16, history: &History, now: Instant) -> Option<(Written, Vec<u8>)> {
        let written = self.outbound_track.resend(sequence, history, now, &mut self.buffer)?.written;
        Some((written, self.buffer[..written.len].to_vec()))
    }
}

#[test]
fn without_rtx_a_resend_repeats_the_first_sending_bit_for_bit_also_across_a_takeover() {
    let old = Publisher::new();
    let new = old.successor();
    let marked = Packet { marker: true, ..old.packet(2) };
    let packets = [old.keyframe(1), marked, new.keyframe(7), new.packet(8)];
    let history = history(packets.clone());
    let mut viewer = Viewer::new(false);
    let sent = packets.map(|packet| viewer.forward(&packet));
    for (sequence, sent) in (100..).zip(sent) {
        let (written, resent) = viewer.resend(sequence, &history, old.start).unwrap();
        assert_eq!((written.ssrc, written.index, resent), (SSRC, u64::from(sequence), sent));
    }
    assert_eq!((viewer.outbound_track.counts().resent, viewer.outbound_track.counts().packets), (4, 8));
}

#[test]
fn a_packet_sent_with_two_numbers_is_resent_with_the_one_that_was_asked_for() {
    let publisher = Publisher::new();
    let history = history([publisher.keyframe(1)]);
    let mut viewer = Viewer::new(false);
    let first = viewer.forward(&publisher.keyframe(1));
    viewer.outbound_track.restart();
    let again = viewer.forward(&publisher.keyframe(1));
    assert_ne!(first, again);
    assert_eq!(viewer.resend(100, &history, publisher.start).unwrap().1, first);
    assert_eq!(viewer.resend(101, &history, publisher.start).unwrap().1, again);
}

#[test]
fn an_empty_packet_is_resent_empty() {
    let publisher = Publisher::new();
    let foreign = Packet { payload_type: SOURCE + 1, ..publisher.packet(2) };
    let packets = [publisher.keyframe(1), publisher.packet(3), foreign];
    let history = history(packets.clone());
    let mut viewer = Viewer::new(false);
    let [_, _, empty] = packets.map(|packet| viewer.forward(&packet));
    assert_eq!(viewer.resend(101, &history, publisher.start).unwrap().1, empty);
    assert_eq!(empty.len(), 12);
}

#[test]
fn rtx_has_numbers_of_its_own_and_names_the_original() {
    let publisher = Publisher::new();
    let packets = [publisher.keyframe(1), Packet { marker: true, ..publisher.packet(2) }];
    let history = history(packets.clone());
    let mut viewer = Viewer::new(true);
    let [_, sent] = packets.map(|packet| viewer.forward(&packet));
    for round in 0..2u8 {
        let now = publisher.start + RTT * u32::from(round);
        let (written, resent) = viewer.resend(101, &history, now).unwrap();
        assert_eq!(written, Written { ssrc: RTX_SSRC, index: 500 + u64::from(round), header_len: 12, len: 17 });
        assert_eq!(resent[..4], [0x80, 0x80 | VIEWER_RTX, 1, 244 + round]);
        assert_eq!(resent[4..8], sent[4..8]);
        assert_eq!(resent[8..12], RTX_SSRC.to_be_bytes());
        assert_eq!(resent[12..14], [0, 101]);
        assert_eq!(resent[14..], sent[12..]);
    }
    assert_eq!((viewer.outbound_track.counts().resent, viewer.outbound_track.counts().packets), (2, 2));
}

#[test]
fn a_packet_that_has_no_room_for_the_two_octets_of_rtx_is_resent_in_band() {
    let publisher = Publisher::new();
    let largest = Packet { payload: vec![7; 1240 - HEADER_LEN].into(), ..publisher.keyframe(1) };
    let history = history([largest.clone()]);
    let mut viewer = Viewer::new(true);
    let sent = viewer.forward(&largest);
    let (written, resent) = viewer.resend(100, &history, publisher.start).unwrap();
    assert_eq!((written.ssrc, resent), (SSRC, sent));
}

#[test]
fn a_packet_is_resent_three_times_and_not_twice_in_a_round_trip() {
    let publisher = Publisher::new();
    let history = history([publisher.keyframe(1)]);
    let mut viewer = Viewer::new(true);
    viewer.forward(&publisher.keyframe(1));
    let mut resends = |at: u32| viewer.resend(100, &history, publisher.start + RTT * at / 2).is_some();
    assert_eq!([0, 1, 2, 3, 4, 9].map(&mut resends), [true, false, true, false, true, false]);
    assert_eq!(viewer.outbound_track.counts().refused, 3);
}

#[test]
fn a_resend_is_two_copies_with_numbers_of_their_own() {
    let publisher = Publisher::new();
    let history = history([publisher.keyframe(1)]);
    let mut viewer = Viewer::new(true);
    viewer.forward(&publisher.keyframe(1));
    let resend = viewer.outbound_track.resend(100, &history, publisher.start, &mut viewer.buffer).unwrap();
    assert_eq!((resend.copies, resend.written.index), (1, 500));
    let copy = viewer.outbound_track.copy(&resend, &history, &mut viewer.buffer).unwrap();
    assert_eq!(copy, Written { index: 501, ..resend.written });
    assert_eq!(viewer.outbound_track.counts().resent, 2);
}

#[test]
fn a_packet_that_no_resend_will_bring_is_counted_as_lost() {
    let publisher = Publisher::new();
    let history = history([publisher.keyframe(1), publisher.packet(3)]);
    let mut viewer = Viewer::new(true);
    viewer.forward(&publisher.keyframe(1));
    viewer.forward(&publisher.packet(3));
    let mut lost = |sequence, at: u32| {
        viewer.resend(sequence, &history, publisher.start + RTT * at);
        viewer.outbound_track.counts().lost
    };
    assert_eq!([0, 1, 2].map(|at| lost(100, at)), [0; 3]);
    assert_eq!(lost(100, 3), 1, "resent three times");
    assert_eq!([3, 4, 9].map(|at| lost(101, at)), [1; 3], "it may still come from the publisher");
    assert_eq!(lost(101, 16), 2);
}

#[test]
fn the_playout_delay_extension_has_one_length_on_packets_and_their_resends() {
    let publisher = Publisher::new();
    let largest = Packet { payload: vec![7; 1240 - HEADER_LEN - 9].into(), ..publisher.packet(3) };
    let packets = [publisher.keyframe(1), publisher.packet(2), largest.clone(), publisher.packet(4)];
    let history = history(packets.clone());
    let mut viewer = Viewer::new(true);
    assert_eq!(viewer.forward(&packets[0])[0], 0x80, "no extension before it is needed");
    viewer.outbound_track.set_playout_delay(Duration::from_millis(90));
    let extension = |bytes: &[u8]| (bytes[0] == 0x90).then(|| bytes[12..20].to_vec());
    let playout_delay = Some(vec![0xbe, 0xde, 0, 1, 0x52, 0, 0x9f, 0xff]);
    let sent = viewer.forward(&packets[1]);
    assert_eq!((extension(&sent), &sent[20..]), (playout_delay.clone(), &packets[1].payload[..]));
    assert_eq!(extension(&viewer.forward(&largest)), None, "with its resend's two octets it would not fit");
    let (written, resent) = viewer.resend(101, &history, publisher.start).unwrap();
    assert_eq!((written.header_len, extension(&resent)), (20, playout_delay));
    assert_eq!((&resent[20..22], &resent[22..]), (&[0, 101][..], &packets[1].payload[..]));
    viewer.outbound_track.set_playout_delay(Duration::ZERO);
    assert_eq!(extension(&viewer.forward(&packets[3])), Some(vec![0xbe, 0xde, 0, 1, 0x52, 0, 0x0f, 0xff]));

    let mut without = Viewer::new(false);
    without.outbound_track.set_playout_delay(Duration::from_millis(90));
    assert_eq!(without.forward(&packets[0])[0], 0x80, "its resends repeat what was sent");
}

#[test]
fn a_packet_that_was_never_sent_is_not_resent() {
    let publisher = Publisher::new();
    let history = history([publisher.keyframe(1), publisher.packet(3), publisher.packet(9)]);
    let mut viewer = Viewer::new(false);
    assert!(viewer.resend(100, &history, publisher.start).is_none());
    viewer.forward(&publisher.keyframe(1));
    viewer.forward(&publisher.packet(3));
    for sequence in [99, 101, 103, 108] {
        assert!(viewer.resend(sequence, &history, publisher.start).is_none(), "{sequence}");
    }
    assert_eq!(viewer.outbound_track.counts().not_found, 1);
}

#[test]
fn a_number_over_the_wrap_is_found() {
    let publisher = Publisher::new();
    let first = FirstNumbers { index: 0x7fff, ..FIRST };
    let mut outbound_track = OutboundTrack::new(OutboundTrackConfig { first, ..config(Kind::Video, false) });
    outbound_track.select(generation(1), &format(Kind::Video), SOURCE);
    let mut viewer = Viewer { outbound_track, buffer: [0; 1500] };
    viewer.forward(&publisher.keyframe(0));
    for index in (500..0x8001).step_by(500).chain([0x8000, 0x8001, 0x8002]) {
        viewer.forward(&publisher.packet(index));
    }
    let history = history([0x8000, 0x8001].map(|index| publisher.packet(index)));
    let indexes = [0xffff, 0].map(|sequence| viewer.resend(sequence, &history, publisher.start).unwrap().0.index);
    assert_eq!(indexes, [0xffff, 0x1_0000]);
}

#[test]
fn padding_repeats_one_of_the_last_packets_by_rtx_and_takes_no_number_of_the_video() {
    let publisher = Publisher::new();
    let packets = [publisher.keyframe(1), publisher.packet(2), publisher.packet(3)];
    let history = history(packets.clone());
    let mut viewer = Viewer::new(true);
    assert_eq!(viewer.pad(500, &history), None, "nothing has been sent");
    for packet in &packets {
        viewer.forward(packet);
    }
    let (written, padding) = viewer.pad(packets[1].payload.len(), &history).unwrap();
    assert_eq!(written.ssrc, RTX_SSRC);
    let [high, low] = [padding[written.header_len], padding[written.header_len + 1]];
    assert!((100..103).contains(&u16::from_be_bytes([high, low])), "the number of what is repeated");
    assert_eq!(padding[0] & 0x20, 0);
    let next = viewer.forward(&publisher.packet(4));
    assert_eq!(next[2..4], 103u16.to_be_bytes());
    let mut without = Viewer::new(false);
    without.forward(&packets[0]);
    assert_eq!(without.pad(500, &history), None, "without RTX there is no padding");
}

#[test]
fn where_no_packet_of_about_its_size_is_kept_padding_has_no_other_content() {
    let publisher = Publisher::new();
    let mut viewer = Viewer::new(true);
    let large = Packet { payload: vec![7; 900].into(), ..publisher.packet(2) };
    let packets = [publisher.keyframe(1), large];
    viewer.forward(&packets[0]);
    viewer.forward(&packets[1]);
    let kept = history([packets[1].clone()]);
    assert_ne!(viewer.pad(600, &kept).unwrap().1[0] & 0x20, 0x20);
    for (size, octets, history) in
        [(1, 2, history([])), (200, 200, history([])), (1200, 255, history([])), (300, 255, kept)]
    {
        let (written, padding) = viewer.pad(size, &history).unwrap();
        assert_eq!((written.ssrc, written.len - written.header_len), (RTX_SSRC, octets));
        assert_eq!(padding[0] & 0x20, 0x20);
        assert_eq!(usize::from(padding[written.len - 1]), octets);
    }
}
