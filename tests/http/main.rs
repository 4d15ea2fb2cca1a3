//! The HTTP interface of a listening relay, driven by a real HTTP client, without media: requests and answers of WHIP
//! (RFC 9725) and WHEP, tokens, limits, cross-origin rules, pages, start and stop.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

mod access;
#[path = "../support/any_certificate.rs"]
mod any_certificate;
mod api;
mod base_path;
mod connections;
mod cors;
mod endpoints;
mod events;
mod forge;
mod framing;
mod hosts;
mod jwt;
mod layer;
mod leases;
mod legs;
mod limits;
mod media;
#[path = "../support/node_token.rs"]
mod node_token;
mod nodes;
mod openapi;
mod operations;
mod operator;
mod pages;
mod proxies;
mod proxy_protocol;
mod relay;
mod schema;
mod sessions;
mod tls;
mod tokens;
mod turn;
#[path = "../support/turn_message.rs"]
mod turn_message;
mod webhook;
