//! One session on its worker: how far it has come, and the facts for its last log line.

use std::sync::Arc;
use std::time::Instant;

use crate::bwe::Tally;
use crate::five_tuple::FiveTuple;
use crate::ice::Credentials;
use crate::metrics::{Phase, SessionState};
use crate::name::{Role, SessionId, StreamName};
use crate::peer::Peer;
use crate::sdp::Negotiated;
use crate::session::quota::Slot;
use crate::session::steering::{Steered, Steering};
use crate::session::{Network, SessionRecord};
use crate::srtp::SrtpProfile;
use crate::stream::{Announcement, WorkerId};
use crate::worker::publishing::publisher::Publisher;
use crate::worker::stats::counters::Counters;
use crate::worker::stats::stream_share::Share;
use crate::worker::viewing::viewer::Viewer;

/// A session that a worker owns.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) role: Role,
    pub(crate) stream: StreamName,
    pub(crate) local: Credentials,
    pub(crate) negotiated: Negotiated,
    /// Built when the first valid check arrives.
    pub(crate) peer: Option<Peer>,
    pub(crate) state: State,
    /// Where its packets go now.
    pub(crate) path: Option<FiveTuple>,
    /// Set if the kernel would bring its packets to another worker.
    pub(crate) steered: Option<Steered>,
    pub(crate) facts: SessionFacts,
    /// What HTTP shows of it.
    pub(crate) record: Arc<SessionRecord>,
    /// Its slot among the sessions that the relay accepts.
    pub(crate) slot: Slot,
    /// Its share in the metrics of its stream, once it is connected.
    pub(crate) share: Option<Share>,
    /// When its round-trip time was last measured.
    pub(crate) probed: Option<Instant>,
    /// The port of its own socket, if the relay dials.
    pub(crate) own_port: Option<u16>,
}

/// How far a session has come.
pub(crate) enum State {
    /// DTLS has not completed; a publisher is announced, a viewer is not in the registry yet.
    Connecting(Option<Announcement>),
    /// Its packets are opened and forwarded.
    Publishing(Box<Publisher>),
    /// It is sent the packets of the stream's feed.
    Watching(Box<Viewer>),
}

/// What happened to a session, for its last log line.
#[derive(Debug)]
pub(crate) struct SessionFacts {
    pub(crate) created: Instant,
    pub(crate) opened: Option<Instant>,
    pub(crate) connected: Option<Instant>,
    pub(crate) first_media: Option<Instant>,
    pub(crate) first_frame: Option<Instant>,
    /// What a viewer's network made the relay do until now.
    pub(crate) network: Network,
    pub(crate) profile: Option<SrtpProfile>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) asked_again: u64,
    pub(crate) keyframes_asked: u64,
    pub(crate) keyframes_answered: u64,
    pub(crate) failure: Option<String>,
}

impl SessionFacts {
    /// The facts of a session that was created at that moment.
    pub(super) fn new(created: Instant) -> Self {
        Self {
            created,
            opened: None,
            connected: None,
            first_media: None,
            first_frame: None,
            network: Network::default(),
            profile: None,
            packets: 0,
            bytes: 0,
            asked_again: 0,
            keyframes_asked: 0,
            keyframes_answered: 0,
            failure: None,
        }
    }

    /// Adds what was counted of a viewer's bandwidth.
    pub(super) fn note_bandwidth(&mut self, tally: &Tally) {
        self.network.lowered += u64::from(tally.lowered);
        self.network.probes_passed += u64::from(tally.probes_passed);
        self.network.probes_failed += u64::from(tally.probes_failed);
        self.network.padding += tally.padding;
    }
}

impl State {
    /// The publisher, if it is one that is connected.
    pub(crate) fn publisher_mut(&mut self) -> Option<&mut Publisher> {
        match self {
            Self::Publishing(publisher) => Some(publisher),
            Self::Connecting(_) | Self::Watching(_) => None,
        }
    }

    /// The viewer, if it is one that is connected.
    pub(crate) fn viewer_mut(&mut self) -> Option<&mut Viewer> {
        match self {
            Self::Watching(viewer) => Some(viewer),
            Self::Connecting(_) | Self::Publishing(_) => None,
        }
    }

    /// The label of the sessions gauge.
    pub(crate) fn label(&self) -> SessionState {
        match self {
            Self::Connecting(_) => SessionState::Connecting,
            Self::Publishing(_) | Self::Watching(_) => SessionState::Connected,
        }
    }
}

impl Session {
    /// The earliest moment at which it needs the worker.
    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        let peer = self.peer.as_mut().and_then(Peer::poll_timeout);
        let role = match &self.state {
            State::Connecting(_) => None,
            State::Publishing(publisher) => publisher.poll_timeout(),
            State::Watching(viewer) => viewer.poll_timeout(),
        };
        role.into_iter().chain(peer).min()
    }

    /// Lists the client's address for the kernel, so that its next datagrams reach this worker; true if that is a
    /// change.
    pub(crate) fn steer(&mut self, path: FiveTuple, worker: WorkerId, steering: &Steering) -> bool {
        if self.path != Some(path) || self.steered.as_ref().is_some_and(|steered| steered.is_for(path.remote)) {
            return false;
        }
        // The old entry goes first, because the list may be full.
        self.steered = None;
        self.steered = steering.list(path.remote, worker);
        self.steered.is_some()
    }

    /// Notes the first media packet in or out.
    pub(super) fn note_first_media(&mut self, counters: &Counters, now: Instant) {
        if self.facts.first_media.is_none() {
            self.facts.first_media = Some(now);
            let since = self.facts.connected.unwrap_or(self.facts.created);
            counters.observe_setup(Phase::FirstMedia, now.saturating_duration_since(since));
        }
    }

    /// Notes the first packet and the first video packet that left to a viewer.
    pub(super) fn note_sent(&mut self, has_video: bool, counters: &Counters, now: Instant) {
        self.note_first_media(counters, now);
        if has_video && self.facts.first_frame.is_none() {
            self.facts.first_frame = Some(now);
            counters.observe_first_frame(now.saturating_duration_since(self.facts.created));
        }
    }
}
