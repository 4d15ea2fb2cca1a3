//! What the demultiplexer returns to its worker: what each datagram is, and what happens to sessions.

use std::time::Duration;

use slotmap::Key as _;

use crate::dtls::SrtpProfiles;
use crate::five_tuple::FiveTuple;
use crate::reason::DropReason;

slotmap::new_key_type! {
    /// What a worker calls a session. A key that outlives its session names no other.
    pub(crate) struct Key;
}

impl Key {
    /// The place of the session among those of its worker. It is used again after the session, by another key.
    pub(crate) fn place(self) -> u32 {
        self.data().as_ffi() as u32
    }

    /// A key for tests: that of the first session in this place.
    #[cfg(test)]
    pub(crate) fn in_place(place: u32) -> Self {
        slotmap::KeyData::from_ffi(1 << 32 | u64::from(place)).into()
    }

    /// A key for tests: that of the next session in the place of this one.
    #[cfg(test)]
    pub(crate) fn next_in_place(self) -> Self {
        slotmap::KeyData::from_ffi(self.data().as_ffi() + (2 << 32)).into()
    }
}

/// What a datagram is, and what to do with it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Demultiplexed {
    /// SRTP on a path of this session: open it.
    Rtp(Key),
    /// SRTCP on a path of this session: give it to the peer.
    Rtcp(Key),
    /// DTLS of this session: give it to the peer.
    Dtls {
        /// The session.
        key: Key,
        /// What to give to the peer instead of what arrived: a reassembled ClientHello.
        datagram: Option<Vec<u8>>,
        /// Records of it are dropped, as for [`DropReason::ClearDtls`]: count one.
        clear: bool,
    },
    /// The first complete ClientHello of this session: choose the SRTP profile, then give `datagram` to the peer.
    ClientHello {
        /// The session.
        key: Key,
        /// What the client supports.
        profiles: SrtpProfiles,
        /// The ClientHello in one record.
        datagram: Vec<u8>,
    },
    /// The first valid check of this session, which was answered, or the first answer to a check of the relay, which
    /// dials: open the peer now.
    Opened(Key),
    /// STUN that needs nothing more; an answer may wait in `poll_transmit`.
    Answered,
    /// A request without credentials was answered: count it.
    PublicAnswer,
    /// Part of a ClientHello whose rest is missing, a ClientHello that the peer already has, or a repetition of the
    /// client's last flight: nothing to do.
    Held,
    /// A check for a session that this demultiplexer does not have: take it from the pending sessions, admit it, and
    /// pass the datagram in again.
    UnknownUfrag {
        /// The relay's ufrag in the USERNAME; ICE characters only.
        ufrag: String,
    },
    /// From a five-tuple that no session here has claimed, or a STUN answer to no check of this demultiplexer; it may
    /// be another worker's.
    Foreign,
    /// Refused, or of no session.
    Dropped(DropReason),
}

/// Why a session is over.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    /// Consent ended: nothing valid arrived by STUN, SRTP or SRTCP for 30 s, or 600 ms on a leg.
    Silent,
    /// 10 s from admission without a completed DTLS handshake.
    NeverConnected,
    /// The client sent more handshake messages than any client needs.
    Flooded,
}

/// What happened to a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum DemuxEvent {
    /// Media goes to another path from now on.
    Moved {
        /// The session.
        key: Key,
        /// The proven path.
        path: FiveTuple,
    },
    /// An ICE restart has replaced this ufrag of the relay: requests that name it are refused from now on.
    Retired {
        /// The session.
        key: Key,
        /// The username fragment.
        ufrag: String,
    },
    /// A session was heard after [`Demux::report_when_heard`](super::Demux::report_when_heard).
    Heard(Key),
    /// A session is over: remove it.
    Over(Key, Over),
}

/// What the demultiplexer contributes to the log line of a session.
#[derive(Copy, Clone, Default, Debug)]
pub(crate) struct DemuxFacts {
    /// Valid checks.
    pub(crate) checks: u64,
    /// Checks that named this session with a wrong MESSAGE-INTEGRITY.
    pub(crate) forged: u64,
    /// The five-tuple of the first valid check.
    pub(crate) first: Option<FiveTuple>,
    /// Five-tuples that valid checks came over.
    pub(crate) paths: u32,
    /// Moves of media to another path.
    pub(crate) moves: u32,
    /// DTLS, RTP and RTCP datagrams that were dropped.
    pub(crate) dropped: u64,
    /// The round-trip time that the last answered [`Demux::probe`](super::Demux::probe) measured.
    pub(crate) round_trip: Option<Duration>,
}
