//! Violations of SCTP or data channel rules that end a session.

use super::bounds::{MAX_CHANNELS, MAX_STREAM};

/// Why a session ends: SCTP would repeat what was refused for ever, and all its other channels would wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// One channel more than [`MAX_CHANNELS`].
    #[error("the client opened more than {MAX_CHANNELS} data channels: close one first")]
    TooManyChannels,
    /// A stream identifier of [`MAX_STREAM`] or more.
    #[error("the client used a data channel with an id of {MAX_STREAM} or more: use lower ids")]
    StreamTooHigh,
    /// Labels and protocols of all channels that were ever opened are longer than 1 MiB.
    #[error("the client opened and closed too many data channels in one session: keep them open")]
    TooManyOpened,
    /// A malformed message of the Data Channel Establishment Protocol (RFC 8832 5), or one out of turn.
    #[error("the client sent a DCEP message of a wrong shape, or with a label and protocol longer than 1 KiB")]
    Dcep,
    /// A payload protocol identifier other than 50, 51, 53, 56 and 57 (RFC 8831 8).
    #[error("the client sent a data channel message of an unknown type (PPID)")]
    UnknownPayload,
    /// Longer than the `a=max-message-size` of the answer.
    #[error("the client sent a data channel message longer than the answer's a=max-message-size")]
    MessageTooLong,
    /// Fragments of two messages that are mixed (RFC 9260 6.9), or too many fragments of one message.
    #[error("the client sent fragments of data channel messages out of order, or too many of one message")]
    Fragments,
    /// Messages and fragments that can never be delivered fill the receive window.
    #[error("the client left too many data channel messages unfinished or out of order")]
    Undeliverable,
}
