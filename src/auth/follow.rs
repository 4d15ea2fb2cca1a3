//! Keeps what the access settings name up to date: files when they change, and keys that a server publishes.
//!
//! The rule is that of a reload: a file that cannot be read or is invalid changes nothing, and is logged once.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use super::Access;
use super::config::Config;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// What shows that a file has changed, without reading it; the default if it is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    modified: Option<SystemTime>,
    size: u64,
}

impl Look {
    fn at(path: &Path) -> Self {
        let metadata = std::fs::metadata(path).ok();
        let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
        Self { modified, size: metadata.map_or(0, |metadata| metadata.len()) }
    }

    /// At every file that the settings name.
    fn at_all(config: &Config) -> Vec<Self> {
        config.files().map(Self::at).collect()
    }
}

impl Access {
    /// Applies what changes in the files, and fetches keys when it is time. It never completes.
    pub(crate) async fn keep_current(self: Arc<Self>) {
        tokio::join!(self.follow_files(), self.refresh_keys());
    }

    async fn follow_files(self: &Arc<Self>) {
        let mut seen = Vec::new();
        loop {
            if self.config().files().next().is_some() || !seen.is_empty() {
                let access = Arc::clone(self);
                // A file that does not answer, such as one on a lost network drive, holds up nothing else.
                let looked = tokio::task::spawn_blocking(move || access.look_again(seen)).await;
                seen = looked.unwrap_or_default();
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn refresh_keys(&self) {
        loop {
            let rules = self.rules();
            if let Some(remote) = rules.remote_keys() {
                self.count_fetch(remote.refresh().await);
            }
            drop(rules);
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Applies the files if they look different from what was `seen`, and returns what they look like.
    fn look_again(&self, seen: Vec<Look>) -> Vec<Look> {
        let config = self.config();
        let looks = Look::at_all(&config);
        if seen == looks {
            return seen;
        }
        match self.replace(&config) {
            // The first look applies what has changed since the start.
            Ok(()) if seen.is_empty() => {}
            Ok(()) => {
                let tokens = self.rules().tokens_in_file();
                info!(tokens, "files of tokens and keys read again; sessions continue");
            }
            Err(error) => warn!("files of tokens and keys not applied, nothing has changed: {error}"),
        }
        looks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::scope::{Action, Scope};
    use crate::auth::token_file::line;

    #[test]
    fn a_changed_file_is_applied_and_a_wrong_one_changes_nothing() {
        let path = std::env::temp_dir().join(format!("sluice-follow-{}", std::process::id()));
        let write = |token: &str, rest: &str| {
            let line = line("encoder", token, &Scope::of_all_streams(Action::Publish));
            std::fs::write(&path, format!("{line}\n{rest}")).unwrap();
        };
        write("old", "");
        let config = Config { token_file: Some(path.clone()), ..Config::default() };
        let access = Access::new(&config, Arc::default()).unwrap();
        let publishes = |token| access.known_holder(token).is_some();
        let seen = access.look_again(Vec::new());
        assert!(publishes("old") && !publishes("newer"));
        write("newer", "# a comment\n");
        let seen = access.look_again(seen);
        assert!(publishes("newer") && !publishes("old"));
        for wrong in ["nonsense", "", "a sha256:00 publish"] {
            std::fs::write(&path, wrong).unwrap();
            access.look_again(seen.clone());
            assert!(publishes("newer"), "{wrong:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(access.look_again(seen), [Look::default()]);
        assert!(publishes("newer"), "a file that is gone for a moment takes no token away");
    }
}
