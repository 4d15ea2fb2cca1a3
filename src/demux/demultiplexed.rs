//! The words between the demultiplexer and its worker: what a datagram was, and what happened.

use std::time::Duration;

use crate::dtls::SrtpProfiles;
use crate::five_tuple::FiveTuple;
use crate::reason::DropReason;

/// The number a worker gives to a session at its demultiplexer.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(pub u32);

/// What a datagram was, and what to do with it.
#[derive(PartialEq, Eq, Debug)]
pub enum Demultiplexed {
    /// SRTP on a path of this session: open it.
    Rtp(Key),
    /// SRTCP on a path of this session: give it to the peer.
    Rtcp(Key),
    /// DTLS of this session: give it to the peer.
    Dtls {
        /// Whose it is.
        key: Key,
        /// What to give to the peer instead of what arrived: a ClientHello put together.
        datagram: Option<Vec<u8>>,
        /// Records of it are dropped, as for [`DropReason::ClearDtls`]: count one.
        clear: bool,
    },
    /// The first ClientHello of this session, whole: decide the SRTP profile, then give `datagram` to the peer.
    ClientHello {
        /// Whose it is.
        key: Key,
        /// What the client supports.
        profiles: SrtpProfiles,
        /// The ClientHello in one record.
        datagram: Vec<u8>,
    },
    /// The first authentic check of this session was answered: open the peer now.
    Opened(Key),
    /// STUN, dealt with; an answer may wait in `poll_transmit`.
    Answered,
    /// DTLS that waits for its rest or that the peer has already; nothing to do.
    Held,
    /// A check for a session that is not at this demultiplexer: ask the pending sessions, admit it, hand the datagram in again.
    UnknownUfrag {
        /// The relay's ufrag in the USERNAME; ICE characters only.
        ufrag: String,
    },
    /// From an address that no session here was heard on, or STUN that answers no check of this demultiplexer: perhaps
    /// another worker's.
    Foreign,
    /// Nobody's, or refused.
    Dropped(DropReason),
}

/// What happened to a session. After any of the last three the session is over: remove it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Media goes to another path from now on.
    Moved {
        /// Whose.
        key: Key,
        /// The path, proven.
        path: FiveTuple,
    },
    /// Requests under this ufrag of ours are not believed any more: an ICE restart has replaced it.
    Retired {
        /// Whose.
        key: Key,
        /// The user name fragment.
        ufrag: String,
    },
    /// A session that somebody waits for was heard: see [`Demux::await_sign`](super::Demux::await_sign).
    Heard(Key),
    /// 30 s without valid STUN, SRTP or SRTCP.
    Silent(Key),
    /// 10 s from admission without a completed DTLS handshake.
    NeverConnected(Key),
    /// More handshake than any client needs.
    Flooded(Key),
}

/// What a session's log line tells about the demultiplexer.
#[derive(Copy, Clone, Default, Debug)]
pub struct Facts {
    /// Authentic checks.
    pub checks: u64,
    /// Checks that named this session without its integrity.
    pub forged: u64,
    /// Where the first authentic check came from.
    pub first: Option<FiveTuple>,
    /// Addresses that sent authentic checks.
    pub paths: u32,
    /// Moves of media to another path.
    pub moves: u32,
    /// DTLS, RTP and RTCP refused.
    pub dropped: u64,
    /// To the client and back, as the last answered [`Demux::probe`](super::Demux::probe) showed.
    pub round_trip: Option<Duration>,
    /// What the ClientHello offered; `None` when none came.
    pub profiles: Option<SrtpProfiles>,
}
