//! Reads headers.

use crate::http::error::Problem;
use axum::http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName};

/// The client's product name, for the log.
pub(in crate::http) fn user_agent(headers: &HeaderMap) -> Option<String> {
    Some(text(headers, USER_AGENT)?.chars().take(256).collect())
}

/// Checks the type of the body; parameters such as `charset` do not matter.
///
/// Parsed here, because `headers::ContentType` fails on malformed parameters.
pub(in crate::http) fn require_type(headers: &HeaderMap, expected: &'static str) -> Result<(), Problem> {
    let given = text(headers, CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
    match given.trim().to_ascii_lowercase().as_str() {
        given if given == expected => Ok(()),
        "application/json" => Err(Problem::NoText { expected, given: "JSON" }),
        "application/x-www-form-urlencoded" | "multipart/form-data" => {
            Err(Problem::NoText { expected, given: "an HTML form" })
        }
        _ => Err(Problem::WrongType(expected)),
    }
}

/// Checks that the client takes the type of the answer (RFC 9110 12.5.1). Without the header it takes anything.
///
/// Parsed here, because `headers` has no `Accept`.
pub(in crate::http) fn require_accepted(headers: &HeaderMap, offered: &'static str) -> Result<(), Problem> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<&str> =
        values.flat_map(|value| value.split(',')).filter(|range| !range.trim().is_empty()).collect();
    let family = offered.split('/').next().unwrap_or_default();
    // The most specific range that matches decides.
    let weigh = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let rank = match name.strip_suffix("/*") {
            _ if name == offered => 3,
            Some("*") => 1,
            Some(prefix) if prefix == family => 2,
            _ => return None,
        };
        let refused = parts.filter_map(|part| part.strip_prefix("q=")).any(|weight| weight.parse() == Ok(0.0_f32));
        Some((rank, !refused))
    };
    match ranges.iter().filter_map(|range| weigh(range)).max_by_key(|(rank, _)| *rank) {
        Some((_, true)) => Ok(()),
        None if ranges.is_empty() => Ok(()),
        _ => Err(Problem::NotAcceptable(offered)),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_type_of_a_body_is_compared_without_its_parameters() {
        for good in ["application/sdp", "Application/SDP", "application/sdp; charset=utf-8"] {
            assert_eq!(require_type(&with(CONTENT_TYPE, good), "application/sdp"), Ok(()), "{good}");
        }
        for bad in ["application/sdpx", "text/plain", "", "text/plain; application/sdp"] {
            let refused = Err(Problem::WrongType("application/sdp"));
            assert_eq!(require_type(&with(CONTENT_TYPE, bad), "application/sdp"), refused, "{bad}");
        }
        for (given, part) in [("application/json", "JSON"), ("multipart/form-data; boundary=x", "HTML form")] {
            let refused = require_type(&with(CONTENT_TYPE, given), "application/sdp").unwrap_err();
            assert!(refused.status() == 415 && refused.to_string().contains(part), "{refused}");
        }
    }

    #[test]
    fn a_client_is_believed_when_it_refuses_the_type_of_the_answer() {
        for good in ["*/*", "application/sdp", "text/html, application/*;q=0.5", "application/SDP;q=1", ""] {
            assert_eq!(require_accepted(&with(ACCEPT, good), "application/sdp"), Ok(()), "{good}");
        }
        for bad in ["text/html", "application/json", "*/*, application/sdp;q=0", "application/*;q=0.0"] {
            let refused = Err(Problem::NotAcceptable("application/sdp"));
            assert_eq!(require_accepted(&with(ACCEPT, bad), "application/sdp"), refused, "{bad}");
        }
        assert_eq!(require_accepted(&HeaderMap::new(), "application/sdp"), Ok(()));
    }
}
