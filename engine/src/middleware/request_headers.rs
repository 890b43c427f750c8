//! Request headers: fields that a handler is shown whatever the client sent, or never shown.
//!
//! Innermost but for the bulkhead: everything above decided by what the client sent, and only a
//! permitted request is rewritten. A field that is set, removed or named by `principal` reaches the
//! handler with our value or not at all: what the client sent under that name is gone, in any
//! spelling that CGI would take for the same (`X_User` for `X-User`).
//!
//! Options: `request_headers: {set: {X-Tenant: acme}, remove: [Cookie], principal: X-User}`, where
//! `principal` names the field that holds who asks, and is absent where nobody was authenticated.
//! Refusal: `forbidden`, for a principal that no header can name. Example: `defaults:
//! {request_headers: {principal: X-User}}`.

use super::authorize::Permitted;
use super::policy_layer::{Inner, policy_layer};
use super::rejection::{Rejection, RejectionKind};
use crate::config;
use crate::config::decode::{Named, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::fields;
use crate::http::{HeaderMap, HeaderName, HeaderValue};
use crate::reply::Reply;
use crate::request::Request;

config! {
    /// Header fields of requests, as handlers see them.
    pub struct RequestHeadersConfig {
        /// The fields to set, by name.
        set: Named<String> = default(Named::default()) like {"X-Tenant": "acme"},
        /// The names of fields to remove.
        remove: Vec<Spanned<String>> = default(Vec::new()) like ["X-Debug"],
        /// The field that names who asks.
        principal: Spanned<String> = optional like "X-User",
    }
}

/// Compiled header fields of requests.
#[derive(Debug)]
pub struct RequestHeadersPolicy {
    set: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
    principal: Option<HeaderName>,
}

impl RequestHeadersConfig {
    /// Checks and compiles the block at `at`.
    pub fn compile(&self, at: &Location, out: &mut Diagnostics) -> Option<RequestHeadersPolicy> {
        let set_nothing = self.set.entries.is_empty() && self.set.broken.is_empty();
        if set_nothing && self.remove.is_empty() && self.principal.is_none() {
            out.push(
                Diagnostic::error("E133", at, "there is nothing to set or remove")
                    .hint("write `set`, `remove` or `principal`, or switch the slot `off`"),
            );
            return None;
        }
        let set = fields::set(&self.set, decided, out);
        let remove = fields::names(&self.remove, decided, out);
        let principal = match &self.principal {
            None => Some(None),
            Some(name) => fields::name(name, &name.at, decided, out).map(Some),
        };
        let (set, remove, principal) = (set?, remove?, principal?);
        if let (Some(field), Some(name)) = (&self.principal, &principal)
            && set.iter().any(|(known, _)| is_spelling_of(known, name))
        {
            let message = format!("`{name}` is set to something else");
            out.push(
                Diagnostic::error("E121", &field.at, message).hint("give it a name of its own"),
            );
            return None;
        }
        Some(RequestHeadersPolicy { set, remove, principal })
    }
}

/// Why a field cannot be touched.
fn decided(name: &str) -> Option<&'static str> {
    (name == "host").then_some("the route and the checks above were decided by it")
}

impl RequestHeadersPolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let set = self.set.iter().map(|(name, _)| format!("set {name}"));
        let remove = self.remove.iter().map(|name| format!("remove {name}"));
        let principal = self.principal.iter().map(|name| format!("{name}: the principal"));
        set.chain(remove).chain(principal).collect::<Vec<_>>().join(", ")
    }

    /// Rewrites the fields; fails where the principal cannot be a header's value.
    fn rewrite(&self, request: &mut Request) -> Result<(), Rejection> {
        let principal = match (&self.principal, &request.principal) {
            (Some(name), Some(principal)) => {
                let value = HeaderValue::from_bytes(principal.id.as_bytes())
                    .map_err(|_| Rejection::new(RejectionKind::Forbidden))?;
                Some((name, value))
            }
            _ => None,
        };
        self.forget(&mut request.headers);
        for (name, value) in &self.set {
            request.headers.insert(name.clone(), value.clone());
        }
        if let Some((name, value)) = principal {
            request.headers.insert(name.clone(), value);
        }
        Ok(())
    }

    /// Removes every spelling of the fields that are ours.
    fn forget(&self, headers: &mut HeaderMap) {
        let set = self.set.iter().map(|(name, _)| name);
        let ours = || set.clone().chain(&self.remove).chain(&self.principal);
        headers.retain(|name, _| !ours().any(|known| is_spelling_of(name, known)));
    }
}

/// Whether CGI would take one name for the other: `-` and `_` are the same there.
fn is_spelling_of(one: &HeaderName, other: &HeaderName) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let (one, other) = (one.as_str().bytes().map(plain), other.as_str().bytes().map(plain));
    one.eq(other)
}

policy_layer! {
    /// Makes [`RequestHeaders`] services.
    RequestHeadersLayer;
    /// Sets and removes header fields of requests.
    RequestHeaders(RequestHeadersPolicy) for Permitted<Request>
}

impl<S: Inner<Permitted<Request>>> RequestHeaders<S> {
    fn answer(&mut self, mut request: Permitted<Request>) -> Reply {
        match self.policy.rewrite(&mut request) {
            Ok(()) => self.inner.call(request),
            Err(rejection) => rejection.into_response(request.form).into(),
        }
    }
}
