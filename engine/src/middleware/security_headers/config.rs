//! What may be written, and what it is compiled to.

use super::csp::Csp;
use super::permissions::{self, Allowed};
use crate::body::Body;
use crate::config;
use crate::config::decode::{Named, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::slot::Switch;
use crate::config::units::Span;
use crate::http::{HeaderName, HeaderValue, header};
use crate::response::Response;

config! {
    /// Security headers.
    pub struct SecurityHeadersConfig {
        /// `Strict-Transport-Security`: for how long, in whole seconds; `0s` makes browsers forget.
        /// Not sent unless written.
        hsts: Switch<Spanned<Span>> = optional like "1y",
        /// Whether HSTS speaks of subdomains too.
        hsts_subdomains: bool = default(false),
        /// Whether browsers may ship HSTS in their preload lists; takes a year and subdomains.
        hsts_preload: Spanned<bool> = optional(false),
        /// `X-Content-Type-Options: nosniff`.
        nosniff: bool = default(true),
        /// `X-Frame-Options`: `deny`, `sameorigin` or `off`.
        frame: Switch<Spanned<String>> = optional("deny") of ["deny", "sameorigin"],
        /// `Referrer-Policy`, or `off`.
        referrer: Switch<Spanned<String>> = optional("same-origin"),
        /// `Content-Security-Policy`; not sent unless written. `'nonce'` is a nonce of each request's
        /// own.
        csp: Switch<Spanned<String>> = optional like "default-src 'self'; script-src 'nonce'",
        /// `Content-Security-Policy-Report-Only`; not sent unless written.
        csp_report_only: Switch<Spanned<String>> = optional like "default-src 'self'",
        /// `Permissions-Policy`: features, and who may use them; not sent unless written.
        permissions_policy: Switch<Named<Allowed>> = optional like {"camera": "off"},
        /// `Cross-Origin-Opener-Policy`; not sent unless written.
        cross_origin_opener_policy: Switch<Spanned<String>> = optional like "same-origin",
        /// `Cross-Origin-Embedder-Policy`; not sent unless written.
        cross_origin_embedder_policy: Switch<Spanned<String>> = optional like "require-corp",
        /// `Cross-Origin-Resource-Policy`; not sent unless written.
        cross_origin_resource_policy: Switch<Spanned<String>> = optional like "same-origin",
    }
}

impl Default for SecurityHeadersConfig {
    fn default() -> Self {
        Self {
            hsts: None,
            hsts_subdomains: false,
            hsts_preload: None,
            nosniff: true,
            frame: None,
            referrer: None,
            csp: None,
            csp_report_only: None,
            permissions_policy: None,
            cross_origin_opener_policy: None,
            cross_origin_embedder_policy: None,
            cross_origin_resource_policy: None,
        }
    }
}

/// Compiled security headers.
#[derive(Debug)]
pub struct SecurityHeadersPolicy {
    always: Vec<(HeaderName, HeaderValue)>,
    hsts: Option<HeaderValue>,
    /// The policies of content; the second only reports.
    csp: Vec<(HeaderName, Csp)>,
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

const OPENER_POLICIES: [&str; 4] =
    ["same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"];

const EMBEDDER_POLICIES: [&str; 3] = ["require-corp", "credentialless", "unsafe-none"];

const RESOURCE_POLICIES: [&str; 3] = ["same-origin", "same-site", "cross-origin"];

/// The least that browsers take into their lists.
const PRELOAD_SECONDS: u64 = 31_536_000;

type Word = Option<Switch<Spanned<String>>>;

impl SecurityHeadersConfig {
    /// Checks and compiles; every mistake is recorded.
    pub fn compile(&self, out: &mut Diagnostics) -> Option<SecurityHeadersPolicy> {
        let always = self.always(out);
        let csp = self.csp(out);
        let hsts = self.hsts(out);
        Some(SecurityHeadersPolicy { always: always?, hsts: hsts?, csp: csp? })
    }

    fn always(&self, out: &mut Diagnostics) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let words: [(HeaderName, &Word, &str, &[&str], &str); 5] = [
            (header::X_FRAME_OPTIONS, &self.frame, "deny", &["deny", "sameorigin"], "frame"),
            (
                header::REFERRER_POLICY,
                &self.referrer,
                "same-origin",
                &REFERRER_POLICIES,
                "referrer",
            ),
            (
                header::CROSS_ORIGIN_OPENER_POLICY,
                &self.cross_origin_opener_policy,
                "",
                &OPENER_POLICIES,
                "cross_origin_opener_policy",
            ),
            (
                header::CROSS_ORIGIN_EMBEDDER_POLICY,
                &self.cross_origin_embedder_policy,
                "",
                &EMBEDDER_POLICIES,
                "cross_origin_embedder_policy",
            ),
            (
                header::CROSS_ORIGIN_RESOURCE_POLICY,
                &self.cross_origin_resource_policy,
                "",
                &RESOURCE_POLICIES,
                "cross_origin_resource_policy",
            ),
        ];
        let mut always = Vec::new();
        let mut fine = true;
        if self.nosniff {
            always.push((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
        }
        for (name, value, default, known, key) in words {
            match word(value.as_ref(), default, known, key, out) {
                Some("") => {}
                Some(word) if name == header::X_FRAME_OPTIONS => {
                    let upper = HeaderValue::from_str(&word.to_ascii_uppercase());
                    always.extend(upper.ok().map(|value| (name, value)));
                }
                Some(word) => always.extend(HeaderValue::from_str(word).ok().map(|v| (name, v))),
                None => fine = false,
            }
        }
        if let Some(Switch::Value(features)) = &self.permissions_policy {
            match permissions::compile(features, out) {
                Some(value) => always.extend(value.map(|v| (header::PERMISSIONS_POLICY, v))),
                None => fine = false,
            }
        }
        fine.then_some(always)
    }

    fn csp(&self, out: &mut Diagnostics) -> Option<Vec<(HeaderName, Csp)>> {
        let policies = [
            (header::CONTENT_SECURITY_POLICY, &self.csp),
            (header::CONTENT_SECURITY_POLICY_REPORT_ONLY, &self.csp_report_only),
        ];
        let mut compiled = Vec::new();
        let mut fine = true;
        for (name, policy) in policies {
            let Some(Switch::Value(text)) = policy else { continue };
            match Csp::compile(text, out) {
                Some(policy) => compiled.push((name, policy)),
                None => fine = false,
            }
        }
        fine.then_some(compiled)
    }

    fn hsts(&self, out: &mut Diagnostics) -> Option<Option<HeaderValue>> {
        let preload = self.hsts_preload.as_ref().filter(|preload| preload.value);
        let seconds = match &self.hsts {
            Some(Switch::Value(span)) => {
                let Some(seconds) = span.whole_seconds() else {
                    out.push(
                        Diagnostic::error("E106", &span.at, "browsers count whole seconds")
                            .hint("write for example `1y`"),
                    );
                    return None;
                };
                Some(seconds)
            }
            _ => None,
        };
        if let Some(preload) = preload
            && (seconds < Some(PRELOAD_SECONDS) || !self.hsts_subdomains)
        {
            out.push(
                Diagnostic::error("E106", &preload.at, "browsers would not take this into a list")
                    .hint("write `hsts: 1y` or more and `hsts_subdomains: on` with it"),
            );
            return None;
        }
        let subdomains = if self.hsts_subdomains { "; includeSubDomains" } else { "" };
        let preload = if preload.is_some() { "; preload" } else { "" };
        let value = seconds.map(|seconds| format!("max-age={seconds}{subdomains}{preload}"));
        Some(value.and_then(|value| HeaderValue::from_str(&value).ok()))
    }
}

/// One of `known` words, the default where nothing is written, an empty one for `off`; `None` is a
/// recorded mistake.
fn word<'a>(
    value: Option<&'a Switch<Spanned<String>>>,
    default: &'a str,
    known: &[&str],
    key: &str,
    out: &mut Diagnostics,
) -> Option<&'a str> {
    match value {
        None => Some(default),
        Some(Switch::Off) => Some(""),
        Some(Switch::Value(word)) if known.contains(&word.as_str()) => Some(word),
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
        let names = self.always.iter().map(|(name, _)| name.to_string());
        let hsts = self.hsts.as_ref().map(|_| header::STRICT_TRANSPORT_SECURITY.to_string());
        let csp = self.csp.iter().map(|(name, policy)| {
            format!("{name}{}", if policy.takes_nonce() { " with a nonce" } else { "" })
        });
        names.chain(csp).chain(hsts).collect::<Vec<_>>().join(", ")
    }

    /// Whether handlers have a nonce to put on their inline scripts and styles.
    pub fn takes_nonce(&self) -> bool {
        self.csp.iter().any(|(_, policy)| policy.takes_nonce())
    }

    /// Adds the fields that the handler did not set itself.
    pub(super) fn dress(&self, response: &mut Response, secure: bool) {
        let headers = &mut response.headers;
        for (name, value) in &self.always {
            if !headers.contains(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        let nonce = response.csp_nonce.take();
        let nonce = nonce.as_deref().and_then(|nonce| match response.body {
            // Whoever produces it may still ask, when the fields are sent.
            Body::Stream(_) => Some(nonce.get()),
            Body::Empty | Body::Full(_) => nonce.made(),
        });
        for (name, policy) in &self.csp {
            if !headers.contains(name) {
                headers.append(name.clone(), policy.value(nonce));
            }
        }
        if let Some(hsts) = self.hsts.as_ref().filter(|_| secure)
            && !headers.contains(&header::STRICT_TRANSPORT_SECURITY)
        {
            headers.append(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
    }
}
