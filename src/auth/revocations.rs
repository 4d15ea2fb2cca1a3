//! Tokens that an administrator has revoked before they expire.
//!
//! A revocation lasts for a time after which its tokens have expired anyway. With a state directory it survives a restart of
//! the relay, without one it is kept in memory alone. A token that was issued after its holder was revoked is valid, so that
//! the holder can get a new one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::holder::Holder;
use crate::state_dir::{StateDir, StateDirError};

/// The most revocations at a time; a further one is refused.
const CAPACITY: usize = 10_000;

/// The most octets of their text; a revocation that does not fit is refused. A file of this size can be read again.
const LARGEST: usize = 1 << 20;

/// The file in the state directory.
const FILE: &str = "revocations.json";

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Revoked {
    /// All tokens of this holder: the subject of JSON Web Tokens and of the webhook's answers, or the name in a token
    /// file.
    Subject(String),
    /// The JSON Web Token with this id (`jti`).
    TokenId(String),
}

/// What is revoked, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    pub(crate) revoked: Revoked,
    pub(crate) since: SystemTime,
    pub(crate) until: SystemTime,
}

/// A revocation in the file; times in milliseconds since 1970.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    revoked: Revoked,
    since: u64,
    until: u64,
}

/// There is no room for another revocation.
#[derive(Debug, thiserror::Error)]
#[error("there are {0} revocations already: change the keys or the token file instead")]
pub(crate) struct RevocationsFull(usize);

/// Why the revocations of an earlier run are not known. The relay does not start then: it would accept revoked tokens.
#[derive(Debug, thiserror::Error)]
pub enum RevocationsError {
    /// The state directory is not usable.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// The file was changed by another program, or damaged.
    #[error(
        "cannot read {FILE} in --state-dir: {0}; correct the file, or remove it to accept all revoked tokens again"
    )]
    Damaged(serde_json::Error),
}

/// Everything that is revoked. Administrators write; each check of a token reads, and each session once a second, so
/// that a look takes the same time however much is revoked.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    table: RwLock<Table>,
    /// Where they are kept. Locked while one is added, so that the file has the newest list.
    state: Mutex<Option<StateDir>>,
}

#[derive(Clone, Debug, Default)]
struct Table {
    subjects: HashMap<String, Span>,
    token_ids: HashMap<String, Span>,
}

/// When one revocation counts.
#[derive(Clone, Copy, Debug)]
struct Span {
    since: SystemTime,
    until: SystemTime,
}

impl Table {
    fn add(&mut self, Revocation { revoked, since, until }: Revocation) {
        let (spans, text) = match revoked {
            Revoked::Subject(name) => (&mut self.subjects, name),
            Revoked::TokenId(id) => (&mut self.token_ids, id),
        };
        spans.insert(text, Span { since, until });
    }

    /// What is revoked now, the oldest first.
    fn list(&self, now: SystemTime) -> Vec<Revocation> {
        let one = |revoked, &Span { since, until }: &Span| Revocation { revoked, since, until };
        let subjects = self.subjects.iter().map(|(name, span)| one(Revoked::Subject(name.clone()), span));
        let token_ids = self.token_ids.iter().map(|(id, span)| one(Revoked::TokenId(id.clone()), span));
        let mut list: Vec<Revocation> = subjects.chain(token_ids).filter(|one| now < one.until).collect();
        list.sort_by_key(|one| one.since);
        list
    }
}

impl Revocations {
    /// Those that are kept in this directory, and further ones are kept there too.
    ///
    /// # Errors
    /// [`RevocationsError`].
    pub(super) fn kept_in(state: StateDir) -> Result<Self, RevocationsError> {
        let text = state.read(FILE)?.unwrap_or_else(|| b"[]".to_vec());
        let kept: Vec<Kept> = serde_json::from_slice(&text).map_err(RevocationsError::Damaged)?;
        let mut table = Table::default();
        kept.into_iter().map(Revocation::from).for_each(|one| table.add(one));
        Ok(Self { table: RwLock::new(table), state: Mutex::new(Some(state)) })
    }

    /// Revokes for this time from now on. Returns whether the revocation survives a restart. It writes a file, so not on a
    /// thread that serves other requests.
    pub(crate) fn add(&self, revoked: Revoked, time: Duration, now: SystemTime) -> Result<bool, RevocationsFull> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = self.table.read().unwrap_or_else(PoisonError::into_inner).clone();
        for spans in [&mut table.subjects, &mut table.token_ids] {
            spans.retain(|_, span| now < span.until);
        }
        let full = RevocationsFull(table.subjects.len() + table.token_ids.len());
        table.add(Revocation { revoked, since: now, until: now + time });
        let list = table.list(now);
        let text = text(&list);
        if list.len() > CAPACITY || text.len() > LARGEST {
            return Err(full);
        }
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        Ok(state.as_ref().is_some_and(|state| match state.write(FILE, &text) {
            Ok(()) => true,
            Err(error) => {
                warn!("revocations count only until the relay restarts: {error}");
                false
            }
        }))
    }

    /// What is revoked now, the oldest first.
    pub(crate) fn list(&self, now: SystemTime) -> Vec<Revocation> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).list(now)
    }

    /// Whether the token of this holder is revoked.
    pub(super) fn cover(&self, holder: &Holder, now: SystemTime) -> bool {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let find = |spans: &HashMap<String, Span>, text: Option<&str>| {
            text.and_then(|text| spans.get(text)).filter(|span| now < span.until).copied()
        };
        // The time in a token has whole seconds, so a token of the same second as the revocation is revoked.
        let is_earlier = |span: Span| holder.issued.is_none_or(|issued| issued <= span.since);
        find(&table.token_ids, holder.token_id.as_deref()).is_some()
            || find(&table.subjects, holder.name.as_deref()).is_some_and(is_earlier)
    }
}

/// The content of the file.
fn text(list: &[Revocation]) -> Vec<u8> {
    let kept: Vec<Kept> = list.iter().cloned().map(Kept::from).collect();
    serde_json::to_vec(&kept).expect("texts and numbers are JSON")
}

impl From<Kept> for Revocation {
    fn from(Kept { revoked, since, until }: Kept) -> Self {
        let time = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        Self { revoked, since: time(since), until: time(until) }
    }
}

impl From<Revocation> for Kept {
    fn from(Revocation { revoked, since, until }: Revocation) -> Self {
        let millis = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        Self { revoked, since: millis(since), until: millis(until) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::credential::Credential;
    use super::*;

    #[test]
    fn a_revocation_covers_the_tokens_of_its_holder_that_were_made_before_it_until_it_ends() {
        let revocations = Revocations::default();
        let now = SystemTime::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let alice = Holder::of_static(Credential::of_token("a"), Vec::new(), Some("alice".into()));
        let made = |seconds| Holder { issued: Some(later(seconds)), ..alice.clone() };
        let bob = Holder { name: Some("bob".into()), token_id: Some("7".into()), ..alice.clone() };
        revocations.add(Revoked::Subject("alice".to_owned()), Duration::from_secs(100), later(10)).unwrap();
        assert!(revocations.cover(&alice, later(11)) && revocations.cover(&made(9), later(11)));
        assert!(!revocations.cover(&made(11), later(12)), "it was made later");
        assert!(!revocations.cover(&bob, later(11)) && !revocations.cover(&alice, later(110)));
        revocations.add(Revoked::TokenId("7".to_owned()), Duration::from_secs(100), later(10)).unwrap();
        assert!(revocations.cover(&bob, later(11)) && !revocations.cover(&Holder { token_id: None, ..bob }, later(11)));
        assert_eq!((revocations.list(later(11)).len(), revocations.list(later(110)).len()), (2, 0));
    }

    #[test]
    fn revocations_are_bounded_in_number_and_text_and_those_that_are_over_make_room() {
        let revocations = Revocations::default();
        let (now, second) = (SystemTime::now(), Duration::from_secs(1));
        let add = |id: String, now| revocations.add(Revoked::TokenId(id), second, now);
        for number in 0..100 {
            add(number.to_string(), now).unwrap();
            add(number.to_string(), now).unwrap();
        }
        assert_eq!(revocations.list(now).len(), 100, "the same again is one");
        // The rest at once: each addition looks for those that are over.
        let span = Span { since: now, until: now + second };
        let rest = (100..CAPACITY).map(|number| (number.to_string(), span));
        revocations.table.write().unwrap().token_ids.extend(rest);
        assert!(add("other".to_owned(), now).is_err());
        add("0".to_owned(), now).expect("what is revoked already takes no more room");
        add("other".to_owned(), now + second).unwrap();
        assert_eq!(revocations.list(now + second).len(), 1);
        assert!(add("x".repeat(LARGEST), now + second).is_err());
        assert_eq!(revocations.list(now + second).len(), 1, "what was refused is not kept");
    }

    #[test]
    fn revocations_survive_a_restart_in_the_state_directory_and_a_damaged_file_stops_the_start() {
        let path = std::env::temp_dir().join(format!("sluice-revocations-{}", std::process::id()));
        let state = StateDir::open(&path).unwrap();
        let now = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        let revocations = Revocations::kept_in(state.clone()).unwrap();
        assert_eq!(revocations.list(now), []);
        assert!(revocations.add(Revoked::TokenId("short".to_owned()), minute, now).unwrap());
        assert!(revocations.add(Revoked::Subject("a \"b\" \u{1f512}".to_owned()), hour, now).unwrap());
        let again = Revocations::kept_in(state.clone()).unwrap();
        assert_eq!(again.list(now), revocations.list(now));
        assert_eq!(again.list(now + minute).len(), 1);
        state.write(FILE, b"[{").unwrap();
        assert!(matches!(Revocations::kept_in(state), Err(RevocationsError::Damaged(_))));
        std::fs::remove_dir_all(&path).unwrap();
        assert!(!revocations.add(Revoked::TokenId("lost".to_owned()), hour, now).unwrap(), "it counts in memory");
        assert_eq!(revocations.list(now).len(), 3);
    }
}
