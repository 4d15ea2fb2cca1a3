//! SCTP packets and DCEP messages of a client that has its keys, against the filter of one association.

use std::time::Instant;

use proptest::prelude::*;
use sluice::sctp::{ChannelLimits, Filter, Filtered, MAX_CHANNELS, MAX_STREAM, Reliability, Violation};

use crate::cases;
use crate::change::changed;
use crate::sctp_packet::{
    COOKIE_ECHO, DCEP, ERROR, HEARTBEAT, INIT, INIT_ACK, SHUTDOWN, TEXT, WHOLE, chunk, chunks, data, forward_tsn, init,
    open, packet, parameter, reset, sack, seal, supports_forward_tsn,
};

const THEIR_TAG: u32 = 0x1111_1111;
const OUR_TAG: u32 = 0x2222_2222;
const THEIR_TSN: u32 = 1000;
const OUR_TSN: u32 = 5000;
const COOKIE: [u8; 32] = [7; 32];
const LONGEST: usize = 16_384;

/// A filter with an association, to whom the client may send from [`THEIR_TSN`].
fn opened() -> Filter {
    let mut filter = Filter::new(Some(ChannelLimits { message: LONGEST, rates: None }));
    let now = Instant::now();
    let mut their_init = packet(0, &[init(INIT, THEIR_TAG, THEIR_TSN, &[supports_forward_tsn()])]);
    assert_eq!(filter.handle_inbound(&mut their_init, now), Filtered::Pass(None));
    let parameters = [parameter(7, &COOKIE), supports_forward_tsn()];
    filter.handle_outbound(&packet(THEIR_TAG, &[init(INIT_ACK, OUR_TAG, OUR_TSN, &parameters)]));
    let mut echo = packet(OUR_TAG, &[chunk(COOKIE_ECHO, 0, &COOKIE)]);
    assert_eq!(filter.handle_inbound(&mut echo, now), Filtered::Pass(None));
    filter
}

fn packets() -> Vec<Vec<u8>> {
    let opening = data(WHOLE, THEIR_TSN, 0, 0, DCEP, &open(0, b"chat"));
    let text = data(WHOLE, THEIR_TSN, 1, 0, TEXT, b"hello");
    let long = data(0b10, THEIR_TSN, 2, 0, TEXT, &[b'x'; 1000]);
    let acknowledged = sack(OUR_TSN.wrapping_sub(1), &[(2, 3), (5, 5)]);
    [
        vec![opening.clone()],
        vec![text, opening],
        vec![long],
        vec![acknowledged, chunk(HEARTBEAT, 0, &parameter(1, &[1, 2, 3, 4]))],
        vec![forward_tsn(THEIR_TSN + 1, &[(0, 1)])],
        vec![reset(1, THEIR_TSN, &[0, 1])],
        vec![chunk(ERROR, 0, &parameter(13, &[1])), chunk(SHUTDOWN, 0, &OUR_TSN.to_be_bytes())],
    ]
    .iter()
    .map(|chunks| packet(OUR_TAG, chunks))
    .collect()
}

fn checksum_holds(bytes: &[u8]) -> bool {
    seal(bytes.to_vec()) == bytes
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_passes_is_a_whole_packet_and_what_is_dropped_stays_as_it_was(
        sent in prop::collection::vec((changed(packets()), prop::bool::weighted(0.9)), 1..5),
    ) {
        let (mut filter, mut other) = (opened(), opened());
        let now = Instant::now();
        for (bytes, is_sealed) in sent {
            // Most get a valid checksum, or no change would come past it.
            let bytes = if is_sealed && bytes.len() >= 12 { seal(bytes) } else { bytes };
            let mut changed = bytes.clone();
            let verdict = filter.handle_inbound(&mut changed, now);
            prop_assert_eq!(other.handle_inbound(&mut bytes.clone(), now), verdict, "the same packet, another verdict");
            prop_assert_eq!(changed.len(), bytes.len());
            match verdict {
                Filtered::Pass(_) => {
                    prop_assert!(checksum_holds(&changed) && changed.len() <= 1500);
                    prop_assert_eq!(&changed[..8], &bytes[..8], "ports and tag stay");
                    let lengths: usize = chunks(&changed).iter().map(|(_, value)| (4 + value.len()).next_multiple_of(4)).sum();
                    prop_assert_eq!(12 + lengths, changed.len(), "chunks fill the packet");
                }
                Filtered::Drop(_) => prop_assert_eq!(changed, bytes),
                Filtered::End(violation) => {
                    prop_assert!(!violation.to_string().is_empty());
                    let mut next = packets()[0].clone();
                    prop_assert!(matches!(filter.handle_inbound(&mut next, now), Filtered::Drop(_)), "it stays ended");
                    break;
                }
            }
        }
    }

    #[test]
    fn data_on_a_stream_beyond_the_last_ends_the_session(
        stream: u16, ahead in 0u32..4000, flags in 0u8..8, length in 1usize..900,
    ) {
        let mut bytes = packet(OUR_TAG, &[data(flags, THEIR_TSN + ahead, stream, 0, TEXT, &vec![b'x'; length])]);
        let verdict = opened().handle_inbound(&mut bytes, Instant::now());
        prop_assert_eq!(verdict == Filtered::End(Violation::StreamTooHigh), stream >= MAX_STREAM, "{:?}", verdict);
    }

    #[test]
    fn an_opening_is_taken_in_its_exact_shape_only(
        message in changed(vec![open(0, b"chat"), open(0x81, b""), open(2, &[b'a'; 60]), vec![2]]),
        stream in 0u16..8,
    ) {
        let mut filter = opened();
        let mut bytes = packet(OUR_TAG, &[data(WHOLE, THEIR_TSN, stream, 0, DCEP, &message)]);
        match filter.handle_inbound(&mut bytes, Instant::now()) {
            Filtered::Pass(_) if message.first() == Some(&3) => {
                let number = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
                prop_assert_eq!(12 + usize::from(number(8)) + usize::from(number(10)), message.len());
                prop_assert!(message.len() <= 12 + 1024 && std::str::from_utf8(&message[12..]).is_ok());
                let parameter = if number(4) > 0 { u16::MAX } else { number(6) };
                let reliability = match message[1] & 0x7f {
                    0 => Reliability::Full,
                    1 => Reliability::Retransmits(parameter),
                    _ => Reliability::LifeTime(parameter),
                };
                prop_assert_eq!(filter.take_reliability(stream), reliability);
            }
            Filtered::Pass(_) => prop_assert!(matches!(message[..], [2])),
            Filtered::Drop(_) => prop_assert!(message.is_empty(), "{:?}", message),
            Filtered::End(violation) => prop_assert_eq!(violation, Violation::Dcep),
        }
    }

    #[test]
    fn a_client_has_no_more_channels_than_it_may(streams in prop::collection::vec(0u16..40, 1..60)) {
        let mut filter = opened();
        let mut known = std::collections::BTreeSet::new();
        for stream in streams {
            let tsn = THEIR_TSN + known.len() as u32;
            if !known.insert(stream) {
                continue;
            }
            let mut bytes = packet(OUR_TAG, &[data(WHOLE, tsn, stream, 0, DCEP, &open(0, b"a"))]);
            let verdict = filter.handle_inbound(&mut bytes, Instant::now());
            prop_assert_eq!(verdict == Filtered::Pass(None), known.len() <= MAX_CHANNELS, "{:?}", verdict);
            if known.len() > MAX_CHANNELS {
                prop_assert_eq!(verdict, Filtered::End(Violation::TooManyChannels));
                break;
            }
        }
    }
}
