//! Gathers each module's own settings: defaults, then the TOML file, then the environment, then flags.
//!
//! A module's `Settings` is the one list of what can be set there: a field is a flag (`--rate-limit`), an environment
//! variable (`SLUICE_RATE_LIMIT`) and a key of the module's section in the file (`[http] rate-limit`), with its default
//! and its words for `--help`, `check-config` and the README. All of them are read by the same parser, so that the
//! three ways cannot differ.

mod contradictions;
mod effective;
mod file;
mod nearest;
mod setting;
mod show;

use std::io::ErrorKind;
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

pub use effective::{Changed, Effective, Given};
pub use nearest::unknown_variables;
pub use setting::variable;
pub use show::table;

use crate::{auth, http, log, worker};

/// What an operator can set, section by section.
#[derive(clap::Args)]
#[group(skip)]
struct Settings {
    #[command(flatten)]
    http: http::Settings,
    #[command(flatten)]
    media: worker::Settings,
    #[command(flatten)]
    auth: auth::Settings,
    #[command(flatten)]
    log: log::Settings,
}

/// Each module's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// HTTP.
    pub http: http::Config,
    /// Who may do what.
    pub auth: auth::Config,
    /// Media.
    pub worker: worker::Config,
    /// What is logged.
    pub log: EnvFilter,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: http::Config::default(),
            auth: auth::Config::default(),
            worker: worker::Config::default(),
            log: EnvFilter::new(log::DEFAULT),
        }
    }
}

impl TryFrom<Settings> for Config {
    type Error = ConfigError;

    /// Checks what can be checked before anything is bound.
    fn try_from(settings: Settings) -> Result<Self, ConfigError> {
        let config = Self {
            http: settings.http.try_into()?,
            auth: settings.auth.into(),
            worker: settings.media.into(),
            log: log::filter(&settings.log.filter)?,
        };
        auth::Access::new(&config.auth)?;
        if config.http.admin.is_some_and(|admin| admin == config.http.listen && admin.port() != 0) {
            return Err(ConfigError::SameAddress);
        }
        config.worker.check()?;
        Ok(config)
    }
}

/// What cannot be configured; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {}", advice(error))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is no TOML, or has an unknown key or a wrong value.
    #[error("{path}, line {line}: {complaint}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where in the file, from 1.
        line: usize,
        /// What is wrong and what to do.
        complaint: String,
    },
    /// A secret would be taken for configured, and is not.
    #[error("{0}: correct or unset it, for without it the relay may be open to everybody")]
    UnknownSecret(String),
    /// One address cannot be listened on twice.
    #[error("--http and --admin are the same address: leave --admin out to serve both there, or give it another port")]
    SameAddress,
    /// One setting would silently beat another.
    #[error("{0}")]
    Contradiction(String),
    /// The credentials make no sense.
    #[error(transparent)]
    Auth(#[from] auth::ConfigError),
    /// STUN and TURN servers cannot work like that.
    #[error(transparent)]
    IceServers(#[from] http::IceServerError),
    /// Media cannot work like that.
    #[error(transparent)]
    Worker(#[from] worker::ConfigError),
    /// The log filter is none.
    #[error(transparent)]
    Log(#[from] log::FilterError),
}

fn advice(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no file of that name: correct --config or SLUICE_CONFIG".to_owned(),
        ErrorKind::PermissionDenied => "sluice may not read it: let its user read the file".to_owned(),
        ErrorKind::IsADirectory => "that is a directory: name the file in it".to_owned(),
        ErrorKind::FileTooLarge => {
            "it is larger than 1 MiB, so it is another: name the one with the settings".to_owned()
        }
        ErrorKind::InvalidData => "that is no text: write it in UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
