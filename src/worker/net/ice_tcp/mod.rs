//! ICE over TCP (RFC 6544): the relay is the passive side on the TCP port with the number of the media port. Clients
//! whose networks block UDP connect to it. Each connection carries the datagrams of one path in frames (RFC 4571), and
//! [`demux`](crate::demux) and [`ice`](crate::ice) treat the path like one by UDP. The event loop calls it.
//!
//! The same connections carry [TURN](crate::turn), for clients without ICE over TCP. Their first eight octets show which
//! of the two it is. A path by TURN is that from the relayed address to one of the relay's candidates.
//!
//! Each worker accepts on a socket of its own. The first check shows which worker has the session, and the connection
//! moves there. A connection without a proven path is closed soon, so a stranger can hold only few open.
//!
//! TCP queues what the network does not carry, so a slow viewer would get ever older video. The kernel takes at most
//! [`connection::UNSENT_IN_KERNEL`] octets that it has not sent yet, and what exceeds that waits in a bounded buffer.
//! While anything waits there, the viewer is sent audio alone. Video that is late by then is left out up to the next
//! keyframe (`worker::viewing`).

mod carriage;
pub(crate) mod connection;
pub(crate) mod connections;
mod frames;
pub(crate) mod listener;
mod stream;
