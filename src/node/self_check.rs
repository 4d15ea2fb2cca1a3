//! Sentences that say which addresses clients on other machines try and what looks wrong with them, for the log at
//! start and for `/api/node`. Only another machine can find out whether an address is reachable from outside
//! (`sluice check-reachability`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use super::handle::Handle;
use crate::five_tuple::{is_private, listed};
use crate::worker::config::{HttpArrival, candidates_by_http};
use crate::worker::net::socket::BUFFER;

/// Files that container engines put into their containers (Docker, Podman).
const CONTAINER_FILES: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

/// Variables that they set (Podman and systemd-nspawn, Kubernetes).
const CONTAINER_VARIABLES: [&str; 2] = ["container", "KUBERNETES_SERVICE_HOST"];

/// The addresses, and the findings about them.
#[derive(Debug)]
pub(crate) struct SelfCheck {
    /// The candidates for clients on other machines, best first. An answer may also have the address on which its
    /// request arrived.
    pub(crate) addresses: Vec<SocketAddr>,
    findings: Vec<Finding>,
}

#[derive(Debug)]
enum Finding {
    /// A fact, which the operator may have intended.
    Note(String),
    /// Something does not work.
    Problem(String),
}

/// What the check reads.
struct Facts {
    /// The candidates for clients on other machines.
    addresses: Vec<SocketAddr>,
    /// The advertised ones among them.
    advertised: Vec<SocketAddr>,
    /// The address that media is bound to.
    bound: IpAddr,
    has_tcp: bool,
    /// The candidates for TCP on the port of HTTP, if it takes media.
    by_http: Vec<SocketAddr>,
    is_in_container: bool,
    socket_buffer: Option<usize>,
}

impl Handle {
    /// Looks at the addresses in force; `media_by_http` is the address of the HTTP listener, if it takes media.
    pub(crate) fn self_check(&self, media_by_http: Option<SocketAddr>) -> SelfCheck {
        let shared = self.shared();
        let advertised = shared.advertised.current();
        // As if through a proxy on this machine: the address on which such a request arrives is no candidate.
        let arrival = HttpArrival { local: Ipv4Addr::LOCALHOST.into(), is_this_machine: false };
        let addresses = shared.config.candidates(&advertised, shared.media_port, Some(arrival));
        let by_http = media_by_http.map(|listener| candidates_by_http(&advertised, &addresses, listener));
        SelfCheck::of(Facts {
            addresses,
            by_http: by_http.unwrap_or_default(),
            advertised: advertised.iter().map(|address| address.candidate(shared.media_port)).collect(),
            bound: shared.config.media.ip(),
            has_tcp: shared.has_ice_tcp,
            is_in_container: is_in_container(),
            socket_buffer: shared.socket_buffer,
        })
    }
}

impl SelfCheck {
    fn of(facts: Facts) -> Self {
        let findings = [Some(facts.tried()), facts.reach(), facts.family(), facts.one_kind(), facts.buffer()];
        Self { addresses: facts.addresses, findings: findings.into_iter().flatten().collect() }
    }

    /// The sentences.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let sentence = |finding: &Finding| match finding {
            Finding::Note(sentence) | Finding::Problem(sentence) => sentence.clone(),
        };
        self.findings.iter().map(sentence).collect()
    }

    /// Logs each sentence.
    pub(crate) fn log(&self) {
        for finding in &self.findings {
            match finding {
                Finding::Note(sentence) => tracing::info!("{sentence}"),
                Finding::Problem(sentence) => tracing::warn!("{sentence}"),
            }
        }
    }
}

impl Facts {
    fn tried(&self) -> Finding {
        if self.addresses.is_empty() {
            return Finding::Problem(
                "this machine has no network: other machines cannot connect until it has one, or until --advertise \
                 names an address"
                    .to_owned(),
            );
        }
        let mut by = if self.has_tcp { "by UDP, then by TCP".to_owned() } else { "by UDP".to_owned() };
        if !self.by_http.is_empty() {
            by += &format!(", then {} by TCP (the port of HTTP)", listed(&self.by_http));
        }
        Finding::Note(format!(
            "clients on other machines try {} {by}; sluice check-reachability URL on such a machine says whether they \
             reach it",
            listed(&self.addresses)
        ))
    }

    /// Whether machines elsewhere can reach any address.
    fn reach(&self) -> Option<Finding> {
        if self.addresses.is_empty() || self.addresses.iter().any(|address| !is_private(address.ip())) {
            return None;
        }
        if self.is_in_container && self.advertised.is_empty() && !self.bound.is_loopback() {
            return Some(Finding::Problem(format!(
                "the relay runs in a container, and {} may be of the container's own network, which other machines \
                 cannot reach: set --advertise to the host's address, with the published port if it differs",
                listed(&self.addresses)
            )));
        }
        Some(Finding::Note(
            "all of these addresses are private: clients on the Internet cannot reach them; for such clients, set \
             --advertise to the public address"
                .to_owned(),
        ))
    }

    /// Whether an advertised address is of a family that the media port does not receive.
    fn family(&self) -> Option<Finding> {
        let is_deaf = |address: &&SocketAddr| address.is_ipv6() && self.bound.is_ipv4();
        let deaf = self.advertised.iter().find(is_deaf)?;
        Some(Finding::Problem(format!(
            "{deaf} is advertised, but media is received by IPv4 alone: set --media [::]:PORT, or remove the address"
        )))
    }

    /// Whether there are addresses that clients which read only the first of a family never try.
    fn one_kind(&self) -> Option<Finding> {
        let of = |is_v6: bool| -> Vec<SocketAddr> {
            self.advertised.iter().filter(|address| address.is_ipv6() == is_v6).copied().collect()
        };
        let several = [of(false), of(true)].into_iter().find(|addresses| addresses.len() > 1)?;
        Some(Finding::Note(format!(
            "{} are advertised and of one family: clients that read only the first (FFmpeg) never try the others",
            listed(&several)
        )))
    }

    fn buffer(&self) -> Option<Finding> {
        let octets = self.socket_buffer.filter(|octets| *octets < BUFFER)?;
        Some(Finding::Problem(format!(
            "small socket buffers ({octets} of {BUFFER} bytes) lose packets in bursts: run sysctl -w \
             net.core.rmem_max={BUFFER} net.core.wmem_max={BUFFER}"
        )))
    }
}

fn is_in_container() -> bool {
    CONTAINER_FILES.iter().any(|file| Path::new(file).exists())
        || CONTAINER_VARIABLES.iter().any(|name| std::env::var_os(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(own: &[&str], advertised: &[&str], change: impl FnOnce(&mut Facts)) -> String {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let mut facts = Facts {
            addresses: parse(&[advertised, own].concat()),
            advertised: parse(advertised),
            bound: "0.0.0.0".parse().unwrap(),
            has_tcp: true,
            by_http: Vec::new(),
            is_in_container: false,
            socket_buffer: Some(BUFFER),
        };
        change(&mut facts);
        SelfCheck::of(facts).sentences().join("\n")
    }

    #[test]
    fn the_addresses_are_named_and_a_good_configuration_has_no_other_sentence() {
        let said = sentences(&["10.0.0.5:8081"], &["203.0.113.7:8081"], |_| {});
        assert!(said.starts_with("clients on other machines try 203.0.113.7:8081, 10.0.0.5:8081 by UDP, then by TCP"));
        assert_eq!(said.lines().count(), 1, "{said}");
        let by_http = |facts: &mut Facts| facts.by_http = vec!["203.0.113.7:443".parse().unwrap()];
        let said = sentences(&[], &["203.0.113.7:8081"], by_http);
        assert!(
            said.contains("203.0.113.7:8081 by UDP, then by TCP, then 203.0.113.7:443 by TCP (the port of"),
            "{said}"
        );
    }

    #[test]
    fn a_machine_without_a_network_is_a_problem() {
        assert!(sentences(&[], &[], |_| {}).starts_with("this machine has no network"));
    }

    #[test]
    fn private_addresses_alone_are_named_and_those_of_a_container_are_a_problem() {
        for own in ["10.0.0.5:8081", "100.64.0.1:8081", "[fd00::1]:8081", "169.254.0.1:8081"] {
            assert!(sentences(&[own], &[], |_| {}).contains("all of these addresses are private"), "{own}");
        }
        let contained = sentences(&["172.17.0.2:8081"], &[], |facts| facts.is_in_container = true);
        assert!(contained.contains("runs in a container, and 172.17.0.2:8081"), "{contained}");
        let mapped = sentences(&["172.17.0.2:8081"], &["203.0.113.7:30081"], |facts| facts.is_in_container = true);
        assert!(!mapped.contains("container"), "{mapped}");
    }

    #[test]
    fn ipv6_without_a_socket_for_it_and_two_addresses_of_one_family_are_named() {
        let deaf = sentences(&[], &["203.0.113.7:8081", "[2001:db8::7]:8081"], |_| {});
        assert!(deaf.contains("[2001:db8::7]:8081 is advertised, but media is received by IPv4 alone"), "{deaf}");
        let dual = |facts: &mut Facts| facts.bound = "::".parse().unwrap();
        assert_eq!(sentences(&[], &["203.0.113.7:8081", "[2001:db8::7]:8081"], dual).lines().count(), 1);
        let several = sentences(&[], &["203.0.113.7:8081", "203.0.113.8:8081"], |_| {});
        assert!(several.contains("203.0.113.7:8081, 203.0.113.8:8081 are advertised and of one family"), "{several}");
    }

    #[test]
    fn small_buffers_are_named_with_the_sysctl() {
        let said = sentences(&[], &["203.0.113.7:1"], |facts| facts.socket_buffer = Some(212_992));
        assert!(said.contains("212992 of") && said.contains("sysctl -w net.core.rmem_max=8388608"), "{said}");
    }
}
