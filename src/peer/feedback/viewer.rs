//! What a viewer says: which packets it misses, that it needs a keyframe, how it receives, what its network carries.

use rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

/// Packets asked for in one datagram. A NACK can name some 6,000; nobody who receives anything misses more than these,
/// and the rest of a longer list is ignored.
const MAX_ASKED: usize = 512;

/// One thing that a viewer says about an SSRC of its own transport.
#[derive(Clone, Debug, PartialEq)]
pub enum ViewerFeedback {
    /// Packets are missing (RFC 4585 6.2.1).
    Nack {
        /// The outlet's SSRC.
        ssrc: u32,
        /// In the order of the request, at most 512 in one datagram.
        sequences: Vec<u16>,
    },
    /// The decoder needs a keyframe: PLI (RFC 4585 6.3.1) or FIR (RFC 5104 4.3.1).
    KeyframeRequest {
        /// The outlet's SSRC.
        ssrc: u32,
    },
    /// How packets arrive (RFC 3550 6.4.1).
    Report {
        /// The outlet's SSRC.
        ssrc: u32,
        /// Share of packets lost since the last report, in 1/256.
        fraction_lost: u8,
        /// Packets lost since the first; 0 where duplicates outnumber them.
        total_lost: u32,
        /// In ticks of the codec.
        jitter: u32,
        /// The middle of the NTP timestamp of the sender report that arrived last; 0 for none.
        last_sr: u32,
        /// Since then, in 1/65536 s.
        delay: u32,
    },
    /// How much the viewer's network carries, as it sees it (REMB, draft-alvestrand-rmcat-remb).
    Estimate {
        /// The outlet's SSRC.
        ssrc: u32,
        /// Bits a second for all that the viewer receives.
        bits: f32,
    },
}

/// What the RTCP of one datagram says about SSRCs that `owns` knows; everything else is left out (SSRCs of others, BYE).
pub fn read_viewer(packets: &[Box<dyn rtcp::Packet>], owns: impl Fn(u32) -> bool) -> Vec<ViewerFeedback> {
    let mut said = Vec::new();
    let mut may_ask = MAX_ASKED;
    for packet in packets {
        let packet = packet.as_any();
        if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
            if owns(nack.media_ssrc) {
                let sequences: Vec<u16> = nack.nacks.iter().flat_map(|pair| *pair).take(may_ask).collect();
                may_ask -= sequences.len();
                if !sequences.is_empty() {
                    said.push(ViewerFeedback::Nack { ssrc: nack.media_ssrc, sequences });
                }
            }
        } else if let Some(indication) = packet.downcast_ref::<PictureLossIndication>() {
            request_keyframe(&mut said, indication.media_ssrc, &owns);
        } else if let Some(request) = packet.downcast_ref::<FullIntraRequest>() {
            // The media SSRC of a FIR is unused; its entries name the sources.
            for entry in &request.fir {
                request_keyframe(&mut said, entry.ssrc, &owns);
            }
        } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
            said.extend(report.reports.iter().filter(|report| owns(report.ssrc)).map(reception));
        } else if let Some(report) = packet.downcast_ref::<SenderReport>() {
            said.extend(report.reports.iter().filter(|report| owns(report.ssrc)).map(reception));
        } else if let Some(estimate) = packet.downcast_ref::<ReceiverEstimatedMaximumBitrate>()
            && let Some(ssrc) = estimate.ssrcs.iter().copied().find(|ssrc| owns(*ssrc))
        {
            said.push(ViewerFeedback::Estimate { ssrc, bits: estimate.bitrate });
        }
    }
    said
}

/// Once for each SSRC, however often a datagram repeats it.
fn request_keyframe(said: &mut Vec<ViewerFeedback>, ssrc: u32, owns: impl Fn(u32) -> bool) {
    let request = ViewerFeedback::KeyframeRequest { ssrc };
    if owns(ssrc) && !said.contains(&request) {
        said.push(request);
    }
}

fn reception(report: &ReceptionReport) -> ViewerFeedback {
    ViewerFeedback::Report {
        ssrc: report.ssrc,
        fraction_lost: report.fraction_lost,
        // 24 bits with a sign.
        total_lost: if report.total_lost < 0x80_0000 { report.total_lost } else { 0 },
        jitter: report.jitter,
        last_sr: report.last_sender_report,
        delay: report.delay,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtcp::goodbye::Goodbye;
    use rtcp::payload_feedbacks::full_intra_request::FirEntry;
    use rtcp::transport_feedbacks::transport_layer_nack::NackPair;

    use super::*;

    fn nack(media_ssrc: u32, nacks: Vec<NackPair>) -> Box<dyn rtcp::Packet> {
        Box::new(TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks })
    }

    fn own(ssrc: u32) -> bool {
        ssrc == 7
    }

    #[test]
    fn reads_what_is_said_about_own_ssrcs_and_nothing_else() {
        let report =
            |ssrc| ReceptionReport { ssrc, fraction_lost: 3, total_lost: 6, jitter: 4, delay: 5, ..Default::default() };
        let entry = |ssrc| FirEntry { ssrc, sequence_number: 0 };
        let estimate = |ssrcs| ReceiverEstimatedMaximumBitrate { sender_ssrc: 1, bitrate: 2_000_000.0, ssrcs };
        let packets: [Box<dyn rtcp::Packet>; 10] = [
            Box::new(ReceiverReport { ssrc: 1, reports: vec![report(7), report(8)], ..Default::default() }),
            nack(8, vec![NackPair::new(1)]),
            nack(7, vec![NackPair { packet_id: 65_535, lost_packets: 0b101 }]),
            Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: 8 }),
            Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: 7 }),
            Box::new(FullIntraRequest { sender_ssrc: 1, media_ssrc: 7, fir: vec![entry(8)] }),
            Box::new(FullIntraRequest { sender_ssrc: 1, media_ssrc: 0, fir: vec![entry(7), entry(7)] }),
            Box::new(estimate(vec![8])),
            Box::new(estimate(vec![8, 7])),
            Box::new(Goodbye { sources: vec![7], ..Default::default() }),
        ];
        let said = read_viewer(&packets, own);
        let expected = [
            ViewerFeedback::Report { ssrc: 7, fraction_lost: 3, total_lost: 6, jitter: 4, last_sr: 0, delay: 5 },
            ViewerFeedback::Nack { ssrc: 7, sequences: vec![65_535, 0, 2] },
            ViewerFeedback::KeyframeRequest { ssrc: 7 },
            ViewerFeedback::Estimate { ssrc: 7, bits: 2_000_000.0 },
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn the_worst_nack_asks_for_no_more_than_the_cap() {
        let worst = || nack(7, vec![NackPair { packet_id: 9, lost_packets: 0xffff }; 250]);
        let said = read_viewer(&[worst(), worst()], own);
        let [ViewerFeedback::Nack { sequences, .. }] = &said[..] else { panic!("{said:?}") };
        assert_eq!(sequences.len(), MAX_ASKED);
    }

    proptest! {
        #[test]
        fn hostile_rtcp_is_read_without_a_panic(
            packets in prop::collection::vec(
                (0u8..32, 198u8..210, prop::collection::vec(any::<u8>(), 0..120), any::<bool>(), any::<u16>()), 1..6)
        ) {
            // Headers that are right most of the time, so that the bytes reach the parsers behind them.
            let mut bytes = Vec::new();
            for (count, kind, mut body, fits, length) in packets {
                body.resize(body.len().next_multiple_of(4), 0);
                bytes.extend([0x80 | count, kind]);
                bytes.extend((if fits { body.len() as u16 / 4 } else { length }).to_be_bytes());
                bytes.extend(body);
            }
            if let Ok(packets) = rtcp::packet::unmarshal(&mut bytes::Bytes::from(bytes)) {
                let said = read_viewer(&packets, |ssrc| ssrc % 2 == 0);
                let asked: usize = said.iter().map(|said| match said {
                    ViewerFeedback::Nack { sequences, .. } => sequences.len(),
                    _ => 0,
                }).sum();
                prop_assert!(asked <= MAX_ASKED);
                crate::peer::feedback::Reception::new(1, "relay").on_rtcp(&packets, std::time::Instant::now());
            }
        }
    }
}
