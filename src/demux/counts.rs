//! How much a demultiplexer keeps, for the test that nothing is left once every session has gone.

use super::demultiplexer::Demux;

impl Demux {
    /// What it keeps, by name: all of it is 0 once every session has been removed and the worker has taken the output.
    pub fn counts(&self) -> [(&'static str, usize); 6] {
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
