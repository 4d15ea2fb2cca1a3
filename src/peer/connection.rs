//! The relay's end of one session's DTLS: opened by the first valid STUN request, and without timers once connected.
//!
//! Negotiation with webrtc-rs is a stub. `sdp` writes the answer and RTP does not go through the connection, so the
//! connection only needs to complete DTLS: it gets a constant offer of one audio section with the client's real
//! credentials, fingerprint and DTLS role, and its answer is discarded. So a join costs the same for every offer. The
//! rule: the connection is boxed, knows no address, and needs no timer after the handshake unless it carries data
//! channels.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use interceptor::{Registry, Slot};
use rtc::crypto::RTCCryptoProvider;
use rtc::dtls::cipher_suite::CipherSuiteId;
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_PCMU, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngine, SettingEngineBuilder};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind};
use rtc::shared::error::Error;

use super::association::{Association, PeerEvent};
use super::certificate::Certificate;
use super::channels::{Channel, ChannelMessage, Unsent};
use super::keys::{KeySpy, SpiedCrypto};
use super::rtcp_tap::RtcpTap;
use super::selected_pair;
use crate::ice::Credentials;
use crate::name::Role;
use crate::reason::DropReason;
use crate::rtcp::Compound;
use crate::sctp::{ChannelLimits, MAX_MESSAGE_SIZE};
use crate::srtp::SrtpProfile;

/// Room for the retransmissions of about two seconds of video.
const SRTP_REPLAY_WINDOW: usize = 4096;
const SRTCP_REPLAY_WINDOW: usize = 1024;

/// What a peer is opened with.
pub(crate) struct Config<'a> {
    /// The credentials of our answer.
    pub(crate) local: &'a Credentials,
    /// The credentials of the client's offer.
    pub(crate) remote: &'a Credentials,
    /// The value of the offer's `a=fingerprint:sha-256`.
    pub(crate) remote_fingerprint: &'a str,
    /// True if our answer says `a=setup:active`: the relay sends the ClientHello.
    pub(crate) dtls_client: bool,
    /// True if our answer accepts `m=application`.
    pub(crate) application: bool,
    /// The role of the session; a publisher may send more on data channels than a viewer.
    pub(crate) role: Role,
    /// The certificate whose fingerprint is in our answer.
    pub(crate) certificate: &'a Certificate,
}

/// Why a peer could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Credentials or fingerprint cannot be written into SDP; `sdp` refuses such an offer.
    #[error("the offer's ICE credentials or fingerprint contain characters that SDP does not allow")]
    Unwritable,
    /// webrtc-rs refused the constant offer.
    #[error("the peer connection could not be set up: {0}")]
    Setup(#[from] Error),
    /// webrtc-rs did not select the constant pair.
    #[error("the peer connection did not take its candidate pair")]
    NoPair,
}

/// One session's peer connection. It gets datagrams and the time, and answers with datagrams and [`PeerEvent`]s.
pub(crate) struct Peer {
    association: Association,
    application: bool,
}

impl Peer {
    /// Builds the connection up to the point where DTLS may begin; takes about 150 µs. As the DTLS client its
    /// ClientHello is ready to be sent afterwards.
    ///
    /// `profile` is the one SRTP profile that is offered to a DTLS client. As the DTLS client itself, a peer that is
    /// opened with GCM also offers SHA1_80 behind it, because there is no ClientHello to learn from.
    pub(crate) fn open(config: &Config<'_>, profile: SrtpProfile, now: Instant) -> Result<Self, OpenError> {
        let provider = config.certificate.provider();
        let channels = config.application.then(|| ChannelLimits::of(config.role, MAX_MESSAGE_SIZE as usize));
        let crypto = KeySpy::new(Arc::clone(&provider), channels);
        let tap = RtcpTap::default();
        let mut connection = build(config, profile, Arc::clone(&crypto), &tap, now)?;
        negotiate(&mut connection, config, now)?;
        let association = Association::new(connection, crypto, tap, config.dtls_client);
        let mut peer = Self { association, application: config.application };
        peer.select_pair(config, provider.as_ref(), now)?;
        Ok(peer)
    }

    /// Takes a DTLS datagram that passed the demultiplexer. `Ok` means that it is authentic, or belongs to the
    /// handshake; with a reason when the SCTP filter dropped a part of it. An error means that all of it was dropped.
    /// Both reasons are for a counter and end no session.
    pub(crate) fn handle_datagram(&mut self, datagram: &[u8], now: Instant) -> Result<Option<DropReason>, DropReason> {
        self.association.handle_datagram(datagram, selected_pair::TRANSPORT, now)
    }

    /// Authenticates and decrypts an SRTCP datagram in place; returns the compound (RFC 3550 6.1), for
    /// [`rtcp`](crate::rtcp).
    ///
    /// # Errors
    /// Why it was dropped, for a counter; it ends no session.
    pub(crate) fn open_rtcp<'a>(&mut self, datagram: &'a mut [u8], now: Instant) -> Result<&'a [u8], DropReason> {
        self.association.open_rtcp(datagram, now)
    }

    /// To be called once `now` has reached [`poll_timeout`](Self::poll_timeout).
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.needs_timer() {
            self.association.handle_timeout(now);
        }
    }

    /// When a handshake message must be repeated; `None` once connected, except with data channels.
    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        if self.needs_timer() { self.association.poll_timeout() } else { None }
    }

    /// The next datagram for the client: DTLS or SRTCP.
    pub(crate) fn poll_transmit(&mut self) -> Option<BytesMut> {
        while let Some((_, datagram)) = self.association.poll_transmit() {
            // STUN: a check of the constant pair, which exists only in the connection.
            if datagram.first().is_some_and(|first| *first > 3) {
                return Some(datagram);
            }
        }
        None
    }

    /// The next event.
    pub(crate) fn poll_event(&mut self) -> Option<PeerEvent> {
        self.association.poll_event()
    }

    /// Sends a compound RTCP packet (RFC 3550 6.1) with the next output; nothing before the keys are there.
    pub(crate) fn send_rtcp(&mut self, packets: Compound, now: Instant) {
        self.association.send_rtcp(packets, now);
    }

    /// Opens a data channel, unless the other side has opened one of this label; nothing before the keys are there.
    pub(crate) fn open_channel(&mut self, channel: &Channel, now: Instant) {
        self.association.open_channel(channel, now);
    }

    /// Sends a message on the data channel of this label: on the other side's own if it opened one.
    ///
    /// # Errors
    /// [`Unsent`]; the message is lost.
    pub(crate) fn send_message(&mut self, label: &str, message: &ChannelMessage, now: Instant) -> Result<(), Unsent> {
        self.association.send_message(label, message, now)
    }

    /// Ends the session and leaves a `close_notify` to be sent. No event follows.
    pub(crate) fn close(&mut self) {
        self.association.close();
    }

    /// The last DTLS alert in clear that arrived before the handshake was done, which may be why it failed. It is not
    /// authentic.
    pub(crate) fn clear_alert(&self) -> Option<String> {
        self.association.clear_alert().map(|alert| alert.to_string())
    }

    fn needs_timer(&self) -> bool {
        self.application || !self.association.is_connected()
    }

    /// The three messages of [`selected_pair`].
    fn select_pair(
        &mut self,
        config: &Config<'_>,
        provider: &dyn RTCCryptoProvider,
        now: Instant,
    ) -> Result<(), OpenError> {
        let transport = selected_pair::TRANSPORT;
        let request = selected_pair::nominating_request(config.local, config.remote, provider.crypto())?;
        self.association.handle_stun(&request, transport, now);
        let (_, check) = self.association.poll_transmit().ok_or(OpenError::NoPair)?;
        let answer = selected_pair::success_answer(&check, config.remote, provider.crypto())?;
        self.association.handle_stun(&answer, transport, now);
        // Only a pair whose check has succeeded can be nominated, so the request is sent twice.
        self.association.handle_stun(&request, transport, now);
        Ok(())
    }
}

fn build(
    config: &Config<'_>,
    profile: SrtpProfile,
    crypto: Arc<SpiedCrypto>,
    tap: &RtcpTap,
    now: Instant,
) -> Result<RTCPeerConnection, Error> {
    let mut media = MediaEngine::default();
    media.register_codec(
        RTCRtpCodecParameters {
            rtp_codec: RTCRtpCodec { mime_type: MIME_TYPE_PCMU.to_owned(), clock_rate: 8000, ..Default::default() },
            payload_type: 0,
        },
        RtpCodecKind::Audio,
    )?;
    let configuration =
        RTCConfigurationBuilder::new().with_certificates(vec![config.certificate.certificate()]).build();
    RTCPeerConnectionBuilder::new()
        .with_configuration(configuration)
        .with_media_engine(media)
        .with_setting_engine(settings(config, profile, crypto))
        .with_interceptor_registry(Registry::new().with(Slot::ReceiverReport, tap.interceptor()))
        .build(now)
}

fn settings(config: &Config<'_>, profile: SrtpProfile, crypto: Arc<SpiedCrypto>) -> SettingEngine {
    let role = if config.dtls_client { RTCDtlsRole::Client } else { RTCDtlsRole::Server };
    let profiles = match profile {
        SrtpProfile::Aes128Gcm if config.dtls_client => vec![SrtpProfile::Aes128Gcm, SrtpProfile::Aes128CmSha1_80],
        only => vec![only],
    };
    let never = Some(Duration::ZERO);
    SettingEngineBuilder::new()
        .with_crypto_provider(crypto)
        .with_lite(true)
        .with_ice_credentials(config.local.ufrag.clone(), config.local.pwd.clone())
        .with_ice_timeouts(never, never, never)
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_srtp_protection_profiles(profiles.into_iter().map(protection_profile).collect())
        .with_srtp_replay_protection_window(SRTP_REPLAY_WINDOW)
        .with_srtcp_replay_protection_window(SRTCP_REPLAY_WINDOW)
        .with_answering_dtls_role(role)
        .with_dtls_cipher_suites(cipher_suites(config.dtls_client))
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE_SIZE))
        .build()
}

/// The DTLS cipher suites: only AEAD ones, because [`super::sctp_filter`] needs them; webrtc-rs by itself also offers
/// AES-256-CBC. The relay's certificate is ECDSA; as the DTLS client it meets RSA certificates too.
pub(super) fn cipher_suites(dtls_client: bool) -> Vec<CipherSuiteId> {
    let ecdsa = [
        CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
        CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
    ];
    let rsa = [
        CipherSuiteId::Tls_Ecdhe_Rsa_With_Aes_128_Gcm_Sha256,
        CipherSuiteId::Tls_Ecdhe_Rsa_With_ChaCha20_Poly1305_Sha256,
    ];
    ecdsa.into_iter().chain(rsa.into_iter().filter(|_| dtls_client)).collect()
}

pub(super) fn protection_profile(profile: SrtpProfile) -> SrtpProtectionProfile {
    match profile {
        SrtpProfile::Aes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        SrtpProfile::Aes128CmSha1_80 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
    }
}

fn negotiate(connection: &mut RTCPeerConnection, config: &Config<'_>, now: Instant) -> Result<(), OpenError> {
    let offer = RTCSessionDescription::offer(stub_offer(config)?)?;
    connection.set_remote_description(now, offer)?;
    let answer = connection.create_answer(None)?;
    connection.set_local_description(now, answer)?;
    connection.add_local_candidate(selected_pair::local_candidate()?)?;
    Ok(())
}

/// The constant offer. Its one media section is sendonly, because the connection shows the state of its DTLS only
/// through a receiver.
fn stub_offer(config: &Config<'_>) -> Result<String, OpenError> {
    let Config { remote: Credentials { ufrag, pwd }, remote_fingerprint, .. } = config;
    let writable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !(writable(ufrag) && writable(pwd) && writable(remote_fingerprint)) {
        return Err(OpenError::Unwritable);
    }
    let setup = if config.dtls_client { "passive" } else { "active" };
    let group = if config.application { "0 1" } else { "0" };
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n\
         a=fingerprint:sha-256 {remote_fingerprint}\r\na=setup:{setup}\r\n"
    );
    let mut offer = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {group}\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n{transport}a=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:0 PCMU/8000\r\n"
    );
    if config.application {
        offer.push_str(&format!(
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{transport}a=mid:1\r\na=sctp-port:5000\r\n\
             a=max-message-size:{MAX_MESSAGE_SIZE}\r\n"
        ));
    }
    Ok(offer)
}
