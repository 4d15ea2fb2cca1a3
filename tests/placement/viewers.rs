//! Viewers that join by the balancer of their region, and come back.

use std::time::Duration;

use rand::RngExt as _;

use super::model::{
    BALANCER, BURST, DETECTION, JOIN, NO_BALANCER, PAGE, PENDING, REFUSED, REGIONS, REQUESTS, ROUND_TRIPS, SILENCE,
    UNHEALTHY, VIEWER_FAR, VIEWER_NEAR, VIEWERS,
};
use super::world::{Event, World};

pub(crate) struct Viewer {
    region: usize,
    /// Steps of an earlier session have an earlier number.
    turn: u32,
    node: Option<usize>,
    pub(crate) has_frame: bool,
    /// Since when it wants a frame.
    pub(crate) since: Duration,
}

pub(crate) enum Step {
    Post,
    /// DTLS has completed.
    Connected,
}

/// Tokens for requests, as of a moment.
#[derive(Default)]
pub(crate) struct Bucket {
    used: f64,
    at: Duration,
}

impl Bucket {
    fn take(&mut self, now: Duration) -> bool {
        self.used = (self.used - (now - self.at).as_secs_f64() * REQUESTS).max(0.0) + 1.0;
        self.at = now;
        let is_taken = self.used <= BURST;
        if !is_taken {
            self.used -= 1.0;
        }
        is_taken
    }
}

impl Viewer {
    pub(crate) fn new(number: usize) -> Self {
        Self { region: number % REGIONS, turn: 0, node: None, has_frame: false, since: Duration::ZERO }
    }
}

impl World {
    pub(crate) fn viewer_step(&mut self, viewer: usize, turn: u32, step: Step) {
        if self.viewers[viewer].turn != turn {
            return;
        }
        match step {
            Step::Post => self.post(viewer),
            Step::Connected => self.connected(viewer),
        }
    }

    fn post_after(&mut self, viewer: usize, pause: Duration) {
        let turn = self.viewers[viewer].turn;
        self.after(pause, Event::Viewer { viewer, turn, step: Step::Post });
    }

    fn post(&mut self, viewer: usize) {
        let region = self.viewers[viewer].region;
        let Some(node) = self.balance(region) else {
            // Nothing of the region is left: the name leads elsewhere.
            self.viewers[viewer].region = (region + self.random.random_range(1..REGIONS)) % REGIONS;
            return self.post_after(viewer, NO_BALANCER);
        };
        if !self.is_alive(node) {
            return self.post_after(viewer, BALANCER);
        }
        let now = self.now;
        let own = &mut self.nodes[node];
        let has_place = own.sessions < VIEWERS && own.pending < PENDING;
        if !own.tokens.take(now) || !has_place {
            self.peaks.refused_viewers += 1;
            let pause = self.within(REFUSED);
            return self.post_after(viewer, pause);
        }
        own.sessions += 1;
        own.pending += 1;
        self.peaks.sessions = self.peaks.sessions.max(own.sessions);
        self.peaks.pending = self.peaks.pending.max(own.pending);
        self.viewers[viewer].node = Some(node);
        let answered = self.join_cpu(node, JOIN);
        let round_trip = if self.nodes[node].region == viewer % REGIONS { VIEWER_NEAR } else { VIEWER_FAR };
        let turn = self.viewers[viewer].turn;
        self.after(answered + round_trip * ROUND_TRIPS, Event::Viewer { viewer, turn, step: Step::Connected });
        self.pull(node);
    }

    /// A node of a region, of those that its balancer takes for living ones; none if all have gone.
    fn balance(&mut self, region: usize) -> Option<usize> {
        let of_region = || (region..self.nodes.len()).step_by(REGIONS);
        of_region().find(|node| self.is_alive(*node))?;
        let seems = |node: &usize| self.nodes[*node].died.is_none_or(|died| self.now < died + UNHEALTHY);
        let seeming: Vec<_> = of_region().filter(seems).collect();
        Some(seeming[self.random.random_range(0..seeming.len())])
    }

    /// Does work on the one core of a node that does it, after what it has to do already.
    pub(crate) fn join_cpu(&mut self, node: usize, work: Duration) -> Duration {
        let own = &mut self.nodes[node];
        own.idle_at = own.idle_at.max(self.now) + work;
        own.busy += work;
        let done = own.idle_at - self.now;
        self.peaks.queue = self.peaks.queue.max(done);
        done
    }

    fn connected(&mut self, viewer: usize) {
        let Some(node) = self.viewers[viewer].node else { return };
        self.nodes[node].pending -= 1;
        if self.nodes[node].has_media {
            self.give_frame(viewer);
        } else {
            self.nodes[node].waiting.push(viewer);
        }
    }

    fn give_frame(&mut self, viewer: usize) {
        let own = &mut self.viewers[viewer];
        own.has_frame = true;
        self.samples.push((self.now - own.since, 1));
    }

    /// The node gets media: viewers that it had before have waited since the loss was detected, others since they came.
    pub(crate) fn serve_waiting(&mut self, node: usize) {
        let waiting = std::mem::take(&mut self.nodes[node].waiting);
        let own = &mut self.nodes[node];
        let served = own.sessions - own.pending - waiting.len() - own.ghosts;
        if let Some(since) = own.starved.take().filter(|_| served > 0) {
            self.samples.push((self.now.saturating_sub(since + DETECTION), served));
        }
        waiting.into_iter().for_each(|viewer| self.give_frame(viewer));
    }

    /// All viewers notice at once that nothing comes, although their nodes live.
    pub(crate) fn cut_all_viewers(&mut self) {
        for node in 0..self.nodes.len() {
            self.cut_viewers_of(node);
        }
    }

    /// The viewers of a node notice that nothing comes, and come back.
    pub(crate) fn cut_viewers_of(&mut self, node: usize) {
        for viewer in 0..self.viewers.len() {
            if self.viewers[viewer].node != Some(node) {
                continue;
            }
            let noticed = self.detected();
            let own = &mut self.viewers[viewer];
            own.turn += 1;
            own.node = None;
            own.has_frame = false;
            own.since = self.now + noticed;
            let pause = self.within(PAGE);
            self.post_after(viewer, noticed + pause);
        }
        let own = &mut self.nodes[node];
        own.waiting.clear();
        // A living node learns of nobody's end, and counts the sessions until they have been silent for long.
        let ghosts = own.sessions - own.ghosts;
        own.pending = 0;
        own.ghosts = own.sessions;
        self.after(SILENCE, Event::Silent { node, ghosts });
    }
}
