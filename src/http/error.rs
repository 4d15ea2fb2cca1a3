//! What a client did wrong, or cannot have now. The one place that turns it into a status and a problem document
//! (RFC 9457); there is no variant for a 500, because nothing that a client sends is the relay's fault.

use std::time::Duration;

use axum::Json;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Denied;

/// When to ask again whether a token allows something.
const UNDECIDED_RETRY: Duration = Duration::from_secs(5);

/// Why a request was refused. The texts are for the author of the client.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    /// The request cannot be understood.
    #[error("{0}")]
    Malformed(String),
    /// No token, or one that does not count.
    #[error("{0}")]
    Unauthorized(Denied),
    /// The token allows something else.
    #[error("{0}")]
    Forbidden(Denied),
    /// Whether the client has access is not decided.
    #[error("{denied}")]
    Later {
        /// Why.
        denied: Denied,
        /// When to try again.
        retry_after: Duration,
    },
    /// A host name that an attacker may have pointed at this relay.
    #[error(
        "no admin token is set, so this is served only under an IP address, localhost, a name without dots or one below \
         .local: ask under one of these, name the host with --allow-host, or set --admin-token"
    )]
    ForeignHost,
    /// A web page that is not the relay's own.
    #[error("{0}")]
    ForeignOrigin(&'static str),
    /// No such page, endpoint or session; also the session of another client.
    #[error("{0}")]
    NotFound(&'static str),
    /// The path has other methods: the Allow header lists them.
    #[error("this path does not have this method: the Allow header lists those that it has")]
    MethodNotAllowed,
    /// The client does not accept the only type of the answer.
    #[error("the answer is {0}: accept it")]
    NotAcceptable(&'static str),
    /// The body did not arrive in time.
    #[error("the body took longer than {} s: send it at once", .0.as_secs_f32())]
    TooSlow(Duration),
    /// The body is too large.
    #[error("the body is larger than {0} bytes: send less")]
    TooLarge(usize),
    /// The body is of another type.
    #[error("the body must be {0}: set Content-Type")]
    WrongType(&'static str),
    /// The body is of another type, of a kind that clients take for it by mistake.
    #[error("the body must be {expected}, not {given}: send nothing else, and set Content-Type")]
    NoText {
        /// The type to use.
        expected: &'static str,
        /// What it is.
        given: &'static str,
    },
    /// The body is compressed.
    #[error("the body has a Content-Encoding that is not supported: send it uncompressed, without that header")]
    WrongCoding,
    /// Understood, and not supported.
    #[error("{0}")]
    Unsupported(String),
    /// The entity tag is of an older ICE session.
    #[error("the session has a newer entity tag: send the newest in If-Match, or \"*\" to restart ICE")]
    Stale,
    /// A weak entity tag never matches (RFC 9110 13.1.1).
    #[error(
        "If-Match has a weak entity tag: send the session's ETag without W/, which a proxy that compresses answers adds, \
         or \"*\" to restart ICE"
    )]
    WeakTag,
    /// A PATCH must say which ICE session it means.
    #[error("If-Match is missing: send the session's ETag, or \"*\" to restart ICE")]
    NoIfMatch,
    /// Another client has what this one requests.
    #[error("{detail}")]
    Conflict {
        /// Why.
        detail: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// The client has as many of something as it may have.
    #[error("{0}")]
    AtLimit(String),
    /// Too many requests from one address.
    #[error("too many requests {by}: wait")]
    TooMany {
        /// Of whom.
        by: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// This node serves no further node with the stream.
    #[error("{detail}")]
    NoLeg {
        /// Why.
        detail: String,
        /// Other nodes to ask, at most two.
        others: Vec<String>,
        /// When to try again.
        retry_after: Duration,
    },
    /// The relay cannot take one more, or is about to stop.
    #[error("{detail}")]
    Unavailable {
        /// Why.
        detail: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
}

/// What went wrong and what to do (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document {
    /// The name of the status.
    title: &'static str,
    /// The status of the response.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A sentence for a person.
    detail: String,
    /// For a node of the cluster: others that it may ask instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    nodes: Vec<String>,
}

/// The detail of a problem, beside its response, for a layer that shows it in another way.
#[derive(Clone, Debug)]
pub(super) struct Detail(pub(super) String);

impl Problem {
    /// The status of the response; decided here and nowhere else.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::ForeignHost | Self::ForeignOrigin(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict { .. } | Self::AtLimit(_) => StatusCode::CONFLICT,
            Self::Stale | Self::WeakTag => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::WrongType(_) | Self::NoText { .. } | Self::WrongCoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unsupported(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NoIfMatch => StatusCode::PRECONDITION_REQUIRED,
            Self::Later { denied: Denied::SlowedDown, .. } | Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Later { .. } | Self::NoLeg { .. } | Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Nodes to ask instead.
    fn others(&self) -> &[String] {
        match self {
            Self::NoLeg { others, .. } => others,
            _ => &[],
        }
    }

    /// The header that says to a program what the text says to a person.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Unauthorized(Denied::NoToken) => {
                Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sluice\"")))
            }
            Self::Unauthorized(_) => {
                let challenge = HeaderValue::from_static("Bearer realm=\"sluice\", error=\"invalid_token\"");
                Some((WWW_AUTHENTICATE, challenge))
            }
            Self::Forbidden(_) => {
                let challenge = HeaderValue::from_static("Bearer realm=\"sluice\", error=\"insufficient_scope\"");
                Some((WWW_AUTHENTICATE, challenge))
            }
            // RFC 9110 15.5.16: what would have been accepted.
            Self::WrongType(expected) | Self::NoText { expected, .. } => {
                Some((ACCEPT, HeaderValue::from_static(expected)))
            }
            Self::WrongCoding => Some((ACCEPT_ENCODING, HeaderValue::from_static("identity"))),
            Self::Later { retry_after, .. }
            | Self::TooMany { retry_after, .. }
            | Self::Conflict { retry_after, .. }
            | Self::NoLeg { retry_after, .. }
            | Self::Unavailable { retry_after, .. } => {
                // Whole seconds, and never 0: "at once" is what made the trouble.
                let seconds = retry_after.as_secs_f64().ceil().max(1.0);
                Some((RETRY_AFTER, HeaderValue::from(seconds as u64)))
            }
            _ => None,
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NoToken
            | Denied::UnknownToken
            | Denied::Refused
            | Denied::Revoked
            | Denied::Expired
            | Denied::NotYetValid
            | Denied::NotANode
            | Denied::NoTicket
            | Denied::WrongClaims => Self::Unauthorized(denied),
            Denied::NotAllowed | Denied::NoAdmin => Self::Forbidden(denied),
            Denied::Undecided | Denied::SlowedDown => Self::Later { denied, retry_after: UNDECIDED_RETRY },
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let document = Document {
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: self.to_string(),
            nodes: self.others().to_vec(),
        };
        let kind = (CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut response = (status, Json(document)).into_response();
        response.headers_mut().insert(kind.0, kind.1);
        response.headers_mut().extend(self.header());
        response.extensions_mut().insert(Detail(self.to_string()));
        if let Self::Unauthorized(denied) | Self::Forbidden(denied) | Self::Later { denied, .. } = self {
            response.extensions_mut().insert(denied);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_whole_seconds_and_never_zero() {
        for (wait, header) in [(0, "1"), (900, "1"), (1001, "2"), (10_000, "10")] {
            let response =
                Problem::TooMany { by: "from this address", retry_after: Duration::from_millis(wait) }.into_response();
            assert_eq!(response.status(), 429);
            assert_eq!(response.headers()[RETRY_AFTER], header);
        }
    }

    #[test]
    fn a_publisher_that_lost_its_stream_learns_when_to_try_again() {
        let (detail, retry_after) = ("another encoder".to_owned(), Duration::from_secs(9));
        let response = Problem::Conflict { detail, retry_after }.into_response();
        assert_eq!((response.status().as_u16(), &response.headers()[RETRY_AFTER]), (409, &HeaderValue::from(9)));
    }

    #[test]
    fn a_denial_says_whether_another_token_would_help() {
        assert_eq!(
            Problem::from(Denied::NoToken).into_response().headers()[WWW_AUTHENTICATE],
            "Bearer realm=\"sluice\""
        );
        assert_eq!(Problem::from(Denied::UnknownToken).status(), 401);
        assert_eq!(Problem::from(Denied::NotAllowed).status(), 403);
    }
}
