//! The bytes of an answer: a file, a part of it, or several parts with their heads.
//!
//! What is read from a disk is read in chunks off the I/O thread, one ahead of the client: a client
//! that does not read has one chunk waiting for it, and no thread.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use rustix::buffer::spare_capacity;
use tokio::sync::oneshot;

use super::found::Content;
use super::pool::Pool;
use crate::body::{Body, Chunks, Span};

/// So much is read, or handed to the connection, at once.
pub const CHUNK: u64 = 64 * 1024;

/// A piece of a body.
#[derive(Debug)]
pub enum Piece {
    /// The head of a part.
    Text(Bytes),
    /// Bytes of the file.
    Part(Range<u64>),
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Part(part) => part.end - part.start,
        }
    }
}

/// A body of `pieces` of `content`.
pub fn of(content: &Content, pieces: Vec<Piece>, pool: &Pool) -> Body {
    let length = pieces.iter().map(Piece::length).sum();
    match (content, &*pieces) {
        (Content::Memory(bytes), [Piece::Part(part)]) => slice(bytes, part).into(),
        (Content::Memory(bytes), _) => joined(bytes, &pieces).into(),
        (Content::Copy(file), _) => {
            Body::chunks(Copied { file: Arc::clone(file), pieces: pieces.into() }, Some(length))
        }
        (Content::Disk(file), _) => Body::stream(
            Reading {
                file: Arc::clone(file),
                pool: pool.clone(),
                pieces: pieces.into(),
                ahead: None,
            },
            Some(length),
        ),
    }
}

fn slice(bytes: &Bytes, part: &Range<u64>) -> Bytes {
    let at = |offset| usize::try_from(offset).expect("what is in memory has small offsets");
    bytes.slice(at(part.start)..at(part.end))
}

/// Pieces of a small file, which together are not much more than the file.
fn joined(bytes: &Bytes, pieces: &[Piece]) -> Bytes {
    let mut whole = BytesMut::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => whole.extend_from_slice(text),
            Piece::Part(part) => whole.extend_from_slice(&slice(bytes, part)),
        }
    }
    whole.freeze()
}

/// Takes the next piece off: a text whole, of a part a chunk.
fn next(pieces: &mut VecDeque<Piece>) -> Option<Piece> {
    match pieces.front_mut()? {
        Piece::Part(part) if part.end - part.start > CHUNK => {
            let start = part.start;
            part.start += CHUNK;
            Some(Piece::Part(start..part.start))
        }
        _ => pieces.pop_front(),
    }
}

/// Pieces of a copy in memory, which the kernel sends without anybody reading them, or which are
/// read a chunk at a time.
struct Copied {
    file: Arc<OwnedFd>,
    pieces: VecDeque<Piece>,
}

impl Stream for Copied {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        Poll::Ready(next(&mut this.pieces).map(|piece| match piece {
            Piece::Text(text) => Ok(text),
            Piece::Part(part) => read(&this.file, &part),
        }))
    }
}

impl Chunks for Copied {
    fn span(&self) -> Option<Span> {
        let Piece::Part(part) = self.pieces.front()? else { return None };
        Some(Span { file: Arc::clone(&self.file), range: part.clone() })
    }

    fn pass(&mut self, length: u64) {
        if let Some(Piece::Part(part)) = self.pieces.front_mut() {
            part.start += length;
            if part.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}

/// Pieces of a file that is read as they are sent.
struct Reading {
    file: Arc<File>,
    pool: Pool,
    pieces: VecDeque<Piece>,
    ahead: Option<oneshot::Receiver<io::Result<Bytes>>>,
}

impl Reading {
    /// Begins to read the next chunk, where a part comes next.
    fn begin(&mut self) -> io::Result<()> {
        if let Some(Piece::Part(_)) = self.pieces.front()
            && let Some(Piece::Part(part)) = next(&mut self.pieces)
        {
            let file = Arc::clone(&self.file);
            let ahead = self.pool.go_on(move || read(&*file, &part));
            self.ahead = Some(ahead.ok_or(io::ErrorKind::OutOfMemory)?);
        }
        Ok(())
    }
}

impl Stream for Reading {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.ahead.is_none() {
            if let Some(Piece::Text(text)) = this.pieces.front_mut() {
                let text = std::mem::take(text);
                this.pieces.pop_front();
                return Poll::Ready(Some(Ok(text)));
            }
            this.begin()?;
        }
        let Some(ahead) = this.ahead.as_mut() else { return Poll::Ready(None) };
        let chunk = ready!(Pin::new(ahead).poll(cx)).unwrap_or_else(|gone| {
            // The thread that read panicked.
            Err(io::Error::other(gone))
        });
        this.ahead = None;
        if chunk.is_ok() {
            this.begin()?;
        }
        Poll::Ready(Some(chunk))
    }
}

/// Reads `part`, or fails: an answer whose file got shorter is cut off, not filled up.
fn read(file: impl AsFd, part: &Range<u64>) -> io::Result<Bytes> {
    let size = usize::try_from(part.end - part.start).map_err(io::Error::other)?;
    let mut chunk = Vec::with_capacity(size);
    let mut at = part.start;
    while chunk.len() < size {
        let read = match rustix::io::pread(&file, spare_capacity(&mut chunk), at) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += read as u64;
    }
    chunk.truncate(size);
    Ok(chunk.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn collect(body: Body) -> io::Result<Bytes> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(body.collect())
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// The same bytes wherever they may be.
    fn everywhere(bytes: &[u8]) -> [Content; 3] {
        [
            Content::Memory(bytes.to_vec().into()),
            Content::Copy(Arc::new(file(bytes).into())),
            Content::Disk(Arc::new(file(bytes))),
        ]
    }

    /// What a connection sends: spans where there are some, `at_once` bytes at a time, else chunks.
    fn send(body: Body, at_once: u64) -> Vec<u8> {
        let Body::Stream(mut stream) = body else { panic!("{body:?}") };
        let mut sent = Vec::new();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        loop {
            if let Some(Span { file, range }) = stream.span() {
                let part = range.start..range.end.min(range.start + at_once);
                sent.extend_from_slice(&read(&*file, &part).unwrap());
                stream.pass(part.end - part.start);
            } else {
                match stream.poll_next(&mut cx) {
                    Poll::Ready(Some(chunk)) => sent.extend_from_slice(&chunk.unwrap()),
                    Poll::Ready(None) => return sent,
                    Poll::Pending => panic!("a copy waits for nothing"),
                }
            }
        }
    }

    #[test]
    fn pieces_of_any_size_wherever_they_are() {
        let bytes: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
        let table: [&[(usize, usize)]; 5] = [
            &[(0, 300_000)],
            &[(1, 2)],
            &[(0, 65_536)],
            &[(0, 65_537)],
            &[(131_071, 300_000), (5, 6), (70_000, 200_000)],
        ];
        for parts in table {
            let mut expected = Vec::new();
            let mut pieces = Vec::new();
            for (start, end) in parts {
                expected.extend_from_slice(b"head");
                expected.extend_from_slice(&bytes[*start..*end]);
                pieces.push((Bytes::from_static(b"head"), *start as u64..*end as u64));
            }
            let pieces = || {
                let both = |(text, part): &(Bytes, Range<u64>)| {
                    [Piece::Text(text.clone()), Piece::Part(part.clone())]
                };
                pieces.iter().flat_map(both).collect()
            };
            for content in everywhere(&bytes) {
                let body = of(&content, pieces(), &Pool::default());
                assert_eq!(body.length(), Some(expected.len() as u64));
                assert!(collect(body).unwrap() == expected);
            }
            let [_, copy, _] = everywhere(&bytes);
            for at_once in [1 << 30, 70_001] {
                assert!(send(of(&copy, pieces(), &Pool::default()), at_once) == expected);
            }
        }
    }

    #[test]
    fn a_file_that_got_shorter_cuts_its_answer_off() {
        let [.., content] = everywhere(&vec![7; 100_000]);
        let body = of(&content, vec![Piece::Part(0..100_000)], &Pool::default());
        let Content::Disk(file) = &content else { unreachable!("the last one is") };
        file.set_len(70_000).unwrap();
        assert_eq!(collect(body).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
