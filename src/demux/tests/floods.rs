//! Floods of handshake datagrams, which would exhaust webrtc-rs, end their session and no other.

use super::*;

/// A fragment of a message that is not a ClientHello, in its own record.
fn fragment(sequence: u64, message: u16, length: u32, offset: u32, body: &[u8]) -> Vec<u8> {
    hellos::fragment(sequence, 11, message, length, offset, body)
}

/// Passes datagrams until the session is over; returns how many datagrams and bytes a peer would have got.
fn feed(bed: &mut Bed, datagrams: impl Iterator<Item = Vec<u8>>) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    for datagram in datagrams {
        match bed.arrive(1, &datagram) {
            Demultiplexed::Dtls { datagram: None, .. } => {
                count += 1;
                bytes += datagram.len();
            }
            Demultiplexed::Held => {}
            Demultiplexed::Dropped(DropReason::Flood) => break,
            other => panic!("unexpected {other:?}"),
        }
    }
    (count, bytes)
}

/// Asserts that the session is over and another one is not.
fn assert_flooded(bed: &mut Bed) {
    let neighbour = Client::new("neighbour");
    bed.demux.admit(Key::in_place(8), neighbour.admission(), bed.now);
    assert_eq!(bed.arrive(2, &neighbour.check(true)), Demultiplexed::Opened(Key::in_place(8)));
    assert_eq!(bed.events(), [DemuxEvent::Over(own_key(), Over::Flooded)]);
    assert_eq!(bed.arrive(1, &hellos::hello(0)), Demultiplexed::Dropped(DropReason::UnknownPath));
    assert_eq!(bed.check(1, true), Demultiplexed::Dropped(DropReason::UnknownPath));
    assert!(
        matches!(bed.arrive(2, &hellos::hello(0)), Demultiplexed::ClientHello { key, .. } if key == Key::in_place(8))
    );
}

#[test]
fn many_fragments_of_one_message() {
    let mut bed = Bed::opened();
    let datagrams = (0..).map(|index| fragment(index, 0, 10_000, index as u32, &[7]));
    assert_eq!(feed(&mut bed, datagrams).0, 32);
    assert_flooded(&mut bed);
}

#[test]
fn many_messages() {
    let mut bed = Bed::opened();
    let datagrams = (0..).map(|index| fragment(index, index as u16, 1, 0, &[7]));
    assert_eq!(feed(&mut bed, datagrams).0, 32);
    assert_flooded(&mut bed);
}

#[test]
fn many_bytes() {
    let mut bed = Bed::opened();
    let datagrams = (0..).map(|index| fragment(index, (index % 30) as u16, 15_000, 0, &[7; 1_200]));
    assert!(feed(&mut bed, datagrams).1 <= 64 * 1_024);
    assert_flooded(&mut bed);
}

#[test]
fn many_records_that_webrtc_rs_would_queue() {
    let mut bed = Bed::opened();
    let datagrams = std::iter::repeat_with(|| DATA.repeat(3));
    assert_eq!(feed(&mut bed, datagrams).0, 66);
    assert_flooded(&mut bed);
}

#[test]
fn many_empty_messages_in_few_records() {
    let mut bed = Bed::opened();
    // Empty messages of length 0 are well-formed (ServerHelloDone); a hundred of them in a record are a flood.
    let empty = &fragment(0, 3, 0, 0, &[])[13..];
    let datagrams = (0..).map(|index| hellos::record(index, &empty.repeat(100)));
    assert_eq!(feed(&mut bed, datagrams).0, 0);
    assert_flooded(&mut bed);
}

#[test]
fn empty_and_malformed_fragments_are_refused_and_not_counted() {
    let mut bed = Bed::opened();
    let broken = [
        fragment(0, 0, 100, 0, &[]),
        fragment(0, 0, 100, 100, &[]),
        fragment(0, 0, 10, 5, &[1; 6]),
        fragment(0, 0, 10, 0xff_ffff, &[1; 6]),
        fragment(0, 0, 0xff_ffff, 0, &[1; 6]),
        hellos::record(0, &[]),
        hellos::record(0, &[11, 0, 0, 1]),
        [hellos::hello(0), vec![0]].concat(),
        hellos::hello(0)[..40].to_vec(),
        // Data in clear, a malformed ChangeCipherSpec, a later epoch, another content type, the header of DTLS 1.3.
        vec![23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1],
        vec![20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 2],
        // A ChangeCipherSpec of the epoch that it begins.
        vec![20, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 1, 1],
        vec![23, 0xfe, 0xfd, 0, 2, 0, 0, 0, 0, 0, 9, 0, 1, 1],
        vec![24, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1],
        vec![0x2f, 1, 2, 3],
    ];
    for _ in 0..1_000 {
        for datagram in &broken {
            assert_eq!(bed.arrive(1, datagram), Demultiplexed::Dropped(DropReason::SpoofedDtls), "{datagram:02x?}");
        }
    }
    assert_eq!(bed.events(), []);
    bed.complete_on(1);
}

#[test]
fn a_hello_that_never_ends_or_is_too_long_is_not_kept() {
    let mut bed = Bed::opened();
    let long = hellos::fragment(0, 1, 0, 9_000, 0, &[1; 1_000]);
    assert_eq!(bed.arrive(1, &long), Demultiplexed::Dropped(DropReason::SpoofedDtls));
    let datagrams = (0..).map(|index| hellos::fragment(index, 1, 0, 8_000, 0, &[1; 100]));
    feed(&mut bed, datagrams);
    assert_flooded(&mut bed);
}

#[test]
fn a_client_that_makes_the_relay_repeat_itself_gets_64_kib_at_most() {
    let mut bed = Bed::opened();
    let mut bytes = 0;
    bed.arrive(1, &hellos::hello(0));
    'flood: for _ in 0..150 {
        if bed.demux.send_dtls(own_key(), &[22; 1_200], bed.now).is_none() {
            break;
        }
        bytes += 1_200;
        for _ in 0..2 {
            bed.pass(millis(30));
            if bed.arrive(1, &hellos::hello(0)) == Demultiplexed::Dropped(DropReason::Flood) {
                break 'flood;
            }
            bytes += bed.sent().iter().map(|(_, datagram)| datagram.len()).sum::<usize>();
        }
    }
    assert!(bytes <= 64 * 1_024, "{bytes} bytes");
    assert_flooded(&mut bed);
}
