//! Legs: sessions between two relays. Each end checks the other often, and notices soon that it has gone.

use std::time::Duration;

use crate::five_tuple::FiveTuple;

/// The most addresses that one leg dials.
pub(crate) const MAX_DIALLED: usize = 4;

/// The time between the first checks of two addresses (RFC 8445 14.2).
pub(crate) const PACE: Duration = Duration::from_millis(50);

/// How often each end sends a check on the path of its media, so that silent audio or a still screen is not taken for
/// the other end's death.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// A leg ends after this time without valid STUN, SRTP or SRTCP: two checks and their answers may be lost.
pub(crate) const LEG_CONSENT: Duration = Duration::from_millis(600);

/// Which end of a leg a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    /// The other end dials.
    Answering,
    /// This relay dials these paths, best first: the addresses of the other end's answer from a socket of the session's
    /// own.
    Dialling(Vec<FiveTuple>),
}

impl Leg {
    /// The port from which this relay dials, if it does.
    pub(crate) fn own_port(&self) -> Option<u16> {
        match self {
            Self::Answering => None,
            Self::Dialling(paths) => paths.first().map(|path| path.local.port()),
        }
    }
}
