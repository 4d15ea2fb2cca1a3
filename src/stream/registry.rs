//! The map of streams: used when a session joins or leaves, never while a packet passes.
//!
//! One rule makes joins and takeovers free of gaps: the publisher of a stream and the workers that have viewers change
//! under the same entry of the map. So a viewer's worker either finds the live publisher and asks its worker for a
//! subscription, or is found by the next publisher, which subscribes it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::eviction::{Evictions, Identity, TakeoverRefused};
use super::publisher::{Absence, Live, WorkerId};
use crate::forward::codec::Format;
use crate::name::{SessionId, StreamName};
use crate::shared::{DashMap, Entry as Slot};

/// All streams of the node. Cheap to clone; clones share one map.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    pub(super) streams: Arc<DashMap<StreamName, Stream>>,
}

#[derive(Debug, Default)]
pub(super) struct Stream {
    /// How many publications there were; the newest has this number.
    pub(super) publications: u64,
    pub(super) live: Option<Live>,
    /// How the last live publisher left, and when.
    pub(super) left: Option<(Absence, Instant)>,
    /// The publisher beside the live one, ready to take over.
    pub(super) standby: Option<Live>,
    /// Publishers that have an answer but no connection yet, oldest first.
    pub(super) announced: Vec<(SessionId, Vec<Format>)>,
    /// Number of viewers on each worker that has any.
    pub(super) viewers: Vec<(WorkerId, usize)>,
    pub(super) evictions: Evictions,
}

/// A viewer's place in the registry. Dropping it, or [`Watch::leave`], ends it.
#[derive(Debug)]
pub(crate) struct Watch {
    registry: Registry,
    stream: StreamName,
    worker: WorkerId,
    left: bool,
}

/// What remains when a viewer leaves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// Other viewers of the stream remain on its worker.
    OthersRemain,
    /// It was the last on its worker; the worker of the live publisher, if any, should be notified.
    LastOfWorker(Option<Live>),
}

/// One stream in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its name.
    pub name: StreamName,
    /// The session of its publisher, while one is connected.
    pub publisher: Option<SessionId>,
    /// Connected viewers.
    pub viewers: usize,
    /// The formats that the publisher sends; empty without one.
    pub formats: Vec<Format>,
    /// The publisher is a leg from another node of the cluster, which has the stream.
    pub is_carried: bool,
}

impl Registry {
    /// Whether this client may publish now: see the module `eviction`.
    ///
    /// # Errors
    /// [`TakeoverRefused`] if it was recently replaced and the publisher that it would replace is not silent.
    pub(crate) fn check_publisher(
        &self,
        stream: &StreamName,
        identity: &Identity,
        standby: bool,
        now: Instant,
    ) -> Result<(), TakeoverRefused> {
        let Some(entry) = self.streams.get(stream) else { return Ok(()) };
        let before = if standby { &entry.standby } else { &entry.live };
        match before {
            Some(before) if !before.is_silent(now) => entry.evictions.check(identity, now),
            _ => Ok(()),
        }
    }

    /// Whether a stream has a publisher from which something was received lately.
    pub(crate) fn is_receiving(&self, stream: &StreamName, now: Instant) -> bool {
        let live = self.streams.get(stream).and_then(|entry| entry.live.clone());
        live.is_some_and(|live| !live.is_silent(now))
    }

    /// The address of the publisher that a new one, or a new standby, would replace; `None` if it would replace none.
    pub(crate) fn replaced_by(&self, stream: &StreamName, standby: bool) -> Option<IpAddr> {
        let entry = self.streams.get(stream)?;
        let live = entry.live.as_ref()?;
        // A live publisher that came as a standby becomes the standby again.
        let replaced = if standby || live.standby { entry.standby.as_ref()? } else { live };
        Some(replaced.identity.address)
    }

    /// Counts a viewer on a worker. Returns the publisher when the worker had no viewer of the stream before and must
    /// subscribe.
    pub(crate) fn watch(&self, stream: &StreamName, worker: WorkerId) -> (Watch, Option<Live>) {
        let mut entry = self.streams.entry(stream.clone()).or_default();
        let first = match entry.viewers.iter_mut().find(|(id, _)| *id == worker) {
            Some((_, count)) => {
                *count += 1;
                false
            }
            None => {
                entry.viewers.push((worker, 1));
                true
            }
        };
        let publisher = if first { entry.live.clone() } else { None };
        drop(entry);
        (Watch { registry: self.clone(), stream: stream.clone(), worker, left: false }, publisher)
    }

    /// The formats that a new viewer should negotiate: those of the live publisher, else of its standby, else of the
    /// newest announced one; empty if unknown.
    pub(crate) fn formats(&self, stream: &StreamName) -> Vec<Format> {
        let Some(entry) = self.streams.get(stream) else { return Vec::new() };
        match (entry.live.as_ref().or(entry.standby.as_ref()), entry.announced.last()) {
            (Some(live), _) => live.formats.clone(),
            (None, Some((_, formats))) => formats.clone(),
            (None, None) => Vec::new(),
        }
    }

    /// The live publisher of a stream.
    pub(crate) fn live(&self, stream: &StreamName) -> Option<Live> {
        self.streams.get(stream)?.live.clone()
    }

    /// The sessions of the standby and of the live publisher, in this order.
    pub(crate) fn publishers(&self, stream: &StreamName) -> Vec<SessionId> {
        let Some(entry) = self.streams.get(stream) else { return Vec::new() };
        entry.standby.iter().chain(&entry.live).map(|publisher| publisher.session).collect()
    }

    /// How the last live publisher of a stream left; known while the stream has viewers.
    pub(crate) fn left(&self, stream: &StreamName) -> Option<(Absence, Instant)> {
        self.streams.get(stream)?.left
    }

    /// Whether a stream has a live publisher or a standby.
    pub(crate) fn is_published(&self, stream: &StreamName) -> bool {
        self.streams.get(stream).is_some_and(|entry| entry.live.is_some() || entry.standby.is_some())
    }

    /// The worker of the live publisher, while fewer than `small` viewers are connected.
    pub(crate) fn home(&self, stream: &StreamName, small: usize) -> Option<WorkerId> {
        let entry = self.streams.get(stream)?;
        let viewers: usize = entry.viewers.iter().map(|(_, count)| count).sum();
        entry.live.as_ref().filter(|_| viewers < small).map(|live| live.worker)
    }

    /// Every stream that has a publisher or a viewer, by name.
    pub(crate) fn list(&self) -> Vec<StreamInfo> {
        let mut list: Vec<_> = self.streams.iter().map(|entry| entry.value().info(entry.key())).collect();
        list.sort_by(|left, right| left.name.cmp(&right.name));
        list
    }

    /// One stream, if it has a publisher or a viewer.
    pub(crate) fn info(&self, stream: &StreamName) -> Option<StreamInfo> {
        self.streams.get(stream).map(|entry| entry.value().info(stream))
    }

    /// The number of known streams; 0 once every session has left.
    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Changes a stream's entry, and removes it when no session refers to it any more.
    pub(super) fn change<R>(&self, stream: &StreamName, change: impl FnOnce(&mut Stream) -> R) -> Option<R> {
        let Slot::Occupied(mut entry) = self.streams.entry(stream.clone()) else { return None };
        let result = change(entry.get_mut());
        let left = entry.get();
        let publishers = usize::from(left.live.is_some()) + usize::from(left.standby.is_some()) + left.announced.len();
        if publishers == 0 && left.viewers.is_empty() {
            entry.remove();
        }
        Some(result)
    }
}

impl Stream {
    fn info(&self, name: &StreamName) -> StreamInfo {
        StreamInfo {
            name: name.clone(),
            publisher: self.live.as_ref().map(|live| live.session),
            viewers: self.viewers.iter().map(|(_, count)| count).sum(),
            formats: self.live.as_ref().map(|live| live.formats.clone()).unwrap_or_default(),
            is_carried: self.live.as_ref().is_some_and(|live| live.is_carried),
        }
    }
}

impl Watch {
    /// Ends the watch and returns what remains.
    pub(crate) fn leave(mut self) -> Departure {
        self.left = true;
        self.depart()
    }

    fn depart(&self) -> Departure {
        let departure = self.registry.change(&self.stream, |stream| {
            let Some(place) = stream.viewers.iter().position(|(worker, _)| *worker == self.worker) else {
                return Departure::OthersRemain;
            };
            stream.viewers[place].1 -= 1;
            if stream.viewers[place].1 > 0 {
                return Departure::OthersRemain;
            }
            stream.viewers.swap_remove(place);
            Departure::LastOfWorker(stream.live.clone())
        });
        departure.unwrap_or(Departure::LastOfWorker(None))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.left {
            self.depart();
        }
    }
}

#[cfg(test)]
mod tests;
