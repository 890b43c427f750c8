//! Authenticate: who is asking.

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
