//! ICE credentials and their syntax (RFC 8839 5.4).

/// One side's ICE credentials (RFC 8445 5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `a=ice-ufrag`
    pub ufrag: String,
    /// `a=ice-pwd`; never logged.
    pub pwd: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// Why a text is not an ICE credential (RFC 8839 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredentials {
    /// The user fragment.
    #[error("a=ice-ufrag must have 4 to 256 letters, digits, + or /")]
    Ufrag,
    /// The password.
    #[error("a=ice-pwd must have 22 to 256 letters, digits, + or /")]
    Pwd,
}

impl Credentials {
    /// Checks the values of `a=ice-ufrag` and `a=ice-pwd`.
    ///
    /// # Errors
    ///
    /// When one has a length or a character that RFC 8839 5.4 does not allow.
    pub(crate) fn parse(ufrag: &str, pwd: &str) -> Result<Self, InvalidCredentials> {
        if !is_ice_text(ufrag, 4) {
            return Err(InvalidCredentials::Ufrag);
        }
        if !is_ice_text(pwd, 22) {
            return Err(InvalidCredentials::Pwd);
        }
        Ok(Self { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() })
    }
}

/// Whether a text has `shortest` to 256 ICE characters (RFC 8839 5.4).
pub(super) fn is_ice_text(text: &str, shortest: usize) -> bool {
    let ice_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    (shortest..=256).contains(&text.len()) && text.bytes().all(ice_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_characters_are_those_of_ice() {
        let pwd = "p".repeat(22);
        assert!(Credentials::parse("aB3+", &pwd).is_ok());
        assert!(Credentials::parse(&"u".repeat(256), &"/".repeat(256)).is_ok());
        for ufrag in ["abc", "ab:d", "ab d", "äbcd", &"u".repeat(257)] {
            assert_eq!(Credentials::parse(ufrag, &pwd).err(), Some(InvalidCredentials::Ufrag), "{ufrag}");
        }
        for pwd in ["short", &"p".repeat(21), &"=".repeat(22), &"p".repeat(257)] {
            assert_eq!(Credentials::parse("abcd", pwd).err(), Some(InvalidCredentials::Pwd), "{pwd}");
        }
    }
}
