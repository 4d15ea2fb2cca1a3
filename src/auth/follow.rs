//! Keeps what the access settings name up to date: files when they change, and keys that a server publishes.
//!
//! The rule is that of a reload: a file that cannot be read or is invalid changes nothing, and is logged once. A
//! changed file is applied once two looks in a row find it the same, so that a file that is still being written removes
//! no token.

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
    place: Place,
}

/// Which file it is, and when its content, its name or its times were last set: a copy may have the size and the time
/// of the file that it replaces. The time is in seconds and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    #[cfg(unix)]
    inode: u64,
    #[cfg(unix)]
    changed: (i64, i64),
}

impl Place {
    #[cfg(unix)]
    fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }

    #[cfg(not(unix))]
    fn of(_: &std::fs::Metadata) -> Self {
        Self {}
    }
}

/// What the files looked like.
#[derive(Debug, Default)]
struct Seen {
    /// When they were last applied; empty before the first time.
    applied: Vec<Look>,
    /// At the last look.
    last: Vec<Look>,
}

impl Look {
    fn at(path: &Path) -> Self {
        let Ok(metadata) = std::fs::metadata(path) else { return Self::default() };
        Self { modified: metadata.modified().ok(), size: metadata.len(), place: Place::of(&metadata) }
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
        let mut seen = Seen::default();
        loop {
            if self.config().files().next().is_some() || !seen.applied.is_empty() {
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
                self.count_fetch(remote.refresh(rules.fetcher()).await);
            }
            drop(rules);
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Applies the files if they look different from those applied and the same as at the last look.
    fn look_again(&self, seen: Seen) -> Seen {
        let config = self.config();
        let last = Look::at_all(&config);
        // The first look applies what has changed since the start.
        let is_first = seen.applied.is_empty();
        if seen.applied == last || (!is_first && seen.last != last) {
            return Seen { last, ..seen };
        }
        match self.replace(&config) {
            Ok(()) if is_first => {}
            Ok(()) => {
                let tokens = self.rules().tokens_in_file();
                let effect = match config.end_with_token {
                    true => "sessions whose token is gone end",
                    false => "sessions continue",
                };
                info!(tokens, "files of tokens and keys read again; {effect}");
            }
            Err(error) => warn!("files of tokens and keys not applied, nothing has changed: {error}"),
        }
        Seen { applied: last.clone(), last }
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
        let look_twice = |seen| access.look_again(access.look_again(seen));
        let mut seen = access.look_again(Seen::default());
        assert!(publishes("old") && !publishes("newer"));
        write("newer", "# a comment\n");
        seen = access.look_again(seen);
        assert!(publishes("old"), "the file may still be written");
        seen = access.look_again(seen);
        assert!(publishes("newer") && !publishes("old"));
        for wrong in ["nonsense", "", "a sha256:00 publish"] {
            std::fs::write(&path, wrong).unwrap();
            seen = look_twice(seen);
            assert!(publishes("newer"), "{wrong:?}");
        }
        std::fs::remove_file(&path).unwrap();
        seen = look_twice(seen);
        assert_eq!(seen.applied, [Look::default()]);
        assert!(publishes("newer"), "a file that is gone for a moment takes no token away");
    }

    #[test]
    fn a_file_of_equal_size_and_time_in_the_place_of_another_is_read() {
        let path = std::env::temp_dir().join(format!("sluice-follow-equal-{}", std::process::id()));
        let beside = path.with_extension("new");
        let write = |path: &Path, token: &str| {
            std::fs::write(path, line("encoder", token, &Scope::of_all_streams(Action::Publish))).unwrap();
        };
        write(&path, "old");
        let config = Config { token_file: Some(path.clone()), ..Config::default() };
        let access = Access::new(&config, Arc::default()).unwrap();
        let seen = access.look_again(Seen::default());
        let before = std::fs::metadata(&path).unwrap();
        write(&beside, "new");
        std::fs::File::options().write(true).open(&beside).unwrap().set_modified(before.modified().unwrap()).unwrap();
        std::fs::rename(&beside, &path).unwrap();
        let after = std::fs::metadata(&path).unwrap();
        assert_eq!((after.len(), after.modified().unwrap()), (before.len(), before.modified().unwrap()));
        access.look_again(access.look_again(seen));
        assert!(access.known_holder("new").is_some() && access.known_holder("old").is_none());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_empty_token_file_removes_no_token_and_one_with_only_a_comment_removes_all() {
        let path = std::env::temp_dir().join(format!("sluice-follow-empty-{}", std::process::id()));
        let line = line("encoder", "kept", &Scope::of_all_streams(Action::Publish));
        std::fs::write(&path, &line).unwrap();
        let config =
            Config { token_file: Some(path.clone()), publish_token: Some("other".into()), ..Config::default() };
        let access = Access::new(&config, Arc::default()).unwrap();
        let mut seen = access.look_again(Seen::default());
        for (text, is_kept) in [("", true), ("# none\n", false)] {
            std::fs::write(&path, text).unwrap();
            seen = access.look_again(access.look_again(seen));
            assert_eq!(access.known_holder("kept").is_some(), is_kept, "{text:?}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
