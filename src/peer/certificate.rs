//! The DTLS certificate that all peers of one process share, and the crypto provider that made it.
//!
//! There is one certificate because making a signing key costs more than a whole join, and the fingerprint in each
//! answer is all that binds it to a session. It is made at the start and never stored.

use std::sync::Arc;

use rtc::crypto::{CryptoError, RTCCryptoProvider, SignatureScheme, default_provider};
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};

/// A self-signed certificate (ECDSA, P-256) and its fingerprint. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    certificate: RTCCertificate,
    provider: Arc<dyn RTCCryptoProvider>,
    fingerprint: String,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The cryptography of this build is missing or failed.
    #[error("this build has no working cryptography: {0}")]
    Crypto(#[from] CryptoError),
    /// webrtc-rs could not make the certificate.
    #[error("no DTLS certificate could be made: {0}")]
    Generation(String),
}

impl Certificate {
    /// Makes a new key pair and certificate; takes about 100 µs.
    pub fn generate() -> Result<Self, CertificateError> {
        Self::generate_with(default_provider()?)
    }

    /// The same with another crypto provider, which the peers of the certificate use too.
    ///
    /// # Errors
    /// [`CertificateError`] if the provider cannot make a P-256 key or sign with it.
    pub fn generate_with(provider: Arc<dyn RTCCryptoProvider>) -> Result<Self, CertificateError> {
        let failed = |error: String| CertificateError::Generation(error);
        let parameters =
            CertificateParams::new(vec!["sluice".to_owned()]).map_err(|error| failed(error.to_string()))?;
        let certificate = RTCCertificate::generate(provider.crypto(), SignatureScheme::EcdsaP256Sha256, parameters)
            .map_err(|error| failed(error.to_string()))?;
        let fingerprints =
            certificate.get_fingerprints(provider.crypto()).map_err(|error| failed(error.to_string()))?;
        let first = fingerprints.first().ok_or_else(|| failed("it has no fingerprint".to_owned()))?;
        // RFC 8122 5 writes fingerprints in upper case.
        let fingerprint = first.value.to_ascii_uppercase();
        Ok(Self(Arc::new(Inner { certificate, provider, fingerprint })))
    }

    /// The value of `a=fingerprint:sha-256` (RFC 8122 5): 32 upper-case hex bytes, separated by colons.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }

    pub(super) fn certificate(&self) -> RTCCertificate {
        self.0.certificate.clone()
    }

    pub(super) fn provider(&self) -> Arc<dyn RTCCryptoProvider> {
        Arc::clone(&self.0.provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_32_upper_case_bytes_and_its_own() {
        let one = Certificate::generate().unwrap();
        let other = Certificate::generate().unwrap();
        let bytes: Vec<&str> = one.fingerprint().split(':').collect();
        assert_eq!(bytes.len(), 32);
        assert!(bytes.iter().all(|byte| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok()));
        assert_eq!(one.fingerprint(), one.fingerprint().to_ascii_uppercase());
        assert_ne!(one.fingerprint(), other.fingerprint());
    }
}
