//! The number of connections of a listener, within the open files limit of the process.

use std::time::Duration;

/// Connections at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For requests.
    pub requests: usize,
    /// Of those, for one client; `None` for all of them.
    pub requests_per_client: Option<usize>,
    /// Further ones that serve only health and metrics; one client gets a quarter of them.
    pub reserved: usize,
    /// Event streams.
    pub event_streams: usize,
    /// Of those, for one client.
    pub event_streams_per_client: usize,
    /// TLS handshakes; beyond it the oldest one ends. Each may take up to 64 KiB.
    pub handshakes: usize,
    /// Of those, for one client.
    pub handshakes_per_client: usize,
    /// How long the relay waits for a client before its connection may make way for others.
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
            handshakes: 1024,
            handshakes_per_client: 128,
            grace: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// These limits within a process that may open `files` files, half of which are left for other uses.
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
    fn connections_leave_files_for_other_uses() {
        let usual = Limits::default();
        assert_eq!(usual.within(u64::MAX), usual);
        let few = usual.within(1024);
        assert_eq!((few.requests, few.reserved, few.event_streams), (256, 64, 256));
        assert!(usual.within(40).requests < 20 && usual.within(0).requests == 1);
    }
}
