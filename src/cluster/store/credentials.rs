//! The file with which a node authenticates itself to NATS.
//!
//! A user's name and password, or a token, are read again for each connection, so that they can be changed while the node
//! runs. A signed user (the `.creds` file of `nsc`) and an NKEY seed are read once.

use std::path::{Path, PathBuf};

use async_nats::{Auth, AuthError, ConnectOptions};

use crate::setting::{file_advice, read_text};

/// What is in the file.
enum Credentials {
    /// A JSON Web Token and the seed that proves it.
    Signed(String),
    /// The seed of an NKEY.
    Seed(String),
    /// A name and a password.
    User(String, String),
    /// A token.
    Token(String),
}

/// Why the file is not usable.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the file of --cluster-credentials {}: {reason}", path.display())]
pub struct CredentialsError {
    path: PathBuf,
    reason: String,
}

/// The options of connections that authenticate themselves with this file.
///
/// # Errors
/// [`CredentialsError`] if it cannot be read or is none.
pub(super) fn options(path: &Path) -> Result<ConnectOptions, CredentialsError> {
    let failed = |reason| CredentialsError { path: path.to_owned(), reason };
    let path_of_callback = path.to_owned();
    let reread = move |_nonce| {
        let path = path_of_callback.clone();
        async move { auth(&path).await }
    };
    match read(path)? {
        Credentials::Signed(text) => {
            ConnectOptions::with_credentials(&text).map_err(|error| failed(format!("{error}: write it with nsc")))
        }
        Credentials::Seed(seed) => Ok(ConnectOptions::with_nkey(seed)),
        Credentials::User(..) | Credentials::Token(_) => Ok(ConnectOptions::with_auth_callback(reread)),
    }
}

/// What a new connection authenticates itself with.
async fn auth(path: &Path) -> Result<Auth, AuthError> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read(&path)).await.map_err(AuthError::new)?;
    let mut auth = Auth::new();
    match read.map_err(AuthError::new)? {
        Credentials::User(name, password) => (auth.username, auth.password) = (Some(name), Some(password)),
        Credentials::Token(token) => auth.token = Some(token),
        Credentials::Signed(_) | Credentials::Seed(_) => {
            return Err(AuthError::new("the file of --cluster-credentials is of another kind now: restart the node"));
        }
    }
    Ok(auth)
}

fn read(path: &Path) -> Result<Credentials, CredentialsError> {
    let failed = |reason| CredentialsError { path: path.to_owned(), reason };
    let text = read_text(path).map_err(|error| failed(file_advice(&error)))?;
    parse(&text).ok_or_else(|| failed("write NAME:PASSWORD, a token, an NKEY seed or a .creds file into it".to_owned()))
}

fn parse(text: &str) -> Option<Credentials> {
    if text.contains("-----BEGIN NATS USER JWT-----") {
        return Some(Credentials::Signed(text.to_owned()));
    }
    let line = text.trim();
    if line.is_empty() || line.lines().count() > 1 {
        return None;
    }
    let is_seed = line.len() == 58 && line.starts_with("SU") && line.bytes().all(|byte| byte.is_ascii_alphanumeric());
    Some(match line.split_once(':') {
        Some((name, password)) => Credentials::User(name.to_owned(), password.to_owned()),
        None if is_seed => Credentials::Seed(line.to_owned()),
        None => Credentials::Token(line.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> &'static str {
        match parse(text) {
            Some(Credentials::Signed(_)) => "signed",
            Some(Credentials::Seed(_)) => "seed",
            Some(Credentials::User(..)) => "user",
            Some(Credentials::Token(_)) => "token",
            None => "none",
        }
    }

    #[test]
    fn the_kind_of_credentials_is_recognised() {
        assert_eq!(kind("-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------\n"), "signed");
        assert_eq!(kind("SUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM\n"), "seed");
        assert_eq!(kind("node:pass:word\n"), "user");
        assert_eq!(kind("s3cret\n"), "token");
        for text in ["", "\n", "one\ntwo\n"] {
            assert_eq!(kind(text), "none", "{text:?}");
        }
    }

    #[test]
    fn a_file_that_is_missing_is_explained_and_never_shown() {
        let sentence = options(Path::new("/nowhere")).err().unwrap().to_string();
        assert!(sentence.contains("/nowhere") && sentence.contains("does not exist"), "{sentence}");
    }
}
