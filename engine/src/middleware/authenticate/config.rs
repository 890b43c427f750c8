//! The methods as they are written and compiled.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use super::Principal;
use super::api_key::{ApiKeyConfig, ApiKeys};
use super::basic::{Basic, BasicConfig};
use super::jwt::{JwtConfig, JwtVerifier};
use crate::config::decode::{Decode, Node};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location, did_you_mean};
use crate::config::directories::Directories;
use crate::config::schema::{self, Book};
use crate::http::{HeaderMap, HeaderName, HeaderValue, header};
use crate::middleware::rejection::Rejection;
use crate::request::Parts;

/// A method as it is written; `type` says which.
#[derive(Debug, Clone)]
pub enum AuthConfig {
    /// `type: jwt`.
    Jwt(Box<JwtConfig>),
    /// `type: api_key`.
    ApiKey(ApiKeyConfig),
    /// `type: basic`.
    Basic(BasicConfig),
}

/// A compiled method.
#[derive(Debug)]
pub enum Authenticator {
    /// Bearer tokens.
    Jwt(Arc<JwtVerifier>),
    /// Keys in a header.
    ApiKey(ApiKeys),
    /// Names and passwords.
    Basic(Arc<Basic>),
}

const TYPES: [&str; 3] = ["jwt", "api_key", "basic"];

impl Decode for AuthConfig {
    const EXPECTED: &'static str = "an authentication method: a mapping with `type`";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let object = node.object(out)?;
        let Some(kind) = object.get("type") else {
            let hint = if object.contains_key("any") {
                "`any` is written where the methods are used, not defined".to_owned()
            } else {
                format!("write `type: {}`", TYPES.join("` or `type: "))
            };
            out.push(Diagnostic::error("E013", node.at, "missing key `type`").hint(hint));
            return None;
        };
        let mut rest = object.clone();
        rest.shift_remove("type");
        let rest = Value::Object(rest);
        let inner = Node { value: &rest, at: node.at };
        match kind.as_str() {
            Some("jwt") => JwtConfig::decode(inner, out).map(Box::new).map(Self::Jwt),
            Some("api_key") => ApiKeyConfig::decode(inner, out).map(Self::ApiKey),
            Some("basic") => BasicConfig::decode(inner, out).map(Self::Basic),
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

    fn schema(book: &mut Book) -> Value {
        schema::either([
            book.tagged::<JwtConfig>("type", "jwt"),
            book.tagged::<ApiKeyConfig>("type", "api_key"),
            book.tagged::<BasicConfig>("type", "basic"),
        ])
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
            Self::Basic(_) => Some(header::AUTHORIZATION),
        }
    }

    /// Whether a request without credentials passes.
    pub fn optional(&self) -> bool {
        match self {
            Self::Jwt(config) => config.optional,
            Self::ApiKey(config) => config.optional,
            Self::Basic(config) => config.optional,
        }
    }

    /// Checks and compiles.
    pub fn compile(
        &self,
        directories: Directories<'_>,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<Authenticator> {
        match self {
            Self::Jwt(config) => {
                config.compile(directories, at, out).map(Arc::new).map(Authenticator::Jwt)
            }
            Self::ApiKey(config) => config.compile(out).map(Authenticator::ApiKey),
            Self::Basic(config) => config.compile(at, out).map(Arc::new).map(Authenticator::Basic),
        }
    }
}

/// Who is asking, or why that is refused.
pub type Asked<P> = Result<P, Rejection>;

/// What comes when it is known: the wait for a thread that verifies.
pub type Later<P> = Pin<Box<dyn Future<Output = Asked<P>>>>;

/// Who is asking (`P`), at once or later.
pub enum Answer<P = Arc<Principal>> {
    /// It is known.
    Now(Asked<P>),
    /// It will be.
    Later(Later<P>),
}

/// Whether a request has credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// None.
    Nothing,
    /// Some where a method looks, but not of its kind.
    Foreign,
    /// Some of a method's own kind, good or bad.
    Own,
}

/// Where a method's credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A header, after this scheme.
    Scheme(HeaderName, &'static str),
    /// A whole header, whatever it says.
    Whole(HeaderName),
    /// A cookie.
    Cookie(String),
    /// A query parameter.
    Query(String),
}

impl Place {
    /// Whether nothing is left for a method at `other` that is asked later.
    pub fn hides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole(name), Self::Scheme(other, _)) => name == other,
            _ => self == other,
        }
    }
}

impl Authenticator {
    /// Who is asking, or `unauthorized` with the challenge, or `bad_header` for repeated
    /// credentials.
    pub fn authenticate(&self, parts: &Parts) -> Answer {
        match self {
            Self::Jwt(jwt) => jwt.authenticate(parts),
            Self::ApiKey(keys) => Answer::Now(keys.authenticate(parts)),
            Self::Basic(basic) => basic.authenticate(parts),
        }
    }

    /// Begins what goes on in the background.
    pub fn start(&self) {
        if let Self::Jwt(jwt) = self {
            jwt.start();
        }
    }

    /// Whether there are credentials for this method.
    pub fn presented(&self, parts: &Parts) -> Presented {
        match self {
            Self::Jwt(jwt) => jwt.presented(parts),
            Self::ApiKey(keys) => keys.presented(parts),
            Self::Basic(_) => Basic::presented(parts),
        }
    }

    /// Where the credentials are.
    pub fn place(&self) -> Place {
        match self {
            Self::Jwt(jwt) => jwt.place(),
            Self::ApiKey(keys) => keys.place(),
            Self::Basic(_) => Basic::place(),
        }
    }

    /// What a client without credentials is told.
    pub fn challenge(&self) -> &HeaderValue {
        match self {
            Self::Jwt(jwt) => jwt.challenge(),
            Self::ApiKey(keys) => keys.challenge(),
            Self::Basic(basic) => basic.challenge(),
        }
    }

    /// Takes off a request what nobody behind may see: a key, a password. A token stays, it can be
    /// passed on.
    pub fn conceal(&self, headers: &mut HeaderMap) {
        match self {
            Self::Jwt(_) => {}
            Self::ApiKey(keys) => keys.conceal(headers),
            Self::Basic(_) => Basic::conceal(headers),
        }
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        match self {
            Self::Jwt(jwt) => jwt.summary(),
            Self::ApiKey(keys) => keys.summary(),
            Self::Basic(basic) => basic.summary(),
        }
    }
}
