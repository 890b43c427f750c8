//! Catch panic: a panic below becomes a `500` for its request alone.
//!
//! Twice in the chain: below CORS and the security headers, so that the `500` is dressed like every
//! other answer, and outside them, so that they cannot take a worker down either; inside the access
//! log, so that it is logged. Rate limits catch what panics below them too ([`caught`]): whoever was
//! counted is told so. The panic itself goes to stderr by the process's panic hook.
//!
//! Refusal: `internal`.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::rejection::{Form, Rejection, RejectionKind};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// Makes [`CatchPanic`] services.
pub struct CatchPanicLayer;

/// Turns a panic of the inner service into a `500`.
pub struct CatchPanic<S>(S);

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic(inner)
    }
}

impl<S> Service<Request> for CatchPanic<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future = Reply>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Reply {
        caught(request.form, || self.0.call(request))
    }
}

/// What `call` replies; where it panics, now or while it is waited for, a `500` in `form`.
pub fn caught(form: Form, call: impl FnOnce() -> Reply) -> Reply {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Reply::Pending(mut answer)) => Reply::pending(poll_fn(move |cx| {
            catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx)))
                .unwrap_or_else(|_| Poll::Ready(internal(form)))
        })),
        Ok(ready) => ready,
        Err(_) => internal(form).into(),
    }
}

fn internal(form: Form) -> Response {
    Rejection::new(RejectionKind::Internal).into_response(form)
}
