//! Buffer body: reads the body of a request whose handler wants it whole.
//!
//! Below the body limit, which bounds it, and above the bulkhead: a client that sends slowly holds
//! no place with Python.
//!
//! Refusals: `body_too_large`, `bad_body` for one that breaks off or is framed badly,
//! `request_timeout` for one that comes too slowly, `headers_too_large` for its trailers.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::authorize::Permitted;
use super::rejection::{Rejection, RejectionKind};
use crate::body::Body;
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// Makes [`BufferBody`] services.
pub struct BufferBodyLayer;

/// Hands a request on once its body is in memory.
pub struct BufferBody<S>(Rc<RefCell<S>>);

impl<S> Layer<S> for BufferBodyLayer {
    type Service = BufferBody<S>;

    fn layer(&self, inner: S) -> BufferBody<S> {
        BufferBody(Rc::new(RefCell::new(inner)))
    }
}

impl<S> Service<Permitted<Request>> for BufferBody<S>
where
    S: Service<Permitted<Request>, Response = Response, Error = Infallible, Future = Reply>
        + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.borrow_mut().poll_ready(cx)
    }

    fn call(&mut self, mut request: Permitted<Request>) -> Reply {
        if !matches!(request.body, Body::Stream(_)) {
            return self.0.borrow_mut().call(request);
        }
        let inner = Rc::clone(&self.0);
        Reply::pending(async move {
            match std::mem::take(&mut request.body).collect().await {
                Ok(bytes) => request.body = bytes.into(),
                Err(error) => return unreadable(&error).into_response(request.form),
            }
            let reply = inner.borrow_mut().call(request);
            let Ok(response) = reply.await;
            response
        })
    }
}

fn unreadable(error: &io::Error) -> Rejection {
    Rejection::new(match error.kind() {
        io::ErrorKind::FileTooLarge => RejectionKind::BodyTooLarge,
        // What the listener found wrong, or a client that has gone.
        _ => error
            .get_ref()
            .and_then(|reason| reason.downcast_ref::<RejectionKind>())
            .copied()
            .unwrap_or(RejectionKind::BadBody),
    })
}
