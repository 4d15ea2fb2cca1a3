//! What the relay knows of each session and stream while it lives and after its end.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

use std::time::Duration;

use rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use sluice::forward::codec::Kind;
use sluice::label::Label as _;
use sluice::name::{Role, SessionId};
use sluice::reason::EndReason;
use sluice::session::{Report, Stage, TrackReport};
use sluice::srtp::SrtpProfile;

use crate::broadcast::{BOTH, Broadcast, GCM, SECOND, run_all};
use crate::net::Net;

fn track<'a>(report: &'a Report, kind: &str) -> &'a TrackReport {
    report.tracks.iter().find(|track| track.kind == kind).unwrap()
}

/// A publisher and a viewer, and two seconds of media.
fn live() -> (Net, Broadcast, usize) {
    let mut net = Net::new(2);
    let publisher = net.publish("cam");
    let viewer = net.join(Role::Viewer, "cam", BOTH, &[SrtpProfile::Aes128CmSha1_80]);
    net.connect();
    let mut broadcast = Broadcast::new(&net, publisher);
    broadcast.keyframe_every = 25;
    broadcast.run(&mut net, SECOND * 3);
    (net, broadcast, viewer)
}

#[test]
fn the_report_of_a_publisher_shows_what_it_sends() {
    let (net, broadcast, _) = live();
    let report = net.report(broadcast.publisher);
    assert_eq!(report.stage, Stage::Live);
    assert_eq!(report.srtp_profile, Some("SRTP_AEAD_AES_128_GCM"));
    let (video, audio) = (track(&report, "video"), track(&report, "audio"));
    assert_eq!((video.codec, audio.codec), ("VP8", "opus"));
    // A frame each 40 ms in three packets of 600 bytes with header and tag, audio each 20 ms.
    assert!((24.0..=26.0).contains(&video.rates.frames), "{video:?}");
    assert!((72.0..=78.0).contains(&video.rates.packets), "{video:?}");
    assert!((video.rates.bits / video.rates.packets - 628.0 * 8.0).abs() < 1.0, "{video:?}");
    assert!((49.0..=51.0).contains(&audio.rates.packets), "{audio:?}");
    assert_eq!((video.size, audio.size), (Some((640, 360)), None));
    assert_eq!(video.keyframe_interval, Some(SECOND));
    assert_eq!((video.lost_packets, video.repaired_packets), (0, 0));
    assert_eq!(
        video.ssrc,
        net.clients[broadcast.publisher].tracks.iter().find(|t| t.kind.as_str() == "video").unwrap().ssrc
    );
    assert!(report.first_media.is_some() && report.opened < report.connected);
    assert!(report.round_trip.is_some_and(|trip| trip <= SECOND / 100), "{:?}", report.round_trip);
    let info = &net.handle().streams()[0];
    assert_eq!((info.publisher, info.viewers), (Some(net.clients[broadcast.publisher].session), 1));
}

#[test]
fn the_report_of_a_viewer_shows_what_it_gets_and_where() {
    let (net, broadcast, viewer) = live();
    let report = net.report(viewer);
    assert_eq!(report.stage, Stage::Live);
    assert_eq!(report.srtp_profile, Some("SRTP_AES128_CM_HMAC_SHA1_80"));
    assert_eq!(report.path.unwrap().remote, net.clients[viewer].address);
    assert_eq!(report.checks.first, Some(net.clients[viewer].address));
    assert!(report.checks.authentic > 0 && report.checks.addresses == 1);
    let video = track(&report, "video");
    assert!(video.packets > 180 && (72.0..=78.0).contains(&video.rates.packets), "{video:?}");
    let record = net.handle().record(&net.clients[viewer].session).unwrap();
    assert!(record.offered.codecs.iter().any(|codec| codec == "VP8"), "{:?}", record.offered);
    let both = net.handle().records_of(&record.stream);
    assert!(both.iter().any(|record| record.id == net.clients[broadcast.publisher].session) && both.len() == 2);
}

#[test]
fn only_the_viewers_own_bandwidth_estimate_is_reported() {
    let (mut net, mut broadcast, viewer) = live();
    assert_eq!(net.report(viewer).estimate, None);
    let own = net.clients[viewer].tracks[0].ssrc.unwrap();
    for (bitrate, ssrc) in [(2_000_000.0, own), (1_000.0, own ^ 1)] {
        let estimate = ReceiverEstimatedMaximumBitrate { sender_ssrc: 1, bitrate, ssrcs: vec![ssrc] };
        net.send_rtcp(viewer, estimate);
        broadcast.run(&mut net, 2 * SECOND);
    }
    assert_eq!(net.report(viewer).estimate, Some(2_000_000.0));
}

#[test]
fn the_report_of_a_viewer_shows_loss_jitter_and_round_trip_time() {
    let (mut net, mut broadcast, viewer) = live();
    // The relay sends no reports of its own without the publisher's clock; it waits 4 s for that of the audio.
    let ssrc = |net: &Net, client: usize| {
        net.clients[client].tracks.iter().find(|t| t.kind.as_str() == "video").unwrap().ssrc.unwrap()
    };
    let clock =
        SenderReport { ssrc: ssrc(&net, broadcast.publisher), ntp_time: 7 << 32, rtp_time: 0, ..Default::default() };
    net.send_rtcp(broadcast.publisher, clock);
    broadcast.run(&mut net, SECOND * 5);
    let (media_ssrc, named) = net.clients[viewer]
        .rtcp
        .iter()
        .flatten()
        .find_map(|packet| {
            let report = packet.as_any().downcast_ref::<SenderReport>()?;
            Some((report.ssrc, (report.ntp_time >> 16) as u32))
        })
        .unwrap();
    let block = ReceptionReport {
        ssrc: media_ssrc,
        total_lost: 11,
        jitter: 900,
        last_sender_report: named,
        delay: 0,
        ..Default::default()
    };
    net.send_rtcp(viewer, ReceiverReport { ssrc: 1, reports: vec![block], ..Default::default() });
    broadcast.run(&mut net, SECOND * 2);
    let report = net.report(viewer);
    let track_report = report.tracks.iter().find(|track| track.ssrc == Some(media_ssrc)).unwrap();
    assert_eq!(track_report.lost_packets, 11);
    let clock_rate = if track_report.kind == "video" { 90_000 } else { 48_000 };
    assert_eq!(track_report.jitter, Some(SECOND * 900 / clock_rate));
    assert!(report.round_trip.is_some_and(|trip| trip > Duration::ZERO && trip < SECOND * 4), "{report:?}");
}

#[test]
fn a_session_waits_connects_and_ends_with_a_reason_that_is_kept() {
    let mut net = Net::new(1);
    let viewer = net.watch("cam");
    assert_eq!(net.report(viewer).stage, Stage::Waiting);
    assert!(net.handle().streams().is_empty(), "nothing has arrived from it yet");
    net.connect();
    assert_eq!(net.report(viewer).stage, Stage::Waiting, "for a publisher");
    let publisher = net.publish("cam");
    net.connect();
    net.run(SECOND * 2);
    assert_eq!(net.report(viewer).stage, Stage::Live);
    let (session, now) = (net.clients[viewer].session, net.now);
    net.handle().end(&session, EndReason::Deleted).unwrap();
    net.run(SECOND);
    let ended = net.report(viewer);
    assert_eq!((ended.stage, ended.ended), (Stage::Ended, Some((EndReason::Deleted, now))));
    assert_eq!(ended.srtp_profile, Some("SRTP_AEAD_AES_128_GCM"), "what was known of it stays");
    assert!(net.handle().record(&SessionId::random()).is_none());
    assert!(net.clients[viewer].closed, "its client was track_report");

    let session = net.clients[publisher].session;
    net.handle().end(&session, EndReason::Kicked).unwrap();
    net.run(SECOND);
    assert!(net.clients[publisher].closed && net.handle().streams().is_empty());
    assert_eq!(net.report(publisher).ended.map(|(reason, _)| reason), Some(EndReason::Kicked));

    // One whose first packet never came.
    let silent = net.watch("cam");
    net.delete(silent);
    assert_eq!(net.handle().record(&session).unwrap().report().stage, Stage::Ended);
}

/// A session of this age; the relay hears its checks or nothing at all, and nothing of the relay reaches it.
fn unconnected(role: Role, heard: bool, age: Duration) -> (Net, SessionId) {
    let mut net = Net::new(1);
    let client = net.join(role, "cam", BOTH, GCM);
    if !heard {
        net.clients[client].gone = true;
    }
    let until = net.now + age;
    while net.now < until {
        net.step(|_, _| false);
        net.now += Duration::from_millis(1);
    }
    let session = net.clients[client].session;
    (net, session)
}

#[test]
fn the_end_reason_of_an_unconnected_session_says_how_far_it_came() {
    let young = Duration::from_millis(2_900);
    for role in [Role::Publisher, Role::Viewer] {
        for (heard, age, asked, reason) in [
            (false, young, EndReason::Deleted, EndReason::Abandoned),
            (false, young, EndReason::Kicked, EndReason::Kicked),
            (false, SECOND * 3, EndReason::Deleted, EndReason::NeverConnected),
            (false, SECOND * 9, EndReason::Deleted, EndReason::NeverConnected),
            (false, SECOND * 4, EndReason::Kicked, EndReason::NeverConnected),
            (true, young, EndReason::Deleted, EndReason::Abandoned),
            (true, SECOND * 3, EndReason::Deleted, EndReason::HandshakeTimeout),
            (true, SECOND * 4, EndReason::Kicked, EndReason::HandshakeTimeout),
        ] {
            let (mut net, session) = unconnected(role, heard, age);
            net.handle().end_at(&session, asked, net.now).unwrap();
            net.run(Duration::from_millis(20));
            let record = net.handle().record(&session).unwrap();
            assert_eq!(
                record.report().ended.map(|(reason, _)| reason),
                Some(reason),
                "{role:?} {heard} {age:?} {asked:?}"
            );
            let (reason, role) = (reason.as_str(), role.as_str());
            let name = format!("sluice_session_ends_total{{reason=\"{reason}\",role=\"{role}\"}}");
            assert_eq!(metric(&net, &name), Some(1.0));
        }
        // No client or operator ends it.
        for (heard, reason) in [(false, EndReason::NeverConnected), (true, EndReason::HandshakeTimeout)] {
            let (mut net, session) = unconnected(role, heard, SECOND * 9);
            assert!(net.handle().lookup(&session).is_some());
            net.run(SECOND * 3);
            let record = net.handle().record(&session).unwrap();
            assert_eq!(record.report().ended.map(|(reason, _)| reason), Some(reason));
        }
    }
}

/// As where a firewall drops large UDP packets, or resets ICE-TCP: checks and small DTLS messages arrive.
#[test]
fn a_handshake_that_webrtc_rs_gives_up_is_a_handshake_timeout() {
    for role in [Role::Publisher, Role::Viewer] {
        let mut net = Net::new(1);
        let client = net.join(role, "cam", BOTH, GCM);
        let (ends, gives_up) = (net.now + Duration::from_millis(9_500), net.now + SECOND);
        while net.now < ends {
            if net.now == gives_up {
                // A fatal alert in clear ends nothing, but it may be why.
                net.deliver(client, vec![21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 40, 0, 2, 2, 40]);
            }
            net.step(|_, datagram| datagram.len() < 300);
            net.now += Duration::from_millis(1);
        }
        let ended = net.report(client).ended;
        assert_eq!(ended.map(|(reason, _)| reason), Some(EndReason::HandshakeTimeout), "{role:?}");
        let failure = net.report(client).failure.unwrap_or_default();
        assert!(failure.contains("may have ended") && failure.contains("handshake_failure"), "{failure}");
        let name = format!("sluice_session_ends_total{{reason=\"handshake_timeout\",role=\"{}\"}}", role.as_str());
        assert_eq!(metric(&net, &name), Some(1.0));
    }
}

fn metric(net: &Net, name: &str) -> Option<f64> {
    let text = net.metrics.render();
    text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().parse().unwrap())
}

#[test]
fn a_streams_metrics_move_with_it_and_end_with_it() {
    let (mut net, mut broadcast, viewer) = live();
    let client = broadcast.publisher;
    // Sealed and never sent: the next packet shows the hole.
    let audio = net.clients[client].tracks.iter().position(|track| track.kind == Kind::Audio).unwrap();
    for _ in 0..7 {
        net.clients[client].seal(audio, 0, false, &[0; 100]);
    }
    broadcast.run(&mut net, SECOND * 2);
    assert_eq!(metric(&net, "sluice_stream_viewers{stream=\"cam\"}"), Some(1.0));
    for direction in ["in", "out"] {
        let bytes = metric(&net, &format!("sluice_stream_bytes_total{{direction=\"{direction}\",stream=\"cam\"}}"));
        assert!(bytes.is_some_and(|bytes| bytes > 100_000.0), "{direction}: {bytes:?}");
    }
    assert_eq!(metric(&net, "sluice_stream_keyframe_interval_seconds{stream=\"cam\"}"), Some(1.0));
    let lost =
        |net: &Net, kind| metric(net, &format!("sluice_stream_lost_packets_total{{kind=\"{kind}\",stream=\"cam\"}}"));
    assert_eq!(lost(&net, "video"), Some(0.0));
    assert_eq!(lost(&net, "audio"), Some(7.0));

    for session in [net.clients[client].session, net.clients[viewer].session] {
        net.handle().end(&session, EndReason::Deleted).unwrap();
        net.run(SECOND);
        assert_eq!(metric(&net, "sluice_stream_keyframe_interval_seconds{stream=\"cam\"}"), None);
    }
    assert!(!net.metrics.render().contains("stream=\"cam\""));
}

#[test]
fn a_standby_waits_and_counts_only_once_it_has_taken_over() {
    let (mut net, mut broadcast, _) = live();
    let standby = net.stand_by("cam");
    net.connect();
    let bytes = |net: &Net| metric(net, "sluice_stream_bytes_total{direction=\"in\",stream=\"cam\"}").unwrap();
    let before = bytes(&net);
    let mut second = Broadcast::new(&net, standby);
    run_all(&mut net, &mut [&mut second, &mut broadcast], 3 * SECOND);
    let both = bytes(&net) - before;
    assert_eq!(net.report(standby).stage, Stage::Waiting);
    assert!(track(&net.report(standby), "video").rates.packets > 70.0, "it is known all the same");
    let (session, live) = (net.clients[broadcast.publisher].session, net.report(broadcast.publisher));
    let rate: f64 = live.tracks.iter().map(|track| track.rates.bits).sum();
    assert!(both < rate / 8.0 * 3.6, "{both} bytes in three seconds and a bit, of {rate} bits a second");
    net.handle().end(&session, EndReason::Deleted).unwrap();
    second.run(&mut net, SECOND * 3);
    assert_eq!(net.report(standby).stage, Stage::Live);
}

#[test]
fn every_session_is_sampled_each_second_a_few_at_a_time() {
    let mut net = Net::new(1);
    let clients: Vec<_> = (0..150).map(|_| net.watch("cam")).collect();
    net.connect();
    let publisher = net.publish("cam");
    net.connect();
    let mut broadcast = Broadcast::new(&net, publisher);
    broadcast.run(&mut net, SECOND * 3);
    for client in clients {
        let report = net.report(client);
        let video = track(&report, "video");
        assert!((70.0..=80.0).contains(&video.rates.packets), "{video:?}");
    }
}
