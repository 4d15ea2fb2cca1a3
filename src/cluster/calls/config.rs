//! What an operator sets of calls between nodes.

use std::fmt;
use std::path::{Path, PathBuf};

use super::allowed::Allowed;
use crate::auth::{SharedSecrets, SharedSecretsError};
use crate::setting::{file_advice, read_text};

/// What calls between nodes need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallsConfig {
    /// What nodes show each other; without it they do not call each other.
    pub secrets: Secrets,
    /// Where other nodes are called.
    pub allowed: Allowed,
    /// Where clients reach this node by itself, past what spreads them over the nodes.
    pub public_url: Option<String>,
}

/// Where the secrets of the cluster are. The first one signs; a second one is known while they are replaced.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Secrets {
    /// There are none.
    #[default]
    None,
    /// In the settings.
    Given(Vec<String>),
    /// In a file, one a line.
    File(PathBuf),
}

/// Why the secrets of the cluster are not usable.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Those of the settings.
    #[error("cannot use --cluster-secret: {0}")]
    Given(SharedSecretsError),
    /// Those of the file.
    #[error("cannot use the file of --cluster-secret-file {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The file of the authorities.
    #[error("cannot use the file of --cluster-ca {}: {reason}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
}

impl Secrets {
    /// Reads them; `None` if there are none.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub(crate) fn read(&self) -> Result<Option<SharedSecrets>, SecretsError> {
        match self {
            Self::None => Ok(None),
            Self::Given(secrets) => {
                let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
                SharedSecrets::new(&secrets).map(Some).map_err(SecretsError::Given)
            }
            Self::File(path) => read_file(path).map(Some),
        }
    }
}

fn read_file(path: &Path) -> Result<SharedSecrets, SecretsError> {
    let failed = |reason| SecretsError::File { path: path.to_owned(), reason };
    let text = read_text(path).map_err(|error| failed(file_advice(&error)))?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    SharedSecrets::new(&lines).map_err(|error| failed(error.to_string()))
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("None"),
            Self::Given(_) => formatter.write_str("Given(secret)"),
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_or_two_secrets_one_a_line_and_is_never_shown() {
        let path = std::env::temp_dir().join(format!("sluice-cluster-secret-{}", std::process::id()));
        let secrets = Secrets::File(path.clone());
        let (one, other) = ("1".repeat(32), "2".repeat(32));
        for (text, complaint) in [
            (format!("{one}\n"), None),
            (format!("{one}\n\n{other}\r\n"), None),
            (String::new(), Some("no secret")),
            ("hunter2\n".to_owned(), Some("at least 32")),
            (format!("{one}\n{other}\n{one}\n"), Some("more than two")),
        ] {
            std::fs::write(&path, text).unwrap();
            match (secrets.read(), complaint) {
                (Ok(read), None) => assert!(read.is_some()),
                (Err(error), Some(part)) => {
                    let sentence = error.to_string();
                    assert!(sentence.contains(part) && !sentence.contains("hunter2"), "{sentence}");
                }
                (read, complaint) => panic!("{read:?} {complaint:?}"),
            }
        }
        std::fs::remove_file(&path).unwrap();
        assert!(secrets.read().unwrap_err().to_string().contains("does not exist"));
        let given = Secrets::Given(vec!["hunter2".to_owned()]);
        assert!(given.read().unwrap_err().to_string().contains("--cluster-secret"));
        assert!(!format!("{given:?}").contains("hunter2"));
    }
}
