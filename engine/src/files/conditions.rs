//! Preconditions (RFC 9110, 13): whether a client's copy is current, and whether it asked for
//! something else than there is now.

use crate::http::{HeaderMap, HeaderName, HeaderValue, header};

/// What the preconditions of a `GET` or `HEAD` come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The answer is given.
    Go,
    /// 304: the client has it.
    NotModified,
    /// 412: it is not what the client asked for.
    Failed,
}

/// The validators of what would be sent.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// A strong entity tag, quotes included.
    pub tag: &'a [u8],
    /// When it was modified last, in seconds since 1970.
    pub modified: u64,
}

impl Validators<'_> {
    /// Evaluates the preconditions in the order of RFC 9110, 13.2.2. A date that is none counts as
    /// not sent.
    pub fn judge(&self, headers: &HeaderMap) -> Verdict {
        if let Some(matches) = self.any_tag(headers, &header::IF_MATCH, false) {
            if !matches {
                return Verdict::Failed;
            }
        } else if let Some(date) = date(headers, &header::IF_UNMODIFIED_SINCE)
            && self.modified > date
        {
            return Verdict::Failed;
        }
        if let Some(matches) = self.any_tag(headers, &header::IF_NONE_MATCH, true) {
            if matches {
                return Verdict::NotModified;
            }
        } else if let Some(date) = date(headers, &header::IF_MODIFIED_SINCE)
            && self.modified <= date
        {
            return Verdict::NotModified;
        }
        Verdict::Go
    }

    /// Whether a range is of what the client has begun to get: there is no `If-Range`, or it names
    /// exactly this. A weak tag never does, and neither does a date: nobody knows whether the file
    /// changed twice in its second (RFC 9110, 8.8.2.2), and who has our tag sends no date (13.1.5).
    pub fn continues(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::IF_RANGE);
        match (values.next(), values.next()) {
            (None, _) => true,
            (Some(value), None) => value.as_bytes() == self.tag,
            _ => false,
        }
    }

    /// Whether any of the tags that `name` lists is ours; `None` where there is no such field. A
    /// comma in a tag makes two pieces of it, neither of which is a tag with both its quotes.
    fn any_tag(&self, headers: &HeaderMap, name: &HeaderName, weak: bool) -> Option<bool> {
        let mut found = None;
        for value in headers.get_all(name) {
            let matches = value.as_bytes().split(|byte| *byte == b',').any(|piece| {
                let piece = piece.trim_ascii();
                let strong = if weak { piece.strip_prefix(b"W/").unwrap_or(piece) } else { piece };
                piece == b"*" || strong == self.tag
            });
            found = Some(found.unwrap_or(false) || matches);
        }
        found
    }
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut values = headers.get_all(name);
    let first = values.next()?;
    if values.next().is_some() { None } else { seconds(first) }
}

fn seconds(value: &HeaderValue) -> Option<u64> {
    let time = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Validators<'_> = Validators { tag: b"\"a\"", modified: 784_111_777 };
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn preconditions_in_their_order() {
        for (pairs, expected) in [
            (&[][..], Verdict::Go),
            (&[("if-none-match", "\"a\"")], Verdict::NotModified),
            (&[("if-none-match", "W/\"a\"")], Verdict::NotModified),
            (&[("if-none-match", "\"x\", W/\"y\" ,\"a\"")], Verdict::NotModified),
            (&[("if-none-match", "*")], Verdict::NotModified),
            (&[("if-none-match", "\"b\"")], Verdict::Go),
            (&[("if-none-match", "a")], Verdict::Go),
            (&[("if-none-match", "\"x,a\", \"a,x\"")], Verdict::Go),
            (&[("if-none-match", "\"b\""), ("if-none-match", "\"a\"")], Verdict::NotModified),
            (&[("if-modified-since", SAME)], Verdict::NotModified),
            (&[("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT")], Verdict::NotModified),
            (&[("if-modified-since", "Sun Nov  6 08:49:37 1994")], Verdict::NotModified),
            (&[("if-modified-since", BEFORE)], Verdict::Go),
            (&[("if-modified-since", "yesterday")], Verdict::Go),
            (&[("if-modified-since", SAME), ("if-modified-since", SAME)], Verdict::Go),
            // The tag decides where there is one.
            (&[("if-none-match", "\"b\""), ("if-modified-since", SAME)], Verdict::Go),
            (&[("if-match", "\"a\"")], Verdict::Go),
            (&[("if-match", "*")], Verdict::Go),
            (&[("if-match", "W/\"a\"")], Verdict::Failed),
            (&[("if-match", "\"b\"")], Verdict::Failed),
            (&[("if-match", "\"b\", \"a\"")], Verdict::Go),
            (&[("if-unmodified-since", SAME)], Verdict::Go),
            (&[("if-unmodified-since", BEFORE)], Verdict::Failed),
            (&[("if-unmodified-since", "junk")], Verdict::Go),
            (&[("if-match", "\"a\""), ("if-unmodified-since", BEFORE)], Verdict::Go),
            (&[("if-match", "\"b\""), ("if-none-match", "\"a\"")], Verdict::Failed),
            (&[("if-match", "\"a\""), ("if-none-match", "\"a\"")], Verdict::NotModified),
        ] {
            assert_eq!(OURS.judge(&headers(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_range_goes_on_only_with_what_was_begun() {
        for (pairs, expected) in [
            (&[][..], true),
            (&[("if-range", "\"a\"")], true),
            (&[("if-range", "\"b\"")], false),
            (&[("if-range", "W/\"a\"")], false),
            (&[("if-range", SAME)], false),
            (&[("if-range", BEFORE)], false),
            (&[("if-range", "junk")], false),
            (&[("if-range", "\"a\""), ("if-range", "\"a\"")], false),
        ] {
            assert_eq!(OURS.continues(&headers(pairs)), expected, "{pairs:?}");
        }
    }
}
