//! A certificate that the relay makes for itself, for a local network: browsers allow cameras only on https, and warn of
//! it once. It is kept in the state directory, if there is one, so that a restart causes no second warning.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

use super::certificate::Certificate;
use super::error::TlsError;
use crate::state_dir::StateDir;

/// Its file in the state directory, with the key.
const FILE: &str = "self-signed.pem";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it is valid: Apple's systems accept at most 825 days.
const LIFETIME: Duration = DAY.saturating_mul(397);
/// It is replaced when it is valid for less than this.
const RENEWED: Duration = DAY.saturating_mul(30);
/// Names at most, so that the certificate stays small on machines with many addresses.
const NAMES: usize = 64;

/// For which names, and where it is kept.
#[derive(Debug)]
pub(super) struct SelfSigned {
    names: BTreeSet<String>,
    state: Option<StateDir>,
}

impl SelfSigned {
    /// Takes the certificate from the state directory if it is still good for this machine's names and `advertised`
    /// addresses; else makes one.
    ///
    /// # Errors
    /// [`TlsError`] if it cannot be made or kept.
    pub(super) fn open(
        advertised: &[IpAddr],
        state: Option<StateDir>,
        now: SystemTime,
    ) -> Result<(Self, Certificate), TlsError> {
        let own = Self { names: names(advertised), state };
        let kept = match &own.state {
            Some(state) => state.read(FILE)?.and_then(|text| Certificate::read(&text)),
            None => None,
        };
        let certificate = match kept.filter(|kept| own.is_good(kept, now)) {
            Some(kept) => kept,
            None => own.make(now)?,
        };
        Ok((own, certificate))
    }

    /// A certificate for these names, to serve until an authority issues one; it is not kept.
    ///
    /// # Errors
    /// [`TlsError`] if it cannot be made.
    pub(super) fn stand_in(names: &[String], now: SystemTime) -> Result<Certificate, TlsError> {
        Self { names: names.iter().cloned().collect(), state: None }.make(now)
    }

    /// A new certificate, if this one is to be replaced.
    pub(super) fn renewed(&self, current: &Certificate, now: SystemTime) -> Option<Result<Certificate, TlsError>> {
        (!self.is_good(current, now)).then(|| self.make(now))
    }

    fn is_good(&self, certificate: &Certificate, now: SystemTime) -> bool {
        let facts = &certificate.facts;
        facts.valid_from <= now && now + RENEWED < facts.expires && facts.has_names(&self.names)
    }

    fn make(&self, now: SystemTime) -> Result<Certificate, TlsError> {
        let failed = |error: rcgen::Error| TlsError::Generation(error.to_string());
        let mut parameters = CertificateParams::new(self.names.iter().cloned().collect::<Vec<_>>()).map_err(failed)?;
        // Clocks of phones may be behind.
        (parameters.not_before, parameters.not_after) = ((now - DAY).into(), (now + LIFETIME - DAY).into());
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "sluice");
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let pair = KeyPair::generate().map_err(failed)?;
        let text = parameters.self_signed(&pair).map_err(failed)?.pem() + &pair.serialize_pem();
        if let Some(state) = &self.state {
            state.write(FILE, text.as_bytes())?;
        }
        Certificate::read(text.as_bytes()).ok_or_else(|| TlsError::Generation("it cannot be read back".to_owned()))
    }
}

/// Names and addresses by which this machine may be reached.
fn names(advertised: &[IpAddr]) -> BTreeSet<String> {
    let host = gethostname::gethostname().to_string_lossy().to_ascii_lowercase();
    let is_name = !host.is_empty()
        && host.split('.').all(|label| !label.is_empty() && label.len() < 64)
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let mut names = BTreeSet::from(["localhost".to_owned()]);
    if is_name && host.parse::<IpAddr>().is_err() {
        if !host.contains('.') {
            // Its name by multicast DNS.
            names.insert(format!("{host}.local"));
        }
        names.insert(host);
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let own = interfaces.iter().filter(|interface| !interface.is_link_local()).map(|interface| interface.ip());
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let addresses = loopback.into_iter().chain(advertised.iter().copied()).chain(own);
    names.extend(addresses.take(NAMES).map(|address| address.to_canonical().to_string()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_this_machine_and_what_it_advertises_for_about_a_year() {
        let now = SystemTime::now();
        let (own, made) = SelfSigned::open(&["203.0.113.7".parse().unwrap()], None, now).unwrap();
        for name in ["localhost", "127.0.0.1", "::1", "203.0.113.7"] {
            assert!(made.facts.names.iter().any(|known| known == name), "{name} in {:?}", made.facts.names);
        }
        assert!(made.facts.valid_from < now && made.facts.expires > now + DAY * 390);
        assert!(made.facts.expires < now + DAY * 398, "longer ones are refused by Apple's systems");
        assert!(own.renewed(&made, now + DAY * 360).is_none());
        let newer = own.renewed(&made, now + DAY * 370).unwrap().unwrap();
        assert!(newer.facts.expires > made.facts.expires);
    }

    #[test]
    fn a_kept_certificate_is_served_again_until_a_name_is_missing_or_it_ends() {
        let place = std::env::temp_dir().join(format!("sluice-self-signed-{}", std::process::id()));
        let state = || Some(StateDir::open(&place).unwrap());
        let now = SystemTime::now();
        let open = |advertised: &[IpAddr], now| SelfSigned::open(advertised, state(), now).unwrap().1;
        let first = open(&[], now);
        assert_eq!(open(&[], now).key.cert, first.key.cert);
        let other = open(&["203.0.113.7".parse().unwrap()], now);
        assert_ne!(other.key.cert, first.key.cert);
        assert_eq!(open(&[], now).key.cert, other.key.cert, "more names than needed are no fault");
        assert_ne!(open(&[], now + LIFETIME).key.cert, other.key.cert);
        std::fs::write(place.join(FILE), "nonsense").unwrap();
        assert_eq!(open(&[], now).key.cert.len(), 1, "an unreadable file is replaced");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(place.join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::remove_dir_all(&place).unwrap();
    }
}
