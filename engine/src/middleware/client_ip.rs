//! Client address: whose request it is, behind proxies that are trusted.
//!
//! Found by the engine before the chain, so that the log, the rules and the limits all speak of the
//! client. It is the right-most address of the configured forwarding header, over all its lines,
//! that is not a trusted proxy's. The header is read only from a trusted peer; an address that
//! cannot be parsed means the peer's own. What stands left of the address that was found is the
//! client's own say and is never read.
//!
//! Whether the client spoke TLS: with `forwarded` the `proto` of the element that gave the address,
//! with `x-forwarded-for` the last element of the last `X-Forwarded-Proto`.
//!
//! Options: `server.trusted_proxies: [10.0.0.0/8]`, `server.client_ip_header: x-forwarded-for`.
//! Refusals: none.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str;
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::http::header;
use crate::request::Parts;

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
    /// Checks networks, of trusted proxies or of rules; mapped IPv6 becomes IPv4, as addresses do.
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
            parsed.ok().map(canonical)
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
        let (name, read) = match self.source {
            Source::XForwardedFor => (header::X_FORWARDED_FOR, plain as fn(&[u8]) -> Option<Hop>),
            Source::Forwarded => (header::FORWARDED, forwarded as _),
        };
        let lines = parts.headers.get_all(name).rev();
        let elements = lines.flat_map(|line| FromRight::new(line.as_bytes(), b','));
        let mut client = Hop { address: peer, secure: None };
        for element in elements.take(MAX_ELEMENTS) {
            let Some(hop) = read(element) else {
                // What a trusted proxy wrote and we cannot read says nothing: the peer it is.
                client = Hop { address: peer, secure: None };
                break;
            };
            client = hop;
            if !self.trusts(client.address) {
                break;
            }
        }
        let secure = match self.source {
            Source::XForwardedFor => forwarded_proto(parts),
            Source::Forwarded => client.secure,
        };
        (client.address, secure.unwrap_or(parts.secure))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

/// A network of mapped IPv6 addresses is one of IPv4.
fn canonical(network: IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V6(net) => net.addr().to_ipv4_mapped().zip(net.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    mapped.and_then(|(address, length)| IpNet::new(address.into(), length).ok()).unwrap_or(network)
}

/// What one element of a forwarding header says.
struct Hop {
    address: IpAddr,
    secure: Option<bool>,
}

/// An element of `X-Forwarded-For`.
fn plain(element: &[u8]) -> Option<Hop> {
    let address = parse_address(str::from_utf8(element.trim_ascii()).ok()?)?;
    Some(Hop { address, secure: None })
}

/// An element of `Forwarded` (RFC 7239); a parameter that comes twice says nothing.
fn forwarded(element: &[u8]) -> Option<Hop> {
    let mut address = None;
    let mut secure = None;
    for pair in FromRight::new(element, b';') {
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        let value = match value.strip_prefix(b"\"") {
            Some(quoted) => quoted.strip_suffix(b"\"")?,
            None => value,
        };
        let before = if name.eq_ignore_ascii_case(b"for") {
            address.replace(parse_address(str::from_utf8(value).ok()?)?).is_some()
        } else if name.eq_ignore_ascii_case(b"proto") {
            secure.replace(value.eq_ignore_ascii_case(b"https")).is_some()
        } else {
            false
        };
        if before {
            return None;
        }
    }
    Some(Hop { address: address?, secure })
}

/// What the last proxy says in `X-Forwarded-Proto`.
fn forwarded_proto(parts: &Parts) -> Option<bool> {
    let line = parts.headers.get_all(header::X_FORWARDED_PROTO).next_back()?;
    let last = FromRight::new(line.as_bytes(), b',').next()?;
    Some(last.trim_ascii().eq_ignore_ascii_case(b"https"))
}

/// The elements of a list, the last one first. A separator inside quotes is not one; nothing left
/// of an element can change what it is.
struct FromRight<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> FromRight<'a> {
    fn new(list: &'a [u8], separator: u8) -> Self {
        Self { rest: Some(list), separator }
    }
}

impl<'a> Iterator for FromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let list = self.rest.take()?;
        let mut quoted = false;
        for (at, &byte) in list.iter().enumerate().rev() {
            if byte == b'"' && !is_escaped(&list[..at]) {
                quoted = !quoted;
            } else if byte == self.separator && !quoted {
                self.rest = Some(&list[..at]);
                return Some(&list[at + 1..]);
            }
        }
        Some(list)
    }
}

/// Whether what follows `before` is escaped: by a backslash that is not escaped itself.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
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
