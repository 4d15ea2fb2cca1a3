//! One client of a relay in virtual time, and what it received.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use sluice::name::SessionId;
use sluice::peer::client::{Client, Track};
use sluice::peer::{Channel, ChannelMessage, PeerEvent};
use sluice::rtcp::Compound;
use sluice::srtp::{Opener, Sealer, SrtpProfile};

use super::RELAY;
use super::lane::is_rtp;

/// One client.
pub(crate) struct NetClient {
    pub(crate) peer: Client,
    pub(crate) session: SessionId,
    pub(crate) address: SocketAddr,
    pub(crate) tracks: Vec<Track>,
    pub(crate) opener: Option<Opener>,
    pub(crate) sealer: Option<Sealer>,
    pub(crate) profile: Option<SrtpProfile>,
    pub(crate) received: Vec<Received>,
    pub(crate) rtcp: Vec<Compound>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) messages: Vec<(String, ChannelMessage)>,
    pub(crate) closed: bool,
    pub(crate) gone: bool,
    /// Its process or network is down: nothing arrives from it or reaches it.
    pub(crate) away: bool,
    pub(crate) next_index: HashMap<u32, u64>,
    /// The header extension of its packets, with the four octets in front; empty for none.
    pub(crate) says: Vec<u8>,
    /// The contributing sources that its packets name.
    pub(crate) csrcs: Vec<u32>,
    /// Octets of padding behind each payload (RFC 3550 5.1); 0 for none.
    pub(crate) padding: u8,
    /// What it has published, by SSRC and sequence number, if it is to answer NACKs.
    pub(crate) sent: Option<HashMap<(u32, u16), Vec<u8>>>,
}

/// One RTP packet as a viewer got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) at: Instant,
    pub(crate) ssrc: u32,
    pub(crate) index: u64,
    pub(crate) payload_type: u8,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Vec<u8>,
    /// The elements of its header extension: ids and values.
    pub(crate) elements: Vec<(u8, Vec<u8>)>,
    pub(crate) sealed: Vec<u8>,
}

impl NetClient {
    /// The next packet of a track, sealed.
    pub(crate) fn seal(&mut self, track: usize, timestamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
        let Track { payload_type, ssrc, .. } = &self.tracks[track];
        let ssrc = ssrc.expect("a publisher has an SSRC for each track");
        let index = self.next_index.entry(ssrc).or_insert(1000);
        let extension_bit = if self.says.is_empty() { 0 } else { 0x10 };
        let padding_bit = if self.padding == 0 { 0 } else { 0x20 };
        let flags = 0x80 | padding_bit | extension_bit | self.csrcs.len() as u8;
        let mut packet = vec![flags, *payload_type | u8::from(marker) << 7];
        packet.extend((*index as u16).to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend(self.csrcs.iter().flat_map(|csrc| csrc.to_be_bytes()));
        packet.extend(&self.says);
        let header_len = packet.len();
        packet.extend(payload);
        packet.resize(packet.len() + usize::from(self.padding), self.padding);
        let len = packet.len();
        packet.resize(len + 32, 0);
        let sealer = self.sealer.as_mut().expect("the publisher is connected");
        let sealed = sealer.seal(&mut packet, header_len, len, *index).expect("there is room for the tag");
        packet.truncate(sealed);
        if let Some(sent) = &mut self.sent {
            sent.insert((ssrc, *index as u16), packet.clone());
        }
        *index += 1;
        packet
    }

    /// True once DTLS has completed.
    pub(crate) fn is_connected(&self) -> bool {
        self.opener.is_some()
    }

    /// A datagram of the relay reaches it.
    pub(super) fn take(&mut self, datagram: &[u8], now: Instant) {
        let Some(opener) = self.opener.as_mut().filter(|_| is_rtp(datagram)) else {
            let _ = self.peer.handle_datagram(datagram, RELAY, now);
            return;
        };
        let mut opened_in = datagram.to_vec();
        if let Ok(opened) = opener.open(&mut opened_in) {
            self.received.push(Received {
                at: now,
                ssrc: opened.ssrc,
                index: opened.index,
                payload_type: opened.payload_type,
                timestamp: opened.timestamp,
                marker: opened.marker,
                elements: opened.extension.map_or(Vec::new(), |extension| {
                    extension.elements(datagram).map(|(id, value)| (id, value.to_vec())).collect()
                }),
                payload: opened_in[opened.payload].to_vec(),
                sealed: datagram.to_vec(),
            });
        }
    }

    /// Keeps the events of its peer.
    pub(super) fn take_events(&mut self) {
        while let Some(mut compound) = self.peer.poll_rtcp() {
            self.rtcp.push(rtcp::packet::unmarshal(&mut compound).unwrap_or_default());
        }
        while let Some(event) = self.peer.poll_event() {
            match event {
                PeerEvent::Connected(keys) => {
                    self.profile = Some(keys.local.profile);
                    self.opener = Some(Opener::new(&keys.remote));
                    self.sealer = Some(Sealer::new(&keys.local));
                }
                PeerEvent::ChannelOpened(channel) => self.channels.push(channel),
                PeerEvent::ChannelMessage(label, message) => self.messages.push((label, message)),
                PeerEvent::Closed | PeerEvent::Unanswered | PeerEvent::Failed(_) | PeerEvent::Misused(_) => {
                    self.closed = true
                }
            }
        }
    }
}
