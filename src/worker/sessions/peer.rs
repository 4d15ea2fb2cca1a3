//! What passes between a session and its peer: datagrams in, events and datagrams out.

use std::time::Instant;

use super::session::Session;
use crate::demux::{Demux, Key};
use crate::peer::{Peer, PeerEvent};
use crate::reason::DropReason;
use crate::worker::net::small_datagrams::SmallDatagrams;
use crate::worker::stats::counters::Counters;

impl Session {
    /// Gives a datagram to the peer; false if the peer refused it.
    pub(crate) fn feed_peer(&mut self, datagram: &[u8], counters: &mut Counters, now: Instant) -> bool {
        let Some(peer) = &mut self.peer else {
            counters.drop(DropReason::NoKeys);
            return false;
        };
        let taken = peer.handle_datagram(datagram, now);
        if let Ok(Some(reason)) | Err(reason) = taken {
            counters.drop(reason);
        }
        taken.is_ok()
    }

    /// Opens the client's RTCP in place; `None` if the peer refused it.
    pub(crate) fn open_rtcp<'a>(
        &mut self,
        datagram: &'a mut [u8],
        counters: &mut Counters,
        now: Instant,
    ) -> Option<&'a [u8]> {
        let opened = match &mut self.peer {
            Some(peer) => peer.open_rtcp(datagram, now),
            None => Err(DropReason::NoKeys),
        };
        opened.map_err(|reason| counters.drop(reason)).ok()
    }

    /// The peer's next event.
    pub(crate) fn poll_event(&mut self) -> Option<PeerEvent> {
        self.peer.as_mut()?.poll_event()
    }

    /// Moves the peer's output to the socket's queue, by the demultiplexer, which knows its path and repeats lost
    /// flights.
    pub(crate) fn take_transmits(&mut self, key: Key, demux: &mut Demux, transmits: &mut SmallDatagrams, now: Instant) {
        while let Some(datagram) = self.peer.as_mut().and_then(Peer::poll_transmit) {
            let is_dtls = datagram.first().is_some_and(|first| (20..=63).contains(first));
            let path = if is_dtls { demux.send_dtls(key, &datagram, now) } else { demux.path(key) };
            if let Some(path) = path {
                transmits.push(path, datagram.into());
            }
        }
    }

    /// Closes the peer, which sends DTLS close_notify.
    pub(crate) fn close_peer(&mut self) {
        if let Some(peer) = &mut self.peer {
            peer.close();
        }
    }
}
