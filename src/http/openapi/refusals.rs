//! The refusals that handlers have in common, as the document describes them: each is a
//! [`Problem`](crate::http::error::Problem) with its status.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{Content, HeaderBuilder, Object, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type};

/// Declares refusals: name, status, description and the header that comes with it, if any.
macro_rules! refusals {
    ($($name:ident = $status:literal $(with $header:path)?: $description:literal,)+) => {
        $(
            #[doc = $description]
            pub(in crate::http) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    let reference = Ref::from_response_name(stringify!($name));
                    BTreeMap::from([(stringify!($status).to_owned(), reference.into())])
                }
            }
        )+

        /// All of them by name, for the document's components.
        pub(super) fn all() -> Vec<(&'static str, Response)> {
            vec![$((stringify!($name), refusal($description) $(.header($header().0, $header().1))?.build()),)+]
        }
    };
}

refusals! {
    Malformed = 400: "The request cannot be understood.",
    Unauthorized = 401 with challenge: "No token, or one that is not known here.",
    Forbidden = 403 with challenge: "The token allows something else; or no token allows this, because no admin token is \
        configured; or the request names a foreign host or comes from a foreign web page, while no token protects the relay.",
    ForeignPage = 403: "The request comes from a web page whose origin is not listed, while no token protects the relay.",
    NotFound = 404: "It does not exist, or it belongs to another client.",
    NotAcceptable = 406: "The client does not accept the only type that the answer can have.",
    TooSlow = 408: "The body did not arrive in time.",
    Conflict = 409 with retry_after: "Another encoder publishes this stream and took it over from this one a moment ago; or \
        it has no publisher, and viewers must not wait (--refuse-early-viewers).",
    TooManyEventStreams = 409: "The session has four event streams already.",
    TooManyRevocations = 409: "There is no room for another revocation: there are 10,000, or 1 MiB of them.",
    Stale = 412: "The entity tag is of an older ICE session.",
    TooLarge = 413: "The body is too large.",
    WrongType = 415: "The body has another type or a Content-Encoding: the Accept header, or Accept-Encoding, has the right one.",
    Unsupported = 422: "It is understood, and not supported or not there.",
    NoIfMatch = 428: "If-Match is missing.",
    TooMany = 429 with retry_after: "Too many requests from one address or with one token.",
    Unavailable = 503 with retry_after: "The relay cannot take this now, or is about to stop.",
}

fn refusal(description: &str) -> ResponseBuilder {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().description(description).content("application/problem+json", problem)
}

fn challenge() -> (&'static str, utoipa::openapi::Header) {
    let header = HeaderBuilder::new().schema(Some(Object::with_type(Type::String)));
    let header = header.description(Some("The scheme and what was wrong (RFC 6750 3).")).build();
    ("WWW-Authenticate", header)
}

fn retry_after() -> (&'static str, utoipa::openapi::Header) {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait.")).build();
    ("Retry-After", header)
}
