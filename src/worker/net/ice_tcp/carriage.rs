//! How a TCP connection carries datagrams: in frames (ICE-TCP), or by TURN.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use super::frames::{self, FrameTooLong};
use crate::five_tuple::{FiveTuple, Protocol};
use crate::turn;
use crate::turn::frames::NotTurn;
use crate::turn::server::{Effect, Server};
use crate::turn::service::Desk;

/// How a connection carries datagrams.
#[derive(Debug, Default)]
pub(super) enum Carriage {
    /// Too little has arrived to say.
    #[default]
    Unknown,
    /// In frames (RFC 4571).
    Frames,
    /// By TURN (RFC 8656).
    Turn(Box<Server>),
}

/// A whole frame or message.
pub(super) struct Whole {
    pub(super) content: Content,
    /// The octets up to the next one.
    pub(super) length: usize,
}

/// What is in it.
pub(super) enum Content {
    Nothing,
    /// A datagram that came by this path, and where it is.
    Datagram(FiveTuple, Range<usize>),
    /// Octets to send to the client.
    Answer(Vec<u8>),
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By the client, or by the network.
    Closed,
    /// What arrived is neither in frames nor TURN.
    Malformed,
}

impl Carriage {
    /// Takes the frame or message that `octets` begin with; `None` if it is not whole. `path` is that of the connection.
    ///
    /// # Errors
    /// [`Ended::Malformed`] if there is none, or the client is refused.
    pub(super) fn next(
        &mut self,
        octets: &[u8],
        path: &FiveTuple,
        (desk, now): (Option<Desk<'_>>, Instant),
    ) -> Result<Option<Whole>, Ended> {
        if let Self::Unknown = self {
            match turn::frames::begins_with_turn(octets) {
                None => return Ok(None),
                Some(true) => *self = Self::Turn(Box::new(Server::new(now))),
                Some(false) => *self = Self::Frames,
            }
        }
        match self {
            Self::Turn(server) => {
                // Without a desk the relay is no TURN server.
                let desk = desk.ok_or(Ended::Malformed)?;
                let turn::frames::Next::Whole { length, padded } = turn::frames::next(octets)? else { return Ok(None) };
                let content = match server.handle(&octets[..length], path.remote, desk, now) {
                    Effect::Nothing => Content::Nothing,
                    Effect::Answer(answer) => Content::Answer(answer),
                    Effect::Datagram { from, to, contents } => {
                        Content::Datagram(FiveTuple { local: to, remote: from, protocol: Protocol::Turn }, contents)
                    }
                    Effect::Close => return Err(Ended::Malformed),
                };
                Ok(Some(Whole { content, length: padded }))
            }
            Self::Unknown | Self::Frames => {
                let frames::Next::Whole(length) = frames::next(octets)? else { return Ok(None) };
                let end = frames::LENGTH + length;
                // A frame may be empty (RFC 4571 2).
                let content =
                    if length == 0 { Content::Nothing } else { Content::Datagram(*path, frames::LENGTH..end) };
                Ok(Some(Whole { content, length: end }))
            }
        }
    }

    /// Appends a datagram of the relay's that comes from `local`. False if the client may get none from there.
    pub(super) fn append(&self, local: SocketAddr, datagram: &[u8], now: Instant, to: &mut impl Extend<u8>) -> bool {
        match self {
            Self::Turn(server) => server.wrap(local, datagram, now, to),
            Self::Unknown | Self::Frames => {
                frames::append(datagram, to);
                true
            }
        }
    }

    /// The relayed address of the allocation, where there is one.
    pub(super) fn relayed(&self) -> Option<SocketAddr> {
        match self {
            Self::Turn(server) => server.relayed(),
            Self::Unknown | Self::Frames => None,
        }
    }

    /// The paths of the datagrams that come by the connection with this path.
    pub(super) fn paths(&self, path: &FiveTuple) -> Vec<FiveTuple> {
        match self {
            Self::Turn(server) => {
                let relayed = server.relayed().into_iter();
                let path = |remote| server.peers().iter().map(move |local| (remote, *local));
                let ends = relayed.flat_map(path);
                ends.map(|(remote, local)| FiveTuple { local, remote, protocol: Protocol::Turn }).collect()
            }
            Self::Unknown | Self::Frames => vec![*path],
        }
    }
}

impl From<FrameTooLong> for Ended {
    fn from(_: FrameTooLong) -> Self {
        Self::Malformed
    }
}

impl From<NotTurn> for Ended {
    fn from(_: NotTurn) -> Self {
        Self::Malformed
    }
}
