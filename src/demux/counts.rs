//! How much a demultiplexer keeps, for the test that nothing is left once every session has gone.

use super::Demux;

impl Demux {
    /// What it keeps, by name: all of it is 0 once every session has been removed and the worker has taken the output.
    pub fn counts(&self) -> [(&'static str, usize); 6] {
        [
            ("door: sessions", self.sessions.len()),
            ("door: paths", self.claim_by_path.len()),
            ("door: ufrags", self.key_by_ufrag.len()),
            ("door: timers", self.timers.len()),
            ("door: datagrams", self.transmits.len()),
            ("door: events", self.events.len()),
        ]
    }
}
