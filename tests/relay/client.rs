//! The async `webrtc` crate as publisher and viewer: real offers, ICE, DTLS and SRTP over loopback.

use std::sync::Arc;
use std::time::Duration;

use rtc::interceptor::Slot;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MIME_TYPE_VP8};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use sluice::name::Role;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::timeout;
use webrtc::media_stream::MediaStreamTrack;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionState,
    RTCSessionDescription, Registry, register_default_interceptors,
};
use webrtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};

use super::keyframe_requests::KeyframeRequests;
use super::media::{AUDIO_TICKS, FRAME_TICKS, PACKETS_A_FRAME, opus_payload, vp8_payload};
use super::relay::{Created, Relay};

/// Nothing on loopback takes this long; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const VIDEO_SSRC: u32 = 0x1111_0001;
const AUDIO_SSRC: u32 = 0x2222_0001;

/// The payload types of one client's offer.
#[derive(Clone, Copy)]
pub(crate) struct PayloadTypes {
    pub(crate) video: u8,
    pub(crate) audio: u8,
}

pub(crate) const PUBLISHER: PayloadTypes = PayloadTypes { video: 96, audio: 111 };
/// Other numbers than the publisher's, and crosswise, so that a relay that passes them through is found out.
pub(crate) const VIEWER: PayloadTypes = PayloadTypes { video: 111, audio: 96 };

/// What both roles have: the connection and the session it belongs to.
pub(crate) struct Client {
    peer: Arc<dyn PeerConnection>,
    state: watch::Receiver<RTCPeerConnectionState>,
    pub(crate) session: Created,
}

struct Events {
    state: watch::Sender<RTCPeerConnectionState>,
    packets: UnboundedSender<rtp::Packet>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Events {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let packets = self.packets.clone();
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    // The test may have ended.
                    _ = packets.send(packet);
                }
            }
        });
    }
}

fn codec(kind: RtpCodecKind) -> RTCRtpCodec {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.into(), parameter: parameter.into() };
    match kind {
        RtpCodecKind::Audio => RTCRtpCodec {
            mime_type: MIME_TYPE_OPUS.into(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: "minptime=10;useinbandfec=1".into(),
            rtcp_feedback: vec![],
        },
        _ => RTCRtpCodec {
            mime_type: MIME_TYPE_VP8.into(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: String::new(),
            rtcp_feedback: vec![feedback("nack", ""), feedback("nack", "pli")],
        },
    }
}

fn media_engine(payload_types: PayloadTypes) -> MediaEngine {
    let mut engine = MediaEngine::default();
    for (kind, payload_type) in [(RtpCodecKind::Video, payload_types.video), (RtpCodecKind::Audio, payload_types.audio)]
    {
        let codec = RTCRtpCodecParameters { rtp_codec: codec(kind), payload_type };
        engine.register_codec(codec, kind).expect("the codec is registered once");
    }
    engine
}

fn local_track(kind: RtpCodecKind, ssrc: u32) -> Arc<TrackLocalStaticRTP> {
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
        codec: codec(kind),
        ..Default::default()
    };
    let name = kind.to_string();
    Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new("stream".into(), name.clone(), name, kind, vec![coding])))
}

/// Everything a connection needs before its offer can be made.
struct Unconnected {
    peer: Arc<dyn PeerConnection>,
    state: watch::Receiver<RTCPeerConnectionState>,
    packets: UnboundedReceiver<rtp::Packet>,
    keyframe_requests: UnboundedReceiver<()>,
}

impl Unconnected {
    async fn build(payload_types: PayloadTypes) -> Self {
        let (state_sender, state) = watch::channel(RTCPeerConnectionState::New);
        let (packet_sender, packets) = unbounded_channel();
        let (request_sender, keyframe_requests) = unbounded_channel();
        let mut engine = media_engine(payload_types);
        let registry = register_default_interceptors(Registry::new(), &mut engine)
            .expect("the default interceptors fit the codecs")
            .with(Slot::from(14_000), KeyframeRequests::new(request_sender));
        let peer = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(Events { state: state_sender, packets: packet_sender }))
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build()
            .await
            .expect("a connection over loopback can be built");
        Self { peer: Arc::new(peer), state, packets, keyframe_requests }
    }

    /// Posts the offer and takes the answer; ICE and DTLS go on by themselves.
    async fn join(&self, relay: &Relay, role: Role, stream: &str) -> Created {
        let offer = self.peer.create_offer(None).await.expect("an offer can be made");
        self.peer.set_local_description(offer).await.expect("our own offer is valid");
        let offer = self.peer.local_description().await.expect("it was just set");
        let created = relay.create(role, stream, &offer.sdp).await;
        let answer = RTCSessionDescription::answer(created.answer.clone()).expect("the answer can be parsed");
        self.peer.set_remote_description(answer).await.expect("the answer fits the offer");
        created
    }
}

impl Client {
    /// Waits until ICE and DTLS are through.
    pub(crate) async fn connected(&mut self) {
        let connected = self.state.wait_for(|state| *state == RTCPeerConnectionState::Connected);
        timeout(PATIENCE, connected).await.expect("the client connects").expect("the connection lives");
    }

    /// Ends the connection without telling the relay by HTTP.
    pub(crate) async fn close(&self) {
        self.peer.close().await.expect("a connection can be closed");
    }
}

/// Publishes made-up VP8 and Opus, packet by packet.
pub(crate) struct Publisher {
    pub(crate) client: Client,
    pub(crate) keyframe_requests: UnboundedReceiver<()>,
    video: Arc<TrackLocalStaticRTP>,
    audio: Arc<TrackLocalStaticRTP>,
    frame: usize,
    audio_packet: usize,
}

impl Publisher {
    pub(crate) async fn join(relay: &Relay, stream: &str) -> Self {
        let unconnected = Unconnected::build(PUBLISHER).await;
        let video = local_track(RtpCodecKind::Video, VIDEO_SSRC);
        let audio = local_track(RtpCodecKind::Audio, AUDIO_SSRC);
        for track in [&audio, &video] {
            unconnected.peer.add_track(track.clone() as Arc<dyn TrackLocal>).await.expect("the codec is registered");
            let track = track.clone();
            // Unread events would hold up the connection.
            tokio::spawn(async move { while track.poll().await.is_some() {} });
        }
        let session = unconnected.join(relay, Role::Publisher, stream).await;
        let Unconnected { peer, state, keyframe_requests, .. } = unconnected;
        let client = Client { peer, state, session };
        Self { client, keyframe_requests, video, audio, frame: 0, audio_packet: 0 }
    }

    /// Sends the next video frame, and the audio that belongs beside it; returns the number of the frame.
    pub(crate) async fn send_frame(&mut self) -> usize {
        for packet in 0..PACKETS_A_FRAME {
            let number = self.frame * PACKETS_A_FRAME + packet;
            let marker = packet + 1 == PACKETS_A_FRAME;
            let header = rtp::Header {
                version: 2,
                marker,
                payload_type: PUBLISHER.video,
                // Wraps around early in each test.
                sequence_number: (65_500 + number) as u16,
                timestamp: (self.frame as u32).wrapping_mul(FRAME_TICKS).wrapping_sub(FRAME_TICKS * 10),
                ssrc: VIDEO_SSRC,
                ..Default::default()
            };
            let packet = rtp::Packet { header, payload: vp8_payload(self.frame, packet) };
            self.video.write_rtp(packet).await.expect("the connection lives");
        }
        self.send_audio().await;
        self.frame += 1;
        self.frame - 1
    }

    async fn send_audio(&mut self) {
        let number = self.audio_packet;
        let header = rtp::Header {
            version: 2,
            payload_type: PUBLISHER.audio,
            sequence_number: (65_530 + number) as u16,
            timestamp: (number as u32).wrapping_mul(AUDIO_TICKS),
            ssrc: AUDIO_SSRC,
            ..Default::default()
        };
        let packet = rtp::Packet { header, payload: opus_payload(number) };
        self.audio.write_rtp(packet).await.expect("the connection lives");
        self.audio_packet += 1;
    }

    /// Sends frames at their pace until `until` is done, and returns its answer.
    pub(crate) async fn send_while<T>(&mut self, until: impl Future<Output = T>) -> T {
        self.send_paced_while(|_| true, until).await
    }

    /// The same, but sends a frame only when `may_send` says so of its number.
    pub(crate) async fn send_paced_while<T>(
        &mut self,
        may_send: impl Fn(usize) -> bool,
        until: impl Future<Output = T>,
    ) -> T {
        tokio::pin!(until);
        let mut pace = tokio::time::interval(Duration::from_millis(33));
        loop {
            tokio::select! {
                answer = &mut until => return answer,
                _ = pace.tick() => {
                    if may_send(self.frame) {
                        self.send_frame().await;
                    }
                }
            }
        }
    }

    /// The number of the frame that is sent next.
    pub(crate) fn next_frame(&self) -> usize {
        self.frame
    }
}

/// Watches a stream, and keeps what arrives.
pub(crate) struct Viewer {
    pub(crate) client: Client,
    packets: UnboundedReceiver<rtp::Packet>,
}

impl Viewer {
    pub(crate) async fn join(relay: &Relay, stream: &str) -> Self {
        let unconnected = Unconnected::build(VIEWER).await;
        for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
            let init = RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Recvonly, ..Default::default() };
            unconnected.peer.add_transceiver_from_kind(kind, Some(init)).await.expect("the kind has a codec");
        }
        let session = unconnected.join(relay, Role::Viewer, stream).await;
        let Unconnected { peer, state, packets, .. } = unconnected;
        Self { client: Client { peer, state, session }, packets }
    }

    /// The next packet of either track, in order of arrival.
    pub(crate) async fn packet(&mut self) -> rtp::Packet {
        let packet = timeout(PATIENCE, self.packets.recv()).await.expect("a packet arrives");
        packet.expect("the connection lives")
    }
}
