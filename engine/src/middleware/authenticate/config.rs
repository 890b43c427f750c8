//! The methods as they are written and compiled.

use std::sync::Arc;

use serde_json::Value;

use super::Principal;
use super::api_key::{ApiKeyConfig, ApiKeys};
use super::jwt::{JwtConfig, JwtVerifier};
use crate::config::decode::{Decode, Node};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location, did_you_mean};
use crate::http::{HeaderMap, HeaderName};
use crate::middleware::rejection::Rejection;
use crate::request::Parts;

/// A method as it is written; `type` says which.
#[derive(Debug, Clone)]
pub enum AuthConfig {
    /// `type: jwt`.
    Jwt(Box<JwtConfig>),
    /// `type: api_key`.
    ApiKey(ApiKeyConfig),
}

/// A compiled method.
#[derive(Debug)]
pub enum Authenticator {
    /// Bearer tokens.
    Jwt(Box<JwtVerifier>),
    /// Keys in a header.
    ApiKey(ApiKeys),
}

const TYPES: [&str; 2] = ["jwt", "api_key"];

impl Decode for AuthConfig {
    const EXPECTED: &'static str = "an authentication method: a mapping with `type`";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let object = node.object(out)?;
        let Some(kind) = object.get("type") else {
            out.push(
                Diagnostic::error("E013", node.at, "missing key `type`")
                    .hint(format!("write `type: {}`", TYPES.join("` or `type: "))),
            );
            return None;
        };
        let mut rest = object.clone();
        rest.shift_remove("type");
        let rest = Value::Object(rest);
        let inner = Node { value: &rest, at: node.at };
        match kind.as_str() {
            Some("jwt") => JwtConfig::decode(inner, out).map(Box::new).map(Self::Jwt),
            Some("api_key") => ApiKeyConfig::decode(inner, out).map(Self::ApiKey),
            other => {
                let hint = other.and_then(|other| did_you_mean(other, TYPES)).map_or_else(
                    || format!("write one of {}", TYPES.join(", ")),
                    |known| format!("did you mean `{known}`?"),
                );
                out.push(
                    Diagnostic::error("E070", &node.at.key("type"), "not a type of authentication")
                        .hint(hint),
                );
                None
            }
        }
    }
}

impl AuthConfig {
    /// The header that carries the credentials, where it is one.
    pub fn header(&self) -> Option<HeaderName> {
        match self {
            Self::Jwt(config) => {
                HeaderName::from_bytes(config.header.as_ref()?.to_ascii_lowercase().as_bytes()).ok()
            }
            Self::ApiKey(config) => config.header(),
        }
    }

    /// Checks and compiles.
    pub fn compile(&self, at: &Location, out: &mut Diagnostics) -> Option<Authenticator> {
        match self {
            Self::Jwt(config) => config.compile(at, out).map(Box::new).map(Authenticator::Jwt),
            Self::ApiKey(config) => config.compile(out).map(Authenticator::ApiKey),
        }
    }
}

impl Authenticator {
    /// Who is asking.
    ///
    /// # Errors
    /// `unauthorized` with the challenge, or `bad_header` for repeated credentials.
    pub fn authenticate(&self, parts: &Parts) -> Result<Arc<Principal>, Rejection> {
        match self {
            Self::Jwt(jwt) => jwt.authenticate(parts),
            Self::ApiKey(keys) => keys.authenticate(parts),
        }
    }

    /// Takes off a request what nobody behind may see: a key. A token stays, it can be passed on.
    pub fn conceal(&self, headers: &mut HeaderMap) {
        if let Self::ApiKey(keys) = self {
            keys.conceal(headers);
        }
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        match self {
            Self::Jwt(jwt) => jwt.summary(),
            Self::ApiKey(keys) => keys.summary(),
        }
    }
}
