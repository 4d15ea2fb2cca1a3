//! A directory for the files of one test.

use std::path::{Path, PathBuf};

/// An empty directory, which is removed with this value.
#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    /// No two tests give the same `name`.
    pub(super) fn new(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("sluice-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        Self(place)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}
