//! Why parts of what a client sends do not reach webrtc-rs.

/// Why a packet, or a chunk of one, went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its checksum, verification tag or a length does not hold.
    Malformed,
    /// Not what may come at this point: another INIT, a reset out of turn, anything without an association.
    Unexpected,
    /// Outside of the window: a TSN too far ahead, too many gaps, an acknowledgement of what was never sent.
    Window,
    /// More than the session may send.
    Rate,
}
