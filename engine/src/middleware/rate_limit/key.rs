//! What a limit counts by.

use std::net::IpAddr;

use serde_json::Value;

use crate::config::decode::{Decode, Node};
use crate::config::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::config::schema::{self, Book};
use crate::http::HeaderName;
use crate::request::Parts;

/// One part of a limit's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateKey {
    /// The client's address; IPv6 by its /64.
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

    /// Appends this part of the request's key. A request without it falls into one shared bucket.
    pub fn append(&self, parts: &Parts, key: &mut KeyBuffer) {
        match self {
            Self::ClientIp => match parts.client_ip {
                IpAddr::V4(address) => key.push(&address.octets()),
                IpAddr::V6(address) => key.push(&address.octets()[..8]),
            },
            Self::Header(name) => key.push(parts.header(name).unwrap_or_default()),
            Self::Claim(name) => {
                let claim = |name| parts.principal.as_ref().and_then(|known| known.claim(name));
                let mut push = |found: Option<&Value>| match found {
                    None => key.push(b""),
                    Some(Value::String(text)) => key.push(text.as_bytes()),
                    Some(other) => key.push(other.to_string().as_bytes()),
                };
                push(claim(name));
                // A subject is somebody only in the eyes of its issuer (RFC 7519, 4.1.2).
                if name == "sub" {
                    push(claim("iss"));
                }
            }
            // Methods may know different ones by one identifier.
            Self::ApiKey => {
                let principal = parts.principal.as_deref();
                key.push(principal.map_or(b"", |principal| principal.method.as_bytes()));
                key.push(principal.map_or(b"", |principal| principal.id.as_bytes()));
            }
            Self::Route => key.push(&parts.route.0.to_le_bytes()),
        }
    }
}

/// The bytes of a key, each part with its length, on the stack while they are few.
pub struct KeyBuffer {
    inline: [u8; 96],
    len: usize,
    spilled: Vec<u8>,
}

impl KeyBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self { inline: [0; 96], len: 0, spilled: Vec::new() }
    }

    fn push(&mut self, part: &[u8]) {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.extend(&length);
        self.extend(part);
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.spilled.is_empty() && self.len + bytes.len() <= self.inline.len() {
            self.inline[self.len..self.len + bytes.len()].copy_from_slice(bytes);
            self.len += bytes.len();
        } else {
            if self.spilled.is_empty() {
                self.spilled.extend_from_slice(&self.inline[..self.len]);
            }
            self.spilled.extend_from_slice(bytes);
        }
    }

    /// The key.
    pub fn as_bytes(&self) -> &[u8] {
        if self.spilled.is_empty() { &self.inline[..self.len] } else { &self.spilled }
    }
}
