//! Rate limits for what costs the relay or another server something: POST, PATCH and DELETE, every request with a
//! token that another server is asked about, and every request for a session of another node. By the client's address, and by its token,
//! so that a leaked token does not fill the relay from many addresses. A bucket fills steadily and may be emptied at
//! once, so that an office behind one address can join together. Each address has one entry, forgotten when its bucket
//! is full again; only the relay's own tokens have one. tower's `RateLimitLayer` has one bucket for all clients.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::from_node::FromNode;
use crate::auth::{Access, Credential};
use crate::cluster::NodeTag;
use crate::http::error::Problem;
use crate::http::request::asker::Asker;
use crate::http::request::connection::Connection;
use crate::http::request::path::split_tag;
use crate::session::ClientGroup;

/// Requests between two times that full buckets are forgotten.
const FORGET_EVERY: u32 = 4096;

/// How much more a site of IPv6 networks may ask for than one of them.
const SITE: NonZeroU32 = NonZeroU32::new(16).expect("16 is more than none");

/// How many requests one address may send, or the holders of one token together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Steadily, a second.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
    /// Whether it holds for this machine itself too: a proxy here would make all clients one address.
    pub loopback: bool,
}

/// The buckets of all addresses, or of all tokens. Every HTTP task writes.
pub(in crate::http) struct Limiter<K: Hash + Eq + Clone> {
    buckets: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
    counted: AtomicU32,
    loopback: bool,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    pub(in crate::http) fn new(limit: Limit) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        Self {
            buckets: RateLimiter::dashmap(quota),
            clock: DefaultClock::default(),
            counted: AtomicU32::new(0),
            loopback: limit.loopback,
        }
    }

    /// Whether a connection's requests are counted.
    fn concerns(&self, connection: &Connection) -> bool {
        self.loopback || !connection.is_from_this_machine()
    }

    /// Counts one request of `key`; the error is how long to wait.
    pub(in crate::http) fn count(&self, key: &K) -> Result<(), Duration> {
        if self.counted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
        }
        self.buckets.check_key(key).map_err(|wait| wait.wait_time_from(self.clock.now()))
    }
}

/// The buckets of all clients; above those of IPv6 networks stand larger ones of their sites, because a site has
/// 65,536 networks to send requests from.
pub(in crate::http) struct ClientLimiter {
    clients: Limiter<ClientGroup>,
    sites: Limiter<ClientGroup>,
}

impl ClientLimiter {
    pub(in crate::http) fn new(limit: Limit) -> Self {
        let [per_second, burst] = [limit.per_second, limit.burst].map(|number| number.saturating_mul(SITE));
        Self { clients: Limiter::new(limit), sites: Limiter::new(Limit { per_second, burst, ..limit }) }
    }

    /// Whether a connection's requests are counted.
    pub(super) fn concerns(&self, connection: &Connection) -> bool {
        self.clients.concerns(connection)
    }

    pub(super) fn count(&self, client: ClientGroup) -> Result<(), Duration> {
        self.clients.count(&client)?;
        client.site().map_or(Ok(()), |site| self.sites.count(&site))
    }
}

/// What requests are counted by.
pub(in crate::http) struct RateLimits {
    access: Arc<Access>,
    /// What the ids of this node's sessions begin with, in a cluster.
    own_tag: Option<NodeTag>,
    clients: Option<ClientLimiter>,
    tokens: Option<Limiter<Credential>>,
}

impl RateLimits {
    pub(in crate::http) fn new(
        access: Arc<Access>,
        own_tag: Option<NodeTag>,
        clients: Option<Limit>,
        tokens: Option<Limit>,
    ) -> Self {
        Self { access, own_tag, clients: clients.map(ClientLimiter::new), tokens: tokens.map(Limiter::new) }
    }

    /// Whether a request is about a session of another node, which is asked then.
    fn is_sent_on(&self, path: &str) -> bool {
        let tag = path.strip_prefix("/session/").and_then(|rest| rest.split('/').next()).and_then(split_tag);
        self.own_tag.is_some_and(|own| tag.is_some_and(|(tag, _)| tag != own))
    }
}

/// Counts a request by its client, then by its token if that is one of ours.
fn count(limits: &RateLimits, connection: Connection, asker: &Asker) -> Result<(), Problem> {
    if let Some(limiter) = limits.clients.as_ref().filter(|limiter| limiter.concerns(&connection)) {
        let counted = limiter.count(connection.client());
        counted.map_err(|retry_after| Problem::TooMany { by: "from this address", retry_after })?;
    }
    let credential = asker.token().and_then(|token| limits.access.known_holder(token));
    let token_limiter = limits.tokens.as_ref().filter(|limiter| limiter.concerns(&connection));
    if let (Some(limiter), Some(credential)) = (token_limiter, credential) {
        let counted = limiter.count(&credential);
        counted.map_err(|retry_after| Problem::TooMany { by: "with this token", retry_after })?;
    }
    Ok(())
}

/// Refuses a request that costs something when there were too many before it.
pub(in crate::http) async fn layer(
    State(limits): State<Arc<RateLimits>>,
    connection: Connection,
    asker: Asker,
    request: Request,
    next: Next,
) -> Response {
    // The node that the client has reached has counted it.
    if request.extensions().get::<FromNode>().is_some() {
        return next.run(request).await;
    }
    let is_change = matches!(*request.method(), Method::POST | Method::PATCH | Method::DELETE);
    let asks_another = || asker.token().is_some_and(|token| limits.access.asks_about(token));
    if (is_change || limits.is_sent_on(request.uri().path()) || asks_another())
        && let Err(problem) = count(&limits, connection, &asker)
    {
        return problem.into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ClientSource;
    use std::net::IpAddr;
    use std::time::Instant;

    fn limit(burst: u32) -> Limit {
        let number = |value| NonZeroU32::new(value).unwrap();
        Limit { per_second: number(1), burst: number(burst), loopback: false }
    }

    fn client(address: &str) -> ClientGroup {
        ClientGroup::of(address.parse().unwrap())
    }

    #[test]
    fn a_request_for_a_session_of_another_node_is_sent_on() {
        let tag = |name: &str| NodeTag::of(&name.parse().unwrap());
        let access = Access::new(&crate::auth::Config::default(), Arc::default()).unwrap();
        let limits = RateLimits::new(Arc::new(access), Some(tag("a")), None, None);
        let session = crate::name::SessionId::random();
        let (own, other) = (format!("/session/{}{session}", tag("a")), format!("/session/{}{session}", tag("b")));
        assert!(limits.is_sent_on(&other) && limits.is_sent_on(&format!("{other}/events")));
        for path in [&own, &format!("{own}/layer"), &format!("/session/{session}"), "/session/", "/whep/cam"] {
            assert!(!limits.is_sent_on(path), "{path}");
        }
    }

    #[test]
    fn a_burst_passes_and_the_next_request_has_to_wait() {
        let limiter = ClientLimiter::new(limit(3));
        for _ in 0..3 {
            assert_eq!(limiter.count(client("192.0.2.1")), Ok(()));
        }
        assert!(matches!(limiter.count(client("192.0.2.1")), Err(retry_after) if !retry_after.is_zero()));
        assert!(limiter.count(client("::ffff:192.0.2.1")).is_err(), "that is the same address");
        assert_eq!(limiter.count(client("192.0.2.2")), Ok(()), "another address is not held back");
    }

    #[test]
    fn this_machine_is_exempt_unless_configured_otherwise_or_behind_a_proxy() {
        let direct = Connection::direct(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        let through_proxy = Connection { source: ClientSource::Proxied, ..direct };
        let exempt: Limiter<ClientGroup> = Limiter::new(limit(1));
        assert!(!exempt.concerns(&direct) && exempt.concerns(&through_proxy));
        let strict: Limiter<ClientGroup> = Limiter::new(Limit { loopback: true, ..limit(1) });
        assert!(strict.concerns(&direct));
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_bucket() {
        let limiter = ClientLimiter::new(limit(1));
        assert!(limiter.count(client("2001:db8::1")).is_ok());
        for neighbour in ["2001:db8::2", "2001:db8:0:0:ffff:ffff:ffff:ffff"] {
            assert!(limiter.count(client(neighbour)).is_err(), "{neighbour}: a client has a /64");
        }
        assert!(limiter.count(client("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn the_networks_of_one_ipv6_site_share_a_larger_bucket() {
        let limiter = ClientLimiter::new(limit(2));
        let began = Instant::now();
        let passed = (0..1000).filter(|network| limiter.count(client(&format!("2001:db8:0:{network:x}::1"))).is_ok());
        let (passed, burst) = (passed.count(), 2 * SITE.get() as usize);
        let refilled = (f64::from(SITE.get()) * began.elapsed().as_secs_f64()).ceil() as usize;
        assert!((burst..=burst + refilled).contains(&passed), "{passed} of {burst} at once and {refilled} since");
        assert!(limiter.count(client("2001:db8:1::1")).is_ok(), "another site is not held back");
        assert!((0..200).all(|host| limiter.count(client(&format!("192.0.2.{host}"))).is_ok()), "IPv4 has no sites");
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let number = |value| NonZeroU32::new(value).unwrap();
        let limiter = Limiter::new(Limit { per_second: number(1_000_000), burst: number(10), loopback: false });
        for client in 0..3 * FORGET_EVERY {
            assert_eq!(limiter.count(&ClientGroup::of(IpAddr::from(client.to_be_bytes()))), Ok(()));
        }
        assert!(limiter.buckets.len() <= FORGET_EVERY as usize + 1, "{}", limiter.buckets.len());
    }
}
