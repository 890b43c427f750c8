//! Client address: whose request it is, behind proxies that are trusted.
//!
//! The right-most address of the configured forwarding header, over all its lines, that is not a
//! trusted proxy's. The header is read only from a trusted peer; an address that cannot be parsed
//! means the peer's own. Where no proxy is trusted there is no layer: the peer is the client.
//!
//! Options: `server.trusted_proxies: [10.0.0.0/8]`, `server.client_ip_header: x-forwarded-for`.
//! Refusals: none.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use ipnet::IpNet;
use tower_layer::Layer;
use tower_service::Service;

use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::http::{HeaderName, header};
use crate::reply::Reply;
use crate::request::{Parts, Request};
use crate::response::Response;

/// So many elements of a forwarding header are looked at, from the right.
const MAX_ELEMENTS: usize = 64;

/// Which header trusted proxies name the client in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    XForwardedFor,
    Forwarded,
}

/// Whom to believe about the client's address.
#[derive(Debug)]
pub struct ClientIpPolicy {
    trusted: Arc<[IpNet]>,
    source: Source,
}

impl ClientIpPolicy {
    /// Checks the trusted networks.
    pub fn networks(networks: &[Spanned<String>], out: &mut Diagnostics) -> Arc<[IpNet]> {
        let parse = |network: &Spanned<String>| {
            let parsed =
                network.parse::<IpNet>().or_else(|_| network.parse::<IpAddr>().map(IpNet::from));
            if parsed.is_err() {
                out.push(
                    Diagnostic::error(
                        "E042",
                        &network.at,
                        format!("`{}` is not a network", network.value),
                    )
                    .hint("write for example `10.0.0.0/8` or `fd00::/8`"),
                );
            }
            parsed.ok()
        };
        networks.iter().filter_map(parse).collect()
    }

    /// The policy, where any proxy is trusted.
    pub fn compile(
        trusted: &Arc<[IpNet]>,
        name: Option<&Spanned<String>>,
        out: &mut Diagnostics,
    ) -> Option<Self> {
        let source = match name.map(|name| name.to_ascii_lowercase()).as_deref() {
            None | Some("x-forwarded-for") => Source::XForwardedFor,
            Some("forwarded") => Source::Forwarded,
            Some(other) => {
                let at = &name.expect("it was just read").at;
                out.push(
                    Diagnostic::error(
                        "E043",
                        at,
                        format!("`{other}` is not a header that names clients"),
                    )
                    .hint("write `x-forwarded-for` or `forwarded`"),
                );
                return None;
            }
        };
        (!trusted.is_empty()).then(|| Self { trusted: Arc::clone(trusted), source })
    }

    /// The client's address, and whether a trusted proxy says that it spoke TLS.
    pub fn resolve(&self, parts: &Parts) -> (IpAddr, bool) {
        let Some(peer) = parts.peer.map(|peer| peer.ip().to_canonical()) else {
            return (parts.client_ip, parts.secure);
        };
        if !self.trusts(peer) {
            return (peer, parts.secure);
        }
        let (name, element): (HeaderName, fn(&str) -> Option<IpAddr>) = match self.source {
            Source::XForwardedFor => (header::X_FORWARDED_FOR, parse_address),
            Source::Forwarded => (header::FORWARDED, forwarded_for),
        };
        let lines: Vec<&str> =
            parts.headers.get_all(name).map(|line| line.to_str().unwrap_or("?")).collect();
        let elements = lines.iter().rev().flat_map(|line| line.rsplit(',')).take(MAX_ELEMENTS);
        let mut client = peer;
        for text in elements {
            match element(text.trim()) {
                // What a trusted proxy wrote and we cannot read says nothing: the peer it is.
                None => return (peer, secure(parts)),
                Some(address) if self.trusts(address) => client = address,
                Some(address) => return (address, secure(parts)),
            }
        }
        (client, secure(parts))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

fn secure(parts: &Parts) -> bool {
    let proto = parts.headers.get(header::X_FORWARDED_PROTO).and_then(|value| value.to_str().ok());
    match proto {
        Some(proto) => {
            proto.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("https"))
        }
        None => parts.secure,
    }
}

/// An address with or without port, brackets and zone; mapped IPv6 becomes IPv4.
fn parse_address(text: &str) -> Option<IpAddr> {
    let parsed =
        text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().map(|a| a.ip()).ok());
    let bracketed = || text.strip_prefix('[')?.split_once(']').map(|(inner, _)| inner);
    let zoned = |text: &str| text.split_once('%')?.0.parse::<Ipv6Addr>().map(IpAddr::V6).ok();
    parsed
        .or_else(|| {
            let inner = bracketed()?;
            inner.parse::<Ipv6Addr>().map(IpAddr::V6).ok().or_else(|| zoned(inner))
        })
        .or_else(|| zoned(text))
        .map(|address| address.to_canonical())
}

/// The `for=` of one element of `Forwarded` (RFC 7239).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then(|| parse_address(value.trim().trim_matches('"')))?
    })
}

/// Makes [`ClientIp`] services.
pub struct ClientIpLayer {
    policy: Arc<ClientIpPolicy>,
}

impl ClientIpLayer {
    /// A layer under `policy`.
    pub fn new(policy: Arc<ClientIpPolicy>) -> Self {
        Self { policy }
    }
}

/// Sets the request's client address.
pub struct ClientIp<S> {
    inner: S,
    policy: Arc<ClientIpPolicy>,
}

impl<S> Layer<S> for ClientIpLayer {
    type Service = ClientIp<S>;

    fn layer(&self, inner: S) -> ClientIp<S> {
        ClientIp { inner, policy: Arc::clone(&self.policy) }
    }
}

impl<S> Service<Request> for ClientIp<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future = Reply>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Reply {
        (request.client_ip, request.secure) = self.policy.resolve(&request);
        self.inner.call(request)
    }
}
