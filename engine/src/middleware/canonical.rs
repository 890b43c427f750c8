//! Canonical address: the one scheme and host that clients are sent to. Decided by the engine after
//! the host and the path are known to be good, answered by the gate with `308`, so that a method
//! and its body go along.
//!
//! Whether a client spoke TLS is what a trusted proxy says (`client_ip.rs`): an answer behind one is
//! never redirected twice. The host of the answer is `canonical_host`, or one of `server.hosts`:
//! nobody is sent to a host that the client made up.
//!
//! Options: `server.https_redirect: on`, `server.canonical_host: example.com`. Refusals: none.

use std::str;

use super::host::{HostPolicy, split_port, without_root};
use crate::answer::redirect::push_visible;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::http::{HeaderValue, header};
use crate::request::Parts;

/// Where clients belong.
#[derive(Debug)]
pub struct CanonicalPolicy {
    https: bool,
    host: Option<Box<str>>,
}

impl CanonicalPolicy {
    /// Checks and compiles; `hosts` are ours, `proxied` is whether any proxy is trusted.
    pub fn compile(
        https: Option<&Spanned<bool>>,
        host: Option<&Spanned<String>>,
        hosts: &HostPolicy,
        proxied: bool,
        out: &mut Diagnostics,
    ) -> Option<Self> {
        let https = https.filter(|https| https.value);
        if let Some(https) = https.filter(|_| !proxied) {
            out.push(
                Diagnostic::error("E047", &https.at, "nobody can say that a client spoke TLS")
                    .hint("name the proxies that end TLS in `server.trusted_proxies`"),
            );
        }
        if let Some(https) = https.filter(|_| host.is_none() && hosts.is_empty()) {
            out.push(
                Diagnostic::error("E048", &https.at, "clients would be sent to any host they name")
                    .hint("write `server.hosts` or `server.canonical_host`"),
            );
        }
        if let Some(host) = host {
            let split = split_port(host).filter(|_| !host.ends_with('.'));
            if !split.is_some_and(|(name, port)| hosts.admits(name, port)) {
                out.push(
                    Diagnostic::error(
                        "E046",
                        &host.at,
                        format!("`{}` is no host of ours", host.value),
                    )
                    .hint("write one of `server.hosts`, such as `example.com`, without scheme"),
                );
            }
        }
        let host = host.map(|host| host.to_ascii_lowercase().into());
        (https.is_some() || host.is_some()).then_some(Self { https: https.is_some(), host })
    }

    /// Where the client is sent, if it asked elsewhere.
    pub fn location(&self, parts: &Parts) -> Option<HeaderValue> {
        let asked = str::from_utf8(parts.header(&header::HOST)?).ok()?;
        let upgrade = self.https && !parts.secure;
        let moved = self.host.as_ref().filter(|host| !is_same(host, asked, parts.secure));
        if (!upgrade && moved.is_none()) || !parts.uri.path().starts_with('/') {
            return None;
        }
        let scheme = if self.https || parts.secure { "https://" } else { "http://" };
        let host = match &self.host {
            Some(host) => host,
            // The port that was asked for is not the one of TLS.
            None => split_port(asked)?.0,
        };
        let mut target = String::with_capacity(scheme.len() + host.len() + 64);
        target.push_str(scheme);
        target.push_str(host);
        push_visible(parts.uri.path(), &mut target);
        if let Some(query) = parts.uri.query() {
            target.push('?');
            push_visible(query, &mut target);
        }
        HeaderValue::try_from(target).ok()
    }
}

/// Whether two hosts are the same under one scheme.
fn is_same(one: &str, other: &str, secure: bool) -> bool {
    let default = if secure { 443 } else { 80 };
    let split = |host| {
        let (name, port) = split_port(host)?;
        Some((without_root(name), port.unwrap_or(default)))
    };
    match (split(one), split(other)) {
        (Some((one, port)), Some((other, other_port))) => {
            one.eq_ignore_ascii_case(other) && port == other_port
        }
        _ => false,
    }
}
