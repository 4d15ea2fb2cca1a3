//! Gathers each module's own settings: defaults, then the TOML file, then the environment, then flags.
//!
//! A module's `Settings` is the only list of its settings: a field is a flag (`--rate-limit`), an environment variable
//! (`SLUICE_RATE_LIMIT`) and a key in the module's section of the file (`[http] rate-limit`), with its default and its
//! help for `--help`, `check-config` and the README. One parser reads all three, so they cannot differ.

mod contradictions;
mod effective;
mod file;
mod nearest;
mod setting;
mod show;
mod tables;

use std::io::ErrorKind;
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

pub(crate) use effective::Changed;
pub use effective::{Effective, Given};
pub use nearest::unknown_variables;
pub(crate) use setting::variable;
pub use show::table;

use crate::setting::file_advice;
use crate::{auth, cluster, http, legs, log, worker};

/// All settings, section by section.
#[derive(clap::Args)]
#[group(skip)]
struct Settings {
    #[command(flatten)]
    http: http::Settings,
    #[command(flatten)]
    tls: http::TlsSettings,
    #[command(flatten)]
    media: worker::Settings,
    #[command(flatten)]
    auth: auth::Settings,
    #[command(flatten)]
    cluster: cluster::Settings,
    #[command(flatten)]
    legs: legs::Settings,
    #[command(flatten)]
    log: log::Settings,
}

/// Each module's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// HTTP.
    pub http: http::Config,
    /// Access.
    pub auth: auth::Config,
    /// Media.
    pub worker: worker::Config,
    /// The directory.
    pub cluster: cluster::Config,
    /// Pulls and pushes.
    pub legs: legs::Config,
    /// The log filter.
    pub log: EnvFilter,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: http::Config::default(),
            auth: auth::Config::default(),
            worker: worker::Config::default(),
            cluster: cluster::Config::default(),
            legs: legs::Config::default(),
            log: EnvFilter::new(log::DEFAULT),
        }
    }
}

impl TryFrom<Settings> for Config {
    type Error = ConfigError;

    /// Checks what can be checked before any socket is bound.
    fn try_from(settings: Settings) -> Result<Self, ConfigError> {
        let config = Self {
            http: http::Config { tls: settings.tls.try_into()?, ..settings.http.try_into()? },
            auth: settings.auth.into(),
            worker: settings.media.into(),
            cluster: settings.cluster.into(),
            legs: settings.legs.into(),
            log: log::filter(&settings.log.filter)?,
        };
        auth::check(&config.auth)?;
        if config.http.admin.is_some_and(|admin| admin == config.http.listen && admin.port() != 0) {
            return Err(ConfigError::SameAddress);
        }
        config.worker.check()?;
        Ok(config)
    }
}

/// Why a configuration is refused; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {}", advice(error))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// The file is not TOML, or has an unknown key or a wrong value.
    #[error("{path}, line {line}: {complaint}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line in the file, from 1.
        line: usize,
        /// What is wrong and what to do.
        complaint: String,
    },
    /// A variable that looks like a secret but is not one that is read.
    #[error("{0}: correct or unset it, because without it the relay may be open to everyone")]
    UnknownSecret(String),
    /// Two listeners have the same address.
    #[error("--http and --admin are the same address: omit --admin to serve both there, or choose another port")]
    SameAddress,
    /// One setting would silently override another.
    #[error("{0}")]
    Contradiction(String),
    /// The credentials are inconsistent.
    #[error(transparent)]
    Auth(#[from] auth::ConfigError),
    /// The STUN and TURN servers are invalid.
    #[error(transparent)]
    IceServers(#[from] http::IceServerError),
    /// The settings of HTTPS are invalid.
    #[error(transparent)]
    Tls(#[from] http::TlsConfigError),
    /// The media settings are invalid.
    #[error(transparent)]
    Worker(#[from] worker::ConfigError),
    /// The log filter is invalid.
    #[error(transparent)]
    Log(#[from] log::FilterError),
}

fn advice(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "the file does not exist: correct --config or SLUICE_CONFIG".to_owned(),
        _ => file_advice(error),
    }
}

#[cfg(test)]
mod tests;
