//! Tokens whose keys are at a URL, through the whole engine: the first waits, none fetches.

#![allow(clippy::unwrap_used)] // a document that cannot be compiled is a failed test

use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pybolt_engine::body::Body;
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderValue, Method, header};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::plan::Plan;
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pybolt_engine::response::Response;
use serde_json::json;

struct Empty;

impl Handler for Empty {
    fn call(&self, _: Permitted<Request>) -> Reply {
        Response::json("{}".into()).into()
    }
}

fn engine(url: &str) -> Engine {
    let wire = json!({"documents": [{"source": "x", "config": {"routes": [
        {"path": "/", "handler": "m:f", "auth": {
            "type": "jwt", "algorithms": ["EdDSA"], "jwks": {"url": url, "insecure_http": true},
        }},
    ]}}]});
    let (plan, found) = Plan::compile(&wire.to_string());
    let plan = plan.unwrap_or_else(|| panic!("{found:?}"));
    Engine::new(Arc::new(plan), |_| Rc::new(Empty))
}

fn request(token: &str) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(header::AUTHORIZATION, value);
    Request::new(Method::GET, "/".parse().unwrap(), headers, Body::Empty)
}

fn token(pair: &Ed25519KeyPair, kid: &str) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({"alg": "EdDSA", "kid": kid}));
    let message = format!("{head}.{}", part(json!({"sub": "u1", "exp": 4_102_444_800_u64})));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// A server of one key; how often it was asked.
fn serve(pair: &Ed25519KeyPair) -> (String, Arc<AtomicUsize>) {
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let body =
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": x}]}).to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            assert!(stream.read(&mut [0; 2048]).unwrap() > 0);
            counter.fetch_add(1, Ordering::Relaxed);
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close");
            stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
        }
    });
    (url, asked)
}

fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn the_first_token_waits_for_the_keys_and_no_other_does() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let stranger = Ed25519KeyPair::generate().unwrap();
    let (url, asked) = serve(&pair);
    let engine = engine(&url);
    on_a_runtime(async {
        let first = engine.call(request(&token(&pair, "one")));
        assert!(matches!(first, Reply::Pending(_)));
        let Ok(response) = first.await;
        assert_eq!(response.principal.unwrap().id, "u1");
        for (token, status) in [
            (token(&pair, "one"), 200),
            (token(&stranger, "one"), 401),
            (token(&pair, "two"), 401),
            (token(&stranger, "../one"), 401),
            ("a.b.c".to_owned(), 401),
        ] {
            let reply = engine.call(request(&token));
            assert!(matches!(reply, Reply::Ready(_)), "{token} waits");
            let Ok(response) = reply.await;
            assert_eq!(response.status.as_u16(), status, "{token}");
            assert_eq!(response.headers.contains(&header::WWW_AUTHENTICATE), status == 401);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn without_keys_every_token_is_refused() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}/jwks", listener.local_addr().unwrap());
    drop(listener);
    let engine = engine(&dead);
    on_a_runtime(async {
        for _ in 0..2 {
            let Ok(response) = engine.call(request(&token(&pair, "one"))).await;
            assert_eq!(response.status.as_u16(), 401);
        }
    });
}
