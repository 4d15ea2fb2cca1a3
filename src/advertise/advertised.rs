//! The advertised addresses in force.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use super::learned;
use super::value::{Advertise, PublicAddress, Source, StunServer};

/// How often names are resolved and STUN servers asked again.
const REFRESH: Duration = Duration::from_secs(5 * 60);

/// The same while a value has no address.
const RETRY: Duration = Duration::from_secs(5);

/// The values of `--advertise` with the addresses that they stand for now. The refreshing task writes; HTTP reads, once
/// a session.
#[derive(Debug)]
pub(crate) struct Advertised {
    values: Vec<Advertise>,
    servers: Vec<StunServer>,
    /// The address that media is bound to.
    bound: IpAddr,
    found: Mutex<Vec<Found>>,
}

/// The addresses of one value.
#[derive(Clone, Debug, Default)]
struct Found {
    addresses: Vec<IpAddr>,
    /// Why the newest attempt gave no address.
    failure: Option<String>,
}

impl Advertised {
    /// Takes the values without looking anything up: names and `auto` have no address yet.
    pub(crate) fn new(values: Vec<Advertise>, servers: Vec<StunServer>, bound: IpAddr) -> Self {
        let written = |value: &Advertise| match value.source {
            Source::Address(ip) => Found { addresses: vec![ip], failure: None },
            Source::Name(_) | Source::Auto => Found::default(),
        };
        let found = Mutex::new(values.iter().map(written).collect());
        Self { values, servers, bound, found }
    }

    /// Looks names up and asks STUN servers for the first time. This blocks, for up to 2.5 s if no STUN server answers
    /// and for as long as the system's resolver waits. A value without an answer stops no start, because name servers
    /// may be down at boot: it is warned of, tried again every 5 s, and sessions get the others or this machine's own
    /// addresses meanwhile.
    pub(crate) fn learn(self) -> Self {
        self.refresh_by(&Lookup);
        self
    }

    /// Looks names up and asks STUN servers again, and logs what has changed. This blocks.
    pub(crate) fn refresh(&self) {
        let former = self.listed();
        self.refresh_by(&Lookup);
        let now = self.listed();
        if former != now {
            info!(from = %former, to = %now, "the advertised addresses have changed: new sessions get the new ones");
        }
    }

    fn refresh_by(&self, lookup: &impl Learn) {
        let mut learned = None;
        for (index, value) in self.values.iter().enumerate() {
            let answer = match &value.source {
                Source::Address(_) => continue,
                Source::Name(name) => lookup.name(name, self.bound),
                Source::Auto => learned.get_or_insert_with(|| lookup.auto(&self.servers, self.bound)).clone(),
            };
            self.found()[index].take(value, answer);
        }
    }

    /// The addresses of all values, for the log.
    fn listed(&self) -> String {
        let addresses: Vec<String> =
            self.found().iter().flat_map(|found| &found.addresses).map(IpAddr::to_string).collect();
        addresses.join(" ")
    }

    /// The addresses in force, best first.
    pub(crate) fn current(&self) -> Vec<PublicAddress> {
        let found = self.found();
        let mut addresses: Vec<PublicAddress> = Vec::new();
        for (value, found) in self.values.iter().zip(&*found) {
            for ip in &found.addresses {
                let address = PublicAddress { ip: *ip, port: value.port };
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        addresses
    }

    /// When to refresh the next time; `None` if all addresses are written.
    fn refresh_after(&self) -> Option<Duration> {
        let written = |value: &Advertise| matches!(value.source, Source::Address(_));
        if self.values.iter().all(written) {
            return None;
        }
        let is_missing = self.found().iter().any(|found| found.addresses.is_empty());
        Some(if is_missing { RETRY } else { REFRESH })
    }

    fn found(&self) -> MutexGuard<'_, Vec<Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    /// Takes the newest answer; the first of several failures in a row is logged.
    fn take(&mut self, value: &Advertise, answer: Result<Vec<IpAddr>, String>) {
        let failure = match answer {
            Ok(addresses) => {
                *self = Self { addresses, failure: None };
                return;
            }
            Err(failure) => failure,
        };
        let is_repeated = self.failure.replace(failure.clone()).is_some();
        if is_repeated {
            return;
        }
        if !self.addresses.is_empty() {
            warn!("the advertised address {value} is not up to date, the last one stays: {failure}");
        } else if value.is_auto() {
            warn!(
                "no STUN server answers ({failure}): the public address is not known, and until a server answers \
                 sessions get the other advertised addresses, or this machine's own if there are none; open UDP to \
                 the server, name another with --stun-server, or write the address in --advertise"
            );
        } else {
            warn!(
                "cannot advertise {value}: {failure}; it is looked up again every {} s, and until it gives an address \
                 sessions get the other advertised addresses, or this machine's own if there are none; correct the \
                 name or its record in DNS, or write the IP address in --advertise",
                RETRY.as_secs()
            );
        }
    }
}

/// Refreshes names and learned addresses for ever; returns at once if there are none.
pub(crate) async fn keep_current(advertised: Arc<Advertised>) {
    while let Some(wait) = advertised.refresh_after() {
        tokio::time::sleep(wait).await;
        let asking = Arc::clone(&advertised);
        // A resolver may block for seconds.
        let _ = tokio::task::spawn_blocking(move || asking.refresh()).await;
    }
}

/// How addresses are learned.
trait Learn {
    fn name(&self, name: &str, bound: IpAddr) -> Result<Vec<IpAddr>, String>;
    fn auto(&self, servers: &[StunServer], bound: IpAddr) -> Result<Vec<IpAddr>, String>;
}

/// From the system's resolver and from STUN servers.
struct Lookup;

impl Learn for Lookup {
    fn name(&self, name: &str, bound: IpAddr) -> Result<Vec<IpAddr>, String> {
        learned::look_up(name, bound)
    }

    fn auto(&self, servers: &[StunServer], bound: IpAddr) -> Result<Vec<IpAddr>, String> {
        learned::ask(servers, bound)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::ice::binding;
    use crate::ice::stun::StunMessage;

    const ANY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

    /// Answers that a test sets.
    struct Answers {
        name: Result<Vec<IpAddr>, String>,
        auto: Result<Vec<IpAddr>, String>,
    }

    impl Learn for Answers {
        fn name(&self, _: &str, _: IpAddr) -> Result<Vec<IpAddr>, String> {
            self.name.clone()
        }

        fn auto(&self, _: &[StunServer], _: IpAddr) -> Result<Vec<IpAddr>, String> {
            self.auto.clone()
        }
    }

    fn advertised(values: &[&str]) -> Advertised {
        Advertised::new(values.iter().map(|it| it.parse().unwrap()).collect(), Vec::new(), ANY)
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn shown(advertised: &Advertised) -> Vec<String> {
        advertised.current().iter().map(|it| it.candidate(8081).to_string()).collect()
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().copied().map(str::to_owned).collect()
    }

    #[test]
    fn values_keep_their_order_and_each_address_its_port() {
        let advertised = advertised(&["auto:30081", "203.0.113.7", "relay.example.org:4000", "203.0.113.7"]);
        assert_eq!(shown(&advertised), ["203.0.113.7:8081"]);
        advertised
            .refresh_by(&Answers { name: Ok(ips(&["198.51.100.1", "2001:db8::1"])), auto: Ok(ips(&["203.0.113.9"])) });
        assert_eq!(
            shown(&advertised),
            ["203.0.113.9:30081", "203.0.113.7:8081", "198.51.100.1:4000", "[2001:db8::1]:4000"]
        );
    }

    #[test]
    fn an_address_stays_until_a_newer_one_is_known() {
        let advertised = advertised(&["relay.example.org", "auto"]);
        let down = || Err("no answer".to_owned());
        advertised.refresh_by(&Answers { name: Ok(ips(&["198.51.100.1"])), auto: down() });
        assert_eq!(shown(&advertised), ["198.51.100.1:8081"]);
        assert_eq!(advertised.refresh_after(), Some(RETRY));
        advertised.refresh_by(&Answers { name: down(), auto: Ok(ips(&["203.0.113.9"])) });
        assert_eq!(shown(&advertised), ["198.51.100.1:8081", "203.0.113.9:8081"]);
        assert_eq!(advertised.refresh_after(), Some(REFRESH));
        advertised.refresh_by(&Answers { name: Ok(ips(&["198.51.100.2"])), auto: down() });
        assert_eq!(shown(&advertised), ["198.51.100.2:8081", "203.0.113.9:8081"]);
    }

    #[test]
    fn a_name_without_an_address_is_looked_up_again_soon_and_written_addresses_never() {
        let down = || Err("no answer".to_owned());
        for (values, before, after) in [
            (&["relay.example.org"][..], &[][..], &["198.51.100.1:8081"][..]),
            (&["relay.example.org", "203.0.113.7"], &["203.0.113.7:8081"], &["198.51.100.1:8081", "203.0.113.7:8081"]),
        ] {
            let advertised = advertised(values);
            advertised.refresh_by(&Answers { name: down(), auto: down() });
            assert_eq!((shown(&advertised), advertised.refresh_after()), (owned(before), Some(RETRY)));
            advertised.refresh_by(&Answers { name: Ok(ips(&["198.51.100.1"])), auto: down() });
            assert_eq!((shown(&advertised), advertised.refresh_after()), (owned(after), Some(REFRESH)));
        }
        assert_eq!(advertised(&["203.0.113.7"]).refresh_after(), None);
    }

    /// A STUN server on loopback that answers one request with each of `addresses`, after a datagram that answers
    /// another request.
    fn stun_server(addresses: &'static [&'static str]) -> (StunServer, std::thread::JoinHandle<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = socket.local_addr().unwrap().to_string().parse().unwrap();
        let thread = std::thread::spawn(move || {
            for address in addresses {
                let mut request = [0; 100];
                let (length, client) = socket.recv_from(&mut request).unwrap();
                let transaction = StunMessage::parse(&request[..length]).unwrap().transaction;
                socket.send_to(&binding::answer(b"another one!", client), client).unwrap();
                let mapped = std::net::SocketAddr::new(address.parse().unwrap(), 4711);
                socket.send_to(&binding::answer(&transaction, mapped), client).unwrap();
            }
        });
        (server, thread)
    }

    #[test]
    fn auto_is_what_the_first_stun_server_that_answers_reports_and_follows_a_change() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let silent: StunServer = silent.local_addr().unwrap().to_string().parse().unwrap();
        let (server, thread) = stun_server(&["203.0.113.9", "203.0.113.10"]);
        let advertised = Advertised::new(vec!["auto".parse().unwrap()], vec![silent, server], ANY).learn();
        assert_eq!(shown(&advertised), ["203.0.113.9:8081"]);
        advertised.refresh();
        assert_eq!(shown(&advertised), ["203.0.113.10:8081"]);
        thread.join().unwrap();
    }
}
