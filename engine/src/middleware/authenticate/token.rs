//! Where a token is in a request: a header after `Bearer `, a cookie or a query parameter.

use super::Place;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostics, Location};
use crate::http::{HeaderName, header};
use crate::request::Parts;

/// Where the token is.
#[derive(Debug)]
pub enum Source {
    Header(HeaderName),
    Cookie(String),
    Query(String),
}

/// What stands there.
pub enum Found<'a> {
    /// Nothing at all.
    Nothing,
    /// Credentials of another scheme.
    Foreign,
    /// Something that no scheme begins.
    Malformed,
    /// More than one.
    Twice,
    /// A token.
    Token(&'a str),
}

impl Source {
    /// Checks what `header`, `cookie` and `query` say.
    pub fn compile(
        [header, cookie, query]: [Option<&Spanned<String>>; 3],
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<Self> {
        match (header, cookie, query) {
            (None, None, None) => Some(Self::Header(header::AUTHORIZATION)),
            (Some(name), None, None) => {
                let known = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).ok();
                if known.is_none() {
                    out.error("E101", &name.at, format!("`{}` is not a header name", name.value));
                }
                known.map(Self::Header)
            }
            (None, Some(cookie), None) => {
                // A cookie's name is a token (RFC 6265, 4.1.1), as a header's is.
                let fine = HeaderName::from_bytes(cookie.as_bytes()).is_ok();
                named(cookie, fine, "a cookie", out).map(Self::Cookie)
            }
            (None, None, Some(query)) => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
                let fine = !query.is_empty() && query.bytes().all(plain);
                named(query, fine, "a query parameter", out).map(Self::Query)
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

    /// The place, to be compared with that of another method.
    pub fn place(&self) -> Place {
        match self {
            Self::Header(name) => Place::Scheme(name.clone(), "bearer"),
            Self::Cookie(name) => Place::Cookie(name.clone()),
            Self::Query(name) => Place::Query(name.clone()),
        }
    }

    /// What is there in this request.
    pub fn find<'a>(&self, parts: &'a Parts) -> Found<'a> {
        match self {
            Self::Header(name) => {
                let mut values = parts.headers.get_all(name);
                let Some(value) = values.next() else { return Found::Nothing };
                if values.next().is_some() {
                    return Found::Twice;
                }
                match value.to_str().ok().and_then(|text| text.split_once(' ')) {
                    None => Found::Malformed,
                    Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                        Found::Token(token)
                    }
                    Some(_) => Found::Foreign,
                }
            }
            Self::Cookie(name) => {
                let lines =
                    parts.headers.get_all(header::COOKIE).filter_map(|line| line.to_str().ok());
                only(lines.flat_map(|line| line.split(';')).filter_map(|pair| {
                    let (key, value) = pair.trim().split_once('=')?;
                    (key == name).then_some(value)
                }))
            }
            Self::Query(name) => {
                let pairs = parts
                    .uri
                    .query()
                    .unwrap_or_default()
                    .split('&')
                    .filter_map(|pair| pair.split_once('='));
                only(pairs.filter(|(key, _)| key == name).map(|(_, value)| value))
            }
        }
    }
}

fn only<'a>(mut found: impl Iterator<Item = &'a str>) -> Found<'a> {
    match (found.next(), found.next()) {
        (None, _) => Found::Nothing,
        (Some(token), None) => Found::Token(token),
        (Some(_), Some(_)) => Found::Twice,
    }
}

/// The name of the place that a token comes from.
fn named(name: &Spanned<String>, fine: bool, what: &str, out: &mut Diagnostics) -> Option<String> {
    if !fine {
        out.error("E078", &name.at, format!("`{}` cannot name {what}", name.value));
    }
    fine.then(|| name.value.clone())
}
