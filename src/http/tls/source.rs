//! Where the certificate comes from, and when there is another one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::acme::{Acme, AcmeError};
use super::certificate::Certificate;
use super::config::{CertificateSource, Config};
use super::error::TlsError;
use super::files::Files;
use super::self_signed::SelfSigned;
use crate::metrics::Metrics;
use crate::state_dir::StateDir;

/// A source of certificates that has given one; until an authority issues the first one, a self-signed one.
#[derive(Debug)]
pub(super) enum Source {
    Files(Files),
    SelfSigned(SelfSigned),
    Acme(Arc<Acme>),
}

impl Source {
    /// Gets the first certificate, for a machine that announces these addresses.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn open(
        source: &CertificateSource,
        config: &Config,
        advertised: &[IpAddr],
        metrics: &Metrics,
        now: SystemTime,
    ) -> Result<(Self, Certificate), TlsError> {
        let state = config.state_dir.as_deref().map(StateDir::open).transpose()?;
        match source {
            CertificateSource::Files { cert, key } => {
                let (files, certificate) = Files::open(cert.clone(), key.clone())?;
                Ok((Self::Files(files), certificate))
            }
            CertificateSource::SelfSigned => {
                let (own, certificate) = SelfSigned::open(advertised, state, now)?;
                Ok((Self::SelfSigned(own), certificate))
            }
            CertificateSource::Acme(config) => {
                let state = state.ok_or(AcmeError::NoStateDir)?;
                let (acme, kept) = Acme::open(config, state, metrics.acme())?;
                let certificate = kept.map_or_else(|| SelfSigned::stand_in(&config.domains, now), Ok)?;
                Ok((Self::Acme(Arc::new(acme)), certificate))
            }
        }
    }

    /// Reads the files and tries the directory that [`open`](Self::open) needs, and leaves nothing behind.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn check(source: &CertificateSource, config: &Config) -> Result<(), TlsError> {
        config.state_dir.as_deref().map(StateDir::check).transpose()?;
        match source {
            CertificateSource::Files { cert, key } => drop(Files::open(cert.clone(), key.clone())?),
            CertificateSource::Acme(acme) => {
                config.state_dir.as_ref().ok_or(AcmeError::NoStateDir)?;
                Acme::check(acme)?;
            }
            CertificateSource::SelfSigned => {}
        }
        Ok(())
    }

    /// Another certificate than the `current` one, or why it cannot be served; `None` if all is as before.
    pub(super) fn changed(&mut self, current: &Certificate, now: SystemTime) -> Option<Result<Certificate, TlsError>> {
        match self {
            Self::Files(files) => Some(files.changed()?.and_then(|newer| {
                if newer.facts.is_over(now) && !current.facts.is_over(now) {
                    let (path, day) = (files.cert().to_owned(), newer.facts.last_day());
                    return Err(TlsError::Expired { path, day });
                }
                Ok(newer)
            })),
            Self::SelfSigned(own) => own.renewed(current, now),
            Self::Acme(acme) => acme.outcome().map(|ordered| ordered.map_err(TlsError::from)),
        }
    }

    /// The authority, if it is one.
    pub(super) fn acme(&self) -> Option<&Arc<Acme>> {
        match self {
            Self::Acme(acme) => Some(acme),
            Self::Files(_) | Self::SelfSigned(_) => None,
        }
    }

    /// What an operator does about a name that the certificate lacks; `None` if clients are warned of it in any case.
    pub(super) fn advice_about_names(&self) -> Option<String> {
        match self {
            Self::Files(files) => Some(format!("write one for that name too to {}", files.cert().display())),
            Self::Acme(_) => Some("add that name to --domain if it leads to this relay".to_owned()),
            Self::SelfSigned(_) => None,
        }
    }

    /// What an operator does about a certificate that ends.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::Files(files) => format!("write the renewed one to {}; it is served at once", files.cert().display()),
            Self::SelfSigned(_) | Self::Acme(_) => {
                "the relay could not replace it: the line before says why".to_owned()
            }
        }
    }
}
