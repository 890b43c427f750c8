//! A message body in either direction: empty, whole in memory, or a stream.
//!
//! A stream is polled on the I/O thread only and only as fast as its reader asks, so back-pressure
//! reaches the peer's socket by itself.

use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;

/// Chunks of a body. An error ends the message without its regular end.
///
/// What comes next may lie where the kernel can send it from by itself; who sends the body may have
/// that done instead of polling for it.
pub trait Chunks: Stream<Item = io::Result<Bytes>> {
    /// What comes next, where it lies in a file in memory.
    fn span(&self) -> Option<Span> {
        None
    }

    /// So many bytes of that span were sent.
    fn pass(&mut self, _length: u64) {}
}

/// Bytes of a file that waits for no disk and does not change (a sealed memfd).
#[derive(Debug, Clone)]
pub struct Span {
    /// The file.
    pub file: Arc<OwnedFd>,
    /// Where in it.
    pub range: Range<u64>,
}

/// The body of a request or a response.
#[derive(Default)]
pub enum Body {
    /// No body at all.
    #[default]
    Empty,
    /// A body that is complete in memory.
    Full(Bytes),
    /// A body that arrives in chunks.
    Stream(BodyStream),
}

/// Chunks and, where it is known beforehand, their total length in bytes.
pub struct BodyStream {
    source: Source,
    length: Option<u64>,
}

enum Source {
    Stream(Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>),
    Chunks(Box<dyn Chunks + Unpin>),
}

impl Body {
    /// A body that streams `chunks`; `length` in bytes where it is known.
    pub fn stream(
        chunks: impl Stream<Item = io::Result<Bytes>> + 'static,
        length: Option<u64>,
    ) -> Self {
        Self::Stream(BodyStream { source: Source::Stream(Box::pin(chunks)), length })
    }

    /// A body of `chunks` that may have spans.
    pub fn chunks(chunks: impl Chunks + Unpin + 'static, length: Option<u64>) -> Self {
        Self::Stream(BodyStream { source: Source::Chunks(Box::new(chunks)), length })
    }

    /// The length in bytes, where it is known without reading.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::Stream(stream) => stream.length,
        }
    }

    /// Whether there is certainly nothing to read.
    pub fn is_empty(&self) -> bool {
        self.length() == Some(0)
    }

    /// Reads the whole body into memory. What bounds it is the body limit layer, whose stream
    /// fails with [`io::ErrorKind::FileTooLarge`].
    pub async fn collect(self) -> io::Result<Bytes> {
        match self {
            Self::Empty => Ok(Bytes::new()),
            Self::Full(bytes) => Ok(bytes),
            Self::Stream(mut stream) => {
                let Some(first) = stream.next().await else { return Ok(Bytes::new()) };
                let first = first?;
                let mut rest: Option<BytesMut> = None;
                while let Some(chunk) = stream.next().await {
                    rest.get_or_insert_with(|| BytesMut::from(&first[..]))
                        .extend_from_slice(&chunk?);
                }
                Ok(rest.map_or(first, BytesMut::freeze))
            }
        }
    }
}

impl BodyStream {
    /// The next chunk, or `None` at the regular end.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Polls for the next chunk.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match &mut self.source {
            Source::Stream(stream) => stream.as_mut().poll_next(cx),
            Source::Chunks(chunks) => Pin::new(chunks).poll_next(cx),
        }
    }

    /// The total length in bytes, where it is known.
    pub fn length(&self) -> Option<u64> {
        self.length
    }
}

impl Chunks for BodyStream {
    fn span(&self) -> Option<Span> {
        match &self.source {
            Source::Stream(_) => None,
            Source::Chunks(chunks) => chunks.span(),
        }
    }

    fn pass(&mut self, length: u64) {
        if let Source::Chunks(chunks) = &mut self.source {
            chunks.pass(length);
        }
    }
}

impl Stream for BodyStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Self::poll_next(&mut self, cx)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(stream) => write!(f, "Stream({:?})", stream.length),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}
