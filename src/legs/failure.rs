//! Why a leg does not run.

use std::time::Duration;

use crate::client::HttpClientError;
use crate::cluster::CallError;
use crate::label::Label as _;
use crate::metrics::LegFailure;
use crate::node::CreateError;
use crate::reason::EndReason;
use crate::sdp::AnswerError;

/// Why a leg does not run; each text is for the operator.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Its token cannot be read.
    #[error("{0}")]
    Token(String),
    /// The server did not create a session.
    #[error(transparent)]
    Http(#[from] HttpClientError),
    /// Its answer is not usable.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// Its answer has no address for UDP.
    #[error("the server's answer names no address for media by UDP: check its own settings of public addresses")]
    NoAddress,
    /// Its answer has only addresses that may not be used.
    #[error("the server's answer names only {0}, which is not used for media: list its network in --leg-allow")]
    NotAllowed(String),
    /// No node that is known has the stream and can be reached.
    #[error("no node that has the stream can be reached: set --node-url on each node")]
    NoParent,
    /// Another node is not reachable, or is not that node.
    #[error(transparent)]
    Node(#[from] CallError),
    /// Another node gives no leg.
    #[error("the node answered {0}: it has no media of the stream, or no place for one more leg")]
    NodeRefused(u16),
    /// Another node did not answer in time.
    #[error("the node did not answer within {:.1} s", .0.as_secs_f32())]
    Slow(Duration),
    /// Another node has claimed the stream while one was asked.
    #[error("another node has claimed the stream")]
    Claimed,
    /// The addresses of a node may not be used.
    #[error("the node names only {0}, which is not used for media: list its network in --cluster-allow")]
    NodeNotAllowed(String),
    /// This relay takes no session.
    #[error(transparent)]
    Here(#[from] CreateError),
    /// No media path came about.
    #[error("no connection for media came about ({}){}", .reason.as_str(), detail(.explanation))]
    NotConnected {
        /// Why the session ended.
        reason: EndReason,
        /// What the relay makes of it.
        explanation: Option<String>,
    },
    /// The session ran, and ended.
    #[error("the session has ended ({})", .0.as_str())]
    Lost(EndReason),
}

fn detail(explanation: &Option<String>) -> String {
    explanation.as_ref().map(|sentence| format!(": {sentence}")).unwrap_or_default()
}

impl Failure {
    /// The label of its metric.
    pub(super) fn label(&self) -> LegFailure {
        match self {
            Self::Token(_) => LegFailure::Token,
            Self::Http(HttpClientError::Refused { status: 401 | 403, .. }) => LegFailure::Unauthorized,
            Self::Http(HttpClientError::Refused { status: 404 | 410, .. }) => LegFailure::NotFound,
            Self::Http(HttpClientError::Refused { .. }) => LegFailure::Refused,
            Self::Http(HttpClientError::NotAllowed { .. })
            | Self::NotAllowed(_)
            | Self::NodeNotAllowed(_)
            | Self::NoAddress => LegFailure::Address,
            Self::NodeRefused(_) => LegFailure::Refused,
            Self::Node(_) | Self::Slow(_) | Self::NoParent | Self::Claimed => LegFailure::Unreachable,

            Self::Http(HttpClientError::Incomplete { .. } | HttpClientError::TooLarge { .. }) | Self::Answer(_) => {
                LegFailure::Answer
            }
            Self::Http(_) => LegFailure::Unreachable,
            Self::Here(_) => LegFailure::Here,
            Self::NotConnected { .. } => LegFailure::NotConnected,
            Self::Lost(_) => LegFailure::Lost,
        }
    }

    /// When the server wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Http(HttpClientError::Refused { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }
}
