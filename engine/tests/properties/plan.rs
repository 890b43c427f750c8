//! Compiling documents: a plan that answers, or mistakes that can be told; never both, never a
//! panic, and twice the same.

use std::rc::Rc;
use std::sync::Arc;

use pybolt_engine::body::Body;
use pybolt_engine::config::codes::CODES;
use pybolt_engine::config::diagnostic::{Segment, Severity};
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderValue, Method, header};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::plan::Plan;
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pybolt_engine::response::Response;
use serde_json::{Value, json};

/// Answers nothing in particular.
pub struct Quiet;

impl Handler for Quiet {
    fn call(&self, _: Permitted<Request>) -> Reply {
        Response::json(bytes::Bytes::from_static(b"{}")).into()
    }
}

/// Compiles `wire` and looks at what came of it.
pub fn holds(wire: &str) {
    let (plan, found) = Plan::compile(wire);
    let (again, twice) = Plan::compile(wire);
    assert_eq!(found, twice, "compiled twice, told otherwise");
    assert_eq!(plan.is_some(), again.is_some());
    let errors = found.iter().filter(|item| item.severity == Severity::Error).count();
    assert_eq!(plan.is_none(), errors > 0, "{found:?}");
    for item in &found {
        assert!(CODES.iter().any(|(code, _)| *code == item.code), "{} is in no table", item.code);
        assert!(!item.message.is_empty());
        let first = item.location.segments().first();
        assert!(matches!(first, None | Some(Segment::Index(_))), "{item:?}");
    }
    let Some(plan) = plan else { return };
    let engine = Engine::new(Arc::new(plan), |_| Rc::new(Quiet));
    for target in ["/", "/items/7", "/static/a/b", "/../x"] {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("example.com"));
        let uri = target.parse().expect("it is a path");
        drop(engine.call(Request::new(Method::GET, uri, headers, Body::Empty)));
    }
}

/// A document that uses much of what there is; edits of it are what is compiled.
pub fn seed() -> Value {
    let digest = "a".repeat(64);
    json!({
        "version": 1,
        "server": {
            "listen": ["127.0.0.1:8000"], "hosts": ["example.com", "*.example.com"], "workers": 2,
            "trusted_proxies": ["10.0.0.0/8"], "client_ip_header": "forwarded",
            "drain_timeout": "30s", "https_redirect": false, "canonical_host": "example.com",
            "paths": {"trailing_slash": "django"}, "python": {"threads": 8, "switch_interval": "1ms"},
        },
        "define": {
            "cors": {"spa": {"origins": ["https://app.example.com", {"suffix": "https://*.example.com"}],
                "credentials": true, "max_age": "10m", "allow_headers": ["x-a"], "expose_headers": ["x-b"]}},
            "auth": {
                "jwt": {"type": "jwt", "secret": "x".repeat(64), "algorithms": ["HS256", "HS512"],
                    "issuer": "https://id.example.com/", "audience": ["api"], "leeway": "30s"},
                "partner": {"type": "api_key", "keys": format!("acme:sha256:{digest}:partner"), "header": "X-API-Key"},
                "staff": {"type": "basic", "users": [format!("ann:{{SHA256}}{digest}")], "realm": "Staff"},
            },
            "access_log": {"log": {"format": "json", "fields": ["user-agent"]}},
            "rate_limit": {"per_ip": {"rate": "100/1m", "burst": 50, "key": "client_ip"},
                "per_user": {"rate": "5/15m", "key": ["claim:sub", "header:x-a"]}},
        },
        "defaults": {"request_id": true,
            "security_headers": {"hsts": "1y", "frame": "deny"}, "compress": {"encodings": ["zstd", "br"], "min_size": "1KiB"},
            "auth": "deny", "rate_limit": {"per_ip": true}, "timeout": "15s", "body_limit": "2MiB", "cors": "spa",
            "response_headers": {"set": {"X-A": "a"}, "remove": ["X-B"]}, "csrf": {"trusted_origins": ["https://a.example.com"]}},
        "groups": [{"name": "api", "prefix": "/items", "auth": {"any": ["jwt", "partner"], "optional": true},
            "ip": {"allow": ["10.0.0.0/8"], "deny": ["10.6.6.6"]},
            "groups": [{"prefix": "/deep", "routes": [{"path": "/{*rest}", "respond": {"status": 404}}]}],
            "routes": [{"path": "/{id}", "methods": ["GET", "PUT"], "handler": "m:f",
                "allow": "role(\"a\") || !(scope(\"b\") && claim(\"c.d\") == 5)",
                "rate_limit": {"per_user": true, "own": {"rate": "1/1s"}},
                "request_headers": {"set": {"X-C": "c"}, "remove": ["Cookie"], "principal": "X-User"},
                "python": {"run": "auto", "concurrency": 64, "queue": 128, "max_wait": "250ms"}}]}],
        "routes": [
            {"path": "/", "respond": {"body": "ok", "content_type": "text/plain", "headers": {"x-d": "d"}}, "auth": "public"},
            {"path": "/old/{id}", "redirect": {"to": "/items/{id}?a={id}#b", "status": 308, "keep_query": true}, "auth": "public"},
            {"path": "/static/{*rest}", "handler": "m:g", "auth": "staff", "maintenance": {"enabled": false, "retry_after": "1m", "body": "x"}},
        ],
    })
}

/// What a value may be replaced by.
fn odd(choice: u8) -> Value {
    const WORDS: [&str; 20] = [
        "",
        "on",
        "off",
        "*",
        "/",
        "{",
        "{*x}",
        "5/0s",
        "1e3",
        "-1s",
        "99999999999999999999y",
        "public",
        "deny",
        "jwt",
        "per_ip",
        "null",
        "\u{0}",
        "https://*.co.uk",
        "é",
        "a.b..c",
    ];
    let choice = usize::from(choice);
    match choice {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(0),
        4 => json!(1_u64 << 63),
        5 => json!(1.5),
        6 => json!([]),
        7 => json!({}),
        8 => json!([[[[[[[[]]]]]]]]),
        9 => json!("x".repeat(5_000)),
        other => json!(WORDS[other % WORDS.len()]),
    }
}

fn nodes(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                nodes(item, &format!("{at}/{index}"), out);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                nodes(member, &format!("{at}/{key}"), out);
            }
        }
        _ => {}
    }
}

/// The wire of [`seed`] edited as `script` says: three bytes an edit, where and what.
pub fn edited(script: &[u8]) -> String {
    let mut document = seed();
    for edit in script.chunks_exact(3).take(8) {
        let mut places = Vec::new();
        nodes(&document, "", &mut places);
        let place = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % places.len();
        let value = document.pointer_mut(&places[place]).expect("it was just listed");
        match (edit[2], &mut *value) {
            (200..=219, Value::Object(members)) => {
                let key = members.keys().next().cloned().unwrap_or_default();
                members.shift_remove(&key);
            }
            (220..=239, Value::Object(members)) => {
                let first = members.values().next().cloned().unwrap_or_default();
                members.insert("unknown".to_owned(), first);
            }
            (200..=239, Value::Array(items)) => {
                let again = items.first().cloned().unwrap_or_default();
                items.push(again);
            }
            (200..=239, Value::String(text)) => {
                let middle = text.chars().take(text.chars().count() / 2).collect();
                *text = middle;
            }
            (choice, value) => *value = odd(choice),
        }
    }
    json!({"documents": [{"source": "fuzz", "config": document}]}).to_string()
}
