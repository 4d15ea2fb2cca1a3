//! What WebRTC clients send passes unchanged.

use super::*;

#[track_caller]
fn assert_unchanged(bed: &mut Bed, chunks: &[Vec<u8>]) {
    let sent = packet(OUR_TAG, chunks);
    let (verdict, changed) = bed.change(&sent);
    assert_eq!(verdict, PASSED);
    assert!(changed == sent, "the packet was changed");
}

#[test]
fn the_relay_can_begin_the_association_too() {
    let mut bed = Bed::new();
    bed.filter.handle_outbound(&packet(0, &[init(INIT, OUR_TAG, OUR_TSN, &[supports_forward_tsn()])]));
    // Chromium sends an INIT as the DTLS server too; webrtc-rs does not need it.
    assert_eq!(bed.put(&their_init()), Filtered::Drop(None));
    let answer = init(INIT_ACK, THEIR_TAG, THEIR_TSN, &[parameter(7, b"theirs"), supports_forward_tsn()]);
    assert_unchanged(&mut bed, std::slice::from_ref(&answer));
    assert_unchanged(&mut bed, &[answer]);
    let other = init(INIT_ACK, THEIR_TAG, THEIR_TSN + 1, &[parameter(7, b"theirs")]);
    assert_eq!(bed.take(&[other]), dropped(DropReason::SctpUnexpected));
    assert_unchanged(&mut bed, &[chunk(COOKIE_ACK, 0, &[]), data(WHOLE, THEIR_TSN, 0, 0, DCEP, &open(0, b"chat"))]);
}

#[test]
fn an_init_may_be_lost_and_so_may_its_answer() {
    let mut bed = Bed::new();
    for _ in 0..9 {
        assert_eq!(bed.put(&their_init()), PASSED);
        bed.filter.handle_outbound(&our_init_ack());
    }
    assert_unchanged(
        &mut bed,
        &[chunk(COOKIE_ECHO, 0, &COOKIE), data(WHOLE, THEIR_TSN, 1, 0, DCEP, &open(0, b"chat"))],
    );
    assert_unchanged(&mut bed, &[chunk(COOKIE_ECHO, 0, &COOKIE)]);
}

#[test]
fn channels_messages_and_control_chunks_pass_unchanged() {
    let mut bed = Bed::open();
    assert_eq!(bed.open_channel(1), PASSED);
    bed.send(&[data(WHOLE, OUR_TSN, 1, 0, DCEP, &[2])]);
    assert_unchanged(&mut bed, &[sack(OUR_TSN, &[])]);
    assert_unchanged(&mut bed, &[chunk(HEARTBEAT, 0, &parameter(1, &[5; 12]))]);
    // Many messages of all types in one packet, ordered and unordered.
    let many: Vec<_> = (0..40u16)
        .map(|number| {
            let (flags, ppid) =
                (WHOLE | [0, UNORDERED][usize::from(number % 2)], [51, 53, 56, 57][usize::from(number % 4)]);
            data(flags, bed.tsn + u32::from(number), 1, 1 + number / 2, ppid, b"x")
        })
        .collect();
    bed.tsn += 40;
    assert_unchanged(&mut bed, &many);
    // The longest message, in fragments.
    for number in 0..16 {
        let flags = if number == 0 { BEGINS } else { 0 } | if number == 15 { ENDS } else { 0 };
        assert_eq!(bed.data(flags, 1, 21, TEXT, &[b'x'; 1024]), PASSED);
    }
    let last = bed.tsn - 1;
    assert_unchanged(&mut bed, &[reset(1, last, &[1])]);
}

#[test]
fn loss_and_repetition_do_not_end_the_session() {
    let mut bed = Bed::open();
    assert_eq!(bed.open_channel(1), PASSED);
    let first = bed.tsn;
    let chunks: Vec<_> =
        (0..200u16).map(|number| data(WHOLE, first + u32::from(number), 1, 1 + number, TEXT, b"hello")).collect();
    for (number, chunk) in chunks.iter().enumerate().filter(|(number, _)| number % 3 != 0) {
        assert_eq!(bed.take(std::slice::from_ref(chunk)), PASSED, "{number}");
    }
    for chunk in chunks.iter().step_by(3).chain(&chunks) {
        assert_eq!(bed.take(std::slice::from_ref(chunk)), PASSED);
    }
    bed.send(&[sack(first + 199, &[])]);
    bed.tsn += 200;
    assert_eq!(bed.data(WHOLE, 1, 201, TEXT, b"bye"), PASSED);
}

#[test]
fn an_abandoned_message_is_skipped() {
    let mut bed = Bed::open();
    assert_eq!(bed.open_channel(1), PASSED);
    assert_eq!(bed.data(BEGINS, 1, 1, TEXT, &[b'x'; 1000]), PASSED);
    // Its second half is lost, and so is message 2; message 3 arrives.
    bed.tsn += 2;
    assert_eq!(bed.data(WHOLE, 1, 3, TEXT, b"three"), PASSED);
    let chunks = [forward_tsn(bed.tsn - 2, &[(1, 2)])];
    assert_unchanged(&mut bed, &chunks);
    assert_unchanged(&mut bed, &chunks);
    assert_eq!(bed.data(WHOLE, 1, 4, TEXT, b"four"), PASSED);
    // The rest of a message whose beginning was skipped.
    bed.tsn += 1;
    assert_eq!(bed.take(&[forward_tsn(bed.tsn - 1, &[])]), PASSED);
    assert_eq!(bed.data(ENDS | UNORDERED, 1, 0, TEXT, b"late"), PASSED);
    assert_eq!(bed.data(WHOLE, 1, 5, TEXT, b"five"), PASSED);
}

#[test]
fn tsns_and_sequence_numbers_wrap() {
    let mut bed = Bed::new();
    let tsn = u32::MAX - 3;
    assert_eq!(bed.put(&packet(0, &[init(INIT, THEIR_TAG, tsn, &[])])), PASSED);
    bed.filter.handle_outbound(&our_init_ack());
    assert_eq!(bed.take(&[chunk(COOKIE_ECHO, 0, &COOKIE)]), PASSED);
    bed.tsn = tsn;
    assert_eq!(bed.open_channel(0), PASSED);
    for number in 1..=70_000u32 {
        assert_eq!(bed.data(WHOLE, 0, number as u16, TEXT, b"x"), PASSED, "{number}");
    }
    for number in 0..5u32 {
        assert_eq!(bed.data(WHOLE, 0, (70_002 + number) as u16, TEXT, b"x"), PASSED, "one is missing: {number}");
    }
}

#[test]
fn a_closed_channel_makes_room_for_another() {
    let mut bed = Bed::open();
    for number in 0..100u32 {
        let stream = (number % 20) as u16;
        assert_eq!(bed.open_channel(stream), PASSED);
        assert_eq!(bed.data(WHOLE, stream, 1, TEXT, b"hello"), PASSED);
        bed.close_channel(1 + number, stream);
    }
}

#[test]
fn what_webrtc_rs_cannot_read_is_taken_out_and_the_rest_passes() {
    let mut bed = Bed::open();
    let open = data(WHOLE, bed.tsn, 1, 0, DCEP, &open(0, b"chat"));
    // ERROR, HEARTBEAT ACK, PAD (RFC 4820), an unknown chunk to be skipped, and one to be reported and skipped.
    let others = [
        chunk(ERROR, 0, &[0, 6, 0, 4]),
        chunk(5, 0, &[1; 8]),
        chunk(0x84, 0, &[0; 40]),
        chunk(0xbf, 0, &[1]),
        chunk(0xff, 0, &[]),
    ];
    for other in others {
        let sent = packet(OUR_TAG, &[other.clone(), open.clone()]);
        let (verdict, changed) = bed.change(&sent);
        assert_eq!(verdict, PASSED);
        assert_eq!(seal(changed.clone()), changed, "its checksum is right");
        let kinds: Vec<_> = chunks(&changed).iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [COOKIE_ECHO, DATA]);
        assert_eq!(bed.take(&[other]), Filtered::Drop(None), "nothing else is in it");
    }
}

#[test]
fn an_unknown_chunk_that_stops_ends_its_packet() {
    let mut bed = Bed::open();
    for unknown in [0x0f, 0x3f, 0x40, 0x7f] {
        bed.tsn += 1;
        let first = data(WHOLE, bed.tsn - 1, 1, (bed.tsn - 1 - THEIR_TSN) as u16, TEXT, b"x");
        let behind = data(WHOLE, bed.tsn, 99, 0, TEXT, b"x");
        let (verdict, changed) = bed.change(&packet(OUR_TAG, &[first, chunk(unknown, 0, &[9; 5]), behind]));
        assert_eq!(verdict, PASSED);
        let kinds: Vec<_> = chunks(&changed).iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [DATA, COOKIE_ECHO, COOKIE_ECHO]);
    }
}
