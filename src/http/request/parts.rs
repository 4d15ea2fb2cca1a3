//! Reads requests strictly: who sent it, which stream, which types, and a body that is bounded in size and time.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use super::mistakes as body;
use crate::auth::Admin;
use crate::http::Shared;
use crate::http::error::Problem;
use crate::name::{SessionId, StreamName};
use crate::session::{Client, Source};

/// Between which addresses a request came; IPv4 is always plain IPv4, also on a dual-stack socket.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Connection {
    pub(in crate::http) local: SocketAddr,
    /// The client, as far as it is known.
    pub(in crate::http) remote: SocketAddr,
    pub(in crate::http) source: Source,
}

impl Connection {
    pub(in crate::http) fn direct(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { local, remote, source: Source::Direct }
    }

    /// Whom the request counts for.
    pub(in crate::http) fn client(&self) -> Client {
        self.source.client(self.remote.ip())
    }

    /// Whether it comes from this machine itself, and not through a proxy here.
    pub(in crate::http) fn is_from_this_machine(&self) -> bool {
        self.source.is_this_machine(self.remote.ip())
    }
}

impl<S: Sync> FromRequestParts<S> for Connection {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        // A request that no listener accepted is one of a test.
        let nowhere = Self::direct(([127, 0, 0, 1], 0).into(), ([127, 0, 0, 1], 0).into());
        Ok(parts.extensions.get().copied().unwrap_or(nowhere))
    }
}

/// The `{stream}` of the path.
#[derive(Debug)]
pub(in crate::http) struct Stream(pub(in crate::http) StreamName);

impl<S: Sync> FromRequestParts<S> for Stream {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let malformed = |reason: &dyn ToString| Problem::Malformed(reason.to_string());
        let Path(text) = Path::<String>::from_request_parts(parts, &state).await.map_err(|error| malformed(&error))?;
        text.parse().map(Self).map_err(|error| malformed(&error))
    }
}

/// The `{id}` of the path; what is no id is no session either.
#[derive(Debug)]
pub(in crate::http) struct Session(pub(in crate::http) SessionId);

/// Proof that the request may see and end every session.
#[derive(Debug)]
pub(in crate::http) struct Administrator(Admin);

impl FromRequestParts<Shared> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        Ok(Self(shared.access.administer(bearer(&parts.headers))?))
    }
}

/// The one text for every session that is not the client's, so that it learns nothing about others.
pub(in crate::http) const NO_SUCH_SESSION: Problem = Problem::NotFound("no such session: it has ended, or never was");

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, &state).await.map_err(|_| NO_SUCH_SESSION)?;
        text.parse().map(Self).map_err(|_| NO_SUCH_SESSION)
    }
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750 2.1); never taken from a query, which ends up in logs.
pub(in crate::http) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text(headers, AUTHORIZATION)?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The client's own name of itself, for the log.
pub(in crate::http) fn user_agent(headers: &HeaderMap) -> Option<String> {
    Some(text(headers, USER_AGENT)?.chars().take(256).collect())
}

/// Checks the type of the body; parameters such as `charset` do not matter.
pub(in crate::http) fn require_type(headers: &HeaderMap, expected: &'static str) -> Result<(), Problem> {
    let given = text(headers, CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
    match given.trim().to_ascii_lowercase().as_str() {
        given if given == expected => Ok(()),
        "application/json" => Err(Problem::NoText { expected, given: "JSON" }),
        "application/x-www-form-urlencoded" | "multipart/form-data" => {
            Err(Problem::NoText { expected, given: "an HTML form" })
        }
        _ => Err(Problem::WrongType(expected)),
    }
}

/// Checks that the client takes the type of the answer (RFC 9110 12.5.1). Without the header it takes anything.
pub(in crate::http) fn require_accepted(headers: &HeaderMap, offered: &'static str) -> Result<(), Problem> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<&str> =
        values.flat_map(|value| value.split(',')).filter(|range| !range.trim().is_empty()).collect();
    let family = offered.split('/').next().unwrap_or_default();
    // The most specific range that matches decides.
    let weigh = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let rank = match name.strip_suffix("/*") {
            _ if name == offered => 3,
            Some("*") => 1,
            Some(prefix) if prefix == family => 2,
            _ => return None,
        };
        let refused = parts.filter_map(|part| part.strip_prefix("q=")).any(|weight| weight.parse() == Ok(0.0_f32));
        Some((rank, !refused))
    };
    match ranges.iter().filter_map(|range| weigh(range)).max_by_key(|(rank, _)| *rank) {
        Some((_, true)) => Ok(()),
        None if ranges.is_empty() => Ok(()),
        _ => Err(Problem::NotAcceptable(offered)),
    }
}

/// Reads SDP of at most `limit` bytes within `deadline`.
pub(in crate::http) async fn read_text(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    deadline: Duration,
) -> Result<String, Problem> {
    body::read(read_bytes(headers, body, limit, deadline).await?)
}

/// Reads a body of at most `limit` bytes within `deadline`.
pub(in crate::http) async fn read_bytes(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    deadline: Duration,
) -> Result<Vec<u8>, Problem> {
    body::require_plain(headers)?;
    let announced = text(headers, CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Problem::TooLarge(limit));
    }
    let read = tokio::time::timeout(deadline, axum::body::to_bytes(body, limit)).await;
    let bytes = read.map_err(|_| Problem::TooSlow(deadline))?.map_err(|error| read_problem(error, limit))?;
    Ok(bytes.into())
}

fn read_problem(error: axum::Error, limit: usize) -> Problem {
    let too_large =
        std::error::Error::source(&error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
    if too_large { Problem::TooLarge(limit) } else { Problem::Malformed("the body broke off".to_owned()) }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer(&with(AUTHORIZATION, "Bearer abc")), Some("abc"));
        assert_eq!(bearer(&with(AUTHORIZATION, "bearer  abc ")), Some("abc"));
        assert_eq!(bearer(&with(AUTHORIZATION, "Basic abc")), None);
        assert_eq!(bearer(&with(AUTHORIZATION, "Bearer")), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn the_type_of_a_body_is_compared_without_its_parameters() {
        for good in ["application/sdp", "Application/SDP", "application/sdp; charset=utf-8"] {
            assert_eq!(require_type(&with(CONTENT_TYPE, good), "application/sdp"), Ok(()), "{good}");
        }
        for bad in ["application/sdpx", "text/plain", "", "text/plain; application/sdp"] {
            let refused = Err(Problem::WrongType("application/sdp"));
            assert_eq!(require_type(&with(CONTENT_TYPE, bad), "application/sdp"), refused, "{bad}");
        }
        for (given, part) in [("application/json", "JSON"), ("multipart/form-data; boundary=x", "HTML form")] {
            let refused = require_type(&with(CONTENT_TYPE, given), "application/sdp").unwrap_err();
            assert!(refused.status() == 415 && refused.to_string().contains(part), "{refused}");
        }
    }

    #[test]
    fn a_client_is_believed_when_it_refuses_the_type_of_the_answer() {
        for good in ["*/*", "application/sdp", "text/html, application/*;q=0.5", "application/SDP;q=1", ""] {
            assert_eq!(require_accepted(&with(ACCEPT, good), "application/sdp"), Ok(()), "{good}");
        }
        for bad in ["text/html", "application/json", "*/*, application/sdp;q=0", "application/*;q=0.0"] {
            let refused = Err(Problem::NotAcceptable("application/sdp"));
            assert_eq!(require_accepted(&with(ACCEPT, bad), "application/sdp"), refused, "{bad}");
        }
        assert_eq!(require_accepted(&HeaderMap::new(), "application/sdp"), Ok(()));
    }

    #[tokio::test]
    async fn a_body_is_bounded_whether_or_not_it_says_its_length() {
        let soon = Duration::from_secs(5);
        let none = HeaderMap::new();
        assert_eq!(read_text(&none, "1234".into(), 4, soon).await, Ok("1234".to_owned()));
        assert_eq!(read_text(&none, "12345".into(), 4, soon).await, Err(Problem::TooLarge(4)));
        let announced = with(CONTENT_LENGTH, "99999999999999");
        assert_eq!(read_text(&announced, "1".into(), 4, soon).await, Err(Problem::TooLarge(4)));
        let broken = read_text(&none, vec![0xff, 0xfe].into(), 4, soon).await;
        assert!(matches!(broken, Err(Problem::Malformed(_))));
    }
}
