//! The HTTP interface against a listening relay and a real HTTP client, as far as it needs no media: what WHIP
//! (RFC 9725) and WHEP ask of requests and answers, who may do what, limits, cross-origin rules, pages, start and stop.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

mod access;
mod api;
mod base_path;
mod connections;
mod cors;
mod endpoints;
mod events;
mod framing;
mod hosts;
mod limits;
mod openapi;
mod operations;
mod pages;
mod proxies;
mod relay;
mod schema;
mod sessions;
