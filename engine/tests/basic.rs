//! Names and passwords: what is slow is off the I/O thread, bounded, and done once.

#![allow(clippy::unwrap_used)] // a document that cannot be compiled is a failed test

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pybolt_engine::body::Body;
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderValue, Method, header};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::middleware::rejection::RejectionKind;
use pybolt_engine::plan::Plan;
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pybolt_engine::response::Response;
use serde_json::json;

/// Keeps the names of the headers that it is called with.
struct Names(Rc<RefCell<Vec<String>>>);

impl Handler for Names {
    fn call(&self, request: Permitted<Request>) -> Reply {
        *self.0.borrow_mut() = request.headers.keys().map(ToString::to_string).collect();
        Response::json("{}".into()).into()
    }
}

fn engine(seen: &Rc<RefCell<Vec<String>>>) -> Engine {
    let ann = format!("ann:{}", bcrypt::hash("secret", 6).unwrap());
    let wire = json!({"documents": [{"source": "x", "config": {
        "define": {"auth": {"people": {"type": "basic", "users": [ann]}}},
        "routes": [
            {"path": "/", "handler": "m:f", "auth": "people"},
            {"path": "/public", "handler": "m:f", "auth": "public"},
        ],
    }}]});
    let (plan, found) = Plan::compile(&wire.to_string());
    let plan = plan.unwrap_or_else(|| panic!("{found:?}"));
    Engine::new(Arc::new(plan), |_| Rc::new(Names(Rc::clone(seen))))
}

fn request(path: &str, password: &str) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    let value = format!("Basic {}", STANDARD.encode(format!("ann:{password}")));
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
    Request::new(Method::GET, path.parse().unwrap(), headers, Body::Empty)
}

fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn ready(reply: Reply) -> Option<Response> {
    match pin!(reply).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => Some(response),
        Poll::Pending => None,
    }
}

#[test]
fn a_password_is_verified_elsewhere_and_then_remembered() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let engine = engine(&seen);
    on_a_runtime(async {
        let slow = engine.call(request("/", "secret"));
        assert!(matches!(slow, Reply::Pending(_)), "it kept the I/O thread");
        let Ok(response) = slow.await;
        assert_eq!(response.principal.unwrap().id, "ann");
        assert_eq!(*seen.borrow(), ["host"], "a handler saw the password");
        let again = ready(engine.call(request("/", "secret")));
        assert_eq!(again.unwrap().principal.unwrap().id, "ann");
        for _ in 0..2 {
            let wrong = engine.call(request("/", "wrong"));
            assert!(matches!(wrong, Reply::Pending(_)), "a wrong password is remembered");
            let Ok(response) = wrong.await;
            assert_eq!(response.rejection, Some(RejectionKind::Unauthorized));
            assert!(response.headers.contains(&header::WWW_AUTHENTICATE));
        }
    });
}

#[test]
fn past_the_bound_requests_are_refused_at_once_and_others_go_on() {
    let engine = engine(&Rc::default());
    on_a_runtime(async {
        let mut waiting = Vec::new();
        let mut refused = 0;
        for number in 0..100 {
            match engine.call(request("/", &number.to_string())) {
                reply @ Reply::Pending(_) => waiting.push(reply),
                Reply::Ready(response) => {
                    let response = response.unwrap();
                    assert_eq!(response.rejection, Some(RejectionKind::Overloaded));
                    assert!(response.headers.contains(&header::RETRY_AFTER));
                    refused += 1;
                }
            }
        }
        assert_eq!((waiting.len(), refused), (64, 36));
        assert!(ready(engine.call(request("/public", "x"))).is_some());
        // Clients that go make room.
        waiting.truncate(60);
        assert!(matches!(engine.call(request("/", "x")), Reply::Pending(_)));
        for reply in waiting {
            let Ok(response) = reply.await;
            assert_eq!(response.rejection, Some(RejectionKind::Unauthorized));
        }
        let Ok(response) = engine.call(request("/", "secret")).await;
        assert_eq!(response.rejection, None);
    });
}
