//! DTLS 1.2 before and behind webrtc-rs: records, ClientHello, alerts, the budget of a handshake and the repetition of
//! flights (RFC 6347). `demux` decides by it what reaches a peer, and `peer` what reaches webrtc-rs; both read records
//! by the one parser here.

mod alert;
mod client_hello;
mod flight;
pub(crate) mod handshake;
mod record;

pub(crate) use alert::{Alert, RecordAlert};
pub(crate) use record::{CHANGE_CIPHER_SPEC, CLIENT_HELLO, HANDSHAKE, keep_records};
pub use record::{DtlsRecord, HandshakeFragment, fragments, records, write_message};

pub use client_hello::{Reassembly, SrtpProfiles};
