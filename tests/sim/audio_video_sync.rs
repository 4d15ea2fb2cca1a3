//! Audio and video in step: the sender reports that the relay gives viewers, in virtual time with real peers.

use std::time::{Duration, Instant};

use rtcp::sender_report::SenderReport;
use sluice::forward::codec::Kind;
use sluice::worker::Config;

use crate::broadcast::{Broadcast, SECOND, broadcast_to, connect_beside, track};
use crate::net::Net;

/// Of the publishers' wall clocks when they begin, in seconds: they know nothing of each other.
const FIRST_CLOCK: u64 = 3_900_000_000;
const SECOND_CLOCK: u64 = 1_000;
const SECOND_BEGINS: u32 = 1_000_000;

/// Publishes for a while, with reports each half second.
fn run(net: &mut Net, broadcast: &mut Broadcast, clock: u64, how_long: Duration) {
    let until = net.now + how_long;
    while net.now < until {
        let left = (until - net.now).min(SECOND / 2);
        broadcast.run(net, left);
        broadcast.report(net, clock);
    }
}

fn published(seconds: u32) -> (Net, Broadcast) {
    let (mut net, mut broadcast, _) = broadcast_to(0, 1, Config::default());
    broadcast.keyframe_every = 250;
    broadcast.run(&mut net, SECOND / 4);
    broadcast.report(&mut net, FIRST_CLOCK);
    run(&mut net, &mut broadcast, FIRST_CLOCK, SECOND * seconds);
    (net, broadcast)
}

/// The reports that a viewer got about its audio or its video.
fn reports(net: &Net, viewer: usize, kind: Kind) -> Vec<SenderReport> {
    let packets = net.clients[viewer].rtcp.iter().flatten();
    let reports = packets.filter_map(|packet| packet.as_any().downcast_ref::<SenderReport>().cloned());
    reports.filter(|report| report.ssrc == net.ssrc(viewer, kind)).collect()
}

/// Fails unless the newest report about each track gives the newest packets the moment at which they were published, by
/// the publisher's clock, within a millisecond.
fn assert_in_step(net: &Net, viewer: usize, broadcast: &Broadcast, clock: u64) {
    for kind in [Kind::Video, Kind::Audio] {
        let report = reports(net, viewer, kind).pop().expect("it is offset");
        let rate = if kind == Kind::Video { 90_000.0 } else { 48_000.0 };
        let line = net.packets(viewer, kind);
        for shown in &line[line.len() - 20..] {
            let ahead = f64::from(shown.timestamp.wrapping_sub(report.rtp_time) as i32) / rate;
            let offset = (report.ntp_time.wrapping_sub(clock << 32)) as f64 / f64::powi(2.0, 32) + ahead;
            let truth = (broadcast.sent_at(kind, shown.number) - broadcast.started()).as_secs_f64();
            assert!((offset - truth).abs() < 0.001, "{kind:?}: offset {offset}, was {truth}");
        }
    }
}

/// How many reports came about each kind.
fn counted(net: &Net, viewer: usize) -> [usize; 2] {
    [Kind::Audio, Kind::Video].map(|kind| reports(net, viewer, kind).len())
}

fn is_live(net: &Net, viewer: usize, broadcast: &Broadcast) -> bool {
    let newest = broadcast.offset + broadcast.frame * broadcast.parts - 1;
    net.video(viewer).last().is_some_and(|shown| shown.number == newest)
}

#[test]
fn a_replayed_viewer_gets_reports_when_it_is_live_and_not_before() {
    let (mut net, mut broadcast) = published(7);
    let viewer = broadcast.add_viewer(&mut net);
    let mut live: Option<Instant> = None;
    for _ in 0..2_000 {
        run(&mut net, &mut broadcast, FIRST_CLOCK, Duration::from_millis(1));
        if counted(&net, viewer) != [0, 0] {
            break;
        }
        live = live.or(is_live(&net, viewer, &broadcast).then_some(net.now));
    }
    let live = live.expect("it is live before it is offset");
    assert!(net.now - live <= Duration::from_millis(100), "offset {:?} later", net.now - live);
    run(&mut net, &mut broadcast, FIRST_CLOCK, 3 * SECOND);
    assert_in_step(&net, viewer, &broadcast, FIRST_CLOCK);
}

#[test]
fn a_viewer_that_returns_is_in_step_again() {
    let (mut net, mut broadcast) = published(1);
    let viewer = broadcast.add_viewer(&mut net);
    run(&mut net, &mut broadcast, FIRST_CLOCK, 3 * SECOND);
    net.clients[viewer].away = true;
    run(&mut net, &mut broadcast, FIRST_CLOCK, 9 * SECOND);
    net.clients[viewer].away = false;
    let before = counted(&net, viewer);
    run(&mut net, &mut broadcast, FIRST_CLOCK, 4 * SECOND);
    let after = counted(&net, viewer);
    assert!(after[0] > before[0] && after[1] > before[1]);
    assert_in_step(&net, viewer, &broadcast, FIRST_CLOCK);
}

#[test]
fn after_a_takeover_audio_and_video_change_to_the_new_clock_together() {
    let (mut net, mut broadcast) = published(1);
    let viewer = broadcast.add_viewer(&mut net);
    run(&mut net, &mut broadcast, FIRST_CLOCK, 3 * SECOND);
    assert_in_step(&net, viewer, &broadcast, FIRST_CLOCK);
    let publisher = net.publish("cam");
    connect_beside(&mut net, publisher, &mut [&mut broadcast]);
    // Its keyframe comes a second and a half after its audio.
    let before = counted(&net, viewer);
    let mut second = Broadcast::new(&net, publisher);
    (second.offset, second.keyframe_every, second.frame) = (SECOND_BEGINS, 38, 1);
    for _ in 0..6 {
        run(&mut net, &mut second, SECOND_CLOCK, SECOND / 4);
        let now = counted(&net, viewer);
        assert_eq!(now[0] - before[0], now[1] - before[1], "audio and video have one clock");
    }
    run(&mut net, &mut second, SECOND_CLOCK, 5 * SECOND);
    let now = counted(&net, viewer);
    assert!(now[0] > before[0] && now[0] - before[0] == now[1] - before[1]);
    assert_in_step(&net, viewer, &second, SECOND_CLOCK);
}

#[test]
fn a_standby_that_takes_over_brings_its_own_clock() {
    let (mut net, mut broadcast) = published(1);
    let viewer = broadcast.add_viewer(&mut net);
    let standby = net.stand_by("cam");
    net.connect();
    let mut second = Broadcast::new(&net, standby);
    (second.offset, second.keyframe_every) = (SECOND_BEGINS, 250);
    for _ in 0..60 {
        run(&mut net, &mut second, SECOND_CLOCK, Duration::from_millis(50));
        broadcast.publish(&mut net);
    }
    run(&mut net, &mut second, SECOND_CLOCK, 6 * SECOND);
    assert!(is_live(&net, viewer, &second));
    assert_in_step(&net, viewer, &second, SECOND_CLOCK);
}

#[test]
fn the_first_report_of_a_publisher_is_passed_on_at_once_and_waiting_for_it_is_free() {
    let (mut net, mut broadcast, _) = broadcast_to(0, 1, Config::default());
    broadcast.keyframe_every = 250;
    broadcast.run(&mut net, SECOND / 4);
    let viewers: Vec<usize> = (0..8).map(|_| broadcast.add_viewer(&mut net)).collect();
    broadcast.run(&mut net, SECOND * 2);
    // Without media the timers are the relay's own: sampling its sessions, and feedback to the publisher.
    let mut due = 0;
    for _ in 0..4_000 {
        due += u32::from(net.relay.poll_timeout().is_some_and(|due| due <= net.now));
        net.run(Duration::from_millis(1));
    }
    assert!(due < 60, "{due} times in 4 s");
    broadcast.run(&mut net, SECOND / 4);
    broadcast.report(&mut net, FIRST_CLOCK);
    broadcast.run(&mut net, SECOND / 2);
    for viewer in viewers {
        assert_eq!(counted(&net, viewer), [1, 1], "viewer {viewer}");
    }
}

/// How a publisher's clock is, by track: the NTP time that its reports give after a number of seconds, in 1/2^32 s;
/// `None` for no report.
type Clock = fn(Kind, f64) -> Option<u64>;

/// Publishes for a while, with reports of audio and of video in turn, each every two seconds.
fn run_by(net: &mut Net, broadcast: &mut Broadcast, clock: Clock, how_long: Duration) {
    run_lagging(net, broadcast, (clock, |_| 0.0), how_long);
}

/// By how many seconds what a track's reports say lies in the past.
type Lag = fn(Kind) -> f64;

/// The same with reports that lag.
fn run_lagging(net: &mut Net, broadcast: &mut Broadcast, (clock, lag): (Clock, Lag), how_long: Duration) {
    let until = net.now + how_long;
    while net.now < until {
        for kind in [Kind::Video, Kind::Audio] {
            let elapsed = net.now.saturating_duration_since(broadcast.started()).as_secs_f64() - lag(kind);
            if let Some(ntp_time) = clock(kind, elapsed) {
                let rate = if kind == Kind::Video { 90_000.0 } else { 48_000.0 };
                let client = &mut net.clients[broadcast.publisher];
                let ssrc = client.tracks[track(client, kind)].ssrc.expect("a publisher has SSRCs");
                let rtp_time = ((elapsed * rate) as i64 as u32).wrapping_add(broadcast.timestamp_offset);
                let report = SenderReport { ssrc, ntp_time, rtp_time, ..SenderReport::default() };
                client.peer.send_rtcp(vec![Box::new(report)], net.now);
            }
            broadcast.run(net, SECOND);
        }
    }
}

/// By how many seconds the newest reports put audio behind video.
fn parted(net: &Net, viewer: usize, broadcast: &Broadcast) -> f64 {
    let [video, audio] = [Kind::Video, Kind::Audio].map(|kind| {
        let report = reports(net, viewer, kind).pop().unwrap_or_else(|| panic!("nothing is offset of {kind:?}"));
        let rate = if kind == Kind::Video { 90_000.0 } else { 48_000.0 };
        let shown = *net.packets(viewer, kind).last().expect("it plays");
        let ahead = f64::from(shown.timestamp.wrapping_sub(report.rtp_time) as i32) / rate;
        let sent = broadcast.sent_at(kind, shown.number);
        // In whole seconds and parts of one: 64 bits of NTP are more than a float holds.
        let ntp = (report.ntp_time >> 32, (report.ntp_time & 0xffff_ffff) as f64 / f64::powi(2.0, 32));
        (ntp.0 as f64, ntp.1 + ahead - (sent - broadcast.started()).as_secs_f64())
    });
    (audio.0 - video.0) + (audio.1 - video.1)
}

/// Fails unless a viewer's reports hold audio and video together at all times, under a clock like this.
fn assert_together(clock: Clock) {
    let (mut net, mut broadcast, _) = broadcast_to(0, 1, Config::default());
    broadcast.keyframe_every = 25;
    broadcast.run(&mut net, SECOND / 4);
    let viewer = broadcast.add_viewer(&mut net);
    // Reports about one track do not help the other, and the relay waits half a minute for a publisher that sends none.
    let reports = [Kind::Video, Kind::Audio].iter().any(|kind| clock(*kind, 0.0).is_some());
    run_by(&mut net, &mut broadcast, clock, if reports { 16 * SECOND } else { 36 * SECOND });
    for _ in 0..10 {
        run_by(&mut net, &mut broadcast, clock, 2 * SECOND);
        let parted = parted(&net, viewer, &broadcast);
        assert!(parted.abs() < 0.02, "{parted} s");
    }
    let late = broadcast.add_viewer(&mut net);
    run_by(&mut net, &mut broadcast, clock, 4 * SECOND);
    let parted = self::parted(&net, late, &broadcast);
    assert!(parted.abs() < 0.02, "a late viewer: {parted} s");
}

/// The NTP timestamp of a clock that began right.
fn ntp(elapsed: f64) -> u64 {
    (FIRST_CLOCK << 32) + (elapsed * f64::powi(2.0, 32)) as u64
}

const HOUR: u64 = 3_600 << 32;

#[test]
fn a_publisher_without_a_wall_clock_is_timed_by_arrival() {
    assert_together(|_, _| Some(0));
}

#[test]
fn one_track_without_a_wall_clock_times_both_by_arrival() {
    assert_together(|kind, elapsed| Some(if kind == Kind::Video { ntp(elapsed) } else { 0 }));
    assert_together(|kind, elapsed| Some(if kind == Kind::Audio { ntp(elapsed) } else { 0 }));
}

#[test]
fn a_track_without_reports_times_both_by_arrival() {
    assert_together(|kind, elapsed| (kind == Kind::Video).then(|| ntp(elapsed)));
    assert_together(|kind, elapsed| (kind == Kind::Audio).then(|| ntp(elapsed)));
    assert_together(|_, _| None);
}

#[test]
fn a_clock_step_between_two_reports_keeps_audio_and_video_together() {
    let steps: [Clock; 4] = [
        |_, elapsed| Some(if elapsed > 20.0 { ntp(elapsed) + HOUR } else { ntp(elapsed) }),
        |_, elapsed| Some(if elapsed > 21.0 { ntp(elapsed) + HOUR } else { ntp(elapsed) }),
        |_, elapsed| Some(if elapsed > 20.0 { ntp(elapsed) - HOUR } else { ntp(elapsed) }),
        |_, elapsed| Some(if elapsed as u32 % 6 < 3 { ntp(elapsed) + HOUR } else { ntp(elapsed) }),
    ];
    for clock in steps {
        assert_together(clock);
    }
}

#[test]
fn delayed_reports_keep_audio_and_video_together() {
    let lags: [Lag; 3] = [
        |_| 3.0,
        |kind| if kind == Kind::Video { 4.0 } else { 0.1 },
        |kind| {
            if kind == Kind::Audio { 4.0 } else { 0.1 }
        },
    ];
    for lag in lags {
        let (mut net, mut broadcast) = published(1);
        let viewer = broadcast.add_viewer(&mut net);
        for _ in 0..10 {
            run_lagging(&mut net, &mut broadcast, (|_, elapsed| Some(ntp(elapsed)), lag), 4 * SECOND);
            let parted = parted(&net, viewer, &broadcast);
            assert!(parted.abs() < 0.02, "{parted} s");
        }
    }
}

#[test]
fn rtp_timestamps_that_jump_and_wrap_keep_audio_and_video_together() {
    let clocks: [Clock; 2] = [|_, elapsed| Some(ntp(elapsed)), |_, _| Some(0)];
    for clock in clocks {
        let (mut net, mut broadcast) = published(1);
        let viewer = broadcast.add_viewer(&mut net);
        for stamp in [u32::MAX - 4 * 90_000, 1 << 31, 123_456_789, 0] {
            broadcast.timestamp_offset = stamp;
            run_by(&mut net, &mut broadcast, clock, 12 * SECOND);
            let parted = parted(&net, viewer, &broadcast);
            assert!(parted.abs() < 0.02, "{stamp}: {parted} s");
        }
    }
}

#[test]
fn a_wall_clock_that_comes_and_goes_keeps_audio_and_video_together() {
    assert_together(|_, elapsed| Some(if elapsed > 21.0 { ntp(elapsed) } else { 0 }));
    assert_together(|_, elapsed| Some(if elapsed < 21.0 { ntp(elapsed) } else { 0 }));
}
