//! The end of the chain: whatever answers a permitted request.

use std::convert::Infallible;
use std::rc::Rc;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::middleware::authorize::Permitted;
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// Answers a request that was matched and permitted. There is no other way out of the chain:
/// only the authorize layer can make a [`Permitted`].
pub trait Handler {
    /// Answers `request`. Runs on the I/O thread and must not block it.
    fn call(&self, request: Permitted<Request>) -> Reply;
}

/// A [`Handler`] as the innermost service of a chain.
pub struct HandlerService(pub Rc<dyn Handler>);

impl Service<Permitted<Request>> for HandlerService {
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Permitted<Request>) -> Reply {
        self.0.call(request)
    }
}
