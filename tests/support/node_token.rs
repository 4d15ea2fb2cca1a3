//! Tokens of nodes, right ones and wrong ones, made without the library that checks them.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

pub(crate) const CLUSTER_SECRET: &str = "a secret of a cluster with more than 32 characters";

/// The value of Authorization of a request that `issuer` sends to `audience`; `changes` are made to its claims, and those
/// of `typ` and `secret` to its header and its key.
pub(crate) fn node_token(issuer: &str, audience: &str, (method, path): (&str, &str), changes: &Value) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({"iss": issuer, "aud": audience, "method": method, "path": path, "exp": now + 30});
    let (mut typ, mut secret) = ("sluice-node+jwt".to_owned(), CLUSTER_SECRET.to_owned());
    for (name, value) in changes.as_object().into_iter().flatten() {
        match name.as_str() {
            "typ" => typ = value.as_str().unwrap().to_owned(),
            "secret" => secret = value.as_str().unwrap().to_owned(),
            "age" => claims["exp"] = json!(now + 30 - value.as_u64().unwrap()),
            _ => claims[name] = value.clone(),
        }
    }
    let header = json!({"alg": "HS256", "typ": typ});
    let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message.as_bytes());
    format!("Bearer {message}.{}", URL_SAFE_NO_PAD.encode(signature))
}
