//! The layer: admits what the limits of its place admit, and says how they stand.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::Write;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_layer::Layer;
use tower_service::Service;

use super::config::RateLimitPolicy;
use super::gcra::Decision;
use super::limits::{Limits, Outcome, Verdict};
use crate::http::{HeaderName, HeaderValue, Headers, header};
use crate::middleware::catch_panic::caught;
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Makes [`RateLimit`] services.
pub struct RateLimitLayer {
    limits: Rc<Limits>,
}

impl RateLimitLayer {
    /// A layer under all of `limits`.
    pub fn new(limits: Limits) -> Self {
        Self { limits: Rc::new(limits) }
    }
}

/// Admits what the limits admit.
pub struct RateLimit<S> {
    inner: Rc<RefCell<S>>,
    limits: Rc<Limits>,
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit { inner: Rc::new(RefCell::new(inner)), limits: Rc::clone(&self.limits) }
    }
}

impl<S, R> Service<R> for RateLimit<S>
where
    S: Service<R, Response = Response, Error = Infallible, Future = Reply> + 'static,
    R: AsRequest + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.borrow_mut().poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Reply {
        match self.limits.decide(request.as_request()) {
            Outcome::Said(verdict) => pass(&self.inner, &self.limits, request, verdict),
            Outcome::Asks(question) => {
                let (inner, limits) = (Rc::clone(&self.inner), Rc::clone(&self.limits));
                Reply::pending(async move {
                    let verdict = limits.answer(*question).await;
                    let Ok(response) = pass(&inner, &limits, request, verdict).await;
                    response
                })
            }
        }
    }
}

/// Hands on what the limits admit; says on every answer how they stand.
fn pass<S, R>(inner: &RefCell<S>, limits: &Rc<Limits>, request: R, verdict: Verdict) -> Reply
where
    S: Service<R, Response = Response, Error = Infallible, Future = Reply>,
    R: AsRequest,
{
    let refusal = match verdict.refused {
        Some((_, decision)) => {
            let after = HeaderValue::from(seconds(decision.after).max(1));
            Some((RejectionKind::RateLimited, after))
        }
        // A probe a second finds out whether the store is back.
        None if verdict.unavailable => {
            Some((RejectionKind::LimitsUnavailable, HeaderValue::from_static("1")))
        }
        None => None,
    };
    if let Some((kind, after)) = refusal {
        let mut response = Rejection::new(kind)
            .with_header(header::RETRY_AFTER, after)
            .into_response(request.as_request().form);
        limits.tell(verdict, &mut response);
        return response.into();
    }
    let (limits, form) = (Rc::clone(limits), request.as_request().form);
    caught(form, || inner.borrow_mut().call(request)).map(move |mut response| {
        limits.tell(verdict, &mut response);
        response
    })
}

/// Whatever carries a request: it itself, or proof that it is permitted.
pub trait AsRequest {
    /// The request.
    fn as_request(&self) -> &Request;
}

impl AsRequest for Request {
    fn as_request(&self) -> &Request {
        self
    }
}

impl AsRequest for crate::middleware::authorize::Permitted<Request> {
    fn as_request(&self) -> &Request {
        self
    }
}

impl Limits {
    /// Says on an answer how the limits stand that counted its request.
    fn tell(&self, verdict: Verdict, response: &mut Response) {
        let policy = |at: usize| &self.limits[at].policy;
        // Without its store nobody knows how a limit stands.
        let known = verdict.refused.or(verdict.tightest.filter(|_| !verdict.refuses()));
        if let Some((at, decision)) = known {
            state(policy(at), decision, &mut response.headers);
        }
        for (at, limit) in self.limits.iter().enumerate() {
            if verdict.counted & (1 << at) != 0 {
                let header = limit.policy.policy_header.clone();
                response.headers.append(RATE_LIMIT_POLICY, header);
            }
        }
        if let Some(at) = verdict.shadowed {
            response.shadowed = Some(std::sync::Arc::clone(policy(at)));
        }
    }
}

/// Adds `RateLimit: "name";r=…;t=…`.
fn state(policy: &RateLimitPolicy, decision: Decision, headers: &mut Headers) {
    let mut text = [0_u8; 160];
    let mut rest = &mut text[..];
    let (name, remaining, after) = (policy.name(), decision.remaining, seconds(decision.after));
    write!(rest, "\"{name}\";r={remaining};t={after}")
        .expect("a name of at most 100 bytes and two numbers fit");
    let length = 160 - rest.len();
    let value = HeaderValue::from_bytes(&text[..length]).expect("names and numbers are visible");
    headers.append(RATE_LIMIT, value);
}

/// Whole seconds, rounded up.
fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}
