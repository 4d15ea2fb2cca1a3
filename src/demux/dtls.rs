//! DTLS at the door, both ways: whose a datagram is, what its session may do with it, and what the relay repeats.

use std::time::Instant;

use super::Door;
use super::demultiplexed::{Arrival, Event, Key};
use super::demultiplexer::{Claim, push, refuse};
use crate::dtls::handshake::Verdict;
use crate::five_tuple::Path;
use crate::reason::Drop;

impl Door {
    /// A DTLS datagram of the peer is about to be sent: returns where to, remembers it, and repeats it until the client
    /// has answered. `None`: nowhere, do not send.
    #[must_use = "the datagram goes to this path and to no other"]
    pub fn send_dtls(&mut self, key: Key, datagram: &[u8], now: Instant) -> Option<Path> {
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
                session.nominate(path);
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

    pub(crate) fn handle_dtls(&mut self, path: Path, datagram: &[u8], now: Instant) -> Arrival {
        let Some(&Claim { key, proven }) = self.claim_by_path.get(&path) else {
            return Arrival::Foreign;
        };
        let Some(session) = self.sessions.get_mut(&key).filter(|session| !session.is_over()) else {
            return Arrival::Dropped(Drop::Over);
        };
        if session.is_connected() && !proven {
            return refuse(&mut self.sessions, key, Drop::Unproven);
        }
        let verdict = session.handshake.receive(path, datagram, now);
        let repeats = match &verdict {
            // A client that repeats its own last flight, as far as anybody can tell.
            Verdict::Refuse(Drop::DtlsClear { is_handshake }) => *is_handshake,
            _ => !session.is_connected(),
        };
        if repeats {
            let transmits = &mut self.transmits;
            session.handshake.echo(now, |path, bytes| push(transmits, path, bytes.to_vec()));
        }
        match verdict {
            Verdict::Pass(datagram) => Arrival::Dtls { key, datagram, clear: false },
            Verdict::Data { beside } => {
                session.facts.dropped += u64::from(beside);
                Arrival::Dtls { key, datagram: None, clear: beside }
            }
            Verdict::Hello(profiles, datagram) => Arrival::ClientHello { key, profiles, datagram },
            Verdict::Hold => Arrival::Held,
            Verdict::Refuse(drop) => {
                if drop == Drop::DtlsFlood {
                    session.end();
                    self.events.push_back(Event::Flooded(key));
                }
                refuse(&mut self.sessions, key, drop)
            }
        }
    }
}
