//! The one future that every layer of the chain returns.
//!
//! Most answers are there when the call returns: refusals, and handlers that finish without
//! waiting. [`Reply::Ready`] carries those through the whole chain without a single allocation;
//! only an answer that must wait is boxed, once for each layer that wants to see it.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::request::Request;
use crate::response::Response;

/// An answer: there already, or to be waited for on the I/O thread.
pub enum Reply {
    /// The answer is there.
    Ready(Option<Response>),
    /// The answer will come.
    Pending(Pin<Box<dyn Future<Output = Response>>>),
}

/// A boxed service from `R` to a [`Reply`]: what the chain is made of.
pub type BoxService<R = Request> =
    Box<dyn Service<R, Response = Response, Error = Infallible, Future = Reply>>;

impl Reply {
    /// An answer that is there.
    pub fn ready(response: Response) -> Self {
        Self::Ready(Some(response))
    }

    /// An answer to be waited for.
    pub fn pending(answer: impl Future<Output = Response> + 'static) -> Self {
        Self::Pending(Box::pin(answer))
    }

    /// Changes the answer: at once where it is there, else when it comes.
    #[must_use]
    pub fn map(self, change: impl FnOnce(Response) -> Response + 'static) -> Self {
        match self {
            Self::Ready(response) => {
                Self::ready(change(response.expect("a reply is mapped before it is polled")))
            }
            Self::Pending(answer) => Self::pending(async move { change(answer.await) }),
        }
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::ready(response)
    }
}

impl Future for Reply {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Ready(response) => {
                Poll::Ready(Ok(response.take().expect("a reply is not polled after its end")))
            }
            Self::Pending(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Ready(_)) { "Ready" } else { "Pending" })
    }
}
