//! Media from publisher to viewers, where sessions live, and how they end.

use std::time::Duration;

use sluice::forward::CacheLimits;
use sluice::forward::codec::Kind;
use sluice::name::Role;
use sluice::reason::EndReason;
use sluice::srtp::SrtpProfile;
use sluice::worker::Config;

use crate::broadcast::{BOTH, GCM, SECOND, assert_continuous, assert_spliced, numbers, track};
use crate::net::{Net, vp8};

/// A publisher and viewers of one stream, connected.
fn connected(workers: usize, viewers: usize, profiles: &[SrtpProfile]) -> (Net, usize, Vec<usize>) {
    let mut net = Net::new(workers);
    let publisher = net.join(Role::Publisher, "cam", BOTH, profiles);
    let viewers: Vec<usize> = (0..viewers).map(|_| net.join(Role::Viewer, "cam", BOTH, profiles)).collect();
    net.connect();
    (net, publisher, viewers)
}

/// Publishes a frame of three packets and an audio packet every 20 ms, with a keyframe first.
fn publish(net: &mut Net, publisher: usize, frames: std::ops::Range<u32>) {
    let (video, audio) = {
        let client = &net.clients[publisher];
        (track(client, Kind::Video), track(client, Kind::Audio))
    };
    for frame in frames {
        for part in 0..3 {
            let payload = vp8(frame == 0 && part == 0, frame * 3 + part);
            net.send(publisher, video, frame * 1800, part == 2, &payload);
        }
        net.send(publisher, audio, frame * 960, false, &frame.to_be_bytes());
        net.run(Duration::from_millis(20));
    }
}

#[test]
fn few_viewers_live_on_their_publishers_worker_and_many_on_all_workers() {
    let mut net = Net::with_assignment(2, Config { small_stream: 4, ..Config::default() });
    let publisher = net.publish("cam");
    net.connect();
    let sessions = |net: &Net| {
        let counts = net.relay.counts();
        let of = |worker: &str| counts.iter().find(|(name, _)| name == worker).expect("each worker is counted").1;
        let mut counts = [of("worker 0: sessions"), of("worker 1: sessions")];
        counts.sort_unstable();
        counts
    };
    let mut viewers = Vec::new();
    let mut join = |net: &mut Net| {
        viewers.push(net.watch("cam"));
        net.connect();
    };
    (0..4).for_each(|_| join(&mut net));
    assert_eq!(sessions(&net), [0, 5], "all where the publisher is");
    (0..6).for_each(|_| join(&mut net));
    assert_eq!(sessions(&net), [3, 8], "a half of the further ones elsewhere");
    publish(&mut net, publisher, 0..50);
    for viewer in viewers {
        assert_eq!(numbers(&net.video(viewer)), (0..150).collect::<Vec<_>>(), "viewer {viewer}");
    }
}

#[test]
fn publishers_are_gathered_on_workers_with_room_and_return_to_their_streams_worker() {
    let config = Config { small_stream: 4, gathered_publishers: 3, ..Config::default() };
    let mut net = Net::with_assignment(3, config);
    let publishers = |net: &Net| {
        let counts = net.relay.counts();
        let of = |worker| counts.iter().find(|(name, _)| *name == format!("worker {worker}: publishers")).unwrap().1;
        [of(0), of(1), of(2)]
    };
    let join = |net: &mut Net, count: usize, name: &str| {
        let one = |number| {
            let publisher = net.join(Role::Publisher, &format!("{name}-{number}"), BOTH, GCM);
            net.connect();
            publisher
        };
        (0..count).map(one).collect::<Vec<_>>()
    };
    join(&mut net, 2, "first");
    assert_eq!(publishers(&net), [2, 0, 0]);
    join(&mut net, 4, "next");
    assert_eq!(publishers(&net), [3, 3, 0], "one more fits on the first");
    join(&mut net, 9, "many");
    let now = publishers(&net);
    assert!(now[2] >= 3 && now[0] > 3 && now[1] > 3, "when no worker has room they live where they arrive: {now:?}");
    let next = join(&mut net, 4, "next");
    assert_eq!(publishers(&net), now, "a publisher that takes a stream over lives where it was published");
    // They are connected by way of other workers, and nothing is lost or repeated on it.
    let viewer = net.watch("next-3");
    net.connect();
    publish(&mut net, next[3], 0..50);
    assert_eq!(numbers(&net.video(viewer)), (0..150).collect::<Vec<_>>());
}

#[test]
fn a_hundred_viewers_on_two_workers_lose_nothing() {
    for workers in [1, 2] {
        let (mut net, publisher, viewers) = connected(workers, 100, GCM);
        publish(&mut net, publisher, 0..50);
        for viewer in viewers {
            assert_continuous(&net.video(viewer), 0..150);
            assert_continuous(&net.audio(viewer), 0..50);
            assert!([net.video(viewer), net.audio(viewer)].iter().all(|packets| packets[0].index < 1 << 15));
        }
    }
}

#[test]
fn viewers_without_gcm_are_served_with_sha1_80() {
    let (mut net, publisher, viewers) = connected(1, 1, &[SrtpProfile::Aes128CmSha1_80]);
    assert_eq!(net.clients[viewers[0]].profile, Some(SrtpProfile::Aes128CmSha1_80));
    publish(&mut net, publisher, 0..5);
    assert_eq!(numbers(&net.video(viewers[0])), (0..15).collect::<Vec<_>>());
}

#[test]
fn gcm_is_chosen_even_if_the_client_prefers_sha1_80() {
    let (net, _, viewers) = connected(1, 1, &[SrtpProfile::Aes128CmSha1_80, SrtpProfile::Aes128Gcm]);
    assert_eq!(net.clients[viewers[0]].profile, Some(SrtpProfile::Aes128Gcm));
}

#[test]
fn an_early_viewer_waits_and_a_late_one_starts_at_a_requested_keyframe() {
    let mut net = Net::with(1, Config { cache: CacheLimits::NONE, ..Config::default() });
    let early = net.watch("cam");
    net.connect();
    let publisher = net.publish("cam");
    net.connect();
    publish(&mut net, publisher, 0..100);
    assert_eq!(numbers(&net.video(early)), (0..300).collect::<Vec<_>>());

    let requests = |net: &Net| net.keyframe_requests(publisher);
    let before = requests(&net);
    let late = net.watch("cam");
    net.connect();
    assert_eq!(requests(&net), before + 1, "asked for at once, and once");
    publish(&mut net, publisher, 100..105);
    assert_eq!(numbers(&net.video(late)), [] as [u32; 0], "no frame decodes without a keyframe");
    assert!(!numbers(&net.audio(late)).is_empty(), "audio needs none");
    publish(&mut net, publisher, 105..160);
    assert_eq!(requests(&net), before + 2, "asked for again each second until it comes");
    let video = track(&net.clients[publisher], Kind::Video);
    net.send(publisher, video, 160 * 1800, true, &vp8(true, 1000));
    net.run(Duration::from_millis(20));
    assert_eq!(numbers(&net.video(late)), [1000]);
    net.run(Duration::from_secs(3));
    assert_eq!(requests(&net), before + 2, "nobody waits any more");
}

#[test]
fn a_new_publisher_takes_over_and_the_viewers_rtp_streams_continue() {
    let (mut net, first, viewers) = connected(2, 2, GCM);
    publish(&mut net, first, 0..10);
    let second = net.publish("cam");
    net.connect();
    assert!(net.clients[first].closed, "the replaced publisher is closed");
    publish(&mut net, second, 0..10);
    for viewer in viewers {
        let video = net.video(viewer);
        assert_eq!(numbers(&video), (0..30).chain(0..30).collect::<Vec<_>>());
        assert_spliced(&video);
    }
    assert_eq!(net.metric("sluice_session_ends_total{reason=\"replaced\",role=\"publisher\"}"), 1);
}

#[test]
fn the_client_of_an_ended_session_gets_a_dtls_close_and_nothing_is_left_behind() {
    let (mut net, publisher, viewers) = connected(2, 3, GCM);
    publish(&mut net, publisher, 0..3);
    for number in viewers.iter().chain([&publisher]) {
        let session = net.clients[*number].session;
        net.delete(*number);
        assert!(net.handle().lookup(&session).is_none(), "no request finds it from here on");
        assert!(net.handle().end(&session, EndReason::Deleted).is_err());
    }
    net.run(Duration::from_millis(50));
    assert!(net.clients.iter().all(|client| client.closed), "every peer is closed");
    assert_eq!((net.handle().session_count(), net.handle().streams().len()), (0, 0));
}

#[test]
fn a_session_ends_after_30_s_of_silence_or_10_s_without_a_first_packet() {
    let (mut net, _, viewers) = connected(1, 1, GCM);
    net.watch("cam");
    let never = net.clients.pop().expect("it has just joined").session;
    let silent = net.clients[viewers[0]].session;
    net.clients.clear();
    for (seconds, waits, stays) in [(9, true, true), (3, false, true), (15, false, true), (5, false, false)] {
        net.wait(seconds * SECOND);
        assert_eq!(net.handle().lookup(&never).is_some(), waits);
        assert_eq!(net.handle().lookup(&silent).is_some(), stays);
    }
}

#[test]
fn a_handshake_that_fails_with_a_clear_alert_times_out_and_the_alert_is_reported() {
    let (mut net, publisher, _) = connected(1, 1, GCM);
    let viewer = net.watch("cam");
    let session = net.clients[viewer].session;
    // Its check arrives, then an alert about a bad certificate and close_notify; then nothing.
    let check = net.clients[viewer].peer.poll_transmit().expect("a check").1.to_vec();
    net.deliver(viewer, check);
    for (level, description) in [(2, 42), (1, 0)] {
        let alert = [&[21, 0xfe, 0xfd][..], &[0; 8], &[0, 2, level, description]].concat();
        net.deliver(viewer, alert);
    }
    net.clients[viewer].away = true;
    net.run(Duration::from_secs(9));
    assert!(net.handle().lookup(&session).is_some(), "anybody could have written that");
    net.run(Duration::from_secs(2));
    assert!(net.handle().lookup(&session).is_none());
    let report = net.handle().record(&session).expect("it has just ended").report();
    assert!(report.failure.as_deref().is_some_and(|why| why.ends_with("close_notify")), "{:?}", report.failure);
    publish(&mut net, publisher, 0..1);
    assert_eq!(net.drops("clear_dtls"), 2);
}

#[test]
fn pending_sessions_time_out_on_a_relay_that_receives_nothing() {
    let mut net = Net::new(2);
    for _ in 0..3 {
        let client = net.watch("cam");
        net.forget(client);
    }
    net.run(Duration::from_secs(9));
    assert_eq!(net.handle().session_count(), 3);
    net.run(Duration::from_secs(3));
    assert_eq!(net.handle().session_count(), 0);
}

#[test]
fn a_lost_packet_is_resent_on_request_and_no_sequence_number_has_two_contents() {
    use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
    let (mut net, publisher, viewers) = connected(1, 1, GCM);
    let viewer = viewers[0];
    publish(&mut net, publisher, 0..10);
    let ssrc = net.clients[viewer].tracks[track(&net.clients[viewer], Kind::Video)].ssrc.unwrap();
    let rtx = net.clients[viewer].tracks[track(&net.clients[viewer], Kind::Video)].rtx_ssrc;
    let sent = net.clients[viewer].received.iter().filter(|packet| packet.ssrc == ssrc);
    let lost = sent.clone().nth(20).expect("thirty were sent").clone();
    let nack = TransportLayerNack {
        sender_ssrc: 1,
        media_ssrc: ssrc,
        nacks: vec![NackPair { packet_id: lost.index as u16, lost_packets: 0 }],
    };
    net.send_rtcp(viewer, nack);
    net.run(Duration::from_millis(20));
    let answer = net.clients[viewer].received.last().expect("something came").clone();
    assert_eq!(Some(answer.ssrc), rtx, "RFC 4588: on the SSRC of resends");
    assert_eq!(answer.payload[..2], (lost.index as u16).to_be_bytes());
    assert_eq!(answer.payload[2..], lost.payload);
    let mut seen = std::collections::HashMap::new();
    for packet in &net.clients[viewer].received {
        let before = seen.insert((packet.ssrc, packet.index), packet.sealed.clone());
        assert!(before.is_none_or(|before| before == packet.sealed));
    }
}

#[test]
fn remote_candidates_are_never_dialled() {
    let mut net = Net::new(1);
    let viewer = net.watch("cam");
    let offer = net.clients[viewer].peer.offer().to_owned();
    net.clients.clear();
    let mut candidates = String::new();
    for number in 0..500 {
        let address = if number % 2 == 0 { "169.254.169.254".to_owned() } else { format!("10.0.0.{}", number % 250) };
        candidates += &format!("a=candidate:{number} 1 udp 2130706431 {address} {} typ host\r\n", 1000 + number);
    }
    let created = net.handle().create(sluice::node::Create {
        role: Role::Viewer,
        stream: "cam".parse().expect("a valid name"),
        offer: offer + &candidates,
        http_local: None,
        media_by_http: None,
        http_remote: crate::net::RELAY.ip(),
        source: sluice::session::ClientSource::Direct,
        user_agent: None,
        credential: sluice::auth::Credential::ANONYMOUS,
        limits: sluice::auth::Limits::default(),
        standby: false,
        leg: false,
        expected: false,
    });
    assert!(created.is_ok(), "{created:?}");
    for _ in 0..20_000 {
        net.now += Duration::from_millis(1);
        net.relay.turn(&mut net.wire, net.now);
    }
    assert_eq!(net.wire.sent.len(), 0, "nothing leaves before a valid check arrives");
}
