//! Reads bodies: bounded in size and in time, and as they come, because nothing is decompressed here.
//!
//! tower-http's `RequestBodyLimitLayer` and `TimeoutLayer` answer with a plain text and one limit for all routes; a
//! client gets a problem document here, and each route has its limit.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use headers::{ContentLength, HeaderMapExt as _};

use super::mistakes;
use crate::http::error::Problem;

/// Reads SDP of at most `limit` bytes within `deadline`.
pub(in crate::http) async fn read_text(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    deadline: Duration,
) -> Result<String, Problem> {
    mistakes::read(read_bytes(headers, body, limit, deadline).await?)
}

/// Reads a body of at most `limit` bytes within `deadline`.
pub(in crate::http) async fn read_bytes(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    deadline: Duration,
) -> Result<Vec<u8>, Problem> {
    require_plain(headers)?;
    if headers.typed_get::<ContentLength>().is_some_and(|announced| announced.0 > limit as u64) {
        return Err(Problem::TooLarge(limit));
    }
    let read = tokio::time::timeout(deadline, axum::body::to_bytes(body, limit)).await;
    let bytes = read.map_err(|_| Problem::TooSlow(deadline))?.map_err(|error| read_problem(error, limit))?;
    Ok(bytes.into())
}

fn read_problem(error: axum::Error, limit: usize) -> Problem {
    let too_large =
        std::error::Error::source(&error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
    if too_large { Problem::TooLarge(limit) } else { Problem::Malformed("the body broke off".to_owned()) }
}

/// Checks that the body comes as it is, because nothing is unpacked here (RFC 9110 8.4).
fn require_plain(headers: &HeaderMap) -> Result<(), Problem> {
    let lines = headers.get_all(CONTENT_ENCODING).iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let is_plain = codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"));
    if is_plain { Ok(()) } else { Err(Problem::WrongCoding) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use axum::http::header::CONTENT_LENGTH;

    #[test]
    fn nothing_is_unpacked() {
        let with = |lines: &[&'static str]| -> HeaderMap {
            lines.iter().map(|line| (CONTENT_ENCODING, HeaderValue::from_static(line))).collect()
        };
        for good in [&[][..], &["identity"], &["Identity"], &["identity, identity"], &[""]] {
            assert_eq!(require_plain(&with(good)), Ok(()), "{good:?}");
        }
        for bad in [&["gzip"][..], &["br"], &["deflate"], &["identity, gzip"], &["zstd"], &["x"]] {
            assert_eq!(require_plain(&with(bad)), Err(Problem::WrongCoding), "{bad:?}");
        }
        let mut two = with(&["identity"]);
        two.append(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(require_plain(&two), Err(Problem::WrongCoding));
    }

    #[tokio::test]
    async fn a_body_is_bounded_whether_or_not_it_says_its_length() {
        let soon = Duration::from_secs(5);
        let none = HeaderMap::new();
        assert_eq!(read_text(&none, "1234".into(), 4, soon).await, Ok("1234".to_owned()));
        assert_eq!(read_text(&none, "12345".into(), 4, soon).await, Err(Problem::TooLarge(4)));
        let announced = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("99999999999999"))]);
        assert_eq!(read_text(&announced, "1".into(), 4, soon).await, Err(Problem::TooLarge(4)));
        let broken = read_text(&none, vec![0xff, 0xfe].into(), 4, soon).await;
        assert!(matches!(broken, Err(Problem::Malformed(_))));
    }
}
