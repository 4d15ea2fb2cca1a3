//! DTLS alerts in clear (RFC 5246 7.2, RFC 6347 4.1): what ended a handshake, in words.
//!
//! webrtc-rs answers each alert with the same alert and raises no event, so `peer` looks for alerts in the datagrams
//! that webrtc-rs gets and sends.

use std::fmt;

use super::record::{ALERT, DtlsRecord, records};

/// A plaintext alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub(crate) fatal: bool,
    pub(crate) description: u8,
}

/// An alert among the records of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordAlert {
    Plaintext(Alert),
    /// It is encrypted, so its description is unknown.
    Encrypted,
}

impl Alert {
    const UNEXPECTED_MESSAGE: u8 = 10;
    const DECODE_ERROR: u8 = 50;
    const INTERNAL_ERROR: u8 = 80;

    /// True for alerts that webrtc-rs sends for a malformed or reordered datagram. It continues the handshake after
    /// them, and RFC 6347 4.1.2.7 discards such a datagram silently. Sent, they would let one forged datagram end a
    /// handshake.
    pub(crate) fn is_complaint(self) -> bool {
        matches!(self.description, Self::UNEXPECTED_MESSAGE | Self::DECODE_ERROR | Self::INTERNAL_ERROR)
    }

    /// The alert in a record, if the record is one.
    pub(crate) fn of(record: &DtlsRecord<'_>) -> Option<RecordAlert> {
        match record.clear_alert() {
            Some([level, description]) => Some(RecordAlert::Plaintext(Self { fatal: level == 2, description })),
            None => (record.content_type == ALERT).then_some(RecordAlert::Encrypted),
        }
    }

    /// The first plaintext alert among the records of a datagram, else an encrypted one.
    pub(crate) fn find(datagram: &[u8]) -> Option<RecordAlert> {
        let mut encrypted = None;
        for alert in records(datagram).flatten().filter_map(|record| Self::of(&record)) {
            match alert {
                RecordAlert::Plaintext(_) => return Some(alert),
                RecordAlert::Encrypted => encrypted = Some(alert),
            }
        }
        encrypted
    }
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
        assert_eq!(Alert::find(&datagram), Some(RecordAlert::Plaintext(Alert { fatal: true, description: 40 })));
        assert_eq!(Alert { fatal: true, description: 40 }.to_string(), "handshake_failure");
    }

    #[test]
    fn an_encrypted_alert_is_found_without_its_description() {
        let datagram = record(ALERT, 1, &[0; 26]);
        assert_eq!(Alert::find(&datagram), Some(RecordAlert::Encrypted));
    }

    #[test]
    fn a_malformed_record_ends_the_search() {
        let mut datagram = record(22, 0, &[1, 2, 3]);
        datagram[12] = 200;
        datagram.extend(record(ALERT, 0, &[2, 40]));
        for datagram in [&datagram[..], &[ALERT; 7], &[]] {
            assert_eq!(Alert::find(datagram), None);
        }
    }
}
