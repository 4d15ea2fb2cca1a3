//! Bodies that report their progress to their connection's place.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::place::Place;
use super::places::Idle;

/// A request's body. While nothing of it arrives, its connection counts as idle and may make way.
pub(super) struct Upload {
    body: Incoming,
    place: Place,
    waits: bool,
    is_over: bool,
}

/// Bytes of a body that hyper discards if no handler reads them, so that the connection serves further requests.
const SMALL: u64 = 8 * 1024;

/// A response's body; dropping it completes the request.
pub(super) struct Answer {
    body: Body,
    place: Place,
}

impl Upload {
    pub(super) fn new(body: Incoming, place: Place) -> Self {
        Self { body, place, waits: false, is_over: false }
    }
}

impl Answer {
    pub(super) fn new(body: Body, place: Place) -> Self {
        Self { body, place }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.is_over = matches!(&frame, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream();
        // Idle since the first wait for the body: a client that sends a byte at a time counts as slow too.
        if frame.is_pending() && !self.waits {
            self.waits = true;
            self.place.idle(Idle::Unsent);
        } else if self.is_over && self.waits {
            self.waits = false;
            self.place.busy();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.waits {
            self.place.busy();
        }
        let is_small = self.body.size_hint().exact().is_some_and(|octets| octets <= SMALL);
        if !self.is_over && !self.body.is_end_stream() && !is_small {
            self.place.leave_body();
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.place.finish();
    }
}
