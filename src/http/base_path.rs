//! The path below which clients find the relay, for a proxy that serves it beside others: `/relay` of
//! `https://example.org/relay/watch/demo`. It comes from `--base-path`, or for one request from `X-Forwarded-Prefix` of
//! a trusted proxy, and is put in front of every path that the relay sends to a client. Requests are served with
//! `--base-path` in front and without it, so that it does not matter whether the proxy takes it off. It is written into
//! pages and headers, so it is a plain path or it is refused.

use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, Uri};
use tower::ServiceExt as _;

const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The longest path that is taken.
const LENGTH: usize = 256;

/// What the relay's own paths begin with: a base path that begins so would hide them.
const OWN: [&str; 11] =
    ["api", "assets", "healthz", "metrics", "node", "publish", "readyz", "session", "watch", "whep", "whip"];

/// Nothing, or a path such as `/relay`, without a slash at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(Option<Arc<str>>);

/// Why a text is not a base path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BasePathError {
    /// It is a URL, a relative path, or something else.
    #[error("write a path like /relay: it begins with one slash, and its parts are of A-Z a-z 0-9 - . _ ~")]
    NoPath,
    /// It is longer than any sensible one.
    #[error("that is longer than {LENGTH} characters: choose a shorter path")]
    TooLong,
    /// The relay has pages or endpoints there.
    #[error("the relay's own paths begin with /{0}: choose another")]
    Own(String),
}

impl FromStr for BasePath {
    type Err = BasePathError;

    /// Reads a path with or without a slash at its end; `/` means no base path.
    fn from_str(text: &str) -> Result<Self, BasePathError> {
        if text.len() > LENGTH {
            return Err(BasePathError::TooLong);
        }
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() {
            return if text == "/" { Ok(Self::default()) } else { Err(BasePathError::NoPath) };
        }
        let parts = path.strip_prefix('/').ok_or(BasePathError::NoPath)?;
        let plain = |part: &str| {
            let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            !["", ".", ".."].contains(&part) && part.bytes().all(unreserved)
        };
        if parts.split('/').all(plain) { Ok(Self(Some(path.into()))) } else { Err(BasePathError::NoPath) }
    }
}

impl BasePath {
    /// Reads a setting, which must leave the relay's own paths alone.
    pub(super) fn setting(text: &str) -> Result<Self, BasePathError> {
        let base: Self = text.parse()?;
        match base.as_str().split('/').nth(1).filter(|first| OWN.contains(first)) {
            Some(first) => Err(BasePathError::Own(first.to_owned())),
            None => Ok(base),
        }
    }

    /// The path that a proxy has removed; `None` unless it names exactly one.
    pub(super) fn forwarded(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(FORWARDED_PREFIX).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        line.to_str().ok()?.trim().parse().ok()
    }

    /// What stands in front of the relay's paths: nothing, or a path without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// A path of the relay as clients find it.
    pub(super) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.as_str())
    }

    /// Serves what begins with this path as if it did not, and everything else as it is.
    pub(super) fn beneath(&self, routes: Router) -> Router {
        if self.0.is_none() {
            return routes;
        }
        let base = self.clone();
        let strip = move |mut request: Request| {
            if let Some(uri) = base.stripped(request.uri()) {
                *request.uri_mut() = uri;
            }
            request
        };
        // Outside of the routes, for they choose by the path.
        Router::new().fallback_service(routes.map_request(strip))
    }

    fn stripped(&self, uri: &Uri) -> Option<Uri> {
        let rest = uri.path_and_query()?.as_str().strip_prefix(self.as_str())?;
        let rest = match rest.bytes().next() {
            Some(b'/') => rest.to_owned(),
            None | Some(b'?') => format!("/{rest}"),
            Some(_) => return None,
        };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(rest).ok()?);
        Uri::from_parts(parts).ok()
    }
}

impl<S: Sync> FromRequestParts<S> for BasePath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_base_path_is_a_plain_path() {
        for (text, base) in
            [("/relay", "/relay"), ("/relay/", "/relay"), ("/a/b-c.d_e~f", "/a/b-c.d_e~f"), ("/", ""), ("/..a", "/..a")]
        {
            assert_eq!(text.parse::<BasePath>().unwrap().as_str(), base, "{text}");
        }
        for wrong in [
            "",
            "relay",
            "//evil",
            "//",
            "/relay//",
            "/a//b",
            "/..",
            "/a/../b",
            "/./a",
            "/%2e%2e",
            "/a?b",
            "/a#b",
            "/a b",
            "/a\"b",
            "/<a>",
            "/a\nb",
            "/a\0",
            "/ä",
            "https://evil.example",
            "https://evil.example/a",
            "\\\\evil",
            "/\\evil",
            "/a,/b",
            "/a;b",
            "javascript:alert(1)",
        ] {
            assert_eq!(wrong.parse::<BasePath>(), Err(BasePathError::NoPath), "{wrong}");
        }
        assert!(format!("/{}", "a".repeat(255)).parse::<BasePath>().is_ok());
        assert_eq!(format!("/{}", "a".repeat(256)).parse::<BasePath>(), Err(BasePathError::TooLong));
    }

    #[test]
    fn a_setting_leaves_the_relays_own_paths_alone() {
        for own in ["/watch", "/whip/a", "/api/"] {
            assert!(BasePath::setting(own).unwrap_err().to_string().contains("own paths"), "{own}");
            assert!(own.parse::<BasePath>().is_ok(), "a proxy that takes it off may have any");
        }
        assert!(BasePath::setting("/watching").is_ok());
    }

    #[test]
    fn a_proxy_is_believed_when_it_says_one_path_once() {
        let forwarded = |lines: &[&'static [u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_PREFIX, HeaderValue::from_bytes(line).unwrap());
            }
            BasePath::forwarded(&headers).map(|base| base.as_str().to_owned())
        };
        assert_eq!(forwarded(&[b"/relay"]).as_deref(), Some("/relay"));
        assert_eq!(forwarded(&[b" /relay/ "]).as_deref(), Some("/relay"));
        let nothing: [&[&[u8]]; 6] = [&[], &[b"//evil"], &[b"/a", b"/b"], &[b"/a, /b"], &[b"\xff"], &[b""]];
        for lines in nothing {
            assert_eq!(forwarded(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn only_whole_parts_of_a_path_are_taken_off() {
        let base: BasePath = "/relay".parse().unwrap();
        let stripped = |uri: &str| base.stripped(&uri.parse().unwrap()).map(|uri| uri.to_string());
        for (uri, rest) in [
            ("/relay", "/"),
            ("/relay/", "/"),
            ("/relay?a=1", "/?a=1"),
            ("/relay/watch/cam?chat=1", "/watch/cam?chat=1"),
            ("http://host:1/relay/whip/cam", "http://host:1/whip/cam"),
            ("/relay/relay/x", "/relay/x"),
        ] {
            assert_eq!(stripped(uri).as_deref(), Some(rest), "{uri}");
        }
        for other in ["/", "/relays", "/watch/cam", "/Relay/", "*"] {
            assert_eq!(stripped(other), None, "{other}");
        }
    }
}
