//! What plain HTTP answers beside HTTPS: where the same thing is by HTTPS (308, so that a POST stays a POST), whatever
//! is asked for, and nothing else.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{HOST, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse as _, Response};

use crate::http::error::Problem;
use crate::http::guard::host::{Host, asked_host};
use crate::http::guard::query_token;

/// Redirects to HTTPS on `port` of the host that a request is for, or on the port that it asked, without the token in
/// its address: that has travelled in clear, and a Location is shown and logged.
pub(in crate::http) fn routes(port: Option<u16>) -> Router {
    Router::new()
        .fallback(move |request: Request| async move { redirect(&request, port) })
        .layer(from_fn(query_token::layer))
}

fn redirect(request: &Request, port: Option<u16>) -> Response {
    let asked = asked_host(request.uri(), request.headers());
    let port = port.or(asked.as_ref().and_then(|(_, port)| *port)).unwrap_or(443);
    let host = match asked.filter(|_| request.headers().get_all(HOST).iter().count() <= 1) {
        Some((Host::Address(address), _)) if address.is_ipv6() => format!("[{address}]"),
        Some((Host::Address(address), _)) => address.to_string(),
        Some((Host::Name(name), _)) if !name.is_empty() => name,
        _ => {
            return Problem::Malformed("write one Host header that is a host: open the https URL".to_owned())
                .into_response();
        }
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    // The target of OPTIONS * is no path.
    let path = if path.starts_with('/') { path } else { "/" };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    match HeaderValue::try_from(format!("https://{host}{port}{path}")) {
        Ok(location) => (StatusCode::PERMANENT_REDIRECT, [(LOCATION, location)]).into_response(),
        Err(_) => Problem::Malformed("the path is not one of a URL: open the https URL".to_owned()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use tower::ServiceExt as _;

    fn location(target: &str, host: Option<&str>, port: impl Into<Option<u16>>) -> Option<String> {
        let mut request = Request::builder().method("POST").uri(target);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let response = redirect(&request.body(Body::empty()).unwrap(), port.into());
        let location = response.headers().get(LOCATION).map(|location| location.to_str().unwrap().to_owned());
        assert_eq!(response.status(), if location.is_some() { 308 } else { 400 });
        location
    }

    #[test]
    fn a_request_is_sent_to_the_same_path_of_the_same_host_by_https() {
        for (target, host, port, expected) in [
            ("/watch/cam?chat=1", "live.example.org", 443, "https://live.example.org/watch/cam?chat=1"),
            ("/whip/cam", "live.example.org:80", 443, "https://live.example.org/whip/cam"),
            ("/", "192.0.2.7:8080", 8443, "https://192.0.2.7:8443/"),
            ("/", "[2001:db8::7]", 8443, "https://[2001:db8::7]:8443/"),
            ("//evil.example/", "live.example.org", 443, "https://live.example.org//evil.example/"),
            ("http://a.example/x", "b.example", 443, "https://a.example/x"),
            ("*", "live.example.org", 443, "https://live.example.org/"),
        ] {
            assert_eq!(location(target, Some(host), port).as_deref(), Some(expected));
        }
        for (host, expected) in [("a.example:8443", "https://a.example:8443/"), ("a.example", "https://a.example/")] {
            assert_eq!(location("/", Some(host), None).as_deref(), Some(expected), "on the port that was asked");
        }
    }

    #[tokio::test]
    async fn the_token_of_an_address_is_not_in_the_location() {
        let request = Request::builder().uri("/whep/cam?x=1&token=secret").header(HOST, "live.example.org");
        let response = routes(Some(443)).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.headers()[LOCATION], "https://live.example.org/whep/cam?x=1");
    }

    #[test]
    fn a_request_with_two_hosts_is_refused() {
        let request = Request::builder().uri("/").header(HOST, "a.example").header(HOST, "b.example");
        assert_eq!(redirect(&request.body(Body::empty()).unwrap(), Some(443)).status(), 400);
    }

    #[test]
    fn a_request_without_a_readable_host_is_refused() {
        for host in [None, Some(""), Some("user@evil.example"), Some("a b"), Some("evil.example/x"), Some("[::1")] {
            assert_eq!(location("/", host, 443), None, "{host:?}");
        }
    }
}
