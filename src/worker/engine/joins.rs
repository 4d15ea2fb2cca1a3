//! How sessions come and go: adoption from the pending sessions, the peer's opening, DTLS, deadlines, and the one way
//! out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::state::Engine;
use crate::demux::Key;
use crate::dtls::SrtpProfiles;
use crate::five_tuple::FiveTuple;
use crate::metrics::Phase;
use crate::peer::PeerEvent;
use crate::reason::EndReason;
use crate::session::pending_sessions::PendingSession;
use crate::srtp::{Keys, Opener, Sealer, SrtpProfile};
use crate::stream::Departure;
use crate::worker::message::Message;
use crate::worker::sessions::session::{Session, State};
use crate::worker::sessions::setup::ConnectedRole;

impl Engine {
    /// A session's first check arrived here: the session is this worker's from now on.
    pub(crate) fn adopt(&mut self, pending: PendingSession, now: Instant) {
        let (session, admission, leg) = Session::adopt(pending, &self.shared.metrics, self.load());
        let record = Arc::clone(&session.record);
        let key = self.sessions.insert(session);
        self.heartbeat.name(key, Some(record));
        self.demux.admit_with(leg, key, admission, now);
        self.sampler.start(now);
        self.report(key, now);
    }

    /// The first valid check was answered. The peer is opened now: some clients send their ClientHello before they
    /// nominate, and dropping it would cost them a retransmission timer.
    pub(crate) fn on_opened(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        self.counters.observe_setup(Phase::Ice, session.note_opened(now));
        self.open_peer(key, SrtpProfile::Aes128Gcm, now);
    }

    /// The ClientHello shows which SRTP profiles the client supports: the peer stays if AES-128-GCM is one of them.
    pub(crate) fn on_client_hello(&mut self, key: Key, profiles: SrtpProfiles, datagram: &[u8], now: Instant) {
        if !profiles.gcm {
            self.open_peer(key, SrtpProfile::Aes128CmSha1_80, now);
        }
        self.feed_peer(key, datagram, now);
    }

    /// Takes SRTCP. Apart from the way of a packet of media, which it would make longer.
    #[inline(never)]
    pub(crate) fn on_rtcp(&mut self, key: Key, path: FiveTuple, datagram: &mut [u8], now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        let Some(compound) = session.open_rtcp(datagram, &mut self.counters, now) else { return };
        self.on_feedback(key, compound, now);
        self.demux.authenticated(key, path, now);
    }

    /// Takes DTLS.
    pub(crate) fn on_dtls(&mut self, key: Key, datagram: &[u8], now: Instant) {
        if self.feed_peer(key, datagram, now) {
            self.demux.decrypted(key);
        }
    }

    /// Gives a datagram to the peer and takes what comes of it; false when the peer refused it.
    fn feed_peer(&mut self, key: Key, datagram: &[u8], now: Instant) -> bool {
        let Some(session) = self.sessions.session_mut(key) else { return false };
        if !session.feed_peer(datagram, &mut self.counters, now) {
            return false;
        }
        self.drive(key, now);
        true
    }

    /// Takes all datagrams and events of a session's peer, and sets its timer.
    pub(crate) fn drive(&mut self, key: Key, now: Instant) {
        while let Some(session) = self.sessions.session_mut(key) {
            session.take_transmits(key, &mut self.demux, &mut self.transmits, now);
            let Some(event) = session.poll_event() else { break };
            match event {
                PeerEvent::Connected(keys) => self.on_connected(key, &keys, now),
                PeerEvent::ChannelOpened(channel) => session.on_channel(channel, &mut self.mailbox, now),
                PeerEvent::ChannelMessage(label, message) => self.on_channel_message(key, label, message),
                PeerEvent::Closed => return self.end(key, EndReason::Closed, now),
                PeerEvent::Misused(violation) => return self.fail(key, violation.to_string(), EndReason::Misused, now),
                PeerEvent::Unanswered => return self.end(key, EndReason::HandshakeTimeout, now),
                PeerEvent::Failed(why) => return self.fail(key, why, EndReason::Failed, now),
            }
        }
        self.timers.set(key, self.sessions.poll_timeout(key));
    }

    /// A session's timer has come.
    pub(crate) fn on_session_timeout(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        let Some(peer) = &mut session.peer else { return };
        peer.handle_timeout(now);
        match &session.state {
            State::Connecting(_) => {}
            State::Publishing(_) => {
                match session.on_publisher_timeout(&mut self.mailbox, &mut self.counters, now) {
                    Ok(true) => self.flush_later(key),
                    Ok(false) => {}
                    Err(reason) => return self.end(key, reason, now),
                }
                self.check_takeover(key, now);
                self.check_publisher_silence(key, now);
            }
            State::Watching(_) => {
                if session.on_viewer_timeout(self.feeds.get(&session.stream), now) {
                    self.open_channels(key, now);
                }
                self.check_viewer_silence(key, now);
            }
        }
        self.drive(key, now);
    }

    /// The only way to end a session, for every reason: the peer closes the connection, all tables remove the session,
    /// and one log line is written.
    pub(crate) fn end(&mut self, key: Key, reason: EndReason, now: Instant) {
        if reason != EndReason::Panicked {
            if let Some(session) = self.sessions.session_mut(key) {
                session.note_unfinished_handshake(reason, now);
                session.close_peer();
                session.take_transmits(key, &mut self.demux, &mut self.transmits, now);
            }
            self.report(key, now);
        }
        let Some(session) = self.sessions.remove(key) else { return };
        let reason = session.reason(reason, now);
        let demux = self.demux.facts(key).unwrap_or_default();
        self.demux.remove(key);
        self.heartbeat.name(key, None);
        self.timers.set(key, None);
        self.serving_timers.set(key, None);
        self.unflushed.retain(|other| *other != key);
        self.pending_nacks.retain(|other| *other != key);
        session.note_end(reason, &demux, (&self.shared, self.load()), now);
        self.own_sockets.closed.extend(session.own_port);
        let Session { stream, state, peer, .. } = *session;
        match state {
            State::Connecting(_) => {}
            State::Publishing(publisher) => self.unpublish(key, *publisher, reason, now),
            State::Watching(viewer) => {
                self.feeds.leave(&stream, key);
                if let Departure::LastOfWorker(Some(live)) = viewer.watch.leave() {
                    self.mailbox.send_command(live.worker, Message::Unsubscribe { stream, worker: self.id });
                }
            }
        }
        // What a panic has left half done may panic again as it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(peer)));
    }

    fn fail(&mut self, key: Key, why: String, reason: EndReason, now: Instant) {
        if let Some(session) = self.sessions.session_mut(key) {
            session.facts.failure = Some(why);
        }
        self.end(key, reason, now);
    }

    fn open_peer(&mut self, key: Key, profile: SrtpProfile, now: Instant) {
        let Some(session) = self.sessions.session_mut(key) else { return };
        if session.open_peer(profile, &self.shared.certificate, now) {
            self.drive(key, now);
        } else {
            self.end(key, EndReason::Failed, now);
        }
    }

    fn on_connected(&mut self, key: Key, keys: &Keys, now: Instant) {
        self.demux.connected(key, now);
        let Some(session) = self.sessions.session_mut(key) else { return };
        let Some(entered) = session.connect(self.demux.path(key), keys, &self.shared.metrics, now) else { return };
        match entered {
            ConnectedRole::Publisher(announcement) => self.publish(key, announcement, Opener::new(&keys.remote), now),
            ConnectedRole::Viewer => self.watch(key, Sealer::new(&keys.local), now),
        }
        self.report(key, now);
    }
}
