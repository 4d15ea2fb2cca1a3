//! A publisher's place in the registry: announced, live, or beside the live one as its standby.
//!
//! A stream has one live publisher and at most one standby. A newer publisher replaces the live one, and a newer
//! standby replaces the standby; the replaced session ends. There are two exceptions: a publisher that came as a
//! standby becomes the standby again when another takes over from it, and a live publisher that its standby replaces
//! because it fell silent becomes the standby, in case it returns. A leg never replaces a client that is heard: where a
//! client publishes, nothing need come from another relay.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::eviction::Identity;
use super::liveness::Liveness;
use super::publisher::{Absence, Live, WorkerId};
use super::registry::{Registry, Stream};
use crate::forward::codec::Format;
use crate::name::{SessionId, StreamName};

/// What is known about a client that is about to publish.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    /// Its session.
    pub(crate) session: SessionId,
    /// The formats that it will send.
    pub(crate) formats: Vec<Format>,
    /// Its identity.
    pub(crate) identity: Identity,
    /// It is a standby: it takes over when the live publisher falls silent.
    pub(crate) standby: bool,
    /// It is a leg: its media comes from another relay.
    pub(crate) is_leg: bool,
    /// It is a leg from the node that has the stream, or from one that carries it: the stream is not this node's own.
    pub(crate) is_carried: bool,
}

/// A publisher that has an answer but is not connected yet. Dropping it withdraws it.
#[derive(Debug)]
pub(crate) struct Announcement {
    registry: Registry,
    stream: StreamName,
    announced: Announced,
}

/// A connected publisher's place in the registry. Dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Publication {
    registry: Registry,
    stream: StreamName,
    session: SessionId,
    liveness: Arc<Liveness>,
    /// `None` while it is a standby.
    number: Option<u64>,
}

/// The result of becoming the live publisher.
#[derive(Debug)]
pub(crate) struct Takeover {
    /// The number of the publication: see `Epoch::publisher`.
    pub(crate) number: u64,
    /// Workers with viewers, which must be subscribed at once.
    pub(crate) workers: Vec<WorkerId>,
    /// A replaced publisher, which must be ended.
    pub(crate) replaced: Option<Live>,
    /// The publisher that was live and is now the standby.
    pub(crate) stood_down: Option<Live>,
}

/// The place of a publisher that has just connected.
#[derive(Debug)]
pub(crate) enum Entrance {
    /// The live one.
    Live(Box<Takeover>),
    /// The standby.
    Standby {
        /// The previous standby, which must be ended.
        replaced: Option<Live>,
    },
    /// None, for a leg: a client publishes the stream here, and is heard. The leg must be ended.
    Needless,
}

impl Registry {
    /// Notes that a publisher got an answer, so that viewers that join before its first packet negotiate the formats
    /// that it will send.
    pub(crate) fn announce(&self, stream: &StreamName, announced: Announced) -> Announcement {
        let formats = (announced.session, announced.formats.clone());
        self.streams.entry(stream.clone()).or_default().announced.push(formats);
        Announcement { registry: self.clone(), stream: stream.clone(), announced }
    }
}

impl Announcement {
    /// The publisher is connected: it becomes the live one and replaces an older one, or becomes the standby.
    pub(crate) fn publish(self, worker: WorkerId, now: Instant) -> (Publication, Entrance) {
        let liveness = Arc::new(Liveness::new(now));
        let Announced { session, formats, identity, standby, is_leg, is_carried } = self.announced.clone();
        let (liveness_of, lost) = (liveness.clone(), None);
        let own = Live { session, worker, formats, standby, is_leg, is_carried, liveness: liveness_of, lost, identity };
        let entrance = {
            let mut stream = self.registry.streams.entry(self.stream.clone()).or_default();
            if is_leg && stream.live.as_ref().is_some_and(|live| !live.is_leg && !live.is_silent(now)) {
                Entrance::Needless
            } else if standby && stream.live.is_some() {
                Entrance::Standby { replaced: stream.stand_by(own, now) }
            } else {
                Entrance::Live(Box::new(stream.take_over(own, now)))
            }
        };
        let number = match &entrance {
            Entrance::Live(takeover) => Some(takeover.number),
            Entrance::Standby { .. } | Entrance::Needless => None,
        };
        let publication =
            Publication { registry: self.registry.clone(), stream: self.stream.clone(), session, liveness, number };
        (publication, entrance)
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        let session = self.announced.session;
        self.registry.change(&self.stream, |stream| stream.announced.retain(|(other, _)| *other != session));
    }
}

impl Publication {
    /// Its number among the publications of the stream (see `Epoch::publisher`); `None` while it is a standby.
    pub(crate) fn number(&self) -> Option<u64> {
        self.number
    }

    /// Its session.
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// True while it is the standby.
    pub(crate) fn is_standby(&self) -> bool {
        self.number.is_none()
    }

    /// Sets the formats that it sends, where only its packets showed them.
    pub(crate) fn settle(&self, formats: Vec<Format>) {
        self.registry.change(&self.stream, |stream| {
            let mut own = stream.live.iter_mut().chain(&mut stream.standby);
            if let Some(own) = own.find(|own| own.session == self.session) {
                own.formats = formats;
            }
        });
    }

    /// Sets since when nothing was received from it, or `None` when packets arrive again.
    pub(crate) fn set_lost(&self, lost: Option<Instant>) {
        self.registry.change(&self.stream, |stream| {
            if let Some(own) = stream.live.as_mut().filter(|live| live.session == self.session) {
                own.lost = lost;
            }
        });
    }

    /// Leaves, and records how, to explain later why the stream has no publisher.
    pub(crate) fn leave(self, absence: Absence, now: Instant) {
        self.registry.change(&self.stream, |stream| {
            if stream.live.as_ref().is_some_and(|live| live.session == self.session) {
                stream.left = Some((absence, now));
            }
        });
    }

    /// Notes that packets of it arrived at this time.
    pub(crate) fn beat(&self, received: Instant) {
        self.liveness.beat(received);
    }

    /// Makes a standby the live publisher if that one has left, or has been silent for `after` while the standby was
    /// not.
    pub(crate) fn take_over(&mut self, after: Duration, now: Instant) -> Option<Takeover> {
        let session = self.session;
        let takeover = self.registry.change(&self.stream, |stream| {
            let is_silent = |live: &Live| live.liveness.silence(now) >= after;
            let is_due = stream.live.as_ref().is_none_or(is_silent);
            let own = stream.standby.take_if(|own| own.session == session && is_due && !is_silent(own))?;
            Some(stream.promote(own, now))
        })??;
        self.number = Some(takeover.number);
        Some(takeover)
    }

    /// Notes that another publisher is live and this one its standby.
    pub(crate) fn stand_down(&mut self) {
        self.number = None;
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        self.registry.change(&self.stream, |stream| {
            // A newer publisher may have taken over; only this publisher's own place is cleared.
            stream.live.take_if(|live| live.session == self.session);
            stream.standby.take_if(|standby| standby.session == self.session);
        });
    }
}

impl Stream {
    /// Makes a new publisher the live one.
    fn take_over(&mut self, own: Live, now: Instant) -> Takeover {
        let mut takeover = self.make_live(own);
        match takeover.stood_down.take_if(|before| !before.standby) {
            Some(before) => {
                self.remember_unless_silent(&before, now);
                takeover.replaced = Some(before);
            }
            None => takeover.replaced = takeover.stood_down.clone().and_then(|before| self.stand_by(before, now)),
        }
        takeover
    }

    /// Makes the standby the live publisher, and the silent one its standby.
    fn promote(&mut self, own: Live, now: Instant) -> Takeover {
        let takeover = self.make_live(own);
        if let Some(before) = &takeover.stood_down {
            self.evictions.remember(&before.identity, now);
        }
        self.standby.clone_from(&takeover.stood_down);
        takeover
    }

    /// Makes a publisher the standby; returns the previous standby, which was replaced.
    fn stand_by(&mut self, own: Live, now: Instant) -> Option<Live> {
        let before = self.standby.replace(own)?;
        self.remember_unless_silent(&before, now);
        Some(before)
    }

    fn make_live(&mut self, own: Live) -> Takeover {
        // A thousand publications a second reach the end after half a billion years.
        self.publications = self.publications.saturating_add(1);
        let stood_down = self.live.replace(Live { lost: None, ..own });
        let workers = self.viewers.iter().map(|(worker, _)| *worker).collect();
        Takeover { number: self.publications, workers, replaced: None, stood_down }
    }

    fn remember_unless_silent(&mut self, lost: &Live, now: Instant) {
        if !lost.is_silent(now) && !lost.is_leg {
            self.evictions.remember(&lost.identity, now);
        }
    }
}
