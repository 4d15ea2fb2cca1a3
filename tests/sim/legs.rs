//! Legs in virtual time: relays that dial each other, the way of media over them, and how each end notices that the
//! other has gone.

mod nodes;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtcp::sender_report::SenderReport;
use sluice::forward::codec::Kind;
use sluice::name::{Role, SessionId};
use sluice::peer::{Channel, ChannelMessage};
use sluice::reason::EndReason;
use sluice::session::Stage;
use sluice::worker::Config;

use crate::broadcast::{Broadcast, MILLISECOND, SECOND};
use crate::net::Net;
use crate::net::lane::Random;
use nodes::{Flight, Nodes, address};

/// How long a leg lives without the other end.
const PATIENCE: Duration = Duration::from_millis(600);

/// An address at which there is no relay.
fn nowhere(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 200, host], 8081))
}

fn is_stun(datagram: &[u8]) -> bool {
    datagram[0] <= 3
}

/// A Binding success answer.
fn is_answer(datagram: &[u8]) -> bool {
    datagram[..2] == [1, 1]
}

fn stage(net: &Net, session: SessionId) -> Stage {
    net.handle().record(&session).expect("it is known").report().stage
}

/// How a session ended, and when.
fn end(net: &Net, session: SessionId) -> Option<(EndReason, Instant)> {
    net.handle().record(&session).expect("it is known").report().ended
}

/// A relay that pulls from the first one, which has a publisher; both ends of the leg are connected.
fn pulled() -> (Nodes, Broadcast, [SessionId; 2]) {
    let mut nodes = Nodes::new(2);
    let mut broadcast = nodes.publish(0);
    let (edge, origin) = nodes.dial(1, 0, Role::Publisher, "actpass", vec![address(0)]);
    nodes.run(&mut broadcast, SECOND);
    assert_eq!([stage(&nodes.nodes[1], edge), stage(&nodes.nodes[0], origin)], [Stage::Live; 2]);
    (nodes, broadcast, [edge, origin])
}

#[test]
fn a_viewer_of_one_relay_gets_the_publisher_of_another_in_either_dtls_role() {
    for setup in ["actpass", "passive", "active"] {
        let mut nodes = Nodes::new(2);
        let mut broadcast = nodes.publish(0);
        let leg = nodes.pull(1, 0, setup);
        let viewer = nodes.nodes[1].watch("cam");
        nodes.run(&mut broadcast, SECOND * 2);
        let edge = &nodes.nodes[1];
        let report = edge.handle().record(&leg).unwrap().report();
        assert_eq!((report.stage, report.srtp_profile), (Stage::Live, Some("SRTP_AEAD_AES_128_GCM")), "{setup}");
        for kind in [Kind::Video, Kind::Audio] {
            let got = edge.packets(viewer, kind);
            assert!(got.len() > 40, "{setup}: {} packets of {kind:?}", got.len());
        }
    }
}

#[test]
fn a_relay_pushes_its_publisher_to_another_in_either_dtls_role() {
    for setup in ["actpass", "passive", "active"] {
        let mut nodes = Nodes::new(2);
        let mut broadcast = nodes.publish(0);
        let (own, other) = nodes.dial(0, 1, Role::Viewer, setup, vec![address(1)]);
        let viewer = nodes.nodes[1].watch("cam");
        nodes.run(&mut broadcast, SECOND * 2);
        assert_eq!([stage(&nodes.nodes[0], own), stage(&nodes.nodes[1], other)], [Stage::Live; 2], "{setup}");
        for kind in [Kind::Video, Kind::Audio] {
            let got = nodes.nodes[1].packets(viewer, kind);
            assert!(got.len() > 40, "{setup}: {} packets of {kind:?}", got.len());
        }
    }
}

#[test]
fn a_leg_is_connected_four_round_trips_after_the_answer() {
    let mut nodes = Nodes::new(2);
    let mut broadcast = nodes.publish(0);
    nodes.delay = Duration::from_millis(50);
    let begun = nodes.now();
    let leg = nodes.pull(1, 0, "actpass");
    while stage(&nodes.nodes[1], leg) != Stage::Live {
        nodes.run(&mut broadcast, MILLISECOND);
    }
    // One for the check; DTLS takes the two of its flights and the one of the cookie.
    let took = nodes.now() - begun;
    assert!(took <= nodes.delay * 8 + Duration::from_millis(20), "{took:?}");
}

#[test]
fn a_second_leg_to_the_same_relay_takes_over_and_its_viewers_miss_nothing() {
    let (mut nodes, mut broadcast, [first, _]) = pulled();
    let viewer = nodes.nodes[1].watch("cam");
    nodes.run(&mut broadcast, SECOND * 2);
    let second = nodes.pull(1, 0, "actpass");
    nodes.run(&mut broadcast, SECOND * 2);
    assert_eq!(end(&nodes.nodes[1], first).map(|(reason, _)| reason), Some(EndReason::Replaced));
    assert_eq!(stage(&nodes.nodes[1], second), Stage::Live);
    let edge = &nodes.nodes[1];
    for kind in [Kind::Audio, Kind::Video] {
        let got = edge.packets(viewer, kind);
        assert!(got.windows(2).all(|pair| pair[1].index == pair[0].index + 1), "{kind:?}: a hole in the numbers");
        let pauses = got.windows(2).map(|pair| pair[1].at - pair[0].at);
        let longest = pauses.max().expect("packets came");
        assert!(longest < Duration::from_millis(150), "{kind:?}: {longest:?} without a packet");
    }
}

#[test]
fn the_first_address_that_answers_is_taken_and_the_others_are_checked_no_more() {
    let mut nodes = Nodes::new(2);
    let mut broadcast = nodes.publish(0);
    let candidates = vec![nowhere(1), nowhere(2), address(0), nowhere(3)];
    let begun = nodes.now();
    let (leg, _) = nodes.dial(1, 0, Role::Publisher, "actpass", candidates);
    nodes.run(&mut broadcast, SECOND * 5);
    assert_eq!(stage(&nodes.nodes[1], leg), Stage::Live);
    // The answer comes 20 ms after the third check, before the fourth.
    let asked: Vec<_> = nodes.lost.iter().map(|(at, to)| ((*at - begun).as_millis(), *to)).collect();
    assert_eq!(asked, [(0, nowhere(1)), (50, nowhere(2))]);
}

#[test]
fn addresses_that_never_answer_get_five_checks_each_and_no_more_than_four_addresses_do() {
    let mut nodes = Nodes::new(2);
    nodes.publish(0);
    let begun = nodes.now();
    let (leg, other) = nodes.dial(1, 0, Role::Publisher, "actpass", (1..=6).map(nowhere).collect());
    nodes.wait(SECOND * 20);
    for host in 1..=4_u8 {
        let of_host = nodes.lost.iter().filter(|(_, to)| *to == nowhere(host));
        let times: Vec<_> = of_host.map(|(at, _)| (*at - begun).as_millis()).collect();
        let first = 50 * u128::from(host - 1);
        assert_eq!(times, [0, 500, 1_500, 3_500, 7_500].map(|after| first + after), "{host}");
    }
    assert_eq!(nodes.lost.len(), 20);
    let (reason, at) = end(&nodes.nodes[1], leg).expect("it has ended");
    assert_eq!((reason, (at - begun).as_secs()), (EndReason::NeverConnected, 10));
    assert_eq!(end(&nodes.nodes[0], other).map(|(reason, _)| reason), Some(EndReason::NeverConnected));
}

#[test]
fn an_answer_that_is_forged_or_comes_from_another_address_connects_nothing() {
    let changes: [fn(&mut Flight); 2] =
        [|flight| *flight.datagram.last_mut().unwrap() ^= 1, |flight| flight.source += 1];
    for change in changes {
        let mut nodes = Nodes::new(2);
        nodes.publish(0);
        nodes.passes = Box::new(move |flight, _| {
            if is_answer(&flight.datagram) {
                change(flight);
            }
            true
        });
        let (leg, other) = nodes.dial(1, 0, Role::Publisher, "actpass", vec![address(0)]);
        nodes.wait(SECOND * 12);
        assert_eq!(end(&nodes.nodes[1], leg).map(|(reason, _)| reason), Some(EndReason::NeverConnected));
        assert_eq!(end(&nodes.nodes[0], other).map(|(reason, _)| reason), Some(EndReason::HandshakeTimeout));
    }
}

#[test]
fn a_relay_with_another_certificate_than_its_answer_names_ends_the_leg() {
    for setup in ["actpass", "passive"] {
        let mut nodes = Nodes::new(2);
        let mut broadcast = nodes.publish(0);
        nodes.misreads = |dial| dial.negotiated.remote_fingerprint = ["AB"; 32].join(":");
        let leg = nodes.pull(1, 0, setup);
        nodes.run(&mut broadcast, SECOND * 2);
        assert_eq!(end(&nodes.nodes[1], leg).map(|(reason, _)| reason), Some(EndReason::Failed), "{setup}");
        assert!(nodes.nodes[1].handle().streams().is_empty(), "{setup}");
    }
}

#[test]
fn a_lost_check_and_a_lost_nomination_are_repeated() {
    for lost in [0, 1] {
        let mut nodes = Nodes::new(2);
        let mut broadcast = nodes.publish(0);
        let mut checks = 0;
        nodes.passes = Box::new(move |flight, _| {
            let is_check = flight.from == 1 && flight.datagram[..2] == [0, 1];
            checks += usize::from(is_check);
            !is_check || checks != lost + 1
        });
        let leg = nodes.pull(1, 0, "actpass");
        nodes.run(&mut broadcast, SECOND);
        assert_eq!(stage(&nodes.nodes[1], leg), Stage::Live, "check {lost} is lost");
    }
}

#[test]
fn both_ends_end_600_ms_after_the_other_has_gone_and_viewers_wait_for_its_return() {
    let (mut nodes, mut broadcast, [edge, origin]) = pulled();
    let viewer = nodes.nodes[1].watch("cam");
    nodes.run(&mut broadcast, SECOND);
    let cut = nodes.now();
    nodes.passes = Box::new(|_, _| false);
    nodes.run(&mut broadcast, SECOND * 3);
    // The edge hears media all the time, the origin a check each 200 ms.
    for (node, leg, heard) in [(1, edge, Duration::from_millis(40)), (0, origin, Duration::from_millis(200))] {
        let (reason, at) = end(&nodes.nodes[node], leg).expect("it has ended");
        assert_eq!(reason, EndReason::LegSilent);
        let after = at - cut;
        assert!(after >= PATIENCE - heard && after <= PATIENCE + nodes.delay, "{after:?}");
    }
    let name = "sluice_session_ends_total{reason=\"leg_silent\",role=\"leg\"}";
    assert_eq!([0, 1].map(|node| nodes.nodes[node].metric(name)), [1, 1]);
    assert_eq!(stage(&nodes.nodes[1], nodes.nodes[1].clients[viewer].session), Stage::Waiting);
    nodes.passes = Box::new(|_, _| true);
    nodes.pull(1, 0, "actpass");
    let before = nodes.nodes[1].video(viewer).len();
    nodes.run(&mut broadcast, SECOND);
    assert!(nodes.nodes[1].video(viewer).len() > before + 40, "the next leg has the viewers of the last one");
}

#[test]
fn a_publisher_that_sends_nothing_is_no_silence_of_the_leg() {
    let (mut nodes, _, [edge, origin]) = pulled();
    // Every second check or answer is lost, and the way is long.
    nodes.delay = Duration::from_millis(150);
    let mut count = 0_u32;
    nodes.passes = Box::new(move |flight, _| {
        count += u32::from(is_stun(&flight.datagram));
        !is_stun(&flight.datagram) || count.is_multiple_of(2)
    });
    nodes.wait(SECOND * 15);
    assert_eq!([stage(&nodes.nodes[1], edge), stage(&nodes.nodes[0], origin)], [Stage::Live; 2]);
}

#[test]
fn each_end_sends_a_check_each_200_ms_and_its_answers_measure_the_way() {
    let (mut nodes, _, [edge, _]) = pulled();
    let checks = std::rc::Rc::new(std::cell::RefCell::new([0_usize; 2]));
    let counted = std::rc::Rc::clone(&checks);
    nodes.passes = Box::new(move |flight, _| {
        counted.borrow_mut()[flight.from] += usize::from(flight.datagram[..2] == [0, 1]);
        true
    });
    nodes.wait(SECOND * 4);
    let counted = *checks.borrow();
    assert!(counted.iter().all(|count| (19..=22).contains(count)), "{counted:?}");
    let report = nodes.nodes[1].handle().record(&edge).unwrap().report();
    assert_eq!(report.round_trip.map(|trip| trip.as_millis() / 2 * 2), Some(20));
}

#[test]
fn an_address_beside_the_leg_can_neither_end_it_nor_keep_it_alive() {
    let (mut nodes, mut broadcast, [edge, _]) = pulled();
    // What the origin sends reaches the edge from another port.
    nodes.passes = Box::new(|flight, _| {
        flight.source += u16::from(flight.from == 0);
        true
    });
    nodes.run(&mut broadcast, SECOND);
    assert_eq!(end(&nodes.nodes[1], edge).map(|(reason, _)| reason), Some(EndReason::LegSilent));
}

#[test]
fn a_leg_is_counted_as_a_leg_and_not_as_a_viewer() {
    let (mut nodes, mut broadcast, _) = pulled();
    nodes.run(&mut broadcast, SECOND);
    for net in &nodes.nodes {
        assert_eq!(net.metric("sluice_sessions{role=\"leg\",state=\"connected\"}"), 1);
        assert_eq!(net.metric_sum("sluice_sessions{role=\"viewer\""), 0);
    }
    assert_eq!(nodes.nodes[0].metric("sluice_stream_viewers{stream=\"cam\"}"), 0);
    assert_eq!(nodes.nodes[1].metric("sluice_sessions{role=\"publisher\",state=\"connected\"}"), 0);
}

#[test]
fn a_client_that_publishes_replaces_a_leg_and_no_leg_replaces_a_client() {
    let (mut nodes, mut broadcast, [leg, _]) = pulled();
    let viewer = nodes.nodes[1].watch("cam");
    nodes.run(&mut broadcast, SECOND);
    let publisher = nodes.nodes[1].publish("cam");
    nodes.run(&mut broadcast, SECOND / 2);
    assert_eq!(end(&nodes.nodes[1], leg).map(|(reason, _)| reason), Some(EndReason::Replaced));
    let mut own = Broadcast::new(&nodes.nodes[1], publisher);
    own.offset = 1_000_000;
    let publish = |nodes: &mut Nodes, own: &mut Broadcast, milliseconds: u32| {
        for _ in 0..milliseconds {
            own.publish(&mut nodes.nodes[1]);
            nodes.step();
        }
    };
    publish(&mut nodes, &mut own, 1_000);
    let refused = nodes.pull(1, 0, "actpass");
    publish(&mut nodes, &mut own, 1_000);
    assert_eq!(end(&nodes.nodes[1], refused).map(|(reason, _)| reason), Some(EndReason::Replaced));
    assert!(!nodes.nodes[1].clients[publisher].closed);
    let newest = nodes.nodes[1].video(viewer).pop().expect("packets came");
    assert!(newest.number >= own.offset, "the viewer has the client's video");
}

#[test]
fn data_channels_cross_a_leg_once_and_reach_each_viewer() {
    let mut nodes = Nodes::new(2);
    nodes.nodes.iter_mut().for_each(|net| net.application = true);
    let mut broadcast = nodes.publish(0);
    let chat = Channel {
        label: "chat".into(),
        protocol: String::new(),
        ordered: true,
        max_packet_life_time: None,
        max_retransmits: None,
    };
    let now = nodes.now();
    let publisher = broadcast.publisher;
    nodes.nodes[0].clients[publisher].peer.open_channel(&chat, now);
    nodes.pull(1, 0, "actpass");
    let viewers = [0, 1].map(|_| nodes.nodes[1].watch("cam"));
    nodes.run(&mut broadcast, SECOND * 4);
    let before = nodes.nodes[0].metric("sluice_channel_messages_total{direction=\"out\"}");
    let text = ChannelMessage { is_text: true, data: "hello".into() };
    let now = nodes.now();
    nodes.nodes[0].clients[publisher].peer.send_message("chat", &text, now).expect("it is open");
    nodes.run(&mut broadcast, SECOND);
    for viewer in viewers {
        assert_eq!(nodes.nodes[1].clients[viewer].messages, [("chat".to_owned(), text.clone())]);
    }
    assert_eq!(nodes.nodes[0].metric("sluice_channel_messages_total{direction=\"out\"}") - before, 1);
}

#[test]
fn messages_of_viewers_cross_the_legs_to_the_publisher_where_they_may() {
    let mut nodes = Nodes::with(2, Config { viewer_messages: true, ..Config::default() });
    nodes.nodes.iter_mut().for_each(|net| net.application = true);
    let mut broadcast = nodes.publish(0);
    let chat = Channel {
        label: "chat".into(),
        protocol: String::new(),
        ordered: true,
        max_packet_life_time: None,
        max_retransmits: None,
    };
    let (now, publisher) = (nodes.now(), broadcast.publisher);
    nodes.nodes[0].clients[publisher].peer.open_channel(&chat, now);
    nodes.pull(1, 0, "actpass");
    let viewer = nodes.nodes[1].watch("cam");
    nodes.run(&mut broadcast, SECOND * 4);
    let text = ChannelMessage { is_text: true, data: "question".into() };
    let now = nodes.now();
    nodes.nodes[1].clients[viewer].peer.send_message("chat", &text, now).expect("it is open");
    nodes.run(&mut broadcast, SECOND);
    assert_eq!(nodes.nodes[0].clients[publisher].messages, [("chat".to_owned(), text)]);
}

/// The moment at which a packet was published, in seconds from the publisher's first one, as the newest report about its
/// track says.
fn published_at(net: &Net, viewer: usize, kind: Kind, timestamp: u32, clock: u64) -> f64 {
    let reports = net.clients[viewer].rtcp.iter().flatten();
    let mut reports = reports.filter_map(|packet| packet.as_any().downcast_ref::<SenderReport>());
    let ssrc = net.ssrc(viewer, kind);
    let report = reports.rfind(|report| report.ssrc == ssrc).expect("a report came");
    let rate = if kind == Kind::Video { 90_000.0 } else { 48_000.0 };
    let ahead = f64::from(timestamp.wrapping_sub(report.rtp_time) as i32) / rate;
    (report.ntp_time.wrapping_sub(clock << 32)) as f64 / f64::powi(2.0, 32) + ahead
}

#[test]
fn after_three_hops_sender_reports_have_the_publishers_clock_within_a_millisecond() {
    const CLOCK: u64 = 3_900_000_000;
    let mut nodes = Nodes::new(4);
    nodes.delay = Duration::from_millis(20);
    let mut broadcast = nodes.publish(0);
    for node in 1..4 {
        nodes.pull(node, node - 1, "actpass");
        for _ in 0..4 {
            nodes.run(&mut broadcast, SECOND / 4);
            broadcast.report(&mut nodes.nodes[0], CLOCK);
        }
    }
    let viewer = nodes.nodes[3].watch("cam");
    for _ in 0..40 {
        nodes.run(&mut broadcast, SECOND / 4);
        broadcast.report(&mut nodes.nodes[0], CLOCK);
    }
    let last = &nodes.nodes[3];
    for kind in [Kind::Audio, Kind::Video] {
        let shown = last.packets(viewer, kind).pop().expect("packets came");
        let told = published_at(last, viewer, kind, shown.timestamp, CLOCK);
        let truth = (broadcast.sent_at(kind, shown.number) - broadcast.started()).as_secs_f64();
        assert!((told - truth).abs() < 0.001, "{kind:?}: {told} s, was {truth} s");
    }
}

#[test]
fn whatever_the_other_relay_sends_harms_no_other_session() {
    for seed in 0..12_u32 {
        let mut nodes = Nodes::new(2);
        let mut broadcast = nodes.publish(0);
        let (own, viewer) = (nodes.nodes[1].publish("own"), nodes.nodes[1].watch("own"));
        let mut random = Random::new(seed);
        let begun = nodes.now();
        nodes.passes = Box::new(move |flight, now| {
            // The handshake is hit in one half of the cases, and what follows it in the other.
            let share = match seed % 2 {
                0 => 0.02 * f64::from(seed + 1),
                _ if now - begun > SECOND => 0.5,
                _ => 0.0,
            };
            if flight.from == 0 && random.draw() < share {
                let place = (random.draw() * flight.datagram.len() as f64) as usize;
                match (random.draw() * 3.0) as u8 {
                    0 => flight.datagram[place] ^= 1 << (random.draw() * 8.0) as u8,
                    1 => flight.datagram.truncate(place.max(1)),
                    _ => {
                        flight.datagram.iter_mut().skip(place).for_each(|octet| *octet = (random.draw() * 256.0) as u8)
                    }
                }
            }
            true
        });
        nodes.pull(1, 0, if seed % 4 < 2 { "actpass" } else { "passive" });
        let mut live = Broadcast::new(&nodes.nodes[1], own);
        for _ in 0..3_000 {
            if nodes.nodes[1].clients[own].is_connected() {
                live.publish(&mut nodes.nodes[1]);
            }
            nodes.run(&mut broadcast, MILLISECOND);
        }
        let edge = &nodes.nodes[1];
        assert_eq!(edge.metric_sum("sluice_session_ends_total{reason=\"panicked\""), 0, "seed {seed}");
        let got = edge.video(viewer);
        assert!(got.len() > 150 && got.windows(2).all(|pair| pair[1].index == pair[0].index + 1), "seed {seed}");
    }
}
