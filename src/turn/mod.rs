//! TURN (RFC 8656) for clients whose network lets out nothing but TCP, or nothing but TLS: a server that relays to this
//! relay alone. The caller gives it what arrives on a TCP connection, and sends what it returns.
//!
//! No relayed UDP socket exists. An allocation is a name for the connection: a relayed address with a port that no other
//! allocation has. What the client sends to one of the relay's candidates is handed to
//! [`demux`](crate::demux) as a datagram from that address, and what the relay sends there goes back on the connection.
//! The rule it keeps: nothing leaves this process, so the server is no use to anyone without a session here.
//!
//! Each session has credentials of its own (the long-term mechanism, RFC 8489 9.2), which end with it. They allow
//! [`relayed_ports::MAX_ALLOCATIONS`] allocations, and permissions for the candidates in the session's answer.
//!
//! The STUN codec is that of [`ice`](crate::ice). A library of TURN messages would bring a second one.

mod allocation;
mod credentials;
pub mod frames;
mod message;
mod relayed_ports;
pub mod server;
pub mod service;
#[cfg(test)]
mod tests;

pub use credentials::Credentials;
