//! Timeout: an answer that has not begun in time is `504`, and its handler is cancelled.
//!
//! Below authorize and the limits, above the body limit: reading the body counts. It bounds the
//! time until the response's head; a streamed body may take longer. A handler that answers at
//! once pays nothing: the timer is made only for an answer that must be waited for.
//!
//! Option: `timeout: 15s | off`. Refusal: `timeout`. Example: `defaults: {timeout: 15s}`.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_layer::Layer;
use tower_service::Service;

use super::authorize::Permitted;
use super::rejection::{Rejection, RejectionKind};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// Makes [`Timeout`] services.
pub struct TimeoutLayer(pub Duration);

/// Bounds how long the inner service may take to answer.
pub struct Timeout<S> {
    inner: S,
    limit: Duration,
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { inner, limit: self.0 }
    }
}

impl<S> Service<Permitted<Request>> for Timeout<S>
where
    S: Service<Permitted<Request>, Response = Response, Error = Infallible, Future = Reply>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Permitted<Request>) -> Reply {
        let form = request.form;
        match self.inner.call(request) {
            Reply::Pending(answer) => {
                let limit = self.limit;
                Reply::pending(async move {
                    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
                        Rejection::new(RejectionKind::Timeout).into_response(form)
                    })
                })
            }
            ready @ Reply::Ready(_) => ready,
        }
    }
}
