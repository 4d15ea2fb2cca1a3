//! `?token=TOKEN`, for players that cannot set a header. It becomes `Authorization: Bearer TOKEN` here and is taken out of
//! the address, so that nothing behind this layer logs it or puts it into a Location. A token in the header has priority.

use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::Response;

/// Moves the token of the query into the header.
pub(in crate::http) async fn layer(mut request: Request, next: Next) -> Response {
    if let Some((uri, token)) = take(request.uri()) {
        *request.uri_mut() = uri;
        if !request.headers().contains_key(AUTHORIZATION)
            && let Ok(mut value) = HeaderValue::try_from(format!("Bearer {token}"))
        {
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
    }
    next.run(request).await
}

/// The address without its tokens, and the first of them; `None` if it has none.
fn take(uri: &Uri) -> Option<(Uri, String)> {
    let is_token = |pair: &&str| *pair == "token" || pair.starts_with("token=");
    let pairs = || uri.query().unwrap_or_default().split('&');
    let token = pairs().find(is_token)?;
    let token = url::form_urlencoded::parse(token.as_bytes()).next().map(|(_, value)| value.into_owned());
    let rest: Vec<&str> = pairs().filter(|pair| !is_token(pair)).collect();
    let path = uri.path();
    let text = if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Some((Uri::from_parts(parts).ok()?, token.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_out_of_the_address_and_everything_else_stays() {
        let taken = |text: &str| take(&text.parse().unwrap()).map(|(uri, token)| (uri.to_string(), token));
        let some = |uri: &str, token: &str| Some((uri.to_owned(), token.to_owned()));
        assert_eq!(taken("/whep/cam?token=abc"), some("/whep/cam", "abc"));
        assert_eq!(taken("/whip/cam?standby=1&token=a.b-c_d&x"), some("/whip/cam?standby=1&x", "a.b-c_d"));
        assert_eq!(taken("/whep/cam?token=a%2Bb"), some("/whep/cam", "a+b"));
        assert_eq!(taken("/whep/cam?token=a&token=b"), some("/whep/cam", "a"), "none of several stays");
        assert_eq!(taken("/whep/cam?token="), some("/whep/cam", ""));
        assert_eq!(taken("http://relay:8080/whep/cam?token=a"), some("http://relay:8080/whep/cam", "a"));
        for without in ["/whep/cam", "/whep/cam?", "/whep/cam?access_token=a&xtoken=b&TOKEN=c"] {
            assert_eq!(taken(without), None, "{without}");
        }
    }
}
