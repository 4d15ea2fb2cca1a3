//! What of a client's RTCP the relay reads, picked out of the decrypted compound before it is parsed.
//!
//! The parser of webrtc-rs turns a transport-wide feedback of 40 octets into 65,535 entries, and each small packet of a
//! compound into an object of its own. Nothing here reads that feedback, source descriptions, BYE, APP or XR, so they go no
//! further. The rule: what is left costs the parser no more than its octets, and is 16 packets at most.

/// Packets of one compound that are read; what is behind them is not. Clients put a report, a description and one or two
/// requests for each of their tracks into one.
const MAX_PACKETS: usize = 16;

/// Octets of a packet's header with the length (RFC 3550 6.4.1).
const HEADER: usize = 4;

/// Keeps what is read of a compound, in its order, in the front; its length.
pub(super) fn retain_read(compound: &mut [u8]) -> usize {
    let (mut at, mut kept, mut packets) = (0, 0, 0);
    while packets < MAX_PACKETS {
        let Some(header) = compound.get(at..at + HEADER) else { break };
        let len = HEADER + 4 * usize::from(u16::from_be_bytes([header[2], header[3]]));
        let end = at + len;
        if header[0] >> 6 != 2 || end > compound.len() {
            break;
        }
        if is_read(&compound[at..end]) {
            compound.copy_within(at..end, kept);
            kept += len;
            packets += 1;
        }
        at = end;
    }
    kept
}

/// Sender and receiver reports (RFC 3550), NACK, PLI (RFC 4585), FIR (RFC 5104), REMB
/// (draft-alvestrand-rmcat-remb).
fn is_read(packet: &[u8]) -> bool {
    match (packet[1], packet[0] & 0x1f) {
        (200 | 201, _) | (205, 1) | (206, 1 | 4) => true,
        (206, 15) => packet.get(12..16) == Some(b"REMB"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;

    use proptest::prelude::*;

    use super::*;

    /// A packet of a type with a format or count, and this much behind its header.
    fn packet(kind: u8, format: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80 | format, kind];
        packet.extend((body.len() as u16 / 4).to_be_bytes());
        packet.extend(body);
        packet
    }

    fn retained(mut compound: Vec<u8>) -> Vec<u8> {
        let len = retain_read(&mut compound);
        compound.truncate(len);
        compound
    }

    /// Transport-wide feedback that claims 65,535 packets in runs of "received", and has no deltas.
    fn worst_feedback() -> Vec<u8> {
        let mut body = vec![0; 8];
        body.extend([0, 0, 0xff, 0xff, 0, 0, 0, 0]);
        body.extend(repeat_n([0x3f, 0xff], 10).flatten());
        packet(205, 15, &body)
    }

    #[test]
    fn what_is_read_stays_in_its_order_and_all_else_goes() {
        let report = packet(201, 0, &[1; 4]);
        let nack = packet(205, 1, &[2; 12]);
        let (pli, fir) = (packet(206, 1, &[3; 8]), packet(206, 4, &[4; 16]));
        let remb = packet(206, 15, &[&[0; 8][..], b"REMB", &[1, 0, 0, 0]].concat());
        let other = packet(206, 15, &[&[0; 8][..], b"ELSE", &[1, 0, 0, 0]].concat());
        let rest =
            [packet(202, 1, &[5; 12]), packet(203, 1, &[6; 4]), packet(204, 0, &[7; 8]), packet(207, 0, &[8; 8])];
        let all = [
            report.clone(),
            worst_feedback(),
            nack.clone(),
            rest.concat(),
            pli.clone(),
            other,
            fir.clone(),
            remb.clone(),
        ];
        assert_eq!(retained(all.concat()), [report, nack, pli, fir, remb].concat());
        assert!(retained(worst_feedback()).is_empty());
        assert!(retained(packet(206, 2, &[0; 12])).is_empty(), "SLI");
    }

    #[test]
    fn a_compound_of_many_small_packets_is_read_up_to_sixteen() {
        assert_eq!(retained(packet(201, 0, &[1; 4]).repeat(170)), packet(201, 0, &[1; 4]).repeat(MAX_PACKETS));
    }

    #[test]
    fn what_does_not_fit_ends_the_compound() {
        let report = packet(201, 0, &[1; 4]);
        let mut cut = [report.clone(), packet(206, 1, &[3; 8])].concat();
        cut.pop();
        assert_eq!(retained(cut), report);
        assert_eq!(retained([report.clone(), vec![0; 12], report.clone()].concat()), report);
    }

    proptest! {
        #[test]
        fn any_octets_are_retained_without_a_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(retained(octets.clone()).len() <= octets.len());
        }
    }
}
