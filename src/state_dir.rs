//! The directory in which the relay keeps what must outlive it. Files are written whole: beside their place, then
//! renamed, so that a crash leaves the former content. Only the relay's own user may read them, for they hold keys.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::setting::read_file;

/// A directory that can be written.
#[derive(Clone, Debug)]
pub(crate) struct StateDir(PathBuf);

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {path} (--state-dir): {error}; create the directory and let the user of sluice write to it")]
pub struct StateDirError {
    path: PathBuf,
    error: io::Error,
}

impl StateDir {
    /// Makes the directory if it is missing, and proves that it can be written.
    ///
    /// # Errors
    /// [`StateDirError`].
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        let open = || {
            fs::create_dir_all(path)?;
            let state = Self(path.to_owned());
            state.put(".probe", b"")?;
            fs::remove_file(path.join(".probe"))?;
            Ok(state)
        };
        open().map_err(|error| StateDirError { path: path.to_owned(), error })
    }

    /// Proves that [`open`](Self::open) would succeed, and leaves nothing behind.
    ///
    /// # Errors
    /// [`StateDirError`].
    pub(crate) fn check(path: &Path) -> Result<(), StateDirError> {
        let is_missing = |it: &&Path| !it.as_os_str().is_empty() && !it.exists();
        let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
        let opened = Self::open(path);
        for made in missing {
            // One that was not made, or that another program uses by now.
            let _ = fs::remove_dir(made);
        }
        opened.map(drop)
    }

    /// The error of an operation that is not about one file.
    pub(crate) fn failed(&self, error: io::Error) -> StateDirError {
        StateDirError { path: self.0.clone(), error }
    }

    /// The content of a file; `None` if it is missing.
    ///
    /// # Errors
    /// [`StateDirError`] if it cannot be read, or is larger than 1 MiB.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateDirError> {
        match read_file(&self.0.join(name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateDirError { path: self.0.join(name), error }),
        }
    }

    /// Writes a file whole.
    ///
    /// # Errors
    /// [`StateDirError`]; then its former content is still there.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), StateDirError> {
        self.put(name, content).map_err(|error| StateDirError { path: self.0.join(name), error })
    }

    fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let beside = self.0.join(format!("{name}.new"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, self.0.join(name))
    }
}
