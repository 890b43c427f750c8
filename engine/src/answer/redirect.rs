//! Redirect: a route that sends its clients elsewhere, from Rust.
//!
//! What the pattern captured may stand in the target's path or query, never in its scheme, host or
//! fragment. It is percent-encoded; only the slashes of a catch-all stay. A target that begins with
//! `/` leads to this host whatever is captured: where an empty or odd capture would make it begin
//! with `//`, which names another host, the second slash is encoded, as Django does. A capture that
//! would make a dot segment is refused.
//!
//! Options: `redirect: {to: "/new/{id}", status: 302, keep_query: off}`. Refusal: `bad_path`.
//! Example: `{path: "/old/{*rest}", redirect: {to: "/new/{*rest}", status: 308, keep_query: on}}`.

use crate::captures;
use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::http::{HeaderValue, Headers, Method, StatusCode, Uri, header};
use crate::middleware::host::split_port;
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::request::Parts;
use crate::response::Response;

config! {
    /// Where a route sends its clients.
    pub struct RedirectConfig {
        /// A path of this host such as `/new/{id}`, or an `http` or `https` URL.
        to: Spanned<String> = required like "/new/",
        /// 301, 302, 303, 307 or 308; 302 where nothing is said.
        status: Spanned<u64> = optional(302) of [301, 302, 303, 307, 308],
        /// Whether the request's query goes along.
        keep_query: bool = default(false),
    }
}

/// A piece of the target.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    /// What was captured under this name; a catch-all keeps its slashes.
    Captured(Box<str>, bool),
}

/// A compiled redirect.
#[derive(Debug)]
pub struct RedirectPolicy {
    status: StatusCode,
    to: Box<str>,
    pieces: Vec<Piece>,
    fragment: Box<str>,
    keep_query: bool,
    /// The whole target, where nothing of the request goes into it.
    fixed: Option<HeaderValue>,
}

impl RedirectConfig {
    /// Checks and compiles; `pattern` and `methods` are the route's.
    pub fn compile(
        &self,
        pattern: &str,
        methods: &[Method],
        out: &mut Diagnostics,
    ) -> Option<RedirectPolicy> {
        let status = match self.status.as_ref().map(|status| status.value) {
            Some(301) => Some(StatusCode::MOVED_PERMANENTLY),
            None | Some(302) => Some(StatusCode::FOUND),
            Some(303) => Some(StatusCode::SEE_OTHER),
            Some(307) => Some(StatusCode::TEMPORARY_REDIRECT),
            Some(308) => Some(StatusCode::PERMANENT_REDIRECT),
            Some(_) => None,
        };
        if let (None, Some(written)) = (status, &self.status) {
            let message = format!("{} is not the status of a redirect", written.value);
            out.push(
                Diagnostic::error("E120", &written.at, message)
                    .hint("write 301, 302, 303, 307 or 308"),
            );
        }
        let (body, fragment) = match self.to.split_once('#') {
            Some((body, _)) => (body, &self.to[body.len()..]),
            None => (self.to.as_str(), ""),
        };
        if let Some((message, hint)) = self.wrong(body, fragment) {
            out.push(Diagnostic::error("E122", &self.to.at, message).hint(hint));
            return None;
        }
        let pieces = self.pieces(body, pattern, out)?;
        let status = status?;
        let plain = |text: &str| text.replace("{*", "{");
        let repeats = methods.contains(&Method::GET) || status.as_u16() > 303;
        let path = body.split('?').next().unwrap_or_default();
        if plain(path) == plain(pattern) && repeats {
            out.push(
                Diagnostic::error("E122", &self.to.at, "this redirect leads to itself")
                    .hint("name another path"),
            );
            return None;
        }
        let constant = !self.keep_query && pieces.iter().all(|p| matches!(p, Piece::Text(_)));
        Some(RedirectPolicy {
            status,
            to: self.to.as_str().into(),
            pieces,
            fragment: fragment.into(),
            keep_query: self.keep_query,
            fixed: constant.then(|| HeaderValue::from_str(&self.to).ok()).flatten(),
        })
    }

    /// What keeps the target from being one, and how to mend it.
    fn wrong(&self, body: &str, fragment: &str) -> Option<(String, &'static str)> {
        let to = self.to.as_str();
        let is_odd = |byte: u8| !byte.is_ascii_graphic() || b"\\\"<>^`|".contains(&byte);
        if to.bytes().any(is_odd) {
            let hint = "percent-encode it: a space is `%20`";
            return Some((format!("`{to}` has a character that no URL has"), hint));
        }
        if fragment.contains(['{', '}']) {
            let hint = "what is captured may stand in the path and the query";
            return Some((format!("`{fragment}` is a fragment"), hint));
        }
        let path = if body.starts_with('/') {
            body
        } else {
            let rest = body.strip_prefix("https://").or_else(|| body.strip_prefix("http://"));
            let rest = rest.unwrap_or_default();
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            if split_port(&rest[..end]).is_none() {
                let hint =
                    "write a path such as `/new/{id}`, or a URL such as `https://example.com/{id}`";
                return Some((format!("`{to}` is neither a path nor a URL"), hint));
            }
            &rest[end..]
        };
        if body.starts_with("//") {
            return Some((format!("`{to}` names another host"), "write `https://` before it"));
        }
        has_dot_segment(path)
            .then(|| (format!("`{to}` has dot segments"), "write the path that is meant"))
    }

    /// The target taken apart; every name must be one that the pattern captures.
    fn pieces(&self, body: &str, pattern: &str, out: &mut Diagnostics) -> Option<Vec<Piece>> {
        let Some(pieces) = captures::pieces(body) else {
            out.push(
                Diagnostic::error("E122", &self.to.at, "a brace stands alone")
                    .hint("what is captured is written `{id}`; a brace itself `%7B` or `%7D`"),
            );
            return None;
        };
        if let Some((message, hint)) = captures::unknown(&pieces, pattern) {
            out.push(Diagnostic::error("E123", &self.to.at, message).hint(hint));
            return None;
        }
        let piece = |piece| match piece {
            captures::Piece::Text(text) => Piece::Text(text),
            captures::Piece::Captured(name) => {
                let catch_all = pattern.contains(&format!("{{*{name}}}"));
                Piece::Captured(name, catch_all)
            }
        };
        Some(pieces.into_iter().map(piece).collect())
    }
}

impl RedirectPolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let query = if self.keep_query { " with the query" } else { "" };
        format!("{} to {}{query}", self.status.as_u16(), self.to)
    }

    pub(super) fn answer(&self, parts: &Parts) -> Response {
        let location = match &self.fixed {
            Some(fixed) => Some(fixed.clone()),
            None => self.expand(parts).and_then(|text| HeaderValue::try_from(text).ok()),
        };
        match location {
            Some(location) => to(self.status, location),
            None => Rejection::new(RejectionKind::BadPath).into_response(parts.form),
        }
    }

    /// The target with what the request has to say put in; `None` where that would name another
    /// path than the one that was meant.
    fn expand(&self, parts: &Parts) -> Option<String> {
        let mut text = String::with_capacity(self.to.len() + 64);
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Captured(name, slashes) => {
                    encode(parts.param(name).unwrap_or_default(), *slashes, &mut text);
                }
            }
        }
        stay_on_this_host(&mut text);
        if has_dot_segment(&text) {
            return None;
        }
        if let Some(query) = parts.uri.query().filter(|query| self.keep_query && !query.is_empty())
        {
            text.push(if text.contains('?') { '&' } else { '?' });
            push_visible(query, &mut text);
        }
        text.push_str(&self.fragment);
        Some(text)
    }
}

/// An answer that sends the client to `location`.
pub fn to(status: StatusCode, location: HeaderValue) -> Response {
    let mut response = Response::new(status);
    response.headers = Headers::new();
    response.headers.append(header::LOCATION, location);
    response
}

/// The path of `uri` with a slash at its end, and its query.
pub fn slashed(uri: &Uri) -> Option<HeaderValue> {
    let mut text = String::with_capacity(uri.path().len() + 64);
    push_visible(uri.path(), &mut text);
    text.push('/');
    stay_on_this_host(&mut text);
    if let Some(query) = uri.query() {
        text.push('?');
        push_visible(query, &mut text);
    }
    HeaderValue::try_from(text).ok()
}

/// Keeps a target that begins with `/` from naming another host by a second slash.
pub fn stay_on_this_host(target: &mut String) {
    if target.starts_with("//") {
        target.replace_range(1..2, "%2F");
    }
}

/// Adds text of a request target as it came; what no header may hold is percent-encoded, and so is
/// a backslash, which no URI has (RFC 3986, 2) and browsers take for a slash.
pub fn push_visible(text: &str, target: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'\\' {
            target.push(char::from(byte));
        } else {
            push_escape(byte, target);
        }
    }
}

/// Adds a captured value: all but unreserved characters (RFC 3986, 2.3) percent-encoded.
fn encode(value: &str, slashes: bool, target: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (slashes && byte == b'/') {
            target.push(char::from(byte));
        } else {
            push_escape(byte, target);
        }
    }
}

fn push_escape(byte: u8, target: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    target.push('%');
    for digit in [byte >> 4, byte & 15] {
        target.push(char::from(DIGITS[usize::from(digit)]));
    }
}

/// Whether a segment of the target's path is `.` or `..`.
fn has_dot_segment(target: &str) -> bool {
    captures::has_dot_segment(target.split('?').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;
    use crate::config::diagnostic::Location;
    use crate::http::HeaderMap;
    use crate::request::Request;
    use proptest::prelude::*;

    fn policy(pattern: &str, to: &str, keep_query: bool) -> RedirectPolicy {
        let to = Spanned { value: to.to_owned(), at: Location::default() };
        let config = RedirectConfig { to, status: None, keep_query };
        let mut out = Diagnostics::default();
        let policy = config.compile(pattern, &[Method::GET], &mut out);
        policy.unwrap_or_else(|| panic!("{out:?}"))
    }

    fn location(policy: &RedirectPolicy, url: &str, params: &[(&str, &str)]) -> Option<String> {
        let mut request =
            Request::new(Method::GET, url.parse().unwrap(), HeaderMap::new(), Body::Empty);
        request.params =
            params.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let answer = policy.answer(&request);
        answer.headers.get(&header::LOCATION).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn what_is_captured_stays_what_it_was() {
        for (pattern, to, params, expected) in [
            ("/o/{id}", "/n/{id}", [("id", "7")], Some("/n/7")),
            (
                "/o/{id}",
                "/n/{id}/",
                [("id", "a b/c?d#e&f=g%h")],
                Some("/n/a%20b%2Fc%3Fd%23e%26f%3Dg%25h/"),
            ),
            ("/o/{id}", "/n?id={id}#x", [("id", "é&x=1")], Some("/n?id=%C3%A9%26x%3D1#x")),
            (
                "/o/{id}",
                "https://example.com:8443/{id}",
                [("id", "@evil.test")],
                Some("https://example.com:8443/%40evil.test"),
            ),
            ("/o/{*rest}", "/n/{*rest}", [("rest", "a/b")], Some("/n/a/b")),
            ("/o/{*rest}", "/n/{rest}", [("rest", "")], Some("/n/")),
            ("/o/{*rest}", "/{*rest}", [("rest", "/evil.test")], Some("/%2Fevil.test")),
            ("/o/{*rest}", "/{*rest}", [("rest", "//evil.test")], Some("/%2F/evil.test")),
            ("/o/{*rest}", "/{*rest}/evil.test", [("rest", "")], Some("/%2Fevil.test")),
            ("/v{x}", "/{x}/n", [("x", "..")], None),
            ("/v{x}", "/.{x}/n", [("x", ".")], None),
            ("/v{x}", "/n?to={x}", [("x", "..")], Some("/n?to=..")),
        ] {
            let found = location(&policy(pattern, to, false), "/", &params);
            assert_eq!(found.as_deref(), expected, "{pattern} {to} {params:?}");
        }
    }

    #[test]
    fn the_query_goes_along_only_where_it_is_kept() {
        for (to, keep, url, expected) in [
            ("/n", true, "/o?a=1&b=%20", "/n?a=1&b=%20"),
            ("/n?c=2", true, "/o?a=1", "/n?c=2&a=1"),
            ("/n#top", true, "/o?a=1", "/n?a=1#top"),
            ("/n", true, "/o?", "/n"),
            ("/n", true, "/o", "/n"),
            ("/n", false, "/o?a=1", "/n"),
        ] {
            let found = location(&policy("/o", to, keep), url, &[]);
            assert_eq!(found.as_deref(), Some(expected), "{to} {url}");
        }
    }

    #[test]
    fn a_slash_at_the_end_names_no_other_host() {
        for (url, expected) in [
            ("/items?a=%20", "/items/?a=%20"),
            ("//evil.test", "/%2Fevil.test/"),
            ("///evil.test/x?", "/%2F/evil.test/x/?"),
            ("http://example.com/items", "/items/"),
        ] {
            assert_eq!(slashed(&url.parse().unwrap()).unwrap(), expected, "{url}");
        }
    }

    proptest! {
        #[test]
        fn a_path_never_leaves_this_host(captured in "[^\\x00-\\x1f\\x7f]{0,12}", rest in "[/.a-z@:%]{0,12}") {
            let policy = policy("/o/{id}/{*rest}", "/{*rest}{id}", true);
            let params = [("id", captured.as_str()), ("rest", rest.as_str())];
            if let Some(found) = location(&policy, "/o?x=//y", &params) {
                prop_assert!(found.starts_with('/') && !found.starts_with("//"));
                prop_assert!(found.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'));
                prop_assert_eq!(found.matches('?').count(), 1);
            }
        }
    }
}
