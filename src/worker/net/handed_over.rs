//! Paths on which datagrams of other workers' sessions arrive: a client that has moved to another address may reach
//! another socket than before.
//!
//! A STUN check names its session, so it is handed to that session's owner; all later datagrams on the same path follow
//! it. The rule: a path is forgotten after as long a silence as ends a session.
//!
//! A TCP connection moves to the owner instead, since only one worker can read it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::ice_tcp::connection::Connection;
use crate::five_tuple::FiveTuple;
use crate::stream::WorkerId;

/// Paths remembered. When full, all are forgotten, and each is learnt again from its client's next check.
const CAPACITY: usize = 4096;

/// How long a path is remembered after the last datagram.
const PATIENCE: Duration = Duration::from_secs(30);

/// The paths whose datagrams reach this worker but belong to another.
#[derive(Debug, Default)]
pub(crate) struct HandedOverPaths {
    owner_by_path: HashMap<FiveTuple, Owner, foldhash::fast::RandomState>,
    /// The worker to which the TCP connection of the last datagram is to move, because it owns the session.
    pub(crate) moves_to: Option<WorkerId>,
    /// TCP connections that arrived from HTTP, or from other workers for sessions of this one.
    pub(crate) arrived: Vec<Connection>,
}

#[derive(Debug)]
struct Owner {
    worker: WorkerId,
    heard: Instant,
}

impl HandedOverPaths {
    /// A datagram for a session of that worker has come by this path. True if the datagram is to be handed over; false
    /// if its TCP connection moves instead.
    pub(crate) fn insert(&mut self, path: FiveTuple, worker: WorkerId, now: Instant) -> bool {
        if path.protocol.is_by_tcp() {
            self.moves_to = Some(worker);
            return false;
        }
        if self.owner_by_path.len() >= CAPACITY && !self.owner_by_path.contains_key(&path) {
            self.owner_by_path.clear();
        }
        self.owner_by_path.insert(path, Owner { worker, heard: now });
        true
    }

    /// The worker that owns the session whose datagrams come by this path.
    pub(crate) fn owner(&self, path: &FiveTuple) -> Option<WorkerId> {
        self.owner_by_path.get(path).map(|owner| owner.worker)
    }

    /// Forgets silent paths.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.owner_by_path.retain(|_, owner| now.saturating_duration_since(owner.heard) < PATIENCE);
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.owner_by_path.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::five_tuple::Protocol;

    fn path(number: u16) -> FiveTuple {
        let local = "192.0.2.1:8081".parse().unwrap();
        FiveTuple { protocol: Protocol::Udp, local, remote: std::net::SocketAddr::from(([192, 0, 2, 2], number)) }
    }

    #[test]
    fn a_path_is_remembered_while_datagrams_come_and_forgotten_after() {
        let (mut paths, start) = (HandedOverPaths::default(), Instant::now());
        paths.insert(path(1), WorkerId(1), start);
        paths.insert(path(2), WorkerId(2), start);
        paths.insert(path(1), WorkerId(1), start + PATIENCE / 2);
        paths.expire(start + PATIENCE);
        assert_eq!((paths.owner(&path(1)), paths.owner(&path(2))), (Some(WorkerId(1)), None));
        paths.expire(start + PATIENCE * 2);
        assert_eq!(paths.len(), 0);
    }

    #[test]
    fn there_are_never_more_than_the_capacity() {
        let (mut paths, now) = (HandedOverPaths::default(), Instant::now());
        for number in 0..=CAPACITY as u16 {
            paths.insert(path(number), WorkerId(1), now);
            assert!(paths.len() <= CAPACITY && paths.owner(&path(number)).is_some());
        }
    }
}
