//! What a relay in virtual time sends, until it is delivered; each number is held to have one content.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;

use sluice::five_tuple::{FiveTuple, Protocol};
use sluice::worker::{Outbox, SendOutcome};

use super::lane::is_rtp;

/// What the relay sends, until it is delivered.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) sent: VecDeque<(FiveTuple, Vec<u8>)>,
    /// TCP clients whose connections have no room.
    pub(crate) full: HashSet<SocketAddr>,
    /// Runs that the relay handed over, one for each system call.
    pub(crate) runs: usize,
    /// By address, SSRC and sequence number: a digest of what was sealed under it, and how many were sent before.
    sealed: HashMap<(SocketAddr, u32, u16), (u64, u64)>,
    sealed_packets: u64,
}

impl Wire {
    /// Fails if a sequence number is sealed over two contents, which reveals the authentication key of AES-GCM. A
    /// repetition after 2^15 packets is another number.
    fn record(&mut self, to: SocketAddr, datagram: &[u8]) {
        let mut hasher = DefaultHasher::new();
        datagram.hash(&mut hasher);
        let digest = hasher.finish();
        let ssrc = u32::from_be_bytes(datagram[8..12].try_into().expect("four octets"));
        let sequence = u16::from_be_bytes(datagram[2..4].try_into().expect("two octets"));
        self.sealed_packets += 1;
        let before = self.sealed.insert((to, ssrc, sequence), (digest, self.sealed_packets));
        let again = before.is_some_and(|(other, at)| other != digest && self.sealed_packets - at < 1 << 15);
        assert!(!again, "number {sequence} of SSRC {ssrc:x} is sealed over two contents");
    }
}

impl Outbox for Wire {
    fn send(&mut self, path: &FiveTuple, contents: &[u8], segment: Option<usize>) -> SendOutcome {
        self.runs += 1;
        for datagram in contents.chunks(segment.unwrap_or(contents.len())) {
            if is_rtp(datagram) {
                self.record(path.remote, datagram);
            }
            self.sent.push_back((*path, datagram.to_vec()));
        }
        SendOutcome::Done
    }

    fn max_segments(&self) -> usize {
        64
    }

    fn has_room(&self, path: &FiveTuple) -> bool {
        path.protocol == Protocol::Udp || !self.full.contains(&path.remote)
    }
}
