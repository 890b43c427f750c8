//! API keys: stored as SHA-256, compared in constant time, known by their id.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::{Place, Presented, Principal};
use crate::config;
use crate::config::decode::{Secret, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::http::{HeaderMap, HeaderName, HeaderValue, header};
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::request::Parts;

config! {
    /// Keys in a header.
    pub struct ApiKeyConfig {
        /// The header that carries the key.
        header: Spanned<String> = optional("X-API-Key"),
        /// Lines of `id:sha256:<hex>[:role,…]`; `#` begins a comment.
        keys: Spanned<Secret> = required like "${file:/run/secrets/api_keys}",
        /// Whether a request without a key passes, as nobody's; a bad key never does.
        optional: bool = default(false),
    }
}

/// Compiled API keys.
#[derive(Debug)]
pub struct ApiKeys {
    header: HeaderName,
    keys: Vec<ApiKey>,
    challenge: HeaderValue,
}

struct ApiKey {
    id: String,
    digest: [u8; 32],
    roles: Vec<String>,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

impl ApiKeyConfig {
    /// The header that carries the key, if it is one.
    pub fn header(&self) -> Option<HeaderName> {
        match &self.header {
            None => Some(HeaderName::from_static("x-api-key")),
            Some(name) => HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).ok(),
        }
    }

    /// Checks and compiles.
    pub fn compile(&self, out: &mut Diagnostics) -> Option<ApiKeys> {
        let Some(header) = self.header() else {
            if let Some(name) = &self.header {
                out.error("E101", &name.at, format!("`{}` is not a header name", name.value));
            }
            return None;
        };
        let mut keys: Vec<ApiKey> = Vec::new();
        let mut fine = true;
        for (number, line) in self.keys.expose().lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match parse(line).and_then(|key| distinct(key, &keys)) {
                Ok(key) => keys.push(key),
                Err(what) => {
                    fine = false;
                    let message = format!("line {} of the keys {what}", number + 1);
                    out.error("E079", &self.keys.at, message);
                }
            }
        }
        if fine && keys.is_empty() {
            out.push(
                Diagnostic::error("E079", &self.keys.at, "there are no keys")
                    .hint("write lines of `id:sha256:<hex>[:role,…]`"),
            );
            return None;
        }
        fine.then(|| ApiKeys { header, keys, challenge: HeaderValue::from_static("ApiKey") })
    }
}

/// A key that no other one could be taken for, and that somebody holds.
fn distinct(key: ApiKey, known: &[ApiKey]) -> Result<ApiKey, &'static str> {
    if known.iter().any(|known| known.id == key.id) {
        return Err("names an id that is there already");
    }
    if known.iter().any(|known| known.digest == key.digest) {
        return Err("has the digest of another id");
    }
    if key.digest == <[u8; 32]>::from(Sha256::digest([])) {
        return Err("has the digest of nothing");
    }
    Ok(key)
}

fn parse(line: &str) -> Result<ApiKey, &'static str> {
    read(line).ok_or("is not `id:sha256:<hex>[:role,…]`")
}

fn read(line: &str) -> Option<ApiKey> {
    let mut fields = line.split(':');
    let id = fields
        .next()
        .filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()))?;
    if fields.next()? != "sha256" {
        return None;
    }
    let digest = digest(fields.next()?)?;
    let roles = roles(fields.next().unwrap_or_default());
    fields.next().is_none().then(|| ApiKey { id: id.to_owned(), digest, roles })
}

/// A SHA-256 in hexadecimal digits.
pub fn digest(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// Roles with commas between.
pub fn roles(written: &str) -> Vec<String> {
    let roles = written.split(',').map(str::trim).filter(|role| !role.is_empty());
    roles.map(str::to_owned).collect()
}

impl ApiKeys {
    /// Who is asking. Every digest is compared, so that time tells nothing of where one matched.
    pub fn authenticate(&self, parts: &Parts) -> Result<Arc<Principal>, Rejection> {
        let refuse = || {
            Rejection::new(RejectionKind::Unauthorized)
                .with_header(header::WWW_AUTHENTICATE, self.challenge.clone())
        };
        let mut values = parts.headers.get_all(&self.header);
        let presented = values.next().ok_or_else(refuse)?;
        if values.next().is_some() {
            return Err(Rejection::new(RejectionKind::BadHeader));
        }
        let digest: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let mut found = Choice::from(0);
        let mut index = 0_u32;
        for (at, key) in (0_u32..).zip(&self.keys) {
            let equal = key.digest.ct_eq(&digest);
            index = u32::conditional_select(&index, &at, equal);
            found |= equal;
        }
        if !bool::from(found) {
            return Err(refuse());
        }
        let key = &self.keys[index as usize];
        Ok(Arc::new(Principal {
            id: key.id.clone(),
            roles: key.roles.clone(),
            method: "api_key",
            ..Principal::default()
        }))
    }

    /// Whether there is a key.
    pub fn presented(&self, parts: &Parts) -> Presented {
        if parts.headers.contains_key(&self.header) { Presented::Own } else { Presented::Nothing }
    }

    /// The place that the key is in.
    pub fn place(&self) -> Place {
        Place::Whole(self.header.clone())
    }

    /// What a client without a key is told.
    pub fn challenge(&self) -> &HeaderValue {
        &self.challenge
    }

    /// Takes the key off a request: what is behind sees the id, never the key.
    pub fn conceal(&self, headers: &mut HeaderMap) {
        headers.remove(&self.header);
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        format!("api_key in {}", self.header)
    }
}
