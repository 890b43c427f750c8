//! The HTTP vocabulary of the engine: actix-http's types (`http` 0.2), so that a header is never
//! converted on its way in or out, and the small ordered header list that responses carry.

pub use actix_http::header::{self, HeaderMap, HeaderName, HeaderValue};
pub use actix_http::{Method, StatusCode, Uri, Version};

/// An element of `Accept` or `Accept-Encoding`: its name, and its weight in thousandths (RFC 9110,
/// 12.4.2). A malformed weight is 0.
pub fn weighted(element: &str) -> (&str, u16) {
    let mut parts = element.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (name, weight.map_or(1000, thousandths))
}

fn thousandths(weight: &str) -> u16 {
    let (whole, digits) = weight.split_once('.').unwrap_or((weight, ""));
    if digits.len() > 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return 0;
    }
    let digits = digits.bytes().chain(std::iter::repeat(b'0')).take(3);
    let fraction = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => fraction,
        "1" if fraction == 0 => 1000,
        _ => 0,
    }
}

/// Response headers: an ordered list, because a response has few and they are mostly appended.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    /// An empty list; nothing is allocated until the first header.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// An empty list with room for `capacity` headers.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// The first value of `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Every value of `name`, in order.
    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value)
    }

    /// Whether `name` is present.
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// Replaces every value of `name` by `value`.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        if let Some(at) = self.0.iter().position(|(key, _)| *key == name) {
            self.0[at].1 = value;
            let mut index = 0;
            self.0.retain(|(key, _)| {
                index += 1;
                index - 1 <= at || *key != name
            });
        } else {
            self.append(name, value);
        }
    }

    /// Adds one more value of `name`.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        if self.0.capacity() == 0 {
            self.0.reserve(12);
        }
        self.0.push((name, value));
    }

    /// Removes every value of `name`; says whether there was one.
    pub fn remove(&mut self, name: &HeaderName) -> bool {
        let before = self.0.len();
        self.0.retain(|(key, _)| key != name);
        self.0.len() != before
    }

    /// Keeps only the headers whose name `keep` wants.
    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// Adds `token` (a lower-case header name) to `Vary` unless it is there or `Vary` is `*`.
    pub fn vary(&mut self, token: HeaderName) {
        let named = |value: &HeaderValue| {
            value.as_bytes().split(|byte| *byte == b',').any(|part| {
                let part = part.trim_ascii();
                part == b"*" || part.eq_ignore_ascii_case(token.as_str().as_bytes())
            })
        };
        if !self.get_all(&header::VARY).any(named) {
            self.append(header::VARY, HeaderValue::from(token));
        }
    }

    /// The headers in order.
    pub fn iter(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.0.iter()
    }

    /// How many headers there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Headers {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<const N: usize> From<[(HeaderName, HeaderValue); N]> for Headers {
    fn from(headers: [(HeaderName, HeaderValue); N]) -> Self {
        Self(headers.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insert_replaces_every_value() {
        let mut headers = Headers::new();
        headers.append(header::VARY, HeaderValue::from_static("a"));
        headers.append(header::AGE, HeaderValue::from_static("1"));
        headers.append(header::VARY, HeaderValue::from_static("b"));
        headers.insert(header::VARY, HeaderValue::from_static("c"));
        assert_eq!(headers.get_all(&header::VARY).collect::<Vec<_>>(), ["c"]);
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn weights_are_thousandths() {
        for (element, expected) in [
            ("gzip", ("gzip", 1000)),
            (" br ; Q=0.5", ("br", 500)),
            ("text/html;level=1;q=0.123", ("text/html", 123)),
            ("a;q=1.000", ("a", 1000)),
            ("a;q=0", ("a", 0)),
            ("a;q=1.001", ("a", 0)),
            ("a;q=0.1234", ("a", 0)),
            ("a;q=", ("a", 0)),
            ("a;q=-1", ("a", 0)),
            ("", ("", 1000)),
        ] {
            assert_eq!(weighted(element), expected, "{element}");
        }
    }

    #[test]
    fn vary_is_not_repeated() {
        let mut headers = Headers::new();
        headers.append(header::VARY, HeaderValue::from_static("Accept, ORIGIN"));
        headers.vary(header::ORIGIN);
        assert_eq!(headers.len(), 1);
        headers.vary(header::ACCEPT_ENCODING);
        assert_eq!(headers.len(), 2);
    }
}
