//! What every request passes before a handler sees it: the client's address behind a proxy, the host and the origin
//! that it names, cross-origin rules, rate limits, and the methods of its path.

pub(super) mod allow;
pub(super) mod client_header;
mod client_scheme;
pub(super) mod cors;
pub(super) mod failures;
pub(super) mod from_node;
pub(super) mod host;
pub(super) mod limit;
pub(super) mod observe;
pub(super) mod origin;
pub(super) mod proxy;
pub(super) mod query_token;
mod refused;
