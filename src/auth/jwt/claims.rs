//! What a token says of its holder, and what its holder may do. A webhook answers with the same limits.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::auth::pattern::StreamPattern;
use crate::auth::scope::{Action, Limits, Scope};

/// The most stream patterns of a token.
const MOST_STREAMS: usize = 64;

/// The claims that the relay reads. One of the wrong type makes the token invalid; others are ignored.
#[derive(Deserialize)]
pub(super) struct Claims {
    /// The holder: tokens of one holder with one scope count as the same.
    pub(super) sub: Option<String>,
    /// The issuer, which has given the holder its name.
    pub(super) iss: Option<String>,
    /// The token, for its revocation.
    pub(super) jti: Option<String>,
    /// When it ends, in seconds since 1970.
    pub(super) exp: f64,
    /// When it was made, in seconds since 1970.
    pub(super) iat: Option<f64>,
    actions: OneOrMany<Action>,
    streams: Option<OneOrMany<StreamPattern>>,
    #[serde(flatten)]
    limits: ClaimedLimits,
}

/// Limits as a token and a webhook write them; 0 is refused.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(in crate::auth) struct ClaimedLimits {
    max_layer: Option<u8>,
    max_bitrate: Option<std::num::NonZeroU64>,
    max_viewers: Option<std::num::NonZeroUsize>,
}

impl From<ClaimedLimits> for Limits {
    fn from(claimed: ClaimedLimits) -> Self {
        Self {
            max_layer: claimed.max_layer,
            max_bitrate: claimed.max_bitrate.map(Into::into),
            max_viewers: claimed.max_viewers.map(Into::into),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Ord> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many.into_iter().collect::<BTreeSet<_>>().into_iter().collect(),
        }
    }
}

impl Claims {
    /// What the token allows; `None` if it names no stream to publish or watch, or too many.
    pub(super) fn into_scope(self) -> Option<Scope> {
        let actions = self.actions.into_vec();
        let streams = self.streams.map(OneOrMany::into_vec).unwrap_or_default();
        let is_for_streams = actions.iter().any(|action| *action != Action::Admin);
        let is_incomplete = actions.is_empty() || (is_for_streams && streams.is_empty());
        (!is_incomplete && streams.len() <= MOST_STREAMS).then(|| Scope {
            actions,
            streams,
            limits: self.limits.into(),
        })
    }
}
