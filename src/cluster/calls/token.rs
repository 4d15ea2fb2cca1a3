//! The token by which a node shows another one that it belongs to the cluster.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::Method;
use serde::{Deserialize, Serialize};

use crate::auth::{SharedSecrets, is_of_kind};
use crate::cluster::node_id::NodeId;

/// The type in the header of the token.
const KIND: &str = "sluice-node+jwt";

/// How long a token is valid.
const LIFETIME: Duration = Duration::from_secs(30);

/// By how much the sender's clock may be ahead of the receiver's. If it is behind, the token ends earlier.
const SKEW: Duration = Duration::from_secs(30);

/// What a token is for.
#[derive(Clone, Copy)]
pub(super) struct Purpose<'a> {
    /// The node that is called.
    pub(super) audience: &'a NodeId,
    pub(super) method: &'a Method,
    /// Below the URL of that node, without a query.
    pub(super) path: &'a str,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: NodeId,
    aud: NodeId,
    method: String,
    path: String,
    /// In seconds since 1970.
    exp: u64,
}

/// A token of the node `issuer`.
pub(super) fn sign(secrets: &SharedSecrets, issuer: &NodeId, purpose: Purpose<'_>, now: SystemTime) -> String {
    let Purpose { audience, method, path } = purpose;
    let claims = Claims {
        iss: issuer.clone(),
        aud: audience.clone(),
        method: method.to_string(),
        path: path.to_owned(),
        exp: seconds(now + LIFETIME),
    };
    secrets.sign(KIND, &claims)
}

/// The node that has made a token, if it is valid now and for this purpose.
pub(super) fn verify(secrets: &SharedSecrets, token: &str, purpose: Purpose<'_>, now: SystemTime) -> Option<NodeId> {
    let claims: Claims = secrets.verify(KIND, token)?;
    let is_current = (seconds(now)..=seconds(now + LIFETIME + SKEW)).contains(&claims.exp);
    let is_meant = claims.aud == *purpose.audience && claims.method == purpose.method.as_str();
    (is_current && is_meant && claims.path == purpose.path).then_some(claims.iss)
}

/// Whether a token calls itself one of a node.
pub(super) fn is_one(token: &str) -> bool {
    is_of_kind(KIND, token)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(text: &str) -> SharedSecrets {
        SharedSecrets::new(&[&text.repeat(32)]).unwrap()
    }

    fn id(text: &str) -> NodeId {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_is_for_one_node_one_method_and_one_path() {
        let (own, now, a, b) = (secrets("s"), SystemTime::now(), id("a"), id("b"));
        let purpose = Purpose { audience: &b, method: &Method::GET, path: "/node/v1/streams/cam" };
        let token = sign(&own, &a, purpose, now);
        assert_eq!(verify(&own, &token, purpose, now), Some(a.clone()));
        for other in [
            Purpose { audience: &a, ..purpose },
            Purpose { method: &Method::POST, ..purpose },
            Purpose { path: "/node/v1/streams/cam2", ..purpose },
        ] {
            assert_eq!(verify(&own, &token, other, now), None);
        }
        assert_eq!(verify(&secrets("t"), &token, purpose, now), None, "another cluster's");
        assert!(is_one(&token) && !is_one("Bearer") && !is_one(&own.sign("JWT", &0)));
    }

    #[test]
    fn a_token_ends_after_30_s_and_clocks_may_differ_by_up_to_30_s() {
        let (own, now, a, b) = (secrets("s"), SystemTime::now(), id("a"), id("b"));
        let purpose = Purpose { audience: &b, method: &Method::GET, path: "/" };
        let token = sign(&own, &a, purpose, now);
        let is_valid = |now| verify(&own, &token, purpose, now).is_some();
        assert!(is_valid(now + Duration::from_secs(29)) && is_valid(now - Duration::from_secs(29)));
        assert!(!is_valid(now + Duration::from_secs(32)) && !is_valid(now - Duration::from_secs(32)));
    }
}
