//! What several documents say of one route, method by method; and what a handler sees of a key.

#![allow(clippy::unwrap_used)] // a document that cannot be compiled is a failed test

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use pybolt_engine::body::Body;
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::plan::{Access, Plan, RoutePlan, effective};
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pybolt_engine::response::Response;
use serde_json::{Value, json};

fn plan(documents: &[Value]) -> Plan {
    let documents: Vec<_> =
        documents.iter().map(|config| json!({"source": "x", "config": config})).collect();
    let (plan, found) = Plan::compile(&json!({ "documents": documents }).to_string());
    plan.unwrap_or_else(|| panic!("{found:?}"))
}

fn route<'a>(plan: &'a Plan, method: &Method, path: &str) -> &'a RoutePlan {
    &plan.routes[plan.router.find(method, path).unwrap().route.0 as usize]
}

#[test]
fn a_policy_for_one_method_says_nothing_of_the_others() {
    let python = json!({"routes": [
        {"path": "/items", "methods": ["GET", "POST"], "handler": "m:f"},
    ]});
    let file = json!({"defaults": {"auth": "deny"}, "routes": [
        {"path": "/items", "methods": ["GET"], "auth": "public"},
    ]});
    for documents in [[python.clone(), file.clone()], [file, python]] {
        let plan = plan(&documents);
        let read = route(&plan, &Method::GET, "/items");
        let write = route(&plan, &Method::POST, "/items");
        assert!(matches!(read.access, Access::Public));
        assert!(matches!(write.access, Access::Deny));
        assert_eq!((read.locations.len(), write.locations.len()), (2, 1));
        assert_eq!(read.handler, write.handler);
    }
}

#[test]
fn what_is_said_of_get_holds_for_head() {
    let python = json!({"routes": [
        {"path": "/items", "methods": ["GET", "HEAD", "POST"], "handler": "m:f"},
    ]});
    let key = json!({"type": "api_key", "keys": format!("a:sha256:{}", "a".repeat(64))});
    let guarded = json!({"path": "/items", "methods": ["GET"], "auth": key});
    let file = json!({"defaults": {"auth": "public"}, "routes": [guarded]});
    let one = plan(&[python.clone(), file]);
    for method in [Method::GET, Method::HEAD] {
        let access = &route(&one, &method, "/items").access;
        assert!(matches!(access, Access::Authenticate(_)), "{method}");
    }
    assert!(matches!(route(&one, &Method::POST, "/items").access, Access::Public));
    let own = json!({"path": "/items", "methods": ["HEAD"], "auth": "deny"});
    let file = json!({"defaults": {"auth": "public"}, "routes": [guarded, own]});
    let two = plan(&[python, file]);
    assert!(matches!(route(&two, &Method::GET, "/items").access, Access::Authenticate(_)));
    assert!(matches!(route(&two, &Method::HEAD, "/items").access, Access::Deny));
}

#[test]
fn a_policy_without_methods_covers_all_of_them() {
    let plan = plan(&[
        json!({"routes": [{"path": "/a", "methods": ["GET", "POST"], "handler": "m:f"}]}),
        json!({"routes": [{"path": "/a", "timeout": "5s"}, {"path": "/a", "methods": ["POST"], "body_limit": "1B"}]}),
    ]);
    let (read, write) = (route(&plan, &Method::GET, "/a"), route(&plan, &Method::POST, "/a"));
    assert_eq!(read.timeout, write.timeout);
    assert!(read.timeout.is_some());
    assert_eq!((read.body_limit, write.body_limit), (Some(2 << 20), Some(1)));
}

#[test]
fn the_groups_of_three_documents_all_apply_below_the_routes_own() {
    let plan = plan(&[
        json!({"groups": [{"prefix": "/g", "timeout": "5s", "routes": [{"path": "/a"}]}]}),
        json!({"groups": [{"prefix": "/g", "auth": "public", "routes": [
            {"path": "/a", "handler": "m:f", "body_limit": "1B"},
        ]}]}),
        json!({"groups": [{"prefix": "/g", "cors": "off", "routes": [{"path": "/a", "compress": "on"}]}]}),
    ]);
    let route = route(&plan, &Method::GET, "/g/a");
    assert!(route.timeout.is_some() && route.compress.is_some());
    assert!(matches!(route.access, Access::Public));
    assert_eq!((route.body_limit, route.locations.len()), (Some(1), 3));
}

#[test]
fn aliases_count_under_the_definitions_name() {
    let plan = plan(&[json!({
        "define": {"rate_limit": {"shared": {"rate": "5/1m"}}},
        "routes": [
            {"path": "/a", "handler": "m:f", "rate_limit": {"x": "shared"}},
            {"path": "/b", "handler": "m:f", "rate_limit": {"shared": "on"}},
        ],
    })]);
    let names = plan.routes.iter().map(|route| route.limits_before[0].name());
    assert_eq!(names.collect::<Vec<_>>(), ["shared", "shared"]);
    assert!(Arc::ptr_eq(&plan.routes[0].limits_before[0], &plan.routes[1].limits_before[0]));
}

/// Keeps the names of the headers that it is called with.
struct Names(Rc<RefCell<Vec<String>>>);

impl Handler for Names {
    fn call(&self, request: Permitted<Request>) -> Reply {
        *self.0.borrow_mut() = request.headers.keys().map(ToString::to_string).collect();
        Response::json("{}".into()).into()
    }
}

#[test]
fn a_handler_sees_who_asks_and_not_the_key() {
    // The digest of "acme-key".
    let keys = "acme:sha256:afacab3575137afa4e00d9cbcafcb14c9ae25f779d964eb0ea5b2c4eb5dfd163";
    let plan = plan(&[json!({"routes": [
        {"path": "/", "handler": "m:f", "auth": {"type": "api_key", "header": "X-Partner", "keys": keys}},
    ]})]);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let engine = Engine::new(Arc::new(plan), |_| Rc::new(Names(Rc::clone(&seen))));
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    headers.insert(HeaderName::from_static("x-partner"), HeaderValue::from_static("acme-key"));
    let request = Request::new(Method::GET, "/".parse().unwrap(), headers, Body::Empty);
    let Reply::Ready(response) = engine.call(request) else { panic!("it waits") };
    assert_eq!(response.unwrap().principal.unwrap().id, "acme");
    assert_eq!(*seen.borrow(), ["host"]);
}

#[test]
fn what_is_effective_is_told_as_places() {
    let file = json!({
        "define": {"auth": {"key": {"type": "api_key", "keys": "a:sha256:00"}}},
        "defaults": {"timeout": "15s", "rate_limit": {"a": {"rate": "1/1m"}, "b": {"rate": "1/1m"}}},
        "groups": [{"prefix": "/in", "timeout": "5s", "rate_limit": {"b": false}, "routes": [
            {"path": "/{id}", "handler": "m:f", "auth": "key"},
            {"path": "/none", "handler": "m:f", "rate_limit": false, "timeout": false},
        ]}],
    });
    let wire = json!({"documents": [{"source": "x", "config": file}]}).to_string();
    let found = effective(&wire).unwrap();
    let (in_group, bare) = (&found["routes"][0], &found["routes"][1]);
    let route = |number: u8| json!([0, "groups", 0, "routes", number]);
    let below = |number: u8, key: &str| json!([0, "groups", 0, "routes", number, key]);
    assert_eq!(in_group["path"], "/in/{id}");
    assert_eq!(in_group["locations"], json!([route(0)]));
    let timeout = json!(["timeout", [0, "groups", 0, "timeout"]]);
    assert_eq!(in_group["slots"], json!([["auth", below(0, "auth")], timeout]));
    let (a, b) =
        (json!([0, "defaults", "rate_limit", "a"]), json!([0, "groups", 0, "rate_limit", "b"]));
    assert_eq!(in_group["limits"], json!([["a", a], ["b", b]]));
    assert_eq!(bare["slots"], json!([["timeout", below(1, "timeout")]]));
    assert_eq!((&bare["limits"], &bare["no_limits"]), (&json!([]), &below(1, "rate_limit")));
    assert_eq!(found["secrets"], json!([[0, "define", "auth", "key", "keys"]]));
}

#[test]
fn a_path_is_found_as_requests_find_it() {
    let plan = plan(&[json!({"routes": [
        {"path": "/{*rest}", "handler": "m:f"},
        {"path": "/a", "methods": ["POST"], "handler": "m:f"},
    ]})]);
    let named =
        |method, path| plan.find(method, path).map(|id| plan.routes[id as usize].pattern.as_str());
    assert_eq!(named("POST", "/a"), Some("/a"));
    assert_eq!(named("GET", "/b/c"), Some("/{*rest}"));
    assert_eq!(named("DELETE", "/b"), None);
}
