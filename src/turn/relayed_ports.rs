//! The ports of relayed addresses. They name allocations and are bound by nothing.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::name::SessionId;

/// Allocations of one session at a time: a client may have one by IPv4 and one by IPv6.
pub(super) const MAX_ALLOCATIONS: usize = 2;

/// The ports of allocations (RFC 8656 7.2).
const PORTS: RangeInclusive<u16> = 49_152..=65_535;

/// Which ports are taken, and how many by each session. Workers write as allocations come and go.
#[derive(Debug, Default)]
pub(super) struct RelayedPorts(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    ports: HashSet<u16>,
    count_by_session: HashMap<SessionId, usize>,
    last: Option<u16>,
}

/// Why there is no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPort {
    /// The session has as many allocations as it may.
    Session,
    /// All are taken.
    Relay,
}

/// A port that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct RelayedPort {
    pub(super) port: u16,
    session: SessionId,
    ports: Arc<RelayedPorts>,
}

impl RelayedPorts {
    /// Takes a port for an allocation of this session.
    ///
    /// # Errors
    /// [`NoPort`].
    pub(super) fn take(self: &Arc<Self>, session: SessionId) -> Result<RelayedPort, NoPort> {
        let mut taken = self.taken();
        if taken.count_by_session.get(&session).is_some_and(|count| *count >= MAX_ALLOCATIONS) {
            return Err(NoPort::Session);
        }
        // A port is used again as late as possible: something for the former allocation may be under way.
        let after = taken.last.filter(|last| last < PORTS.end()).map_or(*PORTS.start(), |last| last + 1);
        let free = (after..=*PORTS.end()).chain(*PORTS.start()..after).find(|port| !taken.ports.contains(port));
        let port = free.ok_or(NoPort::Relay)?;
        taken.last = Some(port);
        taken.ports.insert(port);
        *taken.count_by_session.entry(session).or_default() += 1;
        Ok(RelayedPort { port, session, ports: Arc::clone(self) })
    }

    /// How many are taken.
    pub(super) fn len(&self) -> usize {
        self.taken().ports.len()
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RelayedPort {
    fn drop(&mut self) {
        let mut taken = self.ports.taken();
        taken.ports.remove(&self.port);
        if let Some(count) = taken.count_by_session.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                taken.count_by_session.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_taken_once_and_a_freed_one_comes_last() {
        let ports = Arc::new(RelayedPorts::default());
        let mut held: Vec<_> = PORTS.map(|_| ports.take(SessionId::random()).unwrap()).collect();
        let numbers: HashSet<u16> = held.iter().map(|held| held.port).collect();
        assert_eq!(numbers.len(), PORTS.len());
        assert_eq!(ports.take(SessionId::random()).unwrap_err(), NoPort::Relay);
        drop((held.remove(7), held.remove(7)));
        assert_eq!(ports.take(SessionId::random()).unwrap().port, 49_159);
        assert_eq!(ports.take(SessionId::random()).unwrap().port, 49_160, "not the one that was just freed");
    }

    #[test]
    fn a_session_that_frees_its_allocations_may_have_others_and_leaves_nothing_behind() {
        let (ports, session) = (Arc::new(RelayedPorts::default()), SessionId::random());
        let held: Vec<_> = (0..MAX_ALLOCATIONS).map(|_| ports.take(session).unwrap()).collect();
        assert_eq!(ports.take(session).unwrap_err(), NoPort::Session);
        drop(held);
        drop(ports.take(session).unwrap());
        assert!(ports.len() == 0 && ports.taken().count_by_session.is_empty());
    }
}
