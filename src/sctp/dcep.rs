//! Messages of the Data Channel Establishment Protocol (RFC 8832 5).

/// The longest label and protocol of one channel together, in octets.
pub(super) const MAX_LABEL: usize = 1024;

const ACK: u8 = 2;
const OPEN: u8 = 3;

/// How long the sender tries to deliver a message (RFC 8832 5.1, channel type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    /// Until it is delivered.
    Full,
    /// With at most this number of retransmissions.
    Retransmits(u16),
    /// For this time, in milliseconds.
    LifeTime(u16),
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dcep {
    /// DATA_CHANNEL_OPEN, with the octets of label and protocol.
    Open { reliability: Reliability, named: usize },
    /// DATA_CHANNEL_ACK.
    Ack,
}

/// Reads a message; `None` if it is malformed.
pub(super) fn read(message: &[u8]) -> Option<Dcep> {
    match message {
        [ACK] => Some(Dcep::Ack),
        [OPEN, kind, _, _, p0, p1, p2, p3, l0, l1, q0, q1, names @ ..] => {
            let parameter = u16::try_from(u32::from_be_bytes([*p0, *p1, *p2, *p3])).unwrap_or(u16::MAX);
            let label = usize::from(u16::from_be_bytes([*l0, *l1]));
            let protocol = usize::from(u16::from_be_bytes([*q0, *q1]));
            if label + protocol != names.len() || names.len() > MAX_LABEL {
                return None;
            }
            let (label, protocol) = names.split_at(label);
            std::str::from_utf8(label).ok()?;
            std::str::from_utf8(protocol).ok()?;
            // The high bit is for unordered delivery, which webrtc-rs reports.
            let reliability = match kind {
                0 | 0x80 => Reliability::Full,
                1 | 0x81 => Reliability::Retransmits(parameter),
                2 | 0x82 => Reliability::LifeTime(parameter),
                _ => return None,
            };
            Some(Dcep::Open { reliability, named: names.len() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(kind: u8, parameter: u32, label: &[u8], protocol: &[u8]) -> Vec<u8> {
        let mut message = vec![OPEN, kind, 1, 0];
        message.extend(parameter.to_be_bytes());
        message.extend((label.len() as u16).to_be_bytes());
        message.extend((protocol.len() as u16).to_be_bytes());
        message.extend(label);
        message.extend(protocol);
        message
    }

    #[test]
    fn an_open_message_has_the_reliability_of_its_channel() {
        let reliability = |kind, parameter| match read(&open(kind, parameter, b"chat", b"json")) {
            Some(Dcep::Open { reliability, named: 8 }) => reliability,
            other => panic!("{other:?}"),
        };
        assert_eq!(reliability(0, 9), Reliability::Full);
        assert_eq!(reliability(0x80, 9), Reliability::Full);
        assert_eq!(reliability(0x81, 3), Reliability::Retransmits(3));
        assert_eq!(reliability(2, 100_000), Reliability::LifeTime(u16::MAX));
        assert_eq!(read(&[ACK]), Some(Dcep::Ack));
    }

    #[test]
    fn a_malformed_message_is_refused() {
        let whole = open(1, 3, b"chat", b"");
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None, "{length} octets");
        }
        let longer = [&whole[..], b"x"].concat();
        for other in [longer, open(3, 0, b"", b""), open(0, 0, b"\xff", b""), open(0, 0, b"", b"\xc3"), vec![ACK, 0]] {
            assert_eq!(read(&other), None, "{other:?}");
        }
        for first in [0, 1, 4, 255] {
            for length in 1..8 {
                assert_eq!(read(&vec![first; length]), None);
            }
        }
    }

    #[test]
    fn label_and_protocol_have_1_kib_together() {
        assert!(read(&open(0, 0, &[b'a'; 1000], &[b'b'; 24])).is_some());
        assert_eq!(read(&open(0, 0, &[b'a'; 1000], &[b'b'; 25])), None);
    }
}
