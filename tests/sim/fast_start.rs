//! A viewer that comes between two keyframes has a picture at once, and is live soon: in virtual time, with real peers.

use std::time::Duration;

use rtcp::sender_report::SenderReport;
use sluice::forward::PictureLimits;
use sluice::forward::codec::Kind;
use sluice::name::Role;
use sluice::worker::Config;

use crate::broadcast::{BOTH, Broadcast, GCM, PARTS, Shown, assert_continuous, keyframe_requests, line};
use crate::broadcast::{numbers, request_keyframe, watch};
use crate::net::Net;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
/// A viewer that has just connected may need so long before it takes what comes.
const AT_ONCE: Duration = Duration::from_millis(12);

/// A publisher that began `seconds` ago with its only keyframe, and a viewer who saw it all.
fn begun(config: Config, workers: usize, keyframe_responsive: bool, seconds: u32) -> (Net, Broadcast, usize) {
    let mut net = Net::with(workers, config);
    let early = net.join(Role::Viewer, "cam", BOTH, GCM);
    let publisher = net.join(Role::Publisher, "cam", BOTH, GCM);
    net.connect();
    let mut broadcast = Broadcast::new(&net, publisher);
    broadcast.keyframe_responsive = keyframe_responsive;
    broadcast.run(&mut net, SECOND * seconds);
    (net, broadcast, early)
}

fn metric(net: &Net, name: &str) -> u64 {
    let text = net.metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the metric is there");
    line.trim().parse().expect("it is a number")
}

/// How long after their publication the packets of a line arrived.
fn delays(broadcast: &Broadcast, line: &[Shown]) -> Vec<Duration> {
    line.iter().map(|shown| shown.at.saturating_duration_since(broadcast.published(shown.number))).collect()
}

fn sender_reports(net: &Net, person: usize) -> Vec<u32> {
    let packets = net.clients[person].rtcp.iter().flatten();
    packets.filter_map(|packet| Some(packet.as_any().downcast_ref::<SenderReport>()?.ssrc)).collect()
}

#[test]
fn ten_seconds_after_the_keyframe_a_viewer_has_a_picture_at_once_and_is_live_within_a_second() {
    for workers in [1, 2] {
        let (mut net, mut broadcast, early) = begun(Config::default(), workers, false, 10);
        // The second late viewer is the first one on its worker.
        let late = [watch(&mut net, &mut broadcast), watch(&mut net, &mut broadcast)];
        let connected = net.now;
        broadcast.run(&mut net, SECOND);
        let live = line(&net.clients[early], Kind::Video);
        broadcast.run(&mut net, SECOND);
        for viewer in late {
            let video = line(&net.clients[viewer], Kind::Video);
            assert!(video[0].at <= connected + AT_ONCE, "a picture at once");
            assert_continuous(&video, 0..broadcast.picture * PARTS);
            let shown = video.iter().rfind(|shown| shown.at <= live.last().unwrap().at);
            assert_eq!(shown.unwrap().number, live.last().unwrap().number, "live after a second");
            let audio = line(&net.clients[viewer], Kind::Audio);
            assert!(audio[0].number > 490 && audio[0].at <= connected + Duration::from_millis(21), "sound at once");
            let first = numbers(&audio)[0];
            assert_continuous(&audio, first..first + audio.len() as u32);
        }
        assert_eq!(metric(&net, "sluice_replays_total"), 2);
        assert_eq!(metric(&net, "sluice_first_frame_seconds_count"), 3);
    }
}

#[test]
fn nobody_waits_for_those_who_catch_up() {
    let (mut net, mut broadcast, early) = begun(Config::default(), 1, false, 10);
    for _ in 0..50 {
        net.join(Role::Viewer, "cam", BOTH, GCM);
    }
    broadcast.run(&mut net, 2 * SECOND);
    let delays = delays(&broadcast, &line(&net.clients[early], Kind::Video));
    assert!(delays.iter().all(|delay| *delay <= MILLISECOND), "{:?}", delays.iter().max());
    assert_eq!(metric(&net, "sluice_replays_total"), 50);
    // What was replayed counts as no delay of the relay's.
    let all = metric(&net, "sluice_forward_delay_seconds_count");
    let quick = metric(&net, "sluice_forward_delay_seconds_bucket{le=\"0.0025\"}");
    assert!(all > 0 && quick * 100 >= all * 98, "{quick} of {all}");
}

#[test]
fn no_report_comes_before_the_pictures_are_live_and_one_comes_then() {
    let (mut net, mut broadcast, _) = begun(Config::default(), 1, false, 10);
    let report = SenderReport { ssrc: 0, ntp_time: 1 << 40, rtp_time: 5, ..Default::default() };
    let tracks = net.clients[broadcast.person].tracks.clone();
    for track in &tracks {
        let ssrc = track.ssrc.expect("a publisher has SSRCs");
        let now = net.now;
        net.clients[broadcast.person].client.send_rtcp(vec![Box::new(SenderReport { ssrc, ..report.clone() })], now);
    }
    broadcast.run(&mut net, Duration::from_millis(20));
    let late = watch(&mut net, &mut broadcast);
    broadcast.run(&mut net, Duration::from_millis(600));
    assert!(sender_reports(&net, late).is_empty());
    broadcast.run(&mut net, Duration::from_millis(200));
    let reports = sender_reports(&net, late);
    assert_eq!(reports.len(), 2, "sound and pictures together");
    assert!(net.clients[late].tracks.iter().all(|track| reports.contains(&track.ssrc.expect("it is answered"))));
}

#[test]
fn a_publisher_that_answers_is_asked_instead_and_one_that_is_not_known_yet_is_asked_too() {
    let (mut net, mut broadcast, _) = begun(Config::default(), 1, true, 10);
    let first = watch(&mut net, &mut broadcast);
    broadcast.run(&mut net, SECOND);
    let publisher = broadcast.person;
    assert_eq!((keyframe_requests(&net.clients[publisher]), metric(&net, "sluice_replays_total")), (1, 1));
    assert_eq!(metric(&net, "sluice_keyframe_answers_total{answer=\"obeyed\"}"), 1);
    assert_eq!(line(&net.clients[first], Kind::Video)[0].number, 0, "something to see meanwhile");

    broadcast.run(&mut net, 5 * SECOND);
    let second = watch(&mut net, &mut broadcast);
    broadcast.run(&mut net, SECOND);
    assert_eq!((keyframe_requests(&net.clients[publisher]), metric(&net, "sluice_replays_total")), (2, 1));
    let video = line(&net.clients[second], Kind::Video);
    assert!(video[0].number > 15 * 25 * PARTS);
    assert_continuous(&video, video[0].number..broadcast.picture * PARTS);

    let third = watch(&mut net, &mut broadcast);
    broadcast.run(&mut net, SECOND);
    assert_eq!(keyframe_requests(&net.clients[publisher]), 2, "the last keyframe is near");
    let video = line(&net.clients[third], Kind::Video);
    assert_continuous(&video, line(&net.clients[second], Kind::Video)[0].number..broadcast.picture * PARTS);
}

#[test]
fn an_answer_that_does_not_come_is_waited_for_half_a_second() {
    let (mut net, mut broadcast, _) = begun(Config::default(), 1, true, 10);
    watch(&mut net, &mut broadcast);
    broadcast.run(&mut net, 5 * SECOND);
    broadcast.keyframe_responsive = false;
    let late = watch(&mut net, &mut broadcast);
    let connected = net.now;
    broadcast.run(&mut net, 2 * SECOND);
    let took = line(&net.clients[late], Kind::Video)[0].at - connected;
    assert!((490..510).contains(&took.as_millis()), "{took:?}");
    assert!(metric(&net, "sluice_keyframe_answers_total{answer=\"ignored\"}") > 0);
    let next = watch(&mut net, &mut broadcast);
    let connected = net.now;
    broadcast.run(&mut net, SECOND);
    assert!(line(&net.clients[next], Kind::Video)[0].at <= connected + AT_ONCE, "it is known by now");
}

#[test]
fn a_viewer_that_cannot_decode_is_replayed_to_once_in_the_time_that_the_pictures_lasted() {
    let (mut net, mut broadcast, early) = begun(Config::default(), 1, false, 10);
    let asked = keyframe_requests(&net.clients[broadcast.person]);
    for _ in 0..80 {
        request_keyframe(&mut net, early);
        broadcast.run(&mut net, Duration::from_millis(100));
    }
    assert_eq!(metric(&net, "sluice_replays_total"), 1);
    let repeats = keyframe_requests(&net.clients[broadcast.person]) - asked;
    assert!((7..=9).contains(&repeats), "asked once a second, {repeats} times in 8 s");
    broadcast.run(&mut net, 5 * SECOND);
    assert_eq!(metric(&net, "sluice_replays_total"), 2, "the request was not forgotten");
    let video = line(&net.clients[early], Kind::Video);
    assert!(video.windows(2).all(|pair| pair[1].index == pair[0].index + 1));
    assert!(video.windows(2).all(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp) < 90_000));
    assert_eq!(video.iter().filter(|shown| shown.number == 0).count(), 3);
    assert!(delays(&broadcast, &video).last().unwrap() <= &MILLISECOND);
}

#[test]
fn too_much_since_the_keyframe_is_not_kept_and_a_keyframe_is_asked_for() {
    let pictures = PictureLimits { age: 5 * SECOND, ..PictureLimits::default() };
    let (mut net, mut broadcast, _) = begun(Config { pictures, ..Config::default() }, 1, false, 6);
    let late = watch(&mut net, &mut broadcast);
    broadcast.run(&mut net, SECOND * 3 / 2);
    assert_eq!(line(&net.clients[late], Kind::Video), []);
    assert_eq!(keyframe_requests(&net.clients[broadcast.person]), 2);
    broadcast.keyframe_responsive = true;
    broadcast.run(&mut net, 2 * SECOND);
    let video = line(&net.clients[late], Kind::Video);
    assert_continuous(&video, video[0].number..broadcast.picture * PARTS);
}

/// A keyframe and five frames, 25 s of nothing, one more frame.
#[test]
fn a_screen_that_stands_still_is_seen_at_once_however_long_it_has() {
    for workers in [1, 2] {
        let (mut net, mut broadcast, _) = begun(Config::default(), workers, false, 0);
        broadcast.run(&mut net, Duration::from_millis(200));
        net.run(25 * SECOND);
        broadcast.picture += 25 * 25;
        broadcast.publish(&mut net);
        net.run(2 * SECOND);
        let connected = net.now;
        let late = net.join(Role::Viewer, "cam", BOTH, GCM);
        net.connect();
        net.run(SECOND);
        let video = line(&net.clients[late], Kind::Video);
        let shown = video.last().expect("there is a picture");
        assert_eq!(video[0].number, 0, "{workers}");
        assert!(shown.number >= 25 * 25 * PARTS && shown.at < connected + SECOND / 2, "{workers}: {shown:?}");
    }
}

#[test]
fn what_is_kept_for_late_viewers_leaves_in_time_although_its_publisher_is_silent() {
    let (mut net, mut broadcast, _) = begun(Config::default(), 2, false, 10);
    broadcast.run(&mut net, 2 * SECOND);
    let kept = metric(&net, "sluice_fast_start_bytes");
    assert!(kept > 12 * 25 * u64::from(PARTS) * 600, "{kept}");
    // 20 s after its keyframe, and when nobody can be on the way from there any more.
    net.run(17 * SECOND);
    assert_eq!(metric(&net, "sluice_fast_start_bytes"), 0);
    let late = net.join(Role::Viewer, "cam", BOTH, GCM);
    net.connect();
    net.run(SECOND);
    assert_eq!(line(&net.clients[late], Kind::Video), []);
}

#[test]
fn of_all_that_is_kept_the_largest_makes_room_and_only_that() {
    let config = Config { pictures_total: 600 << 10, ..Config::default() };
    let (mut net, mut large, _) = begun(config, 2, false, 8);
    let publisher = net.join(Role::Publisher, "small", BOTH, GCM);
    net.connect();
    let mut small = Broadcast::new(&net, publisher);
    for _ in 0..4000 {
        small.publish(&mut net);
        large.run(&mut net, MILLISECOND);
    }
    assert_eq!(metric(&net, "sluice_fast_start_evictions_total"), 1);
    let kept = metric(&net, "sluice_fast_start_bytes");
    assert!(kept > 0 && kept <= 600 << 10, "{kept}");
    let watch = |net: &mut Net, stream| {
        let late = net.join(Role::Viewer, stream, BOTH, GCM);
        net.connect();
        net.run(SECOND / 2);
        line(&net.clients[late], Kind::Video).len()
    };
    assert!(watch(&mut net, "small") > 0);
    assert_eq!(watch(&mut net, "cam"), 0);
}
