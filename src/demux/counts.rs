//! How many entries a demultiplexer keeps, for the test that nothing is left once all sessions are removed.

use super::demultiplexer::Demux;

impl Demux {
    /// The number of entries by name: all are 0 once every session is removed and the worker has taken the output.
    pub(crate) fn counts(&self) -> [(&'static str, usize); 6] {
        [
            ("demux: sessions", self.sessions.len()),
            ("demux: paths", self.claim_by_path.len()),
            ("demux: ufrags", self.key_by_ufrag.len()),
            ("demux: timers", self.timers.len()),
            ("demux: datagrams", self.transmits.len()),
            ("demux: events", self.events.len()),
        ]
    }
}
