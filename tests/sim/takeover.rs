//! Publishers that return, replace another one, or stand by.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sluice::forward::codec::{Codec, Kind};
use sluice::name::Role;
use sluice::node::CreateError;
use sluice::stream::COOL_DOWN;
use sluice::worker::Config;

use crate::broadcast::{
    BOTH, Broadcast, GCM, MILLISECOND, SECOND, Shown, assert_spliced, broadcast_to, connect_beside, run_all,
};
use crate::net::Net;

/// The number of the second publisher's first packet.
const SECOND_BEGINS: u32 = 1_000_000;

/// A publisher with a keyframe each ten seconds that answers no requests, as OBS does, and viewers on all workers.
fn watched(config: Config, workers: usize) -> (Net, Broadcast, Vec<usize>) {
    let (net, broadcast, viewers) = broadcast_to(2 * workers, workers, config);
    (net, gop(broadcast, 0), viewers)
}

fn gop(mut broadcast: Broadcast, offset: u32) -> Broadcast {
    (broadcast.keyframe_every, broadcast.offset) = (250, offset);
    broadcast
}

/// A publishing client starts again: the same machine, the same program, another session.
fn again(net: &mut Net, client: usize) -> Result<usize, CreateError> {
    let address = net.clients[client].address.ip();
    net.try_join(Role::Publisher, "cam", BOTH, GCM, |request| request.http_remote = address)
}

fn first_of_second(line: &[Shown]) -> Option<&Shown> {
    line.iter().find(|shown| shown.number >= SECOND_BEGINS)
}

fn payload_types(net: &Net, viewer: usize) -> usize {
    let types = net.clients[viewer].received.iter().map(|packet| (packet.ssrc, packet.payload_type));
    types.collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn a_killed_publisher_that_returns_after_two_seconds_is_seen_at_once() {
    for seed in 0..16 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut net, mut broadcast, viewers) = watched(Config::default(), 1 + seed as usize % 2);
        broadcast.run(&mut net, Duration::from_millis(random.random_range(500..4_000)));
        net.clients[broadcast.publisher].away = true;
        net.run(2 * SECOND);
        let publisher = again(&mut net, broadcast.publisher).expect("a publisher that was killed is never refused");
        // Some datagrams of the handshake and of what follows are lost on the way to the clients.
        for _ in 0..8_000 {
            net.step(|_, _| !random.random_bool(0.02));
            net.now += MILLISECOND;
            if net.clients[publisher].is_connected() {
                break;
            }
        }
        net.run(Duration::from_millis(10));
        let began = net.now;
        let mut second = gop(Broadcast::new(&net, publisher), SECOND_BEGINS);
        second.run(&mut net, SECOND);
        for viewer in viewers {
            assert!(!net.clients[viewer].closed, "viewers stay");
            let video = net.video(viewer);
            assert_spliced(&video);
            let shown = first_of_second(&video).expect("the new publisher is seen");
            assert!(shown.at <= began + Duration::from_millis(2), "seed {seed}: {:?}", shown.at - began);
            let place = video.iter().position(|other| other == shown).unwrap();
            let [before, after] = [video[place - 1], video[place]];
            let passed = (after.at - before.at).as_millis() as i64 * 90;
            let moved = i64::from(after.timestamp.wrapping_sub(before.timestamp));
            assert!((passed - moved).abs() <= 90, "the line's clock goes on: {moved} of {passed} ticks");
            assert_eq!(video.len() - place, second.frame as usize * 3, "everything of the new publisher");
            let audio = net.audio(viewer);
            assert_spliced(&audio);
            assert!(first_of_second(&audio).is_some());
            assert_eq!(payload_types(&net, viewer), 2, "one for audio and one for video");
        }
        assert_eq!(net.metric("sluice_takeovers_total{by=\"publisher\"}"), 1);
    }
}

#[test]
fn two_encoders_with_one_key_settle_on_the_newer_one() {
    let (mut net, mut first, viewers) = watched(Config::default(), 2);
    first.run(&mut net, SECOND);
    let publisher = net.publish("cam");
    connect_beside(&mut net, publisher, &mut [&mut first]);
    let mut second = gop(Broadcast::new(&net, publisher), SECOND_BEGINS);
    second.run(&mut net, SECOND);
    assert!(net.clients[first.publisher].closed, "it is closed, because another has the stream");
    let refused = again(&mut net, first.publisher).expect_err("it had its turn");
    let CreateError::Refused(refused) = refused else { panic!("{refused}") };
    assert!(refused.retry_after <= COOL_DOWN - SECOND && refused.retry_after > COOL_DOWN - 2 * SECOND, "{refused:?}");
    second.run(&mut net, 4 * SECOND);
    assert!(again(&mut net, first.publisher).is_err() && !net.clients[publisher].closed);
    let video = net.video(viewers[0]);
    assert_spliced(&video);
    assert_eq!(video.iter().filter(|shown| shown.number >= SECOND_BEGINS).count() as u32, second.frame * 3);

    net.clients[publisher].away = true;
    net.run(SECOND * 11 / 10);
    again(&mut net, first.publisher).expect("the present publisher is silent");
}

#[test]
fn a_replaced_publisher_may_return_after_the_cool_down() {
    let (mut net, mut first, _) = watched(Config::default(), 1);
    first.run(&mut net, SECOND);
    let mut second = Broadcast::join(&mut net, 0);
    assert!(again(&mut net, first.publisher).is_err());
    second.run(&mut net, COOL_DOWN);
    again(&mut net, first.publisher).expect("ten seconds have passed");
}

#[test]
fn viewers_end_after_the_grace_period_and_those_that_never_had_a_publisher_wait_on() {
    let (mut net, mut broadcast, viewers) = watched(Config { grace: 5 * SECOND, ..Config::default() }, 2);
    broadcast.run(&mut net, SECOND);
    net.delete(broadcast.publisher);
    let gone = net.now;
    let late = net.watch("cam");
    net.connect();
    net.run(gone + 5 * SECOND - Duration::from_millis(20) - net.now);
    assert!(viewers.iter().all(|viewer| !net.clients[*viewer].closed), "they wait");
    net.run(Duration::from_millis(60));
    assert!(viewers.iter().all(|viewer| net.clients[*viewer].closed), "they have waited long enough");
    assert_eq!(net.metric("sluice_session_ends_total{reason=\"publisher_gone\",role=\"viewer\"}"), 4);
    net.run(10 * SECOND);
    assert!(!net.clients[late].closed);
    let mut broadcast = Broadcast::join(&mut net, 0);
    broadcast.run(&mut net, SECOND);
    assert!(!net.video(late).is_empty());
}

#[test]
fn a_publisher_that_returns_within_the_grace_period_finds_its_viewers() {
    let (mut net, mut broadcast, viewers) = watched(Config { grace: 5 * SECOND, ..Config::default() }, 2);
    for round in 1..=3 {
        broadcast.run(&mut net, SECOND);
        net.delete(broadcast.publisher);
        net.run(4 * SECOND);
        let publisher = again(&mut net, broadcast.publisher).expect("nobody is there");
        net.connect();
        broadcast = gop(Broadcast::new(&net, publisher), SECOND_BEGINS * round);
    }
    broadcast.run(&mut net, 3 * SECOND);
    for viewer in viewers {
        assert!(!net.clients[viewer].closed);
        let video = net.video(viewer);
        assert_spliced(&video);
        assert_eq!(video.last().map(|shown| shown.number / SECOND_BEGINS), Some(3));
    }
}

/// A live publisher, and a standby that began between its keyframes.
fn with_standby(workers: usize) -> (Net, Broadcast, Broadcast, Vec<usize>) {
    let (mut net, mut first, viewers) = watched(Config::default(), workers);
    first.run(&mut net, SECOND);
    let standby = net.stand_by("cam");
    connect_beside(&mut net, standby, &mut [&mut first]);
    let mut second = gop(Broadcast::new(&net, standby), SECOND_BEGINS);
    run_all(&mut net, &mut [&mut first, &mut second], 5 * SECOND);
    assert!(!net.clients[first.publisher].closed && !net.clients[standby].closed);
    (net, first, second, viewers)
}

#[test]
fn a_standby_takes_over_within_a_second_of_silence_with_its_cached_frames() {
    for workers in [1, 2] {
        let (mut net, mut first, mut second, viewers) = with_standby(workers);
        for viewer in &viewers {
            assert!(first_of_second(&net.video(*viewer)).is_none(), "nobody sees a standby");
        }
        let last = net.now;
        net.clients[first.publisher].away = true;
        run_all(&mut net, &mut [&mut first, &mut second], 3 * SECOND);
        for viewer in &viewers {
            let video = net.video(*viewer);
            assert_spliced(&video);
            let shown = first_of_second(&video).expect("the standby is seen");
            assert_eq!(shown.number, SECOND_BEGINS, "from its last keyframe on");
            assert!(shown.at <= last + SECOND + Duration::from_millis(100), "{:?}", shown.at - last);
            let newest = SECOND_BEGINS + second.frame * 3 - 1;
            assert_eq!(video.last().map(|shown| shown.number), Some(newest), "and live by now");
            let audio = net.audio(*viewer);
            assert_spliced(&audio);
            assert!(first_of_second(&audio).expect("it is heard").number > SECOND_BEGINS + 200, "audio is live");
        }
        assert_eq!(net.metric("sluice_takeovers_total{by=\"standby\"}"), 1);
        assert!(matches!(again(&mut net, first.publisher), Err(CreateError::Refused(_))), "it has lost its place");

        // Its network is back: it stands by, and takes over when the other one falls silent.
        net.clients[first.publisher].away = false;
        run_all(&mut net, &mut [&mut first, &mut second], 3 * SECOND);
        let video = net.video(viewers[0]);
        assert!(video.last().is_some_and(|shown| shown.number >= SECOND_BEGINS), "no second change");
        net.clients[second.publisher].away = true;
        let last = net.now;
        run_all(&mut net, &mut [&mut first, &mut second], 12 * SECOND);
        for viewer in &viewers {
            let video = net.video(*viewer);
            assert_spliced(&video);
            let back = video.iter().find(|shown| shown.at > last && shown.number < SECOND_BEGINS);
            assert!(back.is_some_and(|shown| shown.at <= at_next_keyframe(&first, last)), "{back:?}");
        }
        assert_eq!(net.metric("sluice_takeovers_total{by=\"standby\"}"), 2);
    }
}

/// Its keyframe of before the blackout was dropped with its place, so it has a frame at its next one.
fn at_next_keyframe(broadcast: &Broadcast, after: Instant) -> Instant {
    let keyframes = (0..).map(|number| broadcast.video_sent_at(number * broadcast.keyframe_every * 3));
    let next = keyframes.into_iter().find(|at| *at > after).expect("there is always another");
    next.max(after + SECOND) + Duration::from_millis(100)
}

#[test]
fn a_standby_takes_over_at_once_when_the_publisher_leaves_and_steps_back_when_one_joins() {
    let (mut net, first, mut second, viewers) = with_standby(2);
    net.delete(first.publisher);
    let left = net.now;
    second.run(&mut net, SECOND);
    let video = net.video(viewers[1]);
    assert!(first_of_second(&video).is_some_and(|shown| shown.at <= left + Duration::from_millis(60)));

    let publisher = again(&mut net, first.publisher).expect("it went by itself");
    connect_beside(&mut net, publisher, &mut [&mut second]);
    let mut third = gop(Broadcast::new(&net, publisher), 2 * SECOND_BEGINS);
    run_all(&mut net, &mut [&mut second, &mut third], 2 * SECOND);
    assert!(!net.clients[second.publisher].closed, "it stands by again");
    let video = net.video(viewers[1]);
    assert_spliced(&video);
    assert!(video.last().is_some_and(|shown| shown.number >= 2 * SECOND_BEGINS));
}

#[test]
fn a_takeover_with_another_codec_ends_only_viewers_without_it() {
    let mut net = Net::new(2);
    let publisher = net.publish("cam");
    net.connect();
    let narrow = net.watch("cam");
    let wide = net.join(Role::Viewer, "cam", &[Codec::Vp8, Codec::H264, Codec::Opus], GCM);
    let waiting = net.join(Role::Viewer, "cam", &[Codec::Opus], GCM);
    net.connect();
    let mut broadcast = Broadcast::new(&net, publisher);
    broadcast.run(&mut net, SECOND);
    let other = net.join(Role::Publisher, "cam", &[Codec::H264, Codec::Opus], GCM);
    net.connect();
    let track = crate::broadcast::track(&net.clients[other], Kind::Video);
    for frame in 0..10 {
        net.send(other, track, frame * 3_600, true, &[0x65, 0x88, frame as u8, 1]);
        net.run(Duration::from_millis(40));
    }
    assert!(net.clients[narrow].closed && !net.clients[wide].closed && !net.clients[waiting].closed);
    assert_eq!(net.metric("sluice_session_ends_total{reason=\"codec_changed\",role=\"viewer\"}"), 1);
    let client = &net.clients[wide];
    let video = client.received.iter().filter(|packet| packet.payload.first() == Some(&0x65));
    assert_eq!(video.count(), 10);
    let ssrc = client.tracks[crate::broadcast::track(client, Kind::Video)].ssrc;
    let line: Vec<_> = client.received.iter().filter(|packet| Some(packet.ssrc) == ssrc).collect();
    assert!(line.windows(2).all(|pair| pair[1].index == pair[0].index + 1), "one line");
}

#[test]
fn early_viewers_wait_unless_the_relay_is_configured_to_reject_them() {
    let mut net = Net::with(1, Config { refuse_early_viewers: true, ..Config::default() });
    let watch = |net: &mut Net| net.try_join(Role::Viewer, "cam", BOTH, GCM, |_| {});
    assert!(matches!(watch(&mut net), Err(CreateError::NotPublished { .. })));
    let publisher = net.publish("cam");
    assert!(watch(&mut net).is_err(), "a publisher that is not connected publishes nothing");
    net.connect();
    let viewer = watch(&mut net).expect("somebody publishes");
    net.connect();
    assert!(net.try_join(Role::Viewer, "other", BOTH, GCM, |_| {}).is_err());
    // Viewers that have joined wait for the next publisher.
    net.delete(publisher);
    net.run(SECOND);
    assert!(net.handle().lookup(&net.clients[viewer].session).is_some());
    assert!(watch(&mut net).is_err());
}
