//! Sessions of every kind come and go at random, in every way and at every stage, while media flows: the ended ones
//! leave nothing behind, and the others lose nothing. `SLUICE_CHURN=50000 cargo test --test sim churn::` takes more
//! sessions than the ordinary run, `SLUICE_SEED=N` repeats a run that failed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use sluice::auth::Credential;
use sluice::forward::codec::Codec;
use sluice::ice::Credentials;
use sluice::name::{Role, SessionId};
use sluice::node::{Create, CreateError, Restart};
use sluice::reason::EndReason;
use sluice::session::Quota;
use sluice::srtp::SrtpProfile;
use sluice::worker::Config;

use crate::net::{NUMBER, Net, RELAY, vp8};

/// Sessions of an ordinary run, for each number of workers.
const JOINS: usize = 2500;

/// From one joining session to the next.
const JOIN_INTERVAL: Duration = Duration::from_millis(8);

/// Between two packets of each publisher.
const PACKET_INTERVAL: Duration = Duration::from_millis(40);

/// Fewer than come, so that some are refused.
const QUOTA: Quota = Quota { sessions: 200, viewers: 25, sessions_per_address: 0 };

/// Streams that come and go.
const STREAMS: u32 = 6;

/// The relay remembers nothing for longer than this after the last packet of the last session.
const FORGETTING: Duration = Duration::from_secs(70);

/// The stream that stays.
const MAIN: &str = "main";

/// A session that comes and goes.
struct Guest {
    client: usize,
    session: SessionId,
    role: Role,
    leaves: Instant,
    departure: Departure,
    /// Its packets come from another address from then on.
    moves: Option<Instant>,
    /// It asks for an ICE restart, of which nothing comes.
    restarts: Option<Instant>,
    sent: u32,
}

/// How a session ends.
#[derive(Clone, Copy, Debug)]
enum Departure {
    /// Its client stops sending.
    Vanishes,
    /// With a close_notify.
    Closes,
    /// With a DELETE, or thrown out.
    Deleted,
    /// With a close_notify, and a DELETE that comes late.
    ClosedAndDeleted,
}

struct Churn {
    net: Net,
    random: StdRng,
    workers: usize,
    guests: Vec<Guest>,
    created: usize,
    /// Those for which there was no room.
    refused: u64,
    addresses: u32,
    publisher: usize,
    viewers: Vec<usize>,
    sent: u32,
}

impl Churn {
    /// A relay with a publisher and viewers that stay.
    fn new(workers: usize, seed: u64) -> Self {
        let mut net = Net::with_assignment(
            workers,
            Config { quota: QUOTA, small_stream: 3, gathered_publishers: (seed % 2) as u32, ..Config::default() },
        );
        let mut join = |role| net.join(role, MAIN, &[Codec::Vp8], &[SrtpProfile::Aes128Gcm]);
        let publisher = join(Role::Publisher);
        let viewers: Vec<usize> = (0..4).map(|_| join(Role::Viewer)).collect();
        net.connect();
        let created = viewers.len() + 1;
        let random = StdRng::seed_from_u64(seed);
        Self {
            net,
            random,
            workers,
            guests: Vec::new(),
            created,
            refused: 0,
            addresses: 0,
            publisher,
            viewers,
            sent: 0,
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn moment(&mut self, within: u64) -> Instant {
        self.net.now + Duration::from_millis(self.random.random_range(0..within))
    }

    /// Lets this number of sessions join and end.
    fn run(&mut self, joins: usize) {
        let (mut next_join, mut next_packet) = (self.net.now, self.net.now);
        let mut left = joins;
        while left > 0 || !self.guests.is_empty() {
            if left > 0 && next_join <= self.net.now {
                next_join = self.net.now + JOIN_INTERVAL;
                left -= 1;
                self.join();
            }
            if next_packet <= self.net.now {
                next_packet = self.net.now + PACKET_INTERVAL;
                self.publish();
                self.complain();
            }
            self.change();
            let (stays, random) = (self.viewers.len(), &mut self.random);
            self.net.step(|number, _| number <= stays || random.random_range(0..200) > 0);
            self.net.now += Duration::from_millis(1);
        }
    }

    fn join(&mut self) {
        let role = if self.chance(25) { Role::Publisher } else { Role::Viewer };
        if self.chance(4) {
            return self.join_in_vain(role);
        }
        let stream = match self.random.random_range(0..STREAMS + 1) {
            0 if role == Role::Viewer => MAIN.to_owned(),
            number => format!("come-and-go-{number}"),
        };
        let profile = if self.chance(10) { SrtpProfile::Aes128CmSha1_80 } else { SrtpProfile::Aes128Gcm };
        self.net.application = self.chance(8);
        let codecs: &[Codec] = if self.chance(30) { &[Codec::Vp8, Codec::Opus] } else { &[Codec::Vp8] };
        // Addresses are used again, so it is the name that tells one encoder from another.
        let name = format!("guest {}", self.created);
        let standby = self.chance(20);
        let change = |request: &mut Create| (request.user_agent, request.standby) = (Some(name), standby);
        let client = match self.net.try_join(role, &stream, codecs, &[profile], change) {
            Ok(client) => client,
            Err(CreateError::TooManySessions { .. } | CreateError::TooManyViewers { .. }) => {
                self.refused += 1;
                return;
            }
            Err(error) => panic!("the offer is not answered: {error}"),
        };
        self.created += 1;
        // One publisher of each stream may wait to take the place of another.
        assert!(self.net.handle().session_count() <= QUOTA.sessions + STREAMS as usize);
        // Some end during their handshake, which takes about 250 ms, and some before it.
        let lives = [1, 40, 300, 600, 1000, 2000, 3000][self.random.random_range(0..7)];
        let departure = match self.random.random_range(0..20) {
            0 => Departure::Vanishes,
            1..8 => Departure::Closes,
            8..15 => Departure::Deleted,
            _ => Departure::ClosedAndDeleted,
        };
        let guest = Guest {
            client,
            session: self.net.clients[client].session,
            role,
            leaves: self.moment(lives),
            departure,
            moves: self.chance(15).then(|| self.moment(lives)),
            restarts: self.chance(10).then(|| self.moment(lives)),
            sent: 0,
        };
        self.guests.push(guest);
    }

    /// An offer that is refused.
    fn join_in_vain(&mut self, role: Role) {
        let offer = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n";
        let refused = self.net.handle().create(Create {
            role,
            stream: "refused".parse().expect("a valid name"),
            offer: offer.to_owned(),
            http_local: Some(RELAY.ip()),
            media_by_http: None,
            http_remote: RELAY.ip(),
            source: sluice::session::ClientSource::Direct,
            user_agent: None,
            credential: Credential::ANONYMOUS,
            limits: sluice::auth::Limits::default(),
            standby: false,
            leg: false,
            expected: false,
        });
        if matches!(refused.expect_err("it is no offer"), CreateError::TooManySessions { .. }) {
            self.refused += 1;
        }
    }

    /// Each publisher sends a packet; each tenth begins a keyframe.
    fn publish(&mut self) {
        self.net.send(self.publisher, 0, self.sent * 3600, true, &vp8(self.sent.is_multiple_of(10), self.sent));
        self.sent += 1;
        for guest in self.guests.iter_mut().filter(|guest| guest.role == Role::Publisher) {
            let client = &self.net.clients[guest.client];
            if !client.is_connected() || client.closed {
                continue;
            }
            let tracks = client.tracks.len();
            for track in 0..tracks {
                let payload = vp8(guest.sent.is_multiple_of(10), guest.sent);
                self.net.send(guest.client, track, guest.sent * 3600, true, &payload);
            }
            guest.sent += 1;
        }
    }

    /// Some viewers ask for packets again, and for keyframes.
    fn complain(&mut self) {
        for guest in self.guests.iter().filter(|guest| guest.role == Role::Viewer) {
            let client = &mut self.net.clients[guest.client];
            let Some(last) = client.received.last().filter(|_| !client.closed) else { continue };
            let (media_ssrc, packet_id) = (last.ssrc, last.index as u16);
            client.received.clear();
            match self.random.random_range(0..10) {
                0 => {
                    let nacks = vec![NackPair { packet_id, lost_packets: 5 }];
                    let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks };
                    client.peer.send_rtcp(vec![Box::new(nack)], self.net.now);
                }
                1 => {
                    let request = PictureLossIndication { sender_ssrc: 1, media_ssrc };
                    client.peer.send_rtcp(vec![Box::new(request)], self.net.now);
                }
                _ => {}
            }
        }
    }

    /// Lets clients move, restart ICE and leave when their time has come.
    fn change(&mut self) {
        let now = self.net.now;
        for place in 0..self.guests.len() {
            let guest = &mut self.guests[place];
            if guest.moves.take_if(|at| *at <= now).is_some() {
                self.addresses += 1;
                let host = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 2, 0, 0)) + self.addresses);
                let worker = self.random.random_range(0..self.workers);
                self.net.move_client(guest.client, SocketAddr::new(IpAddr::V4(host), 6000), worker);
            }
            let session = guest.session;
            if guest.restarts.take_if(|at| *at <= now).is_some() {
                for _ in 0..3 {
                    let remote = Credentials { ufrag: "newufrag".into(), pwd: "a-new-password-of-the-client".into() };
                    // It may have been replaced by then.
                    let _ = self.net.handle().restart(
                        &session,
                        Restart {
                            remote,
                            http_local: None,
                            media_by_http: None,
                            http_remote: [127, 0, 0, 1].into(),
                            source: sluice::session::ClientSource::Direct,
                        },
                    );
                }
            }
        }
        let (leaving, staying) = std::mem::take(&mut self.guests).into_iter().partition(|guest| guest.leaves <= now);
        self.guests = staying;
        let leaving: Vec<Guest> = leaving;
        for guest in leaving {
            self.leave(&guest);
        }
    }

    fn leave(&mut self, guest: &Guest) {
        let closes = matches!(guest.departure, Departure::Closes | Departure::ClosedAndDeleted);
        if closes && self.net.clients[guest.client].is_connected() {
            self.net.clients[guest.client].peer.close();
            self.net.step(|_, _| true);
        }
        if matches!(guest.departure, Departure::Deleted | Departure::ClosedAndDeleted) {
            // It may have ended, by its own word or because another publisher has come.
            let _ = self.net.handle().end(&guest.session, EndReason::Deleted);
        }
        if matches!(guest.departure, Departure::ClosedAndDeleted) {
            let _ = self.net.handle().has_departed(&guest.session, &Credential::ANONYMOUS);
        }
        self.net.forget(guest.client);
    }

    /// Those that stayed got everything, in order and once.
    fn assert_that_nothing_was_lost(&self) {
        for viewer in &self.viewers {
            let received = self.net.clients[*viewer].received.iter();
            let number = |payload: &[u8]| u32::from_be_bytes(payload[NUMBER..NUMBER + 4].try_into().expect("four"));
            let numbers: Vec<u32> = received.map(|packet| number(&packet.payload)).collect();
            assert_eq!(numbers, (0..self.sent).collect::<Vec<_>>(), "viewer {viewer}");
        }
    }

    /// The remaining sessions end too, and after [`FORGETTING`] the relay knows nothing of any session.
    fn assert_that_nothing_is_left(&mut self) {
        for client in self.viewers.iter().chain([&self.publisher]) {
            self.net.clients[*client].peer.close();
        }
        self.net.run(Duration::from_millis(50));
        self.net.wait(FORGETTING);
        let counts = self.net.relay.counts();
        let left: Vec<_> = counts.iter().filter(|(_, count)| *count > 0).collect();
        assert!(counts.len() > 5 && left.is_empty(), "{left:?} are left of {} sessions", self.created);
        self.net.handle().update_gauges();
        let metrics = self.net.metrics.render();
        let sum = |prefix| self.net.metric_sum(prefix);
        let gauges: Vec<&str> =
            metrics.lines().filter(|line| line.starts_with("sluice_sessions{") && !line.ends_with(" 0")).collect();
        assert!(gauges.is_empty(), "{gauges:?}");
        assert_eq!(sum("sluice_streams "), 0);
        assert_eq!(sum("sluice_refused_sessions_total{"), self.refused);
        assert!(self.refused > 0, "the limits hold nobody back");
        assert_eq!(sum("sluice_session_ends_total{"), self.created as u64, "each session ends once");
        assert_eq!(sum("sluice_session_ends_total{reason=\"panicked\""), 0, "{metrics}");
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn churn(workers: usize) {
    let seed = number("SLUICE_SEED").unwrap_or_else(rand::random);
    let joins = number("SLUICE_CHURN").map_or(JOINS, |joins| joins as usize);
    // Shown where the test fails.
    eprintln!("SLUICE_SEED={seed} SLUICE_CHURN={joins}, {workers} workers");
    let mut churn = Churn::new(workers, seed);
    churn.run(joins);
    churn.assert_that_nothing_was_lost();
    churn.assert_that_nothing_is_left();
}

#[test]
fn sessions_that_come_and_go_on_one_worker_leave_nothing_behind() {
    churn(1);
}

#[test]
fn sessions_that_come_and_go_on_three_workers_leave_nothing_behind() {
    churn(3);
}
