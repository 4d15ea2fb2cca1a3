//! Labels of HTTP connections.

use crate::label::label;

label! {
    /// The kind of an HTTP connection.
    pub(crate) ConnectionKind = "kind" {
        /// It serves requests.
        Request = "request",
        /// It may request health and metrics only.
        Reserved = "reserved",
        /// It is an open event stream.
        EventStream = "event_stream",
    }
}

label! {
    /// Which capacity was exhausted.
    pub(crate) NoPlace = "reason" {
        /// All connections are busy.
        Relay = "relay",
        /// The client has as many connections as it may.
        Client = "client",
        /// There are as many event streams as there may be, in total or for one client.
        EventStreams = "event_streams",
    }
}

label! {
    /// Why the relay closed an HTTP connection.
    pub(crate) Closing = "reason" {
        /// It was idle and another connection needed its place.
        MadeWay = "made_way",
        /// The client did not read the answer.
        Unread = "unread",
        /// No complete request arrived in time.
        Silent = "silent",
        /// It reached the maximum age of a connection.
        Old = "old",
        /// The client sent too many requests without waiting for answers.
        Pipelined = "pipelined",
        /// It did not begin with a header from a trusted proxy, as `--proxy-protocol` requires.
        ProxyHeader = "proxy_header",
    }
}

label! {
    /// How a TLS handshake went.
    pub(crate) Handshake = "outcome" {
        /// The connection serves requests.
        Completed = "completed",
        /// The client sent something else, or accepts neither the certificate nor the protocol.
        Failed = "failed",
        /// It took too long.
        TimedOut = "timed_out",
    }
}

label! {
    /// The outcome of an order for a certificate.
    pub(crate) Ordered = "result" {
        /// A certificate.
        Issued = "issued",
        /// The authority refused it, or could not validate a name.
        Refused = "refused",
        /// The authority did not answer in time.
        Unanswered = "unanswered",
        /// It was not begun, because it could not be kept in the state directory.
        NotKept = "not_kept",
    }
}
