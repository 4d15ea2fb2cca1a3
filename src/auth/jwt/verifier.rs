//! Checks tokens: signature, time, issuer, audience and claims.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};

use super::claims::Claims;
use super::keys::{ALGORITHMS, KeySet};
use super::provider;
use super::remote::RemoteKeys;
use crate::auth::config::{Config, KeyFileError};
use crate::auth::credential::Credential;
use crate::auth::denied::Denied;
use crate::auth::holder::{Holder, Source};

/// How much the clocks of the issuer and the relay may differ.
const LEEWAY: Duration = Duration::from_secs(30);

/// The most keys that one token is checked with.
const TRIES: usize = 8;

/// What checks tokens.
#[derive(Debug)]
pub(in crate::auth) struct Verifier {
    keys: KeySet,
    remote: Option<Arc<RemoteKeys>>,
    issuer: Option<String>,
    audience: Option<String>,
}

/// Why a token has no holder.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::auth) enum Unverified {
    /// It is no JSON Web Token, or none of the known keys has signed it.
    Foreign,
    /// None of the known keys has signed it, but the server may publish a newer one.
    UnknownKey,
    /// A known key has signed it, and it does not count: it has expired, for example.
    Refused(Denied),
}

impl Verifier {
    /// `None` without keys. The server's keys are kept that `before` has.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub(in crate::auth) fn new(config: &Config, before: Option<&Self>) -> Result<Option<Self>, KeyFileError> {
        if config.jwt_keys.is_empty() && config.jwks_url.is_none() {
            return Ok(None);
        }
        provider::install();
        let mut keys = KeySet::default();
        for path in &config.jwt_keys {
            keys = keys.and(KeySet::read(path)?);
        }
        let remote = config.jwks_url.as_ref().map(|url| {
            let kept = before.and_then(|before| before.remote.clone()).filter(|remote| remote.url() == url);
            kept.unwrap_or_else(|| Arc::new(RemoteKeys::new(url.clone())))
        });
        let (issuer, audience) = (config.jwt_issuer.clone(), config.jwt_audience.clone());
        Ok(Some(Self { keys, remote, issuer, audience }))
    }

    /// The keys that a server publishes.
    pub(in crate::auth) fn remote(&self) -> Option<&Arc<RemoteKeys>> {
        self.remote.as_ref()
    }

    /// The holder of a token that counts now.
    ///
    /// # Errors
    /// [`Unverified`].
    pub(in crate::auth) fn verify(&self, token: &str) -> Result<Holder, Unverified> {
        // An algorithm that does not exist, such as "none", is an error here.
        let header = decode_header(token).map_err(|_| Unverified::Foreign)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Unverified::Foreign);
        }
        let (algorithm, id) = (header.alg, header.kid.as_deref());
        let remote = self.remote.as_ref().map(|remote| remote.keys(Instant::now()));
        let sets = [Some(&self.keys), remote.as_deref()];
        let candidates = sets.into_iter().flatten().flat_map(|keys| keys.candidates(algorithm, id));
        for key in candidates.take(TRIES) {
            match decode::<Claims>(token, &key.decoding, &self.validation(key.algorithm)) {
                Ok(data) => return holder(token, data.claims),
                Err(error) => match error.kind() {
                    ErrorKind::InvalidSignature | ErrorKind::Base64(_) | ErrorKind::InvalidToken => {}
                    ErrorKind::ExpiredSignature => return Err(Unverified::Refused(Denied::Expired)),
                    ErrorKind::ImmatureSignature => return Err(Unverified::Refused(Denied::NotYetValid)),
                    _ => return Err(Unverified::Refused(Denied::WrongClaims)),
                },
            }
        }
        let is_known = remote.is_none_or(|keys| id.is_some_and(|id| keys.has(id)));
        Err(if is_known { Unverified::Foreign } else { Unverified::UnknownKey })
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

/// The holder that a valid token names. Without a subject the token itself is the holder.
fn holder(token: &str, claims: Claims) -> Result<Holder, Unverified> {
    let wrong = Unverified::Refused(Denied::WrongClaims);
    let since_1970 = |seconds: f64| {
        let duration = Duration::try_from_secs_f64(seconds).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(duration)
    };
    let Some(expires) = since_1970(claims.exp).and_then(|exp| exp.checked_add(LEEWAY)) else { return Err(wrong) };
    let issued = claims.iat.and_then(since_1970);
    let (subject, issuer, token_id) = (claims.sub.clone(), claims.iss.clone(), claims.jti.clone());
    let Some(scope) = claims.into_scope() else { return Err(wrong) };
    let credential = match &subject {
        Some(subject) => {
            Credential::of_holder(token, &[issuer.as_deref().unwrap_or_default(), subject, &scope.to_string()])
        }
        None => Credential::of_token(token),
    };
    Ok(Holder {
        credential,
        source: Source::Signed,
        scopes: vec![scope],
        name: subject.map(Into::into),
        token_id: token_id.map(Into::into),
        issued,
        expires: Some(expires),
    })
}
