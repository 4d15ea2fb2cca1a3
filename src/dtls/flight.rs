//! The last DTLS flight that a client has not answered, sent again after 150, 300, 600 ms and so on (RFC 6347 4.2.4).
//!
//! webrtc-rs waits a second before it repeats a flight, gives up repeating as soon as any handshake record arrives, a
//! client's own repetition included, and once connected answers each such repetition, although it may have left before our
//! last flight arrived: so it does not see any. The demultiplexer repeats the identical datagrams instead, which equals duplication by
//! the network: the record sequence numbers are the same, so a client that has them drops them.
//!
//! It waits longer where the client took longer to answer the flight before, because of the way or of its processor. For
//! FFmpeg 9 this is vital: when a repetition of the last flight reaches it that it has already, it reads its socket blocking
//! from then on, and sends pictures only when the relay happens to send it something. So once connected, what a client
//! repeats is taken for a sign that our last flight was lost only if that had time to arrive and to be answered.

use std::time::{Duration, Instant};

use crate::five_tuple::FiveTuple;

/// When a flight is repeated, counted from its first sending.
const REPEATS: [Duration; 6] = [
    Duration::from_millis(150),
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_millis(1_200),
    Duration::from_millis(2_400),
    Duration::from_millis(4_800),
];

/// A flight is repeated after so long at the latest.
const MOST_PATIENCE: Duration = Duration::from_millis(1_500);

/// What is sent within this time is one flight.
const SENDING: Duration = Duration::from_millis(20);

/// A client that repeats its own flight gets ours again, but not more often than this.
const ECHO_INTERVAL: Duration = Duration::from_millis(40);

/// No flight of webrtc-rs is longer (its server flight is two datagrams); more is not remembered.
const MAX_DATAGRAMS: usize = 8;

/// The flight.
pub(crate) struct Flight {
    path: FiveTuple,
    datagrams: Vec<Vec<u8>>,
    began: Instant,
    /// Added to the schedule.
    patience: Duration,
    sent: Instant,
    repeats: usize,
}

impl Flight {
    /// A flight that begins with this datagram, to a client that took this long to answer the one before.
    pub(crate) fn new(path: FiveTuple, datagram: &[u8], answer_time: Duration, now: Instant) -> Flight {
        let patience = (answer_time * 3 / 2).min(MOST_PATIENCE).saturating_sub(REPEATS[0]);
        Flight { path, datagrams: vec![datagram.to_vec()], began: now, patience, sent: now, repeats: 0 }
    }

    /// Since it was sent first.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// Takes the next datagram, or the first of a repetition by the peer itself, which keeps the schedule.
    pub(crate) fn push(&mut self, path: FiveTuple, datagram: &[u8], now: Instant) {
        if now.saturating_duration_since(self.sent) > SENDING {
            self.datagrams.clear();
            self.path = path;
            self.sent = now;
        }
        if self.datagrams.len() < MAX_DATAGRAMS {
            self.datagrams.push(datagram.to_vec());
        }
    }

    /// When to repeat it.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        REPEATS.get(self.repeats).map(|after| self.began + self.patience + *after)
    }

    /// The datagrams to repeat now, if the time has come.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<(FiveTuple, &[Vec<u8>])> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return None;
        }
        self.repeats += 1;
        self.sent = now;
        Some((self.path, &self.datagrams))
    }

    /// The datagrams to repeat because the client repeated its own flight and so has not got this one. `is_last`: it
    /// ends the handshake.
    pub(crate) fn echo(&mut self, is_last: bool, now: Instant) -> Option<(FiveTuple, &[Vec<u8>])> {
        let interval = if is_last { REPEATS[0] + self.patience } else { ECHO_INTERVAL };
        if now.saturating_duration_since(self.sent) < interval {
            return None;
        }
        self.sent = now;
        Some((self.path, &self.datagrams))
    }
}
