//! CSRF: no other site makes a browser write here, decided by what browsers say of where a request
//! comes from, without tokens or cookies.
//!
//! Below the gate, above everything that counts or costs. `GET`, `HEAD` and `OPTIONS` pass: they
//! must change nothing. Of the others, `Sec-Fetch-Site: same-origin` and `none` pass, and anything
//! else only from a trusted origin. A browser that sends no `Sec-Fetch-Site` is judged by its
//! `Origin`: our own scheme and host (as trusted proxies tell the scheme) or a trusted origin.
//! Without either header no browser made the request, and it passes, as with Go's
//! `CrossOriginProtection`. A header that comes twice says nothing good.
//!
//! Options: `csrf: on | {trusted_origins: ["https://app.example.com"]}`. Refusal: `csrf`.
//! Example: `defaults: {csrf: on}`.

use std::str;

use super::cors::{Origin, OriginConfig};
use super::host::split_port;
use super::policy_layer::{Inner, policy_layer};
use super::rejection::{Rejection, RejectionKind};
use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::http::{HeaderName, HeaderValue, Method, header};
use crate::reply::Reply;
use crate::request::{Parts, Request};

config! {
    /// Protection against cross-site request forgery.
    #[derive(Default)]
    pub struct CsrfConfig {
        /// Other origins that may write here, as CORS names them.
        trusted_origins: Vec<Spanned<OriginConfig>> = default(Vec::new()) like ["https://app.example.com"],
    }
}

/// Compiled protection.
#[derive(Debug)]
pub struct CsrfPolicy {
    trusted: Vec<Origin>,
}

impl CsrfConfig {
    /// Checks and compiles.
    pub fn compile(&self, out: &mut Diagnostics) -> Option<CsrfPolicy> {
        let mut compile = |origin: &Spanned<OriginConfig>| {
            if origin.value == OriginConfig::Any {
                out.push(
                    Diagnostic::error("E131", &origin.at, "`*` trusts every site")
                        .hint("name the origins, or write `csrf: off`"),
                );
            }
            // A page that is not secure is anybody's: it may write no more than it may read.
            Origin::compile(origin, true, &origin.at, out)
        };
        let compiled: Vec<_> = self.trusted_origins.iter().map(&mut compile).collect();
        Some(CsrfPolicy { trusted: compiled.into_iter().collect::<Option<_>>()? })
    }
}

impl CsrfPolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let origins = self.trusted.iter().map(Origin::to_string);
        std::iter::once("same origin".to_owned()).chain(origins).collect::<Vec<_>>().join(", ")
    }

    /// Whether no other site made a browser send this.
    fn admits(&self, parts: &Parts) -> bool {
        if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return true;
        }
        let site = only(parts, &HeaderName::from_static("sec-fetch-site"));
        let origin = only(parts, &header::ORIGIN);
        let ours = match (&site, &origin) {
            (Only::One(site), _) => {
                matches!(site.as_bytes(), b"same-origin" | b"none") && !matches!(origin, Only::Many)
            }
            (Only::None, Only::None) => true,
            (Only::None, Only::One(origin)) => is_own(origin.as_bytes(), parts),
            (Only::Many, _) | (_, Only::Many) => false,
        };
        let trusted = || match (&site, &origin) {
            (Only::Many, _) => false,
            (_, Only::One(origin)) => self.trusted.iter().any(|o| o.matches(origin.as_bytes())),
            _ => false,
        };
        ours || trusted()
    }
}

/// The values of a header that must not come twice.
enum Only<'a> {
    None,
    One(&'a HeaderValue),
    Many,
}

fn only<'a>(parts: &'a Parts, name: &HeaderName) -> Only<'a> {
    let mut values = parts.headers.get_all(name);
    match (values.next(), values.next()) {
        (None, _) => Only::None,
        (Some(value), None) => Only::One(value),
        (Some(_), Some(_)) => Only::Many,
    }
}

/// Whether this is the scheme and host that the request was sent to.
fn is_own(origin: &[u8], parts: &Parts) -> bool {
    let (scheme, default) =
        if parts.secure { (&b"https://"[..], 443) } else { (&b"http://"[..], 80) };
    let Some(theirs) = origin.strip_prefix(scheme) else { return false };
    let host = parts.header(&header::HOST).unwrap_or_default();
    let split = |text| split_port(str::from_utf8(text).ok()?);
    let (Some((theirs, their_port)), Some((ours, our_port))) = (split(theirs), split(host)) else {
        return false;
    };
    theirs.eq_ignore_ascii_case(ours)
        && their_port.unwrap_or(default) == our_port.unwrap_or(default)
}

policy_layer! {
    /// Makes [`Csrf`] services.
    CsrfLayer;
    /// Refuses what another site made a browser send.
    Csrf(CsrfPolicy) for Request
}

impl<S: Inner<Request>> Csrf<S> {
    fn answer(&mut self, request: Request) -> Reply {
        if self.policy.admits(&request) {
            return self.inner.call(request);
        }
        Rejection::new(RejectionKind::Csrf).into_response(request.form).into()
    }
}
