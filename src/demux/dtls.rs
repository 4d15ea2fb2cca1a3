//! DTLS at the demultiplexer, in both directions: which session a datagram belongs to, and where the peer's datagrams
//! go. What passes is decided by the session's [`Handshake`](crate::dtls::handshake::Handshake).

use std::time::Instant;

use super::demultiplexed::{Demultiplexed, DemuxEvent, Key, Over};
use super::demultiplexer::{Claim, Demux, push, refuse};
use super::session::ProvenByDtls;
use crate::dtls::handshake::HandshakeVerdict;
use crate::five_tuple::FiveTuple;
use crate::reason::DropReason;

impl Demux {
    /// Returns where a DTLS datagram of the peer goes, and keeps it to repeat it until the client has answered. `None`:
    /// do not send it.
    #[must_use = "the datagram goes to this path and to no other"]
    pub(crate) fn send_dtls(&mut self, key: Key, datagram: &[u8], now: Instant) -> Option<FiveTuple> {
        let session = self.sessions.get_mut(key).filter(|session| !session.is_over())?;
        let path = session.handshake_path()?;
        if !session.handshake.send(path, datagram, now) {
            session.end();
            self.events.push_back(DemuxEvent::Over(key, Over::Flooded));
            return None;
        }
        self.arm(key);
        Some(path)
    }

    /// DTLS has completed: selects the path that the whole handshake went over, or begins to check the latest one. Call
    /// it after the peer's last flight was sent.
    pub(crate) fn connected(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.get_mut(key).filter(|session| !session.is_over()) else {
            return;
        };
        match session.connect(now) {
            ProvenByDtls::Path(path) => {
                self.claim_by_path.insert(path, Claim { key, proven: true });
            }
            ProvenByDtls::Session { latest } => {
                session.agent.nominate(latest);
                self.check(key, latest, now);
            }
            ProvenByDtls::Nothing => {}
        }
        self.arm(key);
    }

    /// DTLS data of a connected session has passed its authentication, so the client has our last flight.
    pub(crate) fn decrypted(&mut self, key: Key) {
        if let Some(session) = self.sessions.get_mut(key).filter(|session| session.is_connected()) {
            session.handshake.settle();
        }
    }

    pub(crate) fn handle_dtls(&mut self, path: FiveTuple, datagram: &[u8], now: Instant) -> Demultiplexed {
        let Some(&Claim { key, proven }) = self.claim_by_path.get(&path) else {
            return Demultiplexed::Foreign;
        };
        let Some(session) = self.sessions.get_mut(key).filter(|session| !session.is_over()) else {
            return Demultiplexed::Dropped(DropReason::UnknownPath);
        };
        if session.is_connected() && !proven {
            return refuse(&mut self.sessions, key, DropReason::UnknownPath);
        }
        let verdict = session.handshake.receive(path, datagram, now);
        let repeats = match &verdict {
            // It may be a client that repeats its own last flight.
            HandshakeVerdict::Clear { is_handshake, .. } => *is_handshake,
            _ => !session.is_connected(),
        };
        if repeats {
            let transmits = &mut self.transmits;
            session.handshake.echo(now, |path, bytes| push(transmits, path, bytes.to_vec()));
        }
        match verdict {
            HandshakeVerdict::Pass(datagram) => Demultiplexed::Dtls { key, datagram, clear: false },
            HandshakeVerdict::Data { beside } => {
                session.dropped += u64::from(beside);
                Demultiplexed::Dtls { key, datagram: None, clear: beside }
            }
            HandshakeVerdict::Hello(profiles, datagram) => Demultiplexed::ClientHello { key, profiles, datagram },
            HandshakeVerdict::Hold => Demultiplexed::Held,
            HandshakeVerdict::Clear { is_flight: true, .. } if session.handshake.take_repeated() => Demultiplexed::Held,
            HandshakeVerdict::Clear { .. } => refuse(&mut self.sessions, key, DropReason::ClearDtls),
            HandshakeVerdict::Refuse(reason) => {
                if reason == DropReason::Flood {
                    session.end();
                    self.events.push_back(DemuxEvent::Over(key, Over::Flooded));
                }
                refuse(&mut self.sessions, key, reason)
            }
        }
    }
}
