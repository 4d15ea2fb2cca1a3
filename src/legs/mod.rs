//! Legs: sessions of which this relay is the client. A pull watches a stream of another server by WHEP and publishes it
//! here; a push publishes a stream of this relay there by WHIP.
//!
//! Each configured leg has one task ([`supervisor`](self)): it waits until the leg is wanted, posts the offer, hands the
//! answer to [`node`](crate::node), waits until the session ends, and begins again after a pause. Media passes as that of
//! all sessions. A stream that another node of the cluster has is pulled once for all its viewers here, without a
//! configuration (`nodes`, `edge`). The rules: a server's answer and each redirect are other people's text, so an address that is this
//! machine's, its link's or its cloud's is used only if the operator lists it; and a leg that does not run says why, in the
//! log, in `/api/legs` and in the metrics.

mod backoff;
mod call;
mod config;
mod configured;
mod context;
mod edge;
mod edges;
mod failure;
mod node_leg;
mod nodes;
mod remote;
mod report;
mod running;
mod settings;
mod supervisor;

pub use config::Config;
pub use configured::{Configured, Mode, TokenSource};
pub(crate) use report::Listed;
pub(crate) use running::Legs;
pub(crate) use settings::Settings;
