//! The file of static tokens: one line for each token, which holds its digest, not the token itself.
//!
//! A digest by SHA-256 is enough, because `sluice token` makes tokens of 256 random bits: no list of guesses contains one. A
//! slow hash would protect words that people choose, and would let anyone keep the relay busy with wrong tokens.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::credential::Credential;
use super::scope::{Action, Limits, Scope};
use crate::setting::{file_advice, read_text};

/// The most lines with tokens.
const MOST: usize = 10_000;

/// Before the digest, so that another kind of digest can be told from it.
const PREFIX: &str = "sha256:";

/// The tokens of a file.
#[derive(Clone, Debug)]
pub(crate) struct TokenFile {
    by_credential: HashMap<Credential, FileToken>,
}

/// One token of the file.
#[derive(Clone, Debug)]
pub(crate) struct FileToken {
    /// Its name, for the log and for revocation.
    pub(crate) name: Arc<str>,
    /// What each of its lines allows.
    pub(crate) scopes: Vec<Scope>,
}

/// Why a file of tokens is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenFileError {
    /// The file cannot be read.
    #[error("cannot read the token file {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// It is empty, for example because another program is writing it.
    #[error("the token file {} is empty: if it should have no tokens, write a comment (#) into it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A line of it is wrong.
    #[error("{}, line {line}: {complaint}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what to do. It never repeats the line, which may hold a token by mistake.
        complaint: String,
    },
}

impl TokenFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`TokenFileError`] that names the line.
    pub(crate) fn read(path: &Path) -> Result<Self, TokenFileError> {
        let unreadable = |error| TokenFileError::Unreadable { path: path.to_owned(), reason: file_advice(&error) };
        let text = read_text(path).map_err(unreadable)?;
        if text.is_empty() {
            return Err(TokenFileError::Empty { path: path.to_owned() });
        }
        Self::parse(&text).map_err(|(line, complaint)| TokenFileError::Invalid {
            path: path.to_owned(),
            line,
            complaint,
        })
    }

    /// The error is a line, from 1, and what is wrong with it.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut file = Self { by_credential: HashMap::new() };
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        for (number, (line, text)) in lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#')).enumerate() {
            if number >= MOST {
                return Err((line, format!("a token file has at most {MOST} tokens: remove those that are not used")));
            }
            let (name, credential, scope) = entry(text).map_err(|complaint| (line, complaint))?;
            let token =
                file.by_credential.entry(credential).or_insert_with(|| FileToken { name: name.into(), scopes: vec![] });
            if *token.name != *name {
                return Err((line, "another line has this token under another name: use one name".to_owned()));
            }
            token.scopes.push(scope);
        }
        Ok(file)
    }

    /// The token of this credential.
    pub(crate) fn find(&self, credential: &Credential) -> Option<&FileToken> {
        self.by_credential.get(credential)
    }

    /// How many tokens it has.
    pub(crate) fn len(&self) -> usize {
        self.by_credential.len()
    }

    /// Whether one of its tokens allows an action on some stream.
    pub(crate) fn has(&self, action: Action) -> bool {
        self.by_credential.values().flat_map(|token| &token.scopes).any(|scope| scope.has(action))
    }
}

/// Reads one line: name, digest, actions, then stream patterns and limits as far as there are any.
fn entry(line: &str) -> Result<(&str, Credential, Scope), String> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(hash), Some(actions)) = (words.next(), words.next(), words.next()) else {
        return Err("write name, sha256:DIGEST, actions and streams, as sluice token prints it".to_owned());
    };
    check_name(name)?;
    let actions = actions.split(',').map(str::parse).collect::<Result<Vec<Action>, _>>()?;
    let mut words = words.peekable();
    let streams = words.next_if(|word| !word.contains('=')).unwrap_or("*").split(',');
    let streams = streams.map(|text| text.parse().map_err(|error| format!("{error}")));
    let streams = streams.collect::<Result<Vec<_>, String>>()?;
    let mut limits = Limits::default();
    for word in words {
        set_limit(&mut limits, word)?;
    }
    Ok((name, Credential::of_digest(digest(hash)?), Scope { actions, streams, limits }))
}

/// Checks the name of a token's holder.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.~-@".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err("a token's name has 1 to 64 characters of A-Z a-z 0-9 _ . ~ - @".to_owned())
    }
}

fn digest(text: &str) -> Result<[u8; 32], String> {
    let wrong = || format!("the second word is {PREFIX} and 64 hexadecimal digits, as sluice token prints it");
    let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == 64).ok_or_else(wrong)?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let pair = str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|it| it.is_ascii_hexdigit()));
        *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong)?;
    }
    Ok(bytes)
}

/// Sets one limit, written as `max-layer=1`.
fn set_limit(limits: &mut Limits, word: &str) -> Result<(), String> {
    let (name, value) = word.split_once('=').unwrap_or_default();
    let number = || value.parse::<u64>().ok().filter(|number| *number > 0);
    let above_zero = || format!("{name} is a whole number above 0");
    match name {
        "max-layer" => limits.max_layer = Some(value.parse().map_err(|_| "max-layer is a number from 0 to 255")?),
        "max-bitrate" => limits.max_bitrate = Some(number().ok_or_else(above_zero)?),
        "max-viewers" => {
            let viewers = number().and_then(|number| usize::try_from(number).ok());
            limits.max_viewers = Some(viewers.ok_or_else(above_zero)?);
        }
        _ => {
            return Err(
                "after the streams come limits alone: max-layer=N, max-bitrate=N or max-viewers=N, without spaces in them"
                    .to_owned(),
            );
        }
    }
    Ok(())
}

/// The line of a token, to be added to a file.
pub(crate) fn line(name: &str, token: &str, scope: &Scope) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name} {PREFIX}{hex} {scope}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash() -> String {
        PREFIX.to_owned() + &"0a".repeat(32)
    }

    #[test]
    fn a_line_that_was_written_is_read_back() {
        let scope = Scope {
            actions: vec![Action::Publish, Action::Watch],
            streams: vec!["cam-*".parse().unwrap(), "stage".parse().unwrap()],
            limits: Limits { max_layer: Some(1), max_bitrate: Some(2_500_000), max_viewers: Some(10) },
        };
        let text = format!("# a comment\n\n  {}\r\n", line("alice", "secret", &scope));
        let file = TokenFile::parse(&text).unwrap();
        let token = file.find(&Credential::of_token("secret")).unwrap();
        assert_eq!((&*token.name, &token.scopes), ("alice", &vec![scope]));
        assert!(file.find(&Credential::of_token("other")).is_none());
        assert!(!text.contains("secret"));
    }

    #[test]
    fn a_token_may_have_several_lines_under_one_name() {
        let text = format!("a {0} publish cam\na {0} watch\n", hash());
        let file = TokenFile::parse(&text).unwrap();
        assert_eq!(file.len(), 1);
        assert!(file.has(Action::Publish) && file.has(Action::Watch) && !file.has(Action::Admin));
        let (line, complaint) = TokenFile::parse(&format!("a {0} publish cam\nb {0} watch\n", hash())).unwrap_err();
        assert!(line == 2 && complaint.contains("one name"), "{complaint}");
    }

    #[test]
    fn a_wrong_line_is_named_with_what_to_do_and_is_not_repeated() {
        let hash = hash();
        for (line, part) in [
            ("hunter2".to_owned(), "sluice token prints"),
            ("a hunter2 publish".to_owned(), "64 hexadecimal digits"),
            (format!("a sha256:{} publish", "0".repeat(63)), "64 hexadecimal digits"),
            (format!("a sha256:{} publish", "+1".repeat(32)), "64 hexadecimal digits"),
            (format!("a sha256:{}é publish", "0".repeat(62)), "64 hexadecimal digits"),
            (format!("a/b {hash} publish"), "64 characters"),
            (format!("a {hash} fly"), "publish, watch or admin"),
            (format!("a {hash} publish, watch"), "publish, watch or admin"),
            (format!("a {hash} watch cam/1"), "stream pattern"),
            (format!("a {hash} watch cam max-layer=256"), "0 to 255"),
            (format!("a {hash} watch cam max-viewers=0"), "above 0"),
            (format!("a {hash} watch cam max-bitrate=1e6"), "above 0"),
            (format!("a {hash} watch cam hunter2"), "max-layer=N"),
        ] {
            let (number, complaint) = TokenFile::parse(&format!("# the first line\n{line}\n")).unwrap_err();
            assert!(number == 2 && complaint.contains(part), "{line}: {complaint}");
            assert!(!complaint.contains("hunter2") && !complaint.contains("00000000"), "{complaint}");
        }
    }

    #[test]
    fn the_number_of_tokens_is_bounded() {
        let lines =
            |count: usize| -> String { (0..count).map(|number| format!("a {PREFIX}{number:064x} watch\n")).collect() };
        assert_eq!(TokenFile::parse(&lines(MOST)).unwrap().len(), MOST);
        assert_eq!(TokenFile::parse(&lines(MOST + 1)).unwrap_err().0, MOST + 1);
    }
}
