//! Applies a changed configuration while the relay runs (SIGHUP): the log filter, the tokens, pulls and pushes. The files of the
//! certificate are read again too.
//!
//! The rule: sessions are not affected, and the relay never ends because of a reload. A file that cannot be read or is
//! invalid changes nothing; changed settings that need a restart are listed in the log.

use std::sync::Arc;

use tracing::{info, warn};

use crate::config::{Changed, ConfigError, Effective, Given};
use crate::{auth, http, log};

/// The settings of a running relay, and what they change.
pub struct Reload {
    given: Given,
    in_force: Effective,
    node: Arc<http::Node>,
    log: log::Control,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// The settings cannot be read, or are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tokens cannot be applied.
    #[error(transparent)]
    Auth(#[from] auth::ReplaceError),
    /// The log has ended.
    #[error("the log filter cannot be changed: restart the relay")]
    Log,
}

impl Reload {
    /// For a relay that runs with the settings `in_force`, which came from `given` and the file that it names.
    pub fn new(given: Given, in_force: Effective, node: Arc<http::Node>, log: log::Control) -> Self {
        Self { given, in_force, node, log }
    }

    /// Reads the file again, applies what can be applied, and logs the result.
    pub fn run(&mut self) {
        self.node.check_certificate();
        match self.take_up() {
            Ok(changes) => tell(&changes, self.given.has_file()),
            Err(error) => warn!("settings not reloaded, nothing has changed: {error}"),
        }
    }

    /// # Errors
    /// [`ReloadError`]; then nothing has changed.
    fn take_up(&mut self) -> Result<Vec<Changed>, ReloadError> {
        let newer = self.given.effective()?;
        let config = newer.config()?;
        let changes = self.in_force.changes(&newer);
        // The token file may have changed although the setting that names it has not.
        self.node.access().replace(&config.auth)?;
        if changes.iter().any(|changed| changed.section == "auth") {
            self.node.access().log();
        }
        if changes.iter().any(|changed| changed.section == "log") {
            self.log.set(config.log).map_err(|_| ReloadError::Log)?;
        }
        if changes.iter().any(|changed| changed.section == "legs") {
            self.node.legs().replace(config.legs);
        }
        self.in_force.take_up(&newer);
        Ok(changes)
    }
}

/// The signals that request a reload (SIGHUP).
pub struct HangUps(#[cfg(unix)] tokio::signal::unix::Signal);

impl HangUps {
    /// From now on the signal does not end the process.
    ///
    /// # Errors
    /// When signals cannot be received.
    #[cfg(unix)]
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::hangup()).map(Self)
    }

    /// Windows has no such signal.
    #[cfg(not(unix))]
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self())
    }

    /// Completes with the next one.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        if self.0.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}

fn tell(changes: &[Changed], has_file: bool) {
    let names = |live: bool| -> String {
        let names = changes.iter().filter(|changed| changed.is_live() == live).map(|changed| changed.path.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let (taken_up, left) = (names(true), names(false));
    if !taken_up.is_empty() {
        info!("settings reloaded: {taken_up}; sessions continue");
    }
    if !left.is_empty() {
        warn!("these settings have changed but need a restart: {left}");
    }
    if changes.is_empty() && has_file {
        info!("nothing to reload: no setting of the configuration file has changed");
    } else if changes.is_empty() {
        info!(
            "nothing to reload: no configuration file is named (--config), and flags and the environment stay as they are"
        );
    }
}
