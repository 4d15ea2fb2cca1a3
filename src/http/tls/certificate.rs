//! A certificate with its issuers and its key, read from PEM.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::digest::{SHA256, digest};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

/// What a handshake serves.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) facts: Facts,
}

/// What the server's own certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// DNS names and IP addresses that it is for.
    pub(super) names: Vec<String>,
    pub(super) valid_from: SystemTime,
    pub(super) expires: SystemTime,
}

/// What is wrong with the certificate in a file; each text continues a sentence that names the file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// No PEM section of a certificate.
    #[error(
        "has no certificate: write PEM (-----BEGIN CERTIFICATE-----), the server's own certificate first, then its issuers"
    )]
    Missing,
    /// A key in the place of a certificate.
    #[error("has a private key and no certificate: exchange the files of --tls-cert and --tls-key")]
    IsKey,
    /// PEM or DER that cannot be parsed.
    #[error("has a certificate that cannot be read ({0}): copy the file again as the authority issued it")]
    Unreadable(String),
}

/// What is wrong with the key in a file; each text continues a sentence that names the file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// No PEM section of a private key.
    #[error("has no private key: write the key of the certificate as PEM (-----BEGIN PRIVATE KEY-----)")]
    Missing,
    /// The key needs a password.
    #[error(
        "has an encrypted private key: decrypt it with openssl pkey -in FILE -out NEWFILE, and protect that by its mode (0600)"
    )]
    Encrypted,
    /// PEM or DER that cannot be parsed, or an algorithm that ring does not have.
    #[error(
        "has a private key that cannot be used ({0}): use an ECDSA key (P-256, P-384), an Ed25519 key, or an RSA key of 2048 to 4096 bits"
    )]
    Unusable(String),
}

impl Certificate {
    /// Reads a chain and its key from one PEM text; `None` if they cannot be served.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        Self::join(chain(text).ok()?, key(text).ok()?)
    }

    /// Joins a chain with its key; `None` if the key is that of another certificate.
    pub(super) fn join(chain: Vec<CertificateDer<'static>>, key: Arc<dyn SigningKey>) -> Option<Self> {
        let facts = facts(chain.first()?)?;
        let key = CertifiedKey::new(chain, key);
        key.keys_match().ok()?;
        Some(Self { key: Arc::new(key), facts })
    }

    /// The SHA-256 of the server's own certificate as browsers show it: upper-case hex bytes, separated by colons.
    pub(super) fn fingerprint(&self) -> String {
        let own = self.key.cert.first().map(|own| digest(&SHA256, own));
        let octets = own.iter().flat_map(|digest| digest.as_ref());
        octets.map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
    }
}

impl Facts {
    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        self.expires <= now
    }

    /// The time from the start of its validity to its expiry.
    pub(super) fn lifetime(&self) -> Duration {
        self.expires.duration_since(self.valid_from).unwrap_or_default()
    }

    /// Whether the certificate is for each of `names`.
    pub(super) fn has_names<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> bool {
        names.into_iter().all(|name| self.names.contains(name))
    }

    /// The day of its expiry, such as `2027-12-31`.
    pub(super) fn last_day(&self) -> String {
        let seconds = self.expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let time = i64::try_from(seconds).ok().and_then(|seconds| ASN1Time::from_timestamp(seconds).ok());
        time.map(|time| time.to_datetime().date().to_string()).unwrap_or_default()
    }
}

impl Facts {
    /// Whether clients that open it by `name` accept it; a wildcard stands for one label (RFC 9525 6.3).
    pub(super) fn is_for(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|own| match own.strip_prefix("*.") {
            Some(suffix) => own.eq_ignore_ascii_case(name) || parent.is_some_and(|it| it.eq_ignore_ascii_case(suffix)),
            None => own.eq_ignore_ascii_case(name),
        })
    }
}

impl fmt::Display for Facts {
    /// Its names and its last day, for the log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, valid until {}", self.names.join(", "), self.last_day())
    }
}

/// Reads the certificates of a PEM text, the server's own first.
///
/// # Errors
/// [`ChainFault`].
pub(super) fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, ChainFault> {
    let unreadable = |error: pem::Error| ChainFault::Unreadable(error.to_string());
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let Some(own) = chain.first() else {
        let is_key = PrivateKeyDer::from_pem_slice(text).is_ok();
        return Err(if is_key { ChainFault::IsKey } else { ChainFault::Missing });
    };
    match facts(own) {
        Some(_) => Ok(chain),
        None => Err(ChainFault::Unreadable("it is not X.509".to_owned())),
    }
}

/// Reads the first private key of a PEM text.
///
/// # Errors
/// [`KeyFault`].
pub(super) fn key(text: &[u8]) -> Result<Arc<dyn SigningKey>, KeyFault> {
    let key = PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(text) => KeyFault::Encrypted,
        pem::Error::NoItemsFound => KeyFault::Missing,
        other => KeyFault::Unusable(other.to_string()),
    })?;
    any_supported_type(&key).map_err(|error| match error {
        // Keys in the older formats name their encryption inside.
        _ if is_encrypted(text) => KeyFault::Encrypted,
        error => KeyFault::Unusable(error.to_string()),
    })
}

fn is_encrypted(text: &[u8]) -> bool {
    let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED")
}

/// What a certificate says; `None` if it is not X.509.
fn facts(certificate: &CertificateDer<'_>) -> Option<Facts> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let names = alternative.iter().flat_map(|extension| &extension.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => address(octets),
        _ => None,
    });
    let at = |time: ASN1Time| UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default());
    let validity = parsed.validity();
    Some(Facts { names: names.collect(), valid_from: at(validity.not_before), expires: at(validity.not_after) })
}

fn address(octets: &[u8]) -> Option<String> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(|v4| std::net::Ipv4Addr::from(v4).to_string()),
        16 => <[u8; 16]>::try_from(octets).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["live.example.org".to_owned(), "192.0.2.7".to_owned()]);
        let made = made.unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_certificate_says_for_which_names_and_until_when_it_is_valid() {
        let (cert, secret) = pair();
        let read = Certificate::join(chain(cert.as_bytes()).unwrap(), key(secret.as_bytes()).unwrap()).unwrap();
        assert_eq!(read.facts.names, ["live.example.org", "192.0.2.7"]);
        assert_eq!(read.facts.last_day(), "4096-01-01");
        let bytes: Vec<String> = read.fingerprint().split(':').map(str::to_owned).collect();
        assert!(bytes.len() == 32 && bytes.iter().all(|byte| u8::from_str_radix(byte, 16).is_ok()), "{bytes:?}");
        let before = SystemTime::now();
        assert!(!read.facts.is_over(before) && read.facts.is_over(read.facts.expires));
    }

    #[test]
    fn one_file_may_have_both_in_either_order() {
        let (cert, secret) = pair();
        for both in [format!("{cert}{secret}"), format!("{secret}{cert}")] {
            assert!(Certificate::join(chain(both.as_bytes()).unwrap(), key(both.as_bytes()).unwrap()).is_some());
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_noticed() {
        let ((cert, _), (_, other)) = (pair(), pair());
        assert!(Certificate::join(chain(cert.as_bytes()).unwrap(), key(other.as_bytes()).unwrap()).is_none());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_apart() {
        let (cert, secret) = pair();
        assert_eq!(chain(b"").unwrap_err(), ChainFault::Missing);
        assert_eq!(chain(b"hello").unwrap_err(), ChainFault::Missing);
        assert_eq!(chain(secret.as_bytes()).unwrap_err(), ChainFault::IsKey);
        let cut = &cert[..cert.len() / 2];
        assert!(matches!(chain(cut.as_bytes()), Err(ChainFault::Unreadable(_))), "{:?}", chain(cut.as_bytes()));
        let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(chain(odd.as_bytes()), Err(ChainFault::Unreadable(_))));
        assert_eq!(key(cert.as_bytes()).unwrap_err(), KeyFault::Missing);
        let sealed = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(key(sealed.as_bytes()).unwrap_err(), KeyFault::Encrypted);
        let odd = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(key(odd.as_bytes()), Err(KeyFault::Unusable(_))));
    }
}
