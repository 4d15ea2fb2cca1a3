//! Makes JSON Web Tokens by hand, right ones and wrong ones, without the library that checks them.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::{hmac, signature};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "a secret of HS256 with more than 32 characters";
pub(crate) const RSA_PUBLIC: &str = include_str!("keys/rsa-public.pem");
pub(crate) const EC_PUBLIC: &str = include_str!("keys/ec-public.pem");
pub(crate) const ED_PUBLIC: &str = include_str!("keys/ed-public.pem");
pub(crate) const RSA_PRIVATE: &str = include_str!("keys/rsa-private.pem");
pub(crate) const EC_PRIVATE: &str = include_str!("keys/ec-private.pem");
pub(crate) const ED_PRIVATE: &str = include_str!("keys/ed-private.pem");

/// The octets in a PEM block.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    STANDARD.decode(pem.lines().filter(|line| !line.starts_with("-----")).collect::<String>()).unwrap()
}

pub(crate) fn base64url(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// Signs as `algorithm` says, with the keys of this folder.
pub(crate) fn signed(algorithm: &str, message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    match algorithm {
        "HS256" => hmac_of(SECRET.as_bytes(), message),
        "RS256" => {
            let key = signature::RsaKeyPair::from_pkcs8(&der(RSA_PRIVATE)).unwrap();
            let mut signed = vec![0; key.public().modulus_len()];
            key.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signed).unwrap();
            signed
        }
        "ES256" => {
            let kind = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
            let key = signature::EcdsaKeyPair::from_pkcs8(kind, &der(EC_PRIVATE), &random).unwrap();
            key.sign(&random, message).unwrap().as_ref().to_vec()
        }
        "EdDSA" => {
            let key = signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der(ED_PRIVATE)).unwrap();
            key.sign(message).as_ref().to_vec()
        }
        other => panic!("no key for {other}"),
    }
}

pub(crate) fn hmac_of(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

/// A token of any header and claims, signed in any way, as the value of Authorization.
pub(crate) fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let signature = base64url(sign(message.as_bytes()));
    format!("Bearer {message}.{signature}")
}

/// A token that is signed as its header says.
pub(crate) fn right(algorithm: &str, claims: &Value) -> String {
    token(&json!({"alg": algorithm, "typ": "JWT"}), claims, |message| signed(algorithm, message))
}

/// Seconds since 1970, `ahead` of now.
pub(crate) fn seconds(ahead: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + ahead
}

/// Claims for publishing and watching `cam-*` for an hour, with these members instead or besides.
pub(crate) fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "sub": "alice", "exp": seconds(3600), "actions": ["publish", "watch"], "streams": ["cam-*"],
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}
