//! Viewers that stop receiving and return, and viewers beside them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use sluice::forward::codec::Kind;
use sluice::worker::Config;

use crate::broadcast::{Broadcast, MILLISECOND, SECOND, Shown, assert_spliced, broadcast_to};
use crate::net::Net;

/// A publisher with a keyframe each ten seconds that answers no requests, as OBS does, and two viewers on each worker.
fn watched(workers: usize, parts: u32, seconds: u32) -> (Net, Broadcast, Vec<usize>) {
    let (mut net, mut broadcast, viewers) = broadcast_to(2 * workers, workers, Config::default());
    (broadcast.keyframe_every, broadcast.parts) = (250, parts);
    broadcast.run(&mut net, SECOND * seconds);
    (net, broadcast, viewers)
}

/// What came from a moment on.
fn since(line: &[Shown], moment: Instant) -> &[Shown] {
    &line[line.iter().take_while(|shown| shown.at < moment).count()..]
}

fn is_keyframe(broadcast: &Broadcast, shown: &Shown) -> bool {
    shown.number.is_multiple_of(broadcast.parts * broadcast.keyframe_every)
}

#[test]
fn a_silent_viewer_is_paused_and_gets_a_keyframe_as_soon_as_it_returns() {
    for workers in [1, 2] {
        let (mut net, mut broadcast, viewers) = watched(workers, 3, 3);
        let away = viewers[0];
        net.clients[away].away = true;
        broadcast.run(&mut net, 10 * SECOND);
        assert_eq!(net.metric("sluice_viewer_pauses_total"), 1, "and nobody else");
        let sent = net.metric("sluice_rtp_packets_total{direction=\"out\",kind=\"video\"}");
        broadcast.run(&mut net, 4 * SECOND);
        let of_others = (viewers.len() as u64 - 1) * 4 * 25 * 3;
        let sent = net.metric("sluice_rtp_packets_total{direction=\"out\",kind=\"video\"}") - sent;
        assert!((of_others..of_others + 20).contains(&sent), "nothing is sent to the paused viewer: {sent}");

        net.clients[away].away = false;
        let reports = net.clients[away].rtcp.len();
        broadcast.run(&mut net, 3 * SECOND);
        let video = net.video(away);
        let back = video.windows(2).position(|pair| pair[1].at - pair[0].at > 5 * SECOND).expect("it was away") + 1;
        assert!(is_keyframe(&broadcast, &video[back]), "{:?}", video[back]);
        // Only the packets of the first seven seconds of silence are lost.
        let lost = video[back].index - video[back - 1].index - 1;
        assert!((6 * 75..=7 * 75 + 3).contains(&lost), "it was heard within the second before: {lost}");
        assert_spliced(&video[back..]);
        assert_eq!(video.last().map(|shown| shown.number + 1), Some(broadcast.frame * 3), "and it is live");
        let audio = net.audio(away);
        let back_audio = since(&audio, video[back].at);
        assert!(back_audio[0].number > 16 * 50, "audio is live at once");
        assert_spliced(back_audio);
        let before_live = net.clients[away].rtcp[reports..].iter().flatten();
        assert_eq!(before_live.filter(|packet| packet.as_any().is::<SenderReport>()).count(), 0, "no clock is known");
        assert!(net.metric("sluice_drops_total{reason=\"paused\"}") > 6 * 75);

        for viewer in &viewers[1..] {
            let video = net.video(*viewer);
            assert_spliced(&video);
            assert_eq!(video.len() as u32, broadcast.frame * 3, "nobody else loses anything");
            assert!(video.iter().all(|shown| shown.at - broadcast.video_sent_at(shown.number) <= MILLISECOND));
        }
    }
}

#[test]
fn consent_checks_alone_keep_a_viewer_from_being_paused() {
    let (mut net, mut broadcast, viewers) = watched(1, 3, 40);
    assert_eq!(net.metric("sluice_viewer_pauses_total"), 0);
    broadcast.run(&mut net, SECOND);
    assert!(viewers.iter().all(|viewer| net.video(*viewer).len() as u32 == broadcast.frame * 3));
}

#[test]
fn a_viewer_that_returns_after_a_takeover_sees_the_new_publisher() {
    let (mut net, mut broadcast, viewers) = watched(1, 3, 3);
    net.clients[viewers[0]].away = true;
    broadcast.run(&mut net, 9 * SECOND);
    let mut second = Broadcast::join(&mut net, 1_000_000);
    second.run(&mut net, 4 * SECOND);
    net.clients[viewers[0]].away = false;
    second.run(&mut net, 3 * SECOND);
    let video = net.video(viewers[0]);
    let back = video.iter().position(|shown| shown.number >= 1_000_000).expect("it is back");
    assert_eq!(video[back].number, 1_000_000, "from its keyframe on");
    assert_spliced(&video[back..]);
    assert_eq!(video.last().map(|shown| shown.number), Some(1_000_000 + second.frame * 3 - 1));
}

#[test]
fn video_resumes_at_once_after_a_blackout_of_four_seconds_at_six_megabits() {
    // 25 frames a second of 50 packets of 600 bytes.
    for begins in [1, 5, 8] {
        let (mut net, mut broadcast, viewers) = watched(1, 50, 10 + begins);
        let away = viewers[0];
        net.clients[away].away = true;
        broadcast.run(&mut net, 4 * SECOND);
        net.clients[away].away = false;
        let back = net.now;
        // The first packet shows a hole that is too long to ask for: a browser asks for a keyframe.
        while net.video(away).last().is_none_or(|shown| shown.at < back) {
            broadcast.run(&mut net, MILLISECOND);
        }
        net.request_keyframe(away);
        broadcast.run(&mut net, 2 * SECOND);
        let video = net.video(away);
        let after = since(&video, back);
        let frame = after.iter().find(|shown| is_keyframe(&broadcast, shown)).expect("it has a frame");
        assert!(frame.at <= back + SECOND / 2, "{:?}", frame.at - back);
        assert_eq!(after.last().map(|shown| shown.number + 1), Some(broadcast.frame * 50), "and is live");
        let audio = net.audio(away);
        assert_spliced(since(&audio, back));
        let other = net.video(viewers[1]);
        assert_spliced(&other);
        assert!(other.iter().all(|shown| shown.at - broadcast.video_sent_at(shown.number) <= MILLISECOND));
        assert_eq!(other.len() as u32, broadcast.frame * 50, "the other viewer notices nothing");
    }
}

/// Pairs that fit one datagram of a client.
const MOST_ASKED: usize = 200;

/// What a browser would send NACKs for: video packets that arrived neither first nor as a resend.
fn missing(net: &Net, viewer: usize) -> (u32, Vec<u16>) {
    let client = &net.clients[viewer];
    let of = &client.tracks[crate::broadcast::track(client, Kind::Video)];
    let (ssrc, rtx) = (of.ssrc.expect("it is answered"), of.rtx_ssrc.expect("RTX is agreed on"));
    let resent = client.received.iter().filter(|packet| packet.ssrc == rtx);
    let mut have: HashSet<u16> =
        resent.map(|packet| u16::from_be_bytes([packet.payload[0], packet.payload[1]])).collect();
    let first = client.received.iter().filter(|packet| packet.ssrc == ssrc);
    have.extend(first.clone().map(|packet| packet.index as u16));
    let highest = first.map(|packet| packet.index).max().unwrap_or(0);
    let lately = highest.saturating_sub(400)..highest;
    (ssrc, lately.map(|index| index as u16).filter(|number| !have.contains(number)).collect())
}

/// Runs with a loss of video towards one viewer, which sends NACKs every 50 ms.
fn lose(net: &mut Net, broadcast: &mut Broadcast, viewer: usize, share: f64, how_long: Duration) {
    let mut random = StdRng::seed_from_u64(7);
    let until = net.now + how_long;
    let mut next = net.now;
    while net.now < until {
        broadcast.publish(net);
        if net.now >= next {
            next = net.now + Duration::from_millis(50);
            let (ssrc, numbers) = missing(net, viewer);
            let pairs = numbers.into_iter().take(MOST_ASKED);
            let nacks: Vec<_> = pairs.map(|packet_id| NackPair { packet_id, lost_packets: 0 }).collect();
            if !nacks.is_empty() {
                let (nack, now) = (TransportLayerNack { sender_ssrc: 1, media_ssrc: ssrc, nacks }, net.now);
                net.clients[viewer].peer.send_rtcp(vec![Box::new(nack)], now);
            }
        }
        let is_video = |datagram: &[u8]| datagram.len() > 300;
        net.step(|to, datagram| to != viewer || !is_video(datagram) || !random.random_bool(share));
        net.now += MILLISECOND;
    }
}

#[test]
fn loss_beyond_repair_skips_to_a_keyframe_and_audio_continues() {
    let (mut net, mut broadcast, viewers) = watched(1, 50, 3);
    let viewer = viewers[0];
    lose(&mut net, &mut broadcast, viewer, 0.7, 4 * SECOND);
    let skipped = net.metric("sluice_drops_total{reason=\"skipped\"}");
    assert!(skipped > 0, "frames are left out");
    // The next keyframe comes three seconds later.
    lose(&mut net, &mut broadcast, viewer, 0.0, 4 * SECOND);
    let video = net.video(viewer);
    assert_eq!(video.last().map(|shown| shown.number + 1), Some(broadcast.frame * 50), "it is live");
    assert!(missing(&net, viewer).1.is_empty(), "and whole");
    let audio = net.audio(viewer);
    assert_spliced(&audio);
    assert_eq!(audio.len() as u32, broadcast.audio_packets(), "all of the audio");
    let other = net.video(viewers[1]);
    assert_spliced(&other);
    assert!(
        other.iter().all(|shown| shown.at - broadcast.video_sent_at(shown.number) <= MILLISECOND),
        "nobody is delayed"
    );
}

#[test]
fn a_short_blackout_is_repaired_or_ends_with_a_keyframe_without_a_request() {
    // So few packets that a browser asks for all of them.
    let (mut net, mut broadcast, viewers) = watched(1, 8, 8);
    let away = viewers[0];
    net.clients[away].away = true;
    broadcast.run(&mut net, 2 * SECOND);
    net.clients[away].away = false;
    let back = net.now;
    lose(&mut net, &mut broadcast, away, 0.0, 2 * SECOND);
    let video = net.video(away);
    let (_, still_missing) = missing(&net, away);
    let frame = since(&video, back).iter().find(|shown| is_keyframe(&broadcast, shown));
    let is_shown = frame.is_some_and(|shown| shown.at <= back + SECOND / 2);
    assert!(is_shown || still_missing.is_empty(), "{frame:?}, {} missing", still_missing.len());
}
