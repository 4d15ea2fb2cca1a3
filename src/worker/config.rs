//! Where media is received, and which addresses clients get as candidates.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::advertise::{Advertise, PublicAddress, StunServer};
use crate::forward::{CacheLimits, HistoryLimits};
use crate::session::{ClientSource, Quota};
use crate::worker::net::socket::SPREADS;

/// The most workers: more than the machines that this is for have cores. Each takes a thread, a socket and its buffers.
const MAX_WORKERS: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not 0");

/// The configuration of all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The UDP address that all workers bind; port 0 takes a free one.
    pub media: SocketAddr,
    /// Clients may connect to the media port by TCP too (RFC 6544).
    pub ice_tcp: bool,
    /// The relay is a TURN server for its own sessions on the ports that take media by TCP.
    pub turn: bool,
    /// Addresses that answers name first, for a relay behind NAT. If there are any, of this machine's own only the one
    /// on which the HTTP request arrived is named, or the one that is bound.
    pub advertise: Vec<Advertise>,
    /// Binding requests without credentials on the media port are answered with the address that they came from.
    pub stun: bool,
    /// The servers that report the public address.
    pub stun_servers: Vec<StunServer>,
    /// How many threads forward media.
    pub workers: NonZeroUsize,
    /// How many viewers of a stream are served by its publisher's worker; all workers serve further ones. 0 spreads
    /// every stream. With 30 spread streams of 10 viewers each, two workers used 50 % more CPU time than one.
    pub small_stream: usize,
    /// How many publishers are gathered on one worker before the next one gets any. Once every worker has as many,
    /// further publishers live where they arrive.
    pub gathered_publishers: u32,
    /// Data channel messages of viewers reach the publisher.
    pub viewer_messages: bool,
    /// Reject viewers of a stream that has no publisher instead of letting them wait.
    pub refuse_early_viewers: bool,
    /// Publishers may signal the video orientation instead of rotating the video.
    pub video_orientation: bool,
    /// How many sessions there may be.
    pub quota: Quota,
    /// Bits per second that one publisher may send; 0 for no limit.
    pub max_publisher_bitrate: u64,
    /// Bits per second that a new viewer's network is taken to carry until its reports say what it carries.
    pub start_bitrate: u64,
    /// How long viewers wait for a publisher that has left.
    pub grace: Duration,
    /// How long the live publisher must be silent before its standby takes over.
    pub standby_after: Duration,
    /// The limits of the frames kept of each video track since its last keyframe, for viewers that join between
    /// keyframes.
    pub cache: CacheLimits,
    /// The octets of those frames, for all video tracks together.
    pub cached_frames_total: usize,
    /// How long sessions go on when the relay is asked to stop.
    pub drain: Duration,
}

/// Why a configuration is rejected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// An advertised address that no client can reach.
    #[error("cannot advertise {0}: name an address that clients can reach with --advertise IP")]
    Unreachable(IpAddr),
    /// `auto` without a STUN server.
    #[error(
        "--advertise auto asks a STUN server for the public address: name one with --stun-server HOST:PORT, for \
         example your provider's or stun.example.org:3478"
    )]
    NoStunServer,
    /// A STUN server without `auto`.
    #[error("--stun-server is set, but nothing asks it: add auto to --advertise, or remove it")]
    UnusedStunServer,
    /// More than one worker on a system where only one socket would get datagrams.
    #[error("{0} workers need Linux, which spreads clients over their sockets: leave --workers out")]
    Workers(NonZeroUsize),
    /// More than 1,024 workers.
    #[error("{0} workers are too many: leave --workers out, and there is one for each core")]
    TooMany(NonZeroUsize),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            media: SocketAddr::from(([0, 0, 0, 0], 8081)),
            ice_tcp: true,
            turn: true,
            advertise: Vec::new(),
            stun: false,
            stun_servers: Vec::new(),
            workers: one_for_each_core(),
            small_stream: 16,
            gathered_publishers: 16,
            viewer_messages: false,
            refuse_early_viewers: false,
            video_orientation: false,
            quota: Quota::default(),
            max_publisher_bitrate: 0,
            start_bitrate: 1_000_000,
            grace: Duration::from_secs(60),
            standby_after: Duration::from_secs(1),
            cache: CacheLimits::default(),
            cached_frames_total: 256 << 20,
            drain: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Checks what can be checked before anything is bound.
    ///
    /// # Errors
    /// [`ConfigError`] for an advertised address that no client can reach, for `auto` without a STUN server and the
    /// reverse, and for workers that would get nothing to do.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.workers.get() > 1 && !SPREADS {
            return Err(ConfigError::Workers(self.workers));
        }
        if self.workers > MAX_WORKERS {
            return Err(ConfigError::TooMany(self.workers));
        }
        if let Some(address) = self.advertise.iter().find_map(Advertise::unreachable) {
            return Err(ConfigError::Unreachable(address));
        }
        match (self.advertise.iter().any(Advertise::is_auto), self.stun_servers.is_empty()) {
            (true, true) => Err(ConfigError::NoStunServer),
            (false, false) => Err(ConfigError::UnusedStunServer),
            _ => Ok(()),
        }
    }

    /// How much a history keeps.
    pub(crate) fn history_limits(&self) -> HistoryLimits {
        HistoryLimits { cache: self.cache, ..HistoryLimits::default() }
    }

    /// The candidates of an answer, best first: advertised addresses, then the address on which the HTTP request
    /// arrived unless it is loopback and the client is not on this machine itself, then this machine's others if none
    /// is advertised. If one address is bound, no other of this machine is named. FFmpeg reads only the first.
    pub(crate) fn candidates(
        &self,
        advertised: &[PublicAddress],
        port: u16,
        arrival: Option<HttpArrival>,
    ) -> Vec<SocketAddr> {
        let mut own: Vec<IpAddr> = Vec::new();
        if let Some(arrival) = arrival
            && (!arrival.local.is_loopback() || arrival.is_this_machine)
        {
            own.push(arrival.local);
        }
        if !self.media.ip().is_unspecified() {
            // One address is bound; no other would be answered.
            own = vec![self.media.ip()];
        } else if advertised.is_empty() {
            let local = arrival.is_none_or(|arrival| arrival.is_this_machine);
            own.extend(interfaces(local));
        }
        own.retain(|address| self.media.is_ipv6() || address.is_ipv4());
        let public = advertised.iter().map(|address| address.candidate(port));
        let mut candidates: Vec<SocketAddr> = Vec::new();
        for candidate in public.chain(own.into_iter().map(|address| SocketAddr::new(address, port))) {
            if !candidates.contains(&candidate) && candidates.len() < MAX_CANDIDATES {
                candidates.push(candidate);
            }
        }
        candidates
    }
}

/// Candidates for TCP on the port of the HTTP listener: the addresses of the UDP candidates on which it listens, and
/// those that are advertised without a public port.
pub(crate) fn candidates_by_http(
    advertised: &[PublicAddress],
    udp: &[SocketAddr],
    listener: SocketAddr,
) -> Vec<SocketAddr> {
    let reaches = |ip: IpAddr| match advertised.iter().find(|address| address.ip == ip) {
        // Where the UDP port is mapped, that of HTTP needs a mapping too, which is not known.
        Some(address) => address.port.is_none(),
        None => listener.ip().is_unspecified() || listener.ip() == ip,
    };
    let reaches = |ip: &IpAddr| (ip.is_ipv4() || listener.is_ipv6()) && reaches(*ip);
    let ips = udp.iter().map(SocketAddr::ip).filter(reaches);
    ips.map(|ip| SocketAddr::new(ip, listener.port())).collect()
}

/// One worker for each core that this process may use, where the kernel spreads clients over the sockets of one port.
pub(crate) fn one_for_each_core() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    if SPREADS { cores.min(MAX_WORKERS) } else { NonZeroUsize::MIN }
}

/// An answer must stay small: FFmpeg reads 8 KiB.
const MAX_CANDIDATES: usize = 8;

/// Where a client's HTTP request arrived, and whether it comes from this machine itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HttpArrival {
    pub(crate) local: IpAddr,
    pub(crate) is_this_machine: bool,
}

impl HttpArrival {
    /// A request from `remote`, which is known by `source`; `None` if the address on which it arrived is not known.
    pub(crate) fn of(local: Option<IpAddr>, remote: IpAddr, source: ClientSource) -> Option<Self> {
        local.map(|local| Self { local, is_this_machine: source.is_this_machine(remote) })
    }
}

/// This machine's addresses; loopback only for a client on this machine. Link-local ones need a scope, which a
/// candidate cannot carry.
fn interfaces(with_loopback: bool) -> Vec<IpAddr> {
    let Ok(interfaces) = if_addrs::get_if_addrs() else { return Vec::new() };
    let link_local = |address: &IpAddr| match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let mut addresses: Vec<IpAddr> = interfaces.into_iter().map(|interface| interface.ip()).collect();
    addresses.retain(|address| !link_local(address) && (with_loopback || !address.is_loopback()));
    // IPv4 first: it is what the simplest clients read.
    addresses.sort_by_key(|address| (address.is_loopback(), address.is_ipv6()));
    addresses
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn arrival(local: &str, remote: &str) -> Option<HttpArrival> {
        HttpArrival::of(Some(local.parse().unwrap()), remote.parse().unwrap(), ClientSource::Direct)
    }

    #[test]
    fn the_advertised_address_comes_first_then_the_one_http_arrived_on() {
        let advertised = [PublicAddress { ip: "203.0.113.7".parse().unwrap(), port: None }];
        let candidates = Config::default().candidates(&advertised, 8081, arrival("10.0.0.5", "10.0.0.9"));
        let shown: Vec<String> = candidates.iter().map(|candidate| candidate.to_string()).collect();
        assert_eq!(shown, ["203.0.113.7:8081", "10.0.0.5:8081"]);
    }

    #[test]
    fn a_remote_client_behind_a_local_proxy_gets_no_loopback_candidate() {
        let candidates = Config::default().candidates(&[], 8081, arrival("127.0.0.1", "198.51.100.1"));
        assert!(candidates.iter().all(|candidate| !candidate.ip().is_loopback()));
        let candidates = Config::default().candidates(&[], 8081, arrival("127.0.0.1", "127.0.0.1"));
        assert_eq!(candidates[0].ip().to_string(), "127.0.0.1");
    }

    #[test]
    fn a_relay_bound_to_one_address_offers_only_that() {
        let config = Config { media: "127.0.0.1:9".parse().unwrap(), ..Config::default() };
        let candidates = config.candidates(&[], 9, arrival("10.0.0.5", "10.0.0.9"));
        assert_eq!(candidates, [config.media]);
    }

    #[test]
    fn the_http_port_is_a_candidate_where_it_is_listened_on_or_advertised_without_a_mapped_port() {
        let public = |ip: &str, port| PublicAddress { ip: ip.parse().unwrap(), port: NonZeroU16::new(port) };
        let advertised = [public("203.0.113.7", 0), public("203.0.113.8", 30_081)];
        let udp = ["203.0.113.7:8081", "203.0.113.8:30081", "10.0.0.5:8081", "[2001:db8::1]:8081"];
        for (listener, expected) in [
            ("0.0.0.0:443", &["203.0.113.7:443", "10.0.0.5:443"][..]),
            ("[::]:443", &["203.0.113.7:443", "10.0.0.5:443", "[2001:db8::1]:443"]),
            ("10.0.0.5:443", &["203.0.113.7:443", "10.0.0.5:443"]),
            ("10.0.0.6:443", &["203.0.113.7:443"]),
        ] {
            let udp = udp.map(|text| text.parse().unwrap());
            let candidates = candidates_by_http(&advertised, &udp, listener.parse().unwrap());
            let shown: Vec<String> = candidates.iter().map(SocketAddr::to_string).collect();
            assert_eq!(shown, expected, "{listener}");
        }
    }

    #[test]
    fn there_is_a_worker_for_each_core_and_never_thousands() {
        let cores = std::thread::available_parallelism().unwrap();
        assert_eq!(Config::default().workers, if SPREADS { cores } else { NonZeroUsize::MIN });
        let config = Config { workers: NonZeroUsize::new(70_000).unwrap(), ..Config::default() };
        assert!(config.check().unwrap_err().to_string().contains("70000 workers"));
    }

    #[test]
    fn an_unreachable_address_is_refused() {
        let config = Config { advertise: vec!["0.0.0.0".parse().unwrap()], ..Config::default() };
        assert_eq!(config.check(), Err(ConfigError::Unreachable("0.0.0.0".parse().unwrap())));
    }

    #[test]
    fn a_mapped_port_is_named_with_its_address_and_a_bound_address_with_its_own() {
        let config = Config { media: "10.0.0.5:9".parse().unwrap(), ..Config::default() };
        let advertised = [PublicAddress { ip: "203.0.113.7".parse().unwrap(), port: NonZeroU16::new(30_081) }];
        let shown: Vec<String> = config.candidates(&advertised, 9, None).iter().map(SocketAddr::to_string).collect();
        assert_eq!(shown, ["203.0.113.7:30081", "10.0.0.5:9"]);
    }

    #[test]
    fn auto_and_stun_servers_need_each_other() {
        let auto = Config { advertise: vec!["auto".parse().unwrap()], ..Config::default() };
        assert!(auto.check().unwrap_err().to_string().contains("--stun-server HOST:PORT"));
        let stun_servers = vec!["stun.example.org".parse().unwrap()];
        assert_eq!(Config { stun_servers: stun_servers.clone(), ..auto }.check(), Ok(()));
        let unused = Config { stun_servers, ..Config::default() };
        assert_eq!(unused.check(), Err(ConfigError::UnusedStunServer));
    }
}
