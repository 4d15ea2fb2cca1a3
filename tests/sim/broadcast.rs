//! A publisher in virtual time that sends video and audio at a steady rate, and what its viewers receive.

use std::ops::Range;
use std::time::{Duration, Instant};

use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use sluice::forward::codec::{Codec, Kind};
use sluice::name::Role;
use sluice::peer::client::Track;
use sluice::session::{Report, Selection};
use sluice::srtp::SrtpProfile;
use sluice::worker::Config;

use crate::net::{NUMBER, Net, NetClient, vp8};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

pub(crate) const GCM: &[SrtpProfile] = &[SrtpProfile::Aes128Gcm];
pub(crate) const BOTH: &[Codec] = &[Codec::Vp8, Codec::Opus];

/// Packets of one frame.
pub(crate) const PARTS: u32 = 3;
/// From one frame to the next, in milliseconds, and in ticks of 90 kHz.
pub(crate) const FRAME: u64 = 40;
const FRAME_TICKS: u32 = 3_600;
/// From one audio packet to the next, in milliseconds, and in ticks of 48 kHz.
const AUDIO: u64 = 20;
const AUDIO_TICKS: u32 = 960;

/// One publisher: a frame every 40 ms, an audio packet every 20 ms.
pub(crate) struct Broadcast {
    pub(crate) publisher: usize,
    /// Packets of a frame.
    pub(crate) parts: u32,
    /// Frames from one keyframe to the next, without requests.
    pub(crate) keyframe_every: u32,
    /// Sends a keyframe for each request.
    pub(crate) keyframe_responsive: bool,
    /// The number of the next frame.
    pub(crate) frame: u32,
    /// Added to the numbers in payloads, to tell two publishers apart.
    pub(crate) offset: u32,
    /// Added to the RTP timestamps of both kinds.
    pub(crate) timestamp_offset: u32,
    /// Its audio is silent and sends nothing (DTX), though its time goes on.
    pub(crate) mute: bool,
    audio: u32,
    started: Instant,
    requests: usize,
}

impl Broadcast {
    /// Another publisher joins the stream, and begins once it is connected: its packets count from `offset`.
    pub(crate) fn join(net: &mut Net, offset: u32) -> Self {
        let publisher = net.publish("cam");
        net.connect();
        Self { offset, ..Self::new(net, publisher) }
    }

    /// A publisher that begins now.
    pub(crate) fn new(net: &Net, publisher: usize) -> Self {
        Self {
            publisher,
            parts: PARTS,
            keyframe_every: 1_000_000,
            keyframe_responsive: false,
            frame: 0,
            offset: 0,
            timestamp_offset: 0,
            mute: false,
            audio: 0,
            started: net.now,
            requests: 0,
        }
    }

    /// A viewer joins the stream, and is connected while this publishes.
    pub(crate) fn add_viewer(&mut self, net: &mut Net) -> usize {
        let viewer = net.watch("cam");
        connect_beside(net, viewer, &mut [self]);
        viewer
    }

    /// Lets it publish for a while.
    pub(crate) fn run(&mut self, net: &mut Net, how_long: Duration) {
        let until = net.now + how_long;
        while net.now < until {
            self.publish(net);
            net.run(MILLISECOND);
        }
    }

    /// Sends what is due now.
    pub(crate) fn publish(&mut self, net: &mut Net) {
        let elapsed = net.now.saturating_duration_since(self.started).as_millis() as u64;
        let requests = net.keyframe_requests(self.publisher);
        let asked = self.keyframe_responsive && requests > self.requests;
        while u64::from(self.frame) * FRAME <= elapsed {
            let keyframe = asked || self.is_next_key();
            self.requests = requests;
            self.send_frame(net, keyframe);
        }
        while u64::from(self.audio) * AUDIO <= elapsed {
            if !self.mute {
                let track = track(&net.clients[self.publisher], Kind::Audio);
                let timestamp = self.audio.wrapping_mul(AUDIO_TICKS).wrapping_add(self.timestamp_offset);
                net.send(self.publisher, track, timestamp, false, &(self.offset + self.audio).to_be_bytes());
            }
            self.audio += 1;
        }
    }

    /// When the video packet of this number was sent.
    pub(crate) fn video_sent_at(&self, number: u32) -> Instant {
        self.started + Duration::from_millis(u64::from((number - self.offset) / self.parts) * FRAME)
    }

    /// Sends sender reports (RFC 3550 6.4.1) of a clock that showed `epoch` seconds when the broadcast began.
    pub(crate) fn report(&self, net: &mut Net, epoch: u64) {
        let elapsed = net.now.saturating_duration_since(self.started);
        for Track { kind, ssrc, .. } in net.clients[self.publisher].tracks.clone() {
            let ticks = if kind == Kind::Video { FRAME_TICKS / FRAME as u32 } else { AUDIO_TICKS / AUDIO as u32 };
            let report = SenderReport {
                ssrc: ssrc.expect("a publisher has SSRCs"),
                ntp_time: (epoch << 32) + (elapsed.as_millis() as u64 * (1 << 32)) / 1000,
                rtp_time: (elapsed.as_millis() as u32).wrapping_mul(ticks).wrapping_add(self.timestamp_offset),
                ..SenderReport::default()
            };
            net.clients[self.publisher].peer.send_rtcp(vec![Box::new(report)], net.now);
        }
    }

    /// When the audio packet of this number was sent.
    pub(crate) fn audio_sent_at(&self, number: u32) -> Instant {
        self.started + Duration::from_millis(u64::from(number - self.offset) * AUDIO)
    }

    /// When the audio or video packet of this number was sent.
    pub(crate) fn sent_at(&self, kind: Kind, number: u32) -> Instant {
        match kind {
            Kind::Video => self.video_sent_at(number),
            Kind::Audio => self.audio_sent_at(number),
        }
    }

    /// How many audio packets it has sent.
    pub(crate) fn audio_packets(&self) -> u32 {
        self.audio
    }

    /// True if the next frame is a keyframe without any request.
    pub(crate) fn is_next_key(&self) -> bool {
        self.frame.is_multiple_of(self.keyframe_every)
    }

    /// When it began.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    fn send_frame(&mut self, net: &mut Net, keyframe: bool) {
        let track = track(&net.clients[self.publisher], Kind::Video);
        let timestamp = self.frame.wrapping_mul(FRAME_TICKS).wrapping_add(self.timestamp_offset);
        for part in 0..self.parts {
            let payload = vp8(keyframe && part == 0, self.offset + self.frame * self.parts + part);
            net.send(self.publisher, track, timestamp, part == self.parts - 1, &payload);
        }
        self.frame += 1;
    }
}

/// A packet of a track as a viewer got it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) at: Instant,
    pub(crate) index: u64,
    pub(crate) timestamp: u32,
    /// The publisher's count of video packets or of audio packets.
    pub(crate) number: u32,
}

/// What tests ask of clients that publish and watch one stream each, with audio and video.
impl Net {
    /// A publisher joins a stream.
    pub(crate) fn publish(&mut self, stream: &str) -> usize {
        self.join(Role::Publisher, stream, BOTH, GCM)
    }

    /// A publisher joins a stream to stand by.
    pub(crate) fn stand_by(&mut self, stream: &str) -> usize {
        let joined = self.try_join(Role::Publisher, stream, BOTH, GCM, |request| request.standby = true);
        joined.expect("a standby is taken beside the live publisher")
    }

    /// A viewer joins a stream.
    pub(crate) fn watch(&mut self, stream: &str) -> usize {
        self.join(Role::Viewer, stream, BOTH, GCM)
    }

    /// The video packets that a viewer got, in the order of arrival, without resends.
    pub(crate) fn video(&self, viewer: usize) -> Vec<Shown> {
        self.packets(viewer, Kind::Video)
    }

    /// The audio packets that a viewer got, in the order of arrival, without resends.
    pub(crate) fn audio(&self, viewer: usize) -> Vec<Shown> {
        self.packets(viewer, Kind::Audio)
    }

    /// The packets of a kind that a viewer got, in the order of arrival, without resends.
    pub(crate) fn packets(&self, viewer: usize, kind: Kind) -> Vec<Shown> {
        let ssrc = self.ssrc(viewer, kind);
        let at = if kind == Kind::Video { NUMBER } else { 0 };
        let number = |payload: &[u8]| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four octets"));
        let of_track = self.clients[viewer].received.iter().filter(|packet| packet.ssrc == ssrc);
        of_track
            .map(|packet| Shown {
                at: packet.at,
                index: packet.index,
                timestamp: packet.timestamp,
                number: number(&packet.payload),
            })
            .collect()
    }

    /// The SSRC of a client's track, by its offer or its answer.
    pub(crate) fn ssrc(&self, client: usize, kind: Kind) -> u32 {
        let client = &self.clients[client];
        client.tracks[track(client, kind)].ssrc.expect("offer or answer name it")
    }

    /// A viewer asks for video packets again, by their indices.
    pub(crate) fn nack(&mut self, viewer: usize, indices: impl IntoIterator<Item = u64>) {
        let media_ssrc = self.ssrc(viewer, Kind::Video);
        let nacks = indices.into_iter().map(|index| NackPair::new(index as u16)).collect();
        self.send_rtcp(viewer, TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks });
    }

    /// A viewer asks for a keyframe (PLI).
    pub(crate) fn request_keyframe(&mut self, viewer: usize) {
        let media_ssrc = self.ssrc(viewer, Kind::Video);
        self.send_rtcp(viewer, PictureLossIndication { sender_ssrc: 1, media_ssrc });
    }

    /// A viewer selects what it is to be sent.
    pub(crate) fn select(&self, viewer: usize, selection: Selection) {
        self.handle().select(&self.clients[viewer].session, selection).expect("the session lives");
    }

    /// A viewer selects the encoding with this name.
    pub(crate) fn select_rid(&self, viewer: usize, rid: &str) {
        self.select(viewer, Selection { rid: Some(rid.into()), ..Selection::default() });
    }

    /// What the relay knows of a client's session.
    pub(crate) fn report(&self, client: usize) -> Report {
        self.handle().record(&self.clients[client].session).expect("the session is known").report()
    }

    /// How many keyframe requests have reached a publisher.
    pub(crate) fn keyframe_requests(&self, publisher: usize) -> usize {
        let packets = self.clients[publisher].rtcp.iter().flatten();
        packets.filter(|packet| packet.as_any().is::<PictureLossIndication>()).count()
    }
}

/// A stream with a publisher that begins now, and viewers; all are connected.
pub(crate) fn broadcast_to(viewers: usize, workers: usize, config: Config) -> (Net, Broadcast, Vec<usize>) {
    let mut net = Net::with(workers, config);
    let publisher = net.publish("cam");
    let viewers = (0..viewers).map(|_| net.watch("cam")).collect();
    net.connect();
    let broadcast = Broadcast::new(&net, publisher);
    (net, broadcast, viewers)
}

/// Lets several publish for a while.
pub(crate) fn run_all(net: &mut Net, broadcasts: &mut [&mut Broadcast], how_long: Duration) {
    let until = net.now + how_long;
    while net.now < until {
        broadcasts.iter_mut().for_each(|broadcast| broadcast.publish(net));
        net.run(MILLISECOND);
    }
}

/// Waits until a client is connected, while others publish.
pub(crate) fn connect_beside(net: &mut Net, client: usize, broadcasts: &mut [&mut Broadcast]) {
    for _ in 0..3_000 {
        if net.clients[client].is_connected() {
            return;
        }
        run_all(net, broadcasts, MILLISECOND);
    }
    panic!("the client does not connect within 3 s");
}

/// Fails unless a viewer's packets have consecutive indices, and timestamps that never go back.
pub(crate) fn assert_spliced(line: &[Shown]) {
    for pair in line.windows(2) {
        assert_eq!(pair[1].index, pair[0].index + 1, "{pair:?}");
        assert!((pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32) >= 0, "{pair:?}");
    }
}

/// The place of a track among a client's.
pub(crate) fn track(client: &NetClient, kind: Kind) -> usize {
    client.tracks.iter().position(|track| track.kind == kind).expect("the track was negotiated")
}

/// The numbers of a line.
pub(crate) fn numbers(line: &[Shown]) -> Vec<u32> {
    line.iter().map(|shown| shown.number).collect()
}

/// Fails unless a line is whole: each number once and in order, timestamps never back.
pub(crate) fn assert_continuous(line: &[Shown], numbers: Range<u32>) {
    let shown: Vec<u32> = line.iter().map(|shown| shown.number).collect();
    assert_eq!(shown, numbers.collect::<Vec<_>>());
    for pair in line.windows(2) {
        assert_eq!(pair[1].index, pair[0].index + 1, "{pair:?}");
        assert!(pair[1].timestamp.wrapping_sub(pair[0].timestamp) < 90_000, "{pair:?}");
    }
}
