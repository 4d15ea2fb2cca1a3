//! Tokens between machines of one operator: HS256 by secrets that all of them have.
//!
//! Each kind of token has a type of its own in its header (RFC 8725 3.11), so that none passes for another.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use ring::hmac;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keys::SHORTEST_SECRET;
use super::provider;

/// The most secrets: the one in use and, while they are replaced, the one before or after it.
const MOST: usize = 2;

/// One or two secrets: the first signs, both verify.
pub(crate) struct SharedSecrets {
    signing: EncodingKey,
    verifying: Vec<DecodingKey>,
}

/// Why secrets are refused. No text of it repeats them.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SharedSecretsError {
    /// There is none.
    #[error("there is no secret: make one by openssl rand -hex 32")]
    None,
    /// There are more than two.
    #[error("there are more than two secrets: keep the one that signs and, while they are replaced, one more")]
    TooMany,
    /// One can be guessed.
    #[error("a secret has at least 32 characters: make one by openssl rand -hex 32")]
    Short,
}

impl SharedSecrets {
    /// The secrets in this order.
    ///
    /// # Errors
    /// [`SharedSecretsError`].
    pub(crate) fn new(secrets: &[&str]) -> Result<Self, SharedSecretsError> {
        provider::install();
        let first = secrets.first().ok_or(SharedSecretsError::None)?;
        if secrets.len() > MOST {
            return Err(SharedSecretsError::TooMany);
        }
        if secrets.iter().any(|secret| secret.len() < SHORTEST_SECRET) {
            return Err(SharedSecretsError::Short);
        }
        let signing = EncodingKey::from_secret(first.as_bytes()).map_err(|_| SharedSecretsError::None)?;
        let verifying = secrets.iter().map(|secret| DecodingKey::from_secret(secret.as_bytes()));
        let verifying = verifying.collect::<Result<_, _>>().map_err(|_| SharedSecretsError::None)?;
        Ok(Self { signing, verifying })
    }

    /// Signs claims as a token of this kind.
    pub(crate) fn sign(&self, kind: &str, claims: &impl Serialize) -> String {
        let header = Header { typ: Some(kind.to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, claims, &self.signing).expect("claims are JSON, and HS256 signs with any secret")
    }

    /// A digest of a text by each secret, that of the first one first: machines with one secret in common have one in common.
    pub(crate) fn digests(&self, text: &str) -> Vec<String> {
        let secrets = self.verifying.iter().filter_map(|key| key.try_get_as_bytes().ok());
        let digest = |secret: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
        secrets.map(|secret| URL_SAFE_NO_PAD.encode(digest(secret))).collect()
    }

    /// The claims of a token of this kind that one of the secrets has signed. Their times are for the caller to check.
    pub(crate) fn verify<C: DeserializeOwned>(&self, kind: &str, token: &str) -> Option<C> {
        if !is_of_kind(kind, token) {
            return None;
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_aud) = (false, false);
        self.verifying.iter().find_map(|key| Some(decode::<C>(token, key, &validation).ok()?.claims))
    }
}

/// Whether a token says that it is of this kind.
pub(crate) fn is_of_kind(kind: &str, token: &str) -> bool {
    decode_header(token).is_ok_and(|header| header.alg == Algorithm::HS256 && header.typ.as_deref() == Some(kind))
}

impl fmt::Debug for SharedSecrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SharedSecrets(secret)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const OLD: &str = "an old secret with more than 32 characters";
    const NEW: &str = "a new secret with more than 32 characters";

    fn secrets(texts: &[&str]) -> SharedSecrets {
        SharedSecrets::new(texts).unwrap()
    }

    #[test]
    fn while_secrets_are_replaced_both_machines_understand_each_other() {
        let claims = json!({"sub": "a"});
        let (before, during, after) = (secrets(&[OLD]), secrets(&[NEW, OLD]), secrets(&[NEW]));
        for (signing, verifying, is_valid) in [
            (&before, &before, true),
            (&before, &during, true),
            (&during, &during, true),
            (&during, &after, true),
            (&before, &after, false),
        ] {
            let read: Option<Value> = verifying.verify("a+jwt", &signing.sign("a+jwt", &claims));
            assert_eq!(read, is_valid.then(|| claims.clone()));
            assert_eq!(verifying.digests("a").contains(&signing.digests("a")[0]), is_valid);
        }
    }

    #[test]
    fn a_token_of_another_kind_or_a_changed_one_is_none() {
        let own = secrets(&[NEW]);
        let token = own.sign("a+jwt", &json!({"sub": "a"}));
        assert_eq!(own.verify::<Value>("b+jwt", &token), None);
        assert!(is_of_kind("a+jwt", &token) && !is_of_kind("b+jwt", &token) && !is_of_kind("a+jwt", "a.b.c"));
        let forged = token.replace(token.split('.').nth(1).unwrap(), "eyJzdWIiOiJiIn0");
        assert_eq!(own.verify::<Value>("a+jwt", &forged), None);
    }

    #[test]
    fn short_secrets_none_and_three_are_refused() {
        let refused = |texts: &[&str]| SharedSecrets::new(texts).unwrap_err();
        assert_eq!(refused(&[]), SharedSecretsError::None);
        assert_eq!(refused(&["x"]), SharedSecretsError::Short);
        assert_eq!(refused(&[NEW, ""]), SharedSecretsError::Short);
        assert_eq!(refused(&[NEW, OLD, NEW]), SharedSecretsError::TooMany);
        assert!(!format!("{:?}", secrets(&[NEW])).contains("new"));
    }
}
