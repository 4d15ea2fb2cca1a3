//! DTLS at the demultiplexer, both ways: whose a datagram is, what its session may do with it, and what the relay repeats.

use std::time::Instant;

use super::demultiplexed::{Demultiplexed, Event, Key};
use super::demultiplexer::{Claim, Demux, push, refuse};
use crate::dtls::handshake::HandshakeVerdict;
use crate::five_tuple::FiveTuple;
use crate::reason::DropReason;

impl Demux {
    /// A DTLS datagram of the peer is about to be sent: returns where to, remembers it, and repeats it until the client
    /// has answered. `None`: nowhere, do not send.
    #[must_use = "the datagram goes to this path and to no other"]
    pub fn send_dtls(&mut self, key: Key, datagram: &[u8], now: Instant) -> Option<FiveTuple> {
        let session = self.sessions.get_mut(&key).filter(|session| !session.is_over())?;
        let path = session.handshake_path()?;
        if !session.handshake.send(path, datagram, now) {
            session.end();
            self.events.push_back(Event::Flooded(key));
            return None;
        }
        self.arm(key);
        Some(path)
    }

    /// DTLS has completed: the path that all of it went over is proven, and media may begin. Call it after the peer's
    /// last flight was sent.
    pub fn connected(&mut self, key: Key, now: Instant) {
        let Some(session) = self.sessions.get_mut(&key).filter(|session| !session.is_over()) else {
            return;
        };
        match session.connect(now) {
            Ok(path) => {
                self.claim_by_path.insert(path, Claim { key, proven: true });
            }
            Err(Some(path)) => {
                session.agent.nominate(path);
                self.check(key, path, now);
            }
            Err(None) => {}
        }
        self.arm(key);
    }

    /// DTLS data of a connected session has passed its authentication: the client has our last flight.
    pub fn decrypted(&mut self, key: Key) {
        if let Some(session) = self.sessions.get_mut(&key).filter(|session| session.is_connected()) {
            session.handshake.settle();
        }
    }

    pub(crate) fn handle_dtls(&mut self, path: FiveTuple, datagram: &[u8], now: Instant) -> Demultiplexed {
        let Some(&Claim { key, proven }) = self.claim_by_path.get(&path) else {
            return Demultiplexed::Foreign;
        };
        let Some(session) = self.sessions.get_mut(&key).filter(|session| !session.is_over()) else {
            return Demultiplexed::Dropped(DropReason::UnknownPath);
        };
        if session.is_connected() && !proven {
            return refuse(&mut self.sessions, key, DropReason::UnknownPath);
        }
        let verdict = session.handshake.receive(path, datagram, now);
        let repeats = match &verdict {
            // A client that repeats its own last flight, as far as anybody can tell.
            HandshakeVerdict::Clear { is_handshake } => *is_handshake,
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
            HandshakeVerdict::Clear { .. } => refuse(&mut self.sessions, key, DropReason::ClearDtls),
            HandshakeVerdict::Refuse(reason) => {
                if reason == DropReason::Flood {
                    session.end();
                    self.events.push_back(Event::Flooded(key));
                }
                refuse(&mut self.sessions, key, reason)
            }
        }
    }
}
