//! Pages: how many rows, from where on, and the link to the next ones (RFC 8288).

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

/// Signs cursors and opens them: base64url of a signature (HMAC-SHA-256, cut to 128 bits) and the
/// value of the last row as JSON.
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
        URL_SAFE_NO_PAD.encode([&tag.as_ref()[..TAG], value].concat())
    }

    /// The key that a cursor of ours speaks of, as text.
    pub fn open(&self, cursor: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, value) = bytes.split_at_checked(TAG)?;
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
    /// `Link` to the page that begins at `from`: the same target with that parameter.
    pub fn link(&self, uri: &Uri, from: &str) -> Option<HeaderValue> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if name != self.name {
                query.append_pair(&name, &value);
            }
        }
        query.append_pair(&self.name, from);
        let link = format!("<{}?{}>; rel=\"next\"", uri.path(), query.finish());
        HeaderValue::try_from(link).ok()
    }
}
