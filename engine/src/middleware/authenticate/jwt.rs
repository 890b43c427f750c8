//! JSON Web Tokens: the configuration and where the token is found.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::Principal;
use super::keys::{self, Key};
use super::signature::Algorithm;
use super::verified::Verified;
use super::verify::{self, Expectations};
use crate::config;
use crate::config::decode::{Decode, Node, OneOrMany, Secret, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location, did_you_mean};
use crate::config::units::Span;
use crate::http::{HeaderName, HeaderValue, header};
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::request::Parts;

config! {
    /// Bearer tokens: one of `secret`, `public_key`, `jwk`.
    pub struct JwtConfig {
        /// The HMAC secret, as long as the hash at least.
        secret: Spanned<Secret> = optional,
        /// The public key as PEM.
        public_key: Spanned<String> = optional,
        /// The key as a JWK or a JWK set.
        jwk: Spanned<AnyJson> = optional,
        /// The algorithms that are accepted.
        algorithms: Spanned<Vec<Spanned<String>>> = required,
        /// Who must have issued the token; makes `iss` required.
        issuer: Spanned<OneOrMany<String>> = optional,
        /// Whom it must be for; makes `aud` required.
        audience: Spanned<OneOrMany<String>> = optional,
        /// How far clocks may be apart; at most 5m, `0s` = not at all.
        leeway: Spanned<Span> = optional,
        /// The header that carries the token after `Bearer `.
        header: Spanned<String> = optional,
        /// The cookie that carries the token instead.
        cookie: Spanned<String> = optional,
        /// The query parameter that carries the token instead.
        query: Spanned<String> = optional,
        /// The claim with the roles.
        roles_claim: String = default("roles".to_owned()),
        /// The claim with the scopes.
        scope_claim: String = default("scope".to_owned()),
    }
}

/// Any JSON value.
#[derive(Debug, Clone)]
pub struct AnyJson(Value);

impl Decode for AnyJson {
    const EXPECTED: &'static str = "a JWK: a mapping, or its JSON text";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        if node.value.is_object() || node.value.is_string() {
            return Some(Self(node.value.clone()));
        }
        node.mismatch(Self::EXPECTED, out);
        None
    }
}

/// Where the token is.
#[derive(Debug)]
enum Source {
    Header(HeaderName),
    Cookie(String),
    Query(String),
}

/// Compiled bearer tokens.
#[derive(Debug)]
pub struct JwtVerifier {
    keys: Vec<Key>,
    source: Source,
    expected: Expectations,
    verified: Verified,
    missing: HeaderValue,
    invalid: HeaderValue,
}

/// A longer token is not looked at.
const MAX_TOKEN: usize = 8 * 1024;

impl JwtConfig {
    /// Checks and compiles.
    pub fn compile(&self, at: &Location, out: &mut Diagnostics) -> Option<JwtVerifier> {
        let algorithms = self.algorithms(out);
        let source = self.source(at, out);
        let leeway = match &self.leeway {
            Some(leeway) if leeway.0 > Duration::from_secs(300) => {
                out.push(
                    Diagnostic::error(
                        "E077",
                        &leeway.at,
                        "a leeway of more than 5m accepts expired tokens",
                    )
                    .hint("write at most `5m`"),
                );
                None
            }
            leeway => Some(leeway.as_ref().map_or(0.0, |leeway| leeway.0.as_secs_f64())),
        };
        let issuers = names(self.issuer.as_ref(), "issuer", out);
        let audiences = names(self.audience.as_ref(), "audience", out);
        let keys = self.keys(&algorithms?, at, out)?;
        Some(JwtVerifier {
            keys,
            source: source?,
            expected: Expectations {
                issuers: issuers?,
                audiences: audiences?,
                leeway: leeway?,
                roles: self.roles_claim.clone(),
                scopes: self.scope_claim.clone(),
            },
            verified: Verified::default(),
            missing: HeaderValue::from_static("Bearer"),
            invalid: HeaderValue::from_static("Bearer error=\"invalid_token\""),
        })
    }

    fn algorithms(&self, out: &mut Diagnostics) -> Option<Vec<Algorithm>> {
        if self.algorithms.is_empty() {
            out.error("E071", &self.algorithms.at, "no algorithms");
            return None;
        }
        let find = |name: &Spanned<String>| {
            let found = Algorithm::named(name);
            if found.is_none() {
                let known = Algorithm::ALL.map(|(known, _)| known);
                let hint = did_you_mean(name, known).map_or_else(
                    || format!("write one of {}", known.join(", ")),
                    |known| format!("did you mean `{known}`?"),
                );
                out.push(
                    Diagnostic::error(
                        "E071",
                        &name.at,
                        format!("`{}` is not an algorithm that is accepted", name.value),
                    )
                    .hint(hint),
                );
            }
            found
        };
        self.algorithms.iter().map(find).collect::<Vec<_>>().into_iter().collect()
    }

    fn keys(
        &self,
        algorithms: &[Algorithm],
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<Vec<Key>> {
        match (&self.secret, &self.public_key, &self.jwk) {
            (Some(secret), None, None) => keys::from_secret(secret, algorithms, out),
            (None, Some(pem), None) => keys::from_pem(pem, algorithms, out),
            (None, None, Some(jwk)) => {
                let value = Spanned { value: jwk.value.0.clone(), at: jwk.at.clone() };
                keys::from_jwk(&value, algorithms, out)
            }
            _ => {
                out.push(
                    Diagnostic::error("E072", at, "a jwt method has exactly one key")
                        .hint("write one of `secret`, `public_key`, `jwk`"),
                );
                None
            }
        }
    }

    fn source(&self, at: &Location, out: &mut Diagnostics) -> Option<Source> {
        match (&self.header, &self.cookie, &self.query) {
            (None, None, None) => Some(Source::Header(header::AUTHORIZATION)),
            (Some(name), None, None) => {
                match HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()) {
                    Ok(name) => Some(Source::Header(name)),
                    Err(_) => {
                        out.error(
                            "E101",
                            &name.at,
                            format!("`{}` is not a header name", name.value),
                        );
                        None
                    }
                }
            }
            (None, Some(cookie), None) => {
                // A cookie's name is a token (RFC 6265, 4.1.1), as a header's is.
                let fine = HeaderName::from_bytes(cookie.as_bytes()).is_ok();
                named(cookie, fine, "a cookie", out).map(Source::Cookie)
            }
            (None, None, Some(query)) => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
                let fine = !query.is_empty() && query.bytes().all(plain);
                named(query, fine, "a query parameter", out).map(Source::Query)
            }
            _ => {
                out.error(
                    "E078",
                    at,
                    "a token comes from one place: write one of `header`, `cookie`, `query`",
                );
                None
            }
        }
    }
}

/// The names of a list that is checked against; an empty list, or name, would switch the check off.
fn names(
    written: Option<&Spanned<OneOrMany<String>>>,
    key: &str,
    out: &mut Diagnostics,
) -> Option<Vec<String>> {
    let Some(written) = written else { return Some(Vec::new()) };
    let names = &written.value.0;
    if names.is_empty() || names.iter().any(String::is_empty) {
        out.push(
            Diagnostic::error("E084", &written.at, format!("`{key}` names nobody"))
                .hint("name who is accepted, or leave the key out"),
        );
        return None;
    }
    Some(names.clone())
}

/// The name of the place that a token comes from.
fn named(name: &Spanned<String>, fine: bool, what: &str, out: &mut Diagnostics) -> Option<String> {
    if !fine {
        out.error("E078", &name.at, format!("`{}` cannot name {what}", name.value));
    }
    fine.then(|| name.value.clone())
}

impl JwtVerifier {
    /// Who is asking.
    pub fn authenticate(&self, parts: &Parts) -> Result<Arc<Principal>, Rejection> {
        let token = self.token(parts)?.ok_or_else(|| Self::refuse(&self.missing))?;
        if token.len() > MAX_TOKEN {
            return Err(Self::refuse(&self.invalid));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        if let Some(principal) = self.verified.get(&token, now) {
            return Ok(principal);
        }
        let (principal, expires) = verify::verify(&token, &self.keys, &self.expected, now)
            .ok_or_else(|| Self::refuse(&self.invalid))?;
        let principal = Arc::new(principal);
        self.verified.insert(&token, &principal, now, expires);
        Ok(principal)
    }

    fn refuse(challenge: &HeaderValue) -> Rejection {
        Rejection::new(RejectionKind::Unauthorized)
            .with_header(header::WWW_AUTHENTICATE, challenge.clone())
    }

    /// The token where it should be; none, or none of this method's, is not an error yet.
    fn token<'a>(&self, parts: &'a Parts) -> Result<Option<std::borrow::Cow<'a, str>>, Rejection> {
        let twice = || Rejection::new(RejectionKind::BadHeader);
        match &self.source {
            Source::Header(name) => {
                let mut values = parts.headers.get_all(name);
                let Some(value) = values.next() else { return Ok(None) };
                if values.next().is_some() {
                    return Err(twice());
                }
                let Some((scheme, token)) =
                    value.to_str().ok().and_then(|text| text.split_once(' '))
                else {
                    return Err(Self::refuse(&self.invalid));
                };
                Ok(scheme.eq_ignore_ascii_case("bearer").then(|| token.into()))
            }
            Source::Cookie(name) => {
                let lines =
                    parts.headers.get_all(header::COOKIE).filter_map(|line| line.to_str().ok());
                let mut found = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
                    let (key, value) = pair.trim().split_once('=')?;
                    (key == name).then_some(value)
                });
                let token = found.next();
                if found.next().is_some() {
                    return Err(twice());
                }
                Ok(token.map(Into::into))
            }
            Source::Query(name) => {
                let pairs = parts
                    .uri
                    .query()
                    .unwrap_or_default()
                    .split('&')
                    .filter_map(|pair| pair.split_once('='));
                let mut found = pairs.filter(|(key, _)| key == name).map(|(_, value)| value);
                let token = found.next();
                if found.next().is_some() {
                    return Err(twice());
                }
                Ok(token.map(Into::into))
            }
        }
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let mut names: Vec<&str> = self
            .keys
            .iter()
            .flat_map(|key| key.algorithms.iter().map(|algorithm| algorithm.name()))
            .collect();
        names.dedup();
        format!("jwt {}", names.join("|"))
    }
}
