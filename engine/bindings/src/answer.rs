//! What a handler answered, on its way from a Python thread to the I/O thread.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use pybolt_engine::body::Body;
use pybolt_engine::http::{Headers, StatusCode};
use pybolt_engine::middleware::bulkhead::BulkheadPermit;
use pybolt_engine::response::Response;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncReadExt;

use crate::stream::Outlet;

/// A handler's answer; it may cross threads.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: Headers,
    /// The body.
    pub body: AnswerBody,
    /// The request's place with Python; a stream keeps it until it has been produced.
    pub place: Option<BulkheadPermit>,
}

/// The body of an [`Answer`].
pub enum AnswerBody {
    /// Whole in memory.
    Full(Bytes),
    /// Produced chunk by chunk by Python.
    Stream(Outlet),
    /// A file, read by Rust off the I/O thread.
    File(PathBuf),
}

impl Answer {
    /// An answer of a request without a bulkhead.
    pub fn new(status: StatusCode, headers: Headers, body: AnswerBody) -> Self {
        Self { status, headers, body, place: None }
    }

    /// The response, where building it needs no waiting.
    pub fn into_response(self) -> Result<Response, (Response, PathBuf)> {
        let mut response = Response::new(self.status);
        response.headers = self.headers;
        match self.body {
            AnswerBody::Full(bytes) => response.body = bytes.into(),
            AnswerBody::Stream(outlet) => {
                let length = outlet.length();
                outlet.keep(self.place);
                response.body = Body::stream(outlet, length);
            }
            AnswerBody::File(path) => return Err((response, path)),
        }
        Ok(response)
    }
}

/// Opens `path` and makes it the body of `response`.
///
/// # Errors
/// When the file cannot be opened or is not a regular file.
pub async fn file_response(mut response: Response, path: &Path) -> io::Result<Response> {
    // Opening a FIFO waits for its writer, and so would the worker's end.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).await?;
    let metadata = file.metadata().await?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    response.body = Body::stream(FileChunks::new(file, metadata.len()), Some(metadata.len()));
    Ok(response)
}

const CHUNK: usize = 64 * 1024;

type Read = Pin<Box<dyn Future<Output = (File, io::Result<Bytes>)>>>;

/// A file as a stream of chunks; never more than `left` bytes, so that the announced length holds
/// when the file grows meanwhile.
struct FileChunks {
    read: Option<Read>,
    left: u64,
}

impl FileChunks {
    fn new(file: File, length: u64) -> Self {
        Self { read: Some(Box::pin(read_chunk(file, length))), left: length }
    }
}

async fn read_chunk(mut file: File, left: u64) -> (File, io::Result<Bytes>) {
    let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
    let mut chunk = vec![0; size];
    let read = file.read(&mut chunk).await.map(|read| {
        chunk.truncate(read);
        Bytes::from(chunk)
    });
    (file, read)
}

impl Stream for FileChunks {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let Some(read) = self.read.as_mut() else { return Poll::Ready(None) };
        let Poll::Ready((file, chunk)) = read.as_mut().poll(cx) else { return Poll::Pending };
        self.read = None;
        match chunk {
            Ok(chunk) if chunk.is_empty() => {
                Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())))
            }
            Ok(chunk) => {
                self.left -= chunk.len() as u64;
                let left = self.left;
                self.read = Some(Box::pin(read_chunk(file, left)));
                Poll::Ready(Some(Ok(chunk)))
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}
