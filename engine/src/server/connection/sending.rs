//! What the connection sends by itself, past actix-http, and how long it waits for who takes nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::sendfile;
use rustix::net::{SendFlags, send};
use tokio::io::{AsyncWrite, Interest};
use tokio::time::Instant;

use super::Connection;

/// So much of a file is sent before others have a turn.
const SENT_AT_ONCE: u64 = 1 << 20;

impl Connection {
    /// The client takes nothing more for now: waits, or fails where it has for too long.
    pub(super) fn block<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let since = *self.blocked.get_or_insert_with(Instant::now);
        if self.timer.passed(since + self.limits.write_idle, cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    /// Writes `bytes`; in front of a span they wait for it, as a head in a packet of its own halves
    /// the throughput of what follows.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.link.is_sending() {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let send = || Ok(send(&self.stream, bytes, flags)?);
            match self.stream.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return Poll::Ready(written),
            }
        }
    }

    /// Has the kernel send what the answer asked for (see [`Span`](crate::body::Span)).
    pub(super) fn send_span(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(span) = self.link.unsent() else { return Poll::Ready(Ok(())) };
        let mut offset = span.range.start;
        let end = span.range.end.min(offset + SENT_AT_ONCE);
        while offset < end {
            if self.stream.poll_write_ready(cx)?.is_pending() {
                return self.block(cx);
            }
            let length = usize::try_from(end - offset).unwrap_or(usize::MAX);
            let send = || Ok(sendfile(&self.stream, &span.file, Some(&mut offset), length)?);
            match self.stream.try_io(Interest::WRITABLE, send) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(sent) => {
                    self.progress();
                    self.link.sent(sent as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // What comes next is the answer's to say, or others' turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
