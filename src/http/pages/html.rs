//! One frame around all pages: the head, the bar at the top, and the headers that protect them.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse as _, Response};

use crate::http::base_path::BasePath;

/// Scripts, styles and connections of this origin only. Players are embedded elsewhere, so `watch` may be framed;
/// `publish` may not, because it asks for a camera.
pub(super) const CLOSED: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      media-src 'self' blob:; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
pub(super) const FRAMED: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      media-src 'self' blob:; worker-src 'self'; base-uri 'none'; form-action 'self'";

pub(super) const ALL_STREAMS: &str = "<a class=\"button small\" href=\"/\">All streams</a>";

/// What one page has in the frame. All of it is HTML, and links begin with a slash.
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    /// What the viewport has besides its width.
    pub(super) viewport: &'static str,
    /// Its lines of the head, such as [`script`] and [`preload`].
    pub(super) head: String,
    /// Attributes of the body.
    pub(super) attributes: &'static str,
    /// The right end of the bar.
    pub(super) bar: &'static str,
    pub(super) main: &'a str,
    pub(super) policy: &'static str,
}

impl Page<'_> {
    /// The page, whose links lead below `base_path`; what its scripts load and ask for, they find from their own
    /// address.
    pub(super) fn response(&self, base_path: &BasePath) -> Response {
        self.response_with(base_path, &[])
    }

    /// The same, for a page whose scripts may be sent on to other nodes: these are their origins.
    pub(super) fn response_with(&self, base_path: &BasePath, nodes: &[String]) -> Response {
        let own = "connect-src 'self'";
        let policy = self.policy.replace(own, &[&[own.to_owned()], nodes].concat().join(" "));
        let text = self.text().replace("=\"/", &format!("=\"{}", base_path.join("/")));
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, &policy),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (CACHE_CONTROL, "no-cache"),
        ];
        (headers, text).into_response()
    }

    pub(super) fn text(&self) -> String {
        // `MAIN` is last, so that nothing in it is taken for a place of the frame.
        include_str!("frame.html")
            .replace("VIEWPORT", self.viewport)
            .replace("TITLE", self.title)
            .replace("HEAD", &self.head)
            .replace(" ATTRIBUTES", self.attributes)
            .replace("BAR", self.bar)
            .replace("MAIN", self.main)
    }
}

/// The line of the head that loads a script.
pub(super) fn script(name: &str) -> String {
    format!("  <script type=\"module\" src=\"/assets/{name}\"></script>\n")
}

/// The line of the head that loads a further style sheet.
pub(super) fn style(name: &str) -> String {
    format!("  <link rel=\"stylesheet\" href=\"/assets/{name}\">\n")
}

/// The line of the head that loads a module before the script that imports it has come.
pub(super) fn preload(name: &str) -> String {
    format!("  <link rel=\"modulepreload\" href=\"/assets/{name}\">\n")
}
