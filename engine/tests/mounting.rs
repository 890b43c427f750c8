//! Routes that the Django project answers: which they are, who decides, and what it hears.

#![allow(clippy::unwrap_used)] // a document that cannot be compiled is a failed test

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use pybolt_engine::body::Body;
use pybolt_engine::config::diagnostic::Diagnostic;
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::plan::{Access, Plan, RequestBody, RoutePlan};
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pybolt_engine::response::Response;
use serde_json::{Value, json};

fn compile(documents: &[Value], attached: bool) -> (Option<Plan>, Vec<Diagnostic>) {
    let documents: Vec<_> =
        documents.iter().map(|config| json!({"source": "x", "config": config})).collect();
    let mut wire = json!({ "documents": documents });
    if attached {
        wire["django"] = json!("django");
    }
    Plan::compile(&wire.to_string())
}

fn plan(documents: &[Value]) -> Plan {
    let (plan, found) = compile(documents, true);
    plan.unwrap_or_else(|| panic!("{found:?}"))
}

/// The codes and places of what is wrong.
fn mistakes(documents: &[Value], attached: bool) -> Vec<(&'static str, String)> {
    let (_, found) = compile(documents, attached);
    found.iter().map(|one| (one.code, one.location.dotted())).collect()
}

fn route<'a>(plan: &'a Plan, method: &Method, path: &str) -> &'a RoutePlan {
    &plan.routes[plan.router.find(method, path).unwrap().route.0 as usize]
}

fn is_django(plan: &Plan, method: &Method, path: &str) -> bool {
    route(plan, method, path).handler.as_ref().is_some_and(|handler| handler.is_django)
}

#[test]
fn a_route_that_names_nothing_is_djangos_for_every_method() {
    let plan = plan(&[json!({"routes": [{"path": "/{*rest}"}]})]);
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        for path in ["/", "/a", "/a/b/"] {
            assert!(is_django(&plan, &method, path), "{method} {path}");
        }
    }
}

#[test]
fn without_a_project_it_is_a_mistake_at_its_place() {
    let routes = json!({"routes": [{"path": "/{*rest}"}]});
    assert_eq!(
        mistakes(std::slice::from_ref(&routes), false),
        [("E052", "routes[0].path".to_owned())]
    );
    assert!(mistakes(&[routes], true).is_empty());
}

#[test]
fn a_project_runs_on_threads_and_on_a_route_of_its_own_nothing_else_is_said() {
    let mistakes = |defaults: Value, python: Value| {
        let route = json!({"path": "/{*rest}", "python": python});
        mistakes(&[json!({"defaults": {"python": defaults}, "routes": [route]})], true)
    };
    let wrong = vec![("E128", "routes[0].python.run".to_owned())];
    for (run, found) in
        [("inline", &wrong), ("queue", &wrong), ("auto", &vec![]), ("thread", &vec![])]
    {
        assert_eq!(mistakes(json!(false), json!({"run": run, "concurrency": 2})), *found, "{run}");
    }
    assert!(mistakes(json!({"run": "inline"}), json!({"concurrency": 2})).is_empty());
    let inherits = json!({
        "defaults": {"python": {"run": "inline"}},
        "groups": [{"python": {"run": "queue"}, "routes": [{"path": "/{*rest}"}]}],
    });
    assert!(plan(&[inherits]).routes[0].handler.is_some());
}

#[test]
fn what_python_declares_is_its_own_and_the_rest_is_djangos() {
    let python = json!({"routes": [
        {"path": "/items", "methods": ["GET", "POST"], "handler": "m:f"},
        {"path": "/own", "handler": "m:f"},
    ]});
    let file = json!({"routes": [
        {"path": "/items", "methods": ["POST", "PUT"], "timeout": "5s"},
        {"path": "/own", "timeout": "6s"},
        {"path": "/else", "methods": ["GET"], "timeout": "7s"},
    ]});
    for documents in [[python.clone(), file.clone()], [file, python]] {
        let plan = plan(&documents);
        for (method, path, django, timed) in [
            (Method::GET, "/items", false, false),
            (Method::POST, "/items", false, true),
            (Method::PUT, "/items", true, true),
            (Method::GET, "/own", false, true),
            (Method::HEAD, "/own", false, true),
            (Method::GET, "/else", true, true),
        ] {
            assert_eq!(is_django(&plan, &method, path), django, "{method} {path}");
            let has = route(&plan, &method, path).timeout.is_some();
            assert_eq!(has, timed, "{method} {path}");
        }
        // Of a route of Python's a policy without methods speaks of those that it has.
        assert!(plan.router.find(&Method::POST, "/own").is_err());
        assert!(plan.router.find(&Method::POST, "/else").is_err());
    }
}

#[test]
fn each_method_has_what_its_own_declarations_say_whatever_their_order() {
    let one = json!({"routes": [{"path": "/a", "methods": ["POST"], "body_limit": "1B"}]});
    let all = json!({"groups": [{"name": "g", "prefix": "/a", "timeout": "5s", "routes": [
        {"path": "", "compress": true},
    ]}]});
    for documents in [[one.clone(), all.clone()], [all, one]] {
        let plan = plan(&documents);
        let (read, write) = (route(&plan, &Method::GET, "/a"), route(&plan, &Method::POST, "/a"));
        assert!(read.timeout.is_some() && write.timeout.is_some());
        assert_eq!((read.body_limit, write.body_limit), (Some(2 << 20), Some(1)));
        assert_eq!((read.locations.len(), write.locations.len()), (1, 2));
    }
}

#[test]
fn a_body_is_read_beforehand_where_its_limit_is_small() {
    let plan = plan(&[json!({"routes": [
        {"path": "/a"},
        {"path": "/b", "body_limit": "1GiB"},
        {"path": "/c", "body_limit": false},
        {"path": "/d", "body_limit": "1KiB"},
    ]})]);
    let body = |path| route(&plan, &Method::POST, path).handler.as_ref().unwrap().request_body;
    assert_eq!(
        ["/a", "/b", "/c", "/d"].map(body),
        [RequestBody::Buffer, RequestBody::Stream, RequestBody::Stream, RequestBody::Buffer,]
    );
}

#[test]
fn django_decides_only_where_django_answers() {
    let mounted = json!({"defaults": {"auth": "deny"}, "routes": [
        {"path": "/a", "auth": "django"}, {"path": "/b"}, {"path": "/c", "auth": "public"},
    ]});
    let plan = plan(&[mounted]);
    assert!(plan.has_auth);
    let access = |path| &route(&plan, &Method::GET, path).access;
    assert!(matches!(access("/a"), Access::Django));
    assert!(matches!(access("/b"), Access::Deny));
    assert!(matches!(access("/c"), Access::Public));
    let listed = plan.routes_json();
    let told: Vec<_> =
        listed.as_array().unwrap().iter().map(|one| (&one["auth"], &one["public"])).collect();
    assert_eq!(json!(told), json!([["django", false], ["denied", false], ["public", true]]));
    for (config, at) in [
        (json!({"routes": [{"path": "/", "handler": "m:f", "auth": "django"}]}), "routes[0].auth"),
        (json!({"routes": [{"path": "/", "respond": {}, "auth": "django"}]}), "routes[0].auth"),
        (
            json!({"defaults": {"auth": "django"}, "routes": [{"path": "/", "respond": {}}]}),
            "routes[0]",
        ),
    ] {
        assert_eq!(mistakes(&[config], true), [("E026", at.to_owned())]);
    }
    let any = json!({"routes": [{"path": "/", "auth": {"any": ["django"]}}]});
    assert_eq!(mistakes(&[any], true)[0], ("E085", "routes[0].auth.any[0]".to_owned()));
    let allow = json!({"routes": [{"path": "/", "auth": "django", "allow": "role(\"a\")"}]});
    assert_eq!(mistakes(&[allow], true), [("E024", "routes[0].allow".to_owned())]);
    let limit = json!({"routes": [{"path": "/", "auth": "django", "rate_limit": {
        "a": {"rate": "1/1m", "key": "claim:sub"},
    }}]});
    assert_eq!(mistakes(&[limit], true), [("W094", "routes[0].rate_limit".to_owned())]);
    let named = json!({"define": {"auth": {"django": {"type": "basic", "users": ["a:{SHA256}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]}}}, "routes": [{"path": "/"}]});
    assert!(mistakes(&[named], true).iter().any(|(code, _)| *code == "E023"));
}

/// Keeps the header fields that it gets.
struct Hears(Rc<RefCell<Vec<String>>>);

impl Handler for Hears {
    fn call(&self, request: Permitted<Request>) -> Reply {
        *self.0.borrow_mut() =
            request.headers.keys().map(|name| name.as_str().to_owned()).collect();
        Response::new(StatusCode::OK).into()
    }
}

/// What a handler hears of a request with these fields that comes from `peer`.
fn heard(config: Value, peer: &str, fields: &[&str]) -> Vec<String> {
    let plan = Arc::new(plan(&[config]));
    let heard = Rc::new(RefCell::new(Vec::new()));
    let engine = Engine::new(plan, |_| Rc::new(Hears(Rc::clone(&heard))));
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("a"));
    for field in fields {
        let name = HeaderName::from_bytes(field.as_bytes()).unwrap();
        headers.insert(name, HeaderValue::from_static("x"));
    }
    let request = Request::new(Method::GET, "/".parse().unwrap(), headers, Body::Empty);
    let Reply::Ready(Some(_)) = engine.call(request.from_peer(Some(peer.parse().unwrap()))) else {
        panic!("it waits")
    };
    let mut found = heard.take();
    found.sort_unstable();
    found
}

#[test]
fn django_hears_of_proxies_from_trusted_ones_alone() {
    let fields =
        ["X-Forwarded-For", "X-Forwarded-Proto", "X_Forwarded_Host", "Forwarded", "X-Real-IP"];
    let mut all: Vec<_> = fields.map(str::to_ascii_lowercase).into_iter().collect();
    all.push("host".to_owned());
    all.sort_unstable();
    let rest = json!({"path": "/{*rest}"});
    let behind = json!({"server": {"trusted_proxies": ["10.0.0.0/8"]}, "routes": [rest]});
    assert_eq!(heard(behind.clone(), "10.1.2.3:4", &fields), all);
    assert_eq!(heard(behind.clone(), "[::ffff:10.1.2.3]:4", &fields), all);
    assert_eq!(heard(behind, "192.0.2.1:4", &fields), ["host"]);
    assert_eq!(heard(json!({"routes": [rest]}), "10.1.2.3:4", &fields), ["host"]);
    // A handler of ours asks the request for the client, and may look at what was sent.
    let own = json!({"routes": [{"path": "/", "handler": "m:f"}]});
    assert_eq!(heard(own, "192.0.2.1:4", &fields), all);
    // What the configuration sets is nobody's word but ours.
    let set =
        json!({"routes": [{"path": "/{*rest}", "request_headers": {"set": {"x-real-ip": "a"}}}]});
    assert_eq!(heard(set, "192.0.2.1:4", &fields), ["host", "x-real-ip"]);
}

#[test]
fn a_path_that_only_the_rest_has_is_sent_to_the_route_with_a_slash() {
    let config = |slashes: &str| {
        json!({"server": {"paths": {"trailing_slash": slashes}}, "routes": [
            {"path": "/old/", "redirect": {"to": "/new/"}},
            {"path": "/login/", "methods": ["POST"]},
            {"path": "/one"},
            {"path": "/one/"},
            {"path": "/admin/{*rest}"},
            {"path": "/{*rest}"},
        ]})
    };
    let ask = |slashes: &str, method: Method, path: &str| {
        let engine =
            Engine::new(Arc::new(plan(&[config(slashes)])), |_| Rc::new(Hears(Rc::default())));
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("a"));
        let request = Request::new(method, path.parse().unwrap(), headers, Body::Empty);
        let Reply::Ready(Some(response)) = engine.call(request) else { panic!("it waits") };
        let to = response.headers.get(&header::LOCATION).map(|to| to.to_str().unwrap().to_owned());
        (response.status.as_u16(), to)
    };
    let to = |location: &str| (301, Some(location.to_owned()));
    assert_eq!(ask("django", Method::GET, "/old?a=b"), to("/old/?a=b"));
    assert_eq!(ask("django", Method::GET, "/admin"), to("/admin/"));
    // What is there as it is stays; nobody's form is lost; Django knows its own paths.
    assert_eq!(ask("django", Method::GET, "/one"), (200, None));
    assert_eq!(ask("django", Method::POST, "/old"), (200, None));
    assert_eq!(ask("django", Method::GET, "/login"), (200, None));
    assert_eq!(ask("django", Method::GET, "/else"), (200, None));
    assert_eq!(ask("strict", Method::GET, "/old"), (200, None));
}
