//! Pages: how many rows, from where on, and the link to the next ones (RFC 8288).

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::wire::Page;
use crate::http::{HeaderValue, Uri};

/// So many bytes of a cursor are its signature.
const TAG: usize = 16;

/// How a route is read page by page.
pub struct Paging {
    /// The parameter that says how many rows a page has.
    pub limit: usize,
    /// The parameter that says from where on.
    pub from: usize,
    /// Its name.
    pub name: String,
    /// How cursors are signed, and the column that they speak of; none where pages are counted.
    pub cursors: Option<(usize, Cursors)>,
}

/// Signs cursors and opens them: base64url of the last row's value as JSON and a signature
/// (HMAC-SHA-256, cut to 128 bits).
pub struct Cursors(hmac::Key);

impl Cursors {
    /// The cursors that `page` speaks of.
    pub fn new(page: &Page) -> Option<(usize, Self)> {
        let Page::Key { column, secret } = page else { return None };
        let bytes: Option<Vec<u8>> = (0..secret.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(secret.get(at..at + 2)?, 16).ok())
            .collect();
        Some((*column, Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes?))))
    }

    /// The cursor behind a row whose key is `value`, as JSON.
    pub fn seal(&self, value: &[u8]) -> String {
        let tag = hmac::sign(&self.0, value);
        URL_SAFE_NO_PAD.encode([value, &tag.as_ref()[..TAG]].concat())
    }

    /// The key that a cursor of ours speaks of, as text.
    pub fn open(&self, cursor: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (value, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
        let expected = hmac::sign(&self.0, value);
        let is_ours: bool = subtle::ConstantTimeEq::ct_eq(&expected.as_ref()[..TAG], tag).into();
        if !is_ours {
            return None;
        }
        match serde_json::from_slice(value).ok()? {
            serde_json::Value::String(text) => Some(text),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

impl Paging {
    /// `Link` to the page that begins at `from`, relative to this one: the same query with that
    /// parameter, so that no prefix, host or path of anybody's making is in it.
    pub fn link(&self, uri: &Uri, from: &str) -> Option<HeaderValue> {
        let mut link = String::from("<?");
        let query = uri.query().unwrap_or_default();
        for pair in query.split('&').filter(|pair| !pair.is_empty() && !self.is_named(pair)) {
            for byte in pair.bytes() {
                if byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"') {
                    link.push(char::from(byte));
                } else {
                    write!(link, "%{byte:02X}").ok()?;
                }
            }
            link.push('&');
        }
        write!(link, "{}={from}>; rel=\"next\"", self.name).ok()?;
        HeaderValue::try_from(link).ok()
    }

    /// Whether a part of a query string has the parameter's name.
    fn is_named(&self, pair: &str) -> bool {
        form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(name, _)| name == self.name)
    }
}
