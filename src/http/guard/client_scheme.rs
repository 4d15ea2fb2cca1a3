//! The scheme of a client's request to a trusted proxy: `X-Forwarded-Proto`, or `proto` of `Forwarded` (RFC 7239 5.4).
//! The relay sends clients paths and not URLs, so the scheme matters for Strict-Transport-Security alone.

use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName};

use crate::http::request::connection::Scheme;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The scheme that the nearest proxy names; `None` if it names none, or two different ones.
pub(super) fn scheme(headers: &HeaderMap) -> Option<Scheme> {
    let last = |name: HeaderName| headers.get_all(name).iter().next_back()?.to_str().ok()?.rsplit(',').next();
    let proto = last(FORWARDED_PROTO).map(str::trim);
    let forwarded = last(FORWARDED).and_then(|element| {
        let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.into_iter().find_map(|(name, value)| name.eq_ignore_ascii_case("proto").then(|| value.trim_matches('"')))
    });
    match (proto.map(parse), forwarded.map(parse)) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => one.or(other).flatten(),
    }
}

fn parse(text: &str) -> Option<Scheme> {
    [("https", Scheme::Https), ("http", Scheme::Http)]
        .into_iter()
        .find_map(|(name, scheme)| text.eq_ignore_ascii_case(name).then_some(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_nearest_proxy_names_the_scheme_in_either_header() {
        for (lines, expected) in [
            (&[("x-forwarded-proto", "https")][..], Some(Scheme::Https)),
            (&[("x-forwarded-proto", "HTTP")], Some(Scheme::Http)),
            (&[("x-forwarded-proto", "http, https")], Some(Scheme::Https)),
            (&[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], Some(Scheme::Http)),
            (&[("forwarded", "for=203.0.113.7;proto=https")], Some(Scheme::Https)),
            (&[("forwarded", "proto=http, for=203.0.113.7; Proto=\"https\"")], Some(Scheme::Https)),
            (&[("forwarded", "for=203.0.113.7")], None),
            (&[("x-forwarded-proto", "https"), ("forwarded", "proto=https")], Some(Scheme::Https)),
            (&[("x-forwarded-proto", "https"), ("forwarded", "proto=http")], None),
            (&[("x-forwarded-proto", "ftp")], None),
            (&[("x-forwarded-proto", "")], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(scheme(&headers), expected, "{lines:?}");
        }
    }
}
