//! The cluster, its clock, and what happens to it.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sluice::cluster::NodeId;

use super::directory::{Directory, id};
use super::model::{CORES, DETECTION, FAR, HEARTBEAT, LEASE, LOOK, NEAR, PACKET, PACKETS, PAUSE, REGIONS, WRITTEN};
use super::report::{Peaks, Row};
use super::{legs, viewers};

#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    pub(crate) viewers: usize,
}

pub(crate) struct World {
    pub(crate) now: Duration,
    queue: BinaryHeap<Reverse<Timed>>,
    sequence: u64,
    pub(crate) random: StdRng,
    pub(crate) directory: Directory,
    pub(crate) nodes: Vec<Node>,
    pub(crate) viewers: Vec<viewers::Viewer>,
    pub(crate) origin: usize,
    epoch: u64,
    /// The times until viewers had a frame, and how many had it then.
    pub(crate) samples: Vec<(Duration, usize)>,
    pub(crate) peaks: Peaks,
}

#[derive(Default)]
pub(crate) struct Node {
    pub(crate) region: usize,
    pub(crate) died: Option<Duration>,
    /// When its core for joins is idle again, and how long it was busy since the last heartbeat.
    pub(crate) idle_at: Duration,
    pub(crate) busy: Duration,
    /// Sessions, those of them that are not connected, and connected ones that wait for a frame.
    pub(crate) sessions: usize,
    pub(crate) pending: usize,
    pub(crate) waiting: Vec<usize>,
    /// Sessions from which nothing comes any more.
    pub(crate) ghosts: usize,
    pub(crate) tokens: viewers::Bucket,
    pub(crate) has_media: bool,
    /// Since when it has none.
    pub(crate) starved: Option<Duration>,
    pub(crate) leg: legs::Leg,
    pub(crate) children: Vec<usize>,
    /// From the origin to it; empty if it has not had the stream.
    pub(crate) path: Vec<NodeId>,
    pub(crate) epoch: u64,
    written: Duration,
    is_writing: bool,
}

pub(crate) enum Event {
    Viewer {
        viewer: usize,
        turn: u32,
        step: viewers::Step,
    },
    Leg {
        node: usize,
        turn: u32,
        step: legs::Step,
    },
    /// Media comes from the parent.
    Media {
        node: usize,
    },
    /// The parent says its path.
    Told {
        node: usize,
        by: usize,
    },
    /// A child has not been heard.
    ChildLost {
        node: usize,
        child: usize,
    },
    Write {
        node: usize,
    },
    Read {
        node: usize,
        carried: Option<(u64, usize, usize)>,
    },
    Heartbeat {
        node: usize,
    },
    NodeRead {
        node: usize,
        load: f32,
        legs: usize,
    },
    Expired {
        node: usize,
    },
    /// Sessions have been silent for long.
    Silent {
        node: usize,
        ghosts: usize,
    },
    Published {
        node: usize,
    },
    Claimed,
}

struct Timed {
    at: Duration,
    sequence: u64,
    event: Event,
}

impl World {
    /// Nodes that know each other, and a publisher on the first one.
    pub(crate) fn new(size: Size, seed: u64) -> Self {
        let nodes = (0..size.nodes).map(|node| Node { region: node % REGIONS, ..Node::default() }).collect();
        let viewers = (0..size.viewers).map(viewers::Viewer::new).collect();
        let mut world = Self {
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            sequence: 0,
            random: StdRng::seed_from_u64(seed),
            directory: Directory::default(),
            nodes,
            viewers,
            origin: 0,
            epoch: 0,
            samples: Vec::new(),
            peaks: Peaks::default(),
        };
        for node in 0..size.nodes {
            world.directory.node(node, node % REGIONS, 0.0, 0);
            let first = world.random.random_range(Duration::ZERO..HEARTBEAT);
            world.after(first, Event::Heartbeat { node });
        }
        world.publish(0);
        world.claim();
        world
    }

    pub(crate) fn join_within(&mut self, span: Duration) {
        for viewer in 0..self.viewers.len() {
            let at = self.random.random_range(Duration::ZERO..span);
            self.viewers[viewer].since = at;
            self.after(at, Event::Viewer { viewer, turn: 0, step: viewers::Step::Post });
        }
    }

    pub(crate) fn run_until(&mut self, end: Duration) {
        while self.queue.peek().is_some_and(|Reverse(next)| next.at <= end) {
            let Some(Reverse(Timed { at, event, .. })) = self.queue.pop() else { return };
            self.now = at;
            self.handle(event);
        }
        self.now = end;
    }

    pub(crate) fn after(&mut self, pause: Duration, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse(Timed { at: self.now + pause, sequence: self.sequence, event }));
    }

    pub(crate) fn within(&mut self, range: Range<Duration>) -> Duration {
        self.random.random_range(range)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Viewer { viewer, turn, step } => self.viewer_step(viewer, turn, step),
            Event::Leg { node, turn, step } => self.leg_step(node, turn, step),
            Event::Media { node } => {
                let parent = self.nodes[node].leg.parent;
                if self.is_alive(node) && parent.is_some_and(|parent| self.nodes[parent].has_media) {
                    self.begin_media(node);
                }
            }
            Event::Told { node, by } => self.told(node, by),
            Event::ChildLost { node, child } => self.nodes[node].children.retain(|other| *other != child),
            Event::Write { node } => self.write(node),
            Event::Read { node, carried } => self.directory.carries(node, carried),
            Event::Heartbeat { node } => self.heartbeat(node),
            Event::NodeRead { node, load, legs } => {
                if self.is_alive(node) {
                    self.directory.node(node, self.nodes[node].region, load, legs);
                }
            }
            Event::Expired { node } => self.directory.expire(node),
            Event::Silent { node, ghosts } => {
                self.nodes[node].sessions -= ghosts;
                self.nodes[node].ghosts -= ghosts;
            }
            Event::Published { node } => {
                self.publish(node);
                let read = self.within(WRITTEN);
                self.after(read, Event::Claimed);
            }
            Event::Claimed => self.claim(),
        }
    }

    pub(crate) fn is_alive(&self, node: usize) -> bool {
        self.nodes[node].died.is_none()
    }

    /// One way between two nodes.
    pub(crate) fn way(&self, one: usize, other: usize) -> Duration {
        if self.nodes[one].region == self.nodes[other].region { NEAR } else { FAR }
    }

    fn publish(&mut self, node: usize) {
        self.epoch += 1;
        self.origin = node;
        let epoch = self.epoch;
        if let Some(parent) = self.nodes[node].leg.parent.take() {
            self.nodes[parent].children.retain(|other| *other != node);
        }
        let own = &mut self.nodes[node];
        own.leg.turn += 1;
        own.leg.is_looking = false;
        own.path = vec![id(node)];
        own.epoch = epoch;
        self.begin_media(node);
        self.tell_children(node);
        self.changed(node);
    }

    /// All nodes read that the stream has another origin: those that get it from nobody look for a parent at once.
    fn claim(&mut self) {
        self.directory.claim(self.origin, self.epoch);
        for node in 0..self.nodes.len() {
            if self.is_alive(node) && node != self.origin && self.nodes[node].leg.is_looking {
                self.look_for_parent(node, Duration::ZERO);
            }
        }
    }

    /// What the node pulls has changed: it is written, at most once a second.
    pub(crate) fn changed(&mut self, node: usize) {
        if !std::mem::replace(&mut self.nodes[node].is_writing, true) {
            let due = (self.nodes[node].written + PAUSE).saturating_sub(self.now);
            self.after(due, Event::Write { node });
        }
    }

    fn write(&mut self, node: usize) {
        let own = &mut self.nodes[node];
        (own.is_writing, own.written) = (false, self.now);
        let carried = own.leg.parent.map(|parent| (own.epoch, own.path.len().saturating_sub(1), parent));
        if self.is_alive(node) {
            let read = self.within(WRITTEN);
            self.after(read, Event::Read { node, carried });
        }
    }

    fn heartbeat(&mut self, node: usize) {
        if !self.is_alive(node) {
            return;
        }
        let own = &mut self.nodes[node];
        let receivers = (own.sessions - own.ghosts + own.children.len()) as u32;
        let sending = PACKET.as_secs_f32() * (receivers * PACKETS) as f32;
        let joins = std::mem::take(&mut own.busy).as_secs_f32() / HEARTBEAT.as_secs_f32();
        let (load, legs) = (((sending + joins) / CORES).min(1.0), own.children.len());
        self.peaks.load = self.peaks.load.max(load);
        let read = self.within(WRITTEN);
        self.after(read, Event::NodeRead { node, load, legs });
        self.after(HEARTBEAT, Event::Heartbeat { node });
    }

    pub(crate) fn lose_region(&mut self, region: usize) {
        let lost: Vec<_> = (0..self.nodes.len()).filter(|node| self.nodes[*node].region == region).collect();
        lost.into_iter().for_each(|node| self.kill(node));
    }

    pub(crate) fn lose_middle_nodes(&mut self) {
        let has_children = |node: &usize| *node != self.origin && !self.nodes[*node].children.is_empty();
        let middle: Vec<_> = (0..self.nodes.len()).filter(has_children).collect();
        middle.into_iter().step_by(2).for_each(|node| self.kill(node));
    }

    pub(crate) fn lose_origin(&mut self) {
        self.kill(self.origin);
        let others: Vec<_> = (0..self.nodes.len()).filter(|node| self.is_alive(*node)).collect();
        let node = others[self.random.random_range(0..others.len())];
        self.after(Duration::from_secs(1), Event::Published { node });
    }

    fn kill(&mut self, node: usize) {
        self.end_media(node);
        self.nodes[node].died = Some(self.now);
        let expired = self.within(LEASE - HEARTBEAT..LEASE);
        self.after(expired, Event::Expired { node });
        for child in std::mem::take(&mut self.nodes[node].children) {
            let noticed = self.detected();
            let turn = self.nodes[child].leg.turn;
            self.after(noticed, Event::Leg { node: child, turn, step: legs::Step::Lost { parent: node } });
        }
        if let Some(parent) = self.nodes[node].leg.parent {
            let noticed = self.detected();
            self.after(noticed, Event::ChildLost { node: parent, child: node });
        }
        self.cut_viewers_of(node);
    }

    /// How long it takes to notice that the other side is gone.
    pub(crate) fn detected(&mut self) -> Duration {
        DETECTION + self.within(Duration::ZERO..LOOK)
    }

    pub(crate) fn forget_samples(&mut self) {
        self.samples.clear();
        self.peaks = Peaks::default();
        self.peaks.legs = self.nodes.iter().map(|node| node.children.len()).max().unwrap_or_default();
    }

    pub(crate) fn report(&mut self, what: &'static str) -> Row {
        let living = || self.nodes.iter().filter(|node| node.died.is_none() && node.has_media);
        let depth = living().map(|node| node.path.len() - 1).max().unwrap_or_default();
        let missing = self.viewers.iter().filter(|viewer| !viewer.has_frame).count();
        let starved = self.nodes.iter().filter(|node| node.died.is_none() && !node.has_media);
        let starved: usize = starved.map(|node| node.sessions - node.pending - node.waiting.len() - node.ghosts).sum();
        Row::new(what, std::mem::take(&mut self.samples), depth, missing + starved, self.peaks)
    }
}

impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Timed {}

impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timed {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}
