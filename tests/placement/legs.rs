//! The legs between nodes: the placement code of the relay chooses and admits.

use std::time::Duration;

use sluice::cluster::placement::{Asked, HOPS, Own, Refusal, admit, parents};

use super::directory::{id, number, stream};
use super::model::{AGAIN, DETECTION, JOIN, LONGEST, NO_ANSWER, ROUND_TRIPS, UNNOTICED};
use super::world::{Event, World};

/// The leg on which a node pulls the stream.
#[derive(Default)]
pub(crate) struct Leg {
    /// Steps of an earlier search have an earlier number.
    pub(crate) turn: u32,
    pub(crate) parent: Option<usize>,
    /// Whether it gets the stream from nobody, and looks for a parent.
    pub(crate) is_looking: bool,
    tries: u32,
}

pub(crate) enum Step {
    Look,
    /// A request reaches the node at `at` of the list.
    Ask {
        list: Vec<usize>,
        at: usize,
    },
    Up {
        parent: usize,
    },
    /// The parent has not been heard.
    Lost {
        parent: usize,
    },
}

impl World {
    /// Looks for a parent after a pause; what it did before for that is given up.
    pub(crate) fn look_for_parent(&mut self, node: usize, pause: Duration) {
        self.nodes[node].leg.turn += 1;
        let turn = self.nodes[node].leg.turn;
        self.after(pause, Event::Leg { node, turn, step: Step::Look });
    }

    /// A viewer has come.
    pub(crate) fn pull(&mut self, node: usize) {
        let own = &mut self.nodes[node];
        if node != self.origin && own.leg.parent.is_none() && !own.leg.is_looking {
            own.leg.is_looking = true;
            self.look_for_parent(node, Duration::ZERO);
        }
    }

    pub(crate) fn leg_step(&mut self, node: usize, turn: u32, step: Step) {
        let is_current = self.is_alive(node) && self.nodes[node].leg.turn == turn;
        match step {
            Step::Look if is_current => self.look(node),
            Step::Ask { list, at } if is_current => self.asked(node, list, at),
            Step::Up { parent } if is_current => self.up(node, parent),
            // The parent has given a place to a node that does not want it any more.
            Step::Up { parent } if self.nodes[node].leg.parent != Some(parent) => self.leave(node, parent),
            Step::Lost { parent } if self.is_alive(node) && self.nodes[node].leg.parent == Some(parent) => {
                let own = &mut self.nodes[node].leg;
                (own.parent, own.is_looking) = (None, true);
                self.changed(node);
                self.look_for_parent(node, Duration::ZERO);
            }
            _ => {}
        }
    }

    fn own(&self, node: usize) -> Own {
        let hops = self.nodes[node].path.len().checked_sub(1).filter(|hops| *hops > 0);
        // One that has come to be too far away looks for what brings it back.
        let hops = hops.and_then(|hops| u8::try_from(hops).ok()).map(|hops| hops.min(HOPS));
        Own { node: id(node), region: Some(format!("r{}", self.nodes[node].region)), hops }
    }

    fn look(&mut self, node: usize) {
        let own = self.own(node);
        let list = parents(&self.directory.view, &stream(), &own, &mut self.random);
        self.ask(node, list.iter().map(number).collect(), 0);
    }

    /// Sends a request to the next node of the list, or looks again later.
    fn ask(&mut self, node: usize, list: Vec<usize>, at: usize) {
        let Some(asked) = list.get(at).copied() else {
            let tries = self.nodes[node].leg.tries;
            self.nodes[node].leg.tries += 1;
            let pause = LONGEST.min(AGAIN * 2_u32.pow(tries.min(8)));
            let pause = self.within(pause / 2..pause);
            return self.look_for_parent(node, pause);
        };
        let turn = self.nodes[node].leg.turn;
        let arrives = if self.is_alive(asked) { self.way(node, asked) } else { NO_ANSWER };
        self.after(arrives, Event::Leg { node, turn, step: Step::Ask { list, at } });
    }

    fn asked(&mut self, node: usize, mut list: Vec<usize>, at: usize) {
        let parent = list[at];
        if !self.is_alive(parent) {
            return self.ask(node, list, at + 1);
        }
        let own = self.own(node);
        let asked = &self.nodes[parent];
        let children: Vec<_> = asked.children.iter().map(|child| id(*child)).collect();
        let has_noticed = asked.starved.is_none_or(|since| self.now > since + UNNOTICED);
        let is_receiving = asked.has_media || !has_noticed;
        let asked = Asked { path: &asked.path, is_receiving, children: &children };
        match admit(&self.directory.view, &stream(), asked, &own, &mut self.random) {
            Ok(()) => {
                let children = &mut self.nodes[parent].children;
                if !children.contains(&node) {
                    children.push(node);
                }
                self.peaks.legs = self.peaks.legs.max(self.nodes[parent].children.len());
                let joined = self.join_cpu(parent, JOIN);
                let answered = self.way(node, parent) * (2 * ROUND_TRIPS - 1);
                let turn = self.nodes[node].leg.turn;
                self.after(joined + answered, Event::Leg { node, turn, step: Step::Up { parent } });
            }
            Err(refusal) => {
                self.peaks.refused_legs += 1;
                if let Refusal::NoPlace { others } = refusal {
                    let new: Vec<_> = others.iter().map(number).filter(|other| !list[..at].contains(other)).collect();
                    list.splice(at + 1..at + 1, new);
                }
                // The answer comes back, then the next request goes.
                let turn = self.nodes[node].leg.turn;
                let back = self.way(node, parent);
                let Some(next) = list.get(at + 1).copied() else { return self.ask(node, list, at + 1) };
                let arrives = if self.is_alive(next) { self.way(node, next) } else { NO_ANSWER };
                self.after(back + arrives, Event::Leg { node, turn, step: Step::Ask { list, at: at + 1 } });
            }
        }
    }

    fn up(&mut self, node: usize, parent: usize) {
        if !self.is_alive(parent) {
            return self.look_for_parent(node, DETECTION);
        }
        // The second leg is up before the first one is closed.
        if let Some(before) = self.nodes[node].leg.parent.replace(parent).filter(|before| *before != parent) {
            self.leave(node, before);
        }
        let own = &mut self.nodes[node].leg;
        (own.is_looking, own.tries) = (false, 0);
        self.take_path(node, parent);
        if !self.nodes[parent].has_media {
            self.end_media(node);
        }
        let way = self.way(node, parent);
        self.after(way, Event::Media { node });
    }

    fn leave(&mut self, node: usize, parent: usize) {
        self.nodes[parent].children.retain(|other| *other != node);
    }

    fn take_path(&mut self, node: usize, parent: usize) {
        let path: Vec<_> = self.nodes[parent].path.iter().cloned().chain([id(node)]).collect();
        assert!(!path[..path.len() - 1].contains(&id(node)), "a node gets the stream through itself");
        let epoch = self.nodes[parent].epoch;
        if (&path, epoch) == (&self.nodes[node].path, self.nodes[node].epoch) {
            return;
        }
        (self.nodes[node].path, self.nodes[node].epoch) = (path, epoch);
        self.changed(node);
        self.tell_children(node);
    }

    pub(crate) fn tell_children(&mut self, node: usize) {
        for child in self.nodes[node].children.clone() {
            let way = self.way(node, child);
            self.after(way, Event::Told { node: child, by: node });
        }
    }

    pub(crate) fn told(&mut self, node: usize, by: usize) {
        if !self.is_alive(node) || self.nodes[node].leg.parent != Some(by) {
            return;
        }
        self.take_path(node, by);
        if self.nodes[node].path.len() > usize::from(HOPS) + 1 {
            self.look_for_parent(node, Duration::ZERO);
        }
    }

    /// A node gets media from now on, and so do those below it.
    pub(crate) fn begin_media(&mut self, node: usize) {
        if std::mem::replace(&mut self.nodes[node].has_media, true) {
            return;
        }
        self.serve_waiting(node);
        for child in self.nodes[node].children.clone() {
            let way = self.way(node, child);
            self.after(way, Event::Media { node: child });
        }
    }

    /// A node gets no media from now on, nor do those below it.
    pub(crate) fn end_media(&mut self, node: usize) {
        if !std::mem::replace(&mut self.nodes[node].has_media, false) {
            return;
        }
        self.nodes[node].starved = Some(self.now);
        for child in self.nodes[node].children.clone() {
            if self.nodes[child].leg.parent == Some(node) {
                self.end_media(child);
            }
        }
    }
}
