//! Label values as enums: every label set is closed at compile time, so nothing that a peer sends can become a label,
//! and the instrument of a label value is an array element, not a lookup by text.

use std::marker::PhantomData;
use std::ops::Index;

use crate::name::Role;

/// A closed set of label values.
pub trait Label: Copy + 'static {
    /// The label's name in the exposition format.
    const NAME: &'static str;
    /// Every value, in the order of [`Label::position`].
    const ALL: &'static [Self];
    /// The value as `/metrics` shows it.
    fn as_str(self) -> &'static str;
    /// The place of the value in [`Label::ALL`].
    fn position(self) -> usize;
}

/// One instrument for each value of a label: `rtp_packets[Direction::In][Medium::Video].inc_by(7)`.
#[derive(Clone, Debug)]
pub struct Family<L, M> {
    instruments: Vec<M>,
    label: PhantomData<fn(L)>,
}

impl<L: Label, M> Family<L, M> {
    /// Makes the instrument of each label value by `make`.
    pub(super) fn new(make: impl FnMut(L) -> M) -> Self {
        Self { instruments: L::ALL.iter().copied().map(make).collect(), label: PhantomData }
    }
}

impl<L: Label, M> Index<L> for Family<L, M> {
    type Output = M;

    fn index(&self, label: L) -> &M {
        &self.instruments[label.position()]
    }
}

/// Declares a label: its documentation, its name, and its values with their texts.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident = $label:literal { $($(#[$value_doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$value_doc])* $value,)+ }

        impl Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$value,)+];

            fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }

            fn position(self) -> usize {
                self as usize
            }
        }

        impl $name {
            /// The value that `/metrics` shows as `text`, if there is one.
            pub fn named(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text)
            }
        }
    };
}

mod http;

pub use http::{Closing, ConnectionKind, NoPlace};

impl Label for Role {
    const NAME: &'static str = "role";
    const ALL: &'static [Self] = &[Self::Publisher, Self::Viewer];

    fn as_str(self) -> &'static str {
        Self::as_str(self)
    }

    fn position(self) -> usize {
        self as usize
    }
}

label! {
    /// Which way something crossed the relay's sockets.
    Direction = "direction" {
        /// To the relay.
        In = "in",
        /// From the relay.
        Out = "out",
    }
}

label! {
    /// What an RTP packet carries.
    Medium = "kind" {
        /// Sound.
        Audio = "audio",
        /// Pictures.
        Video = "video",
    }
}

label! {
    /// How far a session has come.
    SessionState = "state" {
        /// Answered by HTTP, no valid STUN seen yet.
        Waiting = "waiting",
        /// Valid STUN seen, DTLS not completed.
        Connecting = "connecting",
        /// DTLS completed.
        Connected = "connected",
    }
}

label! {
    /// A stretch of a session's way from the POST to media.
    Phase = "phase" {
        /// From the POST to its 201.
        Answer = "answer",
        /// From the 201 to the first valid STUN.
        Ice = "ice",
        /// From the first valid STUN to the completed DTLS handshake.
        Dtls = "dtls",
        /// From the completed DTLS handshake to the first RTP packet in (publisher) or out (viewer).
        FirstMedia = "first_media",
    }
}

label! {
    /// What came of a keyframe request to a publisher.
    Answer = "answer" {
        /// A keyframe within half a second.
        Obeyed = "obeyed",
        /// None.
        Ignored = "ignored",
    }
}

label! {
    /// What a viewer's event stream tells, by its name in WHEP.
    EventName = "event" {
        /// The stream has a publisher.
        Active = "active",
        /// It has none, or one that is not heard.
        Inactive = "inactive",
    }
}

label! {
    /// How a stream came to another publisher.
    Takeover = "by" {
        /// A newer publisher.
        Publisher = "publisher",
        /// The standby, because the live publisher had gone or fallen silent.
        Standby = "standby",
    }
}

label! {
    /// Why a datagram or an RTP packet went no further.
    DropReason = "reason" {
        /// Not STUN, and from an address that belongs to no session.
        UnknownPath = "unknown_path",
        /// STUN for a user name that no session has.
        UnknownUfrag = "unknown_ufrag",
        /// STUN without a valid MESSAGE-INTEGRITY.
        NotIntegrity = "not_integrity",
        /// More than a session's budget before it connected.
        Flood = "flood",
        /// DTLS that no proven path carried, or a record that the demultiplexer refuses.
        SpoofedDtls = "spoofed_dtls",
        /// DTLS that is not encrypted, after the handshake; alerts that are not, before.
        ClearDtls = "clear_dtls",
        /// Encrypted DTLS that the keys do not open, or that was seen before.
        UnauthenticDtls = "unauthentic_dtls",
        /// Neither STUN, DTLS, RTP nor RTCP (RFC 7983).
        Unrecognised = "unrecognised",
        /// RTP before the session had keys.
        NoKeys = "no_keys",
        /// Too short for an SRTP packet.
        TooShort = "too_short",
        /// Longer than an SRTP packet may be.
        TooLong = "too_long",
        /// No valid RTP header.
        NotRtp = "not_rtp",
        /// One more live SSRC than a session may send, or one more new one than it may begin within a second.
        TooManySsrcs = "too_many_ssrcs",
        /// An SRTP index that was already opened, or that is too old to tell.
        Replayed = "replayed",
        /// SRTP that the keys do not open.
        Unauthentic = "unauthentic",
        /// RTCP of a client that sends more than 256 datagrams a second.
        RtcpFlood = "rtcp_flood",
        /// RTP of a payload type or SSRC that the answer did not accept.
        Undeclared = "undeclared",
        /// Of a publisher that goes on in another codec: before that one's first keyframe, too late, or too soon after the
        /// last such change.
        CodecChange = "codec_change",
        /// Of a source (SSRC) that does not play: before its keyframe while another one plays, too late, or of the eleventh
        /// change within a second.
        OtherSource = "other_source",
        /// Redundant sound (RFC 2198) that cannot be read.
        Redundancy = "redundancy",
        /// A packet in a codec that the viewer did not accept.
        Codec = "codec",
        /// Larger than a viewer's path takes.
        Oversized = "oversized",
        /// The socket took no more before the packet was too old.
        SocketFull = "socket_full",
        /// Waited too long to be of use.
        TooOld = "too_old",
        /// Of pictures that a viewer is not sent, because it has to wait for the next keyframe.
        Skipped = "skipped",
        /// For a viewer that was paused, because it was not heard.
        Paused = "paused",
        /// Of a publisher that has been replaced.
        Replaced = "replaced",
        /// The receiving worker did not keep up.
        InboxFull = "inbox_full",
        /// A data channel message whose receiver does not keep up or has no such channel.
        ChannelFull = "channel_full",
        /// SCTP of a data channel whose checksum, verification tag or length does not hold.
        SctpMalformed = "sctp_malformed",
        /// SCTP that may not come at this point, such as another INIT.
        SctpUnexpected = "sctp_unexpected",
        /// SCTP outside of the window: a TSN too far ahead, too many gaps, or an acknowledgement of what was never sent.
        SctpWindow = "sctp_window",
        /// SCTP beyond what a session may send in a second.
        SctpRate = "sctp_rate",
        /// A viewer's data channel message, where those are not allowed or nobody publishes.
        ViewerMessage = "viewer_message",
    }
}

label! {
    /// What became of a packet that a viewer asked for again.
    Resend = "outcome" {
        /// Sent on the retransmission SSRC (RFC 4588).
        Rtx = "rtx",
        /// Sent again bit by bit on the media SSRC.
        InBand = "in_band",
        /// Not sent: asked for too often, too soon, or beyond the viewer's budget.
        Refused = "refused",
        /// No longer in the history.
        Missing = "missing",
    }
}

label! {
    /// Why a POST got no session although its offer may have been good.
    Refusal = "reason" {
        /// The relay has as many sessions as it may.
        MaxSessions = "max_sessions",
        /// The stream has as many viewers as it may.
        MaxViewers = "max_viewers",
        /// The client's address has as many sessions as it may.
        MaxSessionsPerAddress = "max_sessions_per_address",
        /// Too many sessions wait for their first packet.
        Waiting = "waiting",
        /// The relay is about to stop.
        Draining = "draining",
    }
}

label! {
    /// A limit that an operator can set.
    LimitName = "limit" {
        /// Sessions of the whole relay.
        Sessions = "max_sessions",
        /// Viewers of one stream.
        Viewers = "max_viewers",
        /// Sessions of one client address.
        SessionsPerAddress = "max_sessions_per_address",
        /// Bits per second of one publisher.
        PublisherBitrate = "max_publisher_bitrate",
    }
}

label! {
    /// Why a session ended.
    End = "reason" {
        /// DELETE on the session.
        Deleted = "deleted",
        /// DELETE within 3 s, before DTLS had completed: the client changed its mind.
        Abandoned = "abandoned",
        /// The peer closed DTLS.
        Closed = "closed",
        /// DTLS failed, before or after it connected.
        Failed = "failed",
        /// Nothing valid was heard for 30 s.
        Silent = "silent",
        /// No valid STUN check came, and the session was at least 3 s old when it ended: by DELETE, by an administrator,
        /// with the relay, or after 10 s.
        NeverConnected = "never_connected",
        /// A check came, but DTLS did not complete, and the session was at least 3 s old when it ended: by DELETE, by an
        /// administrator, with the relay, or after 10 s.
        HandshakeTimeout = "handshake_timeout",
        /// The session sent more than its budget.
        Flooded = "flooded",
        /// The client broke a rule of data channels, such as their number.
        Misused = "data_channel_misuse",
        /// An administrator ended it.
        Kicked = "kicked",
        /// Another publisher took the stream over.
        Replaced = "replaced",
        /// The publisher was gone for longer than viewers wait.
        PublisherGone = "publisher_gone",
        /// The publisher, or the one after it, sends a codec that the viewer has no payload type for.
        CodecChanged = "codec_changed",
        /// The publisher stayed above the bitrate that it may send.
        BitrateExceeded = "bitrate_exceeded",
        /// The relay shut down.
        Shutdown = "shutdown",
        /// The relay's own fault: a panic, caught.
        Panicked = "panicked",
    }
}

label! {
    /// Which part of the HTTP interface a request was for.
    Route = "route" {
        /// A WHIP endpoint.
        Whip = "whip",
        /// A WHEP endpoint.
        Whep = "whep",
        /// A session.
        Session = "session",
        /// What is under `/api`.
        Api = "api",
        /// Pages, metrics, health, and paths that do not exist.
        Other = "other",
    }
}

label! {
    /// How an HTTP request went: what was done by its class, what was refused by its status code, so that a wrong token
    /// and a relay that is full are told apart. Codes that are not listed are counted by their class.
    Status = "status" {
        /// Done.
        Success = "2xx",
        /// Elsewhere, or not modified.
        Redirection = "3xx",
        /// Cannot be understood.
        BadRequest = "400",
        /// No token, or an unknown one.
        Unauthorized = "401",
        /// A token that is good for something else.
        Forbidden = "403",
        /// No such page, endpoint or session.
        NotFound = "404",
        /// Not with this method.
        MethodNotAllowed = "405",
        /// The client does not take the type of the answer.
        NotAcceptable = "406",
        /// The body came too slowly.
        RequestTimeout = "408",
        /// Another client has what this one asks for.
        Conflict = "409",
        /// An entity tag of an older ICE session.
        PreconditionFailed = "412",
        /// The body is too large.
        PayloadTooLarge = "413",
        /// A body of another type or coding.
        UnsupportedMediaType = "415",
        /// An offer that asks for what the relay does not do.
        UnprocessableContent = "422",
        /// Without If-Match.
        PreconditionRequired = "428",
        /// Too many requests from one address or with one token.
        TooManyRequests = "429",
        /// The client's fault in another way.
        ClientError = "4xx",
        /// The relay cannot take one more, or is about to stop.
        Unavailable = "503",
        /// The relay's fault in another way.
        ServerError = "5xx",
    }
}

impl Status {
    /// The label of an HTTP status code.
    pub fn of(status: u16) -> Self {
        let exact = Self::ALL.iter().find(|label| label.as_str().parse() == Ok(status));
        exact.copied().unwrap_or(match status {
            ..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        })
    }
}
