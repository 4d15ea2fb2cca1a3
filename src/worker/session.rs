//! One session on its worker: how far it has come, and the facts that its last log line tells.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::events::Event;
use super::lobby::Waiting;
use super::publisher::Publisher;
use super::quota::Slot;
use super::record::Record;
use super::share::Share;
use super::shared::Shared;
use super::steering::Steered;
use super::unreached::{Progress, Unreached};
use super::viewer::Viewer;
use crate::demux::Facts as DoorFacts;
use crate::five_tuple::Path;
use crate::ice::Credentials;
use crate::metrics::{End as Reason, Label as _, Metrics, Phase, SessionState};
use crate::name::{Role, SessionId, StreamName};
use crate::peer::Peer;
use crate::sdp::Negotiated;
use crate::srtp::Profile;
use crate::stream::Announcement;

/// A session that a worker owns.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) role: Role,
    pub(super) stream: StreamName,
    pub(super) local: Credentials,
    pub(super) negotiated: Negotiated,
    /// Built when the first valid check arrives.
    pub(super) peer: Option<Peer>,
    pub(super) state: State,
    /// Where its packets go now.
    pub(super) path: Option<Path>,
    /// Where the kernel would bring its packets to another worker.
    pub(super) steered: Option<Steered>,
    pub(super) facts: Facts,
    /// What others may know of it.
    pub(super) record: Arc<Record>,
    /// Its part of what the relay takes.
    pub(super) slot: Slot,
    /// Once it is connected: its part in what is measured of its stream.
    pub(super) share: Option<Share>,
    /// When it was last asked for its round trip.
    pub(super) probed: Option<Instant>,
}

/// How far a session has come.
pub(super) enum State {
    /// DTLS has not completed; a publisher is announced, a viewer counts nowhere yet.
    Connecting(Option<Announcement>),
    /// Its packets are opened and forwarded.
    Publishing(Box<Publisher>),
    /// It gets what the stream's feed has.
    Watching(Box<Viewer>),
}

/// What happened to a session, for its last log line.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) created: Instant,
    pub(super) opened: Option<Instant>,
    pub(super) connected: Option<Instant>,
    pub(super) first_media: Option<Instant>,
    pub(super) first_picture: Option<Instant>,
    pub(super) profile: Option<Profile>,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) asked_again: u64,
    pub(super) keyframes_asked: u64,
    pub(super) keyframes_answered: u64,
    pub(super) failure: Option<String>,
}

impl State {
    /// The label of the sessions gauge.
    pub(super) fn label(&self) -> SessionState {
        match self {
            Self::Connecting(_) => SessionState::Connecting,
            Self::Publishing(_) | Self::Watching(_) => SessionState::Connected,
        }
    }
}

impl Session {
    /// The earliest moment at which it needs the worker.
    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        let peer = self.peer.as_mut().and_then(Peer::poll_timeout);
        let role = match &self.state {
            State::Connecting(_) => None,
            State::Publishing(publisher) => publisher.poll_timeout(),
            State::Watching(viewer) => viewer.poll_timeout(),
        };
        role.into_iter().chain(peer).min()
    }

    /// Why it ends, when it is asked to end for `asked`: before DTLS has completed, how far it came.
    pub(super) fn reason(&self, asked: Reason, now: Instant) -> Reason {
        match self.state {
            State::Connecting(_) => Progress::Checked.reason(asked, now.saturating_duration_since(self.record.created)),
            State::Publishing(_) | State::Watching(_) => asked,
        }
    }

    /// Notes the first media packet in or out.
    pub(super) fn note_first_media(&mut self, now: Instant, metrics: &Metrics) {
        if self.facts.first_media.is_none() {
            self.facts.first_media = Some(now);
            let since = self.facts.connected.unwrap_or(self.facts.created);
            metrics.setup[Phase::FirstMedia].observe(now.saturating_duration_since(since).as_secs_f64());
        }
    }

    /// Notes what left to a viewer, of which the first packet and the first picture are facts.
    pub(super) fn note_sent(&mut self, has_picture: bool, now: Instant, metrics: &Metrics) {
        self.note_first_media(now, metrics);
        if has_picture && self.facts.first_picture.is_none() {
            self.facts.first_picture = Some(now);
            metrics.first_frame.observe(now.saturating_duration_since(self.facts.created).as_secs_f64());
        }
    }

    /// The last log line: what it was, how long it lived, why it ended.
    pub(super) fn log_end(&self, reason: Reason, door: &DoorFacts, now: Instant) {
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
            checks = door.checks,
            checks_from = door.first.map(|path| path.remote.to_string()),
            moves = door.moves,
            refused = door.dropped + door.forged,
            failure = facts.failure.as_deref(),
            offered_codecs = ?self.record.offered.codecs,
            offered_candidates = self.record.offered.candidates,
            user_agent = ?self.record.user_agent.as_deref().unwrap_or(""),
            "session ended"
        );
    }
}

/// The end of a session that never sent a packet: its record, and its last log line.
pub(super) fn end_waiting(waiting: &Waiting, asked: Reason, shared: &Shared, now: Instant) {
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
pub(super) fn warn_of_unreached(record: &Record, reason: Reason, shared: &Shared, now: Instant) {
    let session = Unreached { reason, client: record.client, told: &record.told(), media_port: shared.media_port };
    shared.unreached.note(&session, now);
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
