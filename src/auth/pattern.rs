//! Which streams a token is for: names in which `*` stands for any characters.

use std::fmt;
use std::str::FromStr;

use crate::name::StreamName;

/// The longest pattern, in characters.
const LONGEST: usize = 64;

/// A stream's name in which `*` stands for any characters, none included.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct StreamPattern(Box<str>);

/// A text that is not a pattern.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a stream pattern has 1 to {LONGEST} characters of A-Z a-z 0-9 _ . ~ - and *")]
pub(crate) struct InvalidPattern;

impl StreamPattern {
    /// Every stream.
    pub(crate) fn all() -> Self {
        Self("*".into())
    }

    /// One stream: a name has no `*`.
    pub(crate) fn of_one(stream: &StreamName) -> Self {
        Self(stream.as_str().into())
    }

    /// Whether the whole name matches. The time is at most the product of both lengths.
    pub(crate) fn matches(&self, stream: &StreamName) -> bool {
        let (pattern, name) = (self.0.as_bytes(), stream.as_str().as_bytes());
        let (mut at, mut seen) = (0, 0);
        // Where the last star stands, and how much of the name it stands for.
        let mut star: Option<(usize, usize)> = None;
        while seen < name.len() {
            match (pattern.get(at), star) {
                (Some(b'*'), _) => {
                    star = Some((at, seen));
                    at += 1;
                }
                (Some(byte), _) if *byte == name[seen] => (at, seen) = (at + 1, seen + 1),
                (_, Some((place, taken))) => {
                    star = Some((place, taken + 1));
                    (at, seen) = (place + 1, taken + 1);
                }
                (_, None) => return false,
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

impl FromStr for StreamPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.~-*".contains(&byte);
        if (1..=LONGEST).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidPattern)
        }
    }
}

impl TryFrom<String> for StreamPattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for StreamPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<StreamPattern>().unwrap().matches(&name.parse().unwrap())
    }

    #[test]
    fn a_star_stands_for_any_characters_and_the_rest_for_itself() {
        for (pattern, name) in [
            ("*", "cam"),
            ("cam", "cam"),
            ("cam*", "cam"),
            ("cam-*", "cam-1"),
            ("*-low", "cam-low"),
            ("a*b*c", "a-b-b-c"),
            ("**", "x"),
            ("*a*", "a"),
            ("*ab", "aab"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("cam", "cam1"),
            ("cam", "Cam"),
            ("cam-*", "cam"),
            ("cam-*", "xcam-1"),
            ("*-low", "cam-low2"),
            ("a*b*c", "a-c-b"),
            ("a.c", "abc"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_is_matched_in_bounded_time() {
        let (pattern, name) = ("*a".repeat(31) + "b", "a".repeat(64));
        assert!(!matches(&pattern, &name));
    }

    #[test]
    fn what_no_name_can_match_is_no_pattern() {
        for bad in ["", "a b", "cam/*", "ä", "?", &"x".repeat(65)] {
            assert_eq!(bad.parse::<StreamPattern>(), Err(InvalidPattern), "{bad:?}");
        }
    }
}
