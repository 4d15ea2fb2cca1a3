//! How many connections a listener has, within what the process may open.

use std::time::Duration;

/// How many connections there may be at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For requests.
    pub requests: usize,
    /// Of those, for one client; `None` for as many as there are.
    pub requests_per_client: Option<usize>,
    /// Further ones that serve only health and metrics; one client gets a quarter of them.
    pub reserved: usize,
    /// Event streams.
    pub event_streams: usize,
    /// Of those, for one client.
    pub event_streams_per_client: usize,
    /// How long a client may let the relay wait before its connection makes way for others.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 4096,
            requests_per_client: Some(256),
            reserved: 256,
            event_streams: 16_384,
            event_streams_per_client: 4096,
            grace: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// As many as a process has files for that may open `files`, leaving half of them for other things.
    pub(super) fn within(self, files: u64) -> Self {
        let part = |wanted: usize, of: u64| wanted.min(usize::try_from(files / of).unwrap_or(usize::MAX)).max(1);
        Self {
            requests: part(self.requests, 4),
            reserved: part(self.reserved, 16),
            event_streams: part(self.event_streams, 4),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_other_things() {
        let usual = Limits::default();
        assert_eq!(usual.within(u64::MAX), usual);
        let few = usual.within(1024);
        assert_eq!((few.requests, few.reserved, few.event_streams), (256, 64, 256));
        assert!(usual.within(40).requests < 20 && usual.within(0).requests == 1);
    }
}
