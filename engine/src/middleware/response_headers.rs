//! Response headers: fields that are set on every answer of a route, or removed from it.
//!
//! Above everything that dresses answers but the request id, so that it has the last word, on
//! refusals too. `remove` comes first, and a field that is set replaces every other of its name. What
//! belongs to each answer's body or is computed for it cannot be touched: framing, media type and
//! encoding, CORS, `Vary`, and what goes with refusals.
//!
//! Options: `response_headers: {set: {Cache-Control: no-store}, remove: [Server, X-Powered-By]}`.
//! Refusals: none. Example: `defaults: {response_headers: {remove: [X-Powered-By]}}`.

use std::sync::Arc;

use super::policy_layer::{Inner, policy_layer};
use crate::config;
use crate::config::decode::{Named, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::fields;
use crate::http::{HeaderName, HeaderValue};
use crate::reply::Reply;
use crate::request::Request;

config! {
    /// Header fields of answers.
    pub struct ResponseHeadersConfig {
        /// The fields to set, by name.
        set: Named<String> = default(Named::default()) like {"X-Robots-Tag": "noindex"},
        /// The names of fields to remove.
        remove: Vec<Spanned<String>> = default(Vec::new()) like ["Server"],
    }
}

/// Compiled header fields of answers.
#[derive(Debug)]
pub struct ResponseHeadersPolicy {
    set: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
}

impl ResponseHeadersConfig {
    /// Checks and compiles the block at `at`.
    pub fn compile(&self, at: &Location, out: &mut Diagnostics) -> Option<ResponseHeadersPolicy> {
        if self.set.entries.is_empty() && self.set.broken.is_empty() && self.remove.is_empty() {
            out.push(
                Diagnostic::error("E133", at, "there is nothing to set or remove")
                    .hint("write `set` or `remove`, or switch the slot `off`"),
            );
            return None;
        }
        let set = fields::set(
            &self.set,
            |name| match name {
                "set-cookie" => Some("one value would replace every cookie of the answer"),
                _ => computed(name),
            },
            out,
        );
        let remove = fields::names(&self.remove, computed, out);
        Some(ResponseHeadersPolicy { set: set?, remove: remove? })
    }
}

/// Why a field cannot be touched.
fn computed(name: &str) -> Option<&'static str> {
    const COMPUTED: [&str; 10] = [
        "allow",
        "content-encoding",
        "content-range",
        "content-type",
        "location",
        "ratelimit",
        "ratelimit-policy",
        "retry-after",
        "vary",
        "www-authenticate",
    ];
    if name.starts_with("access-control-") {
        return Some("write a `cors` policy");
    }
    COMPUTED.contains(&name).then_some("it is computed for each answer")
}

impl ResponseHeadersPolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let set = self.set.iter().map(|(name, _)| format!("set {name}"));
        let remove = self.remove.iter().map(|name| format!("remove {name}"));
        set.chain(remove).collect::<Vec<_>>().join(", ")
    }
}

policy_layer! {
    /// Makes [`ResponseHeaders`] services.
    ResponseHeadersLayer;
    /// Sets and removes header fields of answers.
    ResponseHeaders(ResponseHeadersPolicy) for Request
}

impl<S: Inner<Request>> ResponseHeaders<S> {
    fn answer(&mut self, request: Request) -> Reply {
        let policy = Arc::clone(&self.policy);
        self.inner.call(request).map(move |mut response| {
            if !policy.remove.is_empty() {
                response.headers.retain(|name| !policy.remove.contains(name));
            }
            for (name, value) in &policy.set {
                response.headers.insert(name.clone(), value.clone());
            }
            response
        })
    }
}
