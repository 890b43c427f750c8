//! Body limit: a request body longer than the route admits is `413`.
//!
//! Twice in the chain: a `Content-Length` beyond the limit is refused before authentication, and
//! below authorize a body without a length is cut off at the limit while it is read.
//!
//! Option: `body_limit: 2MiB | off` (2 MiB where nothing is said). Refusal: `body_too_large`.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tower_layer::Layer;
use tower_service::Service;

use super::authorize::Permitted;
use super::rejection::{Rejection, RejectionKind};
use crate::body::{Body, BodyStream};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// Makes [`BodyLength`] services; the limit is in bytes.
pub struct BodyLengthLayer(pub u64);

/// Refuses a body whose announced length is beyond the limit.
pub struct BodyLength<S> {
    inner: S,
    limit: u64,
}

/// Makes [`BodyLimit`] services; the limit is in bytes.
pub struct BodyLimitLayer(pub u64);

/// Cuts a body of unknown length off at the limit.
pub struct BodyLimit<S> {
    inner: S,
    limit: u64,
}

impl<S> Layer<S> for BodyLengthLayer {
    type Service = BodyLength<S>;

    fn layer(&self, inner: S) -> BodyLength<S> {
        BodyLength { inner, limit: self.0 }
    }
}

impl<S> Layer<S> for BodyLimitLayer {
    type Service = BodyLimit<S>;

    fn layer(&self, inner: S) -> BodyLimit<S> {
        BodyLimit { inner, limit: self.0 }
    }
}

impl<S> Service<Request> for BodyLength<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future = Reply>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Reply {
        if request.body.length().is_some_and(|length| length > self.limit) {
            return Rejection::new(RejectionKind::BodyTooLarge).into_response(request.form).into();
        }
        self.inner.call(request)
    }
}

impl<S> Service<Permitted<Request>> for BodyLimit<S>
where
    S: Service<Permitted<Request>, Response = Response, Error = Infallible, Future = Reply>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Permitted<Request>) -> Reply {
        request.body = match std::mem::take(&mut request.body) {
            Body::Stream(stream) => {
                let length = stream.length();
                Body::stream(Limited { stream: Some(stream), left: self.limit }, length)
            }
            whole => whole,
        };
        self.inner.call(request)
    }
}

/// A stream that fails with [`io::ErrorKind::FileTooLarge`] past its limit and then ends.
struct Limited {
    stream: Option<BodyStream>,
    left: u64,
}

impl Stream for Limited {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stream) = self.stream.as_mut() else { return Poll::Ready(None) };
        let polled = BodyStream::poll_next(stream, cx);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            match self.left.checked_sub(chunk.len() as u64) {
                Some(left) => self.left = left,
                None => {
                    self.stream = None;
                    return Poll::Ready(Some(Err(io::ErrorKind::FileTooLarge.into())));
                }
            }
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    struct Chunks(VecDeque<Bytes>);

    impl Stream for Chunks {
        type Item = io::Result<Bytes>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
    }

    #[test]
    fn nothing_follows_what_was_too_much() {
        let chunks = ["12", "345", "6"].map(|chunk| Bytes::from_static(chunk.as_bytes()));
        let Body::Stream(stream) = Body::stream(Chunks(chunks.into()), None) else {
            unreachable!("it was made of a stream")
        };
        let mut limited = Limited { stream: Some(stream), left: 3 };
        let mut next = || {
            let polled = Pin::new(&mut limited).poll_next(&mut Context::from_waker(Waker::noop()));
            match polled {
                Poll::Ready(item) => item.map(|chunk| chunk.map_err(|error| error.kind())),
                Poll::Pending => unreachable!("the chunks are there"),
            }
        };
        assert_eq!(next(), Some(Ok(Bytes::from_static(b"12"))));
        assert_eq!(next(), Some(Err(io::ErrorKind::FileTooLarge)));
        assert_eq!(next(), None);
    }
}
