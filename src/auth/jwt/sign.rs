//! Makes tokens (`sluice token --jwt-key`).

use std::path::{Path, PathBuf};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

use super::keys::SHORTEST_SECRET;
use super::provider;
use crate::setting::{file_advice, read_text};

/// Why no token was made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("cannot sign with the key file {}: {reason}", path.display())]
pub struct SignError {
    path: PathBuf,
    reason: String,
}

/// Signs claims with the private key (PEM, PKCS #8) or the secret in a file.
pub(in crate::auth) fn sign(
    path: &Path,
    key_id: Option<&str>,
    claims: &serde_json::Value,
) -> Result<String, SignError> {
    provider::install();
    let refused = |reason: String| SignError { path: path.to_owned(), reason };
    let text = read_text(path).map_err(|error| refused(file_advice(&error)))?;
    let (algorithm, key) = read(text.trim()).map_err(|reason| refused(reason.to_owned()))?;
    let mut header = Header::new(algorithm);
    header.kid = key_id.map(str::to_owned);
    encode(&header, claims, &key).map_err(|_| refused("its key is not one for RS256, ES256 or EdDSA".to_owned()))
}

fn read(text: &str) -> Result<(Algorithm, EncodingKey), &'static str> {
    let bytes = text.as_bytes();
    if text.contains("-----BEGIN ") {
        let read = [
            (Algorithm::ES256, EncodingKey::from_ec_pem(bytes)),
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(bytes)),
            (Algorithm::RS256, EncodingKey::from_rsa_pem(bytes)),
        ];
        let key = read.into_iter().find_map(|(algorithm, key)| Some((algorithm, key.ok()?)));
        return key
            .filter(|_| text.contains("PRIVATE KEY"))
            .ok_or("it has no private key of RSA, P-256 or Ed25519: convert it by openssl pkcs8 -topk8 -nocrypt");
    }
    if text.starts_with('{') {
        return Err("it is JSON: write the private key as PEM, or the secret as text");
    }
    if text.len() < SHORTEST_SECRET {
        return Err("a secret for HS256 has at least 32 characters: make one by openssl rand -base64 48");
    }
    EncodingKey::from_secret(bytes).map(|key| (Algorithm::HS256, key)).map_err(|_| "it is empty")
}
