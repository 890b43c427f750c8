//! Security headers: fields that make browsers careful, on every answer.
//!
//! Above CORS, so that preflights and refusals carry them too. What a handler set itself stays.
//! `Strict-Transport-Security` is sent only where it is written, and only over TLS, as RFC 6797
//! (7.2) asks.
//!
//! Options: `security_headers: {hsts: 1y, nosniff: on, frame: deny, referrer: same-origin, csp: "…"}`.
//! Refusals: none. Example: `defaults: {security_headers: on}`.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::slot::Switch;
use crate::config::units::Span;
use crate::http::{HeaderName, HeaderValue, header};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

config! {
    /// Security headers.
    pub struct SecurityHeadersConfig {
        /// `Strict-Transport-Security`: for how long, in whole seconds; `0s` makes browsers forget.
        /// Not sent unless written.
        hsts: Switch<Spanned<Span>> = optional like "1y",
        /// Whether HSTS speaks of subdomains too.
        hsts_subdomains: bool = default(false),
        /// `X-Content-Type-Options: nosniff`.
        nosniff: bool = default(true),
        /// `X-Frame-Options`: `deny`, `sameorigin` or `off`.
        frame: Switch<Spanned<String>> = optional("deny") of ["deny", "sameorigin"],
        /// `Referrer-Policy`, or `off`.
        referrer: Switch<Spanned<String>> = optional("same-origin"),
        /// `Content-Security-Policy`; not sent unless written.
        csp: Switch<Spanned<String>> = optional like "default-src 'self'",
    }
}

impl Default for SecurityHeadersConfig {
    fn default() -> Self {
        Self {
            hsts: None,
            hsts_subdomains: false,
            nosniff: true,
            frame: None,
            referrer: None,
            csp: None,
        }
    }
}

/// Compiled security headers.
#[derive(Debug)]
pub struct SecurityHeadersPolicy {
    always: Vec<(HeaderName, HeaderValue)>,
    hsts: Option<HeaderValue>,
}

const REFERRER_POLICIES: [&str; 8] = [
    "no-referrer",
    "no-referrer-when-downgrade",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
];

impl SecurityHeadersConfig {
    /// Checks and compiles.
    pub fn compile(&self, out: &mut Diagnostics) -> Option<SecurityHeadersPolicy> {
        let mut always = Vec::new();
        if self.nosniff {
            always.push((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
        }
        let frame = word(self.frame.as_ref(), "deny", &["deny", "sameorigin"], "frame", out)?;
        if let Some(frame) = frame {
            let value = HeaderValue::from_str(&frame.to_ascii_uppercase()).ok()?;
            always.push((header::X_FRAME_OPTIONS, value));
        }
        let referrer =
            word(self.referrer.as_ref(), "same-origin", &REFERRER_POLICIES, "referrer", out)?;
        if let Some(referrer) = referrer {
            always.push((header::REFERRER_POLICY, HeaderValue::from_str(&referrer).ok()?));
        }
        if let Some(Switch::Value(csp)) = &self.csp {
            let Ok(value) = HeaderValue::from_str(csp) else {
                out.error("E103", &csp.at, "csp is not a valid header value");
                return None;
            };
            always.push((header::CONTENT_SECURITY_POLICY, value));
        }
        let hsts = match &self.hsts {
            Some(Switch::Value(span)) => {
                let Some(seconds) = span.whole_seconds() else {
                    out.push(
                        Diagnostic::error("E106", &span.at, "browsers count whole seconds")
                            .hint("write for example `1y`"),
                    );
                    return None;
                };
                let subdomains = if self.hsts_subdomains { "; includeSubDomains" } else { "" };
                HeaderValue::from_str(&format!("max-age={seconds}{subdomains}")).ok()
            }
            _ => None,
        };
        Some(SecurityHeadersPolicy { always, hsts })
    }
}

/// One of `known` words; the outer `None` is a recorded mistake.
fn word(
    value: Option<&Switch<Spanned<String>>>,
    default: &str,
    known: &[&str],
    key: &str,
    out: &mut Diagnostics,
) -> Option<Option<String>> {
    match value {
        None => Some(Some(default.to_owned())),
        Some(Switch::Off) => Some(None),
        Some(Switch::Value(word)) if known.contains(&word.as_str()) => {
            Some(Some(word.value.clone()))
        }
        Some(Switch::Value(word)) => {
            out.push(
                Diagnostic::error(
                    "E104",
                    &word.at,
                    format!("`{}` is not a value of `{key}`", word.value),
                )
                .hint(format!("write one of {}, or `off`", known.join(", "))),
            );
            None
        }
    }
}

impl SecurityHeadersPolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let names = self.always.iter().map(|(name, _)| name.as_str());
        let hsts = self.hsts.as_ref().map(|_| "strict-transport-security");
        names.chain(hsts).collect::<Vec<_>>().join(", ")
    }
}

/// Makes [`SecurityHeaders`] services.
pub struct SecurityHeadersLayer {
    policy: Arc<SecurityHeadersPolicy>,
}

impl SecurityHeadersLayer {
    /// A layer under `policy`.
    pub fn new(policy: Arc<SecurityHeadersPolicy>) -> Self {
        Self { policy }
    }
}

/// Adds security headers to answers.
pub struct SecurityHeaders<S> {
    inner: S,
    policy: Arc<SecurityHeadersPolicy>,
}

impl<S> Layer<S> for SecurityHeadersLayer {
    type Service = SecurityHeaders<S>;

    fn layer(&self, inner: S) -> SecurityHeaders<S> {
        SecurityHeaders { inner, policy: Arc::clone(&self.policy) }
    }
}

impl<S> Service<Request> for SecurityHeaders<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future = Reply>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Reply {
        let secure = request.secure;
        let policy = Arc::clone(&self.policy);
        self.inner.call(request).map(move |mut response| {
            for (name, value) in &policy.always {
                if !response.headers.contains(name) {
                    response.headers.append(name.clone(), value.clone());
                }
            }
            if let Some(hsts) = policy.hsts.as_ref().filter(|_| secure) {
                response.headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
            }
            response
        })
    }
}
