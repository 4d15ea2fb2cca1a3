//! A request for a session, and its result: a pending session, or the reason why there is none.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::auth::{Credential, Limits};
use crate::forward::codec::Format;
use crate::metrics::Refusal;
use crate::name::{Role, SessionId, StreamName};
use crate::sdp::{Negotiated, OfferError};
use crate::session::ClientSource;
use crate::stream::TakeoverRefused;
use crate::turn::Credentials;

/// A request for a session.
#[derive(Debug)]
pub struct Create {
    /// Publish or watch.
    pub role: Role,
    /// The stream.
    pub stream: StreamName,
    /// The SDP offer.
    pub offer: String,
    /// The relay's address on which the HTTP request arrived, if known.
    pub http_local: Option<IpAddr>,
    /// The address of the HTTP listener, if it takes media too.
    pub media_by_http: Option<SocketAddr>,
    /// The client's address.
    pub http_remote: IpAddr,
    /// How that address is known.
    pub source: ClientSource,
    /// The client's `User-Agent`, for the log.
    pub user_agent: Option<String>,
    /// The credential of the request: only its holder may change or end the session.
    pub credential: Credential,
    /// What the grant of the request allows.
    pub limits: Limits,
    /// A standby: a publisher that takes over when the live one falls silent.
    pub standby: bool,
    /// A leg: another relay is the client.
    pub leg: bool,
    /// A leg brings the stream, so that a viewer may wait for it even where early viewers are refused.
    pub expected: bool,
}

/// A session that waits for its first packet.
#[derive(Debug)]
pub struct CreatedSession {
    /// Its name.
    pub session: SessionId,
    /// The SDP answer.
    pub answer: String,
    /// Strong entity tag of its ICE session, with quotes.
    pub etag: String,
    /// The relay's own TURN server for it, where there is one.
    pub(crate) turn: Option<TurnServer>,
}

/// The relay's own TURN server for a session.
#[derive(Debug)]
pub(crate) struct TurnServer {
    /// The best address at which it accepts connections without TLS.
    pub(crate) address: Option<SocketAddr>,
    /// Its credentials, which end with the session.
    pub(crate) credentials: Credentials,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The offer's fault.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// Too many sessions wait for their first packet.
    #[error("the relay has too many sessions that are not connected yet: try again in {} s", retry_after.as_secs())]
    Full {
        /// When to try again.
        retry_after: Duration,
    },
    /// The relay has as many sessions as it may.
    #[error("the relay is full: it has {limit} sessions, as many as --max-sessions allows; try again later")]
    TooManySessions {
        /// The limit.
        limit: usize,
        /// When to try again.
        retry_after: Duration,
    },
    /// The stream has as many viewers as it may.
    #[error("the stream is full: it has {limit} viewers, as many as --max-viewers allows; try again later")]
    TooManyViewers {
        /// The limit.
        limit: usize,
        /// When to try again.
        retry_after: Duration,
    },
    /// The client's address has as many sessions as it may.
    #[error(
        "your address has {limit} sessions, as many as --max-sessions-per-address allows: end one, or try again later"
    )]
    TooManyFromAddress {
        /// The limit.
        limit: usize,
        /// When to try again.
        retry_after: Duration,
    },
    /// The viewers with the client's token are as many as it allows.
    #[error("this token has {limit} viewers of this stream, as many as it allows: end one, or try again later")]
    TooManyOfToken {
        /// The limit.
        limit: usize,
        /// When to try again.
        retry_after: Duration,
    },
    /// The relay is stopping.
    #[error("the relay is stopping: try again in {} s", retry_after.as_secs())]
    Draining {
        /// When to try again.
        retry_after: Duration,
    },
    /// The stream has a publisher that this client is not to replace now.
    #[error(transparent)]
    Refused(#[from] TakeoverRefused),
    /// The stream has no publisher, and viewers are not to wait for one.
    #[error("nobody publishes this stream: try again in {} s", retry_after.as_secs())]
    NotPublished {
        /// When to try again.
        retry_after: Duration,
    },
    /// This machine has no address that the client could reach.
    #[error("the relay knows no address that the client can reach: start it with --advertise IP")]
    NoAddress,
    /// No address of another relay can be sent to.
    #[error(
        "the other relay named no address that this machine has a route to: check the addresses in its answer, and \
         --media if only one of this machine's is bound"
    )]
    NoRoute,
    /// The system gives no socket for another leg.
    #[error("cannot open a socket for a leg: {0}: raise the limit of open files (ulimit -n)")]
    NoSocket(std::io::Error),
}

/// How long a client should wait before it asks an overloaded or stopping relay again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(2);

/// How long a client should wait before it asks a relay without a free slot again.
pub(crate) const FULL_RETRY: Duration = Duration::from_secs(10);

impl CreateError {
    /// Whether another node may have room for the session.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::TooManySessions { .. } | Self::Full { .. } | Self::Draining { .. })
    }

    /// The metric's label, if the relay has no room.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::TooManySessions { .. } => Some(Refusal::MaxSessions),
            Self::TooManyViewers { .. } => Some(Refusal::MaxViewers),
            Self::TooManyOfToken { .. } => Some(Refusal::MaxViewersOfToken),
            Self::TooManyFromAddress { .. } => Some(Refusal::MaxSessionsPerAddress),
            Self::Full { .. } => Some(Refusal::Waiting),
            Self::Draining { .. } => Some(Refusal::Draining),
            Self::Offer(_)
            | Self::Refused(_)
            | Self::NotPublished { .. }
            | Self::NoAddress
            | Self::NoRoute
            | Self::NoSocket(_) => None,
        }
    }
}

/// The formats of the sections in which a publisher can send only one.
pub(crate) fn formats_of(negotiated: &Negotiated) -> Vec<Format> {
    let only = negotiated.sections.iter().filter_map(|section| match section.payloads.as_slice() {
        [only] => Some(only.format.clone()),
        _ => None,
    });
    only.collect()
}
