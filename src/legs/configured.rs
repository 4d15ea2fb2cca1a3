//! A leg as the operator configures it: `NAME=URL` and options behind it, each `KEY=VALUE`, separated by spaces.

use std::path::PathBuf;

use url::Url;

use crate::metrics::LegDirection;
use crate::name::StreamName;
use crate::setting::{file_advice, read_text};

/// A leg as the operator configures it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// Which way media flows.
    pub direction: LegDirection,
    /// The stream here.
    pub stream: StreamName,
    /// The WHEP endpoint to pull from, or the WHIP endpoint to push to.
    pub url: Url,
    /// When it runs.
    pub mode: Mode,
    /// Its token for the other server.
    pub token: TokenSource,
}

/// When a pull runs. A push runs while its stream is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// All the time.
    #[default]
    Always,
    /// While the stream has viewers.
    OnDemand,
}

/// Where the token for the other server is. It is read before each POST, so that it can be replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TokenSource {
    /// The server needs none.
    #[default]
    None,
    /// A file that contains nothing else.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

impl Mode {
    /// The value of the setting.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OnDemand => "on-demand",
        }
    }
}

impl Configured {
    /// Reads a pull, or says how to write one.
    pub(crate) fn pull(text: &str) -> Result<Self, String> {
        read(LegDirection::Pull, text)
    }

    /// Reads a push, or says how to write one.
    pub(crate) fn push(text: &str) -> Result<Self, String> {
        read(LegDirection::Push, text)
    }

    /// The URL as it is shown: without its query, which may contain a secret.
    pub(crate) fn shown_url(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }
}

impl TokenSource {
    /// Reads the token, if there is one.
    ///
    /// # Errors
    /// A sentence that says what is wrong with its source.
    pub(super) fn read(&self) -> Result<Option<String>, String> {
        let (token, source) = match self {
            Self::None => return Ok(None),
            Self::File(path) => {
                let why =
                    |error| format!("cannot read the token of the leg in {}: {}", path.display(), file_advice(&error));
                (read_text(path).map_err(why)?, path.display().to_string())
            }
            Self::Variable(name) => {
                let missing = |_| format!("the environment variable {name} has no token for the leg: set it");
                (std::env::var(name).map_err(missing)?, name.clone())
            }
        };
        let token = token.trim();
        match token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Err(format!("the token of the leg in {source} must be one word of visible ASCII characters")),
            false => Ok(Some(token.to_owned())),
        }
    }
}

fn read(direction: LegDirection, text: &str) -> Result<Configured, String> {
    let mut words = text.split_whitespace();
    let first = words.next().and_then(|word| word.split_once('='));
    let (stream, url) = first.ok_or_else(|| how_to_write(direction))?;
    let stream = stream.parse().map_err(|error| format!("{error}"))?;
    let url = read_url(url).ok_or_else(|| how_to_write(direction))?;
    let (mut mode, mut token) = (None, None);
    for word in words {
        match word.split_once('=') {
            Some(("mode", value)) if direction == LegDirection::Pull && mode.is_none() => {
                mode = Some(match value {
                    "always" => Mode::Always,
                    "on-demand" => Mode::OnDemand,
                    _ => return Err("mode is always or on-demand".to_owned()),
                });
            }
            Some(("token-file", path)) if token.is_none() && !path.is_empty() => {
                token = Some(TokenSource::File(path.into()))
            }
            Some(("token-env", name)) if token.is_none() && !name.is_empty() => {
                token = Some(TokenSource::Variable(name.to_owned()));
            }
            _ => return Err(how_to_write(direction)),
        }
    }
    Ok(Configured { direction, stream, url, mode: mode.unwrap_or_default(), token: token.unwrap_or_default() })
}

/// A URL of HTTP. One with a name and a password is refused: it would be shown, and servers of WHIP and WHEP take tokens.
fn read_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (["http", "https"].contains(&url.scheme()) && url.has_host() && is_plain).then_some(url)
}

fn how_to_write(direction: LegDirection) -> String {
    let example = match direction {
        LegDirection::Pull => "cam=https://example.org/whep/cam, and behind it, if needed, mode=on-demand and",
        LegDirection::Push => "cam=https://example.org/whip/cam, and behind it, if needed,",
    };
    format!("write it like {example} token-file=FILE or token-env=VARIABLE, separated by spaces")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_is_a_name_and_a_url_with_options_behind() {
        let text = "cam=https://example.org/whep/a?b=c  mode=on-demand token-file=/run/secrets/t";
        let pull = Configured::pull(text).unwrap();
        assert_eq!((pull.stream.to_string().as_str(), pull.mode), ("cam", Mode::OnDemand));
        assert_eq!(pull.url.as_str(), "https://example.org/whep/a?b=c");
        assert_eq!(pull.shown_url(), "https://example.org/whep/a");
        assert_eq!(pull.token, TokenSource::File("/run/secrets/t".into()));
        let push = Configured::push("cam=http://[::1]:8080/whip/x token-env=T").unwrap();
        assert_eq!((push.direction, push.token), (LegDirection::Push, TokenSource::Variable("T".to_owned())));
    }

    #[test]
    fn what_is_no_leg_is_answered_with_an_example() {
        for wrong in [
            "",
            "cam",
            "cam=",
            "cam=ftp://example.org/a",
            "cam=https://user:hunter2@example.org/a",
            "cam=https://example.org/#a",
            "cam=https://example.org/a token=x",
            "cam=https://example.org/a token-file=",
            "cam=https://example.org/a token-file=a token-env=b",
            "cam=https://example.org/a mode=always mode=always",
        ] {
            let sentence = Configured::pull(wrong).unwrap_err();
            assert!(sentence.contains("write it like cam=https://") && !sentence.contains("hunter2"), "{sentence}");
        }
        assert!(Configured::pull("c am=https://example.org/a").is_err());
        assert!(Configured::pull("a/b=https://example.org/a").unwrap_err().contains("stream name"));
        assert!(Configured::push("cam=https://example.org/a mode=always").is_err(), "a push has no mode");
        assert!(Configured::pull("cam=https://example.org/a mode=never").unwrap_err().contains("on-demand"));
    }

    #[test]
    fn a_token_that_cannot_be_used_is_explained_without_showing_it() {
        assert_eq!(TokenSource::None.read(), Ok(None));
        let missing = TokenSource::Variable("SLUICE_TEST_NO_SUCH_VARIABLE".to_owned()).read().unwrap_err();
        assert!(missing.contains("SLUICE_TEST_NO_SUCH_VARIABLE"), "{missing}");
        let file = std::env::temp_dir().join(format!("sluice-leg-token-{}", std::process::id()));
        assert!(TokenSource::File(file.clone()).read().unwrap_err().contains("does not exist"));
        std::fs::write(&file, "two words\n").unwrap();
        let sentence = TokenSource::File(file.clone()).read().unwrap_err();
        assert!(sentence.contains("one word") && !sentence.contains("two words"), "{sentence}");
        std::fs::write(&file, "secret\n").unwrap();
        assert_eq!(TokenSource::File(file.clone()).read(), Ok(Some("secret".to_owned())));
        std::fs::remove_file(file).unwrap();
    }
}
