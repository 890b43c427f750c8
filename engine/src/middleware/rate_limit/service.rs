//! The layer: asks all limits of its place, takes from all or from none.

use std::convert::Infallible;
use std::io::Write;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_layer::Layer;
use tower_service::Service;

use super::config::RateLimitPolicy;
use super::store::Decision;
use crate::http::{HeaderName, HeaderValue, Headers, header};
use crate::middleware::rejection::{Form, Rejection, RejectionKind};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Makes [`RateLimit`] services.
pub struct RateLimitLayer {
    policies: Arc<[Arc<RateLimitPolicy>]>,
}

impl RateLimitLayer {
    /// A layer under all of `policies`.
    pub fn new(policies: Vec<Arc<RateLimitPolicy>>) -> Self {
        Self { policies: policies.into() }
    }
}

/// Admits what the limits admit.
pub struct RateLimit<S> {
    inner: S,
    policies: Arc<[Arc<RateLimitPolicy>]>,
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit { inner, policies: Arc::clone(&self.policies) }
    }
}

impl<S, R> Service<R> for RateLimit<S>
where
    S: Service<R, Response = Response, Error = Infallible, Future = Reply>,
    R: AsRequest,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Reply {
        let parts = request.as_request().deref();
        // One limit, the common case, is asked and taken in one step.
        let alone = self.policies.len() == 1;
        let mut tightest: Option<(usize, Decision)> = None;
        let mut longest: Option<(usize, Decision)> = None;
        for (at, policy) in self.policies.iter().enumerate() {
            let decision = policy.decide(policy.key(parts), alone);
            if !decision.admitted {
                longest = longer(longest, at, decision);
            } else if tightest.is_none_or(|(_, known)| decision.remaining < known.remaining) {
                tightest = Some((at, decision));
            }
        }
        if !alone && longest.is_none() {
            for (at, policy) in self.policies.iter().enumerate() {
                // Between asking and taking nobody else runs on this thread; should another
                // worker thread share the store one day, the worst is one request too many refused.
                let decision = policy.decide(policy.key(parts), true);
                if !decision.admitted {
                    longest = longer(longest, at, decision);
                }
            }
        }
        if let Some((at, decision)) = longest {
            return refuse(&self.policies, at, decision, parts.form).into();
        }
        let policies = Arc::clone(&self.policies);
        self.inner.call(request).map(move |mut response| {
            if let Some((at, decision)) = tightest {
                state(&policies[at], decision, &mut response.headers);
            }
            for policy in policies.iter() {
                response.headers.append(RATE_LIMIT_POLICY, policy.policy_header.clone());
            }
            response
        })
    }
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

/// Of the refusals, the one that holds longest: before that, no request can pass.
fn longer(
    known: Option<(usize, Decision)>,
    at: usize,
    decision: Decision,
) -> Option<(usize, Decision)> {
    known.filter(|(_, known)| known.after >= decision.after).or(Some((at, decision)))
}

fn refuse(
    policies: &[Arc<RateLimitPolicy>],
    at: usize,
    decision: Decision,
    form: Form,
) -> Response {
    let mut rejection = Rejection::new(RejectionKind::RateLimited)
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds(decision.after).max(1)));
    state(&policies[at], decision, &mut rejection.headers);
    for policy in policies {
        rejection.headers.append(RATE_LIMIT_POLICY, policy.policy_header.clone());
    }
    rejection.into_response(form)
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
