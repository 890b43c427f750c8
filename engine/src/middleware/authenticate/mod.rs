//! Authenticate: who is asking. A JWT (RFC 7519) or an API key.
//!
//! Below the limits that need no identity, above authorize. A route has one method; a request
//! without valid credentials is `401` with the method's challenge, never anonymous.
//!
//! Options: `auth: {type: jwt, secret: ${JWT_SECRET}, algorithms: [HS256], issuer: …, audience: …,
//! leeway: 30s}` (one of `secret`, `public_key`, `jwk`); `auth: {type: api_key, header: X-API-Key,
//! keys: ${file:/run/secrets/api_keys}}`. Refusals: `unauthorized`, `bad_header`, `forbidden`.

mod api_key;
mod config;
mod jwt;
mod keys;
mod service;
mod signature;
mod strict_json;
mod verified;
mod verify;

pub use self::config::{AuthConfig, Authenticator};
pub use self::service::{Authenticate, AuthenticateLayer};

/// Who is asking: the outcome of an authentication method.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Principal {
    /// The identifier: the token's `sub`, the API key's id.
    pub id: String,
    /// Roles, for `role("…")`.
    pub roles: Vec<String>,
    /// Scopes, for `scope("…")`.
    pub scopes: Vec<String>,
    /// The verified claims; empty for an API key.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// The name of the method that vouches for it: `jwt`, `api_key`.
    pub method: &'static str,
}

impl Principal {
    /// A claim by name, or by a path of names with dots between where no claim has the whole name.
    pub fn claim(&self, path: &str) -> Option<&serde_json::Value> {
        if let Some(value) = self.claims.get(path) {
            return Some(value);
        }
        let mut names = path.split('.');
        let first = self.claims.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    }
}
