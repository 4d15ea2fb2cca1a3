//! `/assets/{name}`: the files that pages load, compiled into the binary. tower-http's `ServeDir` reads them from a
//! disk.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::extract::Path;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use headers::{ETag, HeaderMapExt as _, IfNoneMatch};

use crate::http::error::Problem;

pub(super) struct Asset {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

macro_rules! assets {
    ($($name:literal)+) => {
        &[$(Asset { name: $name, text: include_str!(concat!("assets/", $name)) }),+]
    };
}

pub(super) const ALL: &[Asset] = assets! {
    "player.css"
    "style.css"
    "icon.svg"
    "api.js"
    "chat.js"
    "commands.js"
    "encoder.js"
    "events.js"
    "facts.js"
    "ice.js"
    "index.js"
    "lost.js"
    "meter.js"
    "page.js"
    "player.js"
    "problems.js"
    "publish.js"
    "quality.js"
    "received.js"
    "retry.js"
    "sent.js"
    "source.js"
    "streams.js"
    "tabs.js"
    "test-video-worker.js"
    "test-video.js"
    "wake.js"
    "watch.js"
    "whip.js"
    "words.js"
};

impl Asset {
    /// The entity tag of this text: another build may have the same version and another text.
    fn tag(&self) -> ETag {
        let mut hasher = DefaultHasher::new();
        self.text.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish()).parse().expect("hexadecimal digits in quotes")
    }

    fn content_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        }
    }
}

/// One file. Browsers ask each time, and get 304 if they have the text of this build.
pub(in crate::http) async fn get(Path(name): Path<String>, asked: HeaderMap) -> Result<Response, Problem> {
    let known = ALL.iter().find(|asset| asset.name == name);
    let asset = known.ok_or(Problem::NotFound("no such file"))?;
    let tag = asset.tag();
    let has_changed = asked.typed_get::<IfNoneMatch>().is_none_or(|known| known.precondition_passes(&tag));
    // Any page may load them: one in a sandbox has no origin, and modules are loaded by the rules of CORS.
    let cache = [(CACHE_CONTROL, "no-cache"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    let mut response = if has_changed {
        let kind = [(CONTENT_TYPE, asset.content_type()), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
        (cache, kind, asset.text).into_response()
    } else {
        (StatusCode::NOT_MODIFIED, cache).into_response()
    };
    response.headers_mut().typed_insert(tag);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_load_only_what_is_compiled_in() {
        for asset in ALL {
            for path in asset.text.split("\"/assets/").skip(1).chain(asset.text.split("'./").skip(1)) {
                let name: String =
                    path.chars().take_while(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
                assert!(ALL.iter().any(|asset| asset.name == name), "{name} is not compiled in");
            }
        }
    }

    #[test]
    fn scripts_find_everything_from_their_own_address() {
        for asset in ALL.iter().filter(|asset| asset.name.ends_with(".js")) {
            for absolute in ["'/assets", "fetch('/", "fetch(`/", "= `/", "location.origin"] {
                assert!(!asset.text.contains(absolute), "{}: {absolute}", asset.name);
            }
        }
    }
}
