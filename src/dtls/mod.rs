//! DTLS 1.2 as it appears on the wire: records, handshake fragments, alerts (RFC 6347). The demultiplexer in front of
//! webrtc-rs and the peer that holds webrtc-rs read the same datagrams by the same rules, which are here.

mod alert;
mod client_hello;
mod flight;
pub(crate) mod handshake;
mod record;

pub(crate) use alert::{Alert, contains_encrypted_alert};
pub(crate) use record::{CHANGE_CIPHER_SPEC, CLIENT_HELLO, HANDSHAKE, contains_handshake, keep_records};
pub use record::{DtlsRecord, Fragment, Malformed, fragments, records, write_message};

pub use client_hello::{Reassembly, SrtpProfiles};
