//! One session on its worker: how far it has come, and the facts that its last log line tells.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::demux::Facts as DemuxFacts;
use crate::five_tuple::FiveTuple;
use crate::ice::Credentials;
use crate::metrics::{End as Reason, Label as _, Metrics, Phase, SessionState};
use crate::name::{Role, SessionId, StreamName};
use crate::peer::Peer;
use crate::sdp::Negotiated;
use crate::session::pending_sessions::PendingSession;
use crate::session::quota::Slot;
use crate::session::steering::Steered;
use crate::session::unreached::{Progress, Unreached};
use crate::session::{Event, SessionRecord};
use crate::srtp::SrtpProfile;
use crate::stream::Announcement;
use crate::worker::publishing::publisher::Publisher;
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
    /// Where the kernel would bring its packets to another worker.
    pub(crate) steered: Option<Steered>,
    pub(crate) facts: Facts,
    /// What others may know of it.
    pub(crate) record: Arc<SessionRecord>,
    /// Its part of what the relay takes.
    pub(crate) slot: Slot,
    /// Once it is connected: its part in what is measured of its stream.
    pub(crate) share: Option<Share>,
    /// When it was last asked for its round trip.
    pub(crate) probed: Option<Instant>,
}

/// How far a session has come.
pub(crate) enum State {
    /// DTLS has not completed; a publisher is announced, a viewer counts nowhere yet.
    Connecting(Option<Announcement>),
    /// Its packets are opened and forwarded.
    Publishing(Box<Publisher>),
    /// It gets what the stream's feed has.
    Watching(Box<Viewer>),
}

/// What happened to a session, for its last log line.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) created: Instant,
    pub(crate) opened: Option<Instant>,
    pub(crate) connected: Option<Instant>,
    pub(crate) first_media: Option<Instant>,
    pub(crate) first_picture: Option<Instant>,
    pub(crate) profile: Option<SrtpProfile>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) asked_again: u64,
    pub(crate) keyframes_asked: u64,
    pub(crate) keyframes_answered: u64,
    pub(crate) failure: Option<String>,
}

impl State {
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

    /// Why it ends, when it is asked to end for `asked`: before DTLS has completed, how far it came.
    pub(crate) fn reason(&self, asked: Reason, now: Instant) -> Reason {
        match self.state {
            State::Connecting(_) => Progress::Checked.reason(asked, now.saturating_duration_since(self.record.created)),
            State::Publishing(_) | State::Watching(_) => asked,
        }
    }

    /// Notes the first media packet in or out.
    pub(crate) fn note_first_media(&mut self, now: Instant, metrics: &Metrics) {
        if self.facts.first_media.is_none() {
            self.facts.first_media = Some(now);
            let since = self.facts.connected.unwrap_or(self.facts.created);
            metrics.setup[Phase::FirstMedia].observe(now.saturating_duration_since(since).as_secs_f64());
        }
    }

    /// Notes what left to a viewer, of which the first packet and the first picture are facts.
    pub(crate) fn note_sent(&mut self, has_picture: bool, now: Instant, metrics: &Metrics) {
        self.note_first_media(now, metrics);
        if has_picture && self.facts.first_picture.is_none() {
            self.facts.first_picture = Some(now);
            metrics.first_frame.observe(now.saturating_duration_since(self.facts.created).as_secs_f64());
        }
    }

    /// The last log line: what it was, how long it lived, why it ended.
    pub(crate) fn log_end(&self, reason: Reason, demux: &DemuxFacts, now: Instant) {
        let facts = &self.facts;
        let after =
            |moment: Option<Instant>| moment.map(|at| milliseconds(at.saturating_duration_since(facts.created)));
        tracing::info!(
            session = %self.id,
            role = self.role.as_str(),
            stream = %self.stream,
            reason = reason.as_str(),
            lived_ms = milliseconds(now.saturating_duration_since(facts.created)),
            stun_ms = after(facts.opened),
            dtls_ms = after(facts.connected),
            media_ms = after(facts.first_media),
            picture_ms = after(facts.first_picture),
            path = self.path.map(|path| path.remote.to_string()),
            srtp = facts.profile.map(tracing::field::debug),
            packets = facts.packets,
            bytes = facts.bytes,
            asked_again = facts.asked_again,
            keyframes_asked = facts.keyframes_asked,
            keyframes_answered = facts.keyframes_answered,
            checks = demux.checks,
            checks_from = demux.first.map(|path| path.remote.to_string()),
            moves = demux.moves,
            refused = demux.dropped + demux.forged,
            failure = facts.failure.as_deref(),
            offered_codecs = ?self.record.offered.codecs,
            offered_candidates = self.record.offered.candidates,
            user_agent = ?self.record.user_agent.as_deref().unwrap_or(""),
            "session ended"
        );
    }
}

/// The end of a session that never sent a packet: its record, and its last log line.
pub(crate) fn end_waiting(waiting: &PendingSession, asked: Reason, shared: &Shared, now: Instant) {
    let (metrics, record) = (&shared.metrics, &waiting.record);
    let age = now.saturating_duration_since(record.created);
    let reason = Progress::Nothing.reason(asked, age);
    shared.ended.keep(record, reason, now);
    shared.events.send(Event::SessionEnded { session: waiting.id });
    metrics.sessions[waiting.role][SessionState::Waiting].dec();
    metrics.session_ends[waiting.role][reason].inc();
    tracing::info!(
        session = %waiting.id,
        role = waiting.role.as_str(),
        stream = %waiting.stream,
        reason = reason.as_str(),
        lived_ms = milliseconds(age),
        client = %record.client,
        told = ?record.told(),
        user_agent = ?record.user_agent.as_deref().unwrap_or(""),
        "session ended before its first packet"
    );
    warn_of_unreached(record, reason, shared, now);
}

/// Tells the operator, once in a while, that a client did not connect.
pub(crate) fn warn_of_unreached(record: &SessionRecord, reason: Reason, shared: &Shared, now: Instant) {
    let session = Unreached { reason, client: record.client, told: &record.told(), media_port: shared.media_port };
    shared.unreached.note(&session, now);
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
