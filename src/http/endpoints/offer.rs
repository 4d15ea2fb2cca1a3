//! What WHIP and WHEP have in common: an offer is posted, a session comes back (RFC 9725 4.2, WHEP 4.2).

use std::time::{Duration, SystemTime};

use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_TYPE, ETAG, LINK, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::auth::Grant;
use crate::http::Shared;
use crate::http::base_path::BasePath;
use crate::http::error::Problem;
use crate::http::events;
use crate::http::request::{Connection, read_text, require_accepted, require_type, user_agent};
use crate::name::Role;
use crate::node::{Create, CreateError, Created};
use crate::sdp::OfferError;

/// The type of offers and answers.
pub(in crate::http) const SDP: &str = "application/sdp";
/// The type of candidates and ICE restarts (RFC 8840 9).
pub(in crate::http) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
pub(in crate::http) const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
pub(in crate::http) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// What an endpoint answers to.
pub(in crate::http) const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,POST,OPTIONS");

/// The largest offer; Chromium's is 8 KiB.
const OFFER_LIMIT: usize = 64 * 1024;

/// How long until a machine without an address may have one.
const NO_ADDRESS_RETRY: Duration = Duration::from_secs(10);

/// Answers an offer with a new session. The grant says for which stream and whose it is.
pub(in crate::http) async fn create(
    shared: &Shared,
    grant: Grant,
    role: Role,
    connection: Connection,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    require_type(&parts.headers, SDP)?;
    require_accepted(&parts.headers, SDP)?;
    let offer = read_text(&parts.headers, body, OFFER_LIMIT, shared.body_deadline).await?;
    let created = shared.media.create(Create {
        role,
        stream: grant.stream().clone(),
        offer,
        http_local: Some(connection.local.ip()),
        http_remote: connection.remote.ip(),
        source: connection.source,
        user_agent: user_agent(&parts.headers),
        credential: grant.credential(),
        standby: role == Role::Publisher && wants_standby(parts.uri.query())?,
    })?;
    let base_path = parts.extensions.get().cloned().unwrap_or_default();
    answer(shared, &base_path, role, created)
}

/// Reads `?standby=1`; other parameters are the client's own.
fn wants_standby(query: Option<&str>) -> Result<bool, Problem> {
    let pairs = query.unwrap_or_default().split('&');
    match pairs.filter_map(|pair| pair.strip_prefix("standby=")).next_back() {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => {
            Err(Problem::Malformed("standby is 0 or 1: write ?standby=1 to stand beside the publisher".to_owned()))
        }
    }
}

/// The 201. Its Location is an absolute path: OBS joins it to the endpoint's origin as text.
fn answer(shared: &Shared, base_path: &BasePath, role: Role, created: Created) -> Result<Response, Problem> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(SDP));
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
    headers.insert(ETAG, entity_tag(&created.etag));
    let location = HeaderValue::try_from(base_path.join(&format!("/session/{}", created.session)));
    headers.insert(LOCATION, location.expect("a base path and a session id are visible ASCII"));
    shared.ice_servers.announce(&mut headers, SystemTime::now());
    if role == Role::Viewer {
        headers.append(LINK, events::link(base_path, &created.session));
    }
    Ok((StatusCode::CREATED, headers, created.answer).into_response())
}

/// The entity tag as a header, strong and in quotes (RFC 9110 8.8.3).
pub(in crate::http) fn entity_tag(tag: &str) -> HeaderValue {
    HeaderValue::try_from(tag).expect("the relay makes entity tags of visible ASCII")
}

/// The answer to OPTIONS: what the endpoint and its sessions take. Never needs a token (Fetch: a preflight has none).
pub(in crate::http) async fn options(methods: HeaderValue) -> Response {
    let accepts = [
        (ALLOW, methods),
        (ACCEPT_POST, HeaderValue::from_static(SDP)),
        (ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT)),
    ];
    (StatusCode::NO_CONTENT, accepts).into_response()
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Offer(OfferError::Malformed(detail)) => Self::Malformed(detail),
            CreateError::Offer(OfferError::Unsupported(detail)) => Self::Unsupported(detail),
            CreateError::Full { retry_after } => {
                Self::Unavailable { detail: "too many sessions wait for their first packet: try again", retry_after }
            }
            CreateError::TooManySessions { retry_after, .. } => {
                Self::Unavailable { detail: "this relay is full: try again later", retry_after }
            }
            CreateError::TooManyViewers { retry_after, .. } => Self::Unavailable {
                detail: "this stream has as many viewers as this relay allows: try again later",
                retry_after,
            },
            CreateError::TooManyFromAddress { retry_after, .. } => {
                Self::TooMany { by: "for sessions from this address, which has as many as it may", retry_after }
            }
            CreateError::Draining { retry_after } => {
                Self::Unavailable { detail: "this relay is about to stop: try again", retry_after }
            }
            CreateError::Refused(refused) => {
                Self::Conflict { detail: refused.to_string(), retry_after: refused.retry_after }
            }
            CreateError::NotPublished { retry_after } => {
                Self::Conflict { detail: "nobody publishes this stream: try again".to_owned(), retry_after }
            }
            CreateError::NoAddress => Self::Unavailable {
                detail: "this relay knows no address that you could reach: its operator must set --advertise",
                retry_after: NO_ADDRESS_RETRY,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::RETRY_AFTER;

    use super::*;

    #[test]
    fn a_relay_that_cannot_take_one_more_says_when_to_come_back() {
        let retry_after = Duration::from_secs(2);
        for (error, status) in [
            (CreateError::Full { retry_after }, 503),
            (CreateError::Draining { retry_after }, 503),
            (CreateError::TooManySessions { limit: 1, retry_after }, 503),
            (CreateError::TooManyViewers { limit: 1, retry_after }, 503),
            (CreateError::TooManyFromAddress { limit: 1, retry_after }, 429),
            (CreateError::NotPublished { retry_after }, 409),
            (CreateError::NoAddress, 503),
        ] {
            let response = Problem::from(error).into_response();
            assert_eq!(response.status(), status);
            assert!(response.headers()[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() >= 2);
        }
    }
}
