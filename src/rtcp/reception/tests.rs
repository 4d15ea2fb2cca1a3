//! A publisher's reception in virtual time.

use ::rtcp::goodbye::Goodbye;
use ::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use ::rtcp::sender_report::SenderReport;
use ::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const VIDEO: u32 = 0xaaaa;
const AUDIO: u32 = 0xbbbb;

fn reception() -> Reception {
    let mut reception = Reception::new(1, "relay");
    reception.add_source(VIDEO, 90_000, true);
    reception.add_source(AUDIO, 48_000, false);
    reception
}

fn find<P: 'static + Clone>(compounds: &[Compound]) -> Vec<P> {
    compounds.iter().flatten().filter_map(|packet| packet.as_any().downcast_ref::<P>().cloned()).collect()
}

fn poll(reception: &mut Reception, now: Instant) -> Vec<Compound> {
    std::iter::from_fn(|| reception.poll(now)).collect()
}

#[test]
fn reports_each_second_while_packets_arrive() {
    let start = Instant::now();
    let mut reception = reception();
    assert_eq!(reception.poll_timeout(), None);
    // No packet before number 0 can have been lost.
    reception.on_packet(VIDEO, 0, 0, start);
    reception.on_packet(AUDIO, 7, 0, start);
    assert_eq!(reception.poll_timeout(), Some(start + REPORT_INTERVAL));
    assert!(poll(&mut reception, start + 999 * MS).is_empty());
    let compounds = poll(&mut reception, start + REPORT_INTERVAL);
    assert_eq!((compounds.len(), compounds[0].len()), (1, 2));
    let report: ReceiverReport = find(&compounds).remove(0);
    let ssrcs: Vec<_> = report.reports.iter().map(|report| report.ssrc).collect();
    assert_eq!((report.ssrc, ssrcs), (1, vec![VIDEO, AUDIO]));
    assert!(::rtcp::packet::marshal(&compounds[0]).is_ok());

    assert!(poll(&mut reception, start + 2 * REPORT_INTERVAL).is_empty());
    assert_eq!(reception.poll_timeout(), None);
    reception.on_packet(AUDIO, 8, 960, start + 5 * REPORT_INTERVAL);
    assert_eq!(reception.poll_timeout(), Some(start + 6 * REPORT_INTERVAL));
}

#[test]
fn requests_lost_video_but_not_lost_audio_without_nack() {
    let start = Instant::now();
    let mut reception = reception();
    reception.on_packet(VIDEO, 65_534, 0, start);
    reception.on_packet(AUDIO, 65_534, 0, start);
    let before: Vec<TransportLayerNack> = find(&poll(&mut reception, start));
    assert_eq!(before[0].nacks[0].packet_list(), (65_526..65_534).collect::<Vec<_>>(), "speculatively");
    reception.on_packet(VIDEO, 65_537, 0, start);
    reception.on_packet(AUDIO, 65_537, 0, start);
    let nacks: Vec<TransportLayerNack> = find(&poll(&mut reception, start + 10 * MS));
    assert_eq!(nacks.len(), 1);
    assert_eq!((nacks[0].sender_ssrc, nacks[0].media_ssrc), (1, VIDEO));
    assert_eq!(nacks[0].nacks[0].packet_list(), [65_535, 0]);
}

#[test]
fn a_retransmission_recovers_a_missing_packet_once() {
    let start = Instant::now();
    let mut reception = reception();
    reception.on_packet(VIDEO, 65_530, 0, start);
    reception.on_packet(VIDEO, 65_540, 0, start);
    poll(&mut reception, start + 10 * MS);
    assert_eq!(reception.recover(VIDEO, 2, start + 40 * MS), Some(65_538));
    assert_eq!(reception.recover(VIDEO, 2, start + 40 * MS), None);
    assert_eq!(reception.recover(VIDEO, 4, start + 40 * MS), None, "it is the highest, here already");
    assert_eq!(reception.recover(AUDIO, 2, start + 40 * MS), None);
    reception.on_packet(VIDEO, 65_531, 0, start + 41 * MS);
    assert_eq!(reception.tally().recovered, 2);
}

#[test]
fn rtcp_about_foreign_ssrcs_and_bye_have_no_effect() {
    let start = Instant::now();
    let mut reception = reception();
    let report = |ssrc| SenderReport { ssrc, ntp_time: 5, rtp_time: 6, ..SenderReport::default() };
    let goodbye = Goodbye { sources: vec![VIDEO, AUDIO], ..Goodbye::default() };
    let compound: [Box<dyn ::rtcp::Packet>; 3] = [Box::new(report(VIDEO)), Box::new(goodbye), Box::new(report(0xcccc))];
    reception.on_rtcp(&::rtcp::packet::marshal(&compound).unwrap(), start);
    assert_eq!(reception.clock(VIDEO), Some(SenderClock { ntp: 5, rtp: 6, received: start, basis: Basis::Report }));
    assert_eq!(reception.clock(AUDIO), None);
    assert_eq!(reception.clock(0xcccc), None);
    reception.on_packet(AUDIO, 1, 0, start);
    assert_eq!(poll(&mut reception, start + REPORT_INTERVAL).len(), 1);
}

#[test]
fn reports_arrival_times_of_all_ssrcs_together() {
    let start = Instant::now();
    let mut reception = reception();
    for (number, ssrc) in (1..).zip([VIDEO, AUDIO, 0xcccc]) {
        reception.on_transport_sequence(ssrc, number, start);
    }
    let feedback: Vec<TransportLayerCc> = find(&poll(&mut reception, start + 50 * MS));
    assert_eq!((feedback[0].base_sequence_number, feedback[0].packet_status_count), (1, 3));
    assert_eq!(feedback[0].media_ssrc, AUDIO, "the latest of those that have statistics");
}

/// What each packet of a datagram is.
fn kinds(compound: &Compound) -> Vec<&'static str> {
    let kind = |packet: &dyn ::rtcp::Packet| match packet.as_any() {
        any if any.is::<ReceiverReport>() => "report",
        any if any.is::<TransportLayerNack>() => "nack",
        any if any.is::<TransportLayerCc>() => "times",
        any if any.is::<PictureLossIndication>() => "keyframe",
        _ => "description",
    };
    compound.iter().map(|packet| kind(&**packet)).collect()
}

/// Frames of one packet each 33 ms from the first second on, of which number 40 is lost; `numbered` for the transport.
fn frames(reception: &mut Reception, start: Instant, numbered: bool) -> Instant {
    for number in (0..43u32).filter(|number| *number != 40) {
        let now = start + 33 * MS * number;
        if numbered {
            reception.on_transport_sequence(VIDEO, number as u16, now);
        }
        reception.on_packet(VIDEO, number.into(), number * 3000, now);
        if number < 42 {
            poll(reception, now);
        }
    }
    start + 33 * MS * 42
}

#[test]
fn a_publisher_with_transport_wide_numbers_gets_all_feedback_in_one_datagram() {
    let start = Instant::now();
    let mut reception = reception();
    let now = frames(&mut reception, start, true);
    reception.report_due = Some(now);
    reception.request_keyframe(VIDEO, now);
    reception.sources[0].missing.as_mut().unwrap().on_highest(42, 50, now);
    let reported = poll(&mut reception, now + 10 * MS);
    assert_eq!(reported.len(), 1);
    assert_eq!(kinds(&reported[0]), ["report", "description", "nack", "keyframe", "times"]);
    assert!(::rtcp::packet::marshal(&reported[0]).is_ok());
}

#[test]
fn a_publisher_that_does_not_gets_one_message_in_each_datagram_and_a_nack_first() {
    let start = Instant::now();
    let mut reception = reception();
    let now = frames(&mut reception, start, false);
    reception.report_due = Some(now);
    reception.request_keyframe(VIDEO, now);
    reception.sources[0].missing.as_mut().unwrap().on_highest(42, 50, now);
    let reported = poll(&mut reception, now + 10 * MS);
    let reported: Vec<_> = reported.iter().map(kinds).collect();
    assert_eq!(reported, [["nack"], ["keyframe"]], "the report waits");
    assert_eq!(reception.poll_timeout(), Some(now + 260 * MS));
}

#[test]
fn reports_are_rare_if_frames_are_rare() {
    let start = Instant::now();
    for (frame, reports) in [(20u32, 9), (66, 2)] {
        let (mut reception, mut reported) = (reception(), 0);
        for number in 0..10_000 / frame {
            let now = start + MS * frame * number;
            reception.on_packet(AUDIO, number.into(), number * 960, now);
            reported += find::<ReceiverReport>(&poll(&mut reception, now)).len();
        }
        assert_eq!(reported, reports, "a frame each {frame} ms");
    }
}

#[test]
fn other_datagrams_to_a_publisher_delay_requests() {
    let start = Instant::now();
    let mut reception = reception();
    let now = frames(&mut reception, start, false);
    poll(&mut reception, now);
    // STUN checks that were answered.
    reception.on_sent(now);
    reception.on_sent(now);
    reception.sources[0].missing.as_mut().unwrap().on_highest(42, 50, now);
    assert!(poll(&mut reception, now + 10 * MS).is_empty());
    for number in [51, 52] {
        reception.on_packet(VIDEO, number, number as u32 * 3000, now + 33 * MS);
    }
    assert_eq!(kinds(&poll(&mut reception, now + 33 * MS)[0]), ["nack"]);
}

proptest! {
    #[test]
    fn whatever_arrives_reports_fit_a_datagram_and_end(
        packets in prop::collection::vec(
            (prop_oneof![0u64..3000, 0..1u64 << 48], any::<u32>(), any::<Option<u16>>(), 0u32..80, any::<bool>()), 1..200)
    ) {
        let mut now = Instant::now();
        let mut reception = reception();
        let mut reported = 0;
        let mut drain = |reception: &mut Reception, now| {
            while let Some(compound) = reception.poll(now) {
                let bytes = ::rtcp::packet::marshal(&compound).unwrap();
                assert!(bytes.len() <= 1200 && ::rtcp::packet::unmarshal(&mut bytes.freeze()).is_ok());
                reported += 1;
                assert!(reported < 10_000);
            }
        };
        for (index, timestamp, transport, wait, video) in packets {
            now += MS * wait;
            let ssrc = if video { VIDEO } else { AUDIO };
            if let Some(number) = transport {
                reception.on_transport_sequence(ssrc, number, now);
            }
            reception.on_packet(ssrc, index, timestamp, now);
            drain(&mut reception, now);
        }
        let mut turns = 0;
        while let Some(due) = reception.poll_timeout() {
            now = now.max(due);
            drain(&mut reception, now);
            turns += 1;
            prop_assert!(turns < 3000, "a timeout that nothing serves");
        }
    }
}
