//! The route table: every path with its handlers, and what a request passes before them. The OpenAPI document is made
//! from the same table; of what is routed, only the pages are not in it.
//!
//! The layers are our own functions. tower-http has layers of these names, and none does the same: its CORS answers
//! every OPTIONS itself, without the `Accept-Post` of WHIP and before the host is checked; its limits and timeouts
//! answer without a problem document; its trace knows neither the client behind a proxy nor our metrics; and an answer
//! that it compresses gets a weak entity tag, which no `If-Match` of WHIP matches.

use std::sync::Arc;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Extension, Router};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::{document, legs, node, nodes, operations, revocations, sessions, streams};
use super::endpoints::{events, layer, offer, session};
use super::error::Problem;
use super::guard::{allow, cors, failures, from_node, host, limit, observe, proxy, query_token};
use super::hsts;
use super::nodes::{forward, stream as node_stream};
use super::openapi::document::Document;
use super::pages::{asset, problem, view};
use super::shared::node::Shared;

/// What clients of media use.
fn media() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(offer::publish, offer::publish_get, offer::publish_options)) // /whip/{stream}
        .routes(routes!(offer::watch, offer::watch_get, offer::watch_options)) // /whep/{stream}
        .routes(routes!(session::get, session::patch, session::delete, session::options)) // /session/{id}
        .routes(routes!(session::stream, session::stream_options)) // /session/{id}/stream
        .routes(routes!(layer::get, layer::post, layer::delete, layer::options)) // /session/{id}/layer
        .routes(routes!(events::post, events::options)) // /session/{id}/events
        .routes(routes!(events::get, events::delete, events::stream_options)) // /session/{id}/events/{events}
}

/// What other nodes of the cluster ask.
fn nodes() -> OpenApiRouter<Shared> {
    OpenApiRouter::default().routes(routes!(node_stream::get)) // /node/v1/streams/{stream}
}

/// What operators ask of streams and sessions.
fn api() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(document::get)) // /api/openapi.json
        .routes(routes!(node::get)) // /api/node
        .routes(routes!(nodes::list)) // /api/nodes
        .routes(routes!(legs::list)) // /api/legs
        .routes(routes!(streams::list)) // /api/streams
        .routes(routes!(streams::get)) // /api/streams/{stream}
        .routes(routes!(sessions::list)) // /api/sessions
        .routes(routes!(sessions::get, sessions::delete)) // /api/sessions/{id}
        .routes(routes!(revocations::list, revocations::post)) // /api/revocations
}

/// What Prometheus and supervisors ask.
fn operations() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(operations::metrics)) // /metrics
        .routes(routes!(operations::healthz)) // /healthz
        .routes(routes!(operations::readyz)) // /readyz
}

/// What people look at.
fn pages() -> Router<Shared> {
    Router::new()
        .route("/", get(view::index))
        .route("/publish/{stream}", get(view::publish))
        .route("/watch/{stream}", get(view::watch))
        .route("/assets/{name}", get(asset::get))
}

/// Everything on the public address; the last layer comes first.
pub(super) fn public(node: &Shared) -> Router {
    let limits = from_fn_with_state(Arc::clone(&node.rate_limits), limit::layer);
    let operators = if node.has_admin { Router::new() } else { for_operators(node) };
    let forward = from_fn_with_state(Arc::clone(node), forward::layer);
    let routes = Router::from(media().layer(forward).layer(limits))
        .merge(Router::from(nodes()))
        .merge(pages())
        .merge(operators)
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&node.failures), failures::layer))
        .layer(from_fn_with_state(node.calls.clone(), from_node::layer))
        .layer(from_fn_with_state(Arc::clone(&node.cross_origin), cors::for_operators))
        .layer(from_fn_with_state(Arc::clone(&node.hosts), host::guard))
        .layer(from_fn(host::layer))
        .layer(from_fn_with_state(Arc::clone(&node.cross_origin), cors::layer))
        .layer(from_fn(problem::explain))
        .layer(from_fn_with_state(Arc::clone(&node.observer), observe::layer))
        .layer(from_fn_with_state(node.hsts.clone(), hsts::layer))
        .layer(from_fn(query_token::layer))
        // Everything else needs the client's address.
        .layer(from_fn_with_state(Arc::clone(&node.proxies), proxy::layer));
    allow::with_allow_header(routes.with_state(Arc::clone(node)))
}

/// The API, metrics and health on an address of their own; the last layer comes first.
pub(super) fn for_operators_alone(node: &Shared) -> Router {
    let routes = for_operators(node)
        .fallback(not_for_admin)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&node.failures), failures::layer))
        .layer(from_fn_with_state(Arc::clone(&node.cross_origin), cors::for_operators))
        .layer(from_fn_with_state(Arc::clone(&node.hosts), host::guard))
        .layer(from_fn(host::layer))
        .layer(from_fn_with_state(Arc::clone(&node.observer), observe::layer))
        .layer(from_fn(query_token::layer))
        .layer(from_fn_with_state(Arc::clone(&node.proxies), proxy::layer));
    allow::with_allow_header(routes.with_state(Arc::clone(node)))
}

fn for_operators(node: &Shared) -> Router<Shared> {
    let described = media().merge(nodes()).merge(api()).merge(operations()).into_openapi();
    let limits = from_fn_with_state(Arc::clone(&node.rate_limits), limit::layer);
    Router::from(api().merge(operations()).layer(limits)).layer(Extension(Document::new(described)))
}

async fn not_found() -> Problem {
    Problem::NotFound("nothing is here: see / for what is")
}

async fn not_for_admin() -> Problem {
    Problem::NotFound(
        "this is the admin address: it has /api/openapi.json, /api/node, /api/nodes, /api/legs, \
         /api/streams, /api/sessions, /api/revocations, /metrics, /healthz and /readyz",
    )
}

async fn wrong_method() -> Problem {
    Problem::MethodNotAllowed
}
