//! Authorize: may they. The only maker of [`Permitted`], and so the only door to a handler.
//!
//! Below authenticate. A route that is denied is `403` for everybody; one with a requirement is
//! `403` for a principal that does not meet it, `401` for nobody where auth is optional.
//!
//! Option: `allow: 'scope("reports:read") || role("staff")'`, parsed at startup. Refusal: `forbidden`.
//!
//! A handler cannot be called without a permit, and nobody else can make one:
//!
//! ```compile_fail
//! use pybolt_engine::middleware::authorize::Permitted;
//! let forged = Permitted(42);
//! ```

mod parser;
mod requirement;

use std::convert::Infallible;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

pub use self::requirement::Requirement;
use crate::middleware::authenticate::Authentication;
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::plan::{Access, RoutePlan};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// Proof that a request passed its route's authorization.
pub struct Permitted<T>(T);

impl<T> Permitted<T> {
    /// The request itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Permitted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Permitted<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// What a route asks for.
#[derive(Clone)]
enum Rule {
    Everybody,
    Nobody,
    Principal(Arc<Authentication>, Option<Arc<Requirement>>),
}

/// Makes [`Authorize`] services.
pub struct AuthorizeLayer {
    rule: Rule,
}

impl AuthorizeLayer {
    /// The layer of `route`.
    pub fn new(route: &RoutePlan) -> Self {
        let rule = match &route.access {
            Access::Public | Access::Django => Rule::Everybody,
            Access::Deny => Rule::Nobody,
            Access::Authenticate(methods) => {
                Rule::Principal(Arc::clone(methods), route.requirement.clone())
            }
        };
        Self { rule }
    }
}

/// Permits or refuses.
pub struct Authorize<S> {
    inner: S,
    rule: Rule,
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize { inner, rule: self.rule.clone() }
    }
}

impl<S> Service<Request> for Authorize<S>
where
    S: Service<Permitted<Request>, Response = Response, Error = Infallible, Future = Reply>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Reply {
        let refusal = match &self.rule {
            Rule::Everybody => None,
            Rule::Nobody => Some(Rejection::new(RejectionKind::Forbidden)),
            Rule::Principal(methods, requirement) => match &request.principal {
                Some(principal) => requirement
                    .as_ref()
                    .filter(|requirement| !requirement.is_met_by(principal))
                    .map(|_| Rejection::new(RejectionKind::Forbidden)),
                // Nobody meets no requirement, and is told how to be somebody.
                None => {
                    (requirement.is_some() || !methods.is_optional()).then(|| methods.challenge())
                }
            },
        };
        match refusal {
            None => self.inner.call(Permitted(request)),
            Some(refusal) => refusal.into_response(request.form).into(),
        }
    }
}
