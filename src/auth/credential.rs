//! The identity of a token's holder, which a session stores and later requests for that session must match.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256, digest};
use subtle::ConstantTimeEq as _;

/// Identifies the sender of a request: anonymous, or the holder of a token, by digests, so that neither memory nor logs
/// hold a secret.
///
/// The holder is the token itself, or the subject that a signed token names, so that a renewed token has the same
/// holder. Two credentials are equal if their holders are.
#[derive(Clone, Copy)]
pub struct Credential(Option<Digests>);

#[derive(Clone, Copy)]
struct Digests {
    holder: [u8; 32],
    token: [u8; 32],
}

impl Credential {
    /// No token.
    pub const ANONYMOUS: Self = Self(None);

    /// The holder of a token that names none: every client that sends it is the same holder.
    pub(crate) fn of_token(token: &str) -> Self {
        Self::of_digest(bytes(&digest(&SHA256, token.as_bytes())))
    }

    /// The holder of the token with this SHA-256 digest.
    pub(crate) fn of_digest(digest: [u8; 32]) -> Self {
        Self(Some(Digests { holder: digest, token: digest }))
    }

    /// The holder that `token` names by these texts.
    pub(crate) fn of_holder(token: &str, names: &[&str]) -> Self {
        let token = bytes(&digest(&SHA256, token.as_bytes()));
        Self(Some(Digests { holder: digest_of(names), token }))
    }

    /// A node of the cluster.
    pub(crate) fn of_node(name: &str) -> Self {
        Self::of_digest(digest_of(&["sluice node", name]))
    }

    /// As another node reads it by [`Self::read`]: digests, from which no token can be made.
    pub(crate) fn write(&self) -> String {
        let encode = |digest: &[u8; 32]| URL_SAFE_NO_PAD.encode(digest);
        self.0.as_ref().map_or_else(String::new, |own| format!("{}.{}", encode(&own.holder), encode(&own.token)))
    }

    /// Reads what [`Self::write`] has written; `None` if it is something else.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::ANONYMOUS);
        }
        let decode = |text| URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok();
        let (holder, token) = text.split_once('.')?;
        Some(Self(Some(Digests { holder: decode(holder)?, token: decode(token)? })))
    }

    /// True without a token.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.0.is_none()
    }

    /// Whether `shown` may change what was made with this credential: by the same holder, or by the very same token,
    /// whether or not that still counts.
    pub(crate) fn is_shown_by(&self, shown: &Self) -> bool {
        let is_same_token = match (&self.0, &shown.0) {
            (Some(own), Some(shown)) => bool::from(own.token.ct_eq(&shown.token)),
            _ => false,
        };
        is_same_token | (self == shown)
    }
}

/// The digest of several texts.
fn digest_of(texts: &[&str]) -> [u8; 32] {
    let mut digest = Context::new(&SHA256);
    for text in texts {
        // With its length, so that two lists of texts never join to the same octets, nor to those of a token.
        digest.update(&(text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    }
    bytes(&digest.finish())
}

fn bytes(digest: &ring::digest::Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

impl PartialEq for Credential {
    /// Constant time, wherever two digests differ.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(own), Some(other)) => bool::from(own.holder.ct_eq(&other.holder)),
            _ => false,
        }
    }
}

impl Eq for Credential {}

impl std::hash::Hash for Credential {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.map(|digests| digests.holder).hash(state);
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_anonymous() { "Credential(anonymous)" } else { "Credential(token)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewed_token_is_shown_by_its_holder_and_a_token_by_itself() {
        let first = Credential::of_holder("first", &["issuer", "alice"]);
        let renewed = Credential::of_holder("renewed", &["issuer", "alice"]);
        let other = Credential::of_holder("other", &["issuer", "bob"]);
        assert!(first == renewed && first != other);
        assert!(first.is_shown_by(&renewed) && first.is_shown_by(&Credential::of_token("first")));
        for foreign in [other, Credential::of_token("renewed"), Credential::ANONYMOUS] {
            assert!(!first.is_shown_by(&foreign));
        }
        assert!(Credential::ANONYMOUS.is_shown_by(&Credential::ANONYMOUS));
        for credential in [first, Credential::ANONYMOUS] {
            let read = Credential::read(&credential.write()).unwrap();
            assert!(read == credential && credential.is_shown_by(&read));
        }
        for wrong in [".", "a", "a.b", &Credential::of_token("t").write().replace('.', "")] {
            assert!(Credential::read(wrong).is_none(), "{wrong}");
        }
        let (one, other) = (Credential::of_node("a"), Credential::of_node("b"));
        assert!(one.is_shown_by(&one) && !one.is_shown_by(&other) && !other.is_shown_by(&one));
        assert_ne!(Credential::of_holder("t", &["ab", "c"]), Credential::of_holder("t", &["a", "bc"]));
    }
}
