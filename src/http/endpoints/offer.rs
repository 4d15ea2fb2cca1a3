//! `/whip/{stream}` and `/whep/{stream}`: an offer is posted, a session comes back (RFC 9725 4.2, WHEP 4.2). The two
//! differ in the role of the session, in the grant that they need, and in what GET answers.

use std::time::{Duration, SystemTime};

use axum::extract::{FromRequest, FromRequestParts as _, Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, HOST, LINK, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa::IntoResponses;

use super::{events, layer};
use crate::auth::{Credential, Denied, Grant, Limits};
use crate::http::base_path::BasePath;
use crate::http::error::Problem;
use crate::http::guard::from_node::FromNode;
use crate::http::ice_servers;
use crate::http::media_types::{ACCEPT_PATCH, FRAGMENT, OFFER_LIMIT, SDP, entity_tag, options};
use crate::http::nodes::redirect::{self, TICKET};
use crate::http::nodes::takeover;
use crate::http::openapi::refusals::{
    Conflict, Forbidden, ForeignPage, Malformed, NotAcceptable, TooLarge, TooMany, TooSlow, Unauthorized, Unavailable,
    Unsupported, WrongType,
};
use crate::http::openapi::texts::{
    EntityTag, FragmentType, Nothing, SdpAnswer, SdpOffer, SdpType, SessionPath, Standby,
};
use crate::http::request::asker::Asker;
use crate::http::request::body::read_text;
use crate::http::request::connection::Connection;
use crate::http::request::headers::{require_accepted, require_type, user_agent};
use crate::http::request::path::StreamPath;
use crate::http::request::query::parameter;
use crate::http::shared::children::{self, PATH};
use crate::http::shared::node::Shared;
use crate::name::{Role, StreamName};
use crate::node::{Create, CreateError, CreatedSession, TurnServer};
use crate::sdp::OfferError;
use crate::stream::Identity;
use crate::turn::Credentials;

/// What an endpoint answers to.
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,POST,OPTIONS");

/// How long until a machine without an address may have one.
const NO_ADDRESS_RETRY: Duration = Duration::from_secs(10);

/// When a standby at the wrong node may try again: the lease of the node of its publisher may have expired by then.
const STANDBY_RETRY: Duration = Duration::from_secs(15);

/// An offer that was posted to an endpoint, before its body is read.
pub(in crate::http) struct PostedOffer {
    shared: Shared,
    stream: StreamPath,
    connection: Connection,
    asker: Asker,
    request: Request,
}

impl FromRequest<Shared> for PostedOffer {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let stream = StreamPath::from_request_parts(&mut parts, shared).await?;
        let Ok(connection) = Connection::from_request_parts(&mut parts, shared).await;
        let Ok(asker) = Asker::from_request_parts(&mut parts, shared).await;
        let request = Request::from_parts(parts, body);
        Ok(Self { shared: Shared::clone(shared), stream, connection, asker, request })
    }
}

/// The answer to the offer; the session is at Location.
#[derive(IntoResponses)]
#[response(status = 201, content_type = "application/sdp", headers(
    ("Location" = inline(SessionPath), description = "Absolute path of the session."),
    ("ETag" = inline(EntityTag), description = "Strong tag of the ICE session, with quotes."),
    ("Accept-Patch" = inline(FragmentType), description = "What a PATCH of the session must be."),
    ("Link" = String, description = "One for each STUN or TURN server that the client should know (RFC 9725 4.6); for a viewer \
        also where its event streams are made."),
))]
struct Answered(#[to_schema] SdpAnswer);

/// This node of a cluster is full: another one, which has a URL of its own for clients (--public-url), takes the offer.
#[derive(IntoResponses)]
#[response(status = 307, headers(
    ("Location" = String, description = "Where to post the offer within 30 s, without a token."),
))]
struct Elsewhere;

/// Publishes a stream (RFC 9725 4.2)
#[utoipa::path(
    post,
    path = "/whip/{stream}",
    operation_id = "publish",
    tag = "whip",
    security((), ("publish" = [])),
    params(
        StreamPath,
        ("standby" = inline(Option<Standby>), Query, description = "1 for an encoder that takes over when the publisher falls silent."),
    ),
    request_body(content = inline(SdpOffer), content_type = "application/sdp", description = "An SDP offer."),
    responses(Answered, Elsewhere, Malformed, Unauthorized, Forbidden, NotAcceptable, TooSlow, Conflict, TooLarge, WrongType,
        Unsupported, TooMany, Unavailable),
)]
pub(in crate::http) async fn publish(offer: PostedOffer) -> Result<Response, Problem> {
    create(offer, Role::Publisher).await
}

/// Watches a stream (draft-ietf-wish-whep)
///
/// The stream may have no publisher yet: the viewer waits for one, unless `--refuse-early-viewers` is set.
#[utoipa::path(
    post,
    path = "/whep/{stream}",
    operation_id = "watch",
    tag = "whep",
    security((), ("watch" = [])),
    params(StreamPath),
    request_body(content = inline(SdpOffer), content_type = "application/sdp", description = "An SDP offer."),
    responses(Answered, Elsewhere, Malformed, Unauthorized, Forbidden, NotAcceptable, TooSlow, Conflict, TooLarge, WrongType,
        Unsupported, TooMany, Unavailable),
)]
pub(in crate::http) async fn watch(offer: PostedOffer) -> Result<Response, Problem> {
    match offer.request.extensions().get().cloned() {
        Some(node) => create_leg(offer, node).await,
        None => create(offer, Role::Viewer).await,
    }
}

/// Whether the endpoint exists; HEAD too (RFC 9725 4.1)
#[utoipa::path(
    get,
    path = "/whip/{stream}",
    operation_id = "publishEndpoint",
    tag = "whip",
    security((), ("publish" = [])),
    params(StreamPath),
    responses((status = 204, description = "The endpoint exists."), Malformed, Unauthorized, Forbidden),
)]
pub(in crate::http) async fn publish_get(
    State(shared): State<Shared>,
    stream: StreamPath,
    asker: Asker,
) -> Result<StatusCode, Problem> {
    grant(&shared, &asker, Role::Publisher, &stream).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the endpoint exists; HEAD too (WHEP 4.2)
#[utoipa::path(
    get,
    path = "/whep/{stream}",
    operation_id = "watchEndpoint",
    tag = "whep",
    security((), ("watch" = [])),
    params(StreamPath),
    responses(
        (status = 200, description = "The endpoint exists.", body = inline(Nothing), content_type = "application/sdp"),
        Malformed,
        Unauthorized,
        Forbidden,
    ),
)]
pub(in crate::http) async fn watch_get(
    State(shared): State<Shared>,
    stream: StreamPath,
    asker: Asker,
) -> Result<Response, Problem> {
    grant(&shared, &asker, Role::Viewer, &stream).await?;
    Ok([(CONTENT_TYPE, HeaderValue::from_static(SDP))].into_response())
}

/// What the endpoint accepts; never needs a token
#[utoipa::path(
    options,
    path = "/whip/{stream}",
    operation_id = "publishOptions",
    tag = "whip",
    params(StreamPath),
    responses(
        (status = 204, description = "The headers say it.",
            headers(("Accept-Post" = inline(SdpType), description = "What a POST must be."))),
        ForeignPage,
    ),
)]
pub(in crate::http) async fn publish_options() -> Response {
    options(METHODS)
}

/// What the endpoint accepts; never needs a token
#[utoipa::path(
    options,
    path = "/whep/{stream}",
    operation_id = "watchOptions",
    tag = "whep",
    params(StreamPath),
    responses(
        (status = 204, description = "The headers say it.",
            headers(("Accept-Post" = inline(SdpType), description = "What a POST must be."))),
        ForeignPage,
    ),
)]
pub(in crate::http) async fn watch_options() -> Response {
    options(METHODS)
}

/// The permission that a session of this role needs, for the holder of the request's token.
async fn grant(shared: &Shared, asker: &Asker, role: Role, StreamPath(stream): &StreamPath) -> Result<Grant, Problem> {
    let grant = shared.access.grant(asker.asking(), role.into(), stream).await?;
    asker.accepted();
    Ok(grant)
}

/// The permission that a ticket of another node passes; `None` without a ticket.
fn ticket(
    shared: &Shared,
    role: Role,
    StreamPath(stream): &StreamPath,
    query: Option<&str>,
) -> Option<Result<Grant, Problem>> {
    let ticket = parameter(query, TICKET)?;
    let passed = shared.calls.as_ref()?.open_ticket(ticket, role.into(), stream).ok_or(Denied::NoTicket);
    Some(passed.and_then(|passed| shared.access.accept(passed, role.into(), stream)).map_err(Problem::from))
}

/// Answers an offer with a new session.
async fn create(offer: PostedOffer, role: Role) -> Result<Response, Problem> {
    let PostedOffer { shared, stream, connection, asker, request } = offer;
    let query = request.uri().query().map(str::to_owned);
    let grant = match ticket(&shared, role, &stream, query.as_deref()) {
        Some(grant) => grant?,
        None => grant(&shared, &asker, role, &stream).await?,
    };
    let read = ReadOffer::of(&shared, connection, request).await?;
    let standby = role == Role::Publisher && wants_standby(query.as_deref())?;
    if standby {
        refuse_standby_elsewhere(&shared, grant.stream())?;
    }
    if role == Role::Publisher && !standby {
        takeover::check(&shared, grant.stream(), &read.identity(grant.credential())).await?;
    }
    let credential = (grant.credential(), grant.limits());
    let create = Create { standby, ..read.create(&shared, role, grant.stream(), credential) };
    let created = match shared.media.create(create) {
        Ok(created) => created,
        Err(error) => {
            let elsewhere = error.is_full().then(|| redirect::elsewhere(&shared, role, &grant, query.as_deref()));
            return elsewhere.flatten().ok_or_else(|| error.into());
        }
    };
    if role == Role::Viewer {
        shared.legs.want(grant.stream());
    }
    if let Some(holder) = grant.holder() {
        shared.leases.keep(created.session, holder);
    }
    answer(&shared, &read, role, created)
}

/// Answers the offer of another node, which takes the stream from this one. It needs no grant: the node that its client has
/// reached has decided.
async fn create_leg(offer: PostedOffer, FromNode(node): FromNode) -> Result<Response, Problem> {
    let PostedOffer { shared, stream: StreamPath(stream), connection, request, .. } = offer;
    let calls = shared.calls.as_ref().ok_or(Denied::NotANode)?;
    let read = ReadOffer::of(&shared, connection, request).await?;
    let credential = (Credential::of_node(node.as_str()), Limits::default());
    let place = shared.children.place(node, &stream, (calls, &shared.directory, &shared.media))?;
    let created =
        shared.media.create(Create { leg: true, ..read.create(&shared, Role::Viewer, &stream, credential) })?;
    place.take(created.session);
    let mut response = answer(&shared, &read, Role::Viewer, created)?;
    response.headers_mut().insert(PATH, children::path(calls, &stream));
    Ok(response)
}

/// An offer whose body was read.
struct ReadOffer {
    parts: Parts,
    text: String,
    connection: Connection,
}

impl ReadOffer {
    async fn of(shared: &Shared, connection: Connection, request: Request) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        require_type(&parts.headers, SDP)?;
        require_accepted(&parts.headers, SDP)?;
        let text = read_text(&parts.headers, body, OFFER_LIMIT, shared.body_deadline).await?;
        Ok(Self { parts, text, connection })
    }

    /// The encoder that sends it.
    fn identity(&self, credential: Credential) -> Identity {
        let user_agent = user_agent(&self.parts.headers);
        Identity { credential, address: self.connection.remote.ip(), user_agent }
    }

    /// The session that it asks for.
    fn create(
        &self,
        shared: &Shared,
        role: Role,
        stream: &StreamName,
        (credential, limits): (Credential, Limits),
    ) -> Create {
        Create {
            role,
            stream: stream.clone(),
            offer: self.text.clone(),
            http_local: Some(self.connection.local.ip()),
            media_by_http: shared.media_by_http,
            http_remote: self.connection.remote.ip(),
            source: self.connection.source,
            user_agent: user_agent(&self.parts.headers),
            credential,
            limits,
            standby: false,
            leg: false,
            expected: shared.legs.brings(stream),
        }
    }
}

/// A standby takes over at the node of its publisher: at another one it would replace the publisher at once.
fn refuse_standby_elsewhere(shared: &Shared, stream: &StreamName) -> Result<(), Problem> {
    let claim = shared.directory.lookup(stream).filter(|claim| claim.is_live && claim.node != *shared.directory.node());
    let Some(claim) = claim else { return Ok(()) };
    let place = claim.url.unwrap_or_else(|| format!("named {}", claim.node));
    Err(Problem::Conflict {
        detail: format!("the publisher of this stream is at another node ({place}): a standby must be at the same one"),
        retry_after: STANDBY_RETRY,
    })
}

/// Reads `?standby=1`; other parameters are the client's own.
fn wants_standby(query: Option<&str>) -> Result<bool, Problem> {
    match parameter(query, "standby") {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => {
            Err(Problem::Malformed("standby is 0 or 1: write ?standby=1 to stand beside the publisher".to_owned()))
        }
    }
}

/// The link to the relay's own TURN server; `None` where clients reach no port of it.
fn own_turn(shared: &Shared, host: Option<&str>, connection: &Connection, turn: &TurnServer) -> Option<HeaderValue> {
    let on_http = shared.media_by_http.and_then(|_| ice_servers::turn_on_http(host?, connection.scheme));
    let url = on_http.or_else(|| turn.address.map(ice_servers::turn_on_media_port))?;
    let Credentials { username, password } = turn.credentials.clone();
    Some(ice_servers::link(&url, Some((username, password))))
}

/// The 201. Its Location is an absolute path: OBS joins it to the endpoint's origin as text.
fn answer(shared: &Shared, read: &ReadOffer, role: Role, created: CreatedSession) -> Result<Response, Problem> {
    let base_path: &BasePath = &read.parts.extensions.get().cloned().unwrap_or_default();
    let host = read.parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let turn = created.turn.as_ref().and_then(|turn| own_turn(shared, host, &read.connection, turn));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(SDP));
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
    headers.insert(ETAG, entity_tag(&created.etag));
    let session = shared.own_tag().join(&created.session);
    let location = HeaderValue::try_from(base_path.join(&format!("/session/{session}")));
    headers.insert(LOCATION, location.expect("a base path and a session id are visible ASCII"));
    shared.ice_servers.announce(&mut headers, SystemTime::now());
    if let Some(turn) = turn {
        headers.append(LINK, turn);
    }
    if role == Role::Viewer {
        headers.append(LINK, events::link(base_path, &session));
        headers.append(LINK, layer::link(base_path, &session));
    }
    Ok((StatusCode::CREATED, headers, created.answer).into_response())
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
            CreateError::TooManyOfToken { retry_after, .. } => {
                Self::TooMany { by: "for viewers with this token, which has as many as it allows", retry_after }
            }
            CreateError::Draining { retry_after } => {
                Self::Unavailable { detail: "this relay is about to stop: try again", retry_after }
            }
            CreateError::Refused(refused) => {
                Self::Conflict { detail: refused.to_string(), retry_after: refused.retry_after }
            }
            CreateError::NotPublished { retry_after } => {
                Self::Conflict { detail: "this stream has no publisher: try again".to_owned(), retry_after }
            }
            // Only dialling has the errors about routes and sockets.
            CreateError::NoAddress | CreateError::NoRoute | CreateError::NoSocket(_) => Self::Unavailable {
                detail: "this relay has no address that you could reach: its operator must set --advertise",
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
            (CreateError::TooManyOfToken { limit: 1, retry_after }, 429),
            (CreateError::NotPublished { retry_after }, 409),
            (CreateError::NoAddress, 503),
        ] {
            let response = Problem::from(error).into_response();
            assert_eq!(response.status(), status);
            assert!(response.headers()[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() >= 2);
        }
    }
}
