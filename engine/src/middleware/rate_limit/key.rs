//! What a limit counts by.

use std::hash::Hasher;
use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

use crate::config::decode::{Decode, Node};
use crate::config::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::config::schema::{self, Book};
use crate::http::HeaderName;
use crate::request::Parts;

/// One part of a limit's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateKey {
    /// The client's address; IPv6 by its prefix.
    ClientIp,
    /// A request header's value.
    Header(HeaderName),
    /// A claim of the principal, found as `claim("…")` in `allow` finds it.
    Claim(String),
    /// The principal's identifier.
    ApiKey,
    /// The route.
    Route,
}

impl Decode for RateKey {
    const EXPECTED: &'static str = "a key such as client_ip";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let text = node.text(Self::EXPECTED, out)?;
        let key = match text.split_once(':') {
            None => match text {
                "client_ip" => Some(Self::ClientIp),
                "api_key" => Some(Self::ApiKey),
                "route" => Some(Self::Route),
                _ => None,
            },
            Some(("header", name)) => {
                HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).ok().map(Self::Header)
            }
            Some(("claim", name)) if !name.is_empty() => Some(Self::Claim(name.to_owned())),
            Some(_) => None,
        };
        if key.is_none() {
            let known = ["client_ip", "api_key", "route", "header:NAME", "claim:NAME"];
            let hint = did_you_mean(text, known).map_or_else(
                || format!("write one of {}", known.join(", ")),
                |known| format!("did you mean `{known}`?"),
            );
            out.push(
                Diagnostic::error(
                    "E091",
                    node.at,
                    format!("`{text}` is not something to count by"),
                )
                .hint(hint),
            );
        }
        key
    }

    fn schema(_: &mut Book) -> Value {
        schema::text("client_ip|api_key|route|header:.+|claim:.+")
    }
}

/// Where a request is counted: what of it is not in the request itself.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The route, hashed: the same before and after a reload.
    pub route: u64,
    /// How many bits of an IPv6 address make a client.
    pub ipv6_prefix: u32,
}

impl RateKey {
    /// Whether the key is known only once the client is authenticated.
    pub fn needs_identity(&self) -> bool {
        matches!(self, Self::Claim(_) | Self::ApiKey)
    }

    /// How it is written.
    pub fn name(&self) -> String {
        match self {
            Self::ClientIp => "client_ip".into(),
            Self::Header(name) => format!("header:{name}"),
            Self::Claim(name) => format!("claim:{name}"),
            Self::ApiKey => "api_key".into(),
            Self::Route => "route".into(),
        }
    }

    /// Hashes this part of the request's key. A request without it falls into one shared bucket.
    pub fn hash(&self, parts: &Parts, scope: Scope, key: &mut impl Hasher) {
        match self {
            Self::ClientIp => match parts.client_ip {
                IpAddr::V4(address) => push(&address.octets(), key),
                IpAddr::V6(address) => push(&network(address, scope.ipv6_prefix).octets(), key),
            },
            Self::Header(name) => push(parts.header(name).unwrap_or_default(), key),
            Self::Claim(name) => {
                let claim = |name| parts.principal.as_ref().and_then(|known| known.claim(name));
                let mut push_claim = |found: Option<&Value>| match found {
                    None => push(b"", key),
                    Some(Value::String(text)) => push(text.as_bytes(), key),
                    Some(other) => push(other.to_string().as_bytes(), key),
                };
                push_claim(claim(name));
                // A subject is somebody only in the eyes of its issuer (RFC 7519, 4.1.2).
                if name == "sub" {
                    push_claim(claim("iss"));
                }
            }
            // Methods may know different ones by one identifier.
            Self::ApiKey => {
                let principal = parts.principal.as_deref();
                push(principal.map_or(b"", |principal| principal.method.as_bytes()), key);
                push(principal.map_or(b"", |principal| principal.id.as_bytes()), key);
            }
            Self::Route => push(&scope.route.to_le_bytes(), key),
        }
    }
}

/// Each part goes with its length, so that no two keys are the same bytes.
fn push(part: &[u8], key: &mut impl Hasher) {
    key.write(&(part.len() as u64).to_le_bytes());
    key.write(part);
}

/// The first `prefix` bits of an address.
fn network(address: Ipv6Addr, prefix: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(128 - prefix).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_the_prefix_of_an_address() {
        let address: Ipv6Addr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        for (prefix, expected) in [
            (128, "2001:db8:1:2:3:4:5:6"),
            (64, "2001:db8:1:2::"),
            (56, "2001:db8:1::"),
            (48, "2001:db8:1::"),
            (32, "2001:db8::"),
        ] {
            assert_eq!(network(address, prefix), expected.parse::<Ipv6Addr>().unwrap(), "{prefix}");
        }
    }
}
