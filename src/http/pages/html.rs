//! The pages and what they load: plain HTML, CSS and JavaScript modules, compiled into the binary. They read the
//! stream's name from their own address, so nothing that a client sends is ever written into a page.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::extract::{Path, Request, State};
use axum::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::Shared;
use crate::http::base_path::BasePath;
use crate::http::error::{Problem, Told};
use crate::http::request::Stream;

/// Scripts, styles and connections of this origin only. Players are embedded elsewhere, so `watch` may be framed;
/// `publish` may not, because it asks for a camera.
const CLOSED: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      media-src 'self' blob:; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const FRAMED: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      media-src 'self' blob:; worker-src 'self'; base-uri 'none'; form-action 'self'";

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

impl Asset {
    /// The entity tag of this text: another build may have the same version and another text.
    fn tag(&self) -> HeaderValue {
        let mut hasher = DefaultHasher::new();
        self.text.hash(&mut hasher);
        HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish())).expect("hexadecimal digits in quotes")
    }
}

macro_rules! asset {
    ($name:literal, $kind:literal) => {
        Asset { name: $name, kind: $kind, text: include_str!(concat!("assets/", $name)) }
    };
}

const ASSETS: [Asset; 29] = [
    asset!("player.css", "text/css; charset=utf-8"),
    asset!("style.css", "text/css; charset=utf-8"),
    asset!("icon.svg", "image/svg+xml"),
    asset!("api.js", "text/javascript; charset=utf-8"),
    asset!("chat.js", "text/javascript; charset=utf-8"),
    asset!("commands.js", "text/javascript; charset=utf-8"),
    asset!("encoder.js", "text/javascript; charset=utf-8"),
    asset!("events.js", "text/javascript; charset=utf-8"),
    asset!("facts.js", "text/javascript; charset=utf-8"),
    asset!("ice.js", "text/javascript; charset=utf-8"),
    asset!("index.js", "text/javascript; charset=utf-8"),
    asset!("lost.js", "text/javascript; charset=utf-8"),
    asset!("meter.js", "text/javascript; charset=utf-8"),
    asset!("page.js", "text/javascript; charset=utf-8"),
    asset!("picture-worker.js", "text/javascript; charset=utf-8"),
    asset!("picture.js", "text/javascript; charset=utf-8"),
    asset!("player.js", "text/javascript; charset=utf-8"),
    asset!("problems.js", "text/javascript; charset=utf-8"),
    asset!("publish.js", "text/javascript; charset=utf-8"),
    asset!("received.js", "text/javascript; charset=utf-8"),
    asset!("retry.js", "text/javascript; charset=utf-8"),
    asset!("sent.js", "text/javascript; charset=utf-8"),
    asset!("source.js", "text/javascript; charset=utf-8"),
    asset!("streams.js", "text/javascript; charset=utf-8"),
    asset!("tabs.js", "text/javascript; charset=utf-8"),
    asset!("wake.js", "text/javascript; charset=utf-8"),
    asset!("watch.js", "text/javascript; charset=utf-8"),
    asset!("whip.js", "text/javascript; charset=utf-8"),
    asset!("words.js", "text/javascript; charset=utf-8"),
];

/// `/`: what this is, which streams are live, how to publish one.
pub(in crate::http) async fn index(base_path: BasePath) -> Response {
    page(include_str!("index.html"), &base_path, CLOSED)
}

/// `/publish/{stream}`: camera or test picture to WHIP.
pub(in crate::http) async fn publish(base_path: BasePath, _: Stream) -> Response {
    page(include_str!("publish.html"), &base_path, CLOSED)
}

/// `/watch/{stream}`: a WHEP player. It is told whether the relay passes on what its viewers say.
pub(in crate::http) async fn watch(State(shared): State<Shared>, base_path: BasePath, _: Stream) -> Response {
    const MUTE: &str = "data-replies=\"no\"";
    let text = include_str!("watch.html");
    if shared.media.hears_viewers() {
        page(&text.replace(MUTE, "data-replies=\"yes\""), &base_path, FRAMED)
    } else {
        page(text, &base_path, FRAMED)
    }
}

/// `/assets/{name}`: what the pages load.
pub(in crate::http) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let known = ASSETS.iter().find(|asset| asset.name == name);
    let asset = known.ok_or(Problem::NotFound("no such file"))?;
    // Browsers ask each time, and are told if nothing has changed since the build that they know.
    let tag = asset.tag();
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|known| *known == tag);
    // Whoever loads them may read them: a page in a sandbox has no origin, and modules are loaded by the rules of CORS.
    let anybody = HeaderValue::from_static("*");
    let no_cache = HeaderValue::from_static("no-cache");
    let cache = [(CACHE_CONTROL, no_cache), (ETAG, tag), (ACCESS_CONTROL_ALLOW_ORIGIN, anybody)];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, cache).into_response());
    }
    let kind = [(CONTENT_TYPE, asset.kind), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((cache, kind, asset.text).into_response())
}

/// Shows a problem as a page to who asked for one, such as somebody who typed a stream's name with a space.
pub(in crate::http) async fn explain(request: Request, next: Next) -> Response {
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let wants_page = request.method() == Method::GET && accepted.is_some_and(|types| types.contains("text/html"));
    let base_path = request.extensions().get().cloned().unwrap_or_default();
    let response = next.run(request).await;
    let Some(Told(detail)) = response.extensions().get().filter(|_| wants_page) else { return response };
    let title = response.status().canonical_reason().unwrap_or_default();
    let text = include_str!("problem.html").replace("TITLE", title).replace("DETAIL", &sentence(detail));
    let mut shown = (response.status(), page(&text, &base_path, CLOSED)).into_response();
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

/// A page whose links lead below `base_path`; what its scripts load and ask for, they find from their own address.
fn page(text: &str, base_path: &BasePath, policy: &'static str) -> Response {
    let text = text.replace("=\"/", &format!("=\"{}", base_path.join("/")));
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
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

    #[test]
    fn pages_load_only_what_is_compiled_in() {
        let pages = [include_str!("index.html"), include_str!("publish.html"), include_str!("watch.html")];
        for text in pages.iter().copied().chain(ASSETS.iter().map(|asset| asset.text)) {
            for path in text.split("\"/assets/").skip(1).chain(text.split("'./").skip(1)) {
                let name: String =
                    path.chars().take_while(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
                assert!(ASSETS.iter().any(|asset| asset.name == name), "{name} is not compiled in");
            }
        }
    }

    #[test]
    fn scripts_find_everything_from_their_own_address() {
        for asset in ASSETS.iter().filter(|asset| asset.name.ends_with(".js")) {
            for absolute in ["'/assets", "fetch('/", "fetch(`/", "= `/", "location.origin"] {
                assert!(!asset.text.contains(absolute), "{}: {absolute}", asset.name);
            }
        }
    }

    #[test]
    fn the_player_asks_for_all_its_modules_at_once() {
        let page = include_str!("watch.html");
        let mut needed = vec!["watch.js"];
        for place in 0.. {
            let Some(name) = needed.get(place) else { break };
            let text = ASSETS.iter().find(|asset| asset.name == *name).unwrap().text;
            for import in text.split("from './").skip(1) {
                let module = import.split('\'').next().unwrap();
                assert!(page.contains(&format!("\"modulepreload\" href=\"/assets/{module}\"")), "{module}");
                if !needed.contains(&module) {
                    needed.push(module);
                }
            }
        }
        assert_eq!(page.matches("modulepreload").count(), needed.len() - 1, "and for no other");
    }

    #[test]
    fn pages_have_nothing_that_their_policy_forbids() {
        for page in [include_str!("index.html"), include_str!("publish.html"), include_str!("watch.html")] {
            for forbidden in [" style=", "<style", " onclick=", " onload=", "<script>", "javascript:", "src=\"http"] {
                assert!(!page.contains(forbidden), "{forbidden}");
            }
        }
    }
}
