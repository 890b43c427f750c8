//! The layer: no principal, no further, except where nobody's requests pass.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{Answer, Authentication, Principal};
use crate::middleware::rejection::Rejection;
use crate::plan::{Access, RoutePlan};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// Makes [`Authenticate`] services.
pub struct AuthenticateLayer {
    methods: Arc<Authentication>,
}

impl AuthenticateLayer {
    /// The layer of `route`, where it has a method.
    pub fn of(route: &RoutePlan) -> Option<Self> {
        match &route.access {
            Access::Authenticate(methods) => Some(Self { methods: Arc::clone(methods) }),
            Access::Public | Access::Django | Access::Deny => None,
        }
    }
}

/// Sets the principal or refuses.
pub struct Authenticate<S> {
    inner: Rc<RefCell<S>>,
    methods: Arc<Authentication>,
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate { inner: Rc::new(RefCell::new(inner)), methods: Arc::clone(&self.methods) }
    }
}

impl<S> Service<Request> for Authenticate<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future = Reply> + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.borrow_mut().poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Reply {
        match self.methods.authenticate(&request) {
            Answer::Now(found) => pass(&self.inner, &self.methods, request, found),
            Answer::Later(found) => {
                let (inner, methods) = (Rc::clone(&self.inner), Arc::clone(&self.methods));
                Reply::pending(async move {
                    let found = found.await;
                    let Ok(response) = pass(&inner, &methods, request, found).await;
                    response
                })
            }
        }
    }
}

/// Hands a request on with whom it is from, or answers it with the refusal.
fn pass<S>(
    inner: &RefCell<S>,
    methods: &Authentication,
    mut request: Request,
    found: Result<Option<Arc<Principal>>, Rejection>,
) -> Reply
where
    S: Service<Request, Response = Response, Error = Infallible, Future = Reply>,
{
    match found {
        Err(rejection) => rejection.into_response(request.form).into(),
        Ok(None) => inner.borrow_mut().call(request),
        Ok(Some(principal)) => {
            methods.conceal(&mut request.headers);
            request.principal = Some(Arc::clone(&principal));
            inner.borrow_mut().call(request).map(move |mut response| {
                response.principal = Some(principal);
                response
            })
        }
    }
}
