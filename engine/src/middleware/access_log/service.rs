//! The layer: remembers the request, writes the line when the answer, or its body, is complete.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tower_layer::Layer;
use tower_service::Service;

use super::config::AccessLogPolicy;
use super::line::{Entry, Outcome};
use super::sink::{LogSink, sink};
use crate::body::{Body, BodyStream, Chunks, Span};
use crate::middleware::rejection::RejectionKind;
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// Makes [`AccessLog`] services.
pub struct AccessLogLayer {
    policy: Arc<AccessLogPolicy>,
}

impl AccessLogLayer {
    /// A layer under `policy`.
    pub fn new(policy: Arc<AccessLogPolicy>) -> Self {
        Self { policy }
    }
}

/// Logs answers.
pub struct AccessLog<S> {
    inner: S,
    policy: Arc<AccessLogPolicy>,
    sink: Arc<dyn LogSink>,
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = AccessLog<S>;

    fn layer(&self, inner: S) -> AccessLog<S> {
        AccessLog { inner, policy: Arc::clone(&self.policy), sink: sink() }
    }
}

impl<S> Service<Request> for AccessLog<S>
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
        let pending = Pending {
            entry: Entry::new(&self.policy, &request),
            sink: Arc::clone(&self.sink),
            sent: 0,
            outcome: None,
        };
        match self.inner.call(request) {
            Reply::Ready(response) => {
                pending.answered(response.expect("a reply is ready once")).into()
            }
            Reply::Pending(answer) => Reply::pending(async move {
                // Dropped before the answer came, it says so itself.
                let pending = pending.until_answered();
                pending.answered(answer.await)
            }),
        }
    }
}

/// A line that is still to be written.
struct Pending {
    entry: Entry,
    sink: Arc<dyn LogSink>,
    sent: u64,
    outcome: Option<Outcome>,
}

impl Pending {
    /// From now on, being dropped means that the client has gone (nginx's status for it is 499).
    fn until_answered(mut self) -> Self {
        self.outcome = Some(Outcome { status: 499, cut: true, ..Outcome::default() });
        self
    }

    fn answered(mut self, mut response: Response) -> Response {
        let outcome = Outcome {
            status: response.status.as_u16(),
            bytes: response.body.length().unwrap_or(0),
            rejection: response.rejection,
            principal: response.principal.clone(),
            shadowed: response.shadowed.take(),
            cut: false,
        };
        if let Body::Stream(stream) = response.body {
            self.outcome = Some(Outcome { cut: true, ..outcome });
            let length = stream.length();
            response.body = Body::chunks(Logged { stream, pending: self }, length);
        } else {
            self.outcome = None;
            self.sink.write(self.entry.line(&outcome));
        }
        response
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(mut outcome) = self.outcome.take() {
            outcome.bytes = self.sent;
            self.sink.write(self.entry.line(&outcome));
        }
    }
}

/// A body whose bytes are counted.
struct Logged {
    stream: BodyStream,
    pending: Pending,
}

impl Stream for Logged {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.stream.poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(chunk))) => self.pending.sent += chunk.len() as u64,
            Poll::Ready(None) => {
                if let Some(outcome) = self.pending.outcome.as_mut() {
                    outcome.cut = false;
                }
            }
            Poll::Ready(Some(Err(error))) if error.kind() == io::ErrorKind::TimedOut => {
                if let Some(outcome) = self.pending.outcome.as_mut() {
                    outcome.rejection = Some(RejectionKind::Timeout);
                }
            }
            _ => {}
        }
        polled
    }
}

impl Chunks for Logged {
    fn span(&self) -> Option<Span> {
        self.stream.span()
    }

    fn pass(&mut self, length: u64) {
        self.pending.sent += length;
        self.stream.pass(length);
    }
}
