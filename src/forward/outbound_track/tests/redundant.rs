//! Audio with copies of earlier packets (RFC 2198), to viewers that negotiated it and to those that did not.

use super::*;

/// A publisher's audio with one copy, 960 ticks older.
fn redundant(index: u64, own: &[u8], copy: &[u8]) -> Packet {
    let [_, a, b, c] = (960u32 << 10 | copy.len() as u32).to_be_bytes();
    let payload = [&[SOURCE | 0x80, a, b, c, SOURCE], copy, own].concat();
    let redundancy = Redundancy::read(&payload, SOURCE);
    assert!(redundancy.is_some());
    Packet { payload: payload.into(), redundancy, payload_type: SOURCE_RED, ..Publisher::new().keyframe(index) }
}

fn viewer(red_payload_type: Option<u8>) -> OutboundTrack {
    let mut config = config(Kind::Audio, false);
    config.formats[0].red_payload_type = red_payload_type;
    let mut outbound_track = OutboundTrack::new(config);
    assert_eq!(outbound_track.select(generation(1), &format(Kind::Audio), SOURCE), Some(VIEWER));
    outbound_track
}

/// What a viewer receives of a packet: payload type and payload.
fn received(outbound_track: &mut OutboundTrack, packet: &Packet) -> (u8, Vec<u8>) {
    let mut buffer = [0; 1500];
    let written = outbound_track.forward(packet, &mut buffer).unwrap();
    assert_eq!(written.header_len, HEADER_LEN);
    (buffer[1], buffer[written.header_len..written.len].to_vec())
}

#[test]
fn a_viewer_that_takes_copies_gets_them_under_its_own_payload_types() {
    let packet = Packet { marker: true, ..redundant(1, &[1, 2], &[3]) };
    let expected = [VIEWER | 0x80, 0x0f, 0x00, 0x01, VIEWER, 3, 1, 2];
    assert_eq!(received(&mut viewer(Some(VIEWER_RED)), &packet), (VIEWER_RED | 0x80, expected.to_vec()));
    assert_eq!(received(&mut viewer(None), &packet), (VIEWER | 0x80, vec![1, 2]));
}

#[test]
fn a_publisher_may_leave_copies_out_at_any_time() {
    let mut outbound_track = viewer(Some(VIEWER_RED));
    assert_eq!(received(&mut outbound_track, &redundant(1, &[1], &[2])).0, VIEWER_RED);
    let plain = Publisher::new().keyframe(2);
    assert_eq!(received(&mut outbound_track, &plain), (VIEWER, plain.payload.to_vec()));
    assert_eq!(received(&mut outbound_track, &redundant(3, &[1], &[2])).0, VIEWER_RED);
    assert_eq!((outbound_track.counts().segments, outbound_track.counts().packets), (1, 3));
}

#[test]
fn where_copies_do_not_fit_the_audio_is_sent_alone() {
    let large = |len| redundant(1, &vec![1; len], &[2; 600]);
    let room = 1240 - HEADER_LEN - 5 - 600;
    assert_eq!(received(&mut viewer(Some(VIEWER_RED)), &large(room)).1.len(), 1240 - HEADER_LEN);
    let mut outbound_track = viewer(Some(VIEWER_RED));
    assert_eq!(received(&mut outbound_track, &large(room + 1)), (VIEWER, vec![1; room + 1]));
    assert_eq!(outbound_track.counts().oversized, 0);
    let empty = redundant(2, &[], &[2]);
    assert_eq!(outbound_track.forward(&empty, &mut [0; 1500]), None, "there is nothing to be heard");
}

#[test]
fn a_resend_repeats_the_copies_bit_for_bit() {
    let packets = [redundant(1, &[1], &[2, 3]), Publisher::new().keyframe(2), redundant(3, &[4], &[5])];
    let history = history(packets.clone());
    let mut outbound_track = viewer(Some(VIEWER_RED));
    let mut buffer = [0; 1500];
    let sent = packets.map(|packet| {
        let written = outbound_track.forward(&packet, &mut buffer).unwrap();
        buffer[..written.len].to_vec()
    });
    for (sequence, sent) in (100..).zip(sent) {
        let now = Instant::now() + STEP;
        let written = outbound_track.resend(sequence, &history, now, &mut buffer).unwrap().written;
        assert_eq!((written.ssrc, &buffer[..written.len]), (SSRC, &sent[..]));
    }
}
