//! Texts that requests and answers consist of, as the document describes them: SDP, names, tags, and the words that a
//! field can have. The words come from where the relay takes them, so that the document cannot lack one.

use utoipa::openapi::{ArrayBuilder, ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::five_tuple;
use crate::http::media_types::{FRAGMENT, FRAGMENT_LIMIT, OFFER_LIMIT, SDP};
use crate::label::Label;
use crate::metrics;
use crate::name::SessionClass;
use crate::reason;
use crate::session::{Report, Stage, TrackReport};

/// Declares types that stand for a text in the document.
macro_rules! texts {
    ($($name:ident: $description:literal, |$schema:ident| $constrain:expr;)+) => {$(
        #[doc = $description]
        pub(in crate::http) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let $schema = ObjectBuilder::new().schema_type(Type::String).description(Some($description));
                $constrain.into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

texts! {
    SdpOffer: "An SDP offer.", |text| text.max_length(Some(OFFER_LIMIT));
    SdpAnswer: "An SDP answer.", |text| text.pattern(Some("^v=0"));
    SdpFragment: "Candidates, or ICE credentials for a restart (RFC 8840 9).", |text| text.max_length(Some(FRAGMENT_LIMIT));
    RestartAnswer: "The relay's new credentials and candidates.", |text| text.pattern(Some("a=ice-ufrag:"));
    Nothing: "Nothing.", |text| text.max_length(Some(0));
    Metrics: "Prometheus text format 0.0.4.", |text| text.pattern(Some("^# HELP "));
    StreamName: "A stream's name, other than `.` and `..`.", |text| text.pattern(Some("^[A-Za-z0-9_.~-]{1,64}$"));
    SessionId: "A session's id: the last part of its Location; in a cluster it begins with 8 characters for its node.",
        |text| text.pattern(Some("^[A-Za-z0-9_-]{22}([A-Za-z0-9_-]{8})?$"));
    EventStreamKey: "An event stream: the last part of its Location.", |text| text.pattern(Some("^[A-Za-z0-9_-]{22}$"));
    SessionPath: "Absolute path of the session.", |text| text.pattern(Some("^/session/[A-Za-z0-9_-]{22}([A-Za-z0-9_-]{8})?$"));
    EntityTag: "Strong tag of the ICE session, with quotes.", |text| text.pattern(Some("^\"[^\"]+\"$"));
    SdpType: "The type of offers.", |text| text.enum_values(Some([SDP]));
    FragmentType: "The type of SDP fragments.", |text| text.enum_values(Some([FRAGMENT]));
    JsonType: "The type of lists of events.", |text| text.enum_values(Some(["application/json"]));
    Standby: "0 or 1.", |text| text.enum_values(Some(["0", "1"]));
    Scope: "node or cluster.", |text| text.enum_values(Some(["node", "cluster"]));
    Event: "An event for a viewer.", |text| text.enum_values(Some(words::<metrics::EventName>()));
    Role: "What a session does; leg: it carries a stream from one relay to another.", |text| text.enum_values(Some(words::<SessionClass>()));
    State: "waiting: a new session for its first packet, a connected viewer for a publisher, a standby to take over. \
        connecting: STUN was seen, DTLS has not completed. live: media passes. paused: a viewer is sent nothing until it is \
        heard from again. ended: it has ended.", |text| text.enum_values(Some(Stage::ALL.map(Stage::as_str)));
    EndReason: "Why a session ended.", |text| text.enum_values(Some(words::<reason::EndReason>()));
    Kind: "What a track carries.", |text| text.enum_values(Some(words::<metrics::Medium>()));
    KeyframeRequests: "Whether its publisher sends keyframes on request; absent until that is known.",
        |text| text.enum_values(Some(words::<metrics::Answer>()));
    ParameterSets: "How the last keyframe of H.264 or H.265 came by its parameter sets. in-band: with it. added: the relay \
        put them there, from the offer or from earlier keyframes. missing: not at all, so that viewers cannot decode it.",
        |text| text.enum_values(Some(TrackReport::sets_sources()));
    Protocol: "How packets travel.", |text| text.enum_values(Some(five_tuple::Protocol::ALL.map(five_tuple::Protocol::as_str)));
    SrtpProfile: "An SRTP protection profile by its registered name.",
        |text| text.enum_values(Some(Report::srtp_profiles()));
}

/// The list of events that a viewer wants.
pub(in crate::http) struct EventList;

impl PartialSchema for EventList {
    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new().items(Event::schema()).min_items(Some(1)).into()
    }
}

impl ToSchema for EventList {}

/// An OpenAPI document.
pub(in crate::http) struct OpenApiDocument;

impl PartialSchema for OpenApiDocument {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Object).required("openapi").required("paths").into()
    }
}

impl ToSchema for OpenApiDocument {}

fn words<L: Label>() -> Vec<&'static str> {
    L::ALL.iter().map(|word| word.as_str()).collect()
}
