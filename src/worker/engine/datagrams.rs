//! Datagrams of clients: the demultiplexer says whose they are, and the steps of their sessions follow.

use std::time::Instant;

use super::state::Engine;
use crate::demux::{Demultiplexed, DemuxEvent};
use crate::five_tuple::FiveTuple;
use crate::reason::DropReason;
use crate::session::pending_sessions::Found;

impl Engine {
    /// Takes one datagram from the socket; `received` is when the kernel got it.
    pub(crate) fn handle_datagram(&mut self, path: FiveTuple, datagram: &mut [u8], received: Instant, now: Instant) {
        self.handle_arrival(path, datagram, received, now, false);
    }

    /// Takes a datagram; `handed` if another worker has handed it over.
    pub(super) fn handle_arrival(
        &mut self,
        path: FiveTuple,
        datagram: &mut [u8],
        received: Instant,
        now: Instant,
        handed: bool,
    ) {
        let mut arrival = self.demux.handle_datagram(path, datagram, now);
        if let Demultiplexed::UnknownUfrag { ufrag } = &arrival {
            if !handed && let Some(home) = self.shared.home_of(ufrag).filter(|home| *home != self.id) {
                return self.hand_over(home, path, datagram, received, now);
            }
            match self.shared.pending_sessions.take(ufrag, self.id) {
                Found::Session(waiting) => {
                    self.adopt(*waiting, now);
                    arrival = self.demux.handle_datagram(path, datagram, now);
                }
                Found::Owned(worker) if worker != self.id => {
                    return self.hand_over(worker, path, datagram, received, now);
                }
                Found::Owned(_) | Found::Unknown => return self.counters.drop(DropReason::UnknownUfrag),
            }
        }
        match arrival {
            Demultiplexed::Rtp(key) => self.guard(key, now, |engine| engine.on_rtp(key, path, datagram, received, now)),
            Demultiplexed::Rtcp(key) => self.guard(key, now, |engine| engine.on_rtcp(key, path, datagram, now)),
            Demultiplexed::Dtls { key, datagram: whole, clear } => {
                self.counters.drops(DropReason::ClearDtls, u64::from(clear));
                let datagram = whole.as_deref().unwrap_or(datagram);
                self.guard(key, now, |engine| engine.on_dtls(key, datagram, now));
            }
            Demultiplexed::ClientHello { key, profiles, datagram } => {
                self.guard(key, now, |engine| engine.on_client_hello(key, profiles, &datagram, now));
            }
            Demultiplexed::Opened(key) => self.guard(key, now, |engine| engine.on_opened(key, now)),
            Demultiplexed::Answered => self.on_check(path, now),
            Demultiplexed::PublicAnswer => self.counters.public_stun_answer(),
            Demultiplexed::Held => {}
            Demultiplexed::UnknownUfrag { .. } => self.counters.drop(DropReason::UnknownUfrag),
            // An answer to a check has no USERNAME, so its session is found by its path, as for DTLS and media.
            Demultiplexed::Foreign => match self.handed_over_paths.owner(&path) {
                Some(worker) => self.hand_over(worker, path, datagram, received, now),
                None => self.counters.drop(DropReason::UnknownPath),
            },
            Demultiplexed::Dropped(reason) => self.counters.drop(reason),
        }
        self.take_demux_output(now);
    }

    pub(crate) fn take_demux_output(&mut self, now: Instant) {
        while let Some((path, datagram)) = self.demux.poll_transmit() {
            self.transmits.push(path, datagram);
        }
        while let Some(event) = self.demux.poll_event() {
            match event {
                DemuxEvent::Moved { key, path } => {
                    if let Some(session) = self.sessions.session_mut(key) {
                        tracing::debug!(session = %session.id, protocol = path.protocol.as_str(), remote = %path.remote, "path moved");
                        session.on_moved(path, now);
                        // Packets that waited for a path are sent now.
                        let stream = session.stream.clone();
                        self.feeds.mark_ready(&stream);
                    }
                    self.on_heard(key, now);
                }
                DemuxEvent::Heard(key) => self.on_heard(key, now),
                DemuxEvent::Retired { key, ufrag } => {
                    if let Some(session) = self.sessions.session_mut(key) {
                        self.shared.pending_sessions.retire(&session.id, &ufrag);
                    }
                }
                DemuxEvent::Over(key, over) => {
                    if let Some(reason) = self.sessions.session_mut(key).map(|session| session.reason_over(over)) {
                        self.end(key, reason, now);
                    }
                }
            }
        }
    }
}
