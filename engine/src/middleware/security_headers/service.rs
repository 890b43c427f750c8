//! The layer: adds what the policy says to what a handler said itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::config::SecurityHeadersPolicy;
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// Makes [`SecurityHeaders`] services.
pub struct SecurityHeadersLayer {
    policy: Arc<SecurityHeadersPolicy>,
}

impl SecurityHeadersLayer {
    /// A layer under `policy`.
    pub fn new(policy: Arc<SecurityHeadersPolicy>) -> Self {
        Self { policy }
    }
}

/// Adds security headers to answers.
pub struct SecurityHeaders<S> {
    inner: S,
    policy: Arc<SecurityHeadersPolicy>,
}

impl<S> Layer<S> for SecurityHeadersLayer {
    type Service = SecurityHeaders<S>;

    fn layer(&self, inner: S) -> SecurityHeaders<S> {
        SecurityHeaders { inner, policy: Arc::clone(&self.policy) }
    }
}

impl<S> Service<Request> for SecurityHeaders<S>
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
        let secure = request.secure;
        let policy = Arc::clone(&self.policy);
        self.inner.call(request).map(move |mut response| {
            policy.dress(&mut response, secure);
            response
        })
    }
}
