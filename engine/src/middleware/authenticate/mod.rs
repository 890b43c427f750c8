//! Authenticate: who is asking. A JWT (RFC 7519), an API key, or a name and a password (RFC 7617).
//!
//! Below the limits that need no identity, above authorize. A route has one method or several: the
//! first whose credentials are there decides, and what it refuses no other one is asked about. A
//! bad credential is `401`, never anonymous; no credential is `401` with every challenge, or
//! nobody's request where `optional: true` says so. Several jwt methods that read one place are
//! told apart by the token's `iss`, and the one that it names verifies it with its own keys only.
//!
//! Options: `auth: {type: jwt, secret: ${JWT_SECRET}, algorithms: [HS256], issuer: …, audience: …,
//! leeway: 30s}` (one of `secret`, `public_key`, `jwk`, `jwks: {file: …}`, `jwks: {url: …,
//! refresh: 5m, cooldown: 30s, on_error: stale}`); `auth: {type: api_key, header: X-API-Key,
//! keys: ${file:/run/secrets/api_keys}}`; `auth: {type: basic, htpasswd: ${file:…}, realm: …, cache:
//! 5m}` (or `users: […]`); `auth: {any: [jwt, partner], optional: true}` with names or blocks.
//! Refusals: `unauthorized`, `bad_header`, `forbidden`, and `overloaded` where too many passwords
//! are to be verified at once.

mod api_key;
mod basic;
mod choice;
mod claims;
mod config;
mod fetch;
mod health;
mod jwks;
mod jwt;
mod keys;
mod passwords;
mod remote;
mod service;
mod signature;
mod strict_json;
mod succession;
mod token;
mod verified;
mod verify;

pub use self::choice::{Authentication, Candidate};
pub use self::claims::Claims;
pub use self::config::{Answer, AuthConfig, Authenticator, Place, Presented};
pub use self::remote::Remote;
pub use self::service::{Authenticate, AuthenticateLayer};

/// Who is asking: the outcome of an authentication method.
#[derive(Debug, Clone, Default)]
pub struct Principal {
    /// The identifier: the token's `sub`, the API key's id, the user's name.
    pub id: String,
    /// Roles, for `role("…")`.
    pub roles: Vec<String>,
    /// Scopes, for `scope("…")`.
    pub scopes: Vec<String>,
    /// The verified claims; empty for all but a token.
    pub claims: Claims,
    /// The name of the method that vouches for it: `jwt`, `api_key`, `basic`.
    pub method: &'static str,
}

impl Principal {
    /// A claim by name, or by a path of names with dots between where no claim has the whole name.
    pub fn claim(&self, path: &str) -> Option<&serde_json::Value> {
        let claims = self.claims.read();
        if let Some(value) = claims.get(path) {
            return Some(value);
        }
        let mut names = path.split('.');
        let first = claims.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    }
}
