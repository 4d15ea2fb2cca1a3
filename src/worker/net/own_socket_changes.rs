//! The sockets of sessions that begin and end in a turn.

use super::batch::Outbox;
use super::own_socket::OwnSocket;

/// The sockets that the outbox of a worker is to open and to close.
#[derive(Debug, Default)]
pub(crate) struct OwnSocketChanges {
    /// Of sessions that begin.
    pub(crate) opened: Vec<OwnSocket>,
    /// The ports of those of sessions that have ended.
    pub(crate) closed: Vec<u16>,
}

impl OwnSocketChanges {
    /// Opens the new ones, before anything is sent on them.
    pub(crate) fn open(&mut self, outbox: &mut impl Outbox) {
        self.opened.drain(..).for_each(|socket| outbox.open(socket));
    }

    /// Closes those of sessions that have ended, after the last datagrams were sent.
    pub(crate) fn close(&mut self, outbox: &mut impl Outbox) {
        self.closed.drain(..).for_each(|port| outbox.close(port));
    }
}
