//! The labels of the instruments, but for the reasons in [`crate::reason`], and the instruments of each of their
//! values: an array element, not a lookup by text.

use std::marker::PhantomData;
use std::ops::Index;

use crate::label::{Label, label};
use crate::name::{Role, SessionClass};

/// One instrument for each value of a label: `rtp_packets[Direction::In][Medium::Video].inc_by(7)`.
#[derive(Clone, Debug)]
pub(crate) struct Family<L, M> {
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

mod http;

pub(crate) use http::{Closing, ConnectionKind, Handshake, NoPlace, Ordered};

impl Label for SessionClass {
    const NAME: &'static str = "role";
    const ALL: &'static [Self] = &[Self::Publisher, Self::Viewer, Self::Leg];

    fn as_str(self) -> &'static str {
        match self {
            Self::Publisher => Role::Publisher.as_str(),
            Self::Viewer => Role::Viewer.as_str(),
            Self::Leg => "leg",
        }
    }

    fn position(self) -> usize {
        self as usize
    }
}

label! {
    /// Which way something crossed the relay's sockets.
    pub(crate) Direction = "direction" {
        /// To the relay.
        In = "in",
        /// From the relay.
        Out = "out",
    }
}

label! {
    /// What an RTP packet carries.
    pub Medium = "kind" {
        /// Audio.
        Audio = "audio",
        /// Video.
        Video = "video",
    }
}

label! {
    /// Which way media flows on a leg: see the module `legs`.
    pub LegDirection = "direction" {
        /// From another server.
        Pull = "pull",
        /// To another server.
        Push = "push",
    }
}

label! {
    /// What a configured leg does.
    pub(crate) LegStage = "state" {
        /// Nothing wants it.
        Idle = "idle",
        /// The other server is being asked, or the session has not connected yet.
        Connecting = "connecting",
        /// It runs.
        Connected = "connected",
        /// It has failed, and is tried again after a pause.
        Failed = "failed",
    }
}

label! {
    /// Why a leg does not run.
    pub(crate) LegFailure = "reason" {
        /// The other server cannot be reached, or does not answer.
        Unreachable = "unreachable",
        /// The other server wants another token (401, 403).
        Unauthorized = "unauthorized",
        /// The other server has no such endpoint or stream (404, 410).
        NotFound = "not_found",
        /// The other server answered another error.
        Refused = "refused",
        /// Its answer is not usable.
        Answer = "answer",
        /// Its address may not be used, or it names none.
        Address = "address",
        /// The token of the leg cannot be read.
        Token = "token",
        /// This relay takes no session.
        Here = "here",
        /// No connection for media came about.
        NotConnected = "not_connected",
        /// It ran, and its session ended.
        Lost = "lost",
    }
}

label! {
    /// Why a node of a cluster looked for a node to pull a stream from.
    pub PlacementReason = "reason" {
        /// The first viewer came.
        Viewer = "viewer",
        /// The leg to the node that it pulled from has ended.
        Parent = "parent",
        /// Another node has the publisher.
        Moved = "moved",
    }
}

label! {
    /// Legs between a node and the origin of a stream that it pulls.
    pub(crate) Hops = "hops" {
        /// It pulls from the origin.
        One = "1",
        /// One node is in between.
        Two = "2",
        /// Two nodes are in between, or, for a moment, more.
        Three = "3",
    }
}

label! {
    /// How well a node follows the directory of its cluster.
    pub DirectoryState = "state" {
        /// It has read everything, and reads its own heartbeat.
        Connected = "connected",
        /// It reads everything anew, and uses what it has read before.
        Behind = "behind",
        /// It has no connection, or requests fail.
        Unreachable = "unreachable",
    }
}

label! {
    /// Why a TCP connection for media (ICE-TCP) was closed.
    pub(crate) IceTcpClosing = "reason" {
        /// The client closed it, or the network broke it.
        Client = "client",
        /// Its session or its allocation (TURN) has ended, or the client has not used the allocation for 60 s.
        Ended = "ended",
        /// No session has proven its path in time.
        Unproven = "unproven",
        /// What arrived is neither in frames of at most 1,500 octets (RFC 4571) nor TURN.
        Malformed = "malformed",
        /// There are too many without a proven path, in total or from one client.
        Full = "full",
    }
}

label! {
    /// How far a session has come.
    pub(crate) SessionState = "state" {
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
    pub(crate) Phase = "phase" {
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
    pub(crate) Answer = "answer" {
        /// A keyframe within half a second.
        Obeyed = "obeyed",
        /// None.
        Ignored = "ignored",
    }
}

label! {
    /// Events of a viewer's event stream, by their names in WHEP.
    pub(crate) EventName = "event" {
        /// The stream has a publisher.
        Active = "active",
        /// It has none, or one that is not heard.
        Inactive = "inactive",
        /// The layers of its video.
        Layers = "layers",
        /// How many viewers it has.
        ViewerCount = "viewercount",
        /// The stream is to be had elsewhere: this node is about to stop.
        Reconnect = "reconnect",
    }
}

label! {
    /// How a probe of a viewer's network ended.
    pub(crate) Probe = "result" {
        /// The network carries what was probed.
        Passed = "passed",
        /// It does not, or not for sure.
        Failed = "failed",
    }
}

label! {
    /// The place of the encoding that a viewer is sent among those of a video.
    pub LayerPlace = "layer" {
        /// The largest.
        Largest = "largest",
        /// Neither.
        Between = "between",
        /// The smallest.
        Smallest = "smallest",
        /// No video, because the viewer's network carries no encoding.
        None = "none",
    }
}

label! {
    /// How a stream came to another publisher.
    pub(crate) Takeover = "by" {
        /// A newer publisher.
        Publisher = "publisher",
        /// The standby, because the live publisher had gone or fallen silent.
        Standby = "standby",
    }
}

label! {
    /// What became of a packet that a viewer asked for again.
    pub(crate) Resend = "outcome" {
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
    pub(crate) Refusal = "reason" {
        /// The relay has as many sessions as it may.
        MaxSessions = "max_sessions",
        /// The stream has as many viewers as it may.
        MaxViewers = "max_viewers",
        /// The client's address has as many sessions as it may.
        MaxSessionsPerAddress = "max_sessions_per_address",
        /// The stream has as many viewers with one token as the token allows.
        MaxViewersOfToken = "max_viewers_of_token",
        /// Too many sessions wait for their first packet.
        Waiting = "waiting",
        /// The relay is about to stop.
        Draining = "draining",
    }
}

label! {
    /// What became of a question to another server about access.
    pub(crate) AccessCall = "call" {
        /// The keys that sign tokens were fetched.
        KeysFetched = "keys_fetched",
        /// They were not.
        KeysFailed = "keys_failed",
        /// The webhook allowed it.
        WebhookAllowed = "webhook_allowed",
        /// The webhook refused it.
        WebhookRefused = "webhook_refused",
        /// The webhook did not decide, so the client was refused.
        WebhookFailed = "webhook_failed",
    }
}

label! {
    /// Why a request was refused its access; also the reason in the log.
    pub(crate) AccessRefusal = "reason" {
        /// It carries no token.
        NoToken = "no_token",
        /// Its token is unknown: a guess, or a typing error.
        UnknownToken = "unknown_token",
        /// The webhook refuses its token.
        RefusedToken = "refused_token",
        /// Its token has expired.
        ExpiredToken = "expired_token",
        /// An administrator has revoked its token.
        RevokedToken = "revoked_token",
        /// Its token is not valid yet.
        EarlyToken = "early_token",
        /// Its token is signed by a known key, and its claims are wrong or incomplete.
        WrongClaims = "wrong_claims",
        /// Its token allows another action or stream.
        OtherToken = "other_token",
        /// No token allows that.
        NoAdmin = "no_admin",
        /// Its token is not that of a node for this request.
        NotANode = "not_a_node",
        /// It has come from another node with a ticket that does not count.
        NoTicket = "no_ticket",
        /// The webhook did not decide.
        Undecided = "undecided",
        /// Its address has sent too many unknown tokens.
        SlowedDown = "slowed_down",
        /// A page of another origin, or a foreign host.
        NotAllowed = "not_allowed",
    }
}

label! {
    /// A limit that an operator can set.
    pub(crate) LimitName = "limit" {
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
    /// Which part of the HTTP interface a request was for.
    pub(crate) Route = "route" {
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
    /// and a full relay are counted apart. Codes that are not listed are counted by their class.
    pub(crate) Status = "status" {
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
    pub(crate) fn of(status: u16) -> Self {
        let exact = Self::ALL.iter().find(|label| label.as_str().parse() == Ok(status));
        exact.copied().unwrap_or(match status {
            ..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        })
    }
}
