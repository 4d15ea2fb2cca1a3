//! A problem as a page.

use axum::extract::Request;
use axum::http::Method;
use axum::http::header::{ACCEPT, CONTENT_LENGTH};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::html::{ALL_STREAMS, CLOSED, Page};
use crate::http::base_path::BasePath;
use crate::http::error::Detail;

/// Shows a problem as a page if the request accepts HTML, as a browser does whose user typed a wrong address.
pub(in crate::http) async fn explain(request: Request, next: Next) -> Response {
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let wants_page = request.method() == Method::GET && accepted.is_some_and(|types| types.contains("text/html"));
    let base_path = request.extensions().get::<BasePath>().cloned().unwrap_or_default();
    let response = next.run(request).await;
    let Some(Detail(detail)) = response.extensions().get().filter(|_| wants_page) else { return response };
    let title = response.status().canonical_reason().unwrap_or_default();
    let mut shown = (response.status(), page(title, &sentence(detail), &base_path)).into_response();
    for (name, value) in response.headers() {
        if !shown.headers().contains_key(name) && name != CONTENT_LENGTH {
            shown.headers_mut().append(name, value.clone());
        }
    }
    shown
}

/// A detail as a sentence of HTML.
fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let text: String = first.into_iter().chain(letters).collect();
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    if escaped.ends_with(['.', '?', '!']) { escaped } else { escaped + "." }
}

fn page(title: &str, sentence: &str, base_path: &BasePath) -> Response {
    let page = Page {
        title: &format!("{title} - sluice"),
        viewport: "",
        head: String::new(),
        attributes: "",
        bar: ALL_STREAMS,
        main: &include_str!("problem.html").replace("NAME", title).replace("DETAIL", sentence),
        policy: CLOSED,
    };
    page.response(base_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_a_sentence_that_no_text_turns_into_markup() {
        assert_eq!(sentence("no <b> & no \"c\""), "No &lt;b&gt; &amp; no &quot;c&quot;.");
        assert_eq!(sentence("<script>"), "&lt;script&gt;.");
        assert_eq!(["é", "is it so?", ""].map(sentence), ["é.", "Is it so?", "."]);
    }
}
