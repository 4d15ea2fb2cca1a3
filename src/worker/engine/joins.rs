//! How sessions come and go: adoption from the pending sessions, the peer's opening, DTLS, and the one way out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::state::Engine;
use crate::demux::Key;
use crate::dtls::SrtpProfiles;
use crate::five_tuple::FiveTuple;
use crate::ice::Admission;
use crate::metrics::{DropReason, End as Reason, Phase, SessionState};
use crate::name::Role;
use crate::peer::{Config as PeerConfig, Event, Peer, Refused};
use crate::session::Event as NodeEvent;
use crate::session::pending_sessions::PendingSession;
use crate::srtp::{Keys, Opener, Sealer, SrtpProfile};
use crate::stream::Departure;
use crate::worker::message::Message;
use crate::worker::session::{Facts, Session, State, warn_of_unreached};
use crate::worker::stats::stream_share::Share;

impl Engine {
    /// A session's first check arrived here: the session is this worker's from now on.
    pub(crate) fn adopt(&mut self, waiting: PendingSession, now: Instant) {
        let PendingSession { id, role, stream, local, negotiated, announcement, record, slot, .. } = waiting;
        let admission = Admission { local: local.clone(), remote: negotiated.remote.clone() };
        let facts = Facts {
            created: record.created,
            opened: None,
            connected: None,
            first_media: None,
            first_picture: None,
            profile: None,
            packets: 0,
            bytes: 0,
            asked_again: 0,
            keyframes_asked: 0,
            keyframes_answered: 0,
            failure: None,
        };
        let state = State::Connecting(announcement);
        self.shared.metrics.sessions[role][SessionState::Waiting].dec();
        self.shared.metrics.sessions[role][state.label()].inc();
        let session = Session {
            id,
            role,
            stream,
            local,
            negotiated,
            peer: None,
            state,
            path: None,
            steered: None,
            facts,
            record,
            slot,
            share: None,
            probed: None,
        };
        if role == Role::Publisher {
            self.takes_publisher();
        }
        let record = Arc::clone(&session.record);
        let key = self.sessions.insert(session);
        self.heartbeat.name(key, Some(record));
        self.demux.admit(key, admission, now);
        self.sampler.start(now);
        self.report(key, now);
    }

    /// The first valid check was answered: the peer is opened now, for some clients send their ClientHello before
    /// they nominate (RECIPE: dropping it costs them their retransmission timer).
    pub(crate) fn on_opened(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.facts.opened = Some(now);
        let took = now.saturating_duration_since(session.facts.created);
        self.counters.observe_setup(Phase::Ice, took);
        self.open_peer(key, SrtpProfile::Aes128Gcm, now);
    }

    /// The client shows what it supports: a peer that was opened with GCM stays if the client has it.
    pub(crate) fn on_client_hello(&mut self, key: Key, profiles: SrtpProfiles, datagram: &[u8], now: Instant) {
        if !profiles.gcm {
            self.open_peer(key, SrtpProfile::Aes128CmSha1_80, now);
        }
        self.feed_peer(key, datagram, now);
    }

    /// Takes SRTCP.
    pub(crate) fn on_rtcp(&mut self, key: Key, path: FiveTuple, datagram: &[u8], now: Instant) {
        if self.feed_peer(key, datagram, now) {
            self.demux.authenticated(key, path, now);
        }
    }

    /// Takes DTLS.
    pub(crate) fn on_dtls(&mut self, key: Key, datagram: &[u8], now: Instant) {
        if self.feed_peer(key, datagram, now) {
            self.demux.decrypted(key);
        }
    }

    /// A check came, but no handshake was completed in time.
    pub(crate) fn on_handshake_timeout(&mut self, key: Key, now: Instant) {
        if let Some(session) = self.sessions.get_mut(key) {
            let alert = session.peer.as_ref().and_then(Peer::clear_alert);
            session.facts.failure = alert.map(|alert| format!("the client may have ended the DTLS handshake: {alert}"));
        }
        self.end(key, Reason::HandshakeTimeout, now);
    }

    /// Gives a datagram to the peer and takes what comes of it; false when the peer refused it.
    pub(crate) fn feed_peer(&mut self, key: Key, datagram: &[u8], now: Instant) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let Some(peer) = &mut session.peer else {
            self.counters.drop(DropReason::NoKeys);
            return false;
        };
        if let Err(refused) = peer.handle_datagram(datagram, now) {
            self.counters.drop_at_peer(refused);
            // Only a part of an SCTP packet may have been lost.
            if !matches!(refused, Refused::Sctp(_)) {
                return false;
            }
        }
        self.drive(key, now);
        true
    }

    /// Takes everything that a session's peer has to send and to tell, and sets its timer.
    pub(crate) fn drive(&mut self, key: Key, now: Instant) {
        self.take_transmits(key, now);
        while let Some(event) = self.sessions.get_mut(key).and_then(|session| session.peer.as_mut()?.poll_event()) {
            match event {
                Event::Connected(keys) => self.on_connected(key, &keys, now),
                Event::Rtcp(compound) => self.on_feedback(key, &compound, now),
                Event::ChannelOpened(channel) => self.on_channel(key, channel, now),
                Event::ChannelMessage(label, message) => self.on_channel_message(key, label, message),
                Event::Closed => return self.end(key, Reason::Closed, now),
                Event::Misused(violation) => {
                    if let Some(session) = self.sessions.get_mut(key) {
                        session.facts.failure = Some(violation.to_string());
                    }
                    return self.end(key, Reason::Misused, now);
                }
                Event::Failed(why) => {
                    if let Some(session) = self.sessions.get_mut(key) {
                        session.facts.failure = Some(why);
                    }
                    return self.end(key, Reason::Failed, now);
                }
            }
            self.take_transmits(key, now);
        }
        let due = self.sessions.get_mut(key).and_then(Session::poll_timeout);
        self.timers.set(key, due);
    }

    /// A session's timer has come.
    pub(crate) fn on_session_timeout(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(peer) = &mut session.peer else { return };
        peer.handle_timeout(now);
        match &mut session.state {
            State::Connecting(_) => {}
            State::Publishing(publisher) => {
                let limit = publisher.bitrate_limit.as_mut();
                if let Some(rate) = limit.and_then(|limit| limit.look(session.facts.bytes, now)) {
                    session.facts.failure = Some(format!(
                        "it sent {} kbit/s for more than 5 s, where --max-publisher-bitrate allows {}: lower the \
                         encoder's bitrate, or raise the limit",
                        rate / 1000,
                        self.shared.config.max_publisher_bitrate / 1000
                    ));
                    return self.end(key, Reason::BitrateExceeded, now);
                }
                let due = publisher.poll(now);
                self.counters.asked_of_publisher(due.packets_asked, due.keyframes_asked);
                session.facts.keyframes_asked += due.keyframes_asked;
                for packets in due.datagrams {
                    peer.send_rtcp(packets, now);
                }
                let verdicts = publisher.take_verdicts();
                if due.releases && !self.unflushed.contains(&key) {
                    self.unflushed.push(key);
                }
                let clocks = publisher.take_clocks();
                self.tell_verdicts(key, verdicts);
                self.tell_clocks(key, clocks);
                self.look_for_turn(key, now);
                self.look_for_publisher(key, now);
            }
            State::Watching(viewer) => {
                let opens_channels = viewer.channels.open_at.is_some_and(|due| due <= now);
                for report in viewer.poll(self.feeds.get(&session.stream), now) {
                    peer.send_rtcp(report, now);
                }
                if opens_channels {
                    self.open_channels(key, now);
                }
                self.look_after(key, now);
            }
        }
        self.drive(key, now);
    }

    /// The one way out of a session, whatever the reason: the peer is told, everybody who knows of it forgets it,
    /// and one log line stays.
    pub(crate) fn end(&mut self, key: Key, reason: Reason, now: Instant) {
        if reason != Reason::Panicked
            && let Some(peer) = self.sessions.get_mut(key).and_then(|session| session.peer.as_mut())
        {
            peer.close();
            self.take_transmits(key, now);
        }
        if reason != Reason::Panicked {
            self.report(key, now);
        }
        let Some(session) = self.sessions.remove(key) else { return };
        let reason = session.reason(reason, now);
        let demux = self.demux.facts(key).unwrap_or_default();
        self.demux.remove(key);
        self.heartbeat.name(key, None);
        self.timers.set(key, None);
        self.turns.set(key, None);
        self.unflushed.retain(|other| *other != key);
        self.pending_nacks.retain(|other| *other != key);
        if reason == Reason::Closed
            && let Some(listed) = self.shared.pending_sessions.listed(&session.id)
        {
            self.shared.client_closed.remember(session.id, listed.credential, now);
        }
        if session.role == Role::Publisher {
            self.gives_publisher_up();
            self.shared.cache_budget.forget(&session.id);
            self.shared.metrics.fast_start_bytes.set(self.shared.cache_budget.total() as i64);
        }
        self.shared.pending_sessions.remove(&session.id);
        self.shared.events.send(NodeEvent::SessionEnded { session: session.id });
        self.shared.metrics.sessions[session.role][session.state.label()].dec();
        self.shared.metrics.session_ends[session.role][reason].inc();
        self.shared.ended.keep(&session.record, reason, now);
        session.log_end(reason, &demux, now);
        warn_of_unreached(&session.record, reason, &self.shared, now);
        let Session { stream, state, peer, .. } = *session;
        match state {
            State::Connecting(_) => {}
            State::Publishing(publisher) => self.unpublish(key, *publisher, reason, now),
            State::Watching(viewer) => {
                self.feeds.leave(&stream, key);
                if let Departure::LastOfWorker(Some(live)) = viewer.watch.leave() {
                    self.push(live.worker, Message::Unsubscribe { stream, worker: self.id }, 0);
                }
            }
        }
        // What a panic has left half done may panic again as it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(peer)));
    }

    fn open_peer(&mut self, key: Key, profile: SrtpProfile, now: Instant) {
        let certificate = self.shared.certificate.clone();
        let Some(session) = self.sessions.get_mut(key) else { return };
        let config = PeerConfig {
            local: &session.local,
            remote: &session.negotiated.remote,
            remote_fingerprint: &session.negotiated.remote_fingerprint,
            dtls_client: session.negotiated.dtls_client,
            application: session.negotiated.application.is_some(),
            role: session.role,
            certificate: &certificate,
        };
        match Peer::open(&config, profile, now) {
            Ok(peer) => {
                session.peer = Some(peer);
                self.drive(key, now);
            }
            Err(error) => {
                session.facts.failure = Some(error.to_string());
                self.end(key, Reason::Failed, now);
            }
        }
    }

    fn on_connected(&mut self, key: Key, keys: &Keys, now: Instant) {
        self.demux.connected(key, now);
        let path = self.demux.path(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.path = path;
        session.slot.settle();
        session.facts.connected = Some(now);
        session.facts.profile = Some(keys.local.profile);
        let took = now.saturating_duration_since(session.facts.opened.unwrap_or(now));
        let role = session.role;
        tracing::info!(
            session = %session.id,
            role = role.as_str(),
            stream = %session.stream,
            remote = path.map(|path| path.remote.to_string()),
            srtp = ?keys.local.profile,
            "session connected"
        );
        match std::mem::replace(&mut session.state, State::Connecting(None)) {
            State::Connecting(Some(announcement)) => self.publish(key, announcement, Opener::new(&keys.remote), now),
            State::Connecting(None) => self.watch(key, Sealer::new(&keys.local), now),
            State::Publishing(_) | State::Watching(_) => return,
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.share = Some(Share::new(role, self.shared.metrics.stream(&session.stream)));
        }
        self.report(key, now);
        self.counters.observe_setup(Phase::Dtls, took);
        let sessions = &self.shared.metrics.sessions[role];
        sessions[SessionState::Connecting].dec();
        sessions[SessionState::Connected].inc();
    }

    /// Moves a peer's output to the socket's queue, by the demultiplexer, which knows where to and repeats lost flights.
    fn take_transmits(&mut self, key: Key, now: Instant) {
        loop {
            let Some(session) = self.sessions.get_mut(key) else { return };
            let Some(datagram) = session.peer.as_mut().and_then(Peer::poll_transmit) else { return };
            let is_dtls = datagram.first().is_some_and(|first| (20..=63).contains(first));
            let path = if is_dtls { self.demux.send_dtls(key, &datagram, now) } else { self.demux.path(key) };
            if let Some(path) = path {
                self.transmit(path, datagram.into());
            }
        }
    }
}
