//! How many data channels a session may have, and how long their messages may be.

/// The longest data channel message that a peer accepts, in bytes: the `a=max-message-size` of an answer. webrtc-rs
/// keeps a buffer of this size for each peer that has data channels. A longer message ends the session.
pub(crate) const MAX_MESSAGE_SIZE: u32 = 16_384;

/// Channels that one side may have open. One more ends the session.
pub const MAX_CHANNELS: usize = 16;

/// Stream identifiers are below this; RFC 8831 8.2.1 lets a browser begin with as many. A higher one ends the session.
pub const MAX_STREAM: u16 = 1024;
