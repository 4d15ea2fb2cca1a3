//! Why packets are dropped, why sessions end and why viewers are sent another layer: one vocabulary for the core, the
//! logs, the API and the metrics.

use crate::label::label;

label! {
    /// Why a viewer is sent another layer of the same video, another temporal id of it, or no video.
    pub SwitchReason = "reason" {
        /// The relay's first choice; where the network is not measured, the largest layer that is sent.
        Chosen = "chosen",
        /// The network has been shown to carry more.
        Room = "room",
        /// A queue stood in the network.
        Queue = "queue",
        /// Packets were lost.
        Loss = "loss",
        /// Feedback of the viewer stopped.
        Silence = "silence",
        /// The viewer's own estimate (REMB) fell.
        Remb = "remb",
        /// The path changed, or the viewer was away.
        Path = "path",
        /// The viewer's selection changed what it may have.
        Selected = "selected",
        /// The publisher stopped or resumed a layer, or has other layers.
        Inactive = "inactive",
        /// A stream of one layer does not fit: what queued is skipped, up to the next keyframe.
        Skip = "skip",
    }
}

label! {
    /// Why a datagram, a packet or a message was dropped.
    pub DropReason = "reason" {
        /// From an address that no session has checked, DTLS from one on which a connected session has not proven that
        /// it receives, STUN that answers no check of the relay, or for a session that has ended.
        UnknownPath = "unknown_path",
        /// STUN with the user name of no session.
        UnknownUfrag = "unknown_ufrag",
        /// STUN that is malformed or has no valid MESSAGE-INTEGRITY.
        NotIntegrity = "not_integrity",
        /// STUN without credentials beyond what its network is answered (`--stun`).
        StunLimit = "stun_limit",
        /// DTLS beyond the budget of a session's handshake.
        Flood = "flood",
        /// DTLS that is malformed, or that no client sends.
        SpoofedDtls = "spoofed_dtls",
        /// DTLS in clear that anybody could have written: an alert, or any record after the handshake.
        ClearDtls = "clear_dtls",
        /// Encrypted DTLS that the keys do not open, or that was received before.
        UnauthenticDtls = "unauthentic_dtls",
        /// Neither STUN, DTLS, RTP nor RTCP (RFC 7983).
        Unrecognised = "unrecognised",
        /// RTP or RTCP before the session had keys.
        NoKeys = "no_keys",
        /// Too short for an SRTP or SRTCP packet.
        TooShort = "too_short",
        /// Longer than an SRTP packet may be.
        TooLong = "too_long",
        /// No valid RTP header, or padding that does not fit the packet.
        NotRtp = "not_rtp",
        /// More live SSRCs than a session may send, or more new ones than it may begin within a second.
        TooManySsrcs = "too_many_ssrcs",
        /// An SRTP or SRTCP index that was received before, or that is too old to tell.
        Replayed = "replayed",
        /// SRTP or SRTCP that the keys do not open.
        Unauthentic = "unauthentic",
        /// RTCP of a client beyond 256 datagrams a second.
        RtcpFlood = "rtcp_flood",
        /// RTP of a payload type or SSRC that the answer did not accept.
        Undeclared = "undeclared",
        /// In another codec than the publisher sent before: it precedes the first keyframe in that codec, is late, or
        /// comes too soon after the last change of codec.
        CodecChange = "codec_change",
        /// From another SSRC than the one that is forwarded: it precedes a keyframe, is late, or belongs to the
        /// eleventh change within a second.
        OtherSource = "other_source",
        /// Of one of several simulcast encodings, and neither a rid nor the offer says of which.
        UnknownLayer = "unknown_layer",
        /// Redundant audio (RFC 2198) that cannot be read.
        Redundancy = "redundancy",
        /// In a codec that the viewer did not accept.
        Codec = "codec",
        /// Larger than the path to a viewer takes.
        Oversized = "oversized",
        /// The socket accepted no more data until the packet was too old.
        SocketFull = "socket_full",
        /// Waited too long for its viewer to be of use.
        TooOld = "too_old",
        /// Part of frames that a viewer is not sent because it waits for the next keyframe.
        Skipped = "skipped",
        /// For a viewer that is paused because nothing was received from it.
        Paused = "paused",
        /// From a publisher that has been replaced.
        Replaced = "replaced",
        /// The inbox of the receiving worker was full.
        InboxFull = "inbox_full",
        /// A data channel message whose receiver does not keep up or does not have the channel.
        ChannelFull = "channel_full",
        /// SCTP whose checksum, verification tag or a length is wrong.
        SctpMalformed = "sctp_malformed",
        /// SCTP that is not allowed in the association's state, such as another INIT.
        SctpUnexpected = "sctp_unexpected",
        /// SCTP outside of the window: a TSN too far ahead, too many gaps, or an acknowledgement of data that was never
        /// sent.
        SctpWindow = "sctp_window",
        /// SCTP beyond what a session may send in a second.
        SctpRate = "sctp_rate",
        /// A viewer's data channel message when viewers may not send any, or the stream has no publisher.
        ViewerMessage = "viewer_message",
    }
}

label! {
    /// Why a session ended.
    pub EndReason = "reason" {
        /// DELETE on the session.
        Deleted = "deleted",
        /// DELETE within 3 s, before DTLS completed: the client changed its mind.
        Abandoned = "abandoned",
        /// The peer closed DTLS.
        Closed = "closed",
        /// An alert or a wrong certificate ended DTLS, before or after it connected.
        Failed = "failed",
        /// Nothing valid was received for 30 s.
        Silent = "silent",
        /// Nothing valid was received from the other relay of a leg for 600 ms.
        LegSilent = "leg_silent",
        /// No valid STUN check was received, and the session was at least 3 s old when it ended: by DELETE, by an
        /// administrator, with the relay, or after 10 s.
        NeverConnected = "never_connected",
        /// A check was received, but DTLS did not complete, and the session was at least 3 s old when it ended: by
        /// DELETE, by an administrator, with the relay, after 7 repetitions of a DTLS flight (8 s), or after 10 s.
        HandshakeTimeout = "handshake_timeout",
        /// The session sent more than its budget.
        Flooded = "flooded",
        /// The client broke a rule of data channels, such as their number.
        Misused = "data_channel_misuse",
        /// An administrator ended it.
        Kicked = "kicked",
        /// Its token has expired or is not in the token file any more, and sessions end with their token.
        TokenExpired = "token_expired",
        /// An administrator has revoked its token, or the webhook does not allow it any more.
        TokenRevoked = "token_revoked",
        /// Another publisher took the stream over.
        Replaced = "replaced",
        /// The publisher was gone for longer than viewers wait for one.
        PublisherGone = "publisher_gone",
        /// The publisher, or its successor, sends a codec that the viewer has no payload type for.
        CodecChanged = "codec_changed",
        /// The publisher stayed above the bitrate limit.
        BitrateExceeded = "bitrate_exceeded",
        /// The relay shut down.
        Shutdown = "shutdown",
        /// A panic in the relay, which was caught.
        Panicked = "panicked",
    }
}
