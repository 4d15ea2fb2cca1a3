//! Tokens that an administrator has revoked before they expire.
//!
//! A revocation is kept in memory, for a time after which its tokens have expired anyway; a restart forgets it. A token
//! that was issued after its holder was revoked is valid, so that the holder can get a new one.

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

/// Everything that is revoked. Administrators write; each check of a token reads.
#[derive(Debug, Default)]
pub(crate) struct Revocations(RwLock<Vec<Revocation>>);

impl Revocations {
    /// Revokes for this time from now on.
    pub(crate) fn add(&self, revoked: Revoked, time: Duration, now: SystemTime) -> Result<(), RevocationsFull> {
        let mut list = self.0.write().unwrap_or_else(PoisonError::into_inner);
        list.retain(|one| now < one.until && one.revoked != revoked);
        if list.len() >= CAPACITY {
            return Err(RevocationsFull);
        }
        list.push(Revocation { revoked, since: now, until: now + time });
        Ok(())
    }

    /// What is revoked now.
    pub(crate) fn list(&self, now: SystemTime) -> Vec<Revocation> {
        let list = self.0.read().unwrap_or_else(PoisonError::into_inner);
        list.iter().filter(|one| now < one.until).cloned().collect()
    }

    /// Whether the token of this holder is revoked.
    pub(super) fn cover(&self, holder: &Holder, now: SystemTime) -> bool {
        let list = self.0.read().unwrap_or_else(PoisonError::into_inner);
        list.iter().filter(|one| now < one.until).any(|one| match &one.revoked {
            Revoked::TokenId(id) => holder.token_id.as_deref() == Some(id),
            Revoked::Subject(name) => {
                // The time in a token has whole seconds, so a token of the same second as the revocation is revoked.
                holder.name.as_deref() == Some(name) && holder.issued.is_none_or(|issued| issued <= one.since)
            }
        })
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
        for number in (0..CAPACITY).step_by(CAPACITY / 100) {
            add(number, now).unwrap();
            add(number, now).unwrap();
        }
        assert_eq!(revocations.list(now).len(), 100, "the same again is one");
        *revocations.0.write().unwrap() = vec![revocations.list(now)[0].clone(); CAPACITY];
        assert!(add(CAPACITY, now).is_err());
        add(CAPACITY, now + second).unwrap();
    }
}
