//! The last DTLS flight that a client has not answered, sent again after 150, 300, 600 ms and so on (RFC 6347 4.2.4).
//!
//! webrtc-rs waits a second before it repeats a flight, stops repeating as soon as any handshake record arrives (also a
//! repetition by the client), and once connected answers each repetition, although it may have left before our last
//! flight arrived. So webrtc-rs gets no repetitions, and the demultiplexer repeats the identical datagrams instead.
//! That equals duplication by the network: the record sequence numbers are the same, and a client that has the records
//! drops them.
//!
//! The schedule is longer for a client that took longer to answer the flight before, because of its path or its
//! processor. FFmpeg 9 depends on that: after a repetition of a last flight that it already has, it reads its socket in
//! blocking mode, and sends video only when the relay happens to send it something. So once connected, a repetition by
//! the client counts as a sign that our last flight was lost only if that flight had time to arrive and to be answered.

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

/// The longest time before a flight is repeated first.
const MOST_PATIENCE: Duration = Duration::from_millis(1_500);

/// Datagrams that are sent within this time are one flight.
const SENDING: Duration = Duration::from_millis(20);

/// The shortest time between two answers to repetitions by a client that is handshaking.
const ECHO_INTERVAL: Duration = Duration::from_millis(40);

/// Datagrams of one flight that are kept; the server flight of webrtc-rs has two.
const MAX_DATAGRAMS: usize = 8;

/// One flight and its schedule.
pub(crate) struct Flight {
    path: FiveTuple,
    datagrams: Vec<Vec<u8>>,
    began: Instant,
    /// Added to each time of the schedule.
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

    /// The time since it was first sent.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// Takes the next datagram of the flight, or the first of a repetition by webrtc-rs, which does not change the
    /// schedule.
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

    /// When to repeat the flight; `None` after the last repetition.
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

    /// The datagrams to repeat because the client repeated its own flight and so may lack this one. `is_last`: the
    /// flight ends the handshake.
    pub(crate) fn echo(&mut self, is_last: bool, now: Instant) -> Option<(FiveTuple, &[Vec<u8>])> {
        let interval = if is_last { REPEATS[0] + self.patience } else { ECHO_INTERVAL };
        if now.saturating_duration_since(self.sent) < interval {
            return None;
        }
        self.sent = now;
        Some((self.path, &self.datagrams))
    }
}
