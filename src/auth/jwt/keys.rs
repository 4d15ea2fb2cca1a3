//! The keys that sign JSON Web Tokens: from a file, or as a server publishes them (JWK Set, RFC 7517).
//!
//! The rule: a key is bound to one algorithm when it is read, and a token is only ever checked with keys of the algorithm
//! that it names. So a public key never serves as the secret of an HMAC, whatever the token says.

use std::path::Path;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use crate::auth::config::KeyFileError;
use crate::setting::{file_advice, read_text};

/// The algorithms that tokens may be signed with.
pub(super) const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// The most keys of one file or server.
const MOST: usize = 64;

/// The longest key id, in octets.
const LONGEST_ID: usize = 256;

/// The shortest secret of HS256 in octets (RFC 7518 3.2).
pub(super) const SHORTEST_SECRET: usize = 32;

/// Keys, each bound to an algorithm.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

/// A key that is bound to an algorithm.
#[derive(Clone, Debug)]
pub(super) struct Key {
    id: Option<Box<str>>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// A JWK Set; its keys are read one by one, because a set may have keys of kinds that are not known here.
#[derive(Deserialize)]
struct Published {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// Reads a file: a JWK Set, one JWK, public keys in PEM, or the secret of HS256 as text.
    ///
    /// # Errors
    /// [`KeyFileError`], which never repeats what is in the file.
    pub(super) fn read(path: &Path) -> Result<Self, KeyFileError> {
        let refused = |reason: String| KeyFileError { path: path.to_owned(), reason };
        let text = read_text(path).map_err(|error| refused(file_advice(&error)))?;
        Self::of_file(text.trim()).map_err(|reason| refused(reason.to_owned()))
    }

    fn of_file(text: &str) -> Result<Self, &'static str> {
        if text.starts_with('{') {
            let value = serde_json::from_str::<serde_json::Value>(text).map_err(|_| "it is not JSON: correct it")?;
            let values = if value.get("keys").is_some() { None } else { Some(vec![value.clone()]) };
            let published = values.map_or_else(|| serde_json::from_value(value), |keys| Ok(Published { keys }));
            let keys = published.map_err(|_| "its keys are not a list: write a JWK Set (RFC 7517)")?.keys;
            return Self::of_jwks(keys, |_| true);
        }
        if text.contains("-----BEGIN ") {
            return Self::of_pem(text);
        }
        if text.len() < SHORTEST_SECRET {
            return Err("a secret for HS256 has at least 32 characters: make one by openssl rand -base64 48");
        }
        let decoding = DecodingKey::from_secret(text.as_bytes()).map_err(|_| "it is empty")?;
        Ok(Self(vec![Key { id: None, algorithm: Algorithm::HS256, decoding }]))
    }

    /// Reads what a server publishes: a JWK Set. Secrets in it are left out, because everybody may read it.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn of_server(body: &[u8]) -> Result<Self, &'static str> {
        let published: Published = serde_json::from_slice(body).map_err(|_| "the answer is not a JWK Set")?;
        Self::of_jwks(published.keys, |algorithm| algorithm != Algorithm::HS256)
    }

    fn of_jwks(values: Vec<serde_json::Value>, takes: impl Fn(Algorithm) -> bool) -> Result<Self, &'static str> {
        if values.len() > MOST {
            return Err("it has more than 64 keys");
        }
        let keys = values.into_iter().filter_map(|value| Key::of_jwk(&serde_json::from_value(value).ok()?));
        let keys: Vec<Key> = keys.filter(|key| takes(key.algorithm)).collect();
        if keys.is_empty() {
            return Err("it has no key for HS256, RS256 (2048 bits or more), ES256 or EdDSA (Ed25519)");
        }
        Ok(Self(keys))
    }

    fn of_pem(text: &str) -> Result<Self, &'static str> {
        const BEGIN: &str = "-----BEGIN ";
        let mut keys = Vec::new();
        for block in text.split(BEGIN).skip(1) {
            if keys.len() == MOST {
                return Err("it has more than 64 keys");
            }
            if block.split("-----").next().is_some_and(|label| label.contains("PRIVATE")) {
                return Err(
                    "it has a private key, which only the issuer of tokens needs: write the public key into it",
                );
            }
            let pem = format!("{BEGIN}{block}");
            let key = Key::of_pem(pem.trim().as_bytes());
            keys.push(key.ok_or("it has a PEM block that is no public key of RSA, P-256 or Ed25519")?);
        }
        Ok(Self(keys))
    }

    /// The keys of both.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// How many keys it has.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has a key with this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// The keys that may have signed a token of this algorithm and key id. A key without an id counts for every id.
    pub(super) fn candidates<'a>(&'a self, algorithm: Algorithm, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        let fits = move |key: &&Key| match (id, key.id.as_deref()) {
            (Some(asked), Some(own)) => asked == own,
            _ => true,
        };
        self.0.iter().filter(move |key| key.algorithm == algorithm).filter(fits)
    }
}

impl Key {
    /// `None` for a key that no token is checked with.
    fn of_jwk(jwk: &Jwk) -> Option<Self> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            _ => return None,
        };
        let agrees = jwk.common.key_algorithm.is_none_or(|named| Algorithm::try_from(named).ok() == Some(algorithm));
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
        let id = jwk.common.key_id.as_deref();
        let is_short = id.is_none_or(|id| id.len() <= LONGEST_ID);
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        let is_long = algorithm != Algorithm::HS256
            || decoding.try_get_as_bytes().is_ok_and(|secret| secret.len() >= SHORTEST_SECRET);
        (agrees && signs && is_short && is_long).then(|| Self { id: id.map(Box::from), algorithm, decoding })
    }

    fn of_pem(pem: &[u8]) -> Option<Self> {
        let read = [
            (Algorithm::RS256, DecodingKey::from_rsa_pem(pem)),
            (Algorithm::ES256, DecodingKey::from_ec_pem(pem)),
            (Algorithm::EdDSA, DecodingKey::from_ed_pem(pem)),
        ];
        let mut keys = read.into_iter().filter_map(|(algorithm, key)| Some((algorithm, key.ok()?)));
        keys.next().map(|(algorithm, decoding)| Self { id: None, algorithm, decoding })
    }
}
