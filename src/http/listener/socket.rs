//! A connection's socket, which notices whether its client reads. A slow reader is served; a client that reads nothing
//! within the deadline is disconnected.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::first_octet;
use super::place::Place;
use super::places::Idle;

/// Bytes of unread answers that the kernel keeps. Small, so that a slow reader's progress is noticed early and clients
/// that do not read cost little; large enough for a page.
const SEND_BUFFER: usize = 64 * 1024;

/// The same for media: what is under way on a path of 8 Mbit/s and 500 ms.
const MEDIA_BUFFER: usize = 512 * 1024;

pub(super) struct Socket {
    stream: TcpStream,
    place: Place,
    is_proxy: bool,
    deadline: Duration,
    /// Runs while the client does not read.
    unread: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, place: Place, is_proxy: bool, deadline: Duration) -> Self {
        // Answers are small and complete; waiting to fill a segment only delays a join. Neither option is needed.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
        Self { stream, place, is_proxy, deadline, unread: None }
    }

    /// The connection, which goes on elsewhere and carries media from now on.
    ///
    /// # Errors
    /// If the process has no further file.
    pub(super) fn leave(self) -> io::Result<std::net::TcpStream> {
        let socket = SockRef::from(&self.stream).try_clone()?;
        // Media needs a larger buffer than answers do. A kernel that refuses it has the smaller one.
        let _ = socket.set_send_buffer_size(MEDIA_BUFFER);
        Ok(socket.into())
    }

    /// The first octet that the client sends; it is not consumed.
    ///
    /// # Errors
    /// If the connection fails or ends before.
    pub(super) async fn first_octet(&self) -> io::Result<u8> {
        first_octet::peek(&self.stream).await
    }

    /// Writes a short last answer to a client that was answered nothing before, and closes. The answer fits the kernel's
    /// buffer, or the client is gone.
    pub(super) fn answer_once(self, answer: &[u8]) {
        // The kernel resets a connection that is closed with something unread, and the client could miss the answer.
        let _ = self.stream.try_read(&mut [0; 4096]);
        let _ = self.stream.try_write(answer);
    }

    fn written(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            if self.unread.take().is_some() {
                self.place.busy();
            }
            return Poll::Ready(written);
        }
        let timer = match &mut self.unread {
            Some(timer) => timer,
            none => {
                self.place.idle(Idle::Unread);
                none.insert(Box::pin(tokio::time::sleep_until(Instant::now() + self.deadline)))
            }
        };
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() {
            self.place.pause();
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.place.flushed(self.is_proxy);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.unread.is_some() {
            // The kernel would keep what the client does not read, and go on sending it.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}
