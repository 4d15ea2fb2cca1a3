//! Rate limits for what costs the relay something: POST, PATCH and DELETE. By the client's address, and by its token, so
//! that one that got about does not fill the relay from everywhere. A bucket fills steadily and may be emptied at once, so
//! that an office behind one address can join together. Each address has one entry, forgotten when its bucket is full
//! again; only the relay's own tokens have one.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Shared;
use super::error::Problem;
use super::request::{Connection, bearer};

/// Full buckets are forgotten each time that many requests have been counted.
const FORGET_EVERY: u32 = 4096;

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
pub(super) struct Limiter<K: Hash + Eq + Clone> {
    buckets: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
    counted: AtomicU32,
    loopback: bool,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    pub(super) fn new(limit: Limit) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        Self {
            buckets: RateLimiter::dashmap(quota),
            clock: DefaultClock::default(),
            counted: AtomicU32::new(0),
            loopback: limit.loopback,
        }
    }

    /// Counts one request of `key` from `address`, or says how long it should wait.
    pub(super) fn count(&self, key: &K, address: IpAddr) -> Result<(), Duration> {
        if address.is_loopback() && !self.loopback {
            return Ok(());
        }
        if self.counted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
        }
        self.buckets.check_key(key).map_err(|wait| wait.wait_time_from(self.clock.now()))
    }
}

/// Counts a request by its address, then by its token if that is one of ours.
fn count(shared: &Shared, connection: Connection, request: &Request) -> Result<(), Problem> {
    let address = connection.remote.ip();
    if let Some(limiter) = &shared.limiter {
        let counted = limiter.count(&network_of(address), address);
        counted.map_err(|retry_after| Problem::TooMany { by: "from this address", retry_after })?;
    }
    let credential = shared.access.identify(bearer(request.headers())).ok();
    if let (Some(limiter), Some(credential)) = (&shared.token_limiter, credential.filter(|it| !it.is_anonymous())) {
        let counted = limiter.count(&credential, address);
        counted.map_err(|retry_after| Problem::TooMany { by: "with this token", retry_after })?;
    }
    Ok(())
}

/// One IPv6 client has at least a /64 of addresses.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Refuses a request that changes something when there were too many before it.
pub(super) async fn layer(
    State(shared): State<Shared>,
    connection: Connection,
    request: Request,
    next: Next,
) -> Response {
    if matches!(*request.method(), Method::POST | Method::PATCH | Method::DELETE)
        && let Err(problem) = count(&shared, connection, &request)
    {
        return problem.into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(burst: u32, loopback: bool) -> Limiter<IpAddr> {
        let number = |value| NonZeroU32::new(value).unwrap();
        Limiter::new(Limit { per_second: number(1), burst: number(burst), loopback })
    }

    fn ask(limiter: &Limiter<IpAddr>, address: IpAddr) -> Result<(), Duration> {
        limiter.count(&network_of(address), address)
    }

    #[test]
    fn a_burst_passes_and_the_next_request_is_told_to_wait() {
        let limiter = limiter(3, false);
        let client = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..3 {
            assert_eq!(ask(&limiter, client), Ok(()));
        }
        assert!(matches!(ask(&limiter, client), Err(retry_after) if !retry_after.is_zero()));
        assert_eq!(ask(&limiter, IpAddr::from([192, 0, 2, 2])), Ok(()), "another address is not held back");
    }

    #[test]
    fn this_machine_is_exempt_unless_told_otherwise() {
        let home = IpAddr::from([127, 0, 0, 1]);
        let exempt = limiter(1, false);
        assert!((0..100).all(|_| ask(&exempt, home).is_ok()));
        let counted = limiter(1, true);
        assert!(ask(&counted, home).is_ok() && ask(&counted, home).is_err());
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_bucket() {
        let limiter = limiter(1, false);
        assert!(ask(&limiter, "2001:db8::1".parse().unwrap()).is_ok());
        for neighbour in ["2001:db8::2", "2001:db8:0:0:ffff:ffff:ffff:ffff"] {
            assert!(ask(&limiter, neighbour.parse().unwrap()).is_err(), "{neighbour}: a client has a /64");
        }
        assert!(ask(&limiter, "2001:db8:0:1::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let number = |value| NonZeroU32::new(value).unwrap();
        let limiter = Limiter::new(Limit { per_second: number(1_000_000), burst: number(10), loopback: false });
        for client in 0..3 * FORGET_EVERY {
            assert_eq!(ask(&limiter, IpAddr::from(client.to_be_bytes().map(|byte| byte | 1))), Ok(()));
        }
        assert!(limiter.buckets.len() <= FORGET_EVERY as usize + 1, "{}", limiter.buckets.len());
    }
}
