//! A viewer of video that sends NACKs as a receive-only Chromium does (at once, then every 100 ms, ten times), and a
//! publisher that answers the NACKs of the relay.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use sluice::forward::codec::Kind;

use crate::broadcast::track;
use crate::net::{NUMBER, Net};

const AGAIN: Duration = Duration::from_millis(100);
const TRIES: u8 = 10;

/// One viewer's reception of video.
pub(crate) struct Receiver {
    pub(crate) client: usize,
    /// How many of the client's packets have been looked at.
    seen: usize,
    /// By number of the line: when it came first, and the publisher's number in it.
    pub(crate) arrived: BTreeMap<u64, (Instant, u32)>,
    /// The missing packets: when to send the next NACK, and how many were sent.
    missing: BTreeMap<u64, (Instant, u8)>,
    /// Octets on the lines of the media and of the resends.
    pub(crate) octets: [u64; 2],
    /// When it asked, for each packet each time.
    pub(crate) asked: Vec<Instant>,
}

impl Receiver {
    pub(crate) fn new(client: usize) -> Self {
        Self { client, seen: 0, arrived: BTreeMap::new(), missing: BTreeMap::new(), octets: [0; 2], asked: Vec::new() }
    }

    /// Reads what has arrived, and sends NACKs for what is missing.
    pub(crate) fn poll(&mut self, net: &mut Net) {
        let now = net.now;
        let client = &net.clients[self.client];
        let video = &client.tracks[track(client, Kind::Video)];
        let (ssrc, rtx_ssrc) = (video.ssrc.expect("the answer names it"), video.rtx_ssrc);
        for packet in &client.received[self.seen..] {
            let (index, payload) = if packet.ssrc == ssrc {
                self.octets[0] += packet.sealed.len() as u64;
                (packet.index, &packet.payload[..])
            } else if Some(packet.ssrc) == rtx_ssrc {
                self.octets[1] += packet.sealed.len() as u64;
                let (original, payload) = packet.payload.split_first_chunk().expect("RFC 4588 4");
                let highest = *self.arrived.last_key_value().expect("a resend is of something").0;
                let behind = (highest as u16).wrapping_sub(u16::from_be_bytes(*original));
                (highest.wrapping_add_signed(-i64::from(behind as i16)), payload)
            } else {
                continue;
            };
            let number = u32::from_be_bytes(payload[NUMBER..NUMBER + 4].try_into().expect("four octets"));
            if let Some((highest, _)) = self.arrived.last_key_value() {
                self.missing.extend((highest + 1..index).map(|missing| (missing, (now, 0))));
            }
            self.missing.remove(&index);
            let before = self.arrived.entry(index).or_insert((packet.at, number));
            assert_eq!(before.1, number, "a resend of {index} has what was sent with it");
        }
        self.seen = client.received.len();
        self.ask(net, ssrc);
    }

    fn ask(&mut self, net: &mut Net, media_ssrc: u32) {
        let now = net.now;
        let mut nacks = Vec::new();
        for (index, (due, tries)) in self.missing.iter_mut().filter(|(_, (due, tries))| *due <= now && *tries < TRIES) {
            (*due, *tries) = (now + AGAIN, *tries + 1);
            nacks.push(NackPair::new(*index as u16));
            self.asked.push(now);
        }
        if !nacks.is_empty() {
            let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks };
            net.clients[self.client].peer.send_rtcp(vec![Box::new(nack)], now);
        }
    }
}

/// Sends again what the relay asks a publisher for, in-band.
pub(crate) struct Answers {
    client: usize,
    seen: usize,
}

impl Answers {
    /// From now on.
    pub(crate) fn new(net: &mut Net, client: usize) -> Self {
        net.clients[client].sent.get_or_insert_default();
        Self { client, seen: net.clients[client].rtcp.len() }
    }

    pub(crate) fn poll(&mut self, net: &mut Net) {
        let client = &net.clients[self.client];
        let nacks: Vec<_> = client.rtcp[self.seen..]
            .iter()
            .flatten()
            .filter_map(|packet| packet.as_any().downcast_ref::<TransportLayerNack>())
            .flat_map(|nack| nack.nacks.iter().flat_map(|pair| *pair).map(|sequence| (nack.media_ssrc, sequence)))
            .collect();
        self.seen = client.rtcp.len();
        for asked in nacks {
            let again = net.clients[self.client].sent.as_ref().and_then(|sent| sent.get(&asked)).cloned();
            if let Some(datagram) = again {
                net.deliver(self.client, datagram);
            }
        }
    }
}
