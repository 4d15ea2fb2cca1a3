//! Real DTLS handshakes of webrtc-rs through the demultiplexer, in virtual time, over a link that loses datagrams.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use rtc::dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use rtc::dtls::crypto::Certificate;
use rtc::dtls::endpoint::{Endpoint, EndpointEvent};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::shared::TransportProtocol;

use super::*;

#[test]
fn a_client_hello_that_is_refused_proves_no_path() {
    let mut bed = Bed::admitted();
    bed.check(4, false);
    let mut hello = hellos::hello(0);
    // The session id claims one octet more than there is.
    hello[13 + 12 + 2 + 32] = 1;
    assert_eq!(bed.arrive(4, &hello), Demultiplexed::Dropped(DropReason::SpoofedDtls));
    let now = bed.now;
    bed.demux.connected(own_key(), now);
    assert_eq!(bed.demux.path(own_key()), None);
}

/// The delay of the network in one direction.
const DELAY: Duration = Duration::from_millis(10);

fn config(is_client: bool, mtu: usize, interval: Duration) -> Arc<HandshakeConfig> {
    let provider = provider();
    let certificate = Certificate::generate_self_signed(vec!["sluice".to_owned()], provider.crypto()).unwrap();
    let profiles =
        vec![SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80, SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm];
    let builder = ConfigBuilder::default()
        .with_crypto_provider(provider)
        .with_certificates(vec![certificate])
        .with_srtp_protection_profiles(profiles)
        .with_client_auth(ClientAuthType::RequireAnyClientCert)
        .with_insecure_skip_verify(true)
        .with_flight_interval(interval)
        .with_mtu(mtu);
    Arc::new(builder.build(is_client, None).unwrap())
}

/// A DTLS client of webrtc-rs with its first flight waiting.
pub(crate) fn rtc_client(mtu: usize, interval: Duration, now: Instant) -> Endpoint {
    let mut client = Endpoint::new(path(1).remote, TransportProtocol::UDP, None);
    client.connect(now, path(1).local, config(true, mtu, interval), None).unwrap();
    client
}

fn rtc_server(interval: Duration) -> Endpoint {
    Endpoint::new(path(1).local, TransportProtocol::UDP, Some(config(false, 1_200, interval)))
}

/// Where a datagram goes.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    Client,
    Demux,
}

/// Two ends, the demultiplexer before one of them, and the datagrams on their way.
struct Line {
    bed: Bed,
    /// Behind the demultiplexer.
    relay: Endpoint,
    client: Endpoint,
    under_way: BTreeMap<(Instant, usize), (To, Vec<u8>)>,
    sent: usize,
    loses: Vec<usize>,
    relay_done: bool,
    client_done: bool,
}

impl Line {
    fn new(relay: Endpoint, client: Endpoint, bed: Bed, loses: &[usize]) -> Line {
        let loses = loses.to_vec();
        let under_way = BTreeMap::new();
        Line { bed, relay, client, under_way, sent: 0, loses, relay_done: false, client_done: false }
    }

    /// Runs until both are done; returns the time that it took.
    fn run(mut self) -> Option<(Duration, Line)> {
        let began = self.bed.now;
        while !(self.relay_done && self.client_done) {
            self.flush();
            let timers = [self.relay.poll_timeout(&path(1).remote), self.client.poll_timeout(&path(1).local)];
            let arrival = self.under_way.keys().next().map(|(due, _)| *due);
            let due = timers.into_iter().flatten().chain(arrival).chain(self.bed.demux.poll_timeout()).min()?;
            self.bed.now = self.bed.now.max(due);
            let now = self.bed.now;
            while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= now) {
                let (to, datagram) = entry.remove();
                self.deliver(to, &datagram);
            }
            self.bed.demux.handle_timeout(now);
            self.relay.handle_timeout(path(1).remote, now).ok();
            self.client.handle_timeout(path(1).local, now).ok();
            if !self.bed.events().is_empty() {
                return None;
            }
        }
        let took = self.bed.now - began;
        Some((took, self))
    }

    fn deliver(&mut self, to: To, datagram: &[u8]) {
        let now = self.bed.now;
        if to == To::Client {
            let events = self.client.read(now, path(1).local, None, BytesMut::from(datagram)).unwrap_or_default();
            self.client_done |= events.iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete));
            return;
        }
        let given = match self.bed.arrive(1, datagram) {
            Demultiplexed::Dtls { datagram: None, .. } => datagram.to_vec(),
            Demultiplexed::Dtls { datagram: Some(given), .. } | Demultiplexed::ClientHello { datagram: given, .. } => {
                given
            }
            // A repetition that the client sent before our last flight arrived.
            Demultiplexed::Held | Demultiplexed::Dropped(DropReason::ClearDtls) => return,
            other => panic!("unexpected {other:?}"),
        };
        let events = self.relay.read(now, path(1).remote, None, BytesMut::from(given.as_slice())).unwrap_or_default();
        self.flush();
        if events.iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete)) {
            self.bed.demux.connected(own_key(), now);
            self.relay_done = true;
        }
    }

    fn flush(&mut self) {
        let now = self.bed.now;
        while let Some(transmit) = self.relay.poll_transmit() {
            let to = self.bed.demux.send_dtls(own_key(), &transmit.message, now);
            assert_eq!(to, Some(path(1)));
            self.post(To::Client, transmit.message.to_vec());
        }
        while let Some((to, datagram)) = self.bed.demux.poll_transmit() {
            assert_eq!(to, path(1));
            self.post(To::Client, datagram);
        }
        while let Some(transmit) = self.client.poll_transmit() {
            self.post(To::Demux, transmit.message.to_vec());
        }
    }

    fn post(&mut self, to: To, datagram: Vec<u8>) {
        self.sent += 1;
        if !self.loses.contains(&self.sent) {
            self.under_way.insert((self.bed.now + DELAY, self.sent), (to, datagram));
        }
    }
}

/// The relay as the DTLS server, for a client whose retransmission timer is `interval`.
fn as_server(mtu: usize, interval: Duration, loses: &[usize]) -> Option<(Duration, Line)> {
    let bed = Bed::opened();
    let client = rtc_client(mtu, interval, bed.now);
    Line::new(rtc_server(millis(1_000)), client, bed, loses).run()
}

/// The relay as the DTLS client, as it is for FFmpeg.
fn as_client(loses: &[usize]) -> Option<(Duration, Line)> {
    let bed = Bed::opened();
    let mut relay = Endpoint::new(path(1).local, TransportProtocol::UDP, None);
    relay.connect(bed.now, path(1).remote, config(true, 1_200, millis(1_000)), None).unwrap();
    let client = Endpoint::new(path(1).remote, TransportProtocol::UDP, Some(config(false, 1_200, millis(1_000))));
    Line::new(relay, client, bed, loses).run()
}

#[test]
fn a_handshake_completes_and_proves_its_path() {
    for mtu in [1_200, 100] {
        let (took, line) = as_server(mtu, millis(1_000), &[]).unwrap();
        assert_eq!(took, DELAY * 6, "two round trips for the hellos, one for the rest");
        assert_eq!(line.bed.demux.path(own_key()), Some(path(1)));
    }
    let (took, line) = as_client(&[]).unwrap();
    assert!(took <= DELAY * 6);
    assert_eq!(line.bed.demux.path(own_key()), Some(path(1)));
}

#[test]
fn any_lost_datagram_is_repeated_sooner_than_webrtc_rs_would() {
    for lost in 1..=9 {
        let (took, _) = as_server(1_200, millis(50), &[lost]).unwrap();
        assert!(took <= millis(400), "{took:?} without datagram {lost}");
        let (took, _) = as_server(1_200, millis(50), &[lost, lost + 1]).unwrap();
        assert!(took <= millis(900), "{took:?} without datagrams {lost} and {}", lost + 1);
    }
}

#[test]
fn the_relays_own_flights_are_repeated_when_it_is_the_client() {
    // Only the relay's: a webrtc-rs server without a demultiplexer never repeats its flight once its client has
    // repeated one.
    for lost in [1, 3, 5] {
        let (took, _) = as_client(&[lost]).unwrap();
        assert!(took <= millis(150) + DELAY * 6, "{took:?} without datagram {lost}");
    }
}

#[test]
fn an_unanswered_flight_is_repeated_on_a_doubling_schedule_and_then_left() {
    let mut bed = Bed::opened();
    bed.arrive(1, &hellos::hello(0));
    let began = bed.now;
    assert_eq!(bed.demux.send_dtls(own_key(), &hellos::flight(0), began), Some(path(1)));
    for after in [150, 300, 600, 1_200, 2_400, 4_800] {
        bed.pass((began + millis(after)) - bed.now - millis(1));
        assert_eq!(bed.sent(), [], "early for {after}");
        bed.pass(millis(1));
        assert_eq!(bed.sent(), [(path(1), hellos::flight(0))], "after {after}");
    }
    bed.pass(millis(10_000));
    assert_eq!(bed.sent(), []);
}

#[test]
fn an_answered_flight_is_not_repeated() {
    let mut bed = Bed::opened();
    bed.arrive(1, &hellos::hello(0));
    assert_eq!(bed.demux.send_dtls(own_key(), &hellos::flight(0), bed.now), Some(path(1)));
    bed.pass(millis(100));
    bed.arrive(1, &hellos::hello(1));
    bed.pass(millis(5_000));
    assert_eq!(bed.sent(), []);
}

#[test]
fn a_flight_is_repeated_later_for_a_client_that_answers_slowly() {
    let mut bed = Bed::opened();
    bed.arrive(1, &hellos::hello(0));
    assert_eq!(bed.demux.send_dtls(own_key(), &hellos::flight(0), bed.now), Some(path(1)));
    bed.pass(millis(300));
    bed.sent();
    bed.arrive(1, &hellos::hello(1));
    let began = bed.now;
    assert_eq!(bed.demux.send_dtls(own_key(), &hellos::flight(1), began), Some(path(1)));
    for after in [450, 600, 900] {
        bed.pass((began + millis(after)) - bed.now - millis(1));
        assert_eq!(bed.sent(), [], "early for {after}");
        bed.pass(millis(1));
        assert_eq!(bed.sent(), [(path(1), hellos::flight(1))], "after {after}");
    }
}

#[test]
fn the_last_flight_is_repeated_until_media_shows_that_it_arrived() {
    let mut bed = Bed::connected();
    assert_eq!(bed.demux.send_dtls(own_key(), &hellos::flight(2), bed.now), Some(path(1)));
    bed.pass(millis(150));
    assert_eq!(bed.sent(), [(path(1), hellos::flight(2))]);
    bed.demux.authenticated(own_key(), path(1), bed.now);
    bed.pass(millis(5_000));
    assert_eq!(bed.sent(), []);
}
