//! Origins (RFC 6454): exact ones and suffixes.

use std::fmt;

use serde_json::{Value, json};

use crate::config::decode::{Decode, Node};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::schema::{self, Book};
use crate::middleware::host::split_port;

/// An allowed origin as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginConfig {
    /// `*`.
    Any,
    /// One origin.
    Exact(String),
    /// `{suffix: "https://*.example.com"}`.
    Suffix(String),
}

/// An allowed origin, ready to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The serialised origin.
    Exact(String),
    /// Scheme with `://`, and `.host[:port]`.
    Suffix(String, String),
}

impl Decode for OriginConfig {
    const EXPECTED: &'static str = "an origin such as https://app.example.com";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        match node.value {
            Value::String(text) if text == "*" => Some(Self::Any),
            Value::String(text) => Some(Self::Exact(text.clone())),
            Value::Object(object)
                if object.len() == 1 && object.get("suffix").is_some_and(Value::is_string) =>
            {
                object["suffix"].as_str().map(|suffix| Self::Suffix(suffix.to_owned()))
            }
            _ => {
                node.mismatch("an origin such as `https://app.example.com` or `{suffix: \"https://*.example.com\"}`", out);
                None
            }
        }
    }

    fn schema(_: &mut Book) -> Value {
        let suffix = json!({
            "type": "object",
            "required": ["suffix"],
            "additionalProperties": false,
            "properties": {"suffix": {"type": "string", "description": "All hosts below one: `https://*.example.com`."}},
        });
        schema::either([json!({"type": "string"}), suffix])
    }
}

impl Origin {
    /// Checks an exact origin or a suffix.
    pub fn compile(
        written: &OriginConfig,
        credentials: bool,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<Self> {
        let (text, suffix) = match written {
            OriginConfig::Any => return None,
            OriginConfig::Exact(text) => (text, false),
            OriginConfig::Suffix(text) => (text, true),
        };
        let mut fail = |code, message: String, hint: &str| {
            out.push(Diagnostic::error(code, at, message).hint(hint));
            None
        };
        if text == "null" {
            return fail(
                "E061",
                "the origin `null` stands for anybody".into(),
                "name the origins that you mean",
            );
        }
        let Some((scheme, authority)) = text.split_once("://") else {
            return fail(
                "E062",
                format!("`{text}` has no scheme"),
                "write it as browsers send it: `https://app.example.com`",
            );
        };
        let scheme = scheme.to_ascii_lowercase();
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ', ',']) {
            return fail(
                "E063",
                format!("`{text}` is more than an origin"),
                "an origin is scheme, host and port, without path",
            );
        }
        if authority.to_ascii_lowercase() != authority {
            return fail(
                "E064",
                format!("`{text}` is not how browsers send it"),
                "write the host in lower case",
            );
        }
        let bare = match authority.strip_prefix("*.") {
            Some(bare) if suffix && !bare.contains('*') => bare,
            _ if suffix => {
                return fail(
                    "E066",
                    format!("`{text}` is not a suffix"),
                    "write `https://*.example.com`",
                );
            }
            _ if authority.contains('*') => {
                return fail(
                    "E066",
                    format!("`{text}` has a `*`"),
                    "write `{suffix: \"https://*.example.com\"}`",
                );
            }
            _ => authority,
        };
        let Some((host, port)) = split_port(bare).filter(|_| is_scheme(&scheme)) else {
            return fail(
                "E063",
                format!("`{text}` is not an origin"),
                "an origin is scheme, host and port, such as `https://app.example.com:8443`",
            );
        };
        let local = host == "localhost"
            || host.ends_with(".localhost")
            || host == "127.0.0.1"
            || host == "[::1]";
        if scheme == "http" && credentials && !local {
            return fail(
                "E065",
                format!("`{text}` with credentials can be read by anybody on the wire"),
                "write `https://`",
            );
        }
        if suffix && !local && psl::domain_str(host).is_none() {
            return fail(
                "E067",
                format!("anybody can have a name under `{host}`"),
                "write a suffix under a domain of your own",
            );
        }
        // Browsers leave the default port out.
        let port = match (scheme.as_str(), port) {
            (_, None) | ("https", Some(443)) | ("http", Some(80)) => String::new(),
            (_, Some(port)) => format!(":{port}"),
        };
        Some(if suffix {
            Self::Suffix(format!("{scheme}://"), format!(".{host}{port}"))
        } else {
            Self::Exact(format!("{scheme}://{host}{port}"))
        })
    }

    /// Whether a request's `Origin` is this one.
    pub fn matches(&self, origin: &[u8]) -> bool {
        match self {
            Self::Exact(known) => known.as_bytes() == origin,
            Self::Suffix(scheme, domain) => {
                let Some(host) = origin.strip_prefix(scheme.as_bytes()) else { return false };
                let Some(label) = host.strip_suffix(domain.as_bytes()) else { return false };
                !label.is_empty()
                    && label.iter().all(|byte| {
                        byte.is_ascii_lowercase()
                            || byte.is_ascii_digit()
                            || matches!(byte, b'-' | b'.')
                    })
                    && !label.starts_with(b".")
                    && !label.ends_with(b".")
            }
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(origin) => f.write_str(origin),
            Self::Suffix(scheme, domain) => write!(f, "{scheme}*{domain}"),
        }
    }
}

/// Whether this is a scheme (RFC 3986, 3.1) in lower case.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}
