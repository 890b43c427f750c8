//! A request that the listener refuses: what can be told of it, so that its answer goes through the
//! same chain as every other, with the log, the security headers and CORS.
//!
//! actix-http is handed [`STAND_IN`] in the refused bytes' place, after every earlier answer on the
//! connection, and the service that it calls finds the [`Refused`] on the connection's link. No
//! client can send anything that is taken for it.

use std::net::SocketAddr;

use crate::body::Body;
use crate::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use crate::middleware::rejection::RejectionKind;
use crate::request::Request;

/// What actix-http reads where a request was refused.
pub const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";

/// So many fields of a refused head are looked at.
const FIELDS: usize = 128;

/// A refused request.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub kind: RejectionKind,
    /// What came of its head.
    head: Box<[u8]>,
}

impl Refused {
    /// The request whose head begins with `head`.
    pub fn new(kind: RejectionKind, head: &[u8]) -> Self {
        Self { kind, head: head.into() }
    }

    /// The request, as far as it can be read: a method of `-` and a path of `*` where it cannot.
    /// Only fields that are well-formed and say nothing of the message's frame are taken.
    pub fn into_request(self, peer: Option<SocketAddr>) -> Request {
        let mut lines = self.head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
        let method = words.next().and_then(|word| Method::from_bytes(word).ok());
        let target = words.next().filter(|_| self.kind != RejectionKind::UriTooLong);
        let target = target.and_then(|word| Uri::try_from(word).ok());
        let method = method.or_else(|| Method::from_bytes(b"-").ok()).unwrap_or_default();
        let target = target.unwrap_or_else(|| Uri::from_static("*"));
        let mut headers = HeaderMap::new();
        for line in lines.take(FIELDS).take_while(|line| !line.is_empty()) {
            if let Some((name, value)) = field(line) {
                headers.append(name, value);
            }
        }
        let mut request = Request::new(method, target, headers, Body::Empty);
        request.version = Version::HTTP_11;
        request.from_peer(peer)
    }
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let name = HeaderName::from_bytes(name).ok().filter(|_| !name.contains(&b'_'))?;
    let framing =
        [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::EXPECT];
    let value = HeaderValue::from_bytes(value.trim_ascii()).ok()?;
    (!framing.contains(&name)).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_of_a_refused_request_is_told() {
        let head = b"POST /a?b HTTP/1.1\r\nAccept: text/html\r\nX-A : b\r\nx_b: c\r\nContent-Length: 1\r\nOrigin: https://a.example\r\n\r\nrest: no";
        let request = Refused::new(RejectionKind::BadHeader, head).into_request(None);
        assert_eq!((request.method.as_str(), request.uri.path()), ("POST", "/a"));
        let names: Vec<_> = request.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(request.headers.contains_key("accept") && request.headers.contains_key("origin"));
    }

    #[test]
    fn of_noise_nothing_is_told() {
        for head in [&b""[..], b"\x16\x03\x01", b"\n\n", b"\xff \xff \xff"] {
            let request = Refused::new(RejectionKind::BadRequest, head).into_request(None);
            assert_eq!((request.method.as_str(), request.uri.path()), ("-", "*"));
            assert!(request.headers.is_empty());
        }
    }
}
