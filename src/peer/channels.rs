//! Data channels of one peer connection (RFC 8831, RFC 8832), by label: those that either side opened, and messages in
//! both directions.
//!
//! The rule: nothing here queues without a bound. Messages to a reader that does not keep up are lost, and the caller
//! counts them.
//!
//! A channel is passed on as its opener declared it: label, protocol, ordering, and the reliability that the filter of
//! [`crate::sctp`] has read; webrtc-rs 0.21.1 reads it too but does not report it.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit, RTCDataChannelMessage};
use rtc::peer_connection::RTCPeerConnection;
use rtc::peer_connection::event::RTCDataChannelEvent;

use super::sctp_filter::SctpFilter;
use crate::sctp::{MAX_CHANNELS, Reliability};

/// Bytes that may wait in one channel for the other side; a message above that is lost.
const MAX_WAITING: usize = 256 * 1024;

/// A channel as its opener declares it (RFC 8832 5.1). Within a session the label identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its label; may be empty.
    pub label: String,
    /// The subprotocol; may be empty.
    pub protocol: String,
    /// True when messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// Milliseconds for which a message is sent again; `None` for no limit.
    pub max_packet_life_time: Option<u16>,
    /// How often a message is sent again; `None` for no limit.
    pub max_retransmits: Option<u16>,
}

/// One message on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelMessage {
    /// True for text (UTF-8), false for binary.
    pub is_text: bool,
    /// Its bytes.
    pub data: Bytes,
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// The other side has no open channel of this label.
    #[error("no channel of this label is open")]
    NotOpen,
    /// The other side does not keep up.
    #[error("the channel is full")]
    Full,
}

/// The channels of one connection.
#[derive(Debug, Default)]
pub(super) struct Channels {
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    id: RTCDataChannelId,
    label: String,
    is_open: bool,
    is_ours: bool,
}

impl Channels {
    /// Takes an event of the connection; returns a channel that is open now, opened by either side.
    pub(super) fn on_event(
        &mut self,
        event: &RTCDataChannelEvent,
        connection: &mut RTCPeerConnection,
        sctp: &SctpFilter,
    ) -> Option<Channel> {
        match *event {
            RTCDataChannelEvent::OnOpen(id) => {
                let channel = connection.data_channel(id)?;
                let heard = channel.stream_id().map_or(Reliability::Full, |stream| sctp.take_reliability(stream));
                let (max_packet_life_time, max_retransmits) = match heard {
                    Reliability::LifeTime(milliseconds) => (Some(milliseconds), None),
                    Reliability::Retransmits(times) => (None, Some(times)),
                    Reliability::Full => (channel.max_packet_life_time(), channel.max_retransmits()),
                };
                let channel = Channel {
                    label: channel.label().to_owned(),
                    protocol: channel.protocol().to_owned(),
                    ordered: channel.ordered(),
                    max_packet_life_time,
                    max_retransmits,
                };
                let is_full = self.known.len() >= MAX_CHANNELS;
                match self.known.iter_mut().find(|known| known.id == id) {
                    Some(ours) => ours.is_open = true,
                    None if is_full => return None,
                    None => {
                        self.known.push(Known { id, label: channel.label.clone(), is_open: true, is_ours: false });
                    }
                }
                Some(channel)
            }
            RTCDataChannelEvent::OnClose(id) | RTCDataChannelEvent::OnClosing(id) => {
                self.known.retain(|known| known.id != id);
                None
            }
            _ => None,
        }
    }

    /// The label of a channel that a message came on.
    pub(super) fn label(&self, id: RTCDataChannelId) -> Option<&str> {
        self.known.iter().find(|known| known.id == id).map(|known| known.label.as_str())
    }

    /// Opens a channel towards the other side, unless it has one of this label already.
    pub(super) fn open(&mut self, channel: &Channel, connection: &mut RTCPeerConnection) {
        if self.known.len() >= MAX_CHANNELS || self.known.iter().any(|known| known.label == channel.label) {
            return;
        }
        let init = RTCDataChannelInit {
            ordered: channel.ordered,
            max_packet_life_time: channel.max_packet_life_time,
            max_retransmits: channel.max_retransmits,
            protocol: channel.protocol.clone(),
            ..RTCDataChannelInit::default()
        };
        // An error means that the connection is closed or has no stream left; the channel is then not forwarded.
        if let Ok(opened) = connection.create_data_channel(&channel.label, Some(init)) {
            self.known.push(Known { id: opened.id(), label: channel.label.clone(), is_open: false, is_ours: true });
        }
    }

    /// Sends on the channel of this label: on the other side's own if it opened one, else on the relay's.
    pub(super) fn send(
        &mut self,
        label: &str,
        message: &ChannelMessage,
        connection: &mut RTCPeerConnection,
        now: Instant,
    ) -> Result<(), Unsent> {
        let open = self.known.iter().filter(|known| known.is_open && known.label == label);
        let known = open.min_by_key(|known| known.is_ours).ok_or(Unsent::NotOpen)?;
        let mut channel = connection.data_channel(known.id).ok_or(Unsent::NotOpen)?;
        if channel.outstanding_bytes() + message.data.len() > MAX_WAITING {
            return Err(Unsent::Full);
        }
        let sent = match std::str::from_utf8(&message.data) {
            Ok(text) if message.is_text => channel.send_text(now, text),
            _ => channel.send(now, BytesMut::from(&message.data[..])),
        };
        sent.map_err(|_| Unsent::Full)
    }
}

/// A message of webrtc-rs as the relay's own type.
pub(super) fn message(message: RTCDataChannelMessage) -> ChannelMessage {
    ChannelMessage { is_text: message.is_string, data: message.data.freeze() }
}
