//! WHIP, WHEP, the session resource, the API, pages and metrics over HTTP (axum). Media is reached only through the
//! node's [`Handle`](crate::node::Handle). [`Access`](crate::auth::Access) decides which requests may create sessions,
//! use the API and read metrics. A session belongs to the client that made it, which may change and end it even if its
//! token is no longer valid. Pages, health and OPTIONS need no token.
//!
//! A request comes by a [`listener`], passes the guards, and reaches a handler of [`endpoints`], [`nodes`], [`api`] or
//! [`pages`] as [`routes`] says. Every refusal is an [`error::Problem`], which alone decides its status.

mod api;
mod base_path;
mod config;
mod endpoints;
mod error;
mod guard;
mod hsts;
mod ice_servers;
mod listener;
mod media_types;
mod nodes;
mod openapi;
mod pages;
mod redirect;
mod request;
mod routes;
mod serve;
mod settings;
mod shared;
mod tls;

pub use base_path::BasePath;
pub(crate) use config::Config;
pub use guard::cors::Origins;
pub use guard::limit::Limit;
pub(crate) use ice_servers::IceServerError;
pub use ice_servers::IceServers;
pub use listener::limits::Limits;
pub(crate) use settings::Settings;
pub(crate) use shared::node::{Node, Nodes};
pub use tls::{AcmeConfig, CertificateSource, Config as TlsConfig, PlainHttp};
pub(crate) use tls::{ConfigError as TlsConfigError, Settings as TlsSettings, Tls, TlsError};
