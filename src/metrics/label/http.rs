//! Labels of HTTP connections.

use crate::label::label;

label! {
    /// What an HTTP connection counts as.
    ConnectionKind = "kind" {
        /// It serves requests.
        Request = "request",
        /// It may ask for health and metrics only.
        Reserved = "reserved",
        /// It is held open for events.
        EventStream = "event_stream",
    }
}

label! {
    /// What there was no place for.
    NoPlace = "reason" {
        /// All connections were busy.
        Relay = "relay",
        /// All that one client may have were.
        Client = "client",
        /// There were as many event streams as there may be, in all or of one client.
        EventStreams = "event_streams",
    }
}

label! {
    /// Why the relay closed a connection.
    Closing = "reason" {
        /// It did nothing and another needed its place.
        MadeWay = "made_way",
        /// Its client did not read the answer.
        Unread = "unread",
        /// No whole request came in time.
        Silent = "silent",
        /// It was as old as connections may get.
        Old = "old",
        /// Its client sent too many requests without waiting for answers.
        Pipelined = "pipelined",
    }
}
