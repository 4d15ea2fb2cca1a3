//! webrtc-rs's own way from a track to the wire, as the baseline: one peer connection a viewer, each with a sender that
//! is given every packet.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_VP8, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCDtlsRole, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpSenderId, RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use sluice::forward::codec::Codec;
use sluice::name::Role;
use sluice::peer::Certificate;
use sluice::peer::client::{Client, Config};
use sluice::srtp::SrtpProfile;

const PAYLOAD_TYPE: u8 = 96;
const SSRC: u32 = 0x5eed_0001;

/// What stands between the sender and SRTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interceptors {
    /// Nothing: the least that webrtc-rs can cost.
    None,
    /// What `register_default_interceptors` gives: reports, a NACK responder, transport-wide feedback.
    Default,
}

/// The viewers' peer connections.
pub(crate) struct Senders {
    now: Instant,
    senders: Vec<(Box<RTCPeerConnection>, RTCRtpSenderId)>,
    sequence: u16,
    payload: Bytes,
}

impl Senders {
    /// Connects `count` viewers.
    pub(crate) fn connected(count: usize, interceptors: Interceptors) -> Self {
        let certificate = Certificate::generate().expect("a certificate can be made");
        let mut now = Instant::now();
        let connect = |_| connect(interceptors, &certificate, &mut now);
        let senders = (0..count).map(connect).collect();
        Self { now, senders, sequence: 0, payload: Bytes::from(vec![7; super::relay::PAYLOAD]) }
    }

    /// Writes packets to every viewer's track and takes the datagrams that come of it; returns how many.
    pub(crate) fn forward(&mut self, packets: usize) -> usize {
        let mut datagrams = 0;
        let first = self.sequence;
        self.sequence = self.sequence.wrapping_add(packets as u16);
        for (connection, sender) in &mut self.senders {
            for number in 0..packets {
                let header = rtp::Header {
                    version: 2,
                    marker: number + 1 == packets,
                    payload_type: PAYLOAD_TYPE,
                    sequence_number: first.wrapping_add(number as u16),
                    timestamp: u32::from(first) * 3000,
                    ssrc: SSRC,
                    ..Default::default()
                };
                let packet = rtp::Packet { header, payload: self.payload.clone() };
                let mut sender = connection.rtp_sender(*sender).expect("the connection has the sender");
                sender.write_rtp(self.now, packet).expect("the connection takes its own packets");
                while let Some(datagram) = connection.poll_write() {
                    datagrams += 1;
                    black_box(datagram);
                }
            }
        }
        datagrams
    }
}

fn connect(
    interceptors: Interceptors,
    certificate: &Certificate,
    now: &mut Instant,
) -> (Box<RTCPeerConnection>, RTCRtpSenderId) {
    let (relay, viewer) = (SocketAddr::from(([10, 0, 0, 1], 8081)), SocketAddr::from(([10, 0, 0, 2], 5000)));
    let config = Config {
        role: Role::Viewer,
        codecs: &[Codec::Vp8],
        application: false,
        extensions: sluice::peer::client::EXTENSIONS,
        profiles: &[SrtpProfile::Aes128Gcm],
        local: viewer,
        certificate,
    };
    let mut client = Client::new(&config, *now).expect("the client makes an offer");
    let (mut connection, sender) = answering(interceptors, *now);
    let offer = RTCSessionDescription::offer(client.offer().to_owned()).expect("the offer is SDP");
    connection.set_remote_description(*now, offer).expect("webrtc-rs takes its own offer");
    let answer = connection.create_answer(None).expect("webrtc-rs answers");
    connection.set_local_description(*now, answer).expect("webrtc-rs takes its own answer");
    connection.add_local_candidate(candidate(relay)).expect("the candidate is one");
    let answer = connection.local_description().expect("it was set").sdp;
    client.accept(&answer, *now).expect("webrtc-rs takes its own answer");

    for _ in 0..200 {
        while let Some((_, message)) = client.poll_transmit() {
            let transport = TransportContext {
                local_addr: relay,
                peer_addr: viewer,
                transport_protocol: TransportProtocol::UDP,
                ecn: None,
            };
            let _ =
                connection.handle_read(TaggedBytesMut { now: *now, transport, message: BytesMut::from(&message[..]) });
        }
        let is_connected = std::iter::from_fn(|| connection.poll_event()).any(|event| {
            let connected = RTCPeerConnectionState::Connected;
            matches!(event, RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) if state == connected)
        });
        while let Some(output) = connection.poll_write() {
            let _ = client.handle_datagram(&output.message, relay, *now);
        }
        if is_connected {
            return (connection, sender);
        }
        *now += Duration::from_millis(20);
        client.handle_timeout(*now);
        connection.handle_timeout(*now).expect("the connection lives");
    }
    panic!("webrtc-rs does not connect to itself");
}

fn answering(interceptors: Interceptors, now: Instant) -> (Box<RTCPeerConnection>, RTCRtpSenderId) {
    let codec = RTCRtpCodec { mime_type: MIME_TYPE_VP8.to_owned(), clock_rate: 90_000, ..Default::default() };
    let mut media = MediaEngine::default();
    let parameters = RTCRtpCodecParameters { rtp_codec: codec.clone(), payload_type: PAYLOAD_TYPE };
    media.register_codec(parameters, RtpCodecKind::Video).expect("VP8 can be registered");
    let mut registry = Registry::new();
    if interceptors == Interceptors::Default {
        registry = register_default_interceptors(registry, &mut media).expect("they can be registered");
    }
    let gcm = rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
    let settings = SettingEngineBuilder::new()
        .with_lite(true)
        .with_answering_dtls_role(RTCDtlsRole::Server)
        .with_srtp_protection_profiles(vec![gcm])
        .build();
    let connection = RTCPeerConnectionBuilder::new()
        .with_media_engine(media)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .build(now);
    let mut connection = Box::new(connection.expect("webrtc-rs builds a connection"));
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(SSRC), ..Default::default() },
        codec,
        active: true,
        ..Default::default()
    };
    let name = "bench".to_owned();
    let track = MediaStreamTrack::new(name.clone(), name.clone(), name, RtpCodecKind::Video, vec![encoding]);
    let init = RTCRtpTransceiverInit {
        direction: RTCRtpTransceiverDirection::Sendonly,
        streams: Vec::new(),
        send_encodings: Vec::new(),
    };
    connection.add_transceiver_from_track(track, Some(init)).expect("a track can be added");
    let sender = connection.get_senders().next().expect("the track has a sender");
    (connection, sender)
}

fn candidate(local: SocketAddr) -> rtc::peer_connection::transport::RTCIceCandidateInit {
    let base_config = CandidateConfig {
        network: "udp".to_owned(),
        address: local.ip().to_string(),
        port: local.port(),
        component: 1,
        ..Default::default()
    };
    let candidate = CandidateHostConfig { base_config, ..Default::default() }.new_candidate_host();
    RTCIceCandidate::from(&candidate.expect("an address makes a candidate")).to_json().expect("it can be written")
}
