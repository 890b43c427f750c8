//! JSON Web Tokens: the configuration and where the token is found.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::jwks::{self, JwksConfig};
use super::keys;
use super::remote::{KeySet, Remote};
use super::signature::Algorithm;
use super::token::{Found, Source};
use super::verify::{self, Expectations};
use super::{Answer, Place, Presented, Principal};
use crate::config;
use crate::config::decode::{Decode, Node, OneOrMany, Secret, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location, did_you_mean};
use crate::config::directories::Directories;
use crate::config::schema::Book;
use crate::config::units::Span;
use crate::http::{HeaderValue, header};
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::request::Parts;

config! {
    /// Bearer tokens: one of `secret`, `public_key`, `jwk`, `jwks`.
    pub struct JwtConfig one of [secret, public_key, jwk, jwks] {
        /// The HMAC secret, as long as the hash at least.
        secret: Spanned<Secret> = optional like "${JWT_SECRET}",
        /// The public key as PEM.
        public_key: Spanned<String> = optional like "${file:/etc/bolt/jwt.pem}",
        /// The key as a JWK or a JWK set.
        jwk: Spanned<AnyJson> = optional like "${file:/etc/bolt/jwk.json}",
        /// Where a set of public keys is to be had.
        jwks: Spanned<JwksConfig> = optional,
        /// The algorithms that are accepted.
        algorithms: Spanned<Vec<Spanned<String>>> = required like ["HS256"],
        /// Who must have issued the token; makes `iss` required.
        issuer: Spanned<OneOrMany<String>> = optional like "https://id.example.com/",
        /// Whom it must be for; makes `aud` required.
        audience: Spanned<OneOrMany<String>> = optional like ["api"],
        /// How far clocks may be apart; at most 5m, `0s` = not at all.
        leeway: Spanned<Span> = optional("0s"),
        /// The header that carries the token after `Bearer `.
        header: Spanned<String> = optional("Authorization"),
        /// The cookie that carries the token instead.
        cookie: Spanned<String> = optional like "token",
        /// The query parameter that carries the token instead.
        query: Spanned<String> = optional like "token",
        /// Whether a request without a token passes, as nobody's; a bad token never does.
        optional: bool = default(false),
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
        // A JWK may be a secret one.
        out.secret(node.at);
        if node.value.is_object() || node.value.is_string() {
            return Some(Self(node.value.clone()));
        }
        node.mismatch(Self::EXPECTED, out);
        None
    }

    fn schema(_: &mut Book) -> Value {
        json!({"type": ["object", "string"], "writeOnly": true})
    }
}

/// The keys of a method: those of the plan, or those at a URL.
#[derive(Debug)]
enum Keys {
    Fixed(Arc<KeySet>),
    Remote(Arc<Remote>),
}

/// Compiled bearer tokens.
#[derive(Debug)]
pub struct JwtVerifier {
    keys: Keys,
    source: Source,
    expected: Expectations,
    missing: HeaderValue,
    invalid: HeaderValue,
}

/// A longer token is not looked at.
const MAX_TOKEN: usize = 8 * 1024;

impl JwtConfig {
    /// Checks and compiles.
    pub fn compile(
        &self,
        directories: Directories<'_>,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<JwtVerifier> {
        let algorithms = self.algorithms(out);
        let places = [self.header.as_ref(), self.cookie.as_ref(), self.query.as_ref()];
        let source = Source::compile(places, at, out);
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
        let keys = self.keys(&algorithms?, directories, at, out)?;
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
        directories: Directories<'_>,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<Keys> {
        let keys = match (&self.secret, &self.public_key, &self.jwk, &self.jwks) {
            (Some(secret), None, None, None) => keys::from_secret(secret, algorithms, out),
            (None, Some(pem), None, None) => keys::from_pem(pem, algorithms, out),
            (None, None, None, Some(jwks)) => match (&jwks.file, &jwks.url) {
                (Some(file), None) => {
                    let plain = jwks.is_plain(out);
                    jwks::from_file(&directories.path(file), &file.at, algorithms, out)
                        .filter(|_| plain)
                }
                (None, Some(url)) => {
                    let remote = jwks.remote(url, algorithms, out)?;
                    return Some(Keys::Remote(Arc::new(remote)));
                }
                _ => {
                    out.push(
                        Diagnostic::error("E088", &jwks.at, "no one place to have the keys from")
                            .hint("write `{file: /etc/keys/jwks.json}` or `{url: https://…}`"),
                    );
                    None
                }
            },
            (None, None, Some(jwk), None) => {
                let value = Spanned { value: jwk.value.0.clone(), at: jwk.at.clone() };
                keys::from_jwk(&value, algorithms, out)
            }
            _ => {
                out.push(
                    Diagnostic::error("E072", at, "a jwt method has exactly one key")
                        .hint("write one of `secret`, `public_key`, `jwk`, `jwks`"),
                );
                None
            }
        };
        Some(Keys::Fixed(Arc::new(KeySet { keys: keys?, ..KeySet::default() })))
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

impl JwtVerifier {
    /// Who is asking.
    pub fn authenticate(self: &Arc<Self>, parts: &Parts) -> Answer {
        let token = match self.source.find(parts) {
            Found::Nothing | Found::Foreign => {
                return Answer::Now(Err(Self::refuse(&self.missing)));
            }
            Found::Malformed => return Answer::Now(Err(self.refuse_token())),
            Found::Twice => return Answer::Now(Err(RejectionKind::BadHeader.into())),
            Found::Token(token) if token.len() > MAX_TOKEN => {
                return Answer::Now(Err(self.refuse_token()));
            }
            Found::Token(token) => token,
        };
        let set = self.set();
        let now = now();
        if let Some(principal) = set.verified.get(token.as_bytes(), now) {
            return Answer::Now(Ok(principal));
        }
        if let Keys::Remote(remote) = &self.keys
            && let Some(unknown) = verify::unknown_key(token, &set)
        {
            let kid = unknown.as_deref();
            return match remote.look_for(kid) {
                None => Answer::Now(Err(self.refuse_token())),
                Some(fetched) => {
                    let later = Arc::clone(self).look_again(unknown, token.to_owned(), fetched);
                    Answer::Later(Box::pin(later))
                }
            };
        }
        Answer::Now(self.verify(token, &set, now))
    }

    /// Verifies a token whose key was not there once more, when a fetch has ended.
    async fn look_again(
        self: Arc<Self>,
        kid: Option<String>,
        token: String,
        fetched: impl Future<Output = ()>,
    ) -> Result<Arc<Principal>, Rejection> {
        fetched.await;
        let set = self.set();
        if let Keys::Remote(remote) = &self.keys
            && verify::unknown_key(&token, &set).is_some()
        {
            remote.miss(kid.as_deref());
        }
        self.verify(&token, &set, now())
    }

    fn verify(&self, token: &str, set: &KeySet, now: f64) -> Result<Arc<Principal>, Rejection> {
        let valid =
            verify::verify(token, set, &self.expected, now).ok_or_else(|| self.refuse_token())?;
        let principal = Arc::new(valid.principal);
        set.verified.insert(valid.token, &principal, now, valid.expires);
        Ok(principal)
    }

    fn set(&self) -> Arc<KeySet> {
        match &self.keys {
            Keys::Fixed(set) => Arc::clone(set),
            Keys::Remote(remote) => remote.set(),
        }
    }

    /// The URL that the keys come from, where they do.
    pub fn remote(&self) -> Option<&Arc<Remote>> {
        match &self.keys {
            Keys::Fixed(_) => None,
            Keys::Remote(remote) => Some(remote),
        }
    }

    /// Begins what goes on in the background.
    pub fn start(&self) {
        if let Keys::Remote(remote) = &self.keys {
            remote.start();
        }
    }

    /// Whether there are credentials, and whether they are a token.
    pub fn presented(&self, parts: &Parts) -> Presented {
        match self.source.find(parts) {
            Found::Nothing => Presented::Nothing,
            Found::Foreign | Found::Malformed => Presented::Foreign,
            Found::Twice | Found::Token(_) => Presented::Own,
        }
    }

    /// The method among `siblings`, which read the same place, that issues the token there: the one
    /// that verified it before, else the one that its unverified `iss` names. `Err` where there is
    /// a token that none of them issues.
    pub fn among<'a, I: Iterator<Item = (usize, &'a Self)>>(
        &self,
        siblings: impl Fn() -> I,
        parts: &Parts,
    ) -> Result<Option<usize>, Rejection> {
        let Found::Token(token) = self.source.find(parts) else { return Ok(None) };
        if token.len() > MAX_TOKEN {
            return Err(self.refuse_token());
        }
        let now = now();
        let knows = |(_, method): &(usize, &Self)| {
            method.set().verified.get(token.as_bytes(), now).is_some()
        };
        if let Some((at, _)) = siblings().find(knows) {
            return Ok(Some(at));
        }
        let issuer = verify::unverified_issuer(token).ok_or_else(|| self.refuse_token())?;
        let issues = |(_, method): &(usize, &Self)| method.expected.issuers.contains(&issuer);
        siblings().find(issues).map(|(at, _)| Some(at)).ok_or_else(|| self.refuse_token())
    }

    /// The place that the token is in.
    pub fn place(&self) -> Place {
        self.source.place()
    }

    /// Whose tokens are accepted; empty where that is not checked.
    pub fn issuers(&self) -> &[String] {
        &self.expected.issuers
    }

    /// What a client without a token is told.
    pub fn challenge(&self) -> &HeaderValue {
        &self.missing
    }

    fn refuse_token(&self) -> Rejection {
        Self::refuse(&self.invalid)
    }

    fn refuse(challenge: &HeaderValue) -> Rejection {
        Rejection::new(RejectionKind::Unauthorized)
            .with_header(header::WWW_AUTHENTICATE, challenge.clone())
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let (mut names, place): (Vec<&str>, _) = match &self.keys {
            Keys::Fixed(set) => {
                let algorithms = set.keys.iter().flat_map(|key| &key.algorithms);
                (algorithms.map(|algorithm| algorithm.name()).collect(), String::new())
            }
            Keys::Remote(remote) => {
                let algorithms = remote.algorithms().iter().map(|algorithm| algorithm.name());
                (algorithms.collect(), format!(", keys from {}", remote.host()))
            }
        };
        names.dedup();
        format!("jwt {}{place}", names.join("|"))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
