//! Answers Binding requests without credentials (`--stun`): the relay is a STUN server on its media port too.
//!
//! The rule: a request may come from a forged address, so each network is sent only a bounded number of answers, and an
//! answer is at most 12 octets longer than the request for IPv4 and 24 for IPv6. The state has a fixed size.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::binding;
use super::stun::StunMessage;

/// Answers that one worker sends to a network at once.
const BURST: u32 = 50;

/// The time between two answers to a network after that.
const INTERVAL: Duration = Duration::from_millis(100);

/// The number of budgets: 64 KiB a worker. Networks that share a budget slow each other down and no others.
const BUDGETS: usize = 4_096;

/// The answers of one worker to Binding requests without credentials.
pub(crate) struct PublicStun {
    /// The time at which each budget is full again; a budget that is full needs no other state.
    full_at: Box<[Instant]>,
    /// Keyed, so that nobody can choose networks that share a budget.
    hasher: RandomState,
}

/// What becomes of a request without credentials.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PublicAnswer {
    /// Send this.
    Send(Vec<u8>),
    /// The budget of its network is empty.
    Limited,
}

impl PublicStun {
    /// With all budgets full.
    pub(crate) fn new(now: Instant) -> Self {
        let full_at = vec![now; BUDGETS].into_boxed_slice();
        Self { full_at, hasher: RandomState::new() }
    }

    /// Answers a request from `remote`.
    pub(crate) fn answer(&mut self, request: &StunMessage, remote: SocketAddr, now: Instant) -> PublicAnswer {
        let place = self.hasher.hash_one(network(remote.ip())) as usize % BUDGETS;
        let full_at = self.full_at[place].max(now);
        if full_at - now > INTERVAL * (BURST - 1) {
            return PublicAnswer::Limited;
        }
        self.full_at[place] = full_at + INTERVAL;
        PublicAnswer::Send(binding::answer(&request.transaction, remote))
    }
}

/// The network whose hosts share a budget: a /24 of IPv4, a /56 of IPv6, as one customer has.
fn network(ip: IpAddr) -> (bool, u64) {
    match ip.to_canonical() {
        IpAddr::V4(v4) => (false, u64::from(v4.to_bits() >> 8)),
        IpAddr::V6(v6) => (true, (v6.to_bits() >> 72) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(stun: &mut PublicStun, from: &str, now: Instant) -> bool {
        let datagram = binding::request(b"transaction!");
        let request = StunMessage::parse(&datagram).unwrap();
        matches!(stun.answer(&request, from.parse().unwrap(), now), PublicAnswer::Send(_))
    }

    fn answers(stun: &mut PublicStun, from: &str, now: Instant) -> usize {
        (0..1_000).filter(|_| ask(stun, from, now)).count()
    }

    #[test]
    fn a_network_is_sent_fifty_answers_at_once_and_ten_a_second() {
        let begin = Instant::now();
        let mut stun = PublicStun::new(begin);
        assert_eq!(answers(&mut stun, "192.0.2.1:5000", begin), 50);
        assert_eq!(answers(&mut stun, "192.0.2.254:1", begin), 0, "a /24 is one network");
        let later = begin + Duration::from_secs(1);
        assert_eq!(answers(&mut stun, "[::ffff:192.0.2.7]:1", later), 10, "mapped addresses are IPv4");
        assert_eq!(answers(&mut stun, "192.0.2.1:5000", later + Duration::from_secs(3_600)), 50);
    }

    #[test]
    fn an_ipv6_customer_is_one_network() {
        assert_eq!(network("2001:db8:0:ff::1".parse().unwrap()), network("2001:db8::2".parse().unwrap()));
        assert_ne!(network("2001:db8:0:100::1".parse().unwrap()), network("2001:db8::2".parse().unwrap()));
        assert_ne!(network("192.0.2.1".parse().unwrap()), network("192.0.3.1".parse().unwrap()));
        assert_ne!(network("::1".parse().unwrap()), network("0.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_million_forged_networks_draw_a_bounded_number_of_answers_and_take_no_memory() {
        let begin = Instant::now();
        let mut stun = PublicStun::new(begin);
        let from = |number: u32| format!("{}:5000", std::net::Ipv4Addr::from_bits(number << 8));
        let sent = (0..1_000_000_u32).filter(|number| ask(&mut stun, &from(*number), begin)).count();
        assert_eq!((sent, stun.full_at.len()), (BUDGETS * BURST as usize, BUDGETS));
    }
}
