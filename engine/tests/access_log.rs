//! The access log, seen from outside: what its lines say of requests that came through a proxy.

#![allow(clippy::unwrap_used)] // a plan or line that cannot be read is a failed test

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use pybolt_engine::body::Body;
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pybolt_engine::middleware::access_log::{LogSink, set_sink};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::plan::Plan;
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pybolt_engine::response::Response;
use serde_json::{Value, json};

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl LogSink for Lines {
    fn write(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

struct Fine;

impl Handler for Fine {
    fn call(&self, _: Permitted<Request>) -> Reply {
        Response::new(StatusCode::OK).into()
    }
}

#[test]
fn a_line_names_the_client_not_the_proxy() {
    let lines = Arc::new(Lines::default());
    set_sink(lines.clone());
    let config = json!({
        "server": {"trusted_proxies": ["10.0.0.0/8"]},
        "defaults": {"access_log": true},
        "routes": [{"path": "/", "handler": "m:f"}],
    });
    let wire = json!({"documents": [{"source": "log", "config": config}]}).to_string();
    let (plan, diagnostics) = Plan::compile(&wire);
    let plan = Arc::new(plan.unwrap_or_else(|| panic!("{diagnostics:?}")));
    let engine = Engine::new(plan, |_| Rc::new(Fine));
    for url in ["/", "/nowhere", "/%2f"] {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        headers.insert(header::X_FORWARDED_FOR, HeaderValue::from_static("1.2.3.4"));
        let request = Request::new(Method::GET, url.parse().unwrap(), headers, Body::Empty);
        let reply = engine.call(request.from_peer(Some("10.0.0.1:4000".parse().unwrap())));
        assert!(matches!(reply, Reply::Ready(Some(_))));
    }
    let lines = lines.0.lock().unwrap();
    let clients: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["client"].clone())
        .collect();
    assert_eq!(clients, ["1.2.3.4"; 3]);
}
