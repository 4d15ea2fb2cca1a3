//! One webrtc-rs peer connection as the relay uses it: DTLS datagrams in, datagrams and events out; and the RTCP of its
//! other side, which is opened beside the connection.
//!
//! It turns what webrtc-rs reports in several places (its events, the state of its transport, the alerts that it
//! writes, the cryptography that it calls) into one list of events. [`Peer`](super::Peer) and
//! [`Client`](super::client::Client) are built on it. The rules: a session ends only with an authentic alert, a failed
//! handshake or a violation of SCTP; after the end nothing goes in. Alerts in clear, which anybody can write, never
//! reach webrtc-rs. After the handshake only encrypted data does (RFC 6347 4.1.2.7), and a few repetitions of the other
//! side's last flight.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use rtc::peer_connection::RTCPeerConnection;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::RTCDtlsTransportState;
use rtc::rtp_transceiver::{RTCRtpReceiverId, RTCRtpSenderId};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext};
use rtc::statistics::StatsSelector;

use super::channels;
use super::channels::{Channel, ChannelMessage, Channels, Unsent};
use super::keys::{KeySpy, SpiedCrypto};
use super::rtcp_intake::RtcpIntake;
use super::rtcp_tap::RtcpTap;
use crate::dtls::{Alert, HANDSHAKE, RecordAlert, keep_records};
use crate::reason::DropReason;
use crate::rtcp::Compound;
use crate::sctp::Violation;
use crate::srtp::{Keys, SrtpProfile};

/// Datagrams with handshake records that webrtc-rs gets after the handshake: it answers the other side's last flight
/// with its own (RFC 6347 4.2.4). The relay's peers get none, because the demultiplexer repeats flights itself.
const REPEATED_FLIGHTS: u8 = 8;

/// What happened to a peer.
#[derive(Debug)]
pub enum PeerEvent {
    /// DTLS has completed with the right fingerprint; the keys of the session's SRTP (RFC 5764 4.2).
    Connected(Keys),
    /// A data channel is open, opened by either side.
    ChannelOpened(Channel),
    /// A message arrived on the data channel of this label.
    ChannelMessage(String, ChannelMessage),
    /// The other side closed the connection (DTLS `close_notify`). Nothing follows.
    Closed,
    /// The other side violated SCTP or data channel rules, so the session must end. Nothing follows.
    Misused(Violation),
    /// The handshake ended without an alert of either side: the other side did not answer, or its messages did not
    /// complete. Nothing follows.
    Unanswered,
    /// The handshake failed or an authentic fatal alert arrived; the reason, for the log. Nothing follows.
    Failed(String),
}

enum State {
    Handshaking,
    Connected(Box<RtcpIntake>),
    Ended,
}

/// A sender or receiver, through which alone webrtc-rs shows the DTLS transport of a connection.
#[derive(Clone, Copy)]
enum TransportHandle {
    Sender(RTCRtpSenderId),
    Receiver(RTCRtpReceiverId),
}

pub(super) struct Association {
    /// 8.5 KiB, so boxed: peers move between maps.
    connection: Box<RTCPeerConnection>,
    crypto: Arc<SpiedCrypto>,
    tap: RtcpTap,
    channels: Channels,
    is_dtls_client: bool,
    state: State,
    /// The last alert in clear of the handshake, for the log. It may be forged, so it ends nothing.
    clear_alert: Option<Alert>,
    /// How many of [`REPEATED_FLIGHTS`] are left; 0 once authentic data shows that our last flight has arrived.
    repeated_flights: u8,
    outputs: VecDeque<(SocketAddr, BytesMut)>,
    events: VecDeque<PeerEvent>,
}

impl Association {
    /// Wraps a connection that was built with `crypto` as its crypto provider and `tap` as its only interceptor.
    pub(super) fn new(
        connection: RTCPeerConnection,
        crypto: Arc<SpiedCrypto>,
        tap: RtcpTap,
        is_dtls_client: bool,
    ) -> Self {
        let (outputs, events) = (VecDeque::new(), VecDeque::new());
        let connection = Box::new(connection);
        let channels = Channels::default();
        Self {
            connection,
            crypto,
            tap,
            channels,
            is_dtls_client,
            state: State::Handshaking,
            clear_alert: None,
            repeated_flights: REPEATED_FLIGHTS,
            outputs,
            events,
        }
    }

    pub(super) fn connection(&mut self) -> &mut RTCPeerConnection {
        &mut self.connection
    }

    pub(super) fn set_dtls_client(&mut self, is_dtls_client: bool) {
        self.is_dtls_client = is_dtls_client;
    }

    fn spy(&self) -> &KeySpy {
        self.crypto.observer()
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Takes DTLS: see [`Peer::handle_datagram`](super::Peer::handle_datagram).
    pub(super) fn handle_datagram(
        &mut self,
        datagram: &[u8],
        transport: TransportContext,
        now: Instant,
    ) -> Result<Option<DropReason>, DropReason> {
        self.spy().trials().begin(self.is_connected());
        match datagram {
            _ if self.has_ended() => Err(DropReason::UnknownPath),
            [20..=63, ..] => self.handle_dtls(datagram, transport, now),
            _ => Err(DropReason::Unrecognised),
        }
    }

    /// Takes SRTCP: see [`Peer::open_rtcp`](super::Peer::open_rtcp).
    pub(super) fn open_rtcp<'a>(&mut self, datagram: &'a mut [u8], now: Instant) -> Result<&'a [u8], DropReason> {
        match &mut self.state {
            State::Connected(rtcp) => rtcp.open(datagram, now),
            State::Handshaking => Err(DropReason::NoKeys),
            State::Ended => Err(DropReason::UnknownPath),
        }
    }

    /// Takes STUN. The relay's own peers get only the messages of [`selected_pair`](super::selected_pair).
    pub(super) fn handle_stun(&mut self, datagram: &[u8], transport: TransportContext, now: Instant) {
        if self.has_ended() {
            return;
        }
        self.feed(datagram, transport, now);
        self.advance(now);
        if !self.is_connected() {
            // As the DTLS client it writes its ClientHello when a pair is selected, and sends it with its next timeout.
            self.handle_timeout(now);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.has_ended() {
            return;
        }
        let result = self.connection.handle_timeout(now);
        // It may have written an alert before its error, which says more.
        self.advance(now);
        if let Err(error) = result {
            self.break_off(error.to_string());
        }
    }

    /// The last alert in clear that arrived before the handshake was done.
    pub(super) fn clear_alert(&self) -> Option<Alert> {
        self.clear_alert
    }

    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        if self.has_ended() { None } else { self.connection.poll_timeout() }
    }

    pub(super) fn poll_transmit(&mut self) -> Option<(SocketAddr, BytesMut)> {
        self.outputs.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<PeerEvent> {
        let event = self.events.pop_front();
        if let Some(PeerEvent::Connected(_)) = &event {
            // A connected peer needs less room than a handshake, which matters with a thousand peers.
            self.events.shrink_to_fit();
            self.outputs.shrink_to_fit();
        }
        event
    }

    pub(super) fn send_rtcp(&mut self, packets: Compound, now: Instant) {
        if self.is_connected() {
            self.tap.send(packets, now);
            self.collect_outputs();
        }
    }

    /// Opens a data channel, unless the other side has one of this label already.
    pub(super) fn open_channel(&mut self, channel: &Channel, now: Instant) {
        if self.is_connected() {
            self.channels.open(channel, &mut self.connection);
            self.handle_timeout(now);
        }
    }

    /// Sends a message on the data channel of this label.
    pub(super) fn send_message(&mut self, label: &str, message: &ChannelMessage, now: Instant) -> Result<(), Unsent> {
        if !self.is_connected() {
            return Err(Unsent::NotOpen);
        }
        self.channels.send(label, message, &mut self.connection, now)?;
        // webrtc-rs sends what was written with its next timeout.
        self.handle_timeout(now);
        Ok(())
    }

    pub(super) fn close(&mut self) {
        if self.has_ended() {
            return;
        }
        // The only error is that it was closed before.
        let _ = self.connection.close();
        self.state = State::Ended;
        self.events.clear();
        self.collect_outputs();
    }

    /// Takes DTLS. The records are parsed here although the demultiplexer has parsed them: the client half has no
    /// demultiplexer, and which records webrtc-rs may get depends on the state of this connection.
    fn handle_dtls(
        &mut self,
        datagram: &[u8],
        transport: TransportContext,
        now: Instant,
    ) -> Result<Option<DropReason>, DropReason> {
        if !self.is_connected() {
            let mut alert = None;
            let kept = keep_records(datagram, |record| match Alert::of(record) {
                Some(RecordAlert::Plaintext(found)) => {
                    alert.get_or_insert(found);
                    false
                }
                _ => true,
            });
            self.clear_alert = alert.or(self.clear_alert);
            let datagram = kept.as_deref().unwrap_or(datagram);
            if datagram.is_empty() {
                return Err(DropReason::ClearDtls);
            }
            self.feed(datagram, transport, now);
        } else {
            self.handle_established(datagram, transport, now)?;
        }
        self.advance(now);
        // webrtc-rs sends its answer to a wrong datagram, such as an alert, with its next timeout.
        self.handle_timeout(now);
        if let Some(violation) = self.spy().sctp().take_violation() {
            self.end(PeerEvent::Misused(violation));
        }
        Ok(self.spy().sctp().take_loss())
    }

    /// Takes DTLS after the handshake. An error means that nothing has changed.
    fn handle_established(
        &mut self,
        datagram: &[u8],
        transport: TransportContext,
        now: Instant,
    ) -> Result<(), DropReason> {
        let mut repeats = false;
        let kept = keep_records(datagram, |record| {
            let is_repeated = self.repeated_flights > 0 && record.content_type == HANDSHAKE;
            repeats |= is_repeated;
            record.is_sealed_data() || is_repeated
        });
        let datagram = kept.as_deref().unwrap_or(datagram);
        if datagram.is_empty() {
            return Err(DropReason::ClearDtls);
        }
        self.feed(datagram, transport, now);
        match (repeats, self.spy().trials().opened()) {
            (true, _) => self.repeated_flights -= 1,
            (false, 0) => return Err(DropReason::UnauthenticDtls),
            (false, _) => self.repeated_flights = 0,
        }
        Ok(())
    }

    fn feed(&mut self, datagram: &[u8], transport: TransportContext, now: Instant) {
        self.spy().sctp().set_now(now);
        // The result says nothing about the datagram: each layer logs its error and continues.
        let _ = self.connection.handle_read(TaggedBytesMut { now, transport, message: BytesMut::from(datagram) });
    }

    /// Runs the connection's layers and collects their events, messages and datagrams.
    fn advance(&mut self, now: Instant) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(RTCPeerConnectionState::Connected) => {
                    self.connected(now);
                }
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(RTCPeerConnectionState::Failed) => {
                    self.break_off("the path to the other side was lost".to_owned());
                }
                RTCPeerConnectionEvent::OnDataChannel(event) => {
                    let opened = self.channels.on_event(&event, &mut self.connection, self.crypto.observer().sctp());
                    self.events.extend(opened.map(PeerEvent::ChannelOpened));
                }
                _ => {}
            }
        }
        while let Some(message) = self.connection.poll_read() {
            if let RTCMessage::DataChannelMessage(id, message) = message.message
                && let Some(label) = self.channels.label(id)
            {
                self.events.push_back(PeerEvent::ChannelMessage(label.to_owned(), channels::message(message)));
            }
        }
        self.collect_outputs();
    }

    fn connected(&mut self, now: Instant) {
        if !matches!(self.state, State::Handshaking) {
            return;
        }
        let keys = self.negotiated_profile(now).and_then(|profile| self.spy().take(profile, self.is_dtls_client));
        match keys {
            Some(keys) => {
                self.state = State::Connected(Box::new(RtcpIntake::new(&keys.remote)));
                self.events.push_back(PeerEvent::Connected(keys));
            }
            // Only a webrtc-rs that derives keys in another way; the tests of this module fail with such a version.
            None => self.end(PeerEvent::Failed("the SRTP keys of the DTLS connection were not seen".to_owned())),
        }
    }

    fn negotiated_profile(&mut self, now: Instant) -> Option<SrtpProfile> {
        let report = self.connection.get_stats(now, StatsSelector::None);
        match report.transport()?.srtp_cipher.as_str() {
            "SRTP_AEAD_AES_128_GCM" => Some(SrtpProfile::Aes128Gcm),
            "SRTP_AES128_CM_HMAC_SHA1_80" => Some(SrtpProfile::Aes128CmSha1_80),
            _ => None,
        }
    }

    fn collect_outputs(&mut self) {
        while let Some(output) = self.connection.poll_write() {
            let datagram = output.message;
            let end = match Alert::find(&datagram) {
                Some(RecordAlert::Plaintext(alert)) if alert.is_complaint() => continue,
                Some(RecordAlert::Plaintext(alert)) if alert.fatal => {
                    Some(PeerEvent::Failed(format!("the DTLS handshake was refused: {alert}")))
                }
                // webrtc-rs answers each authentic alert with an alert, and otherwise sends none after the handshake.
                Some(RecordAlert::Encrypted) => Some(match self.dtls_state() {
                    Some(RTCDtlsTransportState::Closed) => PeerEvent::Closed,
                    _ => PeerEvent::Failed("a DTLS alert ended the connection".to_owned()),
                }),
                _ => None,
            };
            self.outputs.push_back((output.transport.peer_addr, datagram));
            if let Some(event) = end {
                self.end(event);
            }
        }
    }

    fn dtls_state(&mut self) -> Option<RTCDtlsTransportState> {
        let receiver = self.connection.get_receivers().next().map(TransportHandle::Receiver);
        let sender = self.connection.get_senders().next().map(TransportHandle::Sender);
        match receiver.or(sender)? {
            TransportHandle::Receiver(id) => Some(self.connection.rtp_receiver(id)?.transport()?.state()),
            TransportHandle::Sender(id) => Some(self.connection.rtp_sender(id)?.transport()?.state()),
        }
    }

    /// Ends a connection for which no alert says why. During the handshake, webrtc-rs gives up in this way once it has
    /// repeated a flight 7 times, whatever its error says.
    fn break_off(&mut self, error: String) {
        self.end(match self.state {
            State::Handshaking => PeerEvent::Unanswered,
            State::Connected(_) | State::Ended => PeerEvent::Failed(error),
        });
    }

    fn end(&mut self, event: PeerEvent) {
        if !self.has_ended() {
            self.state = State::Ended;
            self.events.push_back(event);
        }
    }
}
