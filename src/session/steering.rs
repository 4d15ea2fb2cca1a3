//! The clients whose datagrams the kernel must deliver to another socket than the one that its hash chooses.
//!
//! The sockets of all workers share one port, and the kernel chooses one by a hash of both addresses. Each datagram of
//! a session that lives on another worker, because its stream is assigned there or because its client has moved, would
//! be handed over: one more copy and wake-up. So its worker lists the client's address here, and the kernel gets a
//! program (see `worker::net`) that knows the addresses listed and leaves all others to the hash. The rules: only
//! proven paths are listed; datagrams on other paths are handed over, so nothing depends on the program; and the table
//! is used only when sessions begin, move and end.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::stream::WorkerId;

/// Addresses that the kernel's limit on programs (4,096 instructions) has room for; the datagrams of further ones are
/// handed over.
pub(crate) const CAPACITY: usize = 800;

/// How long a change waits for others, so that one program is made for all of them.
pub(crate) const DELAY: Duration = Duration::from_millis(50);

/// The list, shared by all workers. They add and remove clients under the lock, and the first one after [`DELAY`] gives
/// the kernel a new program.
#[derive(Debug)]
pub(crate) struct Steering {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug)]
struct Table {
    worker_by_remote: HashMap<SocketAddr, WorkerId>,
    changed: bool,
    /// What the kernel has room for; 0 when it takes no programs.
    capacity: usize,
}

/// A client's entry in the list; dropping it removes the client.
#[derive(Debug)]
pub(crate) struct Steered {
    table: Arc<Mutex<Table>>,
    remote: SocketAddr,
    worker: WorkerId,
}

impl Default for Steering {
    fn default() -> Self {
        let table = Table { worker_by_remote: HashMap::new(), changed: true, capacity: CAPACITY };
        Self { table: Arc::new(Mutex::new(table)) }
    }
}

impl Steering {
    /// Lists a client; `None` when there is no room or no use.
    pub(crate) fn list(&self, remote: SocketAddr, worker: WorkerId) -> Option<Steered> {
        let mut table = lock(&self.table);
        if table.worker_by_remote.len() >= table.capacity && !table.worker_by_remote.contains_key(&remote) {
            return None;
        }
        table.changed |= table.worker_by_remote.insert(remote, worker) != Some(worker);
        Some(Steered { table: Arc::clone(&self.table), remote, worker })
    }

    /// Lets `attach` give the kernel the table, if it has changed: as much of it as the kernel has room for.
    pub(crate) fn apply(&self, attach: impl Fn(&mut dyn Iterator<Item = (SocketAddr, WorkerId)>) -> io::Result<()>) {
        // The kernel gets the list under the lock; otherwise an older list could replace a newer one.
        let mut table = lock(&self.table);
        if !std::mem::take(&mut table.changed) {
            return;
        }
        while table.capacity > 0 {
            let listed = table.worker_by_remote.iter().map(|(remote, worker)| (*remote, *worker));
            let Err(error) = attach(&mut listed.take(table.capacity)) else { return };
            // Kernels before 6.8 have room for half of it, unless net.core.optmem_max was raised.
            table.capacity = if error.kind() == io::ErrorKind::OutOfMemory { table.capacity / 2 } else { 0 };
            tracing::debug!(%error, clients = table.capacity, "the kernel takes a shorter program for the media port");
        }
        tracing::info!("the kernel takes no program for the media port: datagrams are handed over between workers");
    }

    /// True while another client can be listed.
    pub(crate) fn has_room(&self) -> bool {
        let table = lock(&self.table);
        table.worker_by_remote.len() < table.capacity
    }

    /// How many clients are listed.
    pub(crate) fn len(&self) -> usize {
        lock(&self.table).worker_by_remote.len()
    }
}

impl Steered {
    /// True for the address that it lists.
    pub(crate) fn is_for(&self, remote: SocketAddr) -> bool {
        self.remote == remote
    }
}

impl Drop for Steered {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        // The next client behind this address may have been listed for another worker meanwhile.
        if table.worker_by_remote.get(&self.remote) == Some(&self.worker) {
            table.worker_by_remote.remove(&self.remote);
            table.changed = true;
        }
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(number: usize) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, (number >> 8) as u8], number as u16))
    }

    /// The list that the kernel would be given, in order; `None` if it would be given none.
    fn applied(steering: &Steering) -> Option<Vec<(SocketAddr, WorkerId)>> {
        let given = std::cell::Cell::new(None);
        let apply = |listed: &mut dyn Iterator<Item = _>| {
            let mut listed: Vec<_> = listed.collect();
            listed.sort();
            given.set(Some(listed));
            Ok(())
        };
        steering.apply(apply);
        given.into_inner()
    }

    #[test]
    fn the_kernel_gets_the_list_when_it_changes() {
        let steering = Steering::default();
        assert_eq!(applied(&steering), Some(Vec::new()), "whether the kernel takes programs at all is seen at once");
        assert_eq!(applied(&steering), None, "nothing has changed");
        let first = steering.list(remote(1), WorkerId(1)).unwrap();
        let second = steering.list(remote(2), WorkerId(0)).unwrap();
        assert_eq!(applied(&steering), Some(vec![(remote(1), WorkerId(1)), (remote(2), WorkerId(0))]));
        assert_eq!(applied(&steering), None);
        drop(first);
        assert_eq!(applied(&steering), Some(vec![(remote(2), WorkerId(0))]));
        drop(second);
        assert_eq!((applied(&steering), steering.len()), (Some(Vec::new()), 0));
    }

    #[test]
    fn a_leaving_client_does_not_remove_the_next_one_with_its_address() {
        let steering = Steering::default();
        let old = steering.list(remote(1), WorkerId(0)).unwrap();
        let new = steering.list(remote(1), WorkerId(1)).unwrap();
        drop(old);
        assert_eq!(applied(&steering), Some(vec![(remote(1), WorkerId(1))]));
        drop(new);
        assert_eq!(steering.len(), 0);
    }

    #[test]
    fn a_full_table_refuses_entries_until_one_leaves() {
        let steering = Steering::default();
        let mut listed: Vec<_> =
            (0..CAPACITY).map(|number| steering.list(remote(number), WorkerId(0)).unwrap()).collect();
        assert!(steering.list(remote(CAPACITY), WorkerId(0)).is_none());
        listed.pop();
        assert!(steering.list(remote(CAPACITY), WorkerId(0)).is_some());
    }

    #[test]
    fn a_kernel_with_less_room_gets_fewer_entries_and_one_without_programs_none() {
        let steering = Steering::default();
        let list =
            |count| (0..count).filter_map(|number| steering.list(remote(number), WorkerId(0))).collect::<Vec<_>>();
        let room = CAPACITY / 3;
        let listed = list(CAPACITY);
        let given = std::cell::Cell::new(0);
        steering.apply(|listed| {
            given.set(listed.count());
            if given.get() > room { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(()) }
        });
        assert_eq!(given.get(), CAPACITY / 4);
        drop(listed);
        let listed = list(CAPACITY);
        assert_eq!(listed.len(), CAPACITY / 4, "no more are listed than it takes");
        steering.apply(|_| Err(io::ErrorKind::Unsupported.into()));
        drop(listed);
        assert_eq!(list(1).len(), 0);
    }
}
