//! A viewer's side of a session: from what a worker has of a stream to sealed packets. The engine calls it.

mod bandwidth;
mod channels;
mod downlink;
pub(crate) mod sender_reports;
pub(crate) mod stream_feed;
pub(crate) mod viewer;
pub(crate) mod viewer_track;
