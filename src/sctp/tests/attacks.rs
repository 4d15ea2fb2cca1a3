//! Packets that would break or block webrtc-rs do not pass.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const MANY: usize = 20_000;

#[test]
fn nothing_passes_without_a_valid_checksum_tag_and_shape() {
    let mut bed = Bed::open();
    let whole = packet(OUR_TAG, &[data(WHOLE, THEIR_TSN, 1, 0, DCEP, &open(0, b"chat"))]);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(bed.put(&changed), dropped(DropReason::SctpMalformed), "bit {bit} of octet {at}");
        }
    }
    let wrong_tag = packet(OUR_TAG + 1, &[data(WHOLE, THEIR_TSN, 1, 0, DCEP, &open(0, b"chat"))]);
    assert_eq!(bed.put(&wrong_tag), dropped(DropReason::SctpMalformed));
    assert_eq!(bed.put(&packet(0, &[sack(OUR_TSN, &[])])), dropped(DropReason::SctpMalformed));
    let mut other_port = whole.clone();
    other_port[0] = 9;
    assert_eq!(bed.put(&seal(other_port)), dropped(DropReason::SctpMalformed));
    for short in 0..whole.len() {
        assert_eq!(bed.put(&whole[..short]), dropped(DropReason::SctpMalformed));
    }
    assert_eq!(bed.put(&whole), PASSED, "nothing of that has changed anything");
}

#[test]
fn chunks_pass_only_with_correct_lengths() {
    let data = data(WHOLE, THEIR_TSN, 1, 0, TEXT, b"hello");
    let sack_of = |gaps: u16, duplicates: u16, more: usize| {
        let counts = [gaps.to_be_bytes(), duplicates.to_be_bytes()].concat();
        chunk(SACK, 0, &[&OUR_TSN.to_be_bytes()[..], &[0, 0, 16, 0], &counts, &vec![0; more]].concat())
    };
    let wrong = [
        claiming(0, data.clone()),
        claiming(3, data.clone()),
        claiming(1000, data.clone()),
        claiming(u16::MAX, data.clone()),
        // No user data (RFC 9260 3.3.1).
        chunk(DATA, WHOLE, &data[4..16]),
        chunk(DATA, WHOLE, &[0; 3]),
        // More or fewer blocks than it has room for: webrtc-rs would read what follows as chunks.
        sack_of(0, 0, 4),
        sack_of(1, 0, 0),
        sack_of(u16::MAX, 0, 8),
        sack_of(0, u16::MAX, 8),
        chunk(SACK, 0, &[0; 11]),
        chunk(COOKIE_ACK, 0, &[1]),
        chunk(SHUTDOWN, 0, &[]),
        chunk(SHUTDOWN, 0, &[0; 5]),
        chunk(8, 0, &[0; 4]),
        chunk(14, 0, &[0; 4]),
        chunk(HEARTBEAT, 0, &[]),
        chunk(HEARTBEAT, 0, &[0, 1, 0, 3]),
        chunk(HEARTBEAT, 0, &[0, 1, 0, 12, 1, 2, 3, 4]),
        chunk(HEARTBEAT, 0, &[parameter(1, &[1; 4]), parameter(1, &[1; 4])].concat()),
        chunk(HEARTBEAT, 0, &parameter(7, &[1; 4])),
        chunk(FORWARD_TSN, 0, &[]),
        chunk(FORWARD_TSN, 0, &[0; 6]),
    ];
    for wrong in wrong {
        let mut bed = Bed::open();
        assert_eq!(bed.take(std::slice::from_ref(&wrong)), dropped(DropReason::SctpMalformed), "{wrong:?}");
        assert_eq!(bed.take(&[data.clone(), wrong.clone()]), dropped(DropReason::SctpMalformed), "{wrong:?}");
        assert_eq!(bed.data(WHOLE, 1, 0, TEXT, b"first"), PASSED, "it changed nothing");
    }
}

#[test]
fn malformed_re_config_chunks_are_taken_out() {
    let number = |value: u32| value.to_be_bytes();
    let reset = [number(1), number(0), number(THEIR_TSN)].concat();
    for body in [
        vec![],
        vec![0; 3],
        parameter(14, &[0; 4]),
        parameter(17, &[0; 8]),
        parameter(16, &[0; 16]),
        parameter(16, &[0; 4]),
        parameter(13, &reset[..11]),
        parameter(13, &[&reset[..], &[0]].concat()),
        [parameter(13, &reset), parameter(13, &reset)].concat(),
        [parameter(13, &reset), vec![0, 16, 0, 2]].concat(),
        vec![0, 13, 0, 200, 0, 0],
        parameter(0xc000, &[1; 4]),
    ] {
        let mut bed = Bed::open();
        assert_eq!(bed.take(&[chunk(RE_CONFIG, 0, &body)]), dropped(DropReason::SctpUnexpected), "{body:?}");
    }
}

#[test]
fn inits_make_no_more_than_nine_associations() {
    let mut bed = Bed::new();
    let passed = (0..MANY).filter(|_| bed.put(&their_init()) == PASSED).count();
    assert_eq!(passed, 9);
    let mut bed = Bed::new();
    let other = |number| packet(0, &[init(INIT, number, number, &[])]);
    let passed = (1..MANY as u32).filter(|number| bed.put(&other(*number)) == PASSED).count();
    assert_eq!(passed, 9);
    let mut bed = Bed::open();
    assert_eq!(bed.put(&their_init()), dropped(DropReason::SctpUnexpected), "the association lives");
    assert_eq!(bed.put(&other(7)), dropped(DropReason::SctpUnexpected));
}

#[test]
fn an_init_means_the_same_as_the_one_before_with_its_tag() {
    let mut bed = Bed::new();
    assert_eq!(bed.put(&their_init()), PASSED);
    let other = packet(0, &[init(INIT, THEIR_TAG, THEIR_TSN + 0x7fff_0000, &[])]);
    assert_eq!(bed.put(&other), dropped(DropReason::SctpUnexpected));
}

#[test]
fn an_init_with_flags_or_beside_other_chunks_is_refused() {
    let good = init(INIT, THEIR_TAG, THEIR_TSN, &[]);
    let mut narrow = good.clone();
    narrow[8..12].copy_from_slice(&1499u32.to_be_bytes());
    let mut no_streams = good.clone();
    no_streams[14..16].fill(0);
    for wrong in [
        packet(0, &[good.clone(), good.clone()]),
        packet(0, &[good.clone(), data(WHOLE, 1, 1, 0, TEXT, b"x")]),
        packet(OUR_TAG, &[good]),
        packet(0, &[init(INIT, 0, THEIR_TSN, &[])]),
        packet(0, &[narrow]),
        packet(0, &[no_streams]),
        packet(0, &[init(INIT, THEIR_TAG, THEIR_TSN, &[vec![0x80, 0x08, 0, 200]])]),
        packet(0, &[init(INIT, THEIR_TAG, THEIR_TSN, &[parameter(0xc000, &[1; 8])])]),
        packet(0, &[init(INIT, THEIR_TAG, THEIR_TSN, &[parameter(0x8004, &[0, 1, 0])])]),
        packet(0, &[chunk(INIT, 0, &[0; 15])]),
    ] {
        assert_eq!(Bed::new().put(&wrong), dropped(DropReason::SctpMalformed), "{wrong:?}");
    }
}

#[test]
fn only_the_cookie_begins_an_association() {
    for first in [
        data(WHOLE, THEIR_TSN, 1, 0, TEXT, b"x"),
        chunk(COOKIE_ECHO, 0, &[8; 32]),
        chunk(COOKIE_ECHO, 0, &[]),
        chunk(COOKIE_ACK, 0, &[]),
        init(INIT_ACK, THEIR_TAG, THEIR_TSN, &[parameter(7, b"cookie")]),
        forward_tsn(THEIR_TSN, &[]),
        chunk(SHUTDOWN, 0, &[0; 4]),
    ] {
        let mut bed = Bed::new();
        assert_eq!(bed.take(std::slice::from_ref(&first)), dropped(DropReason::SctpUnexpected));
        assert_eq!(bed.put(&their_init()), PASSED);
        bed.filter.handle_outbound(&our_init_ack());
        assert_eq!(bed.take(&[first]), dropped(DropReason::SctpUnexpected));
        assert_eq!(bed.take(&[chunk(COOKIE_ECHO, 0, &COOKIE)]), PASSED);
    }
}

#[test]
fn forward_tsn_beyond_the_window_is_lost() {
    let mut bed = Bed::open();
    for ahead in [4097, 0x10000, 0x7fff_fff0, 0x7fff_fffe] {
        let far = forward_tsn((THEIR_TSN - 1).wrapping_add(ahead), &[]);
        assert_eq!(bed.take(&[far]), dropped(DropReason::SctpWindow), "{ahead}");
    }
    assert_eq!(bed.take(&[forward_tsn(THEIR_TSN - 1 + 4096, &[])]), PASSED);
    assert_eq!(bed.data(WHOLE, 1, 0, TEXT, b"before it"), PASSED, "repeated");
    assert_eq!(bed.take(&[forward_tsn(THEIR_TSN, &[])]), PASSED, "webrtc-rs acknowledges it and goes nowhere");
    bed.tsn = THEIR_TSN + 4096;
    assert_eq!(bed.take(&[forward_tsn(bed.tsn + 4096, &[])]), dropped(DropReason::SctpWindow), "it did not step back");
    assert_eq!(bed.data(WHOLE, 1, 0, TEXT, b"x"), PASSED);
}

#[test]
fn data_far_ahead_and_many_gaps_are_lost() {
    let mut bed = Bed::open();
    let at = |ahead: u32| data(WHOLE, THEIR_TSN.wrapping_add(ahead), 1, ahead as u16, TEXT, b"x");
    for ahead in [4096, 0x10000, 0x7fff_ff00] {
        assert_eq!(bed.take(&[at(ahead)]), dropped(DropReason::SctpWindow), "{ahead}");
    }
    let mut passed = 0;
    for ahead in (1..4096).step_by(2) {
        passed += usize::from(bed.take(&[at(ahead)]) == PASSED);
    }
    assert_eq!(passed, 256);
    assert_eq!(bed.take(&[at(0)]), PASSED, "what fills the first gap");
    assert_eq!(bed.take(&[at(2)]), PASSED);
}

#[test]
fn chunks_ahead_of_a_gap_are_bounded_in_octets() {
    let mut bed = Bed::open();
    let at = |ahead: u16| data(WHOLE, THEIR_TSN + u32::from(ahead), 1, ahead, TEXT, &[b'x'; 1200]);
    let passed = (1..4096).filter(|ahead| bed.take(&[at(*ahead)]) == PASSED).count();
    assert!((200..300).contains(&passed), "{passed}");
    assert_eq!(bed.take(&[at(0)]), PASSED);
    assert_eq!(bed.take(&[at(passed as u16 + 1)]), PASSED, "there is room again");
}

#[test]
fn a_seventeenth_channel_ends_the_session() {
    let mut bed = Bed::open();
    for stream in 0..16 {
        assert_eq!(bed.open_channel(stream), PASSED);
    }
    assert_eq!(bed.open_channel(16), Filtered::End(Violation::TooManyChannels));
    assert_eq!(bed.open_channel(1), dropped(DropReason::SctpUnexpected), "nothing passes any more");
}

#[test]
fn first_fragments_count_as_channels_too() {
    let mut bed = Bed::open();
    for stream in 0..16 {
        bed.tsn += 1;
        assert_eq!(bed.data(BEGINS, stream, 0, TEXT, b"x"), PASSED);
    }
    bed.tsn += 1;
    assert_eq!(bed.data(BEGINS, 16, 0, TEXT, b"x"), Filtered::End(Violation::TooManyChannels));
}

#[test]
fn a_channel_with_an_id_of_1024_ends_the_session() {
    let mut bed = Bed::open();
    assert_eq!(bed.open_channel(1023), PASSED);
    assert_eq!(bed.open_channel(1024), Filtered::End(Violation::StreamTooHigh));
    assert_eq!(Bed::open().open_channel(u16::MAX), Filtered::End(Violation::StreamTooHigh));
}

#[test]
fn malformed_dcep_ends_the_session() {
    let whole = open(0, b"chat");
    let long = open(0, &[b'x'; 1025]);
    let wrong = [0, 1, 2, 3, 4, 255].into_iter().flat_map(|first| (1..=5).map(move |length| vec![first; length]));
    let wrong = wrong.chain([whole[..15].to_vec(), [&whole[..], b"x"].concat(), long]);
    for message in wrong {
        let expected = Filtered::End(Violation::Dcep);
        assert_eq!(Bed::open().data(WHOLE, 1, 0, DCEP, &message), expected, "{message:?}");
    }
    for flags in [BEGINS, ENDS, 0, WHOLE | UNORDERED] {
        assert_eq!(Bed::open().data(flags, 1, 0, DCEP, &whole), Filtered::End(Violation::Dcep), "{flags:b}");
    }
    let mut bed = Bed::open();
    assert_eq!(bed.open_channel(1), PASSED);
    assert_eq!(bed.data(WHOLE, 1, 1, DCEP, &whole), Filtered::End(Violation::Dcep), "opened twice");
    assert_eq!(Bed::open().data(WHOLE, 1, 0, DCEP, &[2]), Filtered::End(Violation::Dcep), "nothing was opened");
    let mut bed = Bed::open();
    bed.send(&[data(WHOLE, OUR_TSN, 4, 0, DCEP, &whole)]);
    assert_eq!(bed.data(WHOLE, 4, 0, DCEP, &[2]), PASSED);
}

#[test]
fn payloads_of_other_kinds_end_the_session() {
    for ppid in [0, 49, 52, 54, 55, 58, u32::MAX] {
        assert_eq!(Bed::open().data(WHOLE, 1, 0, ppid, b"x"), Filtered::End(Violation::UnknownPayload), "{ppid}");
    }
}

#[test]
fn a_message_longer_than_allowed_ends_the_session() {
    let mut bed = Bed::open();
    for _ in 0..16 {
        let flags = if bed.tsn == THEIR_TSN { BEGINS } else { 0 };
        assert_eq!(bed.data(flags, 1, 0, TEXT, &[b'x'; 1024]), PASSED);
    }
    assert_eq!(bed.data(ENDS, 1, 0, TEXT, b"x"), Filtered::End(Violation::MessageTooLong));
}

#[test]
fn fragments_that_form_no_message_end_the_session() {
    let mut bed = Bed::open();
    let verdicts: Vec<_> =
        (0..300).map(|number| bed.data(if number == 0 { BEGINS } else { 0 }, 1, 0, TEXT, b"x")).collect();
    let end = verdicts.iter().position(|verdict| *verdict != PASSED).expect("it ends");
    assert_eq!(verdicts[end], Filtered::End(Violation::Fragments), "after {end} fragments of one octet");
    for (flags, stream, sequence) in
        [(BEGINS, 1, 0), (ENDS, 2, 0), (ENDS, 1, 1), (ENDS | UNORDERED, 1, 0), (WHOLE, 1, 1)]
    {
        let mut bed = Bed::open();
        assert_eq!(bed.data(BEGINS, 1, 0, TEXT, b"x"), PASSED);
        assert_eq!(bed.data(flags, stream, sequence, TEXT, b"x"), Filtered::End(Violation::Fragments));
    }
    assert_eq!(Bed::open().data(0, 1, 0, TEXT, b"x"), Filtered::End(Violation::Fragments));
}

#[test]
fn ordered_messages_that_can_never_be_delivered_end_the_session() {
    let mut bed = Bed::open();
    let verdicts: Vec<_> = (1..1000).map(|sequence| bed.data(WHOLE, 1, sequence, TEXT, b"x")).collect();
    let end = verdicts.iter().position(|verdict| *verdict != PASSED).expect("it ends");
    assert!((100..300).contains(&end), "{end}");
    assert_eq!(verdicts[end], Filtered::End(Violation::Undeliverable));
}

#[test]
fn abandoned_fragments_are_bounded_and_whole_messages_still_pass() {
    let mut bed = Bed::open();
    let mut lost = 0;
    for _ in 0..1000 {
        lost += usize::from(bed.data(BEGINS | UNORDERED, 1, 0, TEXT, &[b'x'; 1000]) == dropped(DropReason::SctpWindow));
        bed.tsn += 1;
        assert_eq!(bed.take(&[forward_tsn(bed.tsn - 1, &[])]), PASSED);
        assert_eq!(bed.data(WHOLE | UNORDERED, 1, 0, TEXT, b"whole"), PASSED);
    }
    assert!((800..950).contains(&lost), "{lost}");
    assert_eq!(bed.data(BEGINS | UNORDERED, 2, 0, TEXT, b"x"), PASSED, "another channel has left nothing");
}

#[test]
fn an_acknowledgement_of_a_tsn_that_was_never_sent_is_lost() {
    let mut bed = Bed::open();
    bed.send(&[data(WHOLE, OUR_TSN, 1, 0, TEXT, b"x"), data(WHOLE, OUR_TSN + 1, 1, 0, TEXT, b"x")]);
    for (cumulative, gaps) in [
        (OUR_TSN + 2, &[][..]),
        (OUR_TSN + 0x7000_0000, &[]),
        (OUR_TSN - 1, &[(1, 3)]),
        (OUR_TSN - 1, &[(2, u16::MAX)]),
        (OUR_TSN - 1, &[(0, 1)]),
        (OUR_TSN - 1, &[(2, 1)]),
        (OUR_TSN - 1, &[(1, 1), (1, 1)]),
    ] {
        assert_eq!(bed.take(&[sack(cumulative, gaps)]), dropped(DropReason::SctpWindow), "{cumulative} {gaps:?}");
    }
    assert_eq!(bed.take(&[sack(OUR_TSN - 1, &[(2, 2)])]), PASSED);
    assert_eq!(bed.take(&[sack(OUR_TSN + 1, &[])]), PASSED);
    bed.send(&[forward_tsn(OUR_TSN + 9, &[])]);
    assert_eq!(bed.take(&[sack(OUR_TSN + 9, &[])]), PASSED, "given up before it was sent");
}

#[test]
fn resets_are_handled_one_at_a_time() {
    let mut bed = Bed::open();
    assert_eq!(bed.open_channel(1), PASSED);
    assert_eq!(bed.take(&[reset(9, bed.tsn + 100_000, &[1])]), dropped(DropReason::SctpUnexpected), "far ahead");
    assert_eq!(bed.take(&[reset(9, bed.tsn + 10, &[1])]), PASSED);
    let passed = (10..MANY as u32).filter(|number| bed.take(&[reset(*number, bed.tsn + 10, &[1])]) == PASSED).count();
    assert_eq!(passed, 0, "the first is not done yet");
    assert_eq!(bed.take(&[reset(9, bed.tsn + 10, &[1])]), PASSED, "repeated");
}

#[test]
fn a_half_closed_channel_still_counts() {
    let mut bed = Bed::open();
    for stream in 0..16 {
        assert_eq!(bed.open_channel(stream), PASSED);
    }
    // The client never answers the relay's own resets, which webrtc-rs repeats for ever.
    for stream in 0..16 {
        let number = u32::from(stream);
        assert_eq!(bed.take(&[reset(number, bed.tsn - 1, &[stream])]), PASSED);
        bed.send(&[reset(100 + number, OUR_TSN, &[stream])]);
        bed.send(&[reset_done(number)]);
    }
    let before = bed.tsn;
    assert_eq!(bed.open_channel(3), dropped(DropReason::SctpUnexpected), "it is being closed");
    bed.tsn = before;
    assert_eq!(bed.take(&[reset_done(103)]), PASSED);
    assert_eq!(bed.open_channel(3), PASSED);
    assert_eq!(bed.open_channel(16), Filtered::End(Violation::TooManyChannels));
}

#[test]
fn a_session_opens_a_bounded_number_of_channels() {
    let mut bed = Bed::open();
    for number in 0..10_000u32 {
        match bed.data(WHOLE, 1, 0, DCEP, &open(0, &[b'x'; 1000])) {
            PASSED => bed.close_channel(number, 1),
            verdict => {
                assert_eq!(verdict, Filtered::End(Violation::TooManyOpened));
                assert!((600..1000).contains(&number), "{number}");
                return;
            }
        }
    }
    panic!("it goes on");
}

#[test]
fn after_an_abort_nothing_passes() {
    for body in [&[][..], &[0, 12, 0, 4], &[0, 1, 0xff, 0xff, 1, 2, 3], &[9; 700], &[0, 0, 0, 0]] {
        let mut bed = Bed::open();
        let (verdict, changed) = bed.change(&packet(OUR_TAG, &[chunk(ABORT, 0, body), sack(1, &[])]));
        assert_eq!(verdict, PASSED);
        let (kind, value) = chunks(&changed).remove(0);
        assert_eq!(kind, ABORT);
        // One cause that spans the chunk, or none.
        assert!(value.is_empty() || value[..4] == [&[0, 12][..], &(value.len() as u16).to_be_bytes()].concat());
        assert_eq!(bed.take(&[chunk(ABORT, 0, body)]), dropped(DropReason::SctpUnexpected));
        assert_eq!(bed.put(&their_init()), dropped(DropReason::SctpUnexpected));
    }
}

#[test]
fn a_session_without_data_channels_accepts_no_sctp() {
    let mut filter = Filter::new(None);
    assert_eq!(filter.handle_inbound(&mut their_init(), Instant::now()), dropped(DropReason::SctpUnexpected));
}

#[test]
fn messages_and_octets_above_the_rate_are_lost() {
    for (role, messages) in [(Role::Publisher, 1000), (Role::Viewer, 250)] {
        let mut bed = Bed::of(role).opened();
        assert_eq!(bed.open_channel(1), PASSED);
        let mut sequence = 1;
        let mut burst = |bed: &mut Bed, octets: usize| {
            let verdicts = (0..MANY).map(|_| {
                let verdict = bed.take(&[data(WHOLE, bed.tsn, 1, sequence, TEXT, &vec![b'x'; octets])]);
                if verdict == PASSED {
                    bed.tsn += 1;
                    sequence = sequence.wrapping_add(1);
                } else {
                    assert_eq!(verdict, dropped(DropReason::SctpRate));
                }
                verdict == PASSED
            });
            verdicts.filter(|passed| *passed).count()
        };
        assert_eq!(burst(&mut bed, 10), 4 * messages - 1);
        bed.now += Duration::from_secs(1);
        assert_eq!(burst(&mut bed, 10), messages);
        bed.now += Duration::from_secs(1);
        assert!(burst(&mut bed, 1200) <= messages);
    }
    let mut bed = Bed::of(Role::Viewer).opened();
    let passed = (0..MANY).filter(|_| bed.take(&[chunk(HEARTBEAT, 0, &parameter(1, &[0; 8]))]) == PASSED).count();
    assert!(passed < 8000, "{passed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_packet_makes_it_panic(chunks in vec((any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..64)), 0..8)) {
        let mut bed = Bed::open();
        let chunks: Vec<_> = chunks.iter().map(|(kind, flags, value)| chunk(*kind, *flags, value)).collect();
        bed.take(&chunks);
        bed.send(&chunks);
        bed.take(&chunks);
    }

    #[test]
    fn no_octets_make_it_panic(octets in vec(any::<u8>(), 0..200)) {
        let mut bed = Bed::open();
        bed.put(&octets);
        bed.put(&seal([&[0x13, 0x88, 0x13, 0x88, 0x22, 0x22, 0x22, 0x22, 0, 0, 0, 0][..], &octets].concat()));
        bed.filter.handle_outbound(&octets);
    }
}
