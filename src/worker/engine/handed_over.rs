//! Datagrams that belong to another worker's session.

use super::state::Engine;
use crate::five_tuple::FiveTuple;
use crate::stream::WorkerId;
use crate::worker::message::Message;
use std::time::Instant;

impl Engine {
    /// Hands a datagram to the worker whose session it belongs to; what comes by the same path follows it.
    pub(crate) fn hand_over(
        &mut self,
        worker: WorkerId,
        path: FiveTuple,
        datagram: &[u8],
        received: Instant,
        now: Instant,
    ) {
        self.handed_over_paths.insert(path, worker, now);
        self.shared.metrics.handed_over.inc();
        self.push(worker, Message::Datagram { path, datagram: datagram.to_vec(), received }, 1);
    }
}
