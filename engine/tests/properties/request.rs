//! A whole request through a whole chain: answered, with a status that the table has, by fields
//! that can be sent, and with nothing of a stranger's allowed.

use std::cell::OnceCell;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pybolt_engine::body::Body;
use pybolt_engine::engine::Engine;
use pybolt_engine::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use pybolt_engine::plan::Plan;
use pybolt_engine::request::Request;
use serde_json::json;

use super::plan::Quiet;

thread_local! {
    static ENGINE: OnceCell<Engine> = const { OnceCell::new() };
}

/// The only origin that may read, and the only key that may ask.
pub const ORIGIN: &str = "https://app.example.com";

fn engine() -> Engine {
    let config = json!({
        "server": {"hosts": ["localhost"], "trusted_proxies": ["10.0.0.0/8"], "paths": {"trailing_slash": "django"}},
        "define": {"auth": {
            "jwt": {"type": "jwt", "secret": "s".repeat(64), "algorithms": ["HS256"]},
            "cookie": {"type": "jwt", "secret": "s".repeat(64), "algorithms": ["HS256"], "cookie": "session"},
            "key": {"type": "api_key", "keys": format!("a:sha256:{}", "a".repeat(64))},
            "basic": {"type": "basic", "users": [format!("a:{{SHA256}}{}", "b".repeat(64))]},
        }},
        "defaults": {"request_id": true, "security_headers": true, "compress": {"min_size": "0B"},
            "cors": {"origins": [ORIGIN], "credentials": true}, "csrf": true, "body_limit": "1KiB",
            "rate_limit": {"one": {"rate": "1000000/1s", "burst": 1_000_000}}},
        "routes": [
            {"path": "/", "methods": ["GET", "POST"], "handler": "m:f", "auth": {"any": ["jwt", "cookie", "key", "basic"]}},
            {"path": "/public/{id}/", "handler": "m:f", "auth": "public",
                "request_headers": {"remove": ["Cookie"], "principal": "X-User"}},
            {"path": "/old/{*rest}", "redirect": {"to": "/{*rest}", "keep_query": true}, "auth": "public"},
            {"path": "/ip", "respond": {"body": "ok"}, "auth": "public", "ip": {"allow": ["192.0.2.0/24"]}},
        ],
    });
    let wire = json!({"documents": [{"source": "fuzz", "config": config}]}).to_string();
    let (plan, found) = Plan::compile(&wire);
    Engine::new(Arc::new(plan.unwrap_or_else(|| panic!("{found:?}"))), |_| Rc::new(Quiet))
}

/// A request out of lines: `METHOD target`, then `name: value`; what is no field is left out, as
/// the server would have refused it.
fn request(text: &[u8]) -> Option<Request> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let first = str::from_utf8(lines.next()?).ok()?;
    let (method, target) = first.split_once(' ')?;
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let uri: Uri = target.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines.take(32) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(line[..colon].trim_ascii());
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    if !headers.contains_key(header::HOST) {
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    }
    let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), 1);
    Some(Request::new(method, uri, headers, Body::Empty).from_peer(Some(peer)))
}

/// Sends what `text` spells and looks at the answer.
pub fn holds(text: &[u8]) {
    let Some(request) = request(text) else { return };
    let (target, origin) = (request.uri.to_string(), request.headers.get(header::ORIGIN).cloned());
    let path = request.uri.path().to_owned();
    let reply = ENGINE.with(|cell| cell.get_or_init(engine).call(request));
    let mut reply = std::pin::pin!(reply);
    let Poll::Ready(Ok(response)) = reply.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("nothing here waits: {target}");
    };
    let status = response.status.as_u16();
    let known = [200, 204, 301, 302, 400, 401, 403, 404, 405, 413, 421, 429];
    assert!(known.contains(&status), "{status} for {target}");
    assert!(!(path == "/" && status == 200), "nobody has the digests' originals: {target}");
    assert!(!(path == "/ip" && status == 200), "a stranger was believed");
    if let Some(allowed) = response.headers.get(&header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        assert_eq!(allowed, ORIGIN);
        assert_eq!(origin.as_ref(), Some(allowed), "{target}");
    }
    if let Some(location) = response.headers.get(&header::LOCATION) {
        let location = location.as_bytes();
        assert!(location.starts_with(b"/") && !location.starts_with(b"//"), "{target}");
        assert!(location.iter().all(u8::is_ascii_graphic), "{target}");
        assert!(!location.contains(&b'\\'), "{target}");
    }
}
