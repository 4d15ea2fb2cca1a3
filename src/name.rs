//! Names that come from the network: parsed once, trusted afterwards.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The name of a stream: 1 to 64 characters of `A-Z a-z 0-9 _ . ~ -`, neither `.` nor `..`, so that it is safe in a URL
/// path, a log line and a page without escaping.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

/// A text that is not a stream name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a stream name has 1 to 64 characters of A-Z a-z 0-9 _ . ~ -, and is neither . nor ..")]
pub struct InvalidStreamName;

impl StreamName {
    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamName {
    type Err = InvalidStreamName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.~-".contains(&byte);
        // "." and ".." are path segments that HTTP clients resolve away.
        let relative = text == "." || text == "..";
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) && !relative {
            Ok(Self(text.into()))
        } else {
            Err(InvalidStreamName)
        }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

/// The unguessable name of a session: 128 random bits, written as 22 base64url characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

/// A text that is not a session id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a session id has 22 base64url characters")]
pub struct InvalidSessionId;

impl SessionId {
    /// Characters of its text.
    pub(crate) const LENGTH: usize = 22;

    /// A new id from the operating system's randomness.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidSessionId)?;
        bytes.try_into().map(Self).map_err(|_| InvalidSessionId)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Which side of a stream a session is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sends media to the relay (WHIP).
    Publisher,
    /// Receives media from the relay (WHEP).
    Viewer,
}

impl Role {
    /// The label value of metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publisher => "publisher",
            Self::Viewer => "viewer",
        }
    }
}

/// What a session counts as: in metrics, in the API and for limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionClass {
    /// A client that publishes.
    Publisher,
    /// A client that watches.
    Viewer,
    /// A session between two relays, in either direction.
    Leg,
}

impl SessionClass {
    /// What a session of this role counts as.
    pub(crate) fn of(role: Role, is_leg: bool) -> Self {
        match role {
            _ if is_leg => Self::Leg,
            Role::Publisher => Self::Publisher,
            Role::Viewer => Self::Viewer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_names_are_safe_in_urls_logs_and_pages() {
        for good in ["a", "cam-1", "A_b.c~d", &"x".repeat(64)] {
            assert_eq!(good.parse::<StreamName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", "<b>", "a\n", &"x".repeat(65)] {
            assert_eq!(bad.parse::<StreamName>(), Err(InvalidStreamName), "{bad:?}");
        }
        assert!(
            InvalidStreamName.to_string().contains("neither . nor .."),
            "two texts of allowed characters are no names"
        );
    }

    #[test]
    fn a_session_id_survives_its_text_form() {
        let id = SessionId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("short".parse::<SessionId>(), Err(InvalidSessionId));
        assert_ne!(SessionId::random(), id);
    }
}
