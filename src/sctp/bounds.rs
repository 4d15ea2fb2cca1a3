//! How many data channels a session may have, and how long their messages may be.

/// The longest data channel message that a peer takes, in bytes: what an answer says in `a=max-message-size`.
/// webrtc-rs keeps a buffer of this size for each peer that has data channels. A client that sends a longer one breaks
/// what it was told, and its session ends.
pub const MAX_MESSAGE_SIZE: u32 = 16_384;

/// Channels that one side may have open. One more ends the session.
pub const MAX_CHANNELS: usize = 16;

/// Stream identifiers are below this; RFC 8831 8.2.1 lets a browser begin with as many. One above ends the session.
pub const MAX_STREAM: u16 = 1024;
