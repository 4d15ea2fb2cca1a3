//! Follows the file that the access settings name: its content is applied when it changes.
//!
//! The rule is that of a reload: a file that cannot be read or is invalid changes nothing, and is logged once.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use super::Access;

/// How often the file is looked at.
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
}

impl Access {
    /// Applies what changes in the file. It never completes.
    pub(crate) async fn follow_file(self: Arc<Self>) {
        let mut seen = None;
        loop {
            let access = Arc::clone(&self);
            // A file that does not answer, such as one on a lost network drive, holds up nothing else.
            let looked = tokio::task::spawn_blocking(move || access.look_again(seen)).await;
            seen = looked.unwrap_or_default();
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Applies the file if it looks different from what was `seen`, and returns what it looks like.
    fn look_again(&self, seen: Option<Look>) -> Option<Look> {
        let config = self.config();
        let path = config.token_file.as_deref()?;
        let look = Look::at(path);
        if seen == Some(look) {
            return seen;
        }
        let before = self.rules().file_digest();
        match self.replace(&config) {
            Ok(()) if self.rules().file_digest() != before => {
                let tokens = self.rules().tokens_in_file();
                info!(tokens, "token file reloaded; sessions continue");
            }
            Ok(()) => {}
            Err(error) => warn!("token file not reloaded, nothing has changed: {error}"),
        }
        Some(look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Action, Config};

    #[test]
    fn a_changed_file_is_applied_and_a_wrong_one_changes_nothing() {
        let path = std::env::temp_dir().join(format!("sluice-follow-{}", std::process::id()));
        let line = |token: &str| {
            let hex: String = ring::digest::digest(&ring::digest::SHA256, token.as_bytes())
                .as_ref()
                .iter()
                .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            format!("encoder sha256:{hex} publish\n")
        };
        std::fs::write(&path, line("old")).unwrap();
        let access = Access::new(&Config { token_file: Some(path.clone()), ..Config::default() }).unwrap();
        let publishes = |token| access.grant(Some(token), Action::Publish, &"cam".parse().unwrap()).is_ok();
        let seen = access.look_again(None);
        assert!(publishes("old") && !publishes("newer"));
        std::fs::write(&path, line("newer") + "# a comment\n").unwrap();
        let seen = access.look_again(seen);
        assert!(publishes("newer") && !publishes("old"));
        for wrong in ["nonsense", "", "a sha256:00 publish"] {
            std::fs::write(&path, wrong).unwrap();
            access.look_again(seen);
            assert!(publishes("newer"), "{wrong:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(access.look_again(seen), Some(Look::default()));
        assert!(publishes("newer"), "a file that is gone for a moment takes no token away");
    }
}
