//! The peer connection of a client: it offers, checks the path and completes DTLS.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use interceptor::{Registry, Slot};
use rtc::dtls::cipher_suite::CipherSuiteId;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::RTCPeerConnectionBuilder;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngine, SettingEngineBuilder};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::shared::error::Error;
use rtc::shared::{TransportContext, TransportProtocol};

use super::config::Config;
use super::media::{self, Track};
use crate::name::Role;
use crate::peer::association::{Association, PeerEvent};
use crate::peer::channels::{Channel, ChannelMessage, Unsent};
use crate::peer::connection::{cipher_suites, protection_profile};
use crate::peer::keys::{KeySpy, SpiedCrypto};
use crate::peer::rtcp_tap::RtcpTap;
use crate::peer::selected_pair;
use crate::reason::DropReason;
use crate::rtcp::Compound;
use crate::sctp::ChannelLimits;
use crate::srtp::SrtpProfile;

/// How often a connected client handles timers: its keepalives are due every 2 s, while webrtc-rs asks to be called
/// every 200 ms.
pub(super) const CONNECTED_TICK: Duration = Duration::from_secs(1);

/// Compounds of RTCP that wait for [`Client::poll_rtcp`]; a caller that does not ask loses the oldest.
const RTCP_LIMIT: usize = 256;

/// Why a client could not be made or could not accept an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// webrtc-rs could not make the offer or did not accept the answer.
    #[error("webrtc-rs refused: {0}")]
    Negotiation(#[from] Error),
    /// The answer does not say which side begins the DTLS handshake.
    #[error("the answer has no a=setup:active or a=setup:passive")]
    NoSetup,
}

/// A publisher or viewer. It gets datagrams and the time, and answers with datagrams and [`PeerEvent`]s.
pub struct Client {
    pub(super) association: Association,
    pub(super) local: SocketAddr,
    pub(super) role: Role,
    pub(super) offer: String,
    /// The earliest time at which a connected client handles timers again.
    pub(super) next_tick: Instant,
    rtcp: VecDeque<BytesMut>,
}

impl Client {
    /// Makes the client and its offer.
    pub fn new(config: &Config<'_>, now: Instant) -> Result<Self, ClientError> {
        Self::with_cipher_suites(config, cipher_suites(true), now)
    }

    /// The same with these DTLS cipher suites, for tests of other clients.
    pub(crate) fn with_cipher_suites(
        config: &Config<'_>,
        cipher_suites: Vec<CipherSuiteId>,
        now: Instant,
    ) -> Result<Self, ClientError> {
        // The `a=max-message-size` that `rtc` offers. The other side is a relay that the caller has chosen.
        let message = SctpMaxMessageSize::DEFAULT_MESSAGE_SIZE as usize;
        let channels = config.application.then_some(ChannelLimits { message, rates: None });
        let crypto = KeySpy::new(config.certificate.provider(), channels);
        let tap = RtcpTap::default();
        let mut connection = RTCPeerConnectionBuilder::new()
            .with_configuration(
                RTCConfigurationBuilder::new().with_certificates(vec![config.certificate.certificate()]).build(),
            )
            .with_media_engine(media::engine(config.codecs, config.extensions)?)
            .with_setting_engine(settings(config.profiles, cipher_suites, Arc::clone(&crypto)))
            .with_interceptor_registry(Registry::new().with(Slot::ReceiverReport, tap.interceptor()))
            .build(now)?;
        media::add_sections(&mut connection, config)?;
        let offer = connection.create_offer(None)?;
        connection.set_local_description(now, offer)?;
        connection.add_local_candidate(selected_pair::host_candidate(config.local)?)?;
        let offer = connection.local_description().map(|offer| offer.sdp).unwrap_or_default();
        let association = Association::new(connection, crypto, tap, false);
        Ok(Self { association, local: config.local, role: config.role, offer, next_tick: now, rtcp: VecDeque::new() })
    }

    /// The offer to POST (RFC 9725 4.2), with its only candidate.
    pub fn offer(&self) -> &str {
        &self.offer
    }

    /// Takes the answer and begins to connect. Returns the tracks that will be sent or received.
    ///
    /// # Errors
    /// [`ClientError`] if the answer has no DTLS role or webrtc-rs refuses it.
    pub fn accept(&mut self, answer: &str, now: Instant) -> Result<Vec<Track>, ClientError> {
        let setup = answer.lines().find_map(|line| line.trim_end().strip_prefix("a=setup:"));
        let is_dtls_client = match setup {
            Some("passive") => true,
            Some("active") => false,
            _ => return Err(ClientError::NoSetup),
        };
        self.association.set_dtls_client(is_dtls_client);
        let description = RTCSessionDescription::answer(answer.to_owned())?;
        self.association.connection().set_remote_description(now, description)?;
        self.association.handle_timeout(now);
        Ok(media::tracks(self.role, &self.offer, answer))
    }

    /// Takes STUN, DTLS or SRTCP, as [`Peer::handle_datagram`](crate::peer::Peer::handle_datagram) and
    /// [`Peer::open_rtcp`](crate::peer::Peer::open_rtcp) do; RTP is not taken.
    pub fn handle_datagram(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        now: Instant,
    ) -> Result<Option<DropReason>, DropReason> {
        let transport = TransportContext {
            local_addr: self.local,
            peer_addr: from,
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        match datagram {
            [0..=3, ..] => {
                self.association.handle_stun(datagram, transport, now);
                Ok(None)
            }
            [128..=191, 192..=223, ..] => self.handle_rtcp(datagram, now),
            _ => self.association.handle_datagram(datagram, transport, now),
        }
    }

    fn handle_rtcp(&mut self, datagram: &[u8], now: Instant) -> Result<Option<DropReason>, DropReason> {
        let mut compound = BytesMut::from(datagram);
        let len = self.association.open_rtcp(&mut compound, now)?.len();
        compound.truncate(len);
        if self.rtcp.len() == RTCP_LIMIT {
            self.rtcp.pop_front();
        }
        self.rtcp.push_back(compound);
        Ok(None)
    }

    /// To be called once `now` has reached [`poll_timeout`](Self::poll_timeout).
    pub fn handle_timeout(&mut self, now: Instant) {
        self.association.handle_timeout(now);
        self.next_tick = now + CONNECTED_TICK;
    }

    /// When the client has something to repeat or to keep alive.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let due = self.association.poll_timeout()?;
        Some(if self.association.is_connected() { due.max(self.next_tick) } else { due })
    }

    /// The next datagram and where it goes.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, BytesMut)> {
        self.association.poll_transmit()
    }

    /// The next compound RTCP packet of the relay (RFC 3550 6.1).
    pub fn poll_rtcp(&mut self) -> Option<BytesMut> {
        self.rtcp.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        self.association.poll_event()
    }

    /// Sends a compound RTCP packet with the next output; nothing before the keys are there.
    pub fn send_rtcp(&mut self, packets: Compound, now: Instant) {
        self.association.send_rtcp(packets, now);
    }

    /// Opens a data channel, unless the other side has opened one of this label; nothing before the keys are there.
    pub fn open_channel(&mut self, channel: &Channel, now: Instant) {
        self.association.open_channel(channel, now);
    }

    /// Sends a message on the data channel of this label: on the other side's own if it opened one.
    ///
    /// # Errors
    /// [`Unsent`]; the message is lost.
    pub fn send_message(&mut self, label: &str, message: &ChannelMessage, now: Instant) -> Result<(), Unsent> {
        self.association.send_message(label, message, now)
    }

    /// Ends the session and leaves a `close_notify` to be sent. No event follows.
    pub fn close(&mut self) {
        self.association.close();
    }
}

pub(super) fn settings(
    profiles: &[SrtpProfile],
    cipher_suites: Vec<CipherSuiteId>,
    crypto: Arc<SpiedCrypto>,
) -> SettingEngine {
    // The caller decides when a relay has been silent for too long; an idle client must not lose its path by itself.
    let never = Some(Duration::ZERO);
    SettingEngineBuilder::new()
        .with_crypto_provider(crypto)
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_ice_timeouts(never, never, Some(Duration::from_secs(2)))
        .with_dtls_cipher_suites(cipher_suites)
        .with_srtp_protection_profiles(profiles.iter().copied().map(protection_profile).collect())
        .build()
}
