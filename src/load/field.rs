//! All clients of a run, on one thread: dispatches received packets and due timers.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use mio::{Events, Interest, Poll, Token, Waker};

use super::config::Config;
use super::downlink::Downlink;
use super::link::{Buffers, Link};
use super::publisher::{Pace, Publisher};
use super::rtp_stream::Measured;
use super::viewer::{self, Viewer};
use crate::name::Role;
use crate::peer::client::{Client, Track};

/// Viewers that decrypt their packets, where not all do.
const SAMPLE: usize = 3;

/// Maximum time that the thread sleeps, so that conditions on time are checked.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

const WAKER: Token = Token(0);

/// A client with an answer, or the error.
pub(super) type Arrival = Result<Joined>;

/// A client that has its answer and is about to connect.
pub(super) struct Joined {
    pub(super) role: Role,
    pub(super) client: Client,
    pub(super) socket: std::net::UdpSocket,
    pub(super) tracks: Vec<Track>,
    /// When it asked for its session.
    pub(super) asked: Instant,
}

/// The clients and their results.
pub(super) struct Field {
    poll: Poll,
    waker: Arc<Waker>,
    arrivals: Receiver<Arrival>,
    sender: Sender<Arrival>,
    members: Vec<Member>,
    /// When the timer of each client is due, by its place.
    timers: BTreeSet<(Instant, usize)>,
    due: Vec<Option<Instant>>,
    buffers: Buffers,
    pace: Pace,
    failures: Vec<anyhow::Error>,
    measures_links: bool,
    /// As [`Config::capacities`].
    capacities: Vec<Option<u64>>,
}

enum Member {
    Publisher(Box<Publisher>),
    Viewer(Box<Viewer>),
}

impl Member {
    fn link(&mut self) -> &mut Link {
        match self {
            Self::Publisher(publisher) => &mut publisher.link,
            Self::Viewer(viewer) => &mut viewer.link,
        }
    }

    fn ended(&self) -> Option<&String> {
        match self {
            Self::Publisher(publisher) => publisher.ended.as_ref(),
            Self::Viewer(viewer) => viewer.ended.as_ref(),
        }
    }
}

impl Field {
    pub(super) fn new(config: &Config) -> Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, arrivals) = channel();
        let pace = Pace {
            interval: config.interval(),
            burst: config.burst,
            payload: usize::from(config.payload),
            layers: config.layers,
        };
        Ok(Self {
            poll,
            waker,
            arrivals,
            sender,
            members: Vec::new(),
            timers: BTreeSet::new(),
            due: Vec::new(),
            buffers: Buffers::default(),
            pace,
            failures: Vec::new(),
            measures_links: config.measures_links(),
            capacities: config.capacities(),
        })
    }

    /// Where new clients are sent: the channel, and the waker to call afterwards.
    pub(super) fn entrance(&self) -> (Sender<Arrival>, Arc<Waker>) {
        (self.sender.clone(), self.waker.clone())
    }

    /// Runs all clients until `done`, for at most `patience`.
    pub(super) fn run(&mut self, patience: Duration, mut done: impl FnMut(&Self) -> bool) {
        let until = Instant::now() + patience;
        let mut events = Events::with_capacity(1024);
        loop {
            let now = Instant::now();
            if now >= until || done(self) {
                return;
            }
            let next = self.timers.first().map_or(until, |(due, _)| (*due).min(until));
            let sleep = next.saturating_duration_since(now).min(LONGEST_SLEEP);
            if let Err(error) = self.poll.poll(&mut events, Some(sleep))
                && error.kind() != io::ErrorKind::Interrupted
            {
                self.failures.push(anyhow!(error).context("cannot wait for packets"));
                return;
            }
            let now = Instant::now();
            // 1. Send bursts that are due: received packets can wait in their sockets, and the kernel has stamped them.
            self.handle_timeouts(now);
            // 2. Receive.
            for event in &events {
                match event.token() {
                    WAKER => self.admit(now),
                    Token(token) => self.receive(token - 1, Instant::now()),
                }
            }
        }
    }

    /// Starts all publishers, spread over one interval.
    pub(super) fn publish(&mut self) {
        let now = Instant::now();
        let count = self.publishers().count().max(1) as u32;
        let step = self.pace.interval / count;
        let mut first = now;
        for place in 0..self.members.len() {
            if let Member::Publisher(publisher) = &mut self.members[place] {
                publisher.start(first);
                first += step;
                self.arm(place);
            }
        }
    }

    /// Stops all publishers until [`Self::publish`].
    pub(super) fn pause(&mut self) {
        for member in &mut self.members {
            if let Member::Publisher(publisher) = member {
                publisher.pause();
            }
        }
    }

    /// Starts counting.
    pub(super) fn begin_counting(&mut self) {
        for member in &mut self.members {
            match member {
                Member::Publisher(publisher) => publisher.begin_counting(),
                Member::Viewer(viewer) => viewer.begin_counting(),
            }
        }
    }

    /// True once every viewer that ever received media has received everything published since counting began.
    pub(super) fn has_everything(&self) -> bool {
        let mut publishers = self.publishers().peekable();
        let Some(first) = publishers.peek() else { return false };
        let sent = first.sent;
        publishers.all(|publisher| publisher.sent == sent)
            && self.watching().all(|viewer| viewer.line.counted.packets >= sent)
    }

    pub(super) fn publishers(&self) -> impl Iterator<Item = &Publisher> {
        self.members.iter().filter_map(|member| match member {
            Member::Publisher(publisher) => Some(&**publisher),
            Member::Viewer(_) => None,
        })
    }

    pub(super) fn viewers(&self) -> impl Iterator<Item = &Viewer> {
        self.members.iter().filter_map(|member| match member {
            Member::Viewer(viewer) => Some(&**viewer),
            Member::Publisher(_) => None,
        })
    }

    /// Viewers that have received a packet.
    pub(super) fn watching(&self) -> impl Iterator<Item = &Viewer> {
        self.viewers().filter(|viewer| viewer.line.began.is_some())
    }

    /// What the decrypting viewers measured.
    pub(super) fn samples(&self) -> impl Iterator<Item = &Measured> {
        self.viewers().filter_map(|viewer| viewer.line.opened())
    }

    pub(super) fn connected_publishers(&self) -> usize {
        self.publishers().filter(|publisher| publisher.is_connected()).count()
    }

    /// How many viewers have received a packet.
    pub(super) fn viewers_with_media(&self) -> usize {
        self.watching().count()
    }

    /// Clients that did not get a session.
    pub(super) fn failed(&self) -> usize {
        self.failures.len()
    }

    /// The first error.
    pub(super) fn failure(&self) -> Option<&anyhow::Error> {
        self.failures.first()
    }

    /// The first error, including sessions that ended early.
    pub(super) fn take_failure(&mut self) -> Option<anyhow::Error> {
        if !self.failures.is_empty() {
            return Some(self.failures.swap_remove(0));
        }
        self.members.iter().find_map(Member::ended).map(|reason| anyhow!("{reason}"))
    }

    /// The clients' ports.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        self.members.iter().filter_map(|member| match member {
            Member::Publisher(publisher) => publisher.link.port(),
            Member::Viewer(viewer) => viewer.link.port(),
        })
    }

    fn admit(&mut self, now: Instant) {
        while let Ok(arrival) = self.arrivals.try_recv() {
            if let Err(error) = arrival.and_then(|joined| self.add(joined, now)) {
                self.failures.push(error);
            }
        }
    }

    fn add(&mut self, joined: Joined, now: Instant) -> Result<()> {
        let Joined { role, client, socket, tracks, asked } = joined;
        let mut link = Link::new(client, socket)?;
        let place = self.members.len();
        self.poll.registry().register(&mut link.socket, Token(place + 1), Interest::READABLE)?;
        let member = match role {
            Role::Publisher => {
                let track = tracks.into_iter().next().ok_or_else(|| anyhow!("the relay accepted no media section"))?;
                Member::Publisher(Box::new(Publisher::new(link, &track, self.pace)))
            }
            Role::Viewer => {
                let number = self.viewers().count();
                let capacity = self.capacities[number % self.capacities.len()];
                let config = viewer::Config {
                    asked,
                    is_sample: self.measures_links || number < SAMPLE,
                    measures_link: self.measures_links,
                    downlink: capacity.map(|capacity| Downlink::new(capacity, now)),
                };
                Member::Viewer(Box::new(Viewer::new(link, tracks.first(), config)))
            }
        };
        self.members.push(member);
        self.due.push(None);
        self.settle(place, now);
        Ok(())
    }

    fn receive(&mut self, place: usize, now: Instant) {
        let buffers = &mut self.buffers;
        match &mut self.members[place] {
            Member::Publisher(publisher) => _ = publisher.link.receive(buffers, now, |_, _| {}),
            Member::Viewer(viewer) => {
                if !viewer.receive(buffers, now) {
                    return;
                }
            }
        }
        self.settle(place, now);
    }

    fn handle_timeouts(&mut self, now: Instant) {
        while let Some((due, place)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
            self.timers.remove(&(due, place));
            self.due[place] = None;
            match &mut self.members[place] {
                Member::Publisher(publisher) => publisher.handle_timeout(now),
                Member::Viewer(viewer) => viewer.handle_timeout(now),
            }
            let client = &mut self.members[place].link().client;
            if client.poll_timeout().is_some_and(|due| due <= now) {
                client.handle_timeout(now);
            }
            self.settle(place, now);
        }
    }

    /// Sends what a client has queued, handles its events, and sets its timer.
    fn settle(&mut self, place: usize, now: Instant) {
        self.members[place].link().transmit();
        match &mut self.members[place] {
            Member::Publisher(publisher) => publisher.take_events(),
            Member::Viewer(viewer) => viewer.take_events(now),
        }
        self.arm(place);
    }

    fn arm(&mut self, place: usize) {
        let own = match &self.members[place] {
            Member::Publisher(publisher) => publisher.poll_timeout(),
            Member::Viewer(viewer) => viewer.poll_timeout(),
        };
        let due = self.members[place].link().client.poll_timeout().into_iter().chain(own).min();
        let armed = std::mem::replace(&mut self.due[place], due);
        if armed == due {
            return;
        }
        if let Some(armed) = armed {
            self.timers.remove(&(armed, place));
        }
        if let Some(due) = due {
            self.timers.insert((due, place));
        }
    }
}
