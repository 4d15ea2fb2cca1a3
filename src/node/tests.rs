//! What only a look inside a worker can show.

use std::time::{Duration, Instant};

use crate::forward::codec::Kind;
use crate::ice::{Admission, Credentials};
use crate::name::{Role, StreamName};
use crate::peer::{Channel, ChannelMessage};
use crate::rtcp::{Basis, SenderClock};
use crate::sdp::Candidates;
use crate::srtp::SrtpProfile;
use crate::stream::WorkerId;
use crate::worker::message::{Message, Published, Subscribed};

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "../../tests/sim/net/mod.rs"]
mod net;

use net::Net;

const CODECS: &[crate::forward::codec::Codec] =
    &[crate::forward::codec::Codec::Vp8, crate::forward::codec::Codec::Opus];

fn net() -> (Net, usize, Vec<usize>) {
    let mut net = Net::new(1);
    let publisher = net.join(Role::Publisher, "cam", CODECS, &[SrtpProfile::Aes128Gcm]);
    let viewers = (0..2).map(|_| net.join(Role::Viewer, "cam", CODECS, &[SrtpProfile::Aes128Gcm])).collect();
    net.connect();
    (net, publisher, viewers)
}

#[test]
fn a_panic_in_one_session_ends_that_session_only() {
    let (mut net, publisher, viewers) = net();
    let victim = net.clients[viewers[0]].session;
    let now = net.now;
    let engine = &mut net.relay.workers[0].0;
    let key = engine.sessions.key(&victim).unwrap();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    engine.guard(key, now, |_| panic!("a fault in the work for one session"));
    std::panic::set_hook(hook);
    assert!(net.handle().lookup(&victim).is_none());
    assert!(net.metrics.render().contains("sluice_session_ends_total{reason=\"panicked\",role=\"viewer\"} 1"));

    let video = net.clients[publisher].tracks.iter().position(|track| track.kind.as_str() == "video").unwrap();
    net.send(publisher, video, 0, true, &net::vp8(true, 7));
    net.run(Duration::from_millis(20));
    assert!(net.clients[viewers[0]].received.is_empty());
    assert_eq!(net.clients[viewers[1]].received.len(), 1, "the others lose nothing");
}

fn asked(remote: Credentials) -> super::ice_restart::Restart {
    super::ice_restart::Restart {
        remote,
        http_local: None,
        media_by_http: None,
        http_remote: [127, 0, 0, 1].into(),
        source: crate::session::ClientSource::Direct,
    }
}

#[test]
fn a_restart_is_believed_under_both_credentials_until_the_new_path_is_proven() {
    let (mut net, publisher, viewers) = net();
    let session = net.clients[viewers[0]].session;
    let remote = Credentials { ufrag: "newufrag".into(), pwd: "a-new-password-of-the-client".into() };
    let before = net.handle().lookup(&session).unwrap().etag;
    let patched = net.handle().restart(&session, asked(remote)).unwrap();
    assert_ne!(patched.etag, before);
    assert_eq!(net.handle().lookup(&session).unwrap().etag, patched.etag);
    // The client has not heard of it yet: media and its old checks go on.
    net.run(Duration::from_secs(3));
    let video = net.clients[publisher].tracks.iter().position(|track| track.kind.as_str() == "video").unwrap();
    net.send(publisher, video, 0, true, &net::vp8(true, 7));
    net.run(Duration::from_millis(20));
    assert_eq!(net.clients[viewers[0]].received.len(), 1);
}

#[test]
fn the_record_has_the_candidates_of_an_ice_restart() {
    let (net, _, viewers) = net();
    let session = net.clients[viewers[0]].session;
    let record = net.handle().record(&session).unwrap();
    record.set_candidates(Candidates { udp: vec!["192.0.2.7:8081".parse().unwrap()], ..Candidates::default() });
    let remote = Credentials { ufrag: "newufrag".into(), pwd: "a-new-password-of-the-client".into() };
    let patched = net.handle().restart(&session, asked(remote)).unwrap();
    assert!(!patched.candidates.udp.is_empty());
    assert_eq!(record.candidates(), patched.candidates);
}

#[test]
fn restarts_that_come_to_nothing_leave_no_names_behind() {
    let (mut net, _, viewers) = net();
    let session = net.clients[viewers[0]].session;
    let names = |net: &Net| {
        let counts = net.relay.counts();
        counts.iter().filter(|(name, _)| name.ends_with("ufrags")).map(|(_, count)| *count).sum::<usize>()
    };
    let before = names(&net);
    for number in 0..100 {
        let remote = Credentials { ufrag: format!("ufrag{number}"), pwd: "a-new-password-of-the-client".into() };
        net.handle().restart(&session, asked(remote)).unwrap();
        net.run(Duration::from_millis(2));
    }
    assert_eq!(names(&net), before + 2, "the newest, in the pending sessions and in the demultiplexer");
    net.handle().end(&session, crate::reason::EndReason::Deleted).unwrap();
    net.run(Duration::from_millis(5));
    assert_eq!(names(&net), before - 2);
}

#[test]
fn a_command_waits_for_room_in_a_full_inbox_and_nothing_overtakes_it() {
    let mut net = Net::new(2);
    let viewer = net.join(Role::Viewer, "cam", CODECS, &[SrtpProfile::Aes128Gcm]);
    net.connect();
    let session = net.clients[viewer].session;
    let owner = net.relay.workers.iter().position(|(engine, _)| engine.sessions.key(&session).is_some()).unwrap();
    let to = WorkerId(owner as u16);
    let engine = &mut net.relay.workers[1 - owner].0;
    let filler = || Message::Demand { stream: "nobody".parse().unwrap(), layer: Default::default() };
    while engine.shared.workers[owner].push(filler()).is_ok() {}
    assert!(engine.mailbox.send_command(to, Message::End { session, reason: crate::reason::EndReason::Kicked }));
    // One message has left: what comes later must not take the command's place.
    assert!(net.relay.workers[owner].1.pop().is_some());
    let engine = &mut net.relay.workers[1 - owner].0;
    // Media is lost meanwhile.
    engine.mailbox.send_media(to, filler(), 1);
    net.run(Duration::from_millis(10));
    assert!(net.handle().lookup(&session).is_none());
    let waiting = net.relay.counts().into_iter().find(|(name, count)| name.ends_with("commands waiting") && *count > 0);
    assert_eq!(waiting, None);
    assert!(net.metrics.render().contains("sluice_drops_total{reason=\"inbox_full\"} 1"));
}

#[test]
fn a_datagram_that_reaches_another_worker_is_handed_to_the_owner() {
    let mut net = Net::new(2);
    let publisher = net.join(Role::Publisher, "cam", CODECS, &[SrtpProfile::Aes128Gcm]);
    let viewer = net.join(Role::Viewer, "cam", CODECS, &[SrtpProfile::Aes128Gcm]);
    net.connect();
    // From here on the kernel would give the publisher's datagrams to the other worker: it keeps to the 4-tuple, so
    // that is what a client does that moves to another address. Its checks and then its media come from there.
    let moved = "10.9.9.9:7000".parse().unwrap();
    net.move_client(publisher, moved, 1);
    net.run(Duration::from_secs(8));
    let video = net.clients[publisher].tracks.iter().position(|track| track.kind.as_str() == "video").unwrap();
    net.send(publisher, video, 0, true, &net::vp8(true, 7));
    net.run(Duration::from_millis(50));
    let text = net.metrics.render();
    assert_eq!(net.clients[viewer].received.len(), 1, "{text}");
}

/// The clients that the kernel is to bring to a worker of theirs, where that has changed.
fn steered(net: &Net) -> Option<Vec<(std::net::SocketAddr, WorkerId)>> {
    let counted = std::cell::Cell::new(None);
    let tell = |clients: &mut dyn Iterator<Item = _>| {
        counted.set(Some(clients.collect()));
        Ok(())
    };
    net.handle().shared().assignment.steering.apply(tell);
    counted.into_inner()
}

#[test]
fn a_client_whose_datagrams_are_handed_over_is_steered_while_it_is_there() {
    let mut net = Net::new(2);
    let publisher = net.join(Role::Publisher, "cam", CODECS, &[SrtpProfile::Aes128Gcm]);
    net.connect();
    assert_eq!(steered(&net), Some(Vec::new()), "it is served where it arrives");
    let (first, second) = ("10.9.9.9:7000".parse().unwrap(), "10.9.9.9:7001".parse().unwrap());
    net.move_client(publisher, first, 1);
    net.run(Duration::from_secs(8));
    assert_eq!(steered(&net), Some(vec![(first, WorkerId(0))]));
    assert!((0..50).any(|_| {
        net.now += Duration::from_millis(1);
        net.relay.workers[0].0.steers(net.now)
    }));
    net.move_client(publisher, second, 1);
    net.run(Duration::from_secs(8));
    assert_eq!(steered(&net), Some(vec![(second, WorkerId(0))]), "only where it is now");
    net.move_client(publisher, first, 0);
    net.run(Duration::from_secs(8));
    assert_eq!(steered(&net), Some(Vec::new()), "it reaches its worker by itself");
    net.move_client(publisher, second, 1);
    net.run(Duration::from_secs(8));
    let session = net.clients[publisher].session;
    net.handle().end(&session, crate::reason::EndReason::Deleted).unwrap();
    net.run(Duration::from_millis(10));
    assert_eq!(steered(&net), Some(Vec::new()), "it is gone");
}

#[test]
fn what_a_replaced_publisher_still_sent_is_dropped_and_counted() {
    let (mut net, publisher, viewers) = net();
    let video = net.clients[publisher].tracks.iter().position(|track| track.kind.as_str() == "video").unwrap();
    net.send(publisher, video, 0, true, &net::vp8(true, 7));
    net.run(Duration::from_millis(20));
    let now = net.now;
    let engine = &mut net.relay.workers[0].0;
    let stream: StreamName = "cam".parse().unwrap();
    let publisher = engine.feeds.get(&stream).unwrap().source.unwrap().publisher;
    let packet = crate::forward::Packet {
        received: now,
        generation: crate::forward::Epoch::of(publisher - 1).generation(),
        layer: crate::forward::LayerId::default(),
        index: 1,
        timestamp: 1,
        marker: true,
        payload_type: 96,
        descriptor: Default::default(),
        frame: Default::default(),
        extensions: Default::default(),
        part: crate::forward::codec::Part::default(),
        keyframe: true,
        leads: 0,
        payload: net::vp8(true, 8).into(),
        redundancy: None,
    };
    let (kind, layer) = (Kind::Video, packet.layer);
    let late = Published { stream, publisher: publisher - 1, kind, layer, packets: vec![packet.into()] };
    engine.handle_message(Message::Media(late.into()), now);
    net.run(Duration::from_millis(20));
    assert_eq!(net.clients[viewers[0]].received.len(), 1);
    assert!(net.metrics.render().contains("sluice_drops_total{reason=\"replaced\"} 1"));
}

/// One of each message that a publisher's worker sends to those of its viewers.
fn messages_of(publisher: u64, now: Instant) -> Vec<Message> {
    let stream: StreamName = "cam".parse().unwrap();
    let (kind, worker, label) = (Kind::Video, WorkerId(0), "chat".to_owned());
    let channel = Channel {
        label: label.clone(),
        protocol: String::new(),
        ordered: true,
        max_packet_life_time: None,
        max_retransmits: None,
    };
    let subscribed = Subscribed {
        stream: stream.clone(),
        publisher,
        worker,
        tracks: Vec::new(),
        channels: vec![channel.clone()],
        was_standby: true,
        lost: true,
    };
    let layer = crate::forward::LayerId::default();
    let state = crate::worker::message::LayerState { size: Some((1, 1)), bits: 1, frames: 1.0, is_active: false };
    let message = ChannelMessage { is_text: true, data: "hello".into() };
    vec![
        Message::Media(Published { stream: stream.clone(), publisher, kind, layer, packets: Vec::new() }.into()),
        Message::Subscribed(subscribed.into()),
        Message::Clock {
            stream: stream.clone(),
            publisher,
            kind,
            layer,
            clock: SenderClock { ntp: 1, rtp: 1, received: now, basis: Basis::Report },
        },
        Message::KeyframeResponsive { stream: stream.clone(), publisher, kind, layer, keyframe_responsive: false },
        Message::Layer { stream: stream.clone(), publisher, layer, state },
        Message::DropCachedFrames { stream: stream.clone(), publisher, layer },
        Message::Channel { stream: stream.clone(), publisher, channel },
        Message::DataFromPublisher { stream: stream.clone(), publisher, label, message },
        Message::Lost { stream: stream.clone(), publisher, lost: true },
        Message::Unpublished { stream, publisher },
    ]
}

#[test]
fn a_late_message_of_an_earlier_publisher_never_takes_effect() {
    let (mut net, ..) = net();
    let newer = net.join(Role::Publisher, "cam", CODECS, &[SrtpProfile::Aes128Gcm]);
    net.connect();
    let video = net.clients[newer].tracks.iter().position(|track| track.kind.as_str() == "video").unwrap();
    net.send(newer, video, 0, true, &net::vp8(true, 7));
    net.run(Duration::from_millis(20));
    let stream: StreamName = "cam".parse().unwrap();
    for is_published in [true, false] {
        if !is_published {
            let session = net.clients[newer].session;
            net.handle().end(&session, crate::reason::EndReason::Deleted).unwrap();
            net.run(Duration::from_millis(20));
        }
        let now = net.now;
        let engine = &mut net.relay.workers[0].0;
        let before = format!("{:?}", engine.feeds.get(&stream).unwrap());
        assert_eq!(engine.feeds.get(&stream).unwrap().source.map(|source| source.publisher), is_published.then_some(2));
        for (number, message) in messages_of(1, now).into_iter().enumerate() {
            engine.handle_message(message, now);
            assert_eq!(format!("{:?}", engine.feeds.get(&stream).unwrap()), before, "message {number}");
        }
    }
}

#[test]
fn an_unknown_session_belongs_to_no_client() {
    let (mut net, ..) = net();
    let now = net.now;
    let engine = &mut net.relay.workers[0].0;
    let credentials = Credentials { ufrag: "aaaa".into(), pwd: "b".repeat(24) };
    let admission = Box::new(Admission { local: credentials.clone(), remote: credentials });
    let session = crate::name::SessionId::random();
    engine.handle_message(Message::Restart { session, admission }, now);
    engine.handle_message(Message::Demand { stream: "other".parse().unwrap(), layer: Default::default() }, now);
    engine.handle_message(Message::Subscribe { stream: "other".parse().unwrap(), worker: WorkerId(0) }, now);
    engine.handle_message(Message::End { session, reason: crate::reason::EndReason::Deleted }, now);
    assert_eq!(net.handle().session_count(), 3);
}
