//! Events of streams and sessions for readers outside the media threads, which are those of HTTP.
//!
//! Media threads send into one bounded channel as sessions join and leave, which wakes one task for each follower and
//! costs nothing while packets pass; a follower with many readers passes events on in its own thread. The rule: an
//! event says that something has changed, and is sent after the change. Workers may send in another order than that of
//! the changes, so a follower asks the node's handle what is true now.

use std::time::Instant;

use tokio::sync::broadcast;

use crate::name::{SessionId, StreamName};
use crate::reason::EndReason;
use crate::stream::Absence;

/// Events that wait for a slow follower. Beyond that it loses the oldest, gets an error that says so, and must read the
/// whole state again.
const CAPACITY: usize = 1024;

/// Something has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeEvent {
    /// A stream has another publisher, or its publisher is heard again.
    Published {
        /// The stream.
        stream: StreamName,
    },
    /// A stream's publisher has left, or is not heard any more.
    Unpublished {
        /// The stream.
        stream: StreamName,
        /// Whether it ended or is only silent.
        absence: Absence,
    },
    /// A session has ended.
    SessionEnded {
        /// The session.
        session: SessionId,
    },
}

/// The publisher of a stream as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublisherState {
    /// There has been no publisher while there were viewers.
    Never,
    /// There is a publisher.
    Live,
    /// The publisher has left, or is not heard any more.
    Absent(Absence, Instant),
}

/// Where events are sent, by every thread.
#[derive(Debug)]
pub(crate) struct Events(broadcast::Sender<NodeEvent>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl Events {
    /// Sends an event to all followers.
    pub(crate) fn send(&self, event: NodeEvent) {
        // An error means that there are no followers.
        let _ = self.0.send(event);
    }

    /// A follower, which gets all events from now on.
    pub(crate) fn follow(&self) -> broadcast::Receiver<NodeEvent> {
        self.0.subscribe()
    }
}

impl From<EndReason> for Absence {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Deleted | EndReason::Closed | EndReason::Kicked | EndReason::Replaced | EndReason::Shutdown => {
                Self::Ended
            }
            _ => Self::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_that_wants_to_end_is_not_lost() {
        for (reason, absence) in [
            (EndReason::Deleted, Absence::Ended),
            (EndReason::Closed, Absence::Ended),
            (EndReason::Kicked, Absence::Ended),
            (EndReason::Silent, Absence::Lost),
            (EndReason::Failed, Absence::Lost),
            (EndReason::Flooded, Absence::Lost),
        ] {
            assert_eq!(Absence::from(reason), absence, "{reason:?}");
        }
    }
}
