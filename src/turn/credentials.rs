//! Credentials of the long-term mechanism (RFC 8489 9.2): a user name that says for which session and until when, and a
//! password that is its HMAC. The relay keeps none of them.

use std::fmt;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use md5::{Digest as _, Md5};
use ring::hmac;

use crate::ice::stun;
use crate::name::SessionId;

/// What clients compute their key with, beside user name and password.
pub(super) const REALM: &str = "sluice";

/// How long credentials allow new allocations; one that exists lasts as long as its session.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The secret from which passwords are made. New with each start of the relay, for its sessions end with it.
pub(super) struct Secret {
    key: hmac::Key,
    /// The seconds in user names count from here.
    start: Instant,
}

/// A user name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// It names the session.
    pub username: String,
    /// Its HMAC.
    pub password: String,
}

/// What the user name of valid credentials says.
#[derive(Debug)]
pub(super) struct User {
    pub(super) session: SessionId,
    /// New allocations are allowed.
    pub(super) is_current: bool,
    /// The key of MESSAGE-INTEGRITY.
    pub(super) key: hmac::Key,
}

impl Secret {
    pub(super) fn new(seed: &[u8; 32], start: Instant) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, seed), start }
    }

    /// Credentials for a session.
    pub(super) fn issue(&self, session: &SessionId, now: Instant) -> Credentials {
        let until = now.saturating_duration_since(self.start) + LIFETIME;
        let username = format!("{}:{session}", until.as_secs());
        let password = self.password(&username);
        Credentials { username, password }
    }

    /// Reads a user name; `None` if it is none of ours. Only MESSAGE-INTEGRITY under the key shows that it was issued.
    pub(super) fn user(&self, username: &[u8], now: Instant) -> Option<User> {
        let username = std::str::from_utf8(username).ok()?;
        let (until, session) = username.split_once(':')?;
        let (until, session) = (until.parse().ok()?, session.parse().ok()?);
        let is_current = now.saturating_duration_since(self.start) < Duration::from_secs(until);
        Some(User { session, is_current, key: key(username, &self.password(username)) })
    }

    fn password(&self, username: &str) -> String {
        STANDARD_NO_PAD.encode(hmac::sign(&self.key, username.as_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secret").finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The key of MESSAGE-INTEGRITY: the MD5 of user name, realm and password (RFC 8489 9.2.2), for clients know no other.
pub(super) fn key(username: &str, password: &str) -> hmac::Key {
    stun::key_of(&Md5::digest(format!("{username}:{REALM}:{password}")))
}
