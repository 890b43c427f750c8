//! What a refusal allocates, from the request to the answer. The request itself (its box, its
//! header map) is made before the count begins.

#![allow(clippy::unwrap_used)] // a document that cannot be compiled is a failed test

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use bytes::Bytes;
use pybolt_engine::body::Body;
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderName, HeaderValue, Method};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::plan::Plan;
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pybolt_engine::response::Response;
use serde_json::json;

struct Never;

impl Handler for Never {
    fn call(&self, _: Permitted<Request>) -> Reply {
        Response::json("{}".into()).into()
    }
}

fn engine() -> Engine {
    let wire = json!({"documents": [{"source": "test", "config": {
        "version": 1,
        "define": {"auth": {"jwt": {
            "type": "jwt", "secret": "0123456789abcdef0123456789abcdef", "algorithms": ["HS256"],
        }}},
        "defaults": {
            "access_log": "off",
            "cors": {"origins": ["https://app.example.com"]},
            "security_headers": "on",
        },
        "routes": [
            {"path": "/hello", "handler": "m:f", "auth": "public"},
            {"path": "/private", "handler": "m:f", "auth": "jwt"},
            {"path": "/any", "handler": "m:f", "auth": {"any": ["jwt", {
                "type": "api_key", "header": "X-Key",
                "keys": "a:sha256:afacab3575137afa4e00d9cbcafcb14c9ae25f779d964eb0ea5b2c4eb5dfd163",
            }]}},
            {"path": "/denied", "handler": "m:f", "auth": "deny"},
            {"path": "/small", "handler": "m:f", "methods": ["POST"], "auth": "public",
             "body_limit": "4B"},
            {"path": "/limited", "handler": "m:f", "auth": "public",
             "rate_limit": {"tight": {"rate": "1/1h", "burst": 1}}},
            // Nobody listens on that port.
            {"path": "/uncounted", "handler": "m:f", "auth": "public",
             "rate_limit": {"far": {"rate": "1/1h", "store": "redis://127.0.0.1:1"}}},
            {"path": "/alone", "handler": "m:f", "auth": "public", "rate_limit": {"near": {
                "rate": "1/1h", "store": "redis://127.0.0.1:1", "on_store_error": "allow",
            }}},
            {"path": "/healthz", "respond": {"body": "ok", "headers": {"x-a": "b"}}, "auth": "public"},
            {"path": "/office", "handler": "m:f", "auth": "public", "ip": {"allow": ["192.0.2.0/24"]}},
            {"path": "/write", "handler": "m:f", "methods": ["POST"], "auth": "public", "csrf": "on"},
            {"path": "/closed", "handler": "m:f", "auth": "public", "maintenance": "on"},
            {"path": "/page", "handler": "m:f", "auth": "public",
             "maintenance": {"body": "later", "retry_after": "1h"}},
            {"path": "/scripts", "handler": "m:f", "auth": "deny",
             "security_headers": {"csp": "script-src 'self' 'nonce'"}},
            {"path": "/old", "redirect": {"to": "/new"}, "auth": "public"},
        ],
    }}]});
    let (plan, diagnostics) = Plan::compile(&wire.to_string());
    Engine::new(Arc::new(plan.unwrap_or_else(|| panic!("{diagnostics:?}"))), |_| Rc::new(Never))
}

fn request(method: &str, target: &str, headers: &[(&'static str, &'static str)]) -> Request {
    let mut map = HeaderMap::with_capacity(8);
    map.append(HeaderName::from_static("host"), HeaderValue::from_static("localhost"));
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let length = map.get("content-length").map(|length| length.to_str().unwrap().parse().unwrap());
    let body = length.map_or(Body::Empty, |length| Body::stream(Unread, Some(length)));
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    Request::new(method, target.parse().unwrap(), map, body)
}

/// A body that nobody may read.
struct Unread;

impl futures_core::Stream for Unread {
    type Item = std::io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        panic!("a refusal reads no body")
    }
}

fn answer(engine: &Engine, request: Request) -> Response {
    let reply = pin!(engine.call(request));
    match reply.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok::<_, Infallible>(response)) => response,
        Poll::Pending => panic!("a refusal waits for nothing"),
    }
}

/// Allocations of the second of two equal requests: the first may fill caches and buckets.
fn allocations(
    engine: &Engine,
    (method, target, status): (&str, &str, u16),
    headers: &[(&'static str, &'static str)],
) -> u64 {
    answer(engine, request(method, target, headers));
    let asked = request(method, target, headers);
    let mut answered = None;
    let counted = measure(|| answered = Some(answer(engine, asked)));
    assert_eq!(answered.unwrap().status.as_u16(), status, "{method} {target}");
    counted.count_total
}

/// The list of header fields, and nothing else: bodies and constant fields are static.
const HEADER_LIST: u64 = 1;

#[test]
fn a_refusal_allocates_its_header_list_alone() {
    let engine = engine();
    for (row, headers) in [
        (("GET", "/nowhere", 404), &[][..]),
        (("DELETE", "/hello", 405), &[]),
        (("GET", "/a/../x", 400), &[]),
        (("GET", "/private", 401), &[]),
        (("GET", "/private", 401), &[("authorization", "Bearer junk")]),
        (("GET", "/any", 401), &[]),
        (("GET", "/any", 401), &[("authorization", "Bearer junk")]),
        (("GET", "/any", 401), &[("x-key", "junk")]),
        (("GET", "/denied", 403), &[]),
        (("POST", "/small", 413), &[("content-length", "5")]),
        (("GET", "/private", 401), &[("origin", "https://app.example.com")]),
        (("GET", "/private", 401), &[("accept", "text/html")]),
        (("GET", "/office", 403), &[]),
        (("POST", "/write", 403), &[("sec-fetch-site", "cross-site")]),
        (("POST", "/write", 403), &[("origin", "https://evil.test")]),
        (("GET", "/closed", 503), &[]),
        (("GET", "/page", 503), &[]),
        // Nobody is given a nonce who is refused.
        (("GET", "/scripts", 403), &[]),
        (
            ("OPTIONS", "/hello", 204),
            &[("origin", "https://app.example.com"), ("access-control-request-method", "GET")],
        ),
    ] {
        assert_eq!(allocations(&engine, row, headers), HEADER_LIST, "{row:?} {headers:?}");
    }
}

#[test]
fn an_answer_of_rusts_allocates_its_header_list_alone() {
    let engine = engine();
    for row in [("GET", "/healthz", 200), ("HEAD", "/healthz", 200), ("GET", "/old", 302)] {
        assert_eq!(allocations(&engine, row, &[]), HEADER_LIST, "{row:?}");
    }
}

#[test]
fn a_limited_request_allocates_its_counts_besides() {
    // `Retry-After` and `RateLimit` say how long to wait: they cannot be built with the plan.
    let engine = engine();
    let counts = allocations(&engine, ("GET", "/limited", 429), &[]) - HEADER_LIST;
    assert!(counts <= 3, "{counts}");
}

/// A limit whose store does not answer, once that is known; and a key that is known to be limited.
#[test]
fn without_its_store_a_limit_refuses_for_as_much_as_with_it() {
    let engine = engine();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        engine.plan().start();
        let begun = std::time::Instant::now();
        loop {
            let mut reply = pin!(engine.call(request("GET", "/uncounted", &[])));
            if reply.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                break;
            }
            let Ok(response) = reply.await;
            assert_eq!(response.status, 503);
            assert!(begun.elapsed() < std::time::Duration::from_secs(20));
        }
    });
    assert_eq!(allocations(&engine, ("GET", "/uncounted", 503), &[]), HEADER_LIST);
    // Neither asks anybody; both tell how the limit stands.
    for path in ["/alone", "/limited"] {
        assert_eq!(answer(&engine, request("GET", path, &[])).status, 200, "{path}");
    }
    let [alone, local] =
        ["/alone", "/limited"].map(|path| allocations(&engine, ("GET", path, 429), &[]));
    assert_eq!(alone, local);
}
