//! What a layer costs beside the work that nobody can spare it, in one process and one run: the
//! verification of a token, and a codec. `make bench-alone` prints a line of JSON for each figure.
//!
//! A figure is the median of rounds in which both sides are measured in turn: (the route with the
//! layer - the route without) / the work alone.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program that a person reads

use std::future::Future;
use std::hint::black_box;
use std::io::Write;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use pybolt_engine::body::Body;
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderValue, Method, header};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::plan::Plan;
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pybolt_engine::response::Response;
use serde_json::{Map, Value, json};

const ROUNDS: usize = 15;
const SECRET: &str = "bench-only-secret-key-of-32-bytes!";

struct Same(Bytes);

impl Handler for Same {
    fn call(&self, _: Permitted<Request>) -> Reply {
        Response::json(self.0.clone()).into()
    }
}

fn engine(routes: &Value, body: &Bytes) -> Engine {
    let config = json!({"defaults": {"auth": "public"}, "routes": routes});
    let wire = json!({"documents": [{"source": "bench", "config": config}]}).to_string();
    let (plan, found) = Plan::compile(&wire);
    let plan = plan.unwrap_or_else(|| panic!("{found:?}"));
    Engine::new(Arc::new(plan), |_| Rc::new(Same(body.clone())))
}

fn ask(
    engine: &Engine,
    path: &str,
    field: Option<(&header::HeaderName, &HeaderValue)>,
) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    if let Some((name, value)) = field {
        headers.insert(name.clone(), value.clone());
    }
    let request = Request::new(Method::GET, path.parse().unwrap(), headers, Body::Empty);
    let mut reply = pin!(engine.call(request));
    match reply.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => response,
        Poll::Pending => panic!("{path} waits"),
    }
}

/// Microseconds that one of `work`'s calls takes, over all of `inputs`.
fn microseconds<T>(inputs: &[T], mut work: impl FnMut(&T)) -> f64 {
    let begun = Instant::now();
    for input in inputs {
        work(input);
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(inputs.len()).unwrap())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures the three sides in turn and prints the figure; whether it is within `limit`.
fn judge<T>(
    name: &str,
    limit: f64,
    inputs: &[T],
    with: impl Fn(&T),
    without: impl Fn(&T),
    alone: impl Fn(&T),
) -> bool {
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let figures = [
            microseconds(inputs, &with),
            microseconds(inputs, &without),
            microseconds(inputs, &alone),
        ];
        // The first round warms up.
        if round > 0 {
            rounds.push(figures);
        }
    }
    let side = |at: usize| median(rounds.iter().map(|figures| figures[at]).collect());
    let figure =
        median(rounds.iter().map(|[with, without, alone]| (with - without) / alone).collect());
    let pass = figure <= limit;
    let line = json!({
        "name": name, "pass": pass, "figure": figure, "limit": limit,
        "with_us": side(0), "without_us": side(1), "alone_us": side(2), "inputs": inputs.len(),
    });
    println!("{line}");
    pass
}

/// So many tokens that none of them is remembered when it comes again.
fn tokens(count: usize, algorithm: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<HeaderValue> {
    let head = URL_SAFE_NO_PAD.encode(json!({"alg": algorithm, "typ": "JWT"}).to_string());
    let token = |number| {
        let claims = json!({"sub": format!("user-{number}"), "exp": 4_102_444_800_u64}).to_string();
        let message = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
        HeaderValue::try_from(format!("Bearer {message}.{signature}")).unwrap()
    };
    (0..count).map(token).collect()
}

fn cold_token(
    name: &str,
    method: &Value,
    key: &DecodingKey,
    algorithm: Algorithm,
    tokens: &[HeaderValue],
) -> bool {
    let routes = json!([
        {"path": "/jwt", "handler": "m:f", "auth": method},
        {"path": "/public", "handler": "m:f"},
    ]);
    let engine = engine(&routes, &Bytes::from_static(b"{}"));
    assert_eq!(ask(&engine, "/jwt", Some((&header::AUTHORIZATION, &tokens[0]))).status, 200);
    let asked = |path: &str, token: &HeaderValue| {
        drop(black_box(ask(&engine, path, Some((&header::AUTHORIZATION, token)))));
    };
    let bare = |token: &HeaderValue| {
        let token = &token.to_str().unwrap()["Bearer ".len()..];
        let (message, signature) = token.rsplit_once('.').unwrap();
        let verified = jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm);
        assert!(black_box(verified).unwrap());
    };
    // What a program without this engine calls: the signature, the header, the claims.
    let validation = Validation::new(algorithm);
    let whole = |token: &HeaderValue| {
        let token = &token.to_str().unwrap()["Bearer ".len()..];
        black_box(jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation)).unwrap();
    };
    let (with, without) =
        (|token: &HeaderValue| asked("/jwt", token), |token: &HeaderValue| asked("/public", token));
    let against_bare = judge(name, 1.3, tokens, with, without, bare);
    let against_whole = judge(&format!("{name}_whole"), 1.3, tokens, with, without, whole);
    against_bare && against_whole
}

fn hs256() -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tokens = tokens(4_000, "HS256", |message| hmac::sign(&key, message).as_ref().to_vec());
    let method = json!({"type": "jwt", "secret": SECRET, "algorithms": ["HS256"]});
    cold_token(
        "jwt_cold_hs256",
        &method,
        &DecodingKey::from_secret(SECRET.as_bytes()),
        Algorithm::HS256,
        &tokens,
    )
}

fn rs256() -> bool {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let sign = |message: &[u8]| {
        let mut signature = vec![0; pair.public_modulus_len()];
        let random = SystemRandom::new();
        pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
        signature
    };
    let tokens = tokens(1_500, "RS256", sign);
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let lines: Vec<String> = STANDARD
        .encode(der.as_ref())
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let method = json!({"type": "jwt", "public_key": pem, "algorithms": ["RS256"]});
    let key = DecodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    cold_token("jwt_cold_rs256", &method, &key, Algorithm::RS256, &tokens)
}

/// About 10 KB of JSON as an API answers it.
fn document() -> Bytes {
    let item = |id: u32| {
        json!({"id": id, "name": format!("item {id}"), "price": f64::from(id * 37 % 1_000) / 100.0,
            "tags": ["new", "sale"], "url": format!("https://example.com/items/{id}/"), "stock": id * 7 % 90})
    };
    Bytes::from(json!({"items": (0..80).map(item).collect::<Vec<_>>()}).to_string())
}

fn codec(name: &str, encoding: &'static str, alone: impl Fn(&[u8])) -> bool {
    let body = document();
    let routes = json!([
        {"path": "/compressed", "handler": "m:f", "compress": {"encodings": [encoding]}},
        {"path": "/plain", "handler": "m:f"},
    ]);
    let engine = engine(&routes, &body);
    let accepted = HeaderValue::from_static(encoding);
    let field = Some((&header::ACCEPT_ENCODING, &accepted));
    let response = ask(&engine, "/compressed", field);
    assert_eq!(response.headers.get(&header::CONTENT_ENCODING), Some(&accepted));
    judge(
        name,
        1.2,
        &[(); 300],
        |()| drop(black_box(ask(&engine, "/compressed", field))),
        |()| drop(black_box(ask(&engine, "/plain", field))),
        |()| alone(&body),
    )
}

fn main() {
    let zstd = |body: &[u8]| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.write_all(body).unwrap();
        black_box(encoder.finish().unwrap());
    };
    let brotli = |body: &[u8]| {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 4, 20);
        encoder.write_all(body).unwrap();
        black_box(encoder.into_inner());
    };
    let gzip = |body: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(body).unwrap();
        black_box(encoder.finish().unwrap());
    };
    let passed = [
        hs256(),
        rs256(),
        codec("compress_zstd", "zstd", zstd),
        codec("compress_br", "br", brotli),
        codec("compress_gzip", "gzip", gzip),
    ];
    std::process::exit(i32::from(passed.contains(&false)));
}
