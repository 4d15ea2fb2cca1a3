//! A publisher that sends several encodings of its video: each is learnt, repaired and asked for keyframes by itself,
//! and viewers see the best that is sent, as one continuous stream.

pub(crate) mod sender;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rtcp::receiver_report::ReceiverReport;
use rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use sluice::forward::CacheLimits;
use sluice::forward::codec::Codec;
use sluice::metrics::LayerPlace;
use sluice::reason::SwitchReason;
use sluice::session::Selection;
use sluice::worker::Config;

use crate::broadcast::{Broadcast, MILLISECOND, SECOND, Shown, assert_spliced, numbers, run_all};
use crate::net::{Net, vp8};
use sender::{FRAME, LAYER, Offer, QHF, Sender, lines, newest_layer, vp8_of_size};

/// The encodings of what a viewer was shown, in order, each once a run.
fn layers(line: &[Shown]) -> Vec<u32> {
    let mut layers: Vec<u32> = line.iter().map(|shown| shown.number / LAYER).collect();
    layers.dedup();
    layers
}

/// A publisher of these encodings and one viewer.
fn begun(encodings: &[(&str, u16, u16)], list: &str) -> (Net, Sender, usize) {
    let mut net = Net::new(1);
    let sender = Sender::join(&mut net, encodings, list);
    let viewer = net.watch("cam");
    net.connect();
    (net, sender, viewer)
}

#[test]
fn a_viewer_gets_the_largest_of_a_browsers_encodings() {
    for order in [["q", "h", "f"], ["f", "h", "q"], ["h", "f", "q"]] {
        let size = |rid: &str| *QHF.iter().find(|(name, ..)| *name == rid).unwrap();
        let encodings = order.map(size);
        let (mut net, mut sender, viewer) = begun(&encodings, &order.join(";"));
        sender.begin(&mut net, &[0, 1, 2], 50);
        let late = net.watch("cam");
        net.connect();
        sender.begin(&mut net, &[0, 1, 2], 50);
        let largest = order.iter().position(|rid| *rid == "f").unwrap() as u32;
        for viewer in [viewer, late] {
            let line = net.video(viewer);
            assert_spliced(&line);
            assert_eq!(line.last().unwrap().number, largest * LAYER + 99, "{order:?}");
        }
        assert_eq!(layers(&net.video(late)), [largest], "{order:?}");
        assert_eq!(net.drops("unknown_layer"), 0);
        let reports = sender.reports(&net);
        let told: Vec<_> = reports.iter().map(|track| (track.rid.as_deref(), track.size, track.is_active)).collect();
        assert_eq!(told, encodings.map(|(rid, width, height)| (Some(rid), Some((width, height)), true)));
    }
}

#[test]
fn the_four_encodings_of_obs_are_learnt_although_the_first_fifty_packets_are_lost() {
    const FOUR: &[(&str, u16, u16)] = &[("0", 1920, 1080), ("1", 1440, 810), ("2", 960, 540), ("3", 480, 270)];
    for stops_naming in [false, true] {
        let (mut net, mut sender, viewer) = begun(FOUR, "0;1;2;3");
        sender.stops_naming = stops_naming;
        for number in 0..52 {
            let datagram = sender.frame(&mut net, number % 4, number < 4);
            if number >= 50 {
                net.deliver(sender.publisher, datagram);
            }
        }
        sender.begin(&mut net, &[0, 1, 2, 3], 100);
        assert_eq!(net.drops("unknown_layer"), 0);
        let line = net.video(viewer);
        assert_eq!(line.last().unwrap().number, 112);
        assert_spliced(&line);
        assert_eq!(sender.reports(&net).len(), 4);
    }
}

#[test]
fn an_encoding_that_is_paused_at_first_is_shown_once_it_is_sent() {
    let (mut net, mut sender, viewer) = begun(QHF, "q;h;~f");
    sender.begin(&mut net, &[0, 1], 50);
    assert_eq!(newest_layer(&net, viewer), 1);
    let reports = sender.reports(&net);
    assert!(reports.iter().all(|track| track.rid.as_deref() != Some("f") || !track.is_active), "{reports:?}");
    for frame in 0..50 {
        sender.show(&mut net, &[0, 1], false);
        let datagram = sender.frame(&mut net, 2, frame == 0);
        net.deliver(sender.publisher, datagram);
    }
    let line = net.video(viewer);
    assert_spliced(&line);
    assert_eq!(line.last().unwrap().number, 2 * LAYER + 48, "the last one is on its way");
}

#[test]
fn lost_packets_of_each_encoding_are_asked_for_and_repaired_by_retransmissions_that_name_it() {
    let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
    sender.begin(&mut net, &[0, 1, 2], 20);
    let mut lost = Vec::new();
    for place in 0..3 {
        lost.push(sender.frame(&mut net, place, false));
    }
    sender.frames += 1;
    for _ in 0..2 {
        sender.show(&mut net, &[0, 1, 2], false);
    }
    let nacks = net.clients[sender.publisher].rtcp.iter().flatten();
    let nacks = nacks.filter_map(|packet| packet.as_any().downcast_ref::<TransportLayerNack>());
    let asked: BTreeSet<(u32, u16)> = nacks
        .flat_map(|nack| nack.nacks.iter().flat_map(|pair| pair.packet_list()).map(|number| (nack.media_ssrc, number)))
        .filter(|(_, number)| *number >= 1000)
        .collect();
    assert_eq!(asked, [(0x1000, 1020), (0x1001, 1020), (0x1002, 1020)].into());
    for place in 0..3 {
        let encoding = &sender.encodings[place];
        let (rid, rtx, timestamp) = (encoding.rid.clone(), encoding.rtx, 20 * 3_600 + encoding.start);
        let mut payload = 1020u16.to_be_bytes().to_vec();
        payload.extend(vp8(false, place as u32 * LAYER + 20));
        let datagram = sender.seal(&mut net, (rtx, true), Some(&rid), timestamp, &payload);
        net.deliver(sender.publisher, datagram);
    }
    sender.begin(&mut net, &[0, 1, 2], 30);
    let repaired: Vec<u64> = sender.reports(&net).iter().map(|track| track.repaired_packets).collect();
    assert_eq!(repaired, [1, 1, 1]);
    let shown = numbers(&net.video(viewer));
    assert!(shown.contains(&(2 * LAYER + 20)), "{shown:?}");
    assert_eq!(net.drops("unknown_layer") + net.drops("other_source"), 0);
}

#[test]
fn losses_of_one_encoding_let_packets_of_all_wait_for_the_same_repair_delay() {
    let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
    net.select_rid(viewer, "q");
    sender.begin(&mut net, &[0, 1, 2], 20);
    let mut times = BTreeMap::new();
    for frame in 20..120 {
        times.insert(frame, net.now);
        for place in 0..3 {
            let datagram = sender.frame(&mut net, place, false);
            // A packet of the largest in ten is lost, and comes 80 ms later as a retransmission.
            if place < 2 || frame % 10 != 0 {
                net.deliver(sender.publisher, datagram);
            }
        }
        if frame % 10 == 2 && frame > 20 {
            let (rid, rtx) = (sender.encodings[2].rid.clone(), sender.encodings[2].rtx);
            let number = frame - 2;
            let timestamp = sender.timestamp(2).wrapping_sub(2 * 3_600);
            let mut payload = (1000 + number as u16).to_be_bytes().to_vec();
            payload.extend(vp8(false, 2 * LAYER + number));
            let datagram = sender.seal(&mut net, (rtx, true), Some(&rid), timestamp, &payload);
            net.deliver(sender.publisher, datagram);
        }
        sender.frames += 1;
        net.run(FRAME);
    }
    net.run(SECOND);
    let holds: Vec<Duration> = sender.reports(&net).iter().map(|track| track.hold).collect();
    assert!(holds[0] >= 40 * MILLISECOND && holds.iter().all(|hold| *hold == holds[0]), "{holds:?}");
    let delays: Vec<Duration> = net
        .video(viewer)
        .iter()
        .filter(|shown| (60..120).contains(&shown.number))
        .map(|shown| shown.at - times[&shown.number])
        .collect();
    let waited = delays.iter().filter(|delay| **delay >= 30 * MILLISECOND).count();
    assert!(delays.len() == 60 && waited >= 55, "those of the smallest wait too: {delays:?}");
}

#[test]
fn a_packet_that_names_no_encoding_is_dropped_and_a_probe_is_neither() {
    let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
    sender.begin(&mut net, &[0, 1, 2], 5);
    for (source, payload) in [((7, false), vp8(true, 9)), ((8, true), vec![0; 40])] {
        let datagram = sender.seal(&mut net, source, None, 1, &payload);
        net.deliver(sender.publisher, datagram);
    }
    for (source, payload) in [((0, false), vec![0; 200]), ((0, true), vec![0; 200]), ((9, true), vec![])] {
        let datagram = sender.seal(&mut net, source, None, 1, &payload);
        net.deliver(sender.publisher, datagram);
    }
    sender.begin(&mut net, &[0, 1, 2], 50);
    assert_eq!(net.drops("unknown_layer"), 2);
    assert_eq!(net.metric_sum("sluice_drops_total{"), 2);
    assert!(net.video(viewer).iter().all(|shown| shown.number != 9));
    let packets: Vec<_> = net.clients[sender.publisher].rtcp.iter().flatten().collect();
    let reports = packets.iter().filter_map(|packet| packet.as_any().downcast_ref::<ReceiverReport>());
    let reported: BTreeSet<u32> = reports.flat_map(|report| &report.reports).map(|block| block.ssrc).collect();
    assert_eq!(reported, [0x1000, 0x1001, 0x1002].into());
    let feedback = packets.iter().filter_map(|packet| packet.as_any().downcast_ref::<TransportLayerCc>());
    let arrived: u32 = feedback.map(|feedback| feedback.recv_deltas.len() as u32).sum();
    assert_eq!(arrived, u32::from(sender.transport_sequence), "all that has arrived, on one line");
}

#[test]
fn viewers_leave_an_encoding_that_falls_silent_within_a_second_and_return_to_it() {
    let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
    sender.begin(&mut net, &[0, 1, 2], 50);
    let silent = net.now;
    let mut left = None;
    for _ in 0..50 {
        sender.show(&mut net, &[0, 1], false);
        let newest = *net.video(viewer).last().unwrap();
        if newest.number / LAYER == 1 {
            left.get_or_insert(newest.at);
        }
    }
    let left = left.unwrap().saturating_duration_since(silent);
    assert!(left <= SECOND, "{left:?}");
    let active =
        |net: &Net, sender: &Sender| sender.reports(net).iter().map(|track| track.is_active).collect::<Vec<_>>();
    assert_eq!(active(&net, &sender), [true, true, false]);
    assert_eq!(net.metric("sluice_stream_layers{stream=\"cam\"}"), 2);
    assert_eq!(net.metric("sluice_stream_paused_layers{stream=\"cam\"}"), 1);
    assert_eq!(net.metric("sluice_layer_switches_total{reason=\"inactive\"}"), 1);
    let asked = sender.asked(&net).len();
    sender.show(&mut net, &[0, 1, 2], false);
    sender.show(&mut net, &[0, 1, 2], false);
    let requests = sender.asked(&net)[asked..].to_vec();
    assert!(requests.contains(&0x1002), "a keyframe of the one to return to: {requests:?}");
    sender.begin(&mut net, &[2], 1);
    sender.begin(&mut net, &[0, 1, 2], 1);
    for _ in 0..50 {
        sender.show(&mut net, &[0, 1, 2], false);
    }
    let line = net.video(viewer);
    assert_eq!(line.last().unwrap().number / LAYER, 2);
    assert_spliced(&line);
    assert_eq!(active(&net, &sender), [true; 3]);
}

/// A frame of these encodings, and `apart` times 40 ms until the next one.
fn show_slowly(net: &mut Net, sender: &mut Sender, places: &[usize], apart: u32) {
    sender.show(net, places, false);
    sender.frames += apart - 1;
    net.run(FRAME * (apart - 1));
}

/// After which time the viewer leaves the largest encoding, which falls silent now.
fn leaving_time(net: &mut Net, sender: &mut Sender, viewer: usize, apart: u32) -> Duration {
    // The last frame came one interval ago.
    let silent = net.now - FRAME * apart;
    while newest_layer(net, viewer) == 2 && net.now < silent + 3 * SECOND {
        show_slowly(net, sender, &[0, 1], apart);
    }
    net.video(viewer).iter().rfind(|shown| shown.number / LAYER == 1).map_or(Duration::MAX, |shown| shown.at - silent)
}

#[test]
fn viewers_leave_a_silent_encoding_within_a_second_at_three_frames_a_second_too() {
    // 3 to 12 frames a second, at different times of the comparisons of encodings.
    for apart in [2, 3, 5, 8] {
        for phase in 0..5 {
            let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
            sender.begin(&mut net, &[0, 1, 2], 25 + phase);
            for _ in 0..10 {
                show_slowly(&mut net, &mut sender, &[0, 1, 2], apart);
            }
            assert_eq!(newest_layer(&net, viewer), 2, "{apart} x 40 ms, {phase}");
            let left = leaving_time(&mut net, &mut sender, viewer, apart);
            assert!(left <= SECOND, "{apart} x 40 ms, {phase}: {left:?}");
        }
    }
}

#[test]
fn a_stall_before_an_encoding_falls_silent_does_not_hide_it() {
    for phase in 0..5 {
        let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
        sender.begin(&mut net, &[0, 1, 2], 50 + phase);
        show_slowly(&mut net, &mut sender, &[0, 1, 2], 15);
        sender.show(&mut net, &[0, 1, 2], false);
        let left = leaving_time(&mut net, &mut sender, viewer, 1);
        assert!(left <= SECOND, "{phase}: {left:?}");
    }
}

#[test]
fn a_slow_encoding_is_not_taken_for_a_silent_one() {
    // How many frames of the others the largest encoding leaves out before each of its own, in turn.
    for skipped in [&[12][..], &[24], &[4, 21], &[3, 14, 21]] {
        let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
        let show = |net: &mut Net, sender: &mut Sender, rounds: usize| {
            for skipped in skipped.iter().cycle().take(rounds * skipped.len()) {
                (0..*skipped).for_each(|_| sender.show(net, &[0, 1], false));
                sender.show(net, &[0, 1, 2], false);
            }
        };
        sender.begin(&mut net, &[0, 1, 2], 2);
        show(&mut net, &mut sender, 4);
        sender.show(&mut net, &[0, 1, 2], true);
        let inactive = "sluice_layer_switches_total{reason=\"inactive\"}";
        let before = net.metric(inactive);
        show(&mut net, &mut sender, 8);
        assert_eq!((newest_layer(&net, viewer), net.metric(inactive)), (2, before), "{skipped:?}");
    }
}

#[test]
fn a_lost_frame_at_a_low_rate_is_no_silence() {
    for apart in [3, 5, 8, 12, 25] {
        for phase in 0..5 {
            let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
            sender.begin(&mut net, &[0, 1, 2], 25 + phase);
            for _ in 0..4 {
                (0..4).for_each(|_| show_slowly(&mut net, &mut sender, &[0, 1, 2], apart));
                sender.frame(&mut net, 2, false);
                show_slowly(&mut net, &mut sender, &[0, 1], apart);
            }
            show_slowly(&mut net, &mut sender, &[0, 1, 2], apart);
            let switches = net.metric("sluice_layer_switches_total{reason=\"inactive\"}");
            assert_eq!((newest_layer(&net, viewer), switches), (2, 0), "{apart} x 40 ms, {phase}");
        }
    }
}

#[test]
fn a_viewer_is_sent_the_encoding_that_it_selects_a_larger_one_from_its_next_keyframe_on() {
    let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
    let automatic = net.watch("cam");
    net.connect();
    sender.begin(&mut net, &[0, 1, 2], 50);
    for (selection, place) in [
        (Selection { rid: Some("q".into()), ..Selection::default() }, 0),
        (Selection { max_width: Some(400), ..Selection::default() }, 1),
        (Selection { spatial: Some(0), ..Selection::default() }, 0),
        (Selection::default(), 2),
    ] {
        let (before, asked) = (newest_layer(&net, viewer), sender.asked(&net).len());
        net.select(viewer, selection);
        for _ in 0..30 {
            sender.show(&mut net, &[0, 1, 2], false);
        }
        let shown = newest_layer(&net, viewer);
        if place < before {
            assert_eq!(shown, place, "by the frames since its keyframe, as the publisher answers no request");
        } else {
            assert_eq!(shown, before, "it is shown until then");
            assert!(sender.asked(&net)[asked..].contains(&(0x1000 + place)), "a keyframe is asked for");
        }
        sender.begin(&mut net, &[0, 1, 2], 30);
        assert_eq!(newest_layer(&net, viewer), place);
    }
    assert_spliced(&net.video(viewer));
    assert_eq!(layers(&net.video(viewer)), [2, 0, 1, 0, 2]);
    assert_eq!(layers(&net.video(automatic)), [2], "the others are sent what they were sent");
    for (reason, count) in [("selected", 3), ("chosen", 1), ("inactive", 0)] {
        assert_eq!(net.metric(&format!("sluice_layer_switches_total{{reason=\"{reason}\"}}")), count, "{reason}");
    }
    let viewers = |net: &Net| {
        ["largest", "between", "smallest"]
            .map(|layer| net.metric(&format!("sluice_layer_viewers{{layer=\"{layer}\"}}")))
    };
    assert_eq!(viewers(&net), [2, 0, 0]);
    net.select(viewer, Selection { spatial: Some(1), ..Selection::default() });
    sender.begin(&mut net, &[0, 1, 2], 30);
    sender.begin(&mut net, &[0, 1, 2], 30);
    assert_eq!(viewers(&net), [1, 1, 0]);
    let tracks = net.report(viewer).tracks;
    let video = tracks.iter().find(|track| track.kind == "video").unwrap();
    assert_eq!((video.rid.as_deref(), video.target.as_deref()), (Some("h"), Some("h")));
    let sent = video.layers.as_ref().unwrap();
    assert!(sent.seconds(LayerPlace::Largest) >= 2.0 && sent.seconds(LayerPlace::None) == 0.0, "{sent:?}");
    assert_eq!([SwitchReason::Selected, SwitchReason::Chosen].map(|reason| sent.switches(reason)), [4, 1]);
    for session in [viewer, automatic, sender.publisher] {
        net.delete(session);
    }
    net.run(SECOND);
    assert_eq!(viewers(&net), [0; 3]);
}

#[test]
fn a_selection_holds_for_later_publishers_and_a_name_that_one_does_not_have_leaves_the_choice_to_the_relay() {
    const OTHERS: &[(&str, u16, u16)] = &[("a", 160, 90), ("b", 320, 180)];
    let mut net = Net::new(2);
    let viewer = net.watch("cam");
    net.select_rid(viewer, "h");
    for (encodings, list, place) in [(QHF, "q;h;f", 1), (OTHERS, "a;b", 1), (QHF, "q;h;f", 1)] {
        let mut sender = Sender::join(&mut net, encodings, list);
        sender.begin_all(&mut net, 50);
        sender.begin_all(&mut net, 50);
        assert!((place * LAYER + 90..place * LAYER + 100).contains(&net.video(viewer).last().unwrap().number));
    }
}

#[test]
fn changes_of_encoding_leave_video_in_step_by_the_publishers_clock_and_not_by_arrival() {
    let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
    sender.begin(&mut net, &[0, 1, 2], 25);
    // The largest encoding comes 120 ms after the others, and rests in every other period of 1.6 s.
    let mut late = VecDeque::new();
    for period in 0..110 {
        for step in 0..40 {
            if period % 2 == 0 {
                late.push_back((net.now + 3 * FRAME, sender.frame(&mut net, 2, step == 5)));
            }
            while let Some((_, datagram)) = late.pop_front_if(|(at, _)| *at <= net.now) {
                net.deliver(sender.publisher, datagram);
            }
            if step % 20 == 0 {
                (0..3).for_each(|place| sender.report(&mut net, place));
            }
            sender.show(&mut net, &[0, 1], step == 20);
        }
    }
    let line = net.video(viewer);
    assert_spliced(&line);
    let offset = |shown: &Shown| shown.timestamp.wrapping_sub(sender.captured[&shown.number] * 3_600) as i32;
    let changes = layers(&line).len();
    assert!(changes >= 100, "{changes}");
    for run in line.chunk_by(|one, other| one.number / LAYER == other.number / LAYER) {
        // Each encoding catches up first.
        for shown in run.iter().skip(25) {
            let moved = offset(shown).wrapping_sub(offset(&line[0])).abs();
            assert!(moved <= 90, "{} ms", moved / 90);
        }
    }
}

#[test]
fn encodings_that_rest_together_are_not_silent() {
    let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
    sender.begin(&mut net, &[0, 1, 2], 20);
    for _ in 0..5 {
        net.run(2 * SECOND);
        sender.show(&mut net, &[0, 1, 2], false);
    }
    net.run(2 * SECOND);
    assert!(sender.reports(&net).iter().all(|track| track.is_active));
    assert_eq!(newest_layer(&net, viewer), 2);
}

#[test]
fn one_encoding_that_begins_again_under_another_ssrc_leaves_the_others_alone() {
    let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
    sender.begin(&mut net, &[0, 1, 2], 50);
    for (place, ssrc) in [(2, 0x3002), (0, 0x3000)] {
        sender.encodings[place].ssrc = ssrc;
        for frame in 0..50 {
            for other in 0..3 {
                let datagram = sender.frame(&mut net, other, frame == 0 && other == place);
                net.deliver(sender.publisher, datagram);
            }
            sender.frames += 1;
            net.run(FRAME);
        }
    }
    let line = net.video(viewer);
    assert_spliced(&line);
    assert_eq!(line.last().unwrap().number, 2 * LAYER + 149);
    assert_eq!(layers(&line).last(), Some(&2));
    let ssrcs: Vec<_> = sender.reports(&net).iter().map(|track| track.ssrc).collect();
    assert_eq!(ssrcs, [Some(0x3000), Some(0x1001), Some(0x3002)]);
    // The one that began again last has the newest epoch: viewers come and go between them all the same.
    for _ in 0..40 {
        sender.show(&mut net, &[0], false);
    }
    sender.begin(&mut net, &[0, 1], 40);
    let line = net.video(viewer);
    assert_eq!(line.last().unwrap().number / LAYER, 1);
    assert_spliced(&line);
}

#[test]
fn keyframes_are_asked_for_only_of_encodings_that_somebody_needs() {
    let config = Config { cache: CacheLimits::NONE, ..Config::default() };
    let mut net = Net::with(1, config);
    let mut sender = Sender::join(&mut net, QHF, "q;h;f");
    let viewer = net.watch("cam");
    net.connect();
    // What was needed at the beginning is forgotten then.
    sender.begin(&mut net, &[0, 1, 2], 100);
    let asked = sender.asked(&net).len();
    net.request_keyframe(viewer);
    for _ in 0..100 {
        sender.show(&mut net, &[0, 1, 2], false);
    }
    let asked: BTreeSet<u32> = sender.asked(&net)[asked..].iter().copied().collect();
    assert_eq!(asked, [0x1002].into());
}

#[test]
fn encodings_are_known_by_a_declared_group_of_ssrcs_without_any_rid() {
    let mut net = Net::new(1);
    let groups = "a=ssrc-group:SIM 4096 4097 4098\r\na=ssrc-group:FID 4096 8192\r\na=ssrc-group:FID 4097 8193\r\n\
                  a=ssrc-group:FID 4098 8194\r\n";
    let mut sender = Sender::join_with(&mut net, QHF, &format!("{groups}{}", lines(QHF, "q;h;f")));
    let viewer = net.watch("cam");
    net.connect();
    for frame in 0..50 {
        for (place, &(_, width, height)) in QHF.iter().enumerate() {
            let (ssrc, timestamp) = (sender.encodings[place].ssrc, sender.frames * 3_600);
            let payload = vp8_of_size(frame == 0, (width, height), place as u32 * LAYER + frame);
            let datagram = sender.seal(&mut net, (ssrc, false), None, timestamp, &payload);
            net.deliver(sender.publisher, datagram);
        }
        sender.frames += 1;
        net.run(FRAME);
    }
    assert_eq!(net.video(viewer).last().unwrap().number, 2 * LAYER + 49);
    assert_eq!(net.drops("unknown_layer"), 0);
}

#[test]
fn a_publisher_of_one_encoding_takes_over_from_one_of_three_and_the_other_way_round() {
    let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
    sender.begin(&mut net, &[0, 1, 2], 50);
    let mut single = Broadcast::join(&mut net, 50 * LAYER);
    run_all(&mut net, &mut [&mut single], 2 * SECOND);
    let line = net.video(viewer);
    assert_spliced(&line);
    assert!(line.last().unwrap().number >= 50 * LAYER + 140, "{:?}", line.last());
    let mut sender = Sender::join(&mut net, QHF, "q;h;f");
    sender.begin(&mut net, &[0, 1, 2], 50);
    let line = net.video(viewer);
    assert_spliced(&line);
    assert_eq!(line.last().unwrap().number, 2 * LAYER + 49);
    let mut again = Sender::join(&mut net, &[("f", 640, 360), ("q", 160, 90)], "f;q");
    again.begin(&mut net, &[0, 1], 50);
    let line = net.video(viewer);
    assert_spliced(&line);
    assert_eq!(line.last().unwrap().number, 49, "the largest, which is another place of the list now");
}

#[test]
fn a_standby_of_one_encoding_takes_over_from_a_publisher_of_three_and_the_other_way_round() {
    let (mut net, mut sender, viewer) = begun(QHF, "q;h;f");
    sender.begin(&mut net, &[0, 1, 2], 50);
    let standby = net.stand_by("cam");
    net.connect();
    let mut single = Broadcast::new(&net, standby);
    single.offset = 50 * LAYER;
    for _ in 0..25 {
        single.publish(&mut net);
        sender.show(&mut net, &[0, 1, 2], false);
    }
    assert_eq!(newest_layer(&net, viewer), 2, "nobody sees a standby");
    net.delete(sender.publisher);
    single.run(&mut net, 2 * SECOND);
    let line = net.video(viewer);
    assert_spliced(&line);
    assert!(line.last().unwrap().number >= 50 * LAYER + 140, "{:?}", line.last());
    let both = [("f", 640, 360), ("q", 160, 90)];
    let offer = Offer { encodings: &both, lines: &lines(&both, "f;q"), codec: Codec::Vp8 };
    let mut sender = Sender::join_by(&mut net, &offer, |request| request.standby = true);
    for frame in 0..50 {
        single.publish(&mut net);
        sender.show(&mut net, &[0, 1], frame == 0);
    }
    net.delete(single.publisher);
    for _ in 0..50 {
        sender.show(&mut net, &[0, 1], false);
    }
    let line = net.video(viewer);
    assert_spliced(&line);
    assert_eq!(line.last().unwrap().number, 99, "the largest");
}

#[test]
fn no_keyframe_is_asked_for_that_no_viewer_needs() {
    let mut net = Net::new(2);
    let mut sender = Sender::join(&mut net, QHF, "q;h;f");
    sender.begin(&mut net, &[0, 1, 2], 50);
    let change_ssrc = |net: &mut Net, sender: &mut Sender, place: usize, ssrc| {
        sender.encodings[place].ssrc = ssrc;
        let others: Vec<usize> = (0..3).filter(|other| *other != place).collect();
        for frame in 0..125 {
            // Another SSRC without a keyframe is accepted once the one before is silent.
            let all: &[usize] = if frame < 15 { &others } else { &[0, 1, 2] };
            sender.show(net, all, false);
        }
    };
    change_ssrc(&mut net, &mut sender, 2, 0x3002);
    assert_eq!(sender.reports(&net)[2].ssrc, Some(0x3002));
    assert!(sender.asked(&net).is_empty(), "without a viewer");
    let viewer = net.watch("cam");
    net.select_rid(viewer, "q");
    net.connect();
    sender.begin(&mut net, &[0, 1, 2], 50);
    let asked = sender.asked(&net).len();
    change_ssrc(&mut net, &mut sender, 2, 0x4002);
    assert_eq!(sender.reports(&net)[2].ssrc, Some(0x4002));
    assert_eq!(sender.asked(&net).len(), asked, "of an encoding that no viewer is sent");
    change_ssrc(&mut net, &mut sender, 0, 0x4000);
    let asked = sender.asked(&net).split_off(asked);
    assert!(asked.len() >= 3 && asked.iter().all(|ssrc| *ssrc == 0x4000), "of the one that it is sent: {asked:?}");
    net.delete(viewer);
    sender.show(&mut net, &[0, 1, 2], false);
    let asked = sender.asked(&net).len();
    for _ in 0..75 {
        sender.show(&mut net, &[0, 1, 2], false);
    }
    assert_eq!(sender.asked(&net).len(), asked, "the last viewer has left");
}

#[test]
fn all_encodings_of_a_video_share_the_memory_for_late_viewers_and_the_lowest_is_kept_last() {
    let cache = CacheLimits { octets: 60_000, ..CacheLimits::default() };
    let mut net = Net::with(1, Config { cache, ..Config::default() });
    let mut sender = Sender::join(&mut net, QHF, "q;h;f");
    sender.begin(&mut net, &[0, 1, 2], 60);
    net.run(2 * SECOND);
    // 48,000 octets each.
    let octets = net.metric("sluice_fast_start_bytes");
    assert!((47_000..60_000).contains(&octets), "{octets}");
    let viewer = net.watch("cam");
    net.connect();
    net.run(MILLISECOND * 500);
    assert_eq!(net.video(viewer).len(), 0, "the largest is chosen, and its frames are gone");
    assert!(sender.asked(&net).contains(&0x1002));
    for (rid, shown) in [("h", 0), ("q", 60)] {
        let viewer = net.watch("cam");
        net.select_rid(viewer, rid);
        net.connect();
        net.run(500 * MILLISECOND);
        assert_eq!(net.video(viewer).len(), shown, "{rid}");
    }
}
