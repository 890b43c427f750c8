//! In-flight limits: how many requests of one client, or of any other key, may be under way at once.
//!
//! Beside the rate limits: above authentication where the key needs no identity, below authorization
//! where it does. A place is held from here until the answer has been handed to the connection, to
//! its last byte where it is a stream, or until the client has gone. Past the limit a request is
//! refused at once; it does not wait (that is the bulkhead's part). Each worker process counts for
//! itself: a place whose worker is killed is gone with it, so nothing has to be given back for it.
//! Only keys that have requests under way are remembered, so there are never more of them than
//! connections. After a reload each plan counts for itself until the old one's requests have ended.
//!
//! Options: `in_flight: {limit: 10, key: client_ip}`; the keys are those of `rate_limit`, by
//! `ipv6_prefix` too. Refusal: `too_many_in_flight` with `Retry-After`.
//! Example: `{path: /export, in_flight: {limit: 2, key: api_key}}`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use parking_lot::Mutex;
use siphasher::sip128::{Hasher128, SipHasher13};
use tower_layer::Layer;
use tower_service::Service;

use super::rate_limit::{AsRequest, RateKey, Scope};
use super::rejection::{Rejection, RejectionKind};
use crate::body::{Body, BodyStream, Chunks, Span};
use crate::config;
use crate::config::decode::{OneOrMany, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::http::{HeaderValue, header};
use crate::reply::Reply;
use crate::request::{Parts, RouteId};
use crate::response::Response;

config! {
    /// How many requests of one key may be under way at once.
    pub struct InFlightConfig {
        /// How many: 1 to 1000000, in each worker.
        limit: Spanned<u64> = required like 10,
        /// What is counted by.
        key: Spanned<OneOrMany<RateKey>> = optional("client_ip"),
        /// How many bits of an IPv6 address make a client: 32 to 128.
        ipv6_prefix: Spanned<u64> = optional(64),
    }
}

/// A compiled in-flight limit.
#[derive(Debug)]
pub struct InFlightPolicy {
    limit: u32,
    key: Vec<RateKey>,
    ipv6_prefix: u32,
}

impl InFlightConfig {
    /// Checks and compiles the block.
    pub fn compile(&self, out: &mut Diagnostics) -> Option<InFlightPolicy> {
        let mut bounded = |written: Option<&Spanned<u64>>, least, most, default| {
            let Some(written) = written else { return Some(default) };
            if (least..=most).contains(&written.value) {
                return u32::try_from(written.value).ok();
            }
            let message = format!("{} is out of bounds", written.value);
            let hint = format!("write {least} to {most}");
            out.push(Diagnostic::error("E193", &written.at, message).hint(hint));
            None
        };
        let limit = bounded(Some(&self.limit), 1, 1_000_000, 1);
        let ipv6_prefix = bounded(self.ipv6_prefix.as_ref(), 32, 128, 64);
        let key = self.key.as_ref().map_or_else(|| vec![RateKey::ClientIp], |key| key.0.clone());
        Some(InFlightPolicy { limit: limit?, key, ipv6_prefix: ipv6_prefix? })
    }
}

impl InFlightPolicy {
    /// Whether the limit must stand below authentication.
    pub fn needs_identity(&self) -> bool {
        self.key.iter().any(RateKey::needs_identity)
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let key: Vec<_> = self.key.iter().map(RateKey::name).collect();
        format!("{} at once (key {}), in each worker", self.limit, key.join(", "))
    }
}

/// What is under way in one worker, by key.
pub struct Counts {
    seed: [u8; 16],
    under_way: Mutex<HashMap<u128, u32>>,
}

impl Counts {
    /// Nothing is under way.
    pub fn new() -> Arc<Self> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).expect("the system has random bytes for a start");
        Arc::new(Self { seed, under_way: Mutex::default() })
    }

    /// A place for one more request of `key`, where there is one.
    fn enter(self: &Arc<Self>, key: u128, limit: u32) -> Option<Place> {
        let mut under_way = self.under_way.lock();
        let count = under_way.entry(key).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        drop(under_way);
        Some(Place { counts: Arc::clone(self), key })
    }
}

/// One request under way, until dropped.
struct Place {
    counts: Arc<Counts>,
    key: u128,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.counts.under_way.lock();
        if let Some(count) = under_way.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.key);
            }
        }
    }
}

/// Makes [`InFlight`] services.
pub struct InFlightLayer {
    policy: Arc<InFlightPolicy>,
    counts: Arc<Counts>,
    route: RouteId,
}

impl InFlightLayer {
    /// A layer under `policy` for `route`, whose places are those of `counts`.
    pub fn new(policy: Arc<InFlightPolicy>, counts: Arc<Counts>, route: RouteId) -> Self {
        Self { policy, counts, route }
    }
}

/// Admits so many requests of a key at once.
pub struct InFlight<S> {
    inner: S,
    policy: Arc<InFlightPolicy>,
    counts: Arc<Counts>,
    scope: Scope,
}

impl<S> Layer<S> for InFlightLayer {
    type Service = InFlight<S>;

    fn layer(&self, inner: S) -> InFlight<S> {
        InFlight {
            inner,
            policy: Arc::clone(&self.policy),
            counts: Arc::clone(&self.counts),
            scope: Scope { route: u64::from(self.route.0), ipv6_prefix: self.policy.ipv6_prefix },
        }
    }
}

impl<S> InFlight<S> {
    fn key(&self, parts: &Parts) -> u128 {
        let mut hasher = SipHasher13::new_with_key(&self.counts.seed);
        for part in &self.policy.key {
            part.hash(parts, self.scope, &mut hasher);
        }
        hasher.finish128().as_u128()
    }
}

impl<S, R> Service<R> for InFlight<S>
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
        let Some(place) = self.counts.enter(self.key(parts), self.policy.limit) else {
            return Rejection::new(RejectionKind::TooManyInFlight)
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
                .into_response(parts.form)
                .into();
        };
        self.inner.call(request).map(move |mut response| {
            response.body = match response.body {
                Body::Empty => Body::Empty,
                Body::Full(bytes) => Body::Full(Bytes::from_owner(Held { bytes, _place: place })),
                Body::Stream(stream) => {
                    let length = stream.length();
                    Body::chunks(HeldStream { stream, _place: place }, length)
                }
            };
            response
        })
    }
}

/// Bytes that hold a place until the connection has taken them.
struct Held {
    bytes: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A stream that holds a place until its end, or until nobody reads it any more.
struct HeldStream {
    stream: BodyStream,
    _place: Place,
}

impl Stream for HeldStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll_next(cx)
    }
}

impl Chunks for HeldStream {
    fn span(&self) -> Option<Span> {
        self.stream.span()
    }

    fn pass(&mut self, length: u64) {
        self.stream.pass(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeaderMap, Method, StatusCode};
    use crate::request::Request;

    /// Answers what it is told to: nothing yet, a stream, or a whole body.
    struct Answers(fn() -> Reply);

    impl Service<Request> for Answers {
        type Response = Response;
        type Error = Infallible;
        type Future = Reply;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request) -> Reply {
            (self.0)()
        }
    }

    struct Endless;

    impl Stream for Endless {
        type Item = io::Result<Bytes>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Pending
        }
    }

    fn service(limit: u32, answer: fn() -> Reply) -> InFlight<Answers> {
        let policy = InFlightPolicy { limit, key: vec![RateKey::ClientIp], ipv6_prefix: 64 };
        InFlightLayer::new(Arc::new(policy), Counts::new(), RouteId(0)).layer(Answers(answer))
    }

    fn ask(service: &mut InFlight<Answers>, client: &str) -> Reply {
        let request =
            Request::new(Method::GET, "/".parse().unwrap(), HeaderMap::new(), Body::Empty);
        service.call(request.from_peer(Some(format!("{client}:1").parse().unwrap())))
    }

    fn is_refused(reply: &Reply) -> bool {
        matches!(reply, Reply::Ready(Some(answer))
            if answer.rejection == Some(RejectionKind::TooManyInFlight))
    }

    #[test]
    fn a_place_is_held_until_the_answer_comes_or_nobody_waits_for_it() {
        let mut service = service(2, || Reply::pending(std::future::pending()));
        let first = ask(&mut service, "1.1.1.1");
        let second = ask(&mut service, "1.1.1.1");
        assert!(!is_refused(&first) && !is_refused(&second));
        assert!(is_refused(&ask(&mut service, "1.1.1.1")));
        assert!(!is_refused(&ask(&mut service, "2.2.2.2")), "another client has places of its own");
        drop(first);
        assert!(!is_refused(&ask(&mut service, "1.1.1.1")), "the client has gone");
        drop(second);
        assert!(service.counts.under_way.lock().is_empty(), "nothing is remembered");
    }

    #[test]
    fn a_place_is_held_to_the_last_byte() {
        let stream = || -> Reply {
            let mut response = Response::new(StatusCode::OK);
            response.body = Body::stream(Endless, None);
            response.into()
        };
        let whole = || -> Reply { Response::json(Bytes::from_static(b"{}")).into() };
        for answer in [stream as fn() -> Reply, whole] {
            let mut service = service(1, answer);
            let Reply::Ready(Some(response)) = ask(&mut service, "1.1.1.1") else {
                panic!("it waits")
            };
            assert!(is_refused(&ask(&mut service, "1.1.1.1")));
            let Response { body, .. } = response;
            assert!(is_refused(&ask(&mut service, "1.1.1.1")), "the body is still being sent");
            drop(body);
            assert!(!is_refused(&ask(&mut service, "1.1.1.1")));
        }
    }
}
