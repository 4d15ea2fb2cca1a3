//! The media sockets of a worker: batches in, runs out, and which socket the kernel chooses. The event loop and the
//! engine call it.

pub(crate) mod batch;
pub(crate) mod handed_over;
pub(crate) mod ice_tcp;
pub(crate) mod kernel_drops;
pub(crate) mod media_port;
pub(crate) mod own_socket;
pub(crate) mod own_socket_changes;
pub(crate) mod own_sockets;
#[cfg(target_os = "linux")]
mod reuseport_bpf;
pub(crate) mod small_datagrams;
pub(crate) mod socket;
pub(crate) mod sockets;
