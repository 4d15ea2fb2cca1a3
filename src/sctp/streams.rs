//! The streams of an association, each a data channel (RFC 8831 6): how many are open, and when one is free again.
//!
//! A channel is closed once both sides have reset their direction of its stream (RFC 6525, RFC 8831 6.7). webrtc-rs
//! repeats its own reset until that is answered, and a channel counts as open until then. So a client that closes
//! channels without answering cannot make webrtc-rs repeat more than [`MAX_CHANNELS`] resets.

use super::bounds::{MAX_CHANNELS, MAX_STREAM};
use super::dcep::Reliability;
use super::parameters::{ResetRequest, ResetResponse};
use super::piece::Piece;
use super::violation::Violation;

/// Octets of labels and protocols of all channels that one session opens, with [`OPENED_OVERHEAD`] for each: webrtc-rs
/// keeps statistics of closed channels. Above that the session ends.
pub(super) const MAX_OPENED: usize = 1024 * 1024;
const OPENED_OVERHEAD: usize = 512;

/// Cost of the chunks of ordered messages that can never be delivered, in octets. Clients leave none; above this the
/// session ends.
const MAX_STRANDED: usize = 128 * 1024;

/// The same for fragments of unordered messages, which remain when the client abandons a message. Above this, fragments
/// are dropped on channels that have left some, and only their unfragmented messages pass.
const MAX_STRANDED_UNORDERED: usize = 256 * 1024;

#[derive(Debug)]
struct Stream {
    id: u16,
    /// True if the relay opened the channel.
    is_ours: bool,
    /// From the client's DATA_CHANNEL_OPEN, until it is taken.
    reliability: Option<Reliability>,
    opened: bool,
    /// True once the client has reset its direction.
    ended: bool,
    /// The sequence number of the next ordered message.
    next: u16,
    /// Cost of its chunks that can never be delivered: ordered ones, and unordered ones.
    stranded: [usize; 2],
}

impl Stream {
    fn new(id: u16, is_ours: bool) -> Self {
        Self { id, is_ours, reliability: None, opened: is_ours, ended: false, next: 0, stranded: [0; 2] }
    }
}

/// A request to reset streams that webrtc-rs has not carried out yet.
#[derive(Debug)]
struct Pending {
    number: u32,
    streams: Vec<u16>,
}

/// The streams of one association.
#[derive(Debug, Default)]
pub(super) struct Streams {
    known: Vec<Stream>,
    opened: usize,
    /// The number of the client's last reset request.
    last_request: Option<u32>,
    pending: Option<Pending>,
    /// Resets of webrtc-rs that the client has not answered.
    unanswered: Vec<Pending>,
}

impl Streams {
    /// Whether a chunk may arrive on this stream; false while it is being closed.
    pub(super) fn accepts(&self, id: u16) -> bool {
        match self.known.iter().find(|stream| stream.id == id) {
            Some(stream) => !stream.ended,
            None => !self.is_unanswered(id),
        }
    }

    /// A chunk has arrived on this stream.
    ///
    /// # Errors
    /// [`Violation`] when it is one stream too many.
    pub(super) fn enter(&mut self, id: u16) -> Result<(), Violation> {
        if id >= MAX_STREAM {
            return Err(Violation::StreamTooHigh);
        }
        if self.known.iter().any(|stream| stream.id == id) {
            return Ok(());
        }
        if self.known.iter().filter(|stream| !stream.is_ours).count() >= MAX_CHANNELS {
            return Err(Violation::TooManyChannels);
        }
        self.known.push(Stream::new(id, false));
        Ok(())
    }

    /// The client opens a channel on a stream that was entered.
    ///
    /// # Errors
    /// [`Violation`] when it is open, or was the last one too many.
    pub(super) fn open(&mut self, id: u16, reliability: Reliability, named: usize) -> Result<(), Violation> {
        let stream = self.known.iter_mut().find(|stream| stream.id == id && !stream.opened).ok_or(Violation::Dcep)?;
        stream.opened = true;
        stream.reliability = Some(reliability);
        self.opened += named + OPENED_OVERHEAD;
        if self.opened > MAX_OPENED { Err(Violation::TooManyOpened) } else { Ok(()) }
    }

    /// Whether the client may acknowledge a channel of this stream.
    pub(super) fn is_ours(&self, id: u16) -> bool {
        self.known.iter().any(|stream| stream.id == id && stream.is_ours)
    }

    /// The relay opens a channel.
    pub(super) fn open_own(&mut self, id: u16) {
        match self.known.iter_mut().find(|stream| stream.id == id) {
            Some(stream) => stream.is_ours = true,
            None => self.known.push(Stream::new(id, true)),
        }
    }

    /// The reliability that the client gave to the channel of this stream, once.
    pub(super) fn take_reliability(&mut self, id: u16) -> Option<Reliability> {
        self.known.iter_mut().find(|stream| stream.id == id)?.reliability.take()
    }

    /// A message is complete, and all TSNs before it have arrived or were skipped.
    ///
    /// # Errors
    /// [`Violation::Undeliverable`] when too many octets wait for messages that will not come.
    pub(super) fn complete(&mut self, message: &Piece) -> Result<(), Violation> {
        let Some(stream) = self.known.iter_mut().find(|stream| stream.id == message.stream) else { return Ok(()) };
        // TSNs are given in the order of the messages of a stream, so the one before has arrived or was skipped.
        match message.sequence.wrapping_sub(stream.next).cast_signed() {
            _ if message.unordered => {}
            0 => stream.next = stream.next.wrapping_add(1),
            1.. => return self.strand(message),
            // webrtc-rs drops a message that was skipped.
            _ => {}
        }
        Ok(())
    }

    /// A chunk will stay with webrtc-rs until its stream ends.
    ///
    /// # Errors
    /// [`Violation::Undeliverable`] when ordered messages leave too many such octets.
    pub(super) fn strand(&mut self, piece: &Piece) -> Result<(), Violation> {
        let Some(stream) = self.known.iter_mut().find(|stream| stream.id == piece.stream) else { return Ok(()) };
        if !piece.unordered && piece.sequence.wrapping_sub(stream.next).cast_signed() < 0 {
            return Ok(());
        }
        stream.stranded[usize::from(piece.unordered)] += piece.cost;
        if self.stranded(false) > MAX_STRANDED { Err(Violation::Undeliverable) } else { Ok(()) }
    }

    /// Whether fragments of unordered messages pass on a stream.
    pub(super) fn takes_fragments(&self, id: u16) -> bool {
        let has_left_some = self.known.iter().any(|stream| stream.id == id && stream.stranded[1] > 0);
        !has_left_some || self.stranded(true) <= MAX_STRANDED_UNORDERED
    }

    fn stranded(&self, unordered: bool) -> usize {
        self.known.iter().map(|stream| stream.stranded[usize::from(unordered)]).sum()
    }

    /// Messages up to this one will not come (RFC 3758 3.6).
    pub(super) fn skip(&mut self, id: u16, sequence: u16) {
        if let Some(stream) = self.known.iter_mut().find(|stream| stream.id == id)
            && sequence.wrapping_sub(stream.next).cast_signed() >= 0
        {
            stream.next = sequence.wrapping_add(1);
        }
    }

    /// The client asks to reset its direction of some streams; false if the request is out of turn (RFC 6525 5.2.1).
    pub(super) fn request(&mut self, request: &ResetRequest<'_>) -> bool {
        let repeats = self.last_request == Some(request.number);
        let follows = self.last_request.is_none_or(|last| last.wrapping_add(1) == request.number);
        if !repeats && (!follows || self.pending.is_some()) {
            return false;
        }
        self.last_request = Some(request.number);
        self.pending = Some(Pending { number: request.number, streams: request.streams().collect() });
        true
    }

    /// webrtc-rs has answered the client's request: returns the streams that the client has reset by it.
    pub(super) fn answer_request(&mut self, response: ResetResponse) -> Vec<u16> {
        let Some(done) = self.pending.take_if(|pending| response.is_success() && pending.number == response.number)
        else {
            return Vec::new();
        };
        let mut ended = Vec::new();
        for stream in self.known.iter_mut().filter(|stream| done.streams.contains(&stream.id)) {
            stream.ended = true;
            ended.push(stream.id);
        }
        self.free();
        ended
    }

    /// webrtc-rs resets its own direction of some streams.
    pub(super) fn request_own(&mut self, request: &ResetRequest<'_>) {
        if self.unanswered.iter().all(|pending| pending.number != request.number) {
            self.unanswered.push(Pending { number: request.number, streams: request.streams().collect() });
        }
    }

    /// The client has answered a request of webrtc-rs.
    pub(super) fn answer_own(&mut self, response: ResetResponse) {
        self.unanswered.retain(|pending| pending.number != response.number);
        self.free();
    }

    fn is_unanswered(&self, id: u16) -> bool {
        self.unanswered.iter().any(|pending| pending.streams.contains(&id))
    }

    fn free(&mut self) {
        let unanswered = std::mem::take(&mut self.unanswered);
        let is_unanswered = |id| unanswered.iter().any(|pending| pending.streams.contains(&id));
        self.known.retain(|stream| !stream.ended || is_unanswered(stream.id));
        self.unanswered = unanswered;
    }
}
