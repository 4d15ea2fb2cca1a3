//! The whole relay with the async `webrtc` crate at both ends: what is sent is what arrives. A program of its own,
//! because a hundred clients of one process lose packets when other tests take the processor.

mod client;
mod keyframe_requests;
#[path = "../support/leg_offer.rs"]
mod leg_offer;
mod legs;
mod media;
mod relay;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sluice::config::Config;
use sluice::forward::CacheLimits;
use tokio::time::timeout;

use crate::client::{PATIENCE, Publisher, VIEWER, Viewer};
use crate::media::{
    AUDIO_TICKS, FRAME_TICKS, PACKETS_A_FRAME, is_keyframe, opus_number, opus_payload, vp8_number, vp8_payload,
};
use crate::relay::Relay;

/// Checks one viewer's packets as they arrive: bytes, payload types, numbering, timestamps and markers.
#[derive(Default)]
struct Check {
    video: RtpStream,
    audio: RtpStream,
    first_frame: Option<usize>,
    frames: usize,
}

/// One RTP stream as the viewer sees it.
#[derive(Default)]
struct RtpStream {
    ssrc: Option<u32>,
    /// Sequence number to position in the publisher's stream and timestamp.
    packets: BTreeMap<u64, (usize, u32)>,
    last: Option<u64>,
}

/// Packets that may have come before a viewer joined whose publisher sends from then on: those of some ms.
const REPLAYED: usize = 10;

impl RtpStream {
    fn add(&mut self, packet: &rtp::Packet, position: usize) {
        let ssrc = *self.ssrc.get_or_insert(packet.header.ssrc);
        assert_eq!(packet.header.ssrc, ssrc, "a track has one SSRC");
        let number = match self.last {
            None => u64::from(packet.header.sequence_number) + (1 << 16),
            Some(last) => {
                last.wrapping_add_signed(i64::from(packet.header.sequence_number.wrapping_sub(last as u16) as i16))
            }
        };
        self.last = Some(self.last.map_or(number, |last| last.max(number)));
        let seen = self.packets.insert(number, (position, packet.header.timestamp));
        assert!(seen.is_none_or(|seen| seen == (position, packet.header.timestamp)), "one number, two packets");
    }

    /// Numbers without a hole, positions without a hole in the same order, timestamps that move as the publisher's. What
    /// came before the viewer joined is replayed faster than real time, so that timestamps are closer there.
    fn assert_continuous(&self, ticks: u32, packets_a_tick: usize) {
        let (&first, &(first_position, _)) = self.packets.first_key_value().expect("packets arrived");
        for (i, (&number, &(position, _))) in self.packets.iter().enumerate() {
            assert_eq!(
                number,
                first + i as u64,
                "a hole in the sequence numbers, {i} packets of {} in",
                self.packets.len()
            );
            assert_eq!(position, first_position + i, "packets keep their order");
        }
        let (_, &(last_position, last_timestamp)) = self.packets.last_key_value().expect("packets arrived");
        let is_live = |&&(position, timestamp): &&(usize, u32)| {
            let moved = (last_position / packets_a_tick - position / packets_a_tick) as u32;
            last_timestamp.wrapping_sub(timestamp) == moved * ticks
        };
        let live = self.packets.values().rev().take_while(is_live).count();
        let replayed = self.packets.len() - live;
        assert!(replayed <= REPLAYED, "timestamps keep their distance only after {replayed} packets");
    }
}

impl Check {
    fn add(&mut self, packet: &rtp::Packet) {
        match packet.header.payload_type {
            payload_type if payload_type == VIEWER.video => {
                let (frame, part) = vp8_number(&packet.payload);
                assert_eq!(packet.payload, vp8_payload(frame, part), "payload bytes arrive as they were sent");
                assert_eq!(packet.header.marker, part + 1 == PACKETS_A_FRAME, "the marker ends the frame");
                if self.first_frame.is_none() {
                    assert!(
                        is_keyframe(frame) && part == 0,
                        "video starts with a keyframe, not with frame {frame}.{part}"
                    );
                    self.first_frame = Some(frame);
                }
                self.frames += usize::from(packet.header.marker);
                self.video.add(packet, frame * PACKETS_A_FRAME + part);
            }
            payload_type if payload_type == VIEWER.audio => {
                let number = opus_number(&packet.payload);
                assert_eq!(packet.payload, opus_payload(number), "payload bytes arrive as they were sent");
                self.audio.add(packet, number);
            }
            payload_type => panic!("payload type {payload_type} is not one of the viewer's"),
        }
    }

    fn assert_continuous(&self) {
        self.video.assert_continuous(FRAME_TICKS, PACKETS_A_FRAME);
        self.audio.assert_continuous(AUDIO_TICKS, 1);
    }
}

/// Receives until `frames` whole frames and some audio have arrived.
async fn receive(viewer: &mut Viewer, frames: usize) -> Check {
    receive_with_progress(viewer, frames, &AtomicUsize::new(0)).await
}

/// The same, and stores the number of the newest whole frame in `progress`.
async fn receive_with_progress(viewer: &mut Viewer, frames: usize, progress: &AtomicUsize) -> Check {
    let mut check = Check::default();
    while check.frames < frames || check.audio.packets.is_empty() {
        check.add(&viewer.packet().await);
        if let Some(first) = check.first_frame {
            progress.store(first + check.frames, Ordering::Relaxed);
        }
    }
    progress.store(usize::MAX, Ordering::Relaxed);
    check
}

#[tokio::test(flavor = "multi_thread")]
async fn published_packets_arrive_intact_with_the_viewers_own_payload_types() {
    let relay = Relay::start().await;
    let mut publisher = Publisher::join(&relay, "intact").await;
    publisher.client.connected().await;
    let mut viewer = Viewer::join(&relay, "intact").await;
    viewer.client.connected().await;
    let check = publisher.send_while(receive(&mut viewer, 60)).await;
    check.assert_continuous();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_joins_first_gets_the_first_frame_of_the_publisher_that_joins_later() {
    let relay = Relay::start().await;
    let mut viewer = Viewer::join(&relay, "later").await;
    viewer.client.connected().await;
    let mut publisher = Publisher::join(&relay, "later").await;
    publisher.client.connected().await;
    let check = publisher.send_while(receive(&mut viewer, 30)).await;
    check.assert_continuous();
    assert_eq!(check.first_frame, Some(0), "nothing of the first frame is missed by a viewer that waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_makes_the_relay_request_a_keyframe_of_the_publisher() {
    let mut config = Config::default();
    config.worker.cache = CacheLimits::NONE;
    let relay = Relay::with(config).await;
    let mut publisher = Publisher::join(&relay, "keyframe").await;
    publisher.client.connected().await;
    // Long enough after the first keyframe that the relay keeps nothing of it.
    publisher.send_frame().await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    publisher.send_frame().await;
    while publisher.keyframe_requests.try_recv().is_ok() {}
    let mut viewer = Viewer::join(&relay, "keyframe").await;
    viewer.client.connected().await;
    // The relay requests keyframes only of an SSRC that it knows: frames go on while the test waits, all of one group.
    let asked = timeout(PATIENCE, async {
        loop {
            if publisher.next_frame() % media::FRAMES_A_GROUP != media::FRAMES_A_GROUP - 1 {
                publisher.send_frame().await;
            }
            if timeout(Duration::from_millis(33), publisher.keyframe_requests.recv()).await.is_ok() {
                return;
            }
        }
    });
    asked.await.expect("the publisher is asked for a keyframe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_viewers_of_one_stream_lose_nothing() {
    const VIEWERS: usize = 100;
    const FRAMES: usize = 60;
    const FRAMES_AHEAD: usize = 8;
    let relay = Relay::start().await;
    let mut publisher = Publisher::join(&relay, "hundred").await;
    publisher.client.connected().await;
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        viewers.push(Viewer::join(&relay, "hundred").await);
    }
    for viewer in &mut viewers {
        viewer.client.connected().await;
    }
    // A hundred clients in one process are slow at times: the publisher is never further ahead of the slowest than what
    // the kernel keeps for it, so that what is lost is lost by the relay.
    let progress: Vec<_> = (0..VIEWERS).map(|_| Arc::new(AtomicUsize::new(usize::MAX))).collect();
    let mut receiving = tokio::task::JoinSet::new();
    for (mut viewer, progress) in viewers.into_iter().zip(progress.iter().cloned()) {
        receiving.spawn(async move { receive_with_progress(&mut viewer, FRAMES, &progress).await });
    }
    let slowest = || progress.iter().map(|frame| frame.load(Ordering::Relaxed)).min().unwrap_or(0);
    let may_send = |frame: usize| frame < slowest().saturating_add(FRAMES_AHEAD);
    let checks = publisher.send_paced_while(may_send, receiving.join_all()).await;
    assert_eq!(checks.len(), VIEWERS);
    for check in checks {
        check.assert_continuous();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_session_ends_at_the_relay_and_at_the_client() {
    let relay = Relay::start().await;
    let mut publisher = Publisher::join(&relay, "deleted").await;
    publisher.client.connected().await;
    let mut viewer = Viewer::join(&relay, "deleted").await;
    viewer.client.connected().await;
    publisher.send_while(receive(&mut viewer, 5)).await;
    assert_eq!(relay.delete(&viewer.client.session).await, 200);
    assert_eq!(relay.delete(&viewer.client.session).await, 404);
    assert_eq!(relay.delete(&publisher.client.session).await, 200);
    relay.no_sessions_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_its_connection_ends_its_session_without_a_delete() {
    let relay = Relay::start().await;
    let mut publisher = Publisher::join(&relay, "closed").await;
    publisher.client.connected().await;
    let mut viewer = Viewer::join(&relay, "closed").await;
    viewer.client.connected().await;
    publisher.send_while(receive(&mut viewer, 5)).await;
    viewer.client.close().await;
    publisher.client.close().await;
    relay.no_sessions_left().await;
    // OBS and browsers close the connection before they DELETE, and OBS reports every status but 200 as an error.
    for session in [&viewer.client.session, &publisher.client.session] {
        assert_eq!(relay.delete(session).await, 200);
        assert_eq!(relay.delete(session).await, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_live_sessions_shuts_down_without_an_error() {
    let relay = Relay::start().await;
    let mut publisher = Publisher::join(&relay, "shutdown").await;
    publisher.client.connected().await;
    let mut viewer = Viewer::join(&relay, "shutdown").await;
    viewer.client.connected().await;
    publisher.send_while(receive(&mut viewer, 5)).await;
    relay.shut_down().await;
}
