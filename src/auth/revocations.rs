//! Tokens that an administrator has revoked before they expire.
//!
//! A revocation is kept in memory, for a time after which its tokens have expired anyway; a restart forgets it. A token
//! that was issued after its holder was revoked is valid, so that the holder can get a new one.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use super::holder::Holder;

/// The most revocations at a time; a further one is refused.
const CAPACITY: usize = 10_000;

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// All tokens of this holder: the subject of JSON Web Tokens and of the webhook's answers, or the name in a token
    /// file.
    Subject(String),
    /// The JSON Web Token with this id (`jti`).
    TokenId(String),
}

/// What is revoked, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct Revocation {
    pub(crate) revoked: Revoked,
    pub(crate) since: SystemTime,
    pub(crate) until: SystemTime,
}

/// There are [`CAPACITY`] revocations already.
#[derive(Debug, thiserror::Error)]
#[error("there are {CAPACITY} revocations already: change the keys or the token file instead")]
pub(crate) struct RevocationsFull;

/// Everything that is revoked. Administrators write; each check of a token reads, and each session once a second, so
/// that a look takes the same time however much is revoked.
#[derive(Debug, Default)]
pub(crate) struct Revocations(RwLock<Table>);

#[derive(Debug, Default)]
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

impl Revocations {
    /// Revokes for this time from now on.
    pub(crate) fn add(&self, revoked: Revoked, time: Duration, now: SystemTime) -> Result<(), RevocationsFull> {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Table { subjects, token_ids } = &mut *table;
        for spans in [&mut *subjects, &mut *token_ids] {
            spans.retain(|_, span| now < span.until);
        }
        let is_full = subjects.len() + token_ids.len() >= CAPACITY;
        let (spans, text) = match revoked {
            Revoked::Subject(name) => (subjects, name),
            Revoked::TokenId(id) => (token_ids, id),
        };
        if is_full && !spans.contains_key(&text) {
            return Err(RevocationsFull);
        }
        spans.insert(text, Span { since: now, until: now + time });
        Ok(())
    }

    /// What is revoked now, the oldest first.
    pub(crate) fn list(&self, now: SystemTime) -> Vec<Revocation> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let one = |revoked, &Span { since, until }: &Span| Revocation { revoked, since, until };
        let subjects = table.subjects.iter().map(|(name, span)| one(Revoked::Subject(name.clone()), span));
        let token_ids = table.token_ids.iter().map(|(id, span)| one(Revoked::TokenId(id.clone()), span));
        let mut list: Vec<Revocation> = subjects.chain(token_ids).filter(|one| now < one.until).collect();
        list.sort_by_key(|one| one.since);
        list
    }

    /// Whether the token of this holder is revoked.
    pub(super) fn cover(&self, holder: &Holder, now: SystemTime) -> bool {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let find = |spans: &HashMap<String, Span>, text: Option<&str>| {
            text.and_then(|text| spans.get(text)).filter(|span| now < span.until).copied()
        };
        // The time in a token has whole seconds, so a token of the same second as the revocation is revoked.
        let is_earlier = |span: Span| holder.issued.is_none_or(|issued| issued <= span.since);
        find(&table.token_ids, holder.token_id.as_deref()).is_some()
            || find(&table.subjects, holder.name.as_deref()).is_some_and(is_earlier)
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
    fn revocations_are_bounded_and_those_that_are_over_make_room() {
        let revocations = Revocations::default();
        let (now, second) = (SystemTime::now(), Duration::from_secs(1));
        let add = |number: usize, now| revocations.add(Revoked::TokenId(number.to_string()), second, now);
        let limit = CAPACITY / 100;
        for number in 0..limit {
            add(number, now).unwrap();
            add(number, now).unwrap();
        }
        assert_eq!(revocations.list(now).len(), limit, "the same again is one");
        // The rest at once: each addition looks for those that are over.
        let span = Span { since: now, until: now + second };
        let rest = (limit..CAPACITY).map(|number| (number.to_string(), span));
        revocations.0.write().unwrap().token_ids.extend(rest);
        assert!(add(CAPACITY, now).is_err());
        add(0, now).expect("what is revoked already takes no more room");
        add(CAPACITY, now + second).unwrap();
    }
}
