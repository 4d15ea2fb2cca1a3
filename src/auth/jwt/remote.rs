//! The keys that a server publishes by URL (JWK Set).
//!
//! They are fetched at the start, every five minutes, and for a token whose key is not known, never more often than every
//! 30 s. While the server is down, the last keys remain valid for a day, so that clients with tokens can still publish
//! and watch.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::keys::KeySet;
use crate::auth::fetch::{Fetched, Fetcher, Request};

/// How old the keys may be before they are fetched again.
const REFRESH: Duration = Duration::from_secs(300);

/// The shortest time between two fetches.
const RETRY: Duration = Duration::from_secs(30);

/// How long keys count that could not be fetched again.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// The longest time that a fetch takes.
const DEADLINE: Duration = Duration::from_secs(5);

/// The largest answer, in octets.
const LARGEST: u64 = 256 * 1024;

/// The keys of one URL.
#[derive(Debug)]
pub(in crate::auth) struct RemoteKeys {
    url: String,
    /// Written once a fetch, read for each token.
    state: RwLock<State>,
    /// Held while keys are fetched, so that requests which need the same fetch wait for one.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<KeySet>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
    is_failing: bool,
}

impl State {
    fn is_old(&self, now: Instant) -> bool {
        self.fetched.is_none_or(|fetched| now.saturating_duration_since(fetched) >= REFRESH)
    }

    fn counts(&self, now: Instant) -> bool {
        self.fetched.is_some_and(|fetched| now.saturating_duration_since(fetched) < GRACE)
    }
}

/// A text that is not the URL of a server.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "write an https URL, such as https://id.example.org/path; http only for this machine itself, by 127.0.0.1, [::1] or localhost"
)]
pub(in crate::auth) struct InvalidUrl;

/// Checks the URL of a server whose word decides: nobody on the way may change it.
pub(in crate::auth) fn check_url(text: &str) -> Result<String, InvalidUrl> {
    let url = url::Url::parse(text).map_err(|_| InvalidUrl)?;
    let is_local = match url.host().ok_or(InvalidUrl)? {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    };
    let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    if is_safe && is_bare { Ok(text.to_owned()) } else { Err(InvalidUrl) }
}

impl RemoteKeys {
    pub(super) fn new(url: String) -> Self {
        Self { url, state: RwLock::default(), fetching: tokio::sync::Mutex::default() }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The keys that count now.
    pub(super) fn keys(&self, now: Instant) -> Arc<KeySet> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.counts(now) { Arc::clone(&state.keys) } else { Arc::default() }
    }

    /// Whether it is known which keys there are. If not, nobody can say that a token is wrong.
    pub(in crate::auth) fn has_keys(&self, now: Instant) -> bool {
        self.state.read().unwrap_or_else(PoisonError::into_inner).counts(now)
    }

    /// Fetches the keys if they are old. `None` if it was too early, or whether they have been fetched.
    pub(in crate::auth) async fn refresh(&self, fetcher: &Fetcher) -> Option<bool> {
        self.fetch_if(fetcher, State::is_old).await
    }

    /// Fetches the keys for a token whose key is not known, if the last fetch was long enough ago. `None` if it was not.
    pub(in crate::auth) async fn look_for_key(&self, fetcher: &Fetcher) -> Option<bool> {
        self.fetch_if(fetcher, |_, _| true).await
    }

    async fn fetch_if(&self, fetcher: &Fetcher, wants: impl Fn(&State, Instant) -> bool) -> Option<bool> {
        // A request that waited here finds the keys that the request before it fetched.
        let _fetching = self.fetching.lock().await;
        if !self.is_due(wants, Instant::now()) {
            return None;
        }
        let fetched = fetcher.fetch(Request::get(&self.url), LARGEST, DEADLINE).await;
        let keys = match fetched {
            Ok(Fetched { status: 200, body }) => KeySet::of_server(&body).map_err(str::to_owned),
            Ok(Fetched { status, .. }) => Err(format!("the server answered {status}")),
            Err(error) => Err(error.to_string()),
        };
        Some(self.take(keys, Instant::now()))
    }

    /// Whether a fetch may begin now; then it counts as tried.
    fn is_due(&self, wants: impl Fn(&State, Instant) -> bool, now: Instant) -> bool {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let is_early = state.tried.is_some_and(|tried| now.saturating_duration_since(tried) < RETRY);
        let is_due = !is_early && wants(&state, now);
        if is_due {
            state.tried = Some(now);
        }
        is_due
    }

    /// Takes the result of a fetch, and returns whether there are new keys. Only a change is logged.
    fn take(&self, keys: Result<KeySet, String>, now: Instant) -> bool {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match keys {
            Ok(keys) => {
                if state.is_failing || state.fetched.is_none() {
                    info!(url = self.url, keys = keys.len(), "the keys of tokens were fetched");
                }
                *state = State { keys: Arc::new(keys), fetched: Some(now), tried: state.tried, is_failing: false };
                true
            }
            Err(reason) => {
                if !state.is_failing {
                    warn!(
                        url = self.url,
                        "the keys of tokens cannot be fetched: {reason}; those that are known count for up to a day, and without any, tokens \
                         that they sign are answered 503"
                    );
                }
                state.is_failing = true;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Result<KeySet, String> {
        let key =
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        KeySet::of_server(key.as_bytes()).map_err(str::to_owned)
    }

    #[test]
    fn keys_are_fetched_at_most_every_30_s_and_again_after_five_minutes() {
        let remote = RemoteKeys::new("https://id.example.org/keys".to_owned());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(remote.is_due(State::is_old, at(0)));
        assert!(!remote.is_due(|_, _| true, at(29)), "a second one within 30 s");
        assert!(remote.take(keys(), at(0)));
        assert!(!remote.is_due(State::is_old, at(31)), "they are new");
        assert!(remote.is_due(|_, _| true, at(31)), "an unknown key");
        assert!(!remote.is_due(|_, _| true, at(60)), "another unknown key");
        assert!(remote.is_due(State::is_old, at(300)));
    }

    #[test]
    fn keys_count_for_a_day_while_the_server_is_down() {
        let remote = RemoteKeys::new("https://id.example.org/keys".to_owned());
        let start = Instant::now();
        assert_eq!((remote.keys(start).len(), remote.has_keys(start)), (0, false));
        remote.take(keys(), start);
        assert!(!remote.take(Err("down".to_owned()), start + REFRESH));
        assert_eq!(remote.keys(start + GRACE - Duration::from_secs(1)).len(), 1);
        assert!(remote.has_keys(start + GRACE - Duration::from_secs(1)));
        assert_eq!((remote.keys(start + GRACE).len(), remote.has_keys(start + GRACE)), (0, false));
    }

    #[test]
    fn a_server_that_decides_is_asked_by_https_or_on_this_machine() {
        for good in ["https://id.example.org/keys?x=1", "http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]:9/"]
        {
            assert_eq!(check_url(good).as_deref(), Ok(good));
        }
        for bad in
            ["http://id.example.org/keys", "ftp://127.0.0.1/", "id.example.org", "", "https://a:b@id.example.org/"]
        {
            assert_eq!(check_url(bad), Err(InvalidUrl), "{bad}");
        }
    }
}
