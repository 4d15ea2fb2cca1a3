//! WHIP, WHEP, the session resource, the API, pages and metrics over HTTP (axum). Media is reached only through the
//! worker handle; every route that concerns a stream asks [`Access`](crate::auth::Access) first.
//!
//! A request comes by a [`listener`], passes the guards, and reaches a handler of [`endpoints`], [`api`] or [`pages`]
//! as [`routes`] says. Every refusal is an [`error::Problem`], which alone decides its status.

mod api;
mod base_path;
mod config;
mod endpoints;
mod error;
mod guard;
mod ice_servers;
mod listener;
mod media_types;
mod openapi;
mod pages;
mod request;
mod routes;
mod serve;
mod settings;
mod shared;

pub use base_path::{BasePath, BasePathError};
pub use config::Config;
pub use guard::client_header::ClientHeader;
pub use guard::cors::Origins;
pub use guard::host::Host;
pub use guard::limit::Limit;
pub use ice_servers::{IceServerError, IceServers};
pub use listener::accept::Timing;
pub use listener::limits::Limits;
pub use listener::network::{Network, NetworkError};
pub use settings::Settings;
pub use shared::node::Node;
