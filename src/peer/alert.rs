//! DTLS alerts that are not encrypted (RFC 5246 7.2, RFC 6347 4.1): what ended a handshake, in words.
//!
//! webrtc-rs answers each alert with its own echo and raises no event for any, so the datagrams are read here, before
//! it sees them and after it made them. The length tells what is encrypted: no cipher leaves the two bytes of an alert
//! as they are, while the epoch misleads, because webrtc-rs sends plaintext alerts of the epoch that is about to begin.

use std::fmt;

/// The content type of an alert record.
const ALERT: u8 = 21;
/// Type, version, epoch, sequence number, length.
const RECORD_HEADER: usize = 13;

/// A plaintext alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) fatal: bool,
    pub(super) description: u8,
}

impl Alert {
    pub(super) const CLOSE_NOTIFY: u8 = 0;
    const UNEXPECTED_MESSAGE: u8 = 10;
    const DECODE_ERROR: u8 = 50;
    const INTERNAL_ERROR: u8 = 80;

    /// True for what webrtc-rs says of one datagram that makes no sense, or that overtook another: it goes on waiting
    /// all the same, and RFC 6347 4.1.2.7 discards such a datagram in silence. Were it sent, one forged or reordered
    /// datagram would end a handshake.
    pub(super) fn is_complaint(self) -> bool {
        matches!(self.description, Self::UNEXPECTED_MESSAGE | Self::DECODE_ERROR | Self::INTERNAL_ERROR)
    }

    /// The first plaintext alert among the records of a datagram.
    pub(super) fn find_plaintext(datagram: &[u8]) -> Option<Self> {
        records(datagram).find_map(|record| match record {
            (ALERT, &[level, description]) => Some(Self { fatal: level == 2, description }),
            _ => None,
        })
    }
}

/// True if a record of the datagram is an encrypted alert; which one it is, only the keys tell.
pub(super) fn contains_encrypted_alert(datagram: &[u8]) -> bool {
    records(datagram).any(|(content_type, body)| content_type == ALERT && body.len() > 2)
}

/// The records of a datagram as (content type, body), up to the first that does not fit.
fn records(mut datagram: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (header, rest) = datagram.split_at_checked(RECORD_HEADER)?;
        let (body, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([header[11], header[12]])))?;
        datagram = rest;
        Some((header[0], body))
    })
}

impl fmt::Display for Alert {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.description {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            22 => "record_overflow",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            109 => "missing_extension",
            110 => "unsupported_extension",
            other => return write!(formatter, "alert {other}"),
        };
        formatter.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content_type: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut record = vec![content_type, 0xfe, 0xfd];
        record.extend_from_slice(&epoch.to_be_bytes());
        record.extend_from_slice(&[0; 6]);
        record.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        record.extend_from_slice(body);
        record
    }

    #[test]
    fn a_plaintext_alert_is_found_behind_another_record() {
        let datagram = [record(22, 0, &[1, 2, 3]), record(ALERT, 0, &[2, 40])].concat();
        assert_eq!(Alert::find_plaintext(&datagram), Some(Alert { fatal: true, description: 40 }));
        assert_eq!(Alert { fatal: true, description: 40 }.to_string(), "handshake_failure");
    }

    #[test]
    fn an_encrypted_alert_shows_that_it_is_one_but_not_which() {
        let datagram = record(ALERT, 1, &[0; 26]);
        assert!(contains_encrypted_alert(&datagram));
        assert_eq!(Alert::find_plaintext(&datagram), None);
    }

    #[test]
    fn a_record_that_does_not_fit_ends_the_search() {
        let mut datagram = record(22, 0, &[1, 2, 3]);
        datagram[12] = 200;
        datagram.extend(record(ALERT, 0, &[2, 40]));
        for datagram in [&datagram[..], &[ALERT; 7], &[]] {
            assert_eq!(Alert::find_plaintext(datagram), None);
            assert!(!contains_encrypted_alert(datagram));
        }
    }
}
