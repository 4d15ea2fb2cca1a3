//! DTLS 1.2 records and handshake fragments as they appear in clear (RFC 6347 4.1, 4.2.2).
//!
//! The rule: a record that webrtc-rs handles wrongly is malformed, and so is everything behind it in its datagram: an
//! oversized fragment, an empty fragment of a message that is not empty, a length beyond the datagram, a
//! ChangeCipherSpec of an encrypted epoch (webrtc-rs accepts it without checking any tag, and then rejects the records
//! of the real client).

/// The content types of DTLS 1.2 (RFC 5246 6.2.1).
pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;

/// The handshake message that opens every connection.
pub(crate) const CLIENT_HELLO: u8 = 1;

const RECORD_HEADER: usize = 13;
const FRAGMENT_HEADER: usize = 12;

/// The longest handshake message in bytes; a post-quantum ClientHello takes about 1,500.
const MAX_MESSAGE: usize = 16_000;

/// The bytes are not DTLS 1.2, or a record that the relay does not give to webrtc-rs.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Malformed;

/// One record.
#[derive(Copy, Clone, Debug)]
pub struct DtlsRecord<'a> {
    /// The content type (RFC 5246 6.2.1).
    pub content_type: u8,
    /// As on the wire: 0xFEFD is DTLS 1.2.
    pub version: [u8; 2],
    /// Epoch and record sequence number as on the wire.
    pub sequence: [u8; 8],
    /// What follows the header.
    pub body: &'a [u8],
}

impl DtlsRecord<'_> {
    /// Whether the record is in clear; everything later is encrypted.
    pub(crate) fn is_clear(&self) -> bool {
        self.sequence[..2] == [0, 0]
    }

    /// The level and the description of an alert in clear, which anybody can write. It is known by its length of two
    /// bytes, because every cipher adds to it. The epoch does not tell: webrtc-rs sends alerts in clear with the number
    /// of the epoch that is about to begin.
    pub(crate) fn clear_alert(&self) -> Option<[u8; 2]> {
        let body = self.body.try_into().ok()?;
        (self.content_type == ALERT).then_some(body)
    }

    /// Whether it is encrypted data or an encrypted alert. After the handshake everything else is stale or forged
    /// (RFC 6347 4.1.2.7), because there is no renegotiation.
    pub(crate) fn is_sealed_data(&self) -> bool {
        let is_data = matches!(self.content_type, APPLICATION_DATA | ALERT);
        is_data && !self.is_clear() && self.clear_alert().is_none()
    }
}

/// One handshake message or a piece of it, from a record in clear.
#[derive(Copy, Clone, Debug)]
pub struct HandshakeFragment<'a> {
    /// The type of the handshake message (RFC 6347 4.2.2).
    pub message_type: u8,
    /// Octets of the whole message.
    pub length: usize,
    /// The number of the message in its handshake.
    pub message_sequence: u16,
    /// Octets of the message before this piece.
    pub offset: usize,
    /// The piece.
    pub body: &'a [u8],
}

/// The records of a datagram, in order; ends behind the first that is malformed.
pub fn records(datagram: &[u8]) -> impl Iterator<Item = Result<DtlsRecord<'_>, Malformed>> {
    split(datagram, next_record)
}

/// The fragments in the body of a handshake record in clear; ends behind the first that is malformed.
pub fn fragments<'a>(record: DtlsRecord<'a>) -> impl Iterator<Item = Result<HandshakeFragment<'a>, Malformed>> {
    split(record.body, next_fragment)
}

/// One record that holds one whole handshake message in a single fragment.
pub fn write_message(version: [u8; 2], sequence: [u8; 8], fragment: &HandshakeFragment, message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u32).to_be_bytes();
    let mut datagram = Vec::with_capacity(RECORD_HEADER + FRAGMENT_HEADER + message.len());
    datagram.push(HANDSHAKE);
    datagram.extend_from_slice(&version);
    datagram.extend_from_slice(&sequence);
    datagram.extend_from_slice(&((FRAGMENT_HEADER + message.len()) as u16).to_be_bytes());
    datagram.push(fragment.message_type);
    datagram.extend_from_slice(&length[1..]);
    datagram.extend_from_slice(&fragment.message_sequence.to_be_bytes());
    datagram.extend_from_slice(&[0, 0, 0]);
    datagram.extend_from_slice(&length[1..]);
    datagram.extend_from_slice(message);
    datagram
}

/// The well-formed records of a datagram for which `is_kept` is true; `None` if that is the whole datagram.
pub(crate) fn keep_records(datagram: &[u8], mut is_kept: impl FnMut(&DtlsRecord<'_>) -> bool) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut rest = datagram;
    while let Some((record, behind)) = next_record(rest) {
        if is_kept(&record) {
            kept.extend_from_slice(&rest[..rest.len() - behind.len()]);
        }
        rest = behind;
    }
    (kept.len() < datagram.len()).then_some(kept)
}

fn split<'a, T>(
    mut rest: &'a [u8],
    next: impl Fn(&'a [u8]) -> Option<(T, &'a [u8])>,
) -> impl Iterator<Item = Result<T, Malformed>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((item, behind)) = next(rest) else {
            rest = &[];
            return Some(Err(Malformed));
        };
        rest = behind;
        Some(Ok(item))
    })
}

fn next_record(bytes: &[u8]) -> Option<(DtlsRecord<'_>, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<RECORD_HEADER>()?;
    let (body, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([header[11], header[12]])))?;
    let mut sequence = [0; 8];
    sequence.copy_from_slice(&header[3..11]);
    let record = DtlsRecord { content_type: header[0], version: [header[1], header[2]], sequence, body };
    let is_version_known = matches!(record.version, [0xfe, 0xff | 0xfd]);
    // Without renegotiation there are two epochs; webrtc-rs would queue a record of a later one for ever.
    let is_epoch_known = u16::from_be_bytes([header[3], header[4]]) <= 1;
    // webrtc-rs answers any other record in clear with a fatal alert.
    let is_shape_known = match record.content_type {
        CHANGE_CIPHER_SPEC => record.is_clear() && body == [1],
        ALERT => !record.is_clear() || body.len() == 2,
        HANDSHAKE => !body.is_empty(),
        APPLICATION_DATA => !record.is_clear(),
        _ => false,
    };
    (is_version_known && is_epoch_known && is_shape_known).then_some((record, rest))
}

fn next_fragment(bytes: &[u8]) -> Option<(HandshakeFragment<'_>, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<FRAGMENT_HEADER>()?;
    let length = uint24([header[1], header[2], header[3]]);
    let offset = uint24([header[6], header[7], header[8]]);
    let (body, rest) = rest.split_at_checked(uint24([header[9], header[10], header[11]]))?;
    let message_sequence = u16::from_be_bytes([header[4], header[5]]);
    let is_within = length <= MAX_MESSAGE && offset + body.len() <= length;
    let is_free = body.is_empty() && length > 0;
    let fragment = HandshakeFragment { message_type: header[0], length, message_sequence, offset, body };
    (is_within && !is_free).then_some((fragment, rest))
}

fn uint24(bytes: [u8; 3]) -> usize {
    usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2])
}
