//! Slows down clients that guess tokens. After a few unknown tokens the relay looks at one token a second of that address,
//! and answers the others 429 without looking at them. Requests without a token are not held up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::limit::{ClientLimiter, Limit};
use crate::auth::Denied;
use crate::http::error::Problem;
use crate::http::request::connection::Connection;
use crate::session::ClientGroup;

/// Entries above which those that are over are forgotten.
const FORGET_ABOVE: usize = 1024;

/// What clients have guessed lately. Every HTTP task reads and writes.
pub(in crate::http) struct Failures {
    unknown: ClientLimiter,
    slowed_until: Mutex<HashMap<ClientGroup, Instant>>,
}

impl Failures {
    /// Allows as many unknown tokens as `limit` says.
    pub(in crate::http) fn new(limit: Limit) -> Self {
        Self { unknown: ClientLimiter::new(limit), slowed_until: Mutex::default() }
    }

    /// How long a client has to wait.
    fn wait(&self, client: ClientGroup, now: Instant) -> Option<Duration> {
        let slowed = self.slowed_until.lock().unwrap_or_else(PoisonError::into_inner);
        slowed.get(&client)?.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// Counts an unknown token of a client.
    fn count(&self, client: ClientGroup, now: Instant) {
        let Err(wait) = self.unknown.count(client) else { return };
        let mut slowed = self.slowed_until.lock().unwrap_or_else(PoisonError::into_inner);
        if slowed.len() >= FORGET_ABOVE {
            slowed.retain(|_, until| now < *until);
        }
        slowed.insert(client, now + wait);
    }
}

/// Refuses the tokens of a client that has guessed too often.
pub(in crate::http) async fn layer(
    State(failures): State<Arc<Failures>>,
    connection: Connection,
    request: Request,
    next: Next,
) -> Response {
    if !failures.unknown.concerns(&connection) || !request.headers().contains_key(AUTHORIZATION) {
        return next.run(request).await;
    }
    let client = connection.client();
    if let Some(retry_after) = failures.wait(client, Instant::now()) {
        return Problem::Later { denied: Denied::SlowedDown, retry_after }.into_response();
    }
    let response = next.run(request).await;
    if matches!(response.extensions().get::<Denied>(), Some(Denied::UnknownToken | Denied::Refused)) {
        failures.count(client, Instant::now());
    }
    response
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_client_waits_after_its_guesses_and_others_do_not() {
        let number = |value| NonZeroU32::new(value).unwrap();
        let failures = Failures::new(Limit { per_second: number(1), burst: number(3), loopback: true });
        let (guessing, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let (guessing, other) = (ClientGroup::of(guessing), ClientGroup::of(other));
        let now = Instant::now();
        for _ in 0..3 {
            failures.count(guessing, now);
            assert_eq!(failures.wait(guessing, now), None);
        }
        failures.count(guessing, now);
        assert!(failures.wait(guessing, now).is_some_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(failures.wait(guessing, now + Duration::from_secs(1)), None);
        assert_eq!(failures.wait(other, now), None);
    }
}
