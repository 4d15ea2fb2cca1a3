//! Viewers whose publisher has left, by its own decision or by a failure: whatever they request, they are not shown the
//! last seconds again.

use rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use sluice::forward::codec::Kind;
use sluice::worker::Config;

use crate::broadcast::{Broadcast, MILLISECOND, SECOND, broadcast_to, connect_beside, run_all, track};
use crate::net::Net;

/// The number of the second publisher's first packet.
const SECOND_BEGINS: u32 = 1_000_000;

/// A publisher with one keyframe, three seconds ago, and two viewers on each worker.
fn watched(workers: usize, keyframe_responsive: bool) -> (Net, Broadcast, Vec<usize>) {
    let (mut net, mut broadcast, viewers) = broadcast_to(2 * workers, workers, Config::default());
    broadcast.keyframe_responsive = keyframe_responsive;
    broadcast.run(&mut net, 3 * SECOND);
    (net, broadcast, viewers)
}

/// How a publisher leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    /// It sends its DELETE.
    Deleted,
    /// It closes DTLS.
    Closed,
    /// Its process is killed, or its network is.
    Crashed,
}

const ALL: [Leaves; 3] = [Leaves::Deleted, Leaves::Closed, Leaves::Crashed];

impl Leaves {
    fn leave(self, net: &mut Net, publisher: usize) {
        match self {
            Self::Deleted => net.delete(publisher),
            Self::Closed => net.clients[publisher].peer.close(),
            Self::Crashed => net.clients[publisher].away = true,
        }
    }
}

/// Requests that the relay could answer with packets that it has sent before.
#[derive(Clone, Copy, Debug)]
enum Asks {
    Pli,
    Fir,
    Nack,
}

impl Asks {
    fn ask(self, net: &mut Net, viewer: usize, time: u8) {
        let client = &mut net.clients[viewer];
        let media_ssrc = client.tracks[track(client, Kind::Video)].ssrc.expect("the answer names it");
        let request: Box<dyn rtcp::Packet> = match self {
            Self::Pli => return net.request_keyframe(viewer),
            Self::Fir => Box::new(FullIntraRequest {
                sender_ssrc: 1,
                media_ssrc,
                fir: vec![FirEntry { ssrc: media_ssrc, sequence_number: time }],
            }),
            // Of old packets and of packets that never came: more than repair can bring.
            Self::Nack => {
                let newest = client.received.iter().rfind(|packet| packet.ssrc == media_ssrc).expect("it watched");
                let missing = (newest.index as u16).wrapping_add(3);
                let nacks = (0..20).map(|step| NackPair::new(missing.wrapping_sub(step * 40))).collect();
                Box::new(TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks })
            }
        };
        client.peer.send_rtcp(vec![request], net.now);
    }
}

/// The number of each video packet that a viewer got, without resends, which repeat the index of the first sending.
fn shown(net: &Net, viewer: usize) -> Vec<u32> {
    let mut video = net.video(viewer);
    video.sort_by_key(|shown| shown.index);
    video.dedup_by_key(|shown| shown.index);
    video.iter().map(|shown| shown.number).collect()
}

#[test]
fn nothing_is_sent_again_after_the_publisher_left_whatever_a_viewer_requests() {
    for (leaves, asks, keyframe_responsive) in ALL.into_iter().flat_map(|leaves| {
        [Asks::Pli, Asks::Fir, Asks::Nack]
            .into_iter()
            .flat_map(move |asks| [true, false].map(|keyframe_responsive| (leaves, asks, keyframe_responsive)))
    }) {
        let (mut net, broadcast, viewers) = watched(2, keyframe_responsive);
        let all: Vec<u32> = (0..broadcast.frame * 3).collect();
        leaves.leave(&mut net, broadcast.publisher);
        // A browser asks after 3 s without a frame; others sooner, and for longer.
        net.run(SECOND + 200 * MILLISECOND);
        for time in 0..40 {
            for viewer in &viewers {
                asks.ask(&mut net, *viewer, time);
            }
            net.run(SECOND / 2);
        }
        for viewer in &viewers {
            assert!(!net.clients[*viewer].closed);
            assert_eq!(shown(&net, *viewer), all, "{leaves:?}, {asks:?}, keyframe responsive: {keyframe_responsive}");
        }
        assert_eq!(
            net.metric("sluice_replays_total"),
            0,
            "{leaves:?}, {asks:?}, keyframe responsive: {keyframe_responsive}"
        );
    }
}

#[test]
fn a_request_made_just_before_the_publisher_leaves_is_not_answered() {
    for leaves in [Leaves::Deleted, Leaves::Closed] {
        for asks in [Asks::Pli, Asks::Nack] {
            let (mut net, mut broadcast, viewers) = watched(1, true);
            // It answers a request once, so that the relay waits for its next answer, which does not come.
            net.request_keyframe(viewers[0]);
            broadcast.run(&mut net, 3 * SECOND);
            broadcast.keyframe_responsive = false;
            let replays = net.metric("sluice_replays_total");
            asks.ask(&mut net, viewers[0], 0);
            broadcast.run(&mut net, 100 * MILLISECOND);
            leaves.leave(&mut net, broadcast.publisher);
            net.run(20 * MILLISECOND);
            let sent = shown(&net, viewers[0]).len();
            net.run(5 * SECOND);
            assert_eq!(shown(&net, viewers[0]).len(), sent, "{leaves:?}, {asks:?}");
            assert_eq!(net.metric("sluice_replays_total"), replays, "{leaves:?}, {asks:?}");
        }
    }
}

#[test]
fn a_replay_stops_when_its_publisher_leaves() {
    let (mut net, mut broadcast, _) = watched(1, false);
    broadcast.run(&mut net, 7 * SECOND);
    let late = broadcast.add_viewer(&mut net);
    broadcast.run(&mut net, 200 * MILLISECOND);
    Leaves::Deleted.leave(&mut net, broadcast.publisher);
    net.run(20 * MILLISECOND);
    let sent = shown(&net, late).len();
    assert!(sent > 0 && sent < 10 * 75, "it is on its way: {sent}");
    net.run(5 * SECOND);
    assert_eq!(shown(&net, late).len(), sent);
}

#[test]
fn viewers_that_return_or_join_without_a_publisher_get_nothing_until_there_is_one() {
    for leaves in ALL {
        let (mut net, broadcast, viewers) = watched(2, false);
        let paused = viewers[0];
        net.clients[paused].away = true;
        leaves.leave(&mut net, broadcast.publisher);
        net.run(12 * SECOND);
        let late = [net.watch("cam"), net.watch("cam")];
        net.clients[paused].away = false;
        net.run(5 * SECOND);
        assert_eq!(net.metric("sluice_viewer_pauses_total"), 1, "{leaves:?}");
        for viewer in late {
            assert!(net.clients[viewer].is_connected());
            net.request_keyframe(viewer);
        }
        net.run(3 * SECOND);
        for viewer in late {
            assert_eq!(net.clients[viewer].received, [], "{leaves:?}");
        }
        assert_eq!(shown(&net, paused).len() as u32, broadcast.frame * 3, "{leaves:?}");
        assert_eq!(net.metric("sluice_replays_total"), 0, "{leaves:?}");
        assert_eq!(net.metric("sluice_drops_total{reason=\"codec\"}"), 0, "{leaves:?}");

        let mut second = Broadcast::join(&mut net, SECOND_BEGINS);
        second.run(&mut net, SECOND);
        for viewer in viewers.iter().chain(&late) {
            let new: Vec<u32> = shown(&net, *viewer).into_iter().filter(|number| *number >= SECOND_BEGINS).collect();
            let all: Vec<u32> = (SECOND_BEGINS..SECOND_BEGINS + second.frame * 3).collect();
            assert_eq!(new, all, "{leaves:?}");
        }
    }
}

#[test]
fn a_publisher_that_returns_finds_its_viewers_and_those_that_joined_meanwhile() {
    for workers in [1, 2] {
        let (mut net, mut broadcast, viewers) = watched(workers, true);
        net.clients[broadcast.publisher].away = true;
        broadcast.run(&mut net, 10 * SECOND);
        let late = broadcast.add_viewer(&mut net);
        broadcast.run(&mut net, SECOND);
        assert_eq!(net.clients[late].received, []);
        net.clients[broadcast.publisher].away = false;
        broadcast.run(&mut net, 3 * SECOND);
        for viewer in viewers.iter().chain([&late]) {
            assert!(!net.clients[*viewer].closed);
            // The relay sends NACKs for the lost packets, and holds later ones back a little.
            let behind = broadcast.frame * 3 - 1 - shown(&net, *viewer).last().expect("it watches");
            assert!(behind <= 30, "it is live, but for {behind} packets");
            assert!(shown(&net, *viewer).is_sorted());
        }
    }
}

#[test]
fn a_still_screen_is_replayed_to_new_viewers_only() {
    let (mut net, broadcast, viewers) = watched(2, false);
    for time in 0..20 {
        net.run(SECOND / 2);
        if time % 6 == 5 {
            viewers.iter().for_each(|viewer| net.request_keyframe(*viewer));
        }
    }
    let asked = net.keyframe_requests(broadcast.publisher);
    assert!(asked >= 3, "its publisher is asked instead: {asked}");
    let all: Vec<u32> = (0..broadcast.frame * 3).collect();
    assert!(viewers.iter().all(|viewer| shown(&net, *viewer) == all));
    let late = net.watch("cam");
    net.connect();
    net.run(3 * SECOND);
    assert_eq!(shown(&net, late), all);
}

#[test]
fn with_a_standby_viewers_do_not_see_the_last_seconds_of_the_first_publisher_again() {
    for leaves in ALL {
        let (mut net, mut first, viewers) = watched(2, false);
        let standby = net.stand_by("cam");
        connect_beside(&mut net, standby, &mut [&mut first]);
        let mut second = Broadcast::new(&net, standby);
        second.offset = SECOND_BEGINS;
        run_all(&mut net, &mut [&mut first, &mut second], 2 * SECOND);
        leaves.leave(&mut net, first.publisher);
        // A silence is none before it has lasted for a second, which is when the standby takes over.
        second.run(&mut net, if leaves == Leaves::Crashed { SECOND } else { 2 * MILLISECOND });
        for _ in 0..3_000 {
            viewers.iter().for_each(|viewer| net.request_keyframe(*viewer));
            second.run(&mut net, MILLISECOND);
        }
        for viewer in &viewers {
            let old: Vec<u32> = shown(&net, *viewer).into_iter().filter(|number| *number < SECOND_BEGINS).collect();
            // A frame may be on its way in the moment of the crash.
            assert!(old.len() as u32 >= first.frame * 3 - 3, "{leaves:?}");
            assert!(old.is_sorted_by(|one, next| one < next), "{leaves:?}");
            assert!(shown(&net, *viewer).contains(&SECOND_BEGINS), "{leaves:?}");
        }
    }
}
