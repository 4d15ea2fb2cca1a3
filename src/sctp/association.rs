//! An established association: whether each chunk of the client fits what both sides have sent so far.

use super::dcep::Dcep;
use super::handshake::{Established, Side};
use super::intake::{Intake, TsnArrival, WINDOW};
use super::packet::{Chunk, Data, ForwardTsn, Sack};
use super::parameters::Reconfiguration;
use super::piece::Piece;
use super::streams::Streams;
use super::violation::Violation;
use crate::reason::DropReason;

/// What becomes of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Pass,
    /// Taken out of its packet; counted if there is a reason.
    Blank(Option<DropReason>),
    /// An ABORT: passes in a form that webrtc-rs can read, and nothing passes after it.
    Abort,
    /// Taken out with everything behind it (RFC 9260 3.2).
    Stop,
}

#[derive(Debug)]
pub(super) struct Association {
    established: Established,
    pub(super) intake: Intake,
    pub(super) streams: Streams,
    /// The last TSN that webrtc-rs sent or abandoned.
    sent: u32,
}

impl Association {
    /// Messages have at most `longest` octets.
    pub(super) fn new(established: Established, longest: usize) -> Self {
        let intake = Intake::new(established.theirs.tsn, longest);
        let sent = established.ours.tsn.wrapping_sub(1);
        Self { established, intake, streams: Streams::default(), sent }
    }

    /// The verification tag of the client's packets.
    pub(super) fn tag(&self) -> u32 {
        self.established.ours.tag
    }

    /// Takes a chunk of the client; `packet` is the length of its packet, until a DATA chunk was counted with that.
    ///
    /// # Errors
    /// [`Violation`] when the session must end.
    pub(super) fn handle(&mut self, chunk: &Chunk<'_>, packet: &mut usize) -> Result<Fate, Violation> {
        let lost = |loss| Ok(Fate::Blank(Some(loss)));
        match chunk {
            Chunk::Data(data) => self.handle_data(data, packet),
            Chunk::Sack(sack) if self.is_sane(sack) => Ok(Fate::Pass),
            Chunk::ForwardTsn(forward) => self.handle_forward_tsn(forward),
            Chunk::Reconfiguration(reconfiguration) => Ok(self.handle_reconfiguration(reconfiguration)),
            Chunk::Heartbeat | Chunk::CookieAck => Ok(Fate::Pass),
            Chunk::Shutdown | Chunk::ShutdownAck | Chunk::ShutdownComplete => Ok(Fate::Pass),
            Chunk::CookieEcho(cookie) if **cookie == *self.established.cookie => Ok(Fate::Pass),
            Chunk::Abort => Ok(Fate::Abort),
            Chunk::InitAck(init) if self.established.theirs == Side::from(init) => Ok(Fate::Pass),
            // webrtc-rs ends the association for an ERROR; its sender would send an ABORT for that.
            Chunk::Error | Chunk::HeartbeatAck => Ok(Fate::Blank(None)),
            Chunk::Unknown { stops } => Ok(if *stops { Fate::Stop } else { Fate::Blank(None) }),
            Chunk::Unsupported | Chunk::Init(_) | Chunk::InitAck(_) | Chunk::CookieEcho(_) => {
                lost(DropReason::SctpUnexpected)
            }
            Chunk::Sack(_) => lost(DropReason::SctpWindow),
        }
    }

    /// webrtc-rs sends a chunk.
    pub(super) fn sends(&mut self, chunk: &Chunk<'_>) {
        match chunk {
            Chunk::Data(data) => {
                self.sent = later(self.sent, data.tsn);
                if let Ok(Some(Dcep::Open { .. })) = data.dcep() {
                    self.streams.open_own(data.stream);
                }
            }
            // webrtc-rs gives TSNs to messages that it abandons, and names those only here.
            Chunk::ForwardTsn(forward) => self.sent = later(self.sent, forward.cumulative),
            Chunk::Sack(sack) => self.intake.acknowledged(sack.cumulative),
            Chunk::Reconfiguration(Reconfiguration { request, response }) => {
                if let Some(request) = request {
                    self.streams.request_own(request);
                }
                if let Some(response) = response {
                    for stream in self.streams.answer_request(*response) {
                        self.intake.end_stream(stream);
                    }
                }
            }
            _ => {}
        }
    }

    fn handle_data(&mut self, data: &Data<'_>, packet: &mut usize) -> Result<Fate, Violation> {
        let piece = Piece::new(data, *packet);
        let tsn = match self.intake.admits(data.tsn, &piece) {
            Ok(TsnArrival::New(tsn)) => tsn,
            Ok(TsnArrival::Repeated) => return Ok(Fate::Pass),
            Err(loss) => return Ok(Fate::Blank(Some(loss))),
        };
        if !self.streams.accepts(data.stream) {
            return Ok(Fate::Blank(Some(DropReason::SctpUnexpected)));
        }
        let is_fragment = !(data.begins && data.ends);
        if data.unordered && is_fragment && !self.streams.takes_fragments(data.stream) {
            return Ok(Fate::Blank(Some(DropReason::SctpWindow)));
        }
        let dcep = data.dcep()?;
        if dcep == Some(Dcep::Ack) && !self.streams.is_ours(data.stream) {
            return Err(Violation::Dcep);
        }
        self.streams.enter(data.stream)?;
        if let Some(Dcep::Open { reliability, named }) = dcep {
            self.streams.open(data.stream, reliability, named)?;
        }
        *packet = 0;
        self.intake.take(tsn, piece, &mut self.streams)?;
        Ok(Fate::Pass)
    }

    fn handle_forward_tsn(&mut self, forward: &ForwardTsn<'_>) -> Result<Fate, Violation> {
        let distance = self.intake.distance(forward.cumulative);
        if distance > WINDOW {
            return Ok(Fate::Blank(Some(DropReason::SctpWindow)));
        }
        // An old one is repeated because an acknowledgement was lost; webrtc-rs acknowledges again.
        if distance > 0 {
            self.intake.skip(forward.cumulative, forward.streams(), &mut self.streams)?;
        }
        Ok(Fate::Pass)
    }

    fn handle_reconfiguration(&mut self, reconfiguration: &Reconfiguration<'_>) -> Fate {
        if let Some(request) = &reconfiguration.request {
            let holds = self.intake.distance(request.last_tsn) <= WINDOW;
            if !holds || !self.streams.request(request) {
                return Fate::Blank(Some(DropReason::SctpUnexpected));
            }
        }
        if let Some(response) = reconfiguration.response {
            self.streams.answer_own(response);
        }
        Fate::Pass
    }

    /// Whether everything that a SACK acknowledges was sent; otherwise webrtc-rs would end the association.
    fn is_sane(&self, sack: &Sack<'_>) -> bool {
        let is_sent = |tsn: u32| self.sent.wrapping_sub(tsn).cast_signed() >= 0;
        is_sent(sack.cumulative) && sack.last().is_some_and(is_sent)
    }
}

/// The later of two TSNs (RFC 1982).
fn later(one: u32, other: u32) -> u32 {
    if other.wrapping_sub(one).cast_signed() > 0 { other } else { one }
}
