//! A session's way from its first check to its role: adopted from the pending sessions, its peer opened, DTLS
//! completed.

use std::time::{Duration, Instant};

use super::session::{Session, SessionFacts, State};
use crate::bwe::Bitrate;
use crate::five_tuple::FiveTuple;
use crate::ice::{Admission, Leg};
use crate::label::Label as _;
use crate::metrics::{Metrics, Phase, SessionState};
use crate::name::Role;
use crate::peer::{Certificate, Config as PeerConfig, Peer};
use crate::session::assignment::Load;
use crate::session::pending_sessions::PendingSession;
use crate::srtp::{Keys, Opener, Sealer, SrtpProfile};
use crate::stream::{Announcement, Publication, Watch};
use crate::worker::Config;
use crate::worker::publishing::bitrate::BitrateLimit;
use crate::worker::publishing::publisher::Publisher;
use crate::worker::stats::stream_share::Share;
use crate::worker::viewing::stream_feed::StreamFeed;
use crate::worker::viewing::viewer::Viewer;
use crate::worker::viewing::viewer_track::FollowUp;

/// The role of a session whose DTLS handshake has completed.
pub(crate) enum ConnectedRole {
    /// A publisher, with its announcement.
    Publisher(Announcement),
    Viewer,
}

impl Session {
    /// The session of a client whose first check arrived, and what the demultiplexer admits it by.
    pub(crate) fn adopt(pending: PendingSession, metrics: &Metrics, load: &Load) -> (Self, Admission, Option<Leg>) {
        let PendingSession { id, role, stream, local, negotiated, announcement, record, slot, leg, .. } = pending;
        let admission = Admission { local: local.clone(), remote: negotiated.remote.clone() };
        let session = Self {
            id,
            role,
            stream,
            local,
            negotiated,
            peer: None,
            state: State::Connecting(announcement),
            path: None,
            steered: None,
            facts: SessionFacts::new(record.created),
            record,
            slot,
            share: None,
            probed: None,
            own_port: leg.as_ref().and_then(Leg::own_port),
        };
        if role == Role::Publisher {
            load.add_publisher();
        }
        let gauges = &metrics.sessions[session.record.class()];
        gauges[SessionState::Waiting].dec();
        gauges[session.state.label()].inc();
        (session, admission, leg)
    }

    /// Notes the first valid check; returns how long the client took to send it.
    pub(crate) fn note_opened(&mut self, now: Instant) -> Duration {
        self.facts.opened = Some(now);
        now.saturating_duration_since(self.facts.created)
    }

    /// Opens the peer for a profile; false if that fails.
    pub(crate) fn open_peer(&mut self, profile: SrtpProfile, certificate: &Certificate, now: Instant) -> bool {
        let config = PeerConfig {
            local: &self.local,
            remote: &self.negotiated.remote,
            remote_fingerprint: &self.negotiated.remote_fingerprint,
            dtls_client: self.negotiated.dtls_client,
            application: self.negotiated.application.is_some(),
            role: self.role,
            certificate,
        };
        match Peer::open(&config, profile, now) {
            Ok(peer) => self.peer = Some(peer),
            Err(error) => {
                self.facts.failure = Some(error.to_string());
                return false;
            }
        }
        true
    }

    /// Notes the completed DTLS handshake; returns the session's role. `None` if it had completed before.
    pub(crate) fn connect(
        &mut self,
        path: Option<FiveTuple>,
        keys: &Keys,
        metrics: &Metrics,
        now: Instant,
    ) -> Option<ConnectedRole> {
        let State::Connecting(announcement) = &mut self.state else { return None };
        let entered = announcement.take().map_or(ConnectedRole::Viewer, ConnectedRole::Publisher);
        self.path = path;
        self.slot.settle();
        self.facts.connected = Some(now);
        self.facts.profile = Some(keys.local.profile);
        tracing::info!(
            session = %self.id,
            role = self.record.class().as_str(),
            stream = %self.stream,
            protocol = path.map(|path| path.protocol.as_str()),
            remote = path.map(|path| path.remote.to_string()),
            srtp = ?keys.local.profile,
            "session connected"
        );
        let took = now.saturating_duration_since(self.facts.opened.unwrap_or(now));
        metrics.setup[Phase::Dtls].observe(took.as_secs_f64());
        let class = self.record.class();
        metrics.sessions[class][SessionState::Connecting].dec();
        metrics.sessions[class][SessionState::Connected].inc();
        self.share = Some(Share::new(self.role, class, metrics.stream(&self.stream)));
        Some(entered)
    }

    /// Makes the session a publisher's.
    pub(crate) fn publish(&mut self, publication: Publication, opener: Opener, config: &Config, now: Instant) {
        let (stream, limits) = (self.stream.clone(), config.history_limits());
        let mut publisher = Publisher::new(stream, publication, opener, &self.negotiated, rand::random(), limits, now);
        publisher.bitrate_limit =
            BitrateLimit::new(self.record.granted.bitrate_within(config.max_publisher_bitrate), now);
        self.state = State::Publishing(Box::new(publisher));
    }

    /// Makes the session a viewer's; returns what its tracks need.
    pub(crate) fn watch(
        &mut self,
        watch: Watch,
        sealer: Sealer,
        feed: &StreamFeed,
        config: &Config,
        now: Instant,
    ) -> FollowUp {
        let mut viewer = Viewer::new(watch, sealer, &self.negotiated, self.stream.to_string(), now);
        viewer.start = Bitrate::from_bits(config.start_bitrate as f64);
        viewer.select(self.record.selection());
        let follow_up = viewer.attach(feed, false, now);
        self.state = State::Watching(Box::new(viewer));
        follow_up
    }
}
