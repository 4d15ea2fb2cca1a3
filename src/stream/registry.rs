//! The map of streams: touched when a session joins or leaves, never while a packet passes.
//!
//! One rule makes a join and a takeover free of gaps: who publishes and which workers have viewers change under the
//! same entry of the map. So a viewer's worker either finds the live publisher and asks its worker for a subscription,
//! or is found by the next publisher, which subscribes it.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Slot;

use crate::forward::codec::Format;
use crate::name::{SessionId, StreamName};

/// A worker's number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

/// All streams of the node. Cheap to clone; clones share one map.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    streams: Arc<DashMap<StreamName, Stream>>,
}

#[derive(Debug, Default)]
struct Stream {
    /// The number of the newest publisher.
    epoch: u32,
    live: Option<Live>,
    /// Publishers that have an answer but no connection yet, oldest first.
    announced: Vec<(SessionId, Vec<Format>)>,
    /// Viewers on each worker that has any.
    viewers: Vec<(WorkerId, usize)>,
}

/// The publisher that a stream has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its session.
    pub session: SessionId,
    /// Where it lives.
    pub worker: WorkerId,
    /// Its number among the publishers of the stream.
    pub epoch: u32,
    /// What it sends.
    pub formats: Vec<Format>,
}

/// A publisher that has an answer but is not connected yet. Dropping it withdraws it.
#[derive(Debug)]
pub struct Announcement {
    registry: Registry,
    stream: StreamName,
    session: SessionId,
}

/// A live publisher's place in the registry. Dropping it ends the publication.
#[derive(Debug)]
pub struct Publication {
    registry: Registry,
    stream: StreamName,
    session: SessionId,
    epoch: u32,
}

/// What a new publisher finds.
#[derive(Debug)]
pub struct Takeover {
    /// The new publisher's number.
    pub epoch: u32,
    /// Workers with viewers, to be subscribed at once.
    pub workers: Vec<WorkerId>,
    /// The publisher that it replaces, to be ended.
    pub replaced: Option<Live>,
}

/// A viewer's place in the registry. Dropping it, or [`Watch::leave`], ends it.
#[derive(Debug)]
pub struct Watch {
    registry: Registry,
    stream: StreamName,
    worker: WorkerId,
    left: bool,
}

/// What a leaving viewer leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub enum Departure {
    /// Other viewers of the stream remain on its worker.
    OthersRemain,
    /// It was the last on its worker; the live publisher's worker, if any, should be told.
    LastOfWorker(Option<Live>),
}

/// One stream as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its name.
    pub name: StreamName,
    /// The session of its publisher, while one is connected.
    pub publisher: Option<SessionId>,
    /// Connected viewers.
    pub viewers: usize,
    /// What the publisher sends; empty when there is none.
    pub formats: Vec<Format>,
}

impl Registry {
    /// Notes that a publisher with these formats was given an answer, so that viewers who come before its first
    /// packet negotiate what it will send.
    pub fn announce(&self, stream: &StreamName, session: SessionId, formats: Vec<Format>) -> Announcement {
        self.streams.entry(stream.clone()).or_default().announced.push((session, formats));
        Announcement { registry: self.clone(), stream: stream.clone(), session }
    }

    /// Counts a viewer on a worker. The publisher is returned when the worker had no viewer of the stream before and
    /// so must subscribe.
    pub fn watch(&self, stream: &StreamName, worker: WorkerId) -> (Watch, Option<Live>) {
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

    /// The formats that a new viewer should negotiate: the live publisher's, else the newest announced one's, else
    /// none known.
    pub fn formats(&self, stream: &StreamName) -> Vec<Format> {
        let Some(entry) = self.streams.get(stream) else { return Vec::new() };
        match (&entry.live, entry.announced.last()) {
            (Some(live), _) => live.formats.clone(),
            (None, Some((_, formats))) => formats.clone(),
            (None, None) => Vec::new(),
        }
    }

    /// The live publisher of a stream.
    pub fn live(&self, stream: &StreamName) -> Option<Live> {
        self.streams.get(stream)?.live.clone()
    }

    /// Every stream that has a publisher or a viewer, by name.
    pub fn list(&self) -> Vec<StreamInfo> {
        let info = |name: &StreamName, stream: &Stream| StreamInfo {
            name: name.clone(),
            publisher: stream.live.as_ref().map(|live| live.session),
            viewers: stream.viewers.iter().map(|(_, count)| count).sum(),
            formats: stream.live.as_ref().map(|live| live.formats.clone()).unwrap_or_default(),
        };
        let mut list: Vec<_> = self.streams.iter().map(|entry| info(entry.key(), entry.value())).collect();
        list.sort_by(|left, right| left.name.cmp(&right.name));
        list
    }

    /// How many streams have a live publisher.
    pub fn live_count(&self) -> usize {
        self.streams.iter().filter(|entry| entry.live.is_some()).count()
    }

    /// How many streams are known at all; 0 once every session has left.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// True when no stream is known.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Changes a stream's entry and forgets it when nothing refers to it any more.
    fn change<R>(&self, stream: &StreamName, change: impl FnOnce(&mut Stream) -> R) -> Option<R> {
        let Slot::Occupied(mut entry) = self.streams.entry(stream.clone()) else { return None };
        let result = change(entry.get_mut());
        let left = entry.get();
        if left.live.is_none() && left.announced.is_empty() && left.viewers.is_empty() {
            entry.remove();
        }
        Some(result)
    }
}

impl Announcement {
    /// The publisher is connected: it becomes the stream's only one, and replaces an older one.
    pub fn publish(self, worker: WorkerId) -> (Publication, Takeover) {
        let takeover = {
            let mut entry = self.registry.streams.entry(self.stream.clone()).or_default();
            let announced = entry.announced.iter().find(|(session, _)| *session == self.session);
            let formats = announced.map(|(_, formats)| formats.clone()).unwrap_or_default();
            entry.epoch = entry.epoch.wrapping_add(1);
            let epoch = entry.epoch;
            let replaced = entry.live.replace(Live { session: self.session, worker, epoch, formats });
            Takeover { epoch, workers: entry.viewers.iter().map(|(worker, _)| *worker).collect(), replaced }
        };
        let publication = Publication {
            registry: self.registry.clone(),
            stream: self.stream.clone(),
            session: self.session,
            epoch: takeover.epoch,
        };
        (publication, takeover)
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.registry.change(&self.stream, |stream| stream.announced.retain(|(session, _)| *session != self.session));
    }
}

impl Publication {
    /// This publisher's number.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        self.registry.change(&self.stream, |stream| {
            // A newer publisher may have taken over; its place is not ours to clear.
            stream.live.take_if(|live| live.session == self.session);
        });
    }
}

impl Watch {
    /// Ends the watch and says who has to know.
    pub fn leave(mut self) -> Departure {
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
mod tests {
    use super::*;
    use crate::forward::codec::Codec;

    const A: WorkerId = WorkerId(0);
    const B: WorkerId = WorkerId(1);

    fn name() -> StreamName {
        "cam".parse().unwrap()
    }

    fn vp8() -> Vec<Format> {
        vec![Format { codec: Codec::Vp8, clock_rate: 90_000, channels: 0, parameters: String::new() }]
    }

    #[test]
    fn a_viewer_is_subscribed_by_whoever_comes_second() {
        let registry = Registry::default();
        let (_early, publisher) = registry.watch(&name(), B);
        assert_eq!(publisher, None);
        let (publication, takeover) = registry.announce(&name(), SessionId::random(), vp8()).publish(A);
        assert_eq!(takeover.workers, [B], "the publisher finds the early viewer's worker");
        let (_second, publisher) = registry.watch(&name(), B);
        assert_eq!(publisher, None, "the worker is subscribed already");
        let (_late, publisher) = registry.watch(&name(), A);
        assert_eq!(publisher.map(|live| (live.worker, live.epoch)), Some((A, publication.epoch())));
    }

    #[test]
    fn a_newer_publisher_replaces_the_old_one_whose_end_changes_nothing() {
        let registry = Registry::default();
        let first = SessionId::random();
        let (old, _) = registry.announce(&name(), first, vp8()).publish(A);
        let (new, takeover) = registry.announce(&name(), SessionId::random(), vp8()).publish(B);
        assert_eq!(takeover.replaced.map(|live| live.session), Some(first));
        assert!(new.epoch() > old.epoch());
        drop(old);
        assert_eq!(registry.live(&name()).map(|live| live.worker), Some(B));
        drop(new);
        assert!(registry.is_empty());
    }

    #[test]
    fn the_last_viewer_of_a_worker_knows_whom_to_tell() {
        let registry = Registry::default();
        let (_publication, _) = registry.announce(&name(), SessionId::random(), vp8()).publish(A);
        let (first, _) = registry.watch(&name(), B);
        let (second, _) = registry.watch(&name(), B);
        assert_eq!(first.leave(), Departure::OthersRemain);
        let Departure::LastOfWorker(Some(live)) = second.leave() else { panic!("the last one tells the publisher") };
        assert_eq!(live.worker, A);
    }

    #[test]
    fn formats_are_known_from_the_announcement_on_and_nothing_is_left_behind() {
        let registry = Registry::default();
        let announcement = registry.announce(&name(), SessionId::random(), vp8());
        assert_eq!(registry.formats(&name()), vp8());
        assert_eq!(registry.list()[0].publisher, None);
        drop(announcement);
        let (watch, _) = registry.watch(&name(), A);
        assert_eq!(registry.formats(&name()), []);
        drop(watch);
        assert_eq!((registry.len(), registry.live_count()), (0, 0));
    }
}
