//! A request on its way through the chain: one box of parts, so that handing it from layer to
//! layer moves two words, and the body.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::body::Body;
use crate::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use crate::middleware::authenticate::Principal;
use crate::middleware::bulkhead::BulkheadPermit;
use crate::middleware::gate::Gate;
use crate::middleware::rejection::Form;
use crate::middleware::rewrite::Rewritten;
use crate::middleware::security_headers::CspNonce;

/// Index of a route in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RouteId(pub u32);

/// A request: its parts (it derefs to them) and its body.
pub struct Request {
    parts: Box<Parts>,
    /// The body as it arrives.
    pub body: Body,
}

/// Everything about a request but its body.
#[derive(Debug)]
pub struct Parts {
    /// The method as received.
    pub method: Method,
    /// The request target as received.
    pub uri: Uri,
    /// The protocol version.
    pub version: Version,
    /// The header fields, taken from actix as they are.
    pub headers: HeaderMap,
    /// The decoded path where decoding changed anything; see [`Parts::path`].
    pub decoded_path: Option<Box<str>>,
    /// Parameters captured from the path: (name, decoded value) in path order.
    pub params: Vec<(Arc<str>, Box<str>)>,
    /// The peer of the socket; none in the test client unless it names one.
    pub peer: Option<SocketAddr>,
    /// The client's address; the peer's until the engine has asked what a trusted proxy says.
    pub client_ip: IpAddr,
    /// Whether the client spoke TLS to us or to a trusted proxy.
    pub secure: bool,
    /// The form in which the client reads refusals.
    pub form: Form,
    /// The request's place with Python, where its route has a bulkhead.
    pub place: Option<BulkheadPermit>,
    /// The request id, where that layer is on.
    pub request_id: Option<HeaderValue>,
    /// Who is asking, once authenticated.
    pub principal: Option<Arc<Principal>>,
    /// The nonce of the answer's content security policy, where that has a place for one.
    pub csp_nonce: Option<Arc<CspNonce>>,
    /// What the handler is shown instead of the path that was matched.
    pub rewritten: Option<Box<Rewritten>>,
    /// The matched route (the fallback's id where none matched).
    pub route: RouteId,
    /// Whether it is a CORS preflight that the matched route's policy is to answer.
    pub preflight: bool,
    /// An answer decided before the chain (no route, wrong method, bad path, wrong host); the gate
    /// layer gives it.
    pub gate: Option<Gate>,
}

impl Request {
    /// A request as it comes off a connection.
    pub fn new(method: Method, uri: Uri, headers: HeaderMap, body: Body) -> Self {
        let parts = Parts {
            form: Form::from(&headers),
            place: None,
            method,
            uri,
            version: Version::HTTP_11,
            headers,
            decoded_path: None,
            params: Vec::new(),
            peer: None,
            client_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            secure: false,
            request_id: None,
            principal: None,
            csp_nonce: None,
            rewritten: None,
            route: RouteId::default(),
            preflight: false,
            gate: None,
        };
        Self { parts: Box::new(parts), body }
    }

    /// The same request coming from `peer`.
    #[must_use]
    pub fn from_peer(mut self, peer: Option<SocketAddr>) -> Self {
        self.peer = peer;
        if let Some(peer) = peer {
            self.client_ip = peer.ip().to_canonical();
        }
        self
    }

    /// Puts a request together again.
    pub fn from_boxed(parts: Box<Parts>, body: Body) -> Self {
        Self { parts, body }
    }

    /// Splits the request; the parts stay in their box.
    pub fn into_parts(self) -> (Box<Parts>, Body) {
        (self.parts, self.body)
    }
}

impl Parts {
    /// The path as it is routed and shown to the handler, decoded: exactly what Django would call
    /// `path_info`.
    pub fn path(&self) -> &str {
        self.rewritten.as_ref().map_or_else(|| self.original_path(), |shown| &shown.path)
    }

    /// The decoded path that was asked for.
    pub fn original_path(&self) -> &str {
        self.decoded_path.as_deref().unwrap_or_else(|| self.uri.path())
    }

    /// The first value of a header as bytes.
    pub fn header(&self, name: &HeaderName) -> Option<&[u8]> {
        self.headers.get(name).map(HeaderValue::as_bytes)
    }

    /// The captured path parameter `name`.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| &**key == name).map(|(_, value)| &**value)
    }
}

impl Deref for Request {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl DerefMut for Request {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.parts
    }
}
