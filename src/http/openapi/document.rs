//! The document as a whole: its head, and the few things that handlers and types cannot say.

use std::sync::Arc;

use serde_json::{Value, json};
use utoipa::PartialSchema as _;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr, ServerBuilder};

use super::refusals;
use crate::http::base_path::BasePath;
use crate::http::error;

const DESCRIPTION: &str = "While no token is configured, everything is open. Once one is, what is not granted is closed: each \
                           operation below then needs the token that it names. HEAD is answered wherever GET is. With --admin \
                           ADDR the operations of api and operations are at that address, and nowhere else. Besides what each \
                           operation lists, any request can get 400 for its Host header, 429 or 503 while there are too many \
                           connections, 429 after unknown tokens from its address, and, where it needs a token, 503 while the \
                           webhook does not answer. In a cluster any node serves a \
                           session, with 503 while the session's node does not answer. A player that cannot send a header may send its token as ?token=TOKEN.";

const TAGS: [(&str, &str); 6] = [
    ("whip", "To publish."),
    ("whep", "To watch."),
    ("session", "To change and end one's own session."),
    ("api", "Streams and sessions, for operators."),
    ("nodes", "For the other nodes of the cluster."),
    ("operations", "For Prometheus and for what restarts processes."),
];

const TOKENS: [(&str, &str); 4] = [
    ("publish", "The publish token."),
    ("watch", "The watch token."),
    ("admin", "The admin token."),
    ("node", "A token that the secret of the cluster signs."),
];

/// Operations whose body may be left out; utoipa says so only of a body that may be `null`, too.
const OPTIONAL_BODIES: [&str; 1] = ["openEventStream"];

/// Headers that an answer of this status may lack; all others are always there.
const OPTIONAL_HEADERS: [(&str, &str); 2] = [("201", "Link"), ("Forbidden", "WWW-Authenticate")];

/// The document without the one thing that differs by request: below which path clients find the relay.
#[derive(Clone, Debug)]
pub(in crate::http) struct Document(Arc<Value>);

impl Document {
    /// Completes what the router has collected from its handlers.
    pub(in crate::http) fn new(collected: OpenApi) -> Self {
        let mut document = head();
        document.merge(collected);
        let mut document = serde_json::to_value(document).expect("the document's maps have texts for keys");
        document["info"]["summary"] = env!("CARGO_PKG_DESCRIPTION").into();
        let responses = document["components"]["responses"].as_object_mut().into_iter().flatten();
        for (name, response) in responses {
            require_headers(name, response);
        }
        for operation in
            document["paths"].as_object_mut().into_iter().flatten().flat_map(|(_, item)| item.as_object_mut())
        {
            for (_, operation) in operation {
                if OPTIONAL_BODIES.iter().any(|id| operation["operationId"] == *id) {
                    operation["requestBody"]["required"] = false.into();
                }
                for (status, response) in
                    operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten()
                {
                    require_headers(status, response);
                }
            }
        }
        Self(Arc::new(document))
    }

    /// The document for clients that find the relay below `base_path`.
    pub(in crate::http) fn below(&self, base_path: &BasePath) -> Value {
        let mut document = Value::clone(&self.0);
        let url = if base_path.as_str().is_empty() { "/" } else { base_path.as_str() };
        document["servers"] = json!([{ "url": url }]);
        document
    }
}

/// Says of each header of a response whether it is always there; utoipa's `Header` has no field for that.
fn require_headers(of: &str, response: &mut Value) {
    for (name, header) in response.get_mut("headers").and_then(Value::as_object_mut).into_iter().flatten() {
        header["required"] = (!OPTIONAL_HEADERS.contains(&(of, name))).into();
    }
}

fn head() -> OpenApi {
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license));
    let tags = TAGS.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build());
    let mut components = ComponentsBuilder::new().schema("Problem", error::Document::schema());
    for (name, response) in refusals::all() {
        components = components.response(name, RefOr::T(response));
    }
    for (name, description) in TOKENS {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        components = components.security_scheme(name, SecurityScheme::Http(bearer));
    }
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .tags(Some(tags))
        .components(Some(components.build()))
        .build()
}
