//! Fast start: a viewer that joins between two keyframes has video at once and is live soon.

use std::time::Duration;

use rtcp::sender_report::SenderReport;
use sluice::forward::CacheLimits;
use sluice::worker::Config;

use crate::broadcast::{Broadcast, MILLISECOND, PARTS, SECOND, Shown, assert_continuous, numbers, run_all};
use crate::net::Net;

/// How long a viewer that has just connected may take until it accepts media.
const AT_ONCE: Duration = Duration::from_millis(12);

/// A publisher that began `seconds` ago with its only keyframe, and a viewer that saw all of it.
fn running(config: Config, workers: usize, keyframe_responsive: bool, seconds: u32) -> (Net, Broadcast, usize) {
    let mut net = Net::with(workers, config);
    let early = net.watch("cam");
    let publisher = net.publish("cam");
    net.connect();
    let mut broadcast = Broadcast::new(&net, publisher);
    broadcast.keyframe_responsive = keyframe_responsive;
    broadcast.run(&mut net, SECOND * seconds);
    (net, broadcast, early)
}

/// How long after their publication the packets of a line arrived.
fn delays(broadcast: &Broadcast, line: &[Shown]) -> Vec<Duration> {
    line.iter().map(|shown| shown.at.saturating_duration_since(broadcast.video_sent_at(shown.number))).collect()
}

fn sender_reports(net: &Net, client: usize) -> Vec<u32> {
    let packets = net.clients[client].rtcp.iter().flatten();
    packets.filter_map(|packet| Some(packet.as_any().downcast_ref::<SenderReport>()?.ssrc)).collect()
}

#[test]
fn a_viewer_ten_seconds_after_the_keyframe_has_video_at_once_and_is_live_within_a_second() {
    for workers in [1, 2] {
        let (mut net, mut broadcast, early) = running(Config::default(), workers, false, 10);
        // The second late viewer is the first one on its worker.
        let late = [broadcast.add_viewer(&mut net), broadcast.add_viewer(&mut net)];
        let connected = net.now;
        broadcast.run(&mut net, SECOND);
        let live = net.video(early);
        broadcast.run(&mut net, SECOND);
        for viewer in late {
            let video = net.video(viewer);
            assert!(video[0].at <= connected + AT_ONCE, "a frame at once");
            assert_continuous(&video, 0..broadcast.frame * PARTS);
            let shown = video.iter().rfind(|shown| shown.at <= live.last().unwrap().at);
            assert_eq!(shown.unwrap().number, live.last().unwrap().number, "live after a second");
            let audio = net.audio(viewer);
            assert!(audio[0].number > 490 && audio[0].at <= connected + Duration::from_millis(21), "audio at once");
            let first = numbers(&audio)[0];
            assert_continuous(&audio, first..first + audio.len() as u32);
        }
        assert_eq!(net.metric("sluice_replays_total"), 2);
        assert_eq!(net.metric("sluice_first_frame_seconds_count"), 3);
    }
}

#[test]
fn viewers_that_catch_up_do_not_delay_others() {
    let (mut net, mut broadcast, early) = running(Config::default(), 1, false, 10);
    for _ in 0..50 {
        net.watch("cam");
    }
    broadcast.run(&mut net, 2 * SECOND);
    let delays = delays(&broadcast, &net.video(early));
    assert!(delays.iter().all(|delay| *delay <= MILLISECOND), "{:?}", delays.iter().max());
    assert_eq!(net.metric("sluice_replays_total"), 50);
    // Replayed packets do not count as delayed by the relay.
    let all = net.metric("sluice_forward_delay_seconds_count");
    let quick = net.metric("sluice_forward_delay_seconds_bucket{le=\"0.0025\"}");
    assert!(all > 0 && quick * 100 >= all * 98, "{quick} of {all}");
}

#[test]
fn sender_reports_begin_when_the_video_is_live() {
    let (mut net, mut broadcast, _) = running(Config::default(), 1, false, 10);
    let report = SenderReport { ssrc: 0, ntp_time: 1 << 40, rtp_time: 5, ..Default::default() };
    let tracks = net.clients[broadcast.publisher].tracks.clone();
    for track in &tracks {
        let ssrc = track.ssrc.expect("a publisher has SSRCs");
        net.send_rtcp(broadcast.publisher, SenderReport { ssrc, ..report.clone() });
    }
    broadcast.run(&mut net, Duration::from_millis(20));
    let late = broadcast.add_viewer(&mut net);
    broadcast.run(&mut net, Duration::from_millis(600));
    assert!(sender_reports(&net, late).is_empty());
    broadcast.run(&mut net, Duration::from_millis(200));
    let reports = sender_reports(&net, late);
    assert_eq!(reports.len(), 2, "audio and video together");
    assert!(net.clients[late].tracks.iter().all(|track| reports.contains(&track.ssrc.expect("it is answered"))));
}

#[test]
fn a_publisher_known_to_answer_is_asked_for_a_keyframe_instead_of_a_replay() {
    let (mut net, mut broadcast, _) = running(Config::default(), 1, true, 10);
    let first = broadcast.add_viewer(&mut net);
    broadcast.run(&mut net, SECOND);
    let publisher = broadcast.publisher;
    assert_eq!((net.keyframe_requests(publisher), net.metric("sluice_replays_total")), (1, 1));
    assert_eq!(net.metric("sluice_keyframe_answers_total{answer=\"obeyed\"}"), 1);
    assert_eq!(net.video(first)[0].number, 0, "something to see meanwhile");

    broadcast.run(&mut net, 5 * SECOND);
    let second = broadcast.add_viewer(&mut net);
    broadcast.run(&mut net, SECOND);
    assert_eq!((net.keyframe_requests(publisher), net.metric("sluice_replays_total")), (2, 1));
    let video = net.video(second);
    assert!(video[0].number > 15 * 25 * PARTS);
    assert_continuous(&video, video[0].number..broadcast.frame * PARTS);

    let third = broadcast.add_viewer(&mut net);
    broadcast.run(&mut net, SECOND);
    assert_eq!(net.keyframe_requests(publisher), 2, "the last keyframe is near");
    let video = net.video(third);
    assert_continuous(&video, net.video(second)[0].number..broadcast.frame * PARTS);
}

#[test]
fn a_replay_starts_half_a_second_after_an_unanswered_keyframe_request() {
    let (mut net, mut broadcast, _) = running(Config::default(), 1, true, 10);
    broadcast.add_viewer(&mut net);
    broadcast.run(&mut net, 5 * SECOND);
    broadcast.keyframe_responsive = false;
    let late = broadcast.add_viewer(&mut net);
    let connected = net.now;
    broadcast.run(&mut net, 2 * SECOND);
    let took = net.video(late)[0].at - connected;
    assert!((490..510).contains(&took.as_millis()), "{took:?}");
    assert!(net.metric("sluice_keyframe_answers_total{answer=\"ignored\"}") > 0);
    let next = broadcast.add_viewer(&mut net);
    let connected = net.now;
    broadcast.run(&mut net, SECOND);
    assert!(net.video(next)[0].at <= connected + AT_ONCE, "it is known by now");
}

#[test]
fn a_viewer_that_keeps_requesting_keyframes_gets_one_replay_per_length_of_the_cache() {
    let (mut net, mut broadcast, early) = running(Config::default(), 1, false, 10);
    let asked = net.keyframe_requests(broadcast.publisher);
    for _ in 0..80 {
        net.request_keyframe(early);
        broadcast.run(&mut net, Duration::from_millis(100));
    }
    assert_eq!(net.metric("sluice_replays_total"), 1);
    let repeats = net.keyframe_requests(broadcast.publisher) - asked;
    assert!((7..=9).contains(&repeats), "asked once a second, {repeats} times in 8 s");
    broadcast.run(&mut net, 5 * SECOND);
    assert_eq!(net.metric("sluice_replays_total"), 2, "the request was not forgotten");
    let video = net.video(early);
    assert!(video.windows(2).all(|pair| pair[1].index == pair[0].index + 1));
    assert!(video.windows(2).all(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp) < 90_000));
    assert_eq!(video.iter().filter(|shown| shown.number == 0).count(), 3);
    assert!(delays(&broadcast, &video).last().unwrap() <= &MILLISECOND);
}

#[test]
fn beyond_the_limits_nothing_is_cached_and_a_keyframe_is_requested() {
    let cache = CacheLimits { age: 5 * SECOND, ..CacheLimits::default() };
    let (mut net, mut broadcast, _) = running(Config { cache, ..Config::default() }, 1, false, 6);
    let late = broadcast.add_viewer(&mut net);
    broadcast.run(&mut net, SECOND * 3 / 2);
    assert_eq!(net.video(late), []);
    assert_eq!(net.keyframe_requests(broadcast.publisher), 2);
    broadcast.keyframe_responsive = true;
    broadcast.run(&mut net, 2 * SECOND);
    let video = net.video(late);
    assert_continuous(&video, video[0].number..broadcast.frame * PARTS);
}

/// A keyframe and five frames, 25 s of nothing, one more frame.
#[test]
fn a_still_screen_is_shown_at_once_however_long_it_has_been_still() {
    for workers in [1, 2] {
        let (mut net, mut broadcast, _) = running(Config::default(), workers, false, 0);
        broadcast.run(&mut net, Duration::from_millis(200));
        net.run(25 * SECOND);
        broadcast.frame += 25 * 25;
        broadcast.publish(&mut net);
        net.run(2 * SECOND);
        let connected = net.now;
        let late = net.watch("cam");
        net.connect();
        net.run(SECOND);
        let video = net.video(late);
        let shown = video.last().expect("there is a frame");
        assert_eq!(video[0].number, 0, "{workers}");
        assert!(shown.number >= 25 * 25 * PARTS && shown.at < connected + SECOND / 2, "{workers}: {shown:?}");
    }
}

#[test]
fn the_cache_expires_even_if_its_publisher_is_silent() {
    let (mut net, mut broadcast, _) = running(Config::default(), 2, false, 10);
    broadcast.run(&mut net, 2 * SECOND);
    let kept = net.metric("sluice_fast_start_bytes");
    assert!(kept > 12 * 25 * u64::from(PARTS) * 600, "{kept}");
    // 20 s after its keyframe, when no viewer can be in its replay any more.
    net.run(17 * SECOND);
    assert_eq!(net.metric("sluice_fast_start_bytes"), 0);
    let late = net.watch("cam");
    net.connect();
    net.run(SECOND);
    assert_eq!(net.video(late), []);
}

#[test]
fn over_the_total_limit_only_the_largest_cache_is_evicted() {
    let config = Config { cached_frames_total: 600 << 10, ..Config::default() };
    let (mut net, mut large, _) = running(config, 2, false, 8);
    let publisher = net.publish("small");
    net.connect();
    let mut small = Broadcast::new(&net, publisher);
    run_all(&mut net, &mut [&mut small, &mut large], 4 * SECOND);
    assert_eq!(net.metric("sluice_fast_start_evictions_total"), 1);
    let kept = net.metric("sluice_fast_start_bytes");
    assert!(kept > 0 && kept <= 600 << 10, "{kept}");
    let watch = |net: &mut Net, stream| {
        let late = net.watch(stream);
        net.connect();
        net.run(SECOND / 2);
        net.video(late).len()
    };
    assert!(watch(&mut net, "small") > 0);
    assert_eq!(watch(&mut net, "cam"), 0);
}
