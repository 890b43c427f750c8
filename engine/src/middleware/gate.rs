//! The gate: answers what was decided before the chain began (no route, wrong method, bad path,
//! wrong host, `OPTIONS` without a handler, another scheme, host or path to ask).
//!
//! It stands below the access log, the security headers and CORS, so that these answers are
//! logged and dressed like every other, and above everything that costs or counts.

use std::convert::Infallible;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::rejection::Rejection;
use crate::answer::redirect;
use crate::http::{HeaderValue, StatusCode, header};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// An answer that needs no handler.
#[derive(Debug)]
pub enum Gate {
    /// The request is refused.
    Refuse(Rejection),
    /// `204 No Content` with `Allow`, for an `OPTIONS` that no handler answers (RFC 9110, 9.3.7).
    Options(HeaderValue),
    /// The client is sent to this location, with this status.
    Redirect(StatusCode, HeaderValue),
}

/// Makes [`Gated`] services.
pub struct GateLayer;

/// Answers gated requests; passes the others on.
pub struct Gated<S>(S);

impl<S> Layer<S> for GateLayer {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated(inner)
    }
}

impl<S> Service<Request> for Gated<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future = Reply>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Reply {
        match request.gate.take() {
            None => self.0.call(request),
            Some(Gate::Refuse(rejection)) => rejection.into_response(request.form).into(),
            Some(Gate::Redirect(status, location)) => redirect::to(status, location).into(),
            Some(Gate::Options(allow)) => {
                let mut response = Response::new(StatusCode::NO_CONTENT);
                response.headers.append(header::ALLOW, allow);
                response.into()
            }
        }
    }
}
