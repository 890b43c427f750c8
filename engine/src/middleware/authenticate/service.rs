//! The layer: no principal, no further.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::Authenticator;
use crate::plan::{Access, RoutePlan};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// Makes [`Authenticate`] services.
pub struct AuthenticateLayer {
    method: Arc<Authenticator>,
}

impl AuthenticateLayer {
    /// The layer of `route`, where it has a method.
    pub fn of(route: &RoutePlan) -> Option<Self> {
        match &route.access {
            Access::Authenticate(method) => Some(Self { method: Arc::clone(method) }),
            Access::Public | Access::Deny => None,
        }
    }
}

/// Sets the principal or refuses.
pub struct Authenticate<S> {
    inner: S,
    method: Arc<Authenticator>,
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate { inner, method: Arc::clone(&self.method) }
    }
}

impl<S> Service<Request> for Authenticate<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future = Reply>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Reply {
        match self.method.authenticate(&request) {
            Err(rejection) => rejection.into_response(request.form).into(),
            Ok(principal) => {
                self.method.conceal(&mut request.headers);
                request.principal = Some(Arc::clone(&principal));
                self.inner.call(request).map(move |mut response| {
                    response.principal = Some(principal);
                    response
                })
            }
        }
    }
}
