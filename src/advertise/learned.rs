//! Learns the addresses of names from the system's resolver, and those of this machine from STUN servers.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::thread;
use std::time::Duration;

use super::exchange::{exchange, unspecified};
use super::value::{StunServer, is_reachable};
use crate::ice::binding;

/// When a request is sent again, and when it counts as unanswered, from the first one on (RFC 8489 6.2.1 with 3
/// requests).
const WAITS: [Duration; 3] = [Duration::from_millis(500), Duration::from_millis(1_000), Duration::from_millis(1_000)];

/// The addresses of a name to which a relay bound to `bound` can be reached, IPv4 first.
///
/// # Errors
/// A sentence that says why there are none.
pub(super) fn look_up(name: &str, bound: IpAddr) -> Result<Vec<IpAddr>, String> {
    let found = (name, 0).to_socket_addrs().map_err(|error| format!("{name} cannot be resolved: {error}"))?;
    usable(name, found.map(|address| address.ip()), bound)
}

/// The usable ones of the addresses that a name stands for.
fn usable(name: &str, found: impl Iterator<Item = IpAddr>, bound: IpAddr) -> Result<Vec<IpAddr>, String> {
    let found: Vec<IpAddr> = found.collect();
    let mut usable: Vec<IpAddr> = Vec::new();
    for ip in &found {
        let is_usable = is_reachable(ip) && !ip.is_loopback() && receives(bound, ip);
        if is_usable && !usable.contains(ip) {
            usable.push(*ip);
        }
    }
    if usable.is_empty() {
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        return Err(format!(
            "{name} stands for {}, which no client of a relay on {bound} can reach",
            found.join(" and ")
        ));
    }
    // The simplest clients read only the first candidate, and only IPv4.
    usable.sort_by_key(IpAddr::is_ipv6);
    Ok(usable)
}

/// This machine's public addresses as the first server of each address family that answers reports them, IPv4 first.
///
/// # Errors
/// A sentence about each server, if none answered.
pub(super) fn ask(servers: &[StunServer], bound: IpAddr) -> Result<Vec<IpAddr>, String> {
    let answers: Vec<Answers> = thread::scope(|scope| {
        let asked: Vec<_> = servers.iter().map(|server| scope.spawn(move || ask_one(server, bound))).collect();
        asked.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let first = |is_v6: bool| answers.iter().flat_map(|it| &it.learned).find(|ip| ip.is_ipv6() == is_v6);
    let learned: Vec<IpAddr> = [first(false), first(true)].into_iter().flatten().copied().collect();
    if learned.is_empty() {
        let failures: Vec<&str> = answers.iter().flat_map(|it| &it.failures).map(String::as_str).collect();
        return Err(failures.join(", "));
    }
    Ok(learned)
}

/// What became of the requests to one server.
#[derive(Default)]
struct Answers {
    learned: Vec<IpAddr>,
    failures: Vec<String>,
}

/// Asks one server over each address family that the relay receives.
fn ask_one(server: &StunServer, bound: IpAddr) -> Answers {
    let mut answers = Answers::default();
    let found = match (server.host.as_str(), server.port.get()).to_socket_addrs() {
        Ok(found) => found.collect::<Vec<_>>(),
        Err(error) => {
            answers.failures.push(format!("{server} cannot be resolved: {error}"));
            return answers;
        }
    };
    for is_v6 in [false, true] {
        let Some(address) = found.iter().find(|it| it.is_ipv6() == is_v6 && receives(bound, &it.ip())) else {
            continue;
        };
        match mapped(*address, bound) {
            Ok(ip) => answers.learned.push(ip),
            Err(error) => answers.failures.push(format!("{server} at {address}: {error}")),
        }
    }
    if answers.learned.is_empty() && answers.failures.is_empty() {
        answers.failures.push(format!("{server} has no address that a relay on {bound} can ask"));
    }
    answers
}

/// Sends a Binding request to `server` from the address that media is bound to, and returns the public address in the
/// answer.
fn mapped(server: SocketAddr, bound: IpAddr) -> io::Result<IpAddr> {
    let local = if bound.is_unspecified() { unspecified(server) } else { bound };
    let transaction = rand::random();
    let request = binding::request(&transaction);
    exchange((local, server), &request, &WAITS, |answer| {
        let mapped = binding::mapped_address(answer, &transaction)?;
        is_reachable(&mapped.ip()).then_some(mapped.ip())
    })
}

/// Whether a relay that is bound to `bound` receives the address family of `ip`.
fn receives(bound: IpAddr, ip: &IpAddr) -> bool {
    match bound {
        // [::] is every address, of both families.
        IpAddr::V6(bound) => ip.is_ipv6() || bound.is_unspecified(),
        IpAddr::V4(_) => ip.is_ipv4(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const DUAL: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

    fn found(addresses: &[&str]) -> impl Iterator<Item = IpAddr> {
        addresses.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn a_name_gives_the_addresses_of_the_bound_families_with_ipv4_first() {
        let addresses = ["2001:db8::7", "203.0.113.7", "203.0.113.7", "fe80::1"];
        let shown = |bound| usable("a.example", found(&addresses), bound).unwrap();
        assert_eq!(shown(ANY), found(&["203.0.113.7"]).collect::<Vec<_>>());
        assert_eq!(shown(DUAL), found(&["203.0.113.7", "2001:db8::7"]).collect::<Vec<_>>());
        assert_eq!(shown("2001:db8::1".parse().unwrap()), found(&["2001:db8::7"]).collect::<Vec<_>>());
    }

    #[test]
    fn a_name_of_this_machine_alone_is_refused() {
        let error = usable("a.example", found(&["127.0.1.1", "::1"]), DUAL).unwrap_err();
        assert!(error.contains("a.example stands for 127.0.1.1 and ::1"), "{error}");
        assert!(look_up("localhost", DUAL).unwrap_err().contains("localhost stands for"));
    }

    #[test]
    fn a_name_that_does_not_exist_is_named_in_the_error() {
        let error = look_up("relay.invalid", DUAL).unwrap_err();
        assert!(error.starts_with("relay.invalid cannot be resolved"), "{error}");
    }
}
