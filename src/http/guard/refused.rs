//! Requests that are refused for their token, as lines that a ban tool reads: from where, for what, and why.
//!
//! The format is part of what operators rely on (deploy/README.md):
//! `access refused client=ADDRESS route=ROUTE status=STATUS why=WHY stream=NAME`. The rule: no more lines than a ban
//! tool needs. Each client has a few at once and then one a second, all together a hundred a second; what is left out
//! is counted in the next line, and the metrics count all.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use axum::response::Response;
use tracing::info;

use super::limit::{Limit, Limiter};
use crate::auth::Denied;
use crate::label::Label as _;
use crate::metrics::{AccessRefusal, Route};
use crate::session::ClientGroup;

/// Part of each line that deploy/README.md describes, whatever module writes it.
const TARGET: &str = "sluice::http::refused";
const LINES_OF_ONE_CLIENT: Limit = limit(1, 10);
const LINES_OF_ALL: Limit = limit(100, 100);

/// Counts the lines; every HTTP task writes.
pub(in crate::http) struct Refusals {
    by_client: Limiter<ClientGroup>,
    all: Limiter<()>,
    suppressed: AtomicU64,
}

impl Default for Refusals {
    fn default() -> Self {
        let (by_client, all) = (Limiter::new(LINES_OF_ONE_CLIENT), Limiter::new(LINES_OF_ALL));
        Self { by_client, all, suppressed: AtomicU64::new(0) }
    }
}

impl Refusals {
    /// Logs a response that refuses a client its access.
    pub(in crate::http) fn report(&self, client: IpAddr, route: Route, stream: Option<&str>, response: &Response) {
        let Some(why) = why(response) else { return };
        if self.by_client.count(&ClientGroup::of(client)).is_err() || self.all.count(&()).is_err() {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (route, status, why) = (route.as_str(), response.status().as_u16(), why.as_str());
        let stream = stream.unwrap_or("-");
        match self.suppressed.swap(0, Ordering::Relaxed) {
            0 => info!(target: TARGET, %client, %route, status, %why, %stream, "access refused"),
            others => info!(target: TARGET, %client, %route, status, %why, %stream, others, "access refused"),
        }
    }
}

/// Why a response refuses a client its access; `None` if it does not.
pub(super) fn why(response: &Response) -> Option<AccessRefusal> {
    let is_refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&response.status());
    Some(match response.extensions().get::<Denied>() {
        Some(Denied::NoToken) => AccessRefusal::NoToken,
        Some(Denied::UnknownToken) => AccessRefusal::UnknownToken,
        Some(Denied::Refused) => AccessRefusal::RefusedToken,
        Some(Denied::Expired) => AccessRefusal::ExpiredToken,
        Some(Denied::Revoked) => AccessRefusal::RevokedToken,
        Some(Denied::NotYetValid) => AccessRefusal::EarlyToken,
        Some(Denied::WrongClaims) => AccessRefusal::WrongClaims,
        Some(Denied::Undecided) => AccessRefusal::Undecided,
        Some(Denied::SlowedDown) => AccessRefusal::SlowedDown,
        Some(Denied::NotAllowed) => AccessRefusal::OtherToken,
        Some(Denied::NoTicket) => AccessRefusal::NoTicket,
        Some(Denied::NotANode) => AccessRefusal::NotANode,
        Some(Denied::NoAdmin) => AccessRefusal::NoAdmin,
        None if is_refused => AccessRefusal::NotAllowed,
        None => return None,
    })
}

const fn limit(per_second: u32, burst: u32) -> Limit {
    let (Some(per_second), Some(burst)) = (NonZeroU32::new(per_second), NonZeroU32::new(burst)) else {
        panic!("a limit allows something");
    };
    Limit { per_second, burst, loopback: true }
}
