//! One session's filter: it gets every decrypted packet of the client and every packet that webrtc-rs sends.

use std::time::Instant;

use super::association::{Association, Fate};
use super::dcep::Reliability;
use super::handshake::{InitDecision, SctpHandshake};
use super::packet::{self, Chunk, Packet};
use super::rate::{ChannelLimits, RateBudget};
use super::violation::Violation;
use crate::reason::DropReason;

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtered {
    /// It may go on, perhaps changed; some of it may have been dropped.
    Pass(Option<DropReason>),
    /// It is dropped; without a reason it is useless and harmless, and is not counted.
    Drop(Option<DropReason>),
    /// The session must end.
    End(Violation),
}

/// The filter of one session.
#[derive(Debug)]
pub struct Filter {
    longest: usize,
    allowance: Option<RateBudget>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// No association yet.
    Opening(SctpHandshake),
    Open(Box<Association>),
    /// The association has ended, or the session has no data channels.
    Closed,
}

impl Filter {
    /// A filter for a session with data channels; without limits the session has none, and every packet is dropped.
    pub fn new(limits: Option<ChannelLimits>) -> Self {
        let state = limits.map_or(State::Closed, |_| State::Opening(SctpHandshake::default()));
        let allowance = limits.and_then(|limits| limits.rates).map(RateBudget::new);
        Self { longest: limits.map_or(0, |limits| limits.message), allowance, state }
    }

    /// Takes a decrypted packet of the client, and blanks the parts of it that must not pass.
    pub fn handle_inbound(&mut self, bytes: &mut [u8], now: Instant) -> Filtered {
        let (verdict, edits) = self.judge(bytes, now);
        if !matches!(verdict, Filtered::Pass(_)) || edits.is_empty() {
            return verdict;
        }
        for edit in edits {
            match edit {
                Edit::Blank(chunk) => packet::blank(bytes, chunk),
                Edit::Abort(chunk) => packet::simplify_abort(bytes, chunk),
                Edit::Padding(padding) => bytes[padding].fill(0),
            }
        }
        packet::seal(bytes);
        verdict
    }

    /// Takes a packet that webrtc-rs is about to send.
    pub fn handle_outbound(&mut self, bytes: &[u8]) {
        let Some(packet) = Packet::read_own(bytes) else { return };
        for (_, chunk) in &packet.chunks {
            match (&mut self.state, chunk) {
                (State::Opening(handshake), Chunk::Init(init)) => handshake.sent_init(init),
                (State::Opening(handshake), Chunk::InitAck(init)) => handshake.sent_init_ack(packet.tag, init),
                (State::Open(association), chunk) => association.sends(chunk),
                _ => {}
            }
        }
    }

    /// The reliability that the client gave to the channel that it opened on a stream; full if it is not known. The
    /// second call for a channel returns full.
    pub fn take_reliability(&mut self, stream: u16) -> Reliability {
        let State::Open(association) = &mut self.state else { return Reliability::Full };
        association.streams.take_reliability(stream).unwrap_or(Reliability::Full)
    }

    fn judge(&mut self, bytes: &[u8], now: Instant) -> (Filtered, Vec<Edit>) {
        match self.try_judge(bytes, now) {
            Ok((verdict, edits)) => (verdict, edits),
            Err(Refusal::Loss(loss)) => (Filtered::Drop(loss), Vec::new()),
            Err(Refusal::Violation(violation)) => {
                self.state = State::Closed;
                (Filtered::End(violation), Vec::new())
            }
        }
    }

    fn try_judge(&mut self, bytes: &[u8], now: Instant) -> Result<(Filtered, Vec<Edit>), Refusal> {
        if matches!(self.state, State::Closed) {
            return Err(Refusal::Loss(Some(DropReason::SctpUnexpected)));
        }
        let packet = Packet::read(bytes)?;
        self.open(&packet)?;
        let fragments = packet.chunks.iter().filter_map(|(_, chunk)| match chunk {
            Chunk::Data(data) => Some(data),
            _ => None,
        });
        let messages = fragments.clone().filter(|data| data.begins).count();
        let lengths = fragments.map(|data| data.payload.len());
        if self.allowance.as_mut().is_some_and(|allowance| !allowance.take(messages, lengths, now)) {
            return Err(DropReason::SctpRate.into());
        }
        self.pass(&packet, bytes.len())
    }

    /// Checks that the packet belongs to the association, or begins one.
    fn open(&mut self, packet: &Packet<'_>) -> Result<(), Refusal> {
        let first = packet.chunks.first().map(|(_, chunk)| chunk);
        let established = match (&mut self.state, first) {
            (State::Opening(handshake), Some(Chunk::Init(init))) => {
                return match handshake.handle_init(init) {
                    InitDecision::Pass => Ok(()),
                    InitDecision::Refuse => Err(DropReason::SctpUnexpected.into()),
                    InitDecision::Ignore => Err(Refusal::Loss(None)),
                };
            }
            (State::Opening(handshake), Some(Chunk::InitAck(init))) => handshake.handle_init_ack(packet.tag, init),
            (State::Opening(handshake), Some(Chunk::CookieEcho(cookie))) => {
                handshake.handle_cookie_echo(packet.tag, cookie)
            }
            (State::Opening(handshake), Some(Chunk::Abort)) if handshake.knows(packet.tag) => return Ok(()),
            (State::Opening(_) | State::Closed, _) => None,
            (State::Open(_), Some(Chunk::Init(_))) => return Err(DropReason::SctpUnexpected.into()),
            (State::Open(association), _) if association.tag() == packet.tag => return Ok(()),
            (State::Open(_), _) => return Err(DropReason::SctpMalformed.into()),
        };
        let association = Association::new(established.ok_or(DropReason::SctpUnexpected)?, self.longest);
        self.state = State::Open(Box::new(association));
        Ok(())
    }

    /// Takes the chunks of a packet one after the other.
    fn pass(&mut self, packet: &Packet<'_>, length: usize) -> Result<(Filtered, Vec<Edit>), Refusal> {
        let State::Open(association) = &mut self.state else {
            // An INIT, or an ABORT of an association that is not established.
            return match packet.chunks.first() {
                Some((chunk, Chunk::Abort)) => {
                    let edits = vec![Edit::Abort(chunk.clone())];
                    self.state = State::Closed;
                    Ok((Filtered::Pass(None), edits))
                }
                _ => Ok((Filtered::Pass(None), Vec::new())),
            };
        };
        let (mut edits, mut blanked, mut lost) = (Vec::new(), 0, None);
        edits.extend(packet.padding.clone().map(Edit::Padding));
        let mut uncounted = length;
        let mut chunks = packet.chunks.iter();
        while let Some((place, chunk)) = chunks.next() {
            match association.handle(chunk, &mut uncounted)? {
                Fate::Pass => {}
                Fate::Blank(loss) => {
                    lost = lost.or(loss);
                    blanked += 1;
                    edits.push(Edit::Blank(place.clone()));
                }
                Fate::Abort => {
                    edits.push(Edit::Abort(place.clone()));
                    edits.extend(chunks.map(|(place, _)| Edit::Blank(place.clone())));
                    self.state = State::Closed;
                    return Ok((Filtered::Pass(lost), edits));
                }
                Fate::Stop => {
                    blanked += 1 + chunks.len();
                    edits.push(Edit::Blank(place.clone()));
                    edits.extend(chunks.map(|(place, _)| Edit::Blank(place.clone())));
                    break;
                }
            }
        }
        let verdict = if blanked == packet.chunks.len() { Filtered::Drop(lost) } else { Filtered::Pass(lost) };
        Ok((verdict, edits))
    }
}

/// A chunk that changes.
#[derive(Debug)]
enum Edit {
    Blank(std::ops::Range<usize>),
    Abort(std::ops::Range<usize>),
    Padding(std::ops::Range<usize>),
}

/// Nothing of a packet passes.
enum Refusal {
    Loss(Option<DropReason>),
    Violation(Violation),
}

impl From<DropReason> for Refusal {
    fn from(loss: DropReason) -> Self {
        Self::Loss(Some(loss))
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}
