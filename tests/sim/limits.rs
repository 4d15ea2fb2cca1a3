//! The limits of sessions and of a publisher's bitrate.

use std::time::{Duration, Instant};

use sluice::forward::codec::Codec;
use sluice::ice::Credentials;
use sluice::name::Role;
use sluice::node::{CreateError, Restart};
use sluice::reason::EndReason;
use sluice::session::Quota;
use sluice::worker::Config;

use crate::broadcast::{GCM, SECOND};
use crate::net::{Net, vp8};

const CODECS: &[Codec] = &[Codec::Vp8];

fn with(quota: Quota) -> Net {
    Net::with(1, Config { quota, ..Config::default() })
}

fn publish(net: &mut Net, stream: &str, standby: bool) -> Result<usize, CreateError> {
    net.try_join(Role::Publisher, stream, CODECS, GCM, |request| request.standby = standby)
}

fn watch(net: &mut Net, stream: &str) -> Result<usize, CreateError> {
    net.try_join(Role::Viewer, stream, CODECS, GCM, |_| {})
}

fn slots(net: &Net) -> usize {
    let counts = net.relay.counts();
    counts.iter().filter(|(name, _)| name.starts_with("slots")).map(|(_, count)| count).sum()
}

#[test]
fn pending_sessions_count_so_a_burst_of_posts_stops_at_the_limit() {
    let mut net = with(Quota { sessions: 3, ..Quota::default() });
    let taken = (0..20).filter(|number| watch(&mut net, &format!("s{number}")).is_ok()).count();
    assert_eq!(taken, 3);
    assert!(matches!(publish(&mut net, "cam", false), Err(CreateError::TooManySessions { limit: 3, .. })));
    assert_eq!(net.metric("sluice_refused_sessions_total{reason=\"max_sessions\"}"), 18);
    assert_eq!(net.metric("sluice_limits{limit=\"max_sessions\"}"), 3);
    // None of them ever sends a packet.
    net.wait(12 * SECOND);
    assert_eq!(net.metric("sluice_session_ends_total{reason=\"never_connected\",role=\"viewer\"}"), 3);
    assert_eq!(slots(&net), 0);
    assert!(watch(&mut net, "cam").is_ok());
}

/// Lets the session of a client end.
type End = fn(&mut Net, usize);

#[test]
fn a_slot_is_free_again_however_a_session_ends() {
    let mut net = with(Quota { sessions: 2, viewers: 1, sessions_per_address: 1 });
    let endings: [(&str, End); 5] = [
        ("deleted while it waits", |net, client| net.delete(client)),
        ("deleted once it is connected", |net, client| {
            net.connect();
            net.delete(client);
            net.run(Duration::from_millis(5));
        }),
        ("closed by its client", |net, client| {
            net.connect();
            net.clients[client].peer.close();
            net.run(Duration::from_millis(50));
        }),
        ("gone during its handshake", |net, client| {
            net.run(Duration::from_millis(2));
            net.clients[client].away = true;
            net.wait(12 * SECOND);
        }),
        ("gone without a word", |net, client| {
            net.connect();
            net.clients[client].away = true;
            net.wait(35 * SECOND);
        }),
    ];
    for role in [Role::Viewer, Role::Publisher] {
        for (how, end) in endings {
            let client = net.try_join(role, "cam", CODECS, GCM, |_| {}).unwrap();
            assert!(slots(&net) > 0);
            end(&mut net, client);
            assert_eq!(slots(&net), 0, "{role:?} {how}");
            net.forget(client);
        }
        // An offer that is refused takes none.
        let refused = net.try_join(role, "cam", CODECS, GCM, |request| request.offer = "no offer".to_owned());
        assert!(refused.is_err() && slots(&net) == 0);
    }
}

#[test]
fn the_viewers_of_one_stream_are_limited_without_limiting_other_streams() {
    let mut net = with(Quota { viewers: 2, ..Quota::default() });
    publish(&mut net, "cam", false).unwrap();
    let first = watch(&mut net, "cam").unwrap();
    watch(&mut net, "cam").unwrap();
    net.connect();
    assert!(matches!(watch(&mut net, "cam"), Err(CreateError::TooManyViewers { limit: 2, .. })));
    assert_eq!(net.metric("sluice_refused_sessions_total{reason=\"max_viewers\"}"), 1);
    watch(&mut net, "other").unwrap();
    publish(&mut net, "cam", false).unwrap();
    net.clients[first].peer.close();
    net.connect();
    assert!(watch(&mut net, "cam").is_ok());
}

#[test]
fn an_ice_restart_is_never_refused() {
    let mut net = with(Quota { sessions: 1, viewers: 1, sessions_per_address: 1 });
    let viewer = watch(&mut net, "cam").unwrap();
    let session = net.clients[viewer].session;
    let restart = || {
        let remote = Credentials { ufrag: "newufrag".into(), pwd: "a-new-password-of-the-client".into() };
        Restart {
            remote,
            http_local: None,
            media_by_http: None,
            http_remote: [10, 9, 9, 9].into(),
            source: sluice::session::ClientSource::Direct,
        }
    };
    net.handle().restart(&session, restart()).expect("one that waits");
    let mut net = with(Quota { sessions: 1, viewers: 1, sessions_per_address: 1 });
    let viewer = watch(&mut net, "cam").unwrap();
    net.connect();
    let session = net.clients[viewer].session;
    net.handle().restart(&session, restart()).expect("one that is connected");
}

#[test]
fn a_publisher_takes_over_on_a_full_relay_without_opening_a_slot() {
    let mut net = with(Quota { sessions: 2, ..Quota::default() });
    let mut live = publish(&mut net, "cam", false).unwrap();
    watch(&mut net, "cam").unwrap();
    net.connect();
    for round in 0..3 {
        let next = publish(&mut net, "cam", false).expect("it replaces the one that is there");
        // Only one such publisher waits at a time, and no other session is taken meanwhile.
        assert!(matches!(publish(&mut net, "cam", false), Err(CreateError::TooManySessions { .. })), "{round}");
        assert!(matches!(publish(&mut net, "other", false), Err(CreateError::TooManySessions { .. })), "{round}");
        assert!(matches!(watch(&mut net, "cam"), Err(CreateError::TooManySessions { .. })), "{round}");
        net.connect();
        assert!(net.clients[live].closed, "{round}");
        assert_eq!(net.handle().session_count(), 2);
        live = next;
    }
    // A publisher that never connects gives its slot back.
    let never = publish(&mut net, "cam", false).unwrap();
    net.clients[never].away = true;
    net.connect();
    assert!(publish(&mut net, "cam", false).is_err());
    net.run(11 * SECOND);
    assert!(publish(&mut net, "cam", false).is_ok());
}

#[test]
fn a_standby_needs_a_slot_of_its_own_and_replaces_only_a_standby() {
    let mut net = with(Quota { sessions: 2, ..Quota::default() });
    publish(&mut net, "cam", false).unwrap();
    net.connect();
    let first = publish(&mut net, "cam", true).expect("there is room beside the live one");
    net.connect();
    assert!(matches!(publish(&mut net, "other", true), Err(CreateError::TooManySessions { .. })));
    publish(&mut net, "cam", true).expect("it replaces the standby");
    net.connect();
    assert!(net.clients[first].closed);
    assert_eq!(net.handle().session_count(), 2);
    let mut net = with(Quota { sessions: 1, ..Quota::default() });
    publish(&mut net, "cam", false).unwrap();
    net.connect();
    assert!(publish(&mut net, "cam", true).is_err(), "it would stand beside the live one");
}

#[test]
fn the_sessions_of_one_address_are_limited() {
    let mut net = with(Quota { sessions_per_address: 2, ..Quota::default() });
    let from = |net: &mut Net, host: u8| {
        net.try_join(Role::Viewer, "cam", CODECS, GCM, |request| request.http_remote = [192, 0, 2, host].into())
    };
    from(&mut net, 1).unwrap();
    from(&mut net, 1).unwrap();
    assert!(matches!(from(&mut net, 1), Err(CreateError::TooManyFromAddress { limit: 2, .. })));
    from(&mut net, 2).unwrap();
    assert_eq!(net.metric("sluice_refused_sessions_total{reason=\"max_sessions_per_address\"}"), 1);
}

/// Publishes 25 frames a second at `kbit` a second in total, for a while or until the session ends.
fn send(net: &mut Net, publisher: usize, kbit: usize, how_long: Duration) {
    let start: Instant = net.now;
    let (frame, packets) = (Duration::from_millis(40), kbit.div_ceil(250).max(1));
    let size = kbit * 1000 / 8 / 25 / packets;
    let mut payload = vp8(false, 0);
    payload.resize(size - 28, 0);
    for number in 0u32.. {
        let now = start + frame * number;
        if now - start >= how_long || net.clients[publisher].closed {
            return;
        }
        net.run(now - net.now);
        for packet in 1..=packets {
            net.send(publisher, 0, number * 3600, packet == packets, &payload);
        }
    }
}

fn limited() -> (Net, usize) {
    let mut net = Net::with(1, Config { max_publisher_bitrate: 500_000, ..Config::default() });
    let publisher = publish(&mut net, "cam", false).expect("there is room");
    net.connect();
    (net, publisher)
}

#[test]
fn a_publisher_that_stays_above_the_bitrate_limit_is_ended_and_its_record_says_why() {
    let (mut net, publisher) = limited();
    let began = net.now;
    send(&mut net, publisher, 1000, 20 * SECOND);
    let took = net.now - began;
    assert!(net.clients[publisher].closed && took >= 5 * SECOND && took <= 6 * SECOND, "{took:?}");
    assert_eq!(net.metric("sluice_session_ends_total{reason=\"bitrate_exceeded\",role=\"publisher\"}"), 1);
    assert_eq!(net.metric("sluice_limits{limit=\"max_publisher_bitrate\"}"), 500_000);
    let report = net.handle().record(&net.clients[publisher].session).unwrap().report();
    assert_eq!(report.ended.map(|(reason, _)| reason), Some(EndReason::BitrateExceeded));
    let failure = report.failure.unwrap();
    assert!(failure.contains("--max-publisher-bitrate allows 500"), "{failure}");
}

#[test]
fn a_publisher_above_the_bitrate_limit_for_less_than_five_seconds_continues() {
    let (mut net, publisher) = limited();
    for _ in 0..3 {
        send(&mut net, publisher, 2000, Duration::from_millis(4900));
        send(&mut net, publisher, 250, 5 * SECOND);
    }
    send(&mut net, publisher, 500, 20 * SECOND);
    assert!(!net.clients[publisher].closed);
}

#[test]
fn the_bitrate_of_each_new_publisher_and_standby_is_measured_separately() {
    let (mut net, first) = limited();
    send(&mut net, first, 2000, 4 * SECOND);
    let second = publish(&mut net, "cam", false).unwrap();
    net.connect();
    send(&mut net, second, 2000, Duration::from_millis(4800));
    assert!(net.clients[first].closed && !net.clients[second].closed);
    let standby = publish(&mut net, "cam", true).unwrap();
    net.connect();
    send(&mut net, standby, 2000, 7 * SECOND);
    assert!(net.clients[standby].closed && !net.clients[second].closed);
}

#[test]
fn the_answer_names_the_bitrate_limit_to_publishers_only() {
    let answer = |config: Config, role: Role| {
        let mut net = Net::with(1, config);
        let mut offer = String::new();
        let codecs = &[Codec::Vp8, Codec::Opus];
        net.try_join(role, "cam", codecs, GCM, |request| offer.clone_from(&request.offer)).unwrap();
        let request = sluice::node::Create {
            role,
            stream: "dog".parse().unwrap(),
            offer,
            http_local: Some(crate::net::RELAY.ip()),
            media_by_http: None,
            http_remote: crate::net::RELAY.ip(),
            source: sluice::session::ClientSource::Direct,
            user_agent: None,
            credential: sluice::auth::Credential::ANONYMOUS,
            limits: sluice::auth::Limits::default(),
            standby: false,
            leg: false,
            expected: false,
        };
        net.handle().create_at(request, net.now).unwrap().answer
    };
    let limited = Config { max_publisher_bitrate: 2_500_000, ..Config::default() };
    let answer_to_publisher = answer(limited.clone(), Role::Publisher);
    let sections: Vec<&str> = answer_to_publisher.split("m=").collect();
    // The audio section has no limit: browsers would use it as the bitrate of Opus.
    for section in sections {
        let tells = section.contains("b=TIAS:2500000\r\n");
        assert_eq!(tells, !section.starts_with("audio"), "{section}");
    }
    assert!(answer_to_publisher.contains("s=-\r\nb=TIAS:2500000\r\nt=0 0\r\n"), "{answer_to_publisher}");
    assert!(!answer(limited, Role::Viewer).contains("b="));
    assert!(!answer(Config::default(), Role::Publisher).contains("b="));
}
