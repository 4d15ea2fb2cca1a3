//! Ends sessions with their tokens. The token of a session is the one that created it, or the one that its client has
//! shown last.
//!
//! Each session is checked once a second. It ends if its token was revoked and, with `--end-with-token`, if its token
//! has expired or was removed from the token file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tracing::info;

use crate::auth::{Access, Holder};
use crate::label::Label as _;
use crate::name::SessionId;
use crate::node::Handle;
use crate::reason::EndReason;

/// How often sessions are checked.
const INTERVAL: Duration = Duration::from_secs(1);

/// The holder of each session's token. Bounded by the number of sessions: those that have ended are forgotten within a
/// second.
#[derive(Default)]
pub(in crate::http) struct Leases(Mutex<HashMap<SessionId, Arc<Holder>>>);

impl Leases {
    /// Sets the holder of the token that created a session, or that its client shows now.
    pub(in crate::http) fn keep(&self, session: SessionId, holder: &Arc<Holder>) {
        self.table().insert(session, Arc::clone(holder));
    }

    /// Ends sessions with their tokens. It never completes.
    pub(in crate::http) async fn follow(&self, media: &Handle, access: &Access) {
        loop {
            self.end_due(media, access).await;
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Ends the sessions whose tokens are revoked, expired or removed; returns how many have ended.
    pub(in crate::http) async fn end_due(&self, media: &Handle, access: &Access) -> usize {
        let now = SystemTime::now();
        let mut ending: Vec<(SessionId, EndReason)> = Vec::new();
        self.table().retain(|session, holder| {
            let must_end = access.must_end(holder, now);
            ending.extend(must_end.map(|reason| (*session, reason)));
            must_end.is_none() && media.lookup(session).is_some()
        });
        if ending.is_empty() {
            return 0;
        }
        // It may wait for room in a worker's inbox, so not on a thread that serves requests.
        let media = media.clone();
        let ended = tokio::task::spawn_blocking(move || {
            let end = |(session, reason): &(SessionId, EndReason)| {
                let has_ended = media.end(session, *reason).is_ok();
                if has_ended {
                    info!(%session, reason = reason.as_str(), "session ends with its token");
                }
                has_ended
            };
            ending.iter().filter(|one| end(one)).count()
        });
        ended.await.unwrap_or_default()
    }

    fn table(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Holder>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
