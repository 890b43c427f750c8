//! The order of the chain as properties, over random combinations of stages and requests.

#![allow(clippy::unwrap_used)] // a plan or request that cannot be made is a failed test

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Once};

use bytes::Bytes;
use proptest::prelude::*;
use pybolt_engine::body::Body;
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::middleware::rejection::RejectionKind;
use pybolt_engine::plan::Plan;
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pybolt_engine::response::Response;
use serde_json::{Value, json};

const APP: &str = "https://app.example.com";
/// Handlers that panic on purpose say this, and the log of a test does not.
const ON_PURPOSE: &str = "on purpose";
const STRANGER: &str = "https://evil.test";
/// The digests of `acme-key` and `other-key`; only acme is a partner.
const KEYS: &str = "acme:sha256:afacab3575137afa4e00d9cbcafcb14c9ae25f779d964eb0ea5b2c4eb5dfd163:partner\n\
                    other:sha256:580843d03d2216ff1a275d0991bad66e4d1af871171d929e9de604b7959f9bca";

/// What may be on or off.
const SWITCHES: [&str; 10] = [
    "cors",
    "auth",
    "compress",
    "security_headers",
    "request_id",
    "body_limit",
    "timeout",
    "bulkhead",
    "csrf",
    "response_headers",
];

/// Which stages are on.
#[derive(Debug, Clone)]
struct Stages {
    on: Vec<&'static str>,
    limit_before: Option<u8>,
    limit_after: Option<u8>,
}

#[derive(Debug, Clone)]
struct Asked {
    method: &'static str,
    url: &'static str,
    host: &'static str,
    origin: Option<&'static str>,
    requested: Option<&'static str>,
    key: Option<&'static str>,
    accept: Option<&'static str>,
    body: &'static str,
}

impl Stages {
    fn has(&self, stage: &str) -> bool {
        self.on.contains(&stage)
    }

    fn config(&self) -> Value {
        let mut defaults = json!({"auth": "public"});
        let mut on = |key: &str, value: Value| defaults[key] = value;
        if self.has("cors") {
            on("cors", json!({"origins": [APP], "credentials": true}));
        }
        if self.has("auth") {
            on("auth", json!({"type": "api_key", "keys": KEYS}));
            on("allow", json!("role(\"partner\")"));
        }
        if self.has("ip") {
            on("ip", json!({"allow": ["192.0.2.0/24"]}));
        }
        if self.has("response_headers") {
            on("response_headers", json!({"set": {"x-set": "ours"}}));
        }
        for key in ["compress", "security_headers", "request_id", "csrf", "maintenance"] {
            if self.has(key) {
                on(key, json!(true));
            }
        }
        let mut limits = json!({});
        if let Some(count) = self.limit_before {
            limits["before"] = json!({"rate": format!("{count}/1h"), "key": "route"});
        }
        if let Some(count) = self.limit_after.filter(|_| self.has("auth")) {
            limits["after"] = json!({"rate": format!("{count}/1h"), "key": "api_key"});
        }
        on("rate_limit", limits);
        on("body_limit", json!(if self.has("body_limit") { "4B" } else { "1KiB" }));
        if self.has("bulkhead") {
            on("python", json!({"concurrency": 1, "queue": 0}));
        }
        let timeout = if self.has("timeout") { "1ms" } else { "1m" };
        json!({
            "server": {"hosts": ["localhost"]},
            "defaults": defaults,
            "routes": [
                {"path": "/r", "handler": "m:ok"},
                {"path": "/r", "handler": "m:ok", "methods": ["POST"]},
                {"path": "/panic", "handler": "m:panic"},
                {"path": "/late", "handler": "m:late_panic"},
                {"path": "/slow", "handler": "m:slow", "timeout": timeout},
            ],
        })
    }

    fn engine(&self, ran: &Rc<Ran>) -> Engine {
        let wire = json!({"documents": [{"source": "property", "config": self.config()}]});
        let (plan, diagnostics) = Plan::compile(&wire.to_string());
        let plan = plan.unwrap_or_else(|| panic!("{diagnostics:?}"));
        Engine::new(Arc::new(plan), |route| {
            let name = route.handler.as_ref().map(|handler| handler.name.clone());
            Rc::new(Counted { name: name.unwrap_or_default(), ran: Rc::clone(ran) })
        })
    }
}

impl Asked {
    fn request(&self) -> Request {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::HOST, Some(self.host)),
            (header::ORIGIN, self.origin),
            (header::ACCESS_CONTROL_REQUEST_METHOD, self.requested),
            (HeaderName::from_static("x-api-key"), self.key),
            (header::ACCEPT, self.accept),
        ] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        Request::new(method, self.url.parse().unwrap(), headers, Body::from(self.body))
    }

    fn is_preflight(&self) -> bool {
        self.method == "OPTIONS" && self.origin.is_some() && self.requested.is_some()
    }
}

/// How often handlers ran, and for whom last.
#[derive(Default)]
struct Ran {
    times: Cell<usize>,
    permitted: Cell<bool>,
}

struct Counted {
    name: String,
    ran: Rc<Ran>,
}

impl Handler for Counted {
    fn call(&self, request: Permitted<Request>) -> Reply {
        self.ran.times.set(self.ran.times.get() + 1);
        let partner = request.principal.as_ref().is_some_and(|known| &*known.id == "acme");
        self.ran.permitted.set(partner);
        match self.name.as_str() {
            "m:panic" => std::panic::panic_any(ON_PURPOSE),
            "m:late_panic" => Reply::pending(async {
                tokio::task::yield_now().await;
                std::panic::panic_any(ON_PURPOSE)
            }),
            "m:slow" => Reply::pending(async move {
                // As long as a handler works it has its place.
                let _place = request.into_inner().place.take();
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                Response::new(StatusCode::OK)
            }),
            _ => Response::json(Bytes::from("0123456789".repeat(200))).into(),
        }
    }
}

fn stages() -> impl Strategy<Value = Stages> {
    let limit = || prop::option::of(1_u8..4);
    let on = prop::sample::subsequence(&SWITCHES, 0..=SWITCHES.len());
    // What refuses everybody is rare, so that the rest is seen too.
    let closed = prop::option::weighted(0.1, prop::sample::select(&["ip", "maintenance"][..]));
    (on, closed, limit(), limit()).prop_map(|(mut on, closed, limit_before, limit_after)| {
        on.extend(closed);
        Stages { on, limit_before, limit_after }
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let of = |values: &'static [&'static str]| prop::sample::select(values);
    (
        of(&["GET", "GET", "HEAD", "POST", "DELETE", "OPTIONS", "OPTIONS"]),
        of(&["/r", "/r", "/r", "/panic", "/late", "/slow", "/nowhere", "/%2e%2e/r"]),
        of(&["localhost", "localhost", "localhost", "evil.test", "a/b"]),
        prop::option::weighted(0.8, of(&[APP, APP, STRANGER])),
        prop::option::of(of(&["GET", "POST", "DELETE"])),
        prop::option::weighted(0.8, of(&["acme-key", "acme-key", "other-key", "no-key"])),
        prop::option::of(of(&["text/html, */*;q=0.8", "application/json"])),
        of(&["", "", "1234", "12345"]),
    )
        .prop_map(|(method, url, host, origin, requested, key, accept, body)| Asked {
            method,
            url,
            host,
            origin,
            requested,
            key,
            accept,
            body,
        })
}

fn values<'a>(response: &'a Response, name: &'a HeaderName) -> Vec<&'a str> {
    response.headers.get_all(name).map(|value| value.to_str().unwrap()).collect()
}

/// How much is left of each limit; the time until then differs from run to run.
fn left(response: &Response) -> Vec<String> {
    let remaining = |value: &&str| value.split(";t=").next().map(str::to_owned);
    values(response, &HeaderName::from_static("ratelimit")).iter().filter_map(remaining).collect()
}

fn check(stages: &Stages, asked: &Asked, response: &Response, ran: &Ran, before: usize) {
    let refused = response.status.is_client_error() || response.status.is_server_error();
    let allow_origin = values(response, &header::ACCESS_CONTROL_ALLOW_ORIGIN);
    let vary = values(response, &header::VARY);
    if stages.has("cors") && (refused || asked.is_preflight()) {
        assert!(vary.iter().any(|line| line.contains("origin")), "{vary:?}");
    }
    if stages.has("cors") && refused && asked.origin == Some(APP) {
        assert_eq!(allow_origin, [APP]);
    }
    if !stages.has("cors") || asked.origin != Some(APP) {
        assert!(allow_origin.is_empty(), "{allow_origin:?}");
    }
    if response.rejection.is_some() {
        let html = asked.accept.is_some_and(|accept| accept.starts_with("text/html"));
        let kind = if html { "text/html; charset=utf-8" } else { "application/problem+json" };
        assert_eq!(values(response, &header::CONTENT_TYPE), [kind]);
        assert!(vary.contains(&"accept"), "{vary:?}");
    }
    if asked.is_preflight() {
        let ours =
            asked.host == "localhost" && ["/r", "/panic", "/late", "/slow"].contains(&asked.url);
        let known =
            asked.requested == Some("GET") || asked.requested == Some("POST") && asked.url == "/r";
        assert_eq!(response.status == StatusCode::NO_CONTENT, ours && known);
    }
    let after_the_handler = [RejectionKind::Internal, RejectionKind::Timeout];
    if response.rejection.is_some_and(|kind| !after_the_handler.contains(&kind)) {
        assert_eq!(ran.times.get(), before, "a refused request reached the handler");
    }
    let guards = [RejectionKind::Maintenance, RejectionKind::ForbiddenAddress, RejectionKind::Csrf];
    if response.rejection.is_some_and(|kind| guards.contains(&kind)) {
        assert!(left(response).is_empty(), "what a guard refused was counted");
    }
    if stages.has("response_headers") {
        assert_eq!(values(response, &HeaderName::from_static("x-set")), ["ours"]);
    }
    if ran.times.get() > before {
        let after = stages.limit_after.filter(|_| stages.has("auth"));
        let limits = [stages.limit_before, after].iter().flatten().count();
        assert_eq!(left(response).len(), limits, "who was counted is told so, after a panic too");
        assert!(!stages.has("ip") && !stages.has("maintenance"));
        assert!(!stages.has("csrf") || asked.method != "POST" || asked.origin.is_none());
        assert!(!stages.has("auth") || ran.permitted.get(), "the handler ran before authorization");
        assert!(!asked.is_preflight() && asked.host == "localhost");
        assert!(!stages.has("body_limit") || asked.body.len() <= 4);
    }
    if stages.has("security_headers") {
        assert_eq!(values(response, &header::X_CONTENT_TYPE_OPTIONS), ["nosniff"]);
    }
    assert_eq!(
        values(response, &HeaderName::from_static("x-request-id")).len(),
        usize::from(stages.has("request_id"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_combination_keeps_the_order(
        stages in stages(), requests in prop::collection::vec(asked(), 1..8),
    ) {
        silence_what_is_on_purpose();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let (ran, ran_without) = (Rc::new(Ran::default()), Rc::new(Ran::default()));
        let engine = stages.engine(&ran);
        let without_preflights = stages.engine(&ran_without);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for asked in &requests {
                let before = ran.times.get();
                let Ok(response) = runtime.block_on(engine.call(asked.request()));
                check(&stages, asked, &response, &ran, before);
                if asked.is_preflight() {
                    assert!(left(&response).is_empty(), "a preflight reached the limiter");
                    continue;
                }
                // A preflight changes nothing for what comes after it.
                let Ok(other) = runtime.block_on(without_preflights.call(asked.request()));
                assert_eq!((response.status, left(&response)), (other.status, left(&other)));
            }
        }));
        prop_assert!(outcome.is_ok(), "{}", told(outcome.unwrap_err().as_ref()));
    }
}

/// Other panics, a failed case among them, are told as ever.
fn silence_what_is_on_purpose() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload().downcast_ref() != Some(&ON_PURPOSE) {
                tell(panic);
            }
        }));
    });
}

fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

#[test]
fn a_full_bulkhead_refuses_with_cors() {
    let on = vec!["cors", "security_headers", "bulkhead"];
    let stages = Stages { on, limit_before: None, limit_after: None };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let ran = Rc::new(Ran::default());
    let engine = stages.engine(&ran);
    let asked = |url| Asked {
        method: "GET",
        url,
        host: "localhost",
        origin: Some(APP),
        requested: None,
        key: None,
        accept: None,
        body: "",
    };
    let running = engine.call(asked("/slow").request());
    let Ok(refused) = runtime.block_on(engine.call(asked("/slow").request()));
    assert_eq!(refused.rejection, Some(RejectionKind::Overloaded));
    assert_eq!(ran.times.get(), 1);
    check(&stages, &asked("/slow"), &refused, &ran, 1);
    drop(running);
}
