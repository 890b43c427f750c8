//! Rewrite: a handler is shown another path than the one that was asked for.
//!
//! Below everything that decides: the route, its policies, the log and the limits go by the path as
//! it came, and the new one is not routed again, so that it leads past nothing. `strip_prefix` takes
//! what the handler is mounted below off the front; it sees it as `request.script_name`, and
//! Django's `reverse()` puts it before every path, as under WSGI's `SCRIPT_NAME`. `to` names another
//! path, in which what was captured may stand. The query stays, and what was asked for is
//! `request.original_path`. What was captured never makes a dot segment.
//!
//! Options: `rewrite: {strip_prefix: /shop}` or `rewrite: {to: "/v2/{*rest}"}`.
//! Refusal: `bad_path`. Example: `groups: [{prefix: /shop, rewrite: {strip_prefix: /shop}}]`.

use std::sync::Arc;

use super::authorize::Permitted;
use super::policy_layer::{Inner, policy_layer};
use super::rejection::{Rejection, RejectionKind};
use crate::captures::{self, Piece};
use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::reply::Reply;
use crate::request::{Parts, Request};

config! {
    /// The path that a handler sees; one of the two.
    pub struct RewriteConfig one of [strip_prefix, to] {
        /// What is taken off the front of the path, `/shop`.
        strip_prefix: Spanned<String> = optional like "/shop",
        /// The path instead, `/v2/{*rest}`.
        to: Spanned<String> = optional like "/v2/{*rest}",
    }
}

/// A compiled rewrite.
#[derive(Debug, PartialEq, Eq)]
pub enum RewritePolicy {
    /// Without what is in front.
    Strip(Arc<str>),
    /// Another path: as it is written, and its pieces.
    To(Box<str>, Box<[Piece]>),
}

/// The path that a handler is shown.
#[derive(Debug)]
pub struct Rewritten {
    /// The path.
    pub path: Box<str>,
    /// What was taken off its front; empty where nothing was.
    pub script_name: Arc<str>,
}

impl RewriteConfig {
    /// Checks and compiles the block at `at`.
    pub fn compile(&self, at: &Location, out: &mut Diagnostics) -> Option<RewritePolicy> {
        let (written, strips) = match (&self.strip_prefix, &self.to) {
            (Some(prefix), None) => (prefix, true),
            (None, Some(to)) => (to, false),
            (None, None) => {
                out.push(
                    Diagnostic::error("E125", at, "there is nothing to rewrite")
                        .hint("write `strip_prefix` or `to`, or switch the slot `off`"),
                );
                return None;
            }
            (Some(_), Some(to)) => {
                out.push(
                    Diagnostic::error("E125", &to.at, "`strip_prefix` rewrites the path already")
                        .at_key()
                        .hint("keep one of them"),
                );
                return None;
            }
        };
        let text = written.as_str();
        let pieces = captures::pieces(text);
        let wrong = if strips { wrong_prefix(text) } else { None };
        let alone = pieces.is_none().then_some("what is captured is written `{id}`");
        let wrong = wrong.or_else(|| wrong_path(text)).or(alone);
        if let Some(hint) = wrong {
            let what = if strips { "prefix" } else { "path" };
            let message = format!("`{text}` is not the {what} of a rewrite");
            out.push(Diagnostic::error("E125", &written.at, message).hint(hint));
            return None;
        }
        Some(if strips {
            RewritePolicy::Strip(text.into())
        } else {
            RewritePolicy::To(text.into(), pieces?.into())
        })
    }
}

/// How to mend a path that no request could have.
fn wrong_path(text: &str) -> Option<&'static str> {
    if !text.starts_with('/') {
        return Some("it begins with `/`");
    }
    if text.contains(['?', '#']) {
        return Some("the query stays as it is");
    }
    if text.contains('%') {
        return Some("write it decoded, as handlers see it");
    }
    if text.contains(|letter: char| letter.is_control() || letter == '\\') {
        return Some("it has no control characters and no backslash");
    }
    if text.starts_with("//") || captures::has_dot_segment(text) {
        return Some("write the path that is meant");
    }
    None
}

fn wrong_prefix(text: &str) -> Option<&'static str> {
    if text.contains(['{', '}']) {
        return Some("a prefix captures nothing; `to` may name what the path captures");
    }
    text.ends_with('/').then_some("it ends without `/`")
}

impl RewritePolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        match self {
            Self::Strip(prefix) => format!("the handler sees the path without {prefix}"),
            Self::To(path, _) => format!("the handler sees {path}"),
        }
    }

    /// What Django's `reverse()` has to put before every path.
    pub fn script_name(&self) -> Option<&str> {
        match self {
            Self::Strip(prefix) => Some(prefix),
            Self::To(..) => None,
        }
    }

    /// What keeps it from rewriting the paths of `pattern`, and how to mend it.
    pub fn misfit(&self, pattern: &str) -> Option<(String, String)> {
        match self {
            Self::To(_, pieces) => captures::unknown(pieces, pattern),
            Self::Strip(prefix) => {
                let rest = pattern.strip_prefix(&**prefix);
                let fits = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                let message = format!("`{pattern}` is not below `{prefix}`");
                let hint = "switch `rewrite` off for it, or name what it is below".to_owned();
                (!fits).then_some((message, hint))
            }
        }
    }

    /// What the handler of a request is shown.
    fn apply(&self, parts: &Parts) -> Option<Rewritten> {
        match self {
            Self::Strip(prefix) => {
                let rest = parts.path().strip_prefix(&**prefix)?;
                let path = if rest.is_empty() { "/" } else { rest };
                Some(Rewritten { path: path.into(), script_name: Arc::clone(prefix) })
            }
            Self::To(written, pieces) => {
                let mut path = String::with_capacity(written.len() + 64);
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => path.push_str(text),
                        Piece::Captured(name) => {
                            path.push_str(parts.param(name).unwrap_or_default());
                        }
                    }
                }
                let sound = !captures::has_dot_segment(&path);
                sound.then(|| Rewritten { path: path.into(), script_name: "".into() })
            }
        }
    }
}

policy_layer! {
    /// Makes [`Rewrite`] services.
    RewriteLayer;
    /// Shows handlers another path.
    Rewrite(RewritePolicy) for Permitted<Request>
}

impl<S: Inner<Permitted<Request>>> Rewrite<S> {
    fn answer(&mut self, mut request: Permitted<Request>) -> Reply {
        match self.policy.apply(&request) {
            Some(rewritten) => request.rewritten = Some(Box::new(rewritten)),
            None => {
                return Rejection::new(RejectionKind::BadPath).into_response(request.form).into();
            }
        }
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;
    use crate::http::{HeaderMap, Method};
    use proptest::prelude::*;

    fn to(path: &str) -> RewritePolicy {
        RewritePolicy::To(path.into(), captures::pieces(path).expect("braces").into())
    }

    fn shown(policy: &RewritePolicy, path: &str, params: &[(&str, &str)]) -> Option<String> {
        let uri = "/".parse().expect("a path");
        let mut request = Request::new(Method::GET, uri, HeaderMap::new(), Body::Empty);
        request.decoded_path = Some(path.into());
        request.params =
            params.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        policy.apply(&request).map(|rewritten| rewritten.path.into())
    }

    #[test]
    fn a_prefix_goes_and_a_path_stays() {
        let strip = RewritePolicy::Strip("/shop".into());
        for (path, expected) in [
            ("/shop", Some("/")),
            ("/shop/", Some("/")),
            ("/shop/a b/c", Some("/a b/c")),
            ("/shop/shop/x", Some("/shop/x")),
        ] {
            assert_eq!(shown(&strip, path, &[]).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn what_is_captured_makes_no_dot_segment() {
        for (path, params, expected) in [
            ("/n/{id}", [("id", "7")], Some("/n/7")),
            ("/{*rest}", [("rest", "a/b/")], Some("/a/b/")),
            ("/{rest}", [("rest", "")], Some("/")),
            ("/{id}/x", [("id", "..")], None),
            ("/.{id}", [("id", ".")], None),
            ("/v{id}/x", [("id", "..")], Some("/v../x")),
        ] {
            assert_eq!(shown(&to(path), "/", &params).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_pattern_has_to_be_below_the_prefix() {
        let strip = RewritePolicy::Strip("/shop".into());
        for (pattern, fits) in [
            ("/shop", true),
            ("/shop/{id}", true),
            ("/shop/{*rest}", true),
            ("/shopping", false),
            ("/{shop}/x", false),
            ("/", false),
            ("/a/shop/", false),
        ] {
            assert_eq!(strip.misfit(pattern).is_none(), fits, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_rewritten_path_is_a_path(id in "[.a/]{0,4}", rest in "[./b]{0,6}") {
            let params = [("id", id.as_str()), ("rest", rest.as_str())];
            if let Some(path) = shown(&to("/x{id}/{*rest}"), "/", &params) {
                prop_assert!(path.starts_with("/x"));
                prop_assert!(!captures::has_dot_segment(&path));
            }
        }
    }
}
