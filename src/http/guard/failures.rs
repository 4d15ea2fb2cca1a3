//! Slows down clients that guess tokens. After a few unknown tokens the relay looks at one token a second of that address,
//! and answers the others 429 without looking at them. Requests without a token are not held up.
//!
//! Tokens that another server is asked about are looked at [`AT_ONCE`] at a time for each address. So one address does not
//! hold all questions that the relay may have open, and guesses that arrive together are counted before more of them pass.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::limit::{ClientLimiter, Limit};
use crate::auth::{Access, Denied};
use crate::http::error::Problem;
use crate::http::request::asker::{Asker, Turn};
use crate::http::request::connection::Connection;
use crate::session::ClientGroup;

/// Entries above which those that are over are forgotten.
const FORGET_ABOVE: usize = 1024;

/// Requests of one address, with tokens that another server is asked about, at a time; further ones wait.
const AT_ONCE: usize = 4;

/// The same for a site of IPv6 networks.
const AT_ONCE_OF_SITE: usize = 16;

/// How long such a request waits for those before it. Then it is answered 503.
const PATIENCE: Duration = Duration::from_secs(2);

/// What clients have guessed lately, and what they ask now. Every HTTP task reads and writes.
pub(in crate::http) struct Failures {
    access: Arc<Access>,
    /// By group and its places: the first network of a site is the same group as the site.
    undecided: Mutex<HashMap<(ClientGroup, usize), Arc<Semaphore>>>,
    unknown: ClientLimiter,
    slowed_until: Mutex<HashMap<ClientGroup, Instant>>,
}

impl Failures {
    /// Allows as many unknown tokens as `limit` says.
    pub(in crate::http) fn new(access: Arc<Access>, limit: Limit) -> Self {
        let (undecided, slowed_until) = (Mutex::default(), Mutex::default());
        Self { access, undecided, unknown: ClientLimiter::new(limit), slowed_until }
    }

    /// Waits until a client may ask about a token that is not known here; the permission lasts until it is dropped.
    ///
    /// # Errors
    /// [`Denied::Undecided`] after [`PATIENCE`].
    async fn turn(&self, client: ClientGroup) -> Result<Turn, Denied> {
        let groups = [Some((client, AT_ONCE)), client.site().map(|site| (site, AT_ONCE_OF_SITE))];
        let take_all = async {
            let mut permits = Vec::new();
            for (group, at_once) in groups.into_iter().flatten() {
                permits.push(self.places(group, at_once).acquire_owned().await.expect("it is never closed"));
            }
            Turn::from(permits)
        };
        tokio::time::timeout(PATIENCE, take_all).await.map_err(|_| Denied::Undecided)
    }

    fn places(&self, group: ClientGroup, at_once: usize) -> Arc<Semaphore> {
        let mut undecided = self.undecided.lock().unwrap_or_else(PoisonError::into_inner);
        if undecided.len() >= FORGET_ABOVE {
            // Requests that wait for a place or have one hold the semaphore too.
            undecided.retain(|_, places| Arc::strong_count(places) > 1);
        }
        Arc::clone(undecided.entry((group, at_once)).or_insert_with(|| Arc::new(Semaphore::new(at_once))))
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
    asker: Asker,
    mut request: Request,
    next: Next,
) -> Response {
    if !failures.unknown.concerns(&connection) || !request.headers().contains_key(AUTHORIZATION) {
        return next.run(request).await;
    }
    let client = connection.client();
    let slowed_down = || {
        let wait = failures.wait(client, Instant::now());
        wait.map(|retry_after| Problem::Later { denied: Denied::SlowedDown, retry_after }.into_response())
    };
    if let Some(refused) = slowed_down() {
        return refused;
    }
    let is_asked_about = asker.token().is_some_and(|token| failures.access.asks_about(token));
    let turn = match is_asked_about.then(|| failures.turn(client)) {
        None => None,
        Some(turn) => match turn.await {
            Ok(turn) => Some(turn),
            Err(denied) => return Problem::from(denied).into_response(),
        },
    };
    if let Some(turn) = &turn {
        request.extensions_mut().insert(turn.clone());
    }
    // Those before it may have been guesses.
    if let Some(refused) = slowed_down() {
        return refused;
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

    use futures_util::FutureExt as _;

    use super::*;

    fn open() -> Arc<Access> {
        Arc::new(Access::new(&crate::auth::Config::default(), Arc::default()).unwrap())
    }

    #[tokio::test]
    async fn an_address_has_four_turns_and_a_site_of_ipv6_networks_sixteen() {
        let number = |value| NonZeroU32::new(value).unwrap();
        let failures = Failures::new(open(), Limit { per_second: number(1), burst: number(3), loopback: true });
        let client = |address: &str| ClientGroup::of(address.parse().unwrap());
        let take = |client: ClientGroup| failures.turn(client).now_or_never().map(Result::unwrap);
        let mut turns: Vec<_> = (0..5).map(|_| take(client("192.0.2.1"))).collect();
        assert_eq!(turns.iter().flatten().count(), 4);
        assert!(take(client("192.0.2.2")).is_some(), "another address does not wait");
        turns.remove(0);
        assert!(take(client("192.0.2.1")).is_some(), "one that is over makes room");
        let site: Vec<_> = (0..20).map(|network| take(client(&format!("2001:db8:0:{network}::1")))).collect();
        assert_eq!(site.iter().flatten().count(), 16);
    }

    #[test]
    fn a_client_waits_after_its_guesses_and_others_do_not() {
        let number = |value| NonZeroU32::new(value).unwrap();
        let failures = Failures::new(open(), Limit { per_second: number(1), burst: number(3), loopback: true });
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
