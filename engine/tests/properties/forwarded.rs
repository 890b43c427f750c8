//! The client's address behind proxies: decided by what the trusted ones wrote and by nothing else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use pybolt_engine::body::Body;
use pybolt_engine::config::decode::Spanned;
use pybolt_engine::config::diagnostic::{Diagnostics, Location};
use pybolt_engine::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pybolt_engine::middleware::client_ip::ClientIpPolicy;
use pybolt_engine::request::Request;

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

/// One policy for each header that names clients.
fn policies() -> &'static [(HeaderName, ClientIpPolicy); 2] {
    static POLICIES: OnceLock<[(HeaderName, ClientIpPolicy); 2]> = OnceLock::new();
    POLICIES.get_or_init(|| {
        [header::X_FORWARDED_FOR, header::FORWARDED].map(|name| {
            let spanned =
                |value: &str| Spanned { value: value.to_owned(), at: Location::default() };
            let mut out = Diagnostics::default();
            let trusted: Arc<_> = ClientIpPolicy::networks(&[spanned("10.0.0.0/8")], &mut out);
            let header = spanned(name.as_str());
            let policy = ClientIpPolicy::compile(&trusted, Some(&header), &mut out);
            (name, policy.expect("the policy is right"))
        })
    })
}

fn resolve(
    policy: &ClientIpPolicy,
    name: &HeaderName,
    lines: &[HeaderValue],
    from: IpAddr,
) -> (IpAddr, bool) {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name.clone(), line.clone());
    }
    let uri = "/".parse().expect("a slash is a path");
    let request = Request::new(Method::GET, uri, headers, Body::Empty);
    policy.resolve(&request.from_peer(Some(SocketAddr::new(from, 1))))
}

/// Whatever `said` is, what the trusted proxy appends to it, or writes on a line below, decides.
pub fn holds(said: &[u8]) {
    let Ok(line) = HeaderValue::from_bytes(said) else { return };
    for (name, policy) in policies() {
        let truth = if *name == header::FORWARDED { "for=203.0.113.9" } else { "203.0.113.9" };
        let appended = [said, b", ", truth.as_bytes()].concat();
        let appended = HeaderValue::from_bytes(&appended).expect("it is said already");
        assert_eq!(resolve(policy, name, &[appended], PROXY), (CLIENT, false), "{name}: {line:?}");
        let below = [line.clone(), HeaderValue::from_static(truth)];
        assert_eq!(resolve(policy, name, &below, PROXY), (CLIENT, false), "{name}: {line:?}");
        let forged = resolve(policy, name, std::slice::from_ref(&line), STRANGER);
        assert_eq!(forged, (STRANGER, false), "a stranger was believed: {name}: {line:?}");
        let (found, _) = resolve(policy, name, std::slice::from_ref(&line), PROXY);
        assert_eq!(found, found.to_canonical(), "{name}: {line:?}");
    }
}
