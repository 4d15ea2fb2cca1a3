//! One session at the demultiplexer: its ICE agent, its DTLS handshake, and its limits in time.

use std::time::{Duration, Instant};

use super::demultiplexed::Over;
use crate::dtls::handshake::{Handshake, PathsTaken};
use crate::five_tuple::FiveTuple;
use crate::ice::Admission;
use crate::ice::agent::Agent;

/// From admission to a completed DTLS handshake.
const SET_UP: Duration = Duration::from_secs(10);

/// What a completed DTLS handshake proves.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum ProvenByDtls {
    /// All of the handshake went over this path: the client receives there, and media may begin.
    Path(FiveTuple),
    /// The handshake went over several paths, so that it proves none of them. A check of ours must prove the latest.
    Session {
        /// The path of the client's last datagram.
        latest: FiveTuple,
    },
    /// Another session has claimed the path of the handshake: media waits until a check of the client has come.
    Nothing,
}

enum Phase {
    Handshaking { until: Instant },
    Connected,
    Over,
}

/// One session.
pub(crate) struct Session {
    phase: Phase,
    pub(crate) agent: Agent,
    pub(crate) handshake: Handshake,
    /// Datagrams of it that were dropped.
    pub(crate) dropped: u64,
    /// True while the owner waits for [`DemuxEvent::Heard`](super::DemuxEvent::Heard).
    pub(crate) reports_when_heard: bool,
    /// When the demultiplexer's timer looks at this session next.
    pub(crate) armed: Option<Instant>,
}

impl Session {
    /// A session from which nothing has arrived yet.
    pub(crate) fn new(admission: Admission, now: Instant) -> Session {
        Session {
            phase: Phase::Handshaking { until: now + SET_UP },
            agent: Agent::new(admission, now),
            handshake: Handshake::new(),
            dropped: 0,
            reports_when_heard: false,
            armed: None,
        }
    }

    /// Whether DTLS has completed.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected)
    }

    /// Whether nothing more is taken from it or sent for it.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Stops everything until the owner removes it.
    pub(crate) fn end(&mut self) {
        self.phase = Phase::Over;
    }

    /// Where media goes; before DTLS has completed, where the handshake goes.
    pub(crate) fn path(&self) -> Option<FiveTuple> {
        match self.phase {
            Phase::Handshaking { .. } => self.handshake_path(),
            Phase::Connected => self.agent.selected_path(),
            Phase::Over => None,
        }
    }

    /// Where DTLS goes: over the selected path, else over the one that it came last by, else over the first valid one.
    pub(crate) fn handshake_path(&self) -> Option<FiveTuple> {
        let last = match self.handshake.paths_taken() {
            PathsTaken::None => None,
            PathsTaken::One(path) | PathsTaken::Several { latest: path } => Some(path),
        };
        self.agent.selected_path().or(last).or_else(|| self.agent.first_claimed())
    }

    /// DTLS has completed: what that proves.
    pub(crate) fn connect(&mut self, now: Instant) -> ProvenByDtls {
        self.phase = Phase::Connected;
        self.handshake.connect();
        self.agent.connect(now);
        match self.handshake.paths_taken() {
            PathsTaken::One(path) if self.agent.select(path, now) => ProvenByDtls::Path(path),
            PathsTaken::Several { latest } => ProvenByDtls::Session { latest },
            PathsTaken::One(_) | PathsTaken::None => ProvenByDtls::Nothing,
        }
    }

    /// SRTP or SRTCP from `path` has passed its authentication. True if the owner waits for that.
    pub(crate) fn authenticated(&mut self, path: FiveTuple, now: Instant) -> bool {
        self.handshake.settle();
        self.agent.authenticated(path, now) && self.take_awaited()
    }

    /// Whether the owner waits for the session to be heard, once.
    pub(crate) fn take_awaited(&mut self) -> bool {
        std::mem::take(&mut self.reports_when_heard)
    }

    /// When it was last heard on the selected path.
    pub(crate) fn selected_heard(&self) -> Option<Instant> {
        self.agent.selected_heard().filter(|_| self.is_connected())
    }

    /// Whether its time is up.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Over> {
        match self.phase {
            Phase::Handshaking { until } if now >= until => Some(Over::NeverConnected),
            Phase::Connected if now >= self.agent.consent_until() => Some(Over::Silent),
            _ => None,
        }
    }

    /// When anything of this session is due next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let limit = match self.phase {
            Phase::Handshaking { until } => until,
            Phase::Connected => self.agent.consent_until(),
            Phase::Over => return None,
        };
        self.agent.poll_timeout().into_iter().chain(self.handshake.poll_timeout()).chain([limit]).min()
    }
}
