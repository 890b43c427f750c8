//! Where a token is in a request: a header after `Bearer `, a cookie or a query parameter.

use super::Place;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostics, Location};
use crate::http::{HeaderName, HeaderValue, header};
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
                let text = str::from_utf8(value.as_bytes()).ok().filter(|text| text.is_ascii());
                match text.and_then(|text| text.split_once(' ')) {
                    None => Found::Malformed,
                    Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                        Found::Token(token)
                    }
                    Some(_) => Found::Foreign,
                }
            }
            Self::Cookie(name) => {
                // By bytes: what other cookies hold, in whatever encoding, hides no token.
                let lines = parts.headers.get_all(header::COOKIE).map(HeaderValue::as_bytes);
                let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
                only(pairs.filter_map(|pair| {
                    let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
                    value.strip_prefix(b"=")
                }))
            }
            Self::Query(name) => {
                let pairs = parts
                    .uri
                    .query()
                    .unwrap_or_default()
                    .split('&')
                    .filter_map(|pair| pair.split_once('='));
                only(pairs.filter(|(key, _)| key == name).map(|(_, value)| value.as_bytes()))
            }
        }
    }
}

fn only<'a>(mut found: impl Iterator<Item = &'a [u8]>) -> Found<'a> {
    match (found.next(), found.next()) {
        (None, _) => Found::Nothing,
        (Some(token), None) => str::from_utf8(token).map_or(Found::Malformed, Found::Token),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;
    use crate::http::{HeaderMap, Method};
    use crate::request::Request;

    #[test]
    fn another_cookie_in_any_encoding_hides_no_token() {
        let found = |lines: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
            }
            let uri = "/".parse().unwrap();
            let request = Request::new(Method::GET, uri, headers, Body::Empty);
            match Source::Cookie("session".into()).find(&request) {
                Found::Nothing => "nothing".to_owned(),
                Found::Malformed => "malformed".to_owned(),
                Found::Twice => "twice".to_owned(),
                Found::Token(token) => token.to_owned(),
                Found::Foreign => "foreign".to_owned(),
            }
        };
        assert_eq!(found(&[b"name=J\xf6rg; session=a.b.c"]), "a.b.c");
        assert_eq!(found(&["name=Jörg;session=a.b.c ".as_bytes()]), "a.b.c");
        assert_eq!(found(&[b"session=a", b"x=\xff; session=b"]), "twice");
        assert_eq!(found(&[b"session=\xff"]), "malformed");
        assert_eq!(found(&[b"sessions=a; xsession=b; session"]), "nothing");
    }
}
