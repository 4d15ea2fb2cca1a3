//! Ends sessions with their tokens. The token of a session is the one that created it, or the one that its client has
//! shown last.
//!
//! Each session is checked once a second. It ends if its token was revoked and, with `--end-with-token`, if its token
//! has expired or was removed from the token file. About a token that the webhook has allowed, the webhook is then asked
//! again while the session runs: a refusal ends the session, and no answer ends none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinSet;
use tracing::info;

use crate::auth::{Access, Again, Holder};
use crate::label::Label as _;
use crate::name::SessionId;
use crate::node::Handle;
use crate::reason::EndReason;

/// How often sessions are checked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Questions about running sessions at a time: a part of what the webhook is asked at once, so that new sessions do not
/// wait for them.
const AT_ONCE: usize = 8;

/// The token of each session. Bounded by the number of sessions: those that have ended are forgotten within a second.
#[derive(Default)]
pub(in crate::http) struct Leases(Mutex<HashMap<SessionId, Lease>>);

struct Lease {
    holder: Arc<Holder>,
    /// The webhook is not asked about it before this time, because it did not answer.
    not_before: Option<Instant>,
}

impl Leases {
    /// Sets the holder of the token that created a session, or that its client shows now.
    pub(in crate::http) fn keep(&self, session: SessionId, holder: &Arc<Holder>) {
        self.table().insert(session, Lease { holder: Arc::clone(holder), not_before: None });
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
        self.table().retain(|session, lease| {
            let must_end = access.must_end(&lease.holder, now);
            ending.extend(must_end.map(|reason| (*session, reason)));
            must_end.is_none() && media.lookup(session).is_some()
        });
        end(media, ending).await
    }

    /// Asks the webhook again about the sessions that it has allowed. It never completes.
    pub(in crate::http) async fn ask_again(&self, media: &Handle, access: &Arc<Access>) {
        let mut asking = JoinSet::new();
        loop {
            for (session, holder) in self.to_ask_about(access, Instant::now()) {
                if asking.len() >= AT_ONCE {
                    self.take_answer(asking.join_next().await, media).await;
                }
                let access = Arc::clone(access);
                asking.spawn(async move { (session, access.ask_again(&holder).await, holder) });
            }
            while !asking.is_empty() {
                self.take_answer(asking.join_next().await, media).await;
            }
            tokio::time::sleep(INTERVAL.min(access.ask_again_after())).await;
        }
    }

    /// The sessions that the webhook is to be asked about now, those first that have waited longest.
    fn to_ask_about(&self, access: &Access, now: Instant) -> Vec<(SessionId, Arc<Holder>)> {
        let mut due: Vec<_> = Vec::new();
        for (session, lease) in self.table().iter() {
            let Some(at) = access.ask_again_at(&lease.holder) else { continue };
            let at = lease.not_before.map_or(at, |not_before| at.max(not_before));
            if at <= now {
                due.push((at, *session, Arc::clone(&lease.holder)));
            }
        }
        due.sort_by_key(|(at, ..)| *at);
        due.into_iter().map(|(_, session, holder)| (session, holder)).collect()
    }

    /// Does what the webhook has answered about a session of `holder`, unless its client has shown another token since.
    async fn take_answer(&self, answer: Option<Result<Answer, tokio::task::JoinError>>, media: &Handle) {
        let Some(Ok((session, again, asked))) = answer else { return };
        {
            let mut table = self.table();
            let Some(lease) = table.get_mut(&session).filter(|lease| Arc::ptr_eq(&lease.holder, &asked)) else {
                return;
            };
            match again {
                Again::Allowed(holder) => return *lease = Lease { holder, not_before: None },
                Again::Undecided { retry_after } => {
                    lease.not_before = Instant::now().checked_add(retry_after);
                    return;
                }
                Again::Refused => table.remove(&session),
            };
        }
        end(media, vec![(session, EndReason::TokenRevoked)]).await;
    }

    fn table(&self) -> MutexGuard<'_, HashMap<SessionId, Lease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session, what the webhook answers about it, and the holder that it was asked about.
type Answer = (SessionId, Again, Arc<Holder>);

/// Ends sessions; returns how many have ended.
async fn end(media: &Handle, ending: Vec<(SessionId, EndReason)>) -> usize {
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
