//! WHIP, WHEP, the session resource, pages and metrics over HTTP (axum).

pub mod sdp;
