//! The tables of `tests/vectors`, through the whole engine in memory. The same tables are read by
//! the Python tests, through the test client.

#![allow(clippy::unwrap_used)] // a table that cannot be read is a failed test

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use pybolt_engine::body::Body;
use pybolt_engine::config::diagnostic::Diagnostic;
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::middleware::rejection::RejectionKind;
use pybolt_engine::plan::{Plan, RoutePlan};
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pybolt_engine::response::Response;
use serde_json::{Value, json};

/// Answers what it got, so that a row can ask for it. `big` and `image` answer something long,
/// `fields` header fields of its own; `panic`, `slow` and `busy` fail.
struct Echo(String);

impl Handler for Echo {
    fn call(&self, request: Permitted<Request>) -> Reply {
        let long = "0123456789".repeat(500);
        match self.0.as_str() {
            "big" => return Response::json(long.into()).into(),
            "image" => {
                let kind = HeaderValue::from_static("image/png");
                return Response::with_body(StatusCode::OK, kind, Bytes::from(long)).into();
            }
            "panic" => panic!("as the row asked"),
            "slow" => return Reply::pending(std::future::pending()),
            "busy" => return Response::new(StatusCode::SERVICE_UNAVAILABLE).into(),
            "fields" => return own_fields().into(),
            "stream" => return streamed(&long).into(),
            "nonce" => {
                let nonce = request.csp_nonce.as_ref().map(|nonce| nonce.get());
                return Response::json(json!({ "nonce": nonce }).to_string().into()).into();
            }
            _ => {}
        }
        let params: serde_json::Map<String, Value> =
            request.params.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        let scheme = if request.secure { "https" } else { "http" };
        let client = request.client_ip.to_string();
        let seen: serde_json::Map<String, Value> = request
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap_or_default())))
            .collect();
        let told = json!({
            "params": params,
            "client": client,
            "scheme": scheme,
            "seen": seen,
            "path": request.path(),
            "original_path": request.original_path(),
            "script_name": request.rewritten.as_ref().map_or("", |shown| &shown.script_name),
        });
        let told = told.to_string();
        let body = std::mem::take(&mut request.into_inner().body);
        Reply::pending(async move {
            match body.collect().await {
                Ok(_) => Response::json(told.into()),
                Err(_) => pybolt_engine::middleware::rejection::Rejection::new(
                    RejectionKind::BodyTooLarge,
                )
                .into_response(&HeaderMap::new()),
            }
        })
    }
}

/// A long answer of three chunks.
fn streamed(long: &str) -> Response {
    let chunks = [&long[..6], &long[6..4000], &long[4000..]].map(|c| Bytes::from(c.to_owned()));
    let mut response = Response::json(Bytes::new());
    response.body = Body::stream(Chunks(chunks.into()), None);
    response
}

struct Chunks(VecDeque<Bytes>);

impl futures_core::Stream for Chunks {
    type Item = std::io::Result<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.pop_front().map(Ok))
    }
}

/// What a handler sets that does its own CORS.
fn own_fields() -> Response {
    let mut response = Response::json(Bytes::from_static(b"{}"));
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "https://elsewhere.test"),
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "x-own"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "x-own"),
        (header::ACCESS_CONTROL_MAX_AGE, "60"),
        (header::VARY, "cookie"),
    ] {
        response.headers.append(name, HeaderValue::from_static(value));
    }
    response
}

fn handler(route: &RoutePlan) -> Rc<dyn Handler> {
    let name = route.handler.as_ref().map(|handler| handler.name.clone()).unwrap_or_default();
    Rc::new(Echo(name))
}

fn engine(config: &Value) -> Engine {
    let wire = json!({"documents": [{"source": "vector", "config": config}]}).to_string();
    let (plan, diagnostics) = Plan::compile(&wire);
    Engine::new(Arc::new(plan.unwrap_or_else(|| panic!("{diagnostics:?}"))), handler)
}

fn request(row: &Value) -> Request {
    let text = |key: &str, default: &str| row[key].as_str().unwrap_or(default).to_owned();
    let method = Method::from_bytes(text("method", "GET").as_bytes()).unwrap();
    let uri: Uri = text("url", "/").parse().unwrap();
    let mut headers = HeaderMap::new();
    for pair in row["headers"].as_array().into_iter().flatten() {
        let name = HeaderName::from_bytes(pair[0].as_str().unwrap().as_bytes()).unwrap();
        headers
            .append(name, HeaderValue::from_bytes(pair[1].as_str().unwrap().as_bytes()).unwrap());
    }
    // `host: null` is a request without one.
    if row.get("host").is_none() && !headers.contains_key(header::HOST) {
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    }
    let peer: IpAddr = text("peer", "127.0.0.1").parse().unwrap();
    let body = text("body", "");
    let body = if body.is_empty() {
        Body::Empty
    } else {
        let length = headers.contains_key(header::CONTENT_LENGTH).then_some(body.len() as u64);
        Body::stream(Once(Some(Bytes::from(body))), length)
    };
    Request::new(method, uri, headers, body).from_peer(Some(SocketAddr::new(peer, 40000)))
}

struct Once(Option<Bytes>);

impl futures_core::Stream for Once {
    type Item = std::io::Result<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.take().map(Ok))
    }
}

async fn check(engine: &Engine, row: &Value) -> Vec<String> {
    for before in row["before"].as_array().into_iter().flatten() {
        let Ok(_) = engine.call(request(before)).await;
    }
    for _ in 1..row["repeat"].as_u64().unwrap_or(1) {
        let Ok(_) = engine.call(request(&row["request"])).await;
    }
    let Ok(response) = engine.call(request(&row["request"])).await;
    let expect = &row["expect"];
    let mut wrong = Vec::new();
    let mut compare = |what: &str, expected: Value, found: Value| {
        if expected != found {
            wrong.push(format!("{}: {what}: expected {expected}, found {found}", row["name"]));
        }
    };
    if let Some(status) = expect["status"].as_u64() {
        compare("status", json!(status), json!(response.status.as_u16()));
    }
    if expect["code"].is_string() {
        compare("code", expect["code"].clone(), json!(response.rejection.map(RejectionKind::code)));
    }
    let value = |name: &str| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let values = response.headers.get_all(&name).map(|value| value.to_str().unwrap());
        let joined = values.collect::<Vec<_>>().join(", ");
        if response.headers.contains(&name) { json!(joined) } else { Value::Null }
    };
    let body = response.body.collect().await.unwrap();
    // What the row cannot know and the handler tells.
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let nonce = told["nonce"].as_str().unwrap_or("?");
    for (name, expected) in expect["headers"].as_object().into_iter().flatten() {
        let expected = expected.as_str().map(|text| text.replace("{nonce}", nonce));
        compare(name, json!(expected), value(name));
    }
    for (name, unwanted) in expect["not_headers"].as_object().into_iter().flatten() {
        compare(name, json!(true), json!(value(name) != *unwanted && !value(name).is_null()));
    }
    if expect["body"].is_string() {
        compare("body", expect["body"].clone(), json!(str::from_utf8(&body).unwrap()));
    }
    if TOLD.iter().chain([&"seen"]).any(|key| expect.get(key).is_some()) {
        for key in TOLD {
            if let Some(expected) = expect.get(key) {
                compare(key, expected.clone(), told[key].clone());
            }
        }
        for (name, expected) in expect["seen"].as_object().into_iter().flatten() {
            compare(name, expected.clone(), told["seen"][name].clone());
        }
    }
    wrong
}

/// What the handler tells of a request.
const TOLD: [&str; 6] = ["params", "client", "scheme", "path", "original_path", "script_name"];

/// A row whose keys are not all read would test less than it says.
fn assert_known(row: &Value) {
    let keys = |value: &Value, known: &[&str]| {
        for key in value.as_object().unwrap().keys() {
            assert!(known.contains(&key.as_str()), "{}: unknown key {key}", row["name"]);
        }
    };
    keys(row, &["name", "config", "before", "repeat", "request", "expect"]);
    let own = ["status", "code", "headers", "not_headers", "body", "seen"];
    keys(&row["expect"], &[&own[..], &TOLD].concat());
    for request in row["before"].as_array().into_iter().flatten().chain([&row["request"]]) {
        keys(request, &["method", "url", "host", "headers", "peer", "body"]);
    }
}

fn run(file: &str, at_least: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(file);
    let table: Value = serde_norway::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let rows = table["rows"].as_array().unwrap();
    assert!(rows.len() >= at_least, "{file} has only {} rows", rows.len());
    let configs: HashMap<&str, &Value> =
        table["configs"].as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let wrong: Vec<String> = rows
        .iter()
        .flat_map(|row| {
            assert_known(row);
            let engine = engine(configs[row["config"].as_str().unwrap()]);
            runtime.block_on(check(&engine, row))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn routing() {
    run("routing.yaml", 60);
}

#[test]
fn hosts_and_client_addresses() {
    run("hosts.yaml", 90);
}

#[test]
fn cors() {
    run("cors.yaml", 90);
}

#[test]
fn authentication_and_authorization() {
    run("auth.yaml", 100);
}

#[test]
fn several_methods_and_issuers_and_optional_auth() {
    run("auth_methods.yaml", 120);
}

#[test]
fn limits_ids_and_bodies() {
    run("policies.yaml", 20);
}

#[test]
fn maintenance_addresses_csrf_and_header_fields() {
    run("guards.yaml", 85);
}

#[test]
fn limits_with_costs_shadows_and_exceptions() {
    run("limiter.yaml", 30);
}

#[test]
fn security_headers() {
    run("security_headers.yaml", 24);
}

#[test]
fn compression() {
    run("compress.yaml", 55);
}

#[test]
fn rewritten_paths() {
    run("rewrite.yaml", 20);
}

#[test]
fn answers_from_rust() {
    run("answers.yaml", 45);
}

/// `H` in the table of mistakes.
fn spelled(value: &Value) -> Value {
    match value {
        Value::String(text) if text == "H" => json!({"path": "/", "handler": "m:f"}),
        Value::Array(items) => items.iter().map(spelled).collect(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), spelled(value))).collect()
        }
        other => other.clone(),
    }
}

#[test]
fn mistakes_at_startup() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join("plan_errors.yaml");
    let table: Value = serde_norway::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let rows = table["rows"].as_array().unwrap();
    assert!(rows.len() >= 100);
    for row in rows {
        let documents = row.get("documents").and_then(Value::as_array);
        let configs = documents.cloned().unwrap_or_else(|| vec![row["config"].clone()]);
        let documents: Vec<Value> = configs
            .iter()
            .map(|config| json!({"source": "x", "config": spelled(config)}))
            .collect();
        let (plan, found) = Plan::compile(&json!({ "documents": documents }).to_string());
        let told: Vec<Value> =
            found.iter().map(|item| json!([item.code, item.location.dotted()])).collect();
        assert_eq!(json!(told), row["expect"], "{}", row["name"]);
        assert_eq!(plan.is_none(), told.iter().any(|item| item[0].as_str() < Some("W")));
    }
}

/// The rows of files with mistakes that the engine finds; their places in the text are Python's.
#[test]
fn mistakes_in_files() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/bad_files.yaml");
    let table: Value = serde_norway::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let head = "version: 1\nroutes:\n  - {path: /, respond: {body: x}}\n";
    let mut tried = 0;
    for row in table["rows"].as_array().unwrap() {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        let tail = text("tail");
        // YAML itself, tags, repeated keys, references and imports are Python's to find, and YAML
        // 1.2 reads some numbers otherwise.
        if text("code") < "E010" || tail.contains(".nan") || tail.contains("1e3") {
            continue;
        }
        let source =
            if tail.is_empty() { text("whole").to_owned() } else { format!("{head}{tail}") };
        let config: Value = serde_norway::from_str(&source.replace("$$", "$")).unwrap();
        let wire = json!({"documents": [{"source": "x", "config": config}]}).to_string();
        let (plan, found) = Plan::compile(&wire);
        let told =
            |item: &Diagnostic| item.code == text("code") && item.message.contains(text("says"));
        assert!(plan.is_none() && found.iter().any(told), "{}: {found:?}", row["name"]);
        tried += 1;
    }
    assert!(tried >= 130, "{tried}");
}
