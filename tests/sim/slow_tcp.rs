//! Viewers by TCP whose connection takes less than the video needs for a while: audio goes on, and late video is left
//! out.

use std::time::Duration;

use sluice::five_tuple::Protocol;

use crate::broadcast::{Broadcast, PARTS, SECOND, assert_continuous, assert_spliced};
use crate::net::Net;

/// A publisher with a keyframe each second, and two viewers, of which the first has a slow connection.
fn watched() -> (Net, Broadcast, Vec<usize>) {
    let mut net = Net::new(1);
    net.relay.protocol = Protocol::Tcp;
    let viewers = vec![net.watch("cam"), net.watch("cam")];
    let publisher = net.publish("cam");
    net.connect();
    let mut broadcast = Broadcast::new(&net, publisher);
    broadcast.keyframe_every = 25;
    broadcast.run(&mut net, 2 * SECOND);
    (net, broadcast, viewers)
}

/// The viewer's connection takes nothing for this time, then it takes packets again.
fn stall(net: &mut Net, broadcast: &mut Broadcast, viewer: usize, how_long: Duration) {
    let address = net.clients[viewer].address;
    net.wire.full.insert(address);
    broadcast.run(net, how_long);
    net.wire.full.remove(&address);
}

#[test]
fn after_a_short_stall_all_frames_arrive() {
    let (mut net, mut broadcast, viewers) = watched();
    stall(&mut net, &mut broadcast, viewers[0], Duration::from_millis(400));
    let stalled = net.now;
    broadcast.run(&mut net, SECOND);
    let video = net.video(viewers[0]);
    assert_continuous(&video, video[0].number..broadcast.frame * PARTS);
    let gap = Duration::from_millis(380);
    assert!(video.iter().all(|shown| shown.at <= stalled - gap || shown.at >= stalled), "no video in between");
}

#[test]
fn during_a_long_stall_audio_goes_on_and_old_video_is_left_out_up_to_a_keyframe() {
    let (mut net, mut broadcast, viewers) = watched();
    let audio = net.audio(viewers[0]).len();
    stall(&mut net, &mut broadcast, viewers[0], 3 * SECOND);
    assert_eq!(net.audio(viewers[0]).len() - audio, 150, "audio goes on");
    let (began, stalled) = (net.video(viewers[0]).len(), net.now);
    broadcast.run(&mut net, 2 * SECOND);
    let video = net.video(viewers[0]);
    let next = &video[began];
    assert_eq!(next.number % (PARTS * 25), 0, "a keyframe is next");
    assert!(next.at <= stalled + SECOND + Duration::from_millis(60), "the next one");
    let delay = next.at.saturating_duration_since(broadcast.video_sent_at(next.number));
    assert!(delay <= Duration::from_millis(500), "{delay:?}");
    assert_spliced(&video);
    assert_eq!(video.last().map(|shown| shown.number + 1), Some(broadcast.frame * PARTS), "and it is live");
    let other = net.video(viewers[1]);
    assert_continuous(&other, other[0].number..broadcast.frame * PARTS);
}

#[test]
fn audio_that_waited_for_a_busy_worker_is_sent_while_video_is_left_out() {
    let (mut net, mut broadcast, viewers) = watched();
    let (audio, video, sent) = (net.audio(viewers[0]).len(), net.video(viewers[0]).len(), broadcast.audio_packets());
    let until = net.now + Duration::from_millis(700);
    while net.now < until {
        broadcast.publish(&mut net);
        net.now += Duration::from_millis(1);
    }
    broadcast.run(&mut net, 2 * SECOND);
    assert_eq!(net.audio(viewers[0]).len() - audio, (broadcast.audio_packets() - sent) as usize);
    assert_eq!(net.video(viewers[0])[video].number % (PARTS * 25), 0, "a keyframe is next");
}
