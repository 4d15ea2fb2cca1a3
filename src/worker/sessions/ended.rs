//! The end of a session, of one that a worker owns and of one that never sent a packet: its record, its metrics and its
//! last log line.

use std::time::{Duration, Instant};

use super::session::{Session, State};
use crate::demux::{DemuxFacts, Over};
use crate::label::Label as _;
use crate::metrics::SessionState;
use crate::name::Role;
use crate::peer::Peer;
use crate::reason::EndReason;
use crate::session::assignment::Load;
use crate::session::pending_sessions::PendingSession;
use crate::session::unreached::{Progress, Unreached};
use crate::session::{LegEnd, NodeEvent, SessionRecord};
use crate::worker::shared::Shared;

impl Session {
    /// Why it ends that is over at the demultiplexer.
    pub(crate) fn reason_over(&self, over: Over) -> EndReason {
        match over {
            Over::Silent if self.record.leg.is_some() => EndReason::LegSilent,
            Over::Silent => EndReason::Silent,
            // No address that was dialled has answered.
            Over::NeverConnected if self.facts.opened.is_none() => EndReason::NeverConnected,
            Over::NeverConnected => EndReason::HandshakeTimeout,
            Over::Flooded => EndReason::Flooded,
        }
    }

    /// Why it ends, when it is asked to end for `asked`: before DTLS has completed, how far it came.
    pub(crate) fn reason(&self, asked: EndReason, now: Instant) -> EndReason {
        match self.state {
            State::Connecting(_) => {
                let progress = if self.facts.opened.is_some() { Progress::Checked } else { Progress::Nothing };
                progress.reason(asked, now.saturating_duration_since(self.record.created))
            }
            State::Publishing(_) | State::Watching(_) => asked,
        }
    }

    /// Notes what may have ended the handshake of a session that is asked to end for `asked`: the last alert in clear,
    /// which is not authentic.
    pub(crate) fn note_unfinished_handshake(&mut self, asked: EndReason, now: Instant) {
        if self.reason(asked, now) == EndReason::HandshakeTimeout {
            let alert = self.peer.as_ref().and_then(Peer::clear_alert);
            self.facts.failure = alert.map(|alert| format!("the client may have ended the DTLS handshake: {alert}"));
        }
    }

    /// Removes the session from the tables that workers share, and from the load of its own; reports its end.
    pub(crate) fn note_end(
        &self,
        reason: EndReason,
        demux: &DemuxFacts,
        (shared, load): (&Shared, &Load),
        now: Instant,
    ) {
        if reason == EndReason::Closed
            && let Some(listed) = shared.pending_sessions.listed(&self.id)
        {
            shared.client_closed.remember(self.id, listed.credential, now);
        }
        if self.role == Role::Publisher {
            load.remove_publisher();
            shared.cache_budget.forget(&self.id);
            shared.metrics.fast_start_bytes.set(shared.cache_budget.total() as i64);
        }
        shared.pending_sessions.remove(&self.id);
        // A listener reads why it ended.
        shared.ended.keep(&self.record, reason, now);
        shared.events.send(NodeEvent::SessionEnded { session: self.id });
        let class = self.record.class();
        shared.metrics.sessions[class][self.state.label()].dec();
        shared.metrics.session_ends[class][reason].inc();
        self.log_end(reason, demux, now);
        warn_of_unreached(&self.record, reason, shared, now);
    }

    /// Writes the last log line: what the session was, how long it lived, why it ended.
    fn log_end(&self, reason: EndReason, demux: &DemuxFacts, now: Instant) {
        let facts = &self.facts;
        let after =
            |moment: Option<Instant>| moment.map(|at| milliseconds(at.saturating_duration_since(facts.created)));
        tracing::info!(
            session = %self.id,
            role = self.record.class().as_str(),
            stream = %self.stream,
            reason = reason.as_str(),
            lived_ms = milliseconds(now.saturating_duration_since(facts.created)),
            stun_ms = after(facts.opened),
            dtls_ms = after(facts.connected),
            media_ms = after(facts.first_media),
            picture_ms = after(facts.first_frame),
            protocol = self.path.map(|path| path.protocol.as_str()),
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
pub(crate) fn end_waiting(waiting: &PendingSession, asked: EndReason, shared: &Shared, now: Instant) {
    let (metrics, record) = (&shared.metrics, &waiting.record);
    let age = now.saturating_duration_since(record.created);
    let reason = Progress::Nothing.reason(asked, age);
    shared.ended.keep(record, reason, now);
    shared.events.send(NodeEvent::SessionEnded { session: waiting.id });
    metrics.sessions[record.class()][SessionState::Waiting].dec();
    metrics.session_ends[record.class()][reason].inc();
    tracing::info!(
        session = %waiting.id,
        role = record.class().as_str(),
        stream = %waiting.stream,
        reason = reason.as_str(),
        lived_ms = milliseconds(age),
        client = %record.client,
        candidates = ?record.candidates().udp,
        user_agent = ?record.user_agent.as_deref().unwrap_or(""),
        "session ended before its first packet"
    );
    warn_of_unreached(record, reason, shared, now);
}

/// Ends the pending sessions whose clients never sent a packet, and forgets sessions that clients closed a while ago.
pub(crate) fn expire_shared(shared: &Shared, now: Instant) {
    shared.client_closed.expire(now);
    for waiting in shared.pending_sessions.expire(now) {
        end_waiting(&waiting, EndReason::NeverConnected, shared, now);
    }
    shared.pending_sessions.shrink();
}

/// Warns the operator, at most once in a while, that a client did not connect. Of a leg that this relay dials, that is no
/// fault of its own addresses.
fn warn_of_unreached(record: &SessionRecord, reason: EndReason, shared: &Shared, now: Instant) {
    if matches!(record.leg, Some(LegEnd::Dialling { .. })) {
        return;
    }
    let session = Unreached {
        reason,
        client: record.client,
        candidates: &record.candidates().udp,
        media_port: shared.media_port,
    };
    shared.unreached.note(&session, now);
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
