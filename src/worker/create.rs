//! What a client asks for with its POST, and what it gets: a session that waits, or the reason why there is none.

use std::net::IpAddr;
use std::time::Duration;

use crate::auth::Credential;
use crate::name::{Role, SessionId, StreamName};
use crate::peer::negotiate::OfferError;
use crate::stream::Refused;

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
    /// The client's address.
    pub http_remote: IpAddr,
    /// The client's name of itself, for the log.
    pub user_agent: Option<String>,
    /// Who asks: only the same holder may change or end the session.
    pub credential: Credential,
    /// A publisher that is to stand beside the live one and to take over when that falls silent.
    pub standby: bool,
}

/// A session that waits for its first packet.
#[derive(Debug)]
pub struct Created {
    /// Its name.
    pub session: SessionId,
    /// The SDP answer.
    pub answer: String,
    /// Strong entity tag of its ICE session, with quotes.
    pub etag: String,
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
    /// The relay is stopping.
    #[error("the relay is stopping: try again in {} s", retry_after.as_secs())]
    Draining {
        /// When to try again.
        retry_after: Duration,
    },
    /// The stream has a publisher that this client is not to replace now.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nobody publishes the stream, and viewers are not to wait.
    #[error("nobody publishes this stream: try again in {} s", retry_after.as_secs())]
    NotPublished {
        /// When to try again.
        retry_after: Duration,
    },
    /// No address of this machine can be told to the client.
    #[error("the relay knows no address that the client can reach: start it with --advertise IP")]
    NoAddress,
}
