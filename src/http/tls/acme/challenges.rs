//! The pending challenges, and the certificate that answers the authority's handshake for each of them (RFC 8737).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use crate::http::tls::certificate::{chain, key};

/// The protocol of a validation (RFC 8737 6.2).
pub(in crate::http::tls) const ACME_TLS: &[u8] = b"acme-tls/1";

/// Certificates of challenges by their name. An order writes, each handshake for [`ACME_TLS`] reads.
#[derive(Debug, Default)]
pub(in crate::http::tls) struct Challenges(Mutex<HashMap<String, Arc<CertifiedKey>>>);

/// A challenge that is answered until this is dropped.
#[derive(Debug)]
pub(in crate::http::tls) struct Pending {
    name: String,
    challenges: Arc<Challenges>,
}

impl Challenges {
    /// Answers the challenge for `name` whose key authorization has this SHA-256; `None` if no certificate can be made
    /// for it.
    pub(in crate::http::tls) fn answer(self: &Arc<Self>, name: &str, digest: &[u8]) -> Option<Pending> {
        let certificate = certificate(name, digest)?;
        self.by_name().insert(name.to_owned(), certificate);
        Some(Pending { name: name.to_owned(), challenges: Arc::clone(self) })
    }

    /// The certificate for a handshake of the authority; `None` if no challenge for its name is pending.
    pub(in crate::http::tls) fn certificate(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.by_name().get(&hello.server_name()?.to_ascii_lowercase()).map(Arc::clone)
    }

    fn by_name(&self) -> MutexGuard<'_, HashMap<String, Arc<CertifiedKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.challenges.by_name().remove(&self.name);
    }
}

/// A certificate for this name alone, with the digest in a critical extension (RFC 8737 3).
fn certificate(name: &str, digest: &[u8]) -> Option<Arc<CertifiedKey>> {
    if digest.len() != ring::digest::SHA256_OUTPUT_LEN {
        return None;
    }
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).ok()?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let pair = KeyPair::generate().ok()?;
    let text = parameters.self_signed(&pair).ok()?.pem();
    // `Certificate::read` compares key and certificate, and rustls reads none with this critical extension.
    Some(Arc::new(CertifiedKey::new(chain(text.as_bytes()).ok()?, key(pair.serialize_pem().as_bytes()).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::extensions::GeneralName;
    use x509_parser::parse_x509_certificate;

    #[test]
    fn a_challenge_has_its_certificate_while_it_is_pending_and_no_other_name_has_one() {
        let challenges = Arc::new(Challenges::default());
        let pending = challenges.answer("live.example.org", &[7; 32]).unwrap();
        let other = challenges.answer("other.example.org", &[8; 32]).unwrap();
        drop(other);
        let names: Vec<String> = challenges.by_name().keys().cloned().collect();
        assert_eq!(names, ["live.example.org"]);
        drop(pending);
        assert!(challenges.by_name().is_empty());
        assert!(challenges.answer("live.example.org", b"short").is_none());
    }

    #[test]
    fn the_certificate_is_for_the_name_alone_and_has_the_digest_in_a_critical_extension() {
        let made = certificate("live.example.org", &[7; 32]).unwrap();
        let (_, parsed) = parse_x509_certificate(&made.cert[0]).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names, [GeneralName::DNSName("live.example.org")]);
        let extension = parsed.extensions().iter().find(|it| it.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
        assert!(extension.critical);
        assert_eq!(extension.value, [&[0x04, 0x20][..], &[7; 32]].concat(), "an OCTET STRING of 32 octets");
    }
}
