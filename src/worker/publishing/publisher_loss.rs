//! Publishers that fall silent without ending their session: a crash, a dead network, a laptop that sleeps.
//!
//! The session of such a publisher ends only after 30 s of silence, because it may come back under the same keys. Its
//! viewers learn of it sooner: a publisher that has sent nothing for [`LOST`], neither media nor RTCP nor STUN, is lost
//! until it sends again. A publisher that is heard and sends no media is not lost: a shared screen may not change. The
//! rule: while the publisher is lost, viewers get no replays.

use std::time::Instant;

use super::publisher::Publisher;
use crate::worker::mailbox::Mailbox;
use crate::worker::message::Message;
use crate::worker::presence::{LOST, Presence};

impl Publisher {
    /// Marks the publisher as lost if it has been silent for too long, and notifies its subscribers; true if it is lost
    /// from now on.
    pub(crate) fn check_loss(&mut self, heard: Option<Instant>, mailbox: &mut Mailbox, now: Instant) -> bool {
        if !self.presence.is_silent(heard, LOST, now) {
            return false;
        }
        self.presence = Presence::Away { since: now };
        self.publication.set_lost(Some(now));
        let session = self.publication.session();
        tracing::info!(%session, stream = %self.stream, "publisher lost: it was not heard for 4 s");
        // A standby has no subscribers.
        self.send_to_subscribers(mailbox, |stream, publisher| Message::Lost { stream, publisher, lost: true });
        true
    }

    /// The publisher is heard: if it was lost, notifies its subscribers and returns true.
    pub(crate) fn end_loss(&mut self, mailbox: &mut Mailbox, now: Instant) -> bool {
        let Presence::Away { since } = self.presence else { return false };
        self.presence = Presence::new(now, LOST);
        self.publication.set_lost(None);
        let lost_ms = now.saturating_duration_since(since).as_millis() as u64;
        let session = self.publication.session();
        tracing::info!(%session, stream = %self.stream, lost_ms, "publisher heard again");
        self.send_to_subscribers(mailbox, |stream, publisher| Message::Lost { stream, publisher, lost: false });
        true
    }
}
