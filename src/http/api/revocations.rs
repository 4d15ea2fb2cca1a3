//! Revocation of tokens, for operators.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::administrator::Administrator;
use crate::auth::{Revocation, Revoked};
use crate::http::error::Problem;
use crate::http::media_types::JSON;
use crate::http::openapi::refusals::{
    Forbidden, Malformed, TooLarge, TooMany, TooManyRevocations, TooSlow, Unauthorized, WrongType,
};
use crate::http::request::body::read_bytes;
use crate::http::request::headers::require_type;
use crate::http::shared::node::Shared;

/// The largest body.
const LIMIT: usize = 4 * 1024;

/// How long a revocation lasts by default, and at most, in seconds.
const DEFAULT_SECONDS: u32 = 24 * 3600;
const MOST_SECONDS: u32 = 366 * 24 * 3600;

/// Which tokens to revoke: all tokens of a holder, or one token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ToRevoke {
    /// The holder: the sub of JSON Web Tokens, the subject that the webhook names, or the name in the token file.
    #[schema(nullable = false)]
    subject: Option<String>,
    /// The jti of one JSON Web Token.
    #[schema(nullable = false)]
    token_id: Option<String>,
    /// How long the revocation lasts: by default a day, at most 366 days. It needs only to outlast the tokens.
    #[schema(nullable = false, minimum = 1)]
    seconds: Option<u32>,
}

/// The effect of a revocation.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct RevocationDone {
    /// The number of sessions that it has ended.
    ended_sessions: usize,
    /// Whether the revocation survives a restart of the relay, which it does with --state-dir.
    kept: bool,
}

/// A revocation in force.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct InForce {
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    /// The time until it ends.
    #[schema(minimum = 0)]
    seconds_left: f64,
}

/// Revokes tokens and ends their sessions
///
/// Tokens that are issued to the holder later are valid. A restart of the relay forgets revocations that are not kept.
#[utoipa::path(
    post,
    path = "/api/revocations",
    operation_id = "revoke",
    tag = "api",
    security((), ("admin" = [])),
    request_body(content = inline(ToRevoke), content_type = "application/json"),
    responses(
        (status = 200, description = "The tokens are revoked.", body = RevocationDone),
        Malformed, Unauthorized, Forbidden, TooSlow, TooManyRevocations, TooLarge, WrongType, TooMany,
    ),
)]
pub(in crate::http) async fn post(
    State(shared): State<Shared>,
    _: Administrator,
    request: Request,
) -> Result<Json<RevocationDone>, Problem> {
    let (parts, body) = request.into_parts();
    require_type(&parts.headers, JSON)?;
    let text = read_bytes(&parts.headers, body, LIMIT, shared.body_deadline).await?;
    let (revoked, time) = read(&text)?;
    // It may write a file, so not on a thread that serves other requests.
    let access = Arc::clone(&shared.access);
    let add = move || access.revocations().add(revoked, time, SystemTime::now());
    let added = tokio::task::spawn_blocking(add).await;
    let added = added.unwrap_or_else(|fault| resume_unwind(fault.into_panic()));
    let kept = added.map_err(|full| Problem::AtLimit(full.to_string()))?;
    let ended_sessions = shared.leases.end_due(&shared.media, &shared.access).await;
    Ok(Json(RevocationDone { ended_sessions, kept }))
}

/// Lists the revocations in force
#[utoipa::path(
    get,
    path = "/api/revocations",
    operation_id = "revocations",
    tag = "api",
    security((), ("admin" = [])),
    responses((status = 200, description = "Oldest first.", body = Vec<InForce>), Unauthorized, Forbidden),
)]
pub(in crate::http) async fn list(State(shared): State<Shared>, _: Administrator) -> Json<Vec<InForce>> {
    let now = SystemTime::now();
    let shown = |Revocation { revoked, until, .. }: Revocation| {
        let (subject, token_id) = match revoked {
            Revoked::Subject(name) => (Some(name), None),
            Revoked::TokenId(id) => (None, Some(id)),
        };
        let seconds_left = until.duration_since(now).unwrap_or_default().as_secs_f64();
        InForce { subject, token_id, seconds_left }
    };
    Json(shared.access.revocations().list(now).into_iter().map(shown).collect())
}

fn read(text: &[u8]) -> Result<(Revoked, Duration), Problem> {
    let malformed = || {
        let example = "{\"subject\": \"alice\"} or {\"token_id\": \"...\", \"seconds\": 3600}";
        Problem::Malformed(format!("the body revokes nothing: send a JSON object such as {example}"))
    };
    let ToRevoke { subject, token_id, seconds } = serde_json::from_slice(text).map_err(|_| malformed())?;
    let revoked = match (subject, token_id) {
        (Some(name), None) if !name.is_empty() => Revoked::Subject(name),
        (None, Some(id)) if !id.is_empty() => Revoked::TokenId(id),
        _ => return Err(malformed()),
    };
    let seconds = seconds.unwrap_or(DEFAULT_SECONDS);
    if !(1..=MOST_SECONDS).contains(&seconds) {
        return Err(malformed());
    }
    Ok((revoked, Duration::from_secs(seconds.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_names_a_holder_or_a_token_and_not_both() {
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(read(br#"{"subject": "alice"}"#), Ok((Revoked::Subject("alice".to_owned()), day)));
        let minute = read(br#"{"token_id": "7", "seconds": 60}"#);
        assert_eq!(minute, Ok((Revoked::TokenId("7".to_owned()), Duration::from_secs(60))));
        for wrong in [
            "",
            "{}",
            "[\"alice\"]",
            r#"{"subject": ""}"#,
            r#"{"subject": "a", "token_id": "b"}"#,
            r#"{"subject": 1}"#,
            r#"{"name": "a"}"#,
            r#"{"subject": "a", "seconds": 0}"#,
            r#"{"subject": "a", "seconds": 99999999}"#,
        ] {
            assert!(matches!(read(wrong.as_bytes()), Err(Problem::Malformed(_))), "{wrong}");
        }
    }
}
