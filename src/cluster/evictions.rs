//! Limits takeovers across nodes: two encoders of one stream must not evict each other forever.
//!
//! A node whose live publisher is replaced by that of another node notes it in the claim of the stream, for [`COOL_DOWN`].
//! Every node refuses that encoder meanwhile, unless the publisher that it would replace is silent itself. An encoder is
//! known by a keyed digest of what stays the same when it reconnects, so that the directory holds neither its address nor
//! its credential.

use std::time::Duration;

use super::claim::{PAUSE, ROUNDS, read};
use super::directory::{Directory, now};
use super::key::Key;
use super::store::StoreError;
use super::value::EvictedValue;
use crate::name::StreamName;
use crate::stream::{COOL_DOWN, Identity};

/// Encoders in one claim. When there are more, the one that was replaced first is forgotten, and may return.
const MOST: usize = 8;

impl Directory {
    /// Notes in the claim of a stream that an encoder was replaced. Without a claim nothing needs to be noted.
    ///
    /// # Errors
    /// [`StoreError`]; it may have been noted all the same.
    pub(super) async fn evict(&self, stream: &StreamName, encoder: String) -> Result<(), StoreError> {
        let key = Key::Stream(stream.clone()).encode();
        for round in 0..ROUNDS {
            let entry = self.store.get(&key).await?;
            let Some(mut claim) = read(&entry) else { return Ok(()) };
            note(&mut claim.evictions, encoder.clone(), now());
            match self.store.compare_and_set(&key, claim.write(), entry.revision).await {
                Err(StoreError::Changed) => {
                    tokio::time::sleep(rand::random_range(Duration::ZERO..=PAUSE * round)).await;
                }
                outcome => return outcome.map(drop),
            }
        }
        Err(StoreError::Changed)
    }

    /// How long an encoder with one of these digests is still refused, by what was read last.
    pub(super) fn evicted(&self, stream: &StreamName, encoders: &[String]) -> Option<Duration> {
        let view = self.view();
        let evictions = &view.claim(stream)?.claim.evictions;
        let is_meant = |evicted: &&EvictedValue| encoders.contains(&evicted.key);
        evictions.iter().filter(is_meant).filter_map(|evicted| evicted.left(now())).max()
    }
}

fn note(evictions: &mut Vec<EvictedValue>, key: String, now: u64) {
    evictions.retain(|evicted| evicted.key != key && evicted.left(now).is_some());
    evictions.drain(..evictions.len().saturating_sub(MOST - 1));
    let cool_down = u64::try_from(COOL_DOWN.as_millis()).unwrap_or(u64::MAX);
    evictions.push(EvictedValue { key, until: now.saturating_add(cool_down) });
}

/// What stays the same when an encoder reconnects.
pub(super) fn text(encoder: &Identity) -> String {
    let Identity { credential, address, user_agent } = encoder;
    format!("{}\n{address}\n{}", credential.write(), user_agent.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_holds_the_last_eight_encoders_each_for_ten_seconds() {
        let mut evictions = Vec::new();
        (0..10).for_each(|encoder| note(&mut evictions, encoder.to_string(), 1000 + encoder));
        let keys: Vec<_> = evictions.iter().map(|evicted| evicted.key.as_str()).collect();
        assert_eq!(keys, ["2", "3", "4", "5", "6", "7", "8", "9"]);
        assert_eq!(evictions[0].left(1002), Some(COOL_DOWN));
        assert_eq!(evictions[0].left(10_502), Some(Duration::from_millis(500)));
        assert_eq!(evictions[0].left(11_002), None);
        assert_eq!(evictions[7].left(0), Some(COOL_DOWN), "a clock that is ahead prolongs nothing");
        note(&mut evictions, "9".to_owned(), 20_000);
        assert_eq!(evictions.len(), 1, "those before are over");
    }

    #[test]
    fn an_encoder_is_known_by_its_credential_address_and_user_agent() {
        let credential = crate::auth::Credential::of_token("t");
        let own = Identity { credential, address: [192, 0, 2, 1].into(), user_agent: Some("obs".into()) };
        for other in [
            Identity { credential: crate::auth::Credential::ANONYMOUS, ..own.clone() },
            Identity { address: [192, 0, 2, 2].into(), ..own.clone() },
            Identity { user_agent: None, credential, address: own.address },
        ] {
            assert_ne!(text(&own), text(&other));
        }
        assert!(!text(&own).contains("\nt\n"));
    }
}
