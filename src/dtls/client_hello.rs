//! The ClientHello, reassembled from its fragments and read for the SRTP profiles that the client supports
//! (RFC 5764 4.1.1).
//!
//! Browsers send it in two records, often in two datagrams, with extensions in random order. The peer gets it as one
//! record. The transcript is not affected: it covers messages as if they had not been fragmented (RFC 6347 4.2.6).

use std::ops::Range;

use super::record::{DtlsRecord, HandshakeFragment};
use crate::dtls;

const USE_SRTP: u16 = 14;
const AEAD_AES_128_GCM: u16 = 0x0007;
const AES128_CM_HMAC_SHA1_80: u16 = 0x0001;

/// The SRTP profiles of a ClientHello that the relay supports.
#[derive(Copy, Clone, PartialEq, Eq, Default, Debug)]
pub struct SrtpProfiles {
    /// SRTP_AEAD_AES_128_GCM (RFC 7714 14.2).
    pub gcm: bool,
    /// SRTP_AES128_CM_HMAC_SHA1_80 (RFC 5764 4.1.2).
    pub sha1_80: bool,
}

impl SrtpProfiles {
    /// Reads the body of a ClientHello (RFC 6347 4.2.1); `None` when it is malformed. A client without `use_srtp` has
    /// no profile.
    pub fn of(hello: &[u8]) -> Option<SrtpProfiles> {
        let rest = hello.get(2 + 32..)?;
        let (_session_id, rest) = short_vector(rest)?;
        let (_cookie, rest) = short_vector(rest)?;
        let (_cipher_suites, rest) = vector(rest)?;
        let (_compression, rest) = short_vector(rest)?;
        let mut profiles = SrtpProfiles::default();
        if rest.is_empty() {
            return Some(profiles);
        }
        let (mut extensions, rest) = vector(rest)?;
        while !extensions.is_empty() {
            let (kind, behind) = extensions.split_first_chunk::<2>()?;
            let (value, behind) = vector(behind)?;
            if u16::from_be_bytes(*kind) == USE_SRTP {
                let (list, _mki) = vector(value)?;
                for profile in list.as_chunks::<2>().0 {
                    profiles.gcm |= u16::from_be_bytes(*profile) == AEAD_AES_128_GCM;
                    profiles.sha1_80 |= u16::from_be_bytes(*profile) == AES128_CM_HMAC_SHA1_80;
                }
            }
            extensions = behind;
        }
        rest.is_empty().then_some(profiles)
    }
}

/// A ClientHello of which pieces are missing.
pub struct Reassembly {
    version: [u8; 2],
    sequence: [u8; 8],
    message_sequence: u16,
    message: Vec<u8>,
    /// The ranges that have arrived, sorted and merged.
    present: Vec<Range<usize>>,
}

impl Reassembly {
    /// Begins with the fragment that arrived first, whose record sequence number no other record uses.
    pub fn new(record: &DtlsRecord, fragment: &HandshakeFragment) -> Reassembly {
        Reassembly {
            version: record.version,
            sequence: record.sequence,
            message_sequence: fragment.message_sequence,
            message: vec![0; fragment.length],
            present: Vec::new(),
        }
    }

    /// Whether the fragment is of the same message.
    pub fn fits(&self, fragment: &HandshakeFragment) -> bool {
        self.message_sequence == fragment.message_sequence && self.message.len() == fragment.length
    }

    /// Adds a fragment that fits. Of several copies of a byte the first is kept.
    pub fn push(&mut self, fragment: &HandshakeFragment) {
        let range = fragment.offset..fragment.offset + fragment.body.len();
        let mut next = range.start;
        for known in self.present.iter().chain([&(range.end..range.end)]) {
            let gap = next..known.start.min(range.end).max(next);
            let source = gap.start - range.start..gap.end - range.start;
            self.message[gap].copy_from_slice(&fragment.body[source]);
            next = next.max(known.end).min(range.end);
        }
        self.present.push(range);
        self.present.sort_unstable_by_key(|range| range.start);
        self.present.dedup_by(|later, earlier| {
            let touches = later.start <= earlier.end;
            earlier.end = if touches { earlier.end.max(later.end) } else { earlier.end };
            touches
        });
    }

    /// The complete message in one record; `None` while fragments are missing.
    pub fn finish(&self, last: &HandshakeFragment) -> Option<Vec<u8>> {
        let is_whole = self.present.len() == 1 && self.present[0] == (0..self.message.len());
        is_whole.then(|| dtls::write_message(self.version, self.sequence, last, &self.message))
    }

    /// The message. Bytes that have not been received yet are 0.
    pub(crate) fn message(&self) -> &[u8] {
        &self.message
    }
}

fn short_vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

fn vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
