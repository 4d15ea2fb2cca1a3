//! Events and the state of streams, as HTTP asks for them.

use super::handle::Handle;
use crate::name::{SessionId, StreamName};
use crate::session::{NodeEvent, PublisherState};
use crate::stream::{Absence, Identity, StreamInfo};
use tokio::sync::broadcast;

impl Handle {
    /// What happens to streams and sessions from now on.
    pub(crate) fn events(&self) -> broadcast::Receiver<NodeEvent> {
        self.shared().events.follow()
    }

    /// A stream, if it has a publisher or a viewer.
    pub(crate) fn stream(&self, stream: &StreamName) -> Option<StreamInfo> {
        self.shared().registry.info(stream)
    }

    /// The sessions of a stream's standby and of its live publisher, in this order: to be ended so, lest the standby
    /// take over.
    pub(crate) fn publishers(&self, stream: &StreamName) -> Vec<SessionId> {
        self.shared().registry.publishers(stream)
    }

    /// The client that publishes a stream, while it is connected.
    pub(crate) fn publisher_identity(&self, stream: &StreamName) -> Option<Identity> {
        self.shared().registry.live(stream).map(|live| live.identity)
    }

    /// Whether a stream has a publisher.
    pub(crate) fn publisher(&self, stream: &StreamName) -> PublisherState {
        let registry = &self.shared().registry;
        match registry.live(stream).map(|live| live.lost) {
            Some(None) => PublisherState::Live,
            Some(Some(since)) => PublisherState::Absent(Absence::Lost, since),
            None => match registry.left(stream) {
                Some((absence, since)) => PublisherState::Absent(absence, since),
                None => PublisherState::Never,
            },
        }
    }
}
