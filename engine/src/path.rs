//! Path identity: the path is decoded once, here, and what is matched is exactly the `path_info`
//! that Django would see.
//!
//! A spelling that two parties could read differently is refused: an encoded slash, backslash or
//! NUL, a raw backslash, control characters, a malformed escape, invalid UTF-8, and dot segments
//! (also encoded ones). Empty segments (`//`) are kept, as Django keeps them.

use crate::middleware::rejection::RejectionKind;

/// Decodes the path of a request target; `None` where decoding changes nothing.
///
/// # Errors
/// [`RejectionKind::BadPath`] for a path that has no single meaning.
pub fn decode(raw: &str) -> Result<Option<Box<str>>, RejectionKind> {
    if raw == "*" {
        // `OPTIONS *` asks about the server; it is matched as a path that no route can have.
        return Ok(None);
    }
    if !raw.starts_with('/') {
        return Err(RejectionKind::BadPath);
    }
    let plain = raw.bytes().all(|byte| byte != b'%');
    if plain {
        return if is_safe(raw) { Ok(None) } else { Err(RejectionKind::BadPath) };
    }
    let decoded = percent_decode(raw.as_bytes()).ok_or(RejectionKind::BadPath)?;
    let decoded = String::from_utf8(decoded).map_err(|_| RejectionKind::BadPath)?;
    if is_safe(&decoded) { Ok(Some(decoded.into_boxed_str())) } else { Err(RejectionKind::BadPath) }
}

/// Undoes percent encoding; `None` for a malformed escape or one that hides a separator.
fn percent_decode(raw: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let byte = hex(*bytes.next()?)? << 4 | hex(*bytes.next()?)?;
        if matches!(byte, b'/' | b'\\' | 0) {
            return None;
        }
        decoded.push(byte);
    }
    Some(decoded)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// No control characters, no backslash, no dot segments.
fn is_safe(path: &str) -> bool {
    let mut start = 0;
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'/' => {
                if is_dots(&path.as_bytes()[start..at]) {
                    return false;
                }
                start = at + 1;
            }
            0..0x20 | 0x7f | b'\\' => return false,
            _ => {}
        }
    }
    !is_dots(&path.as_bytes()[start..])
}

const fn is_dots(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_path_is_not_copied() {
        assert_eq!(decode("/a//b;c/~d/"), Ok(None));
        assert_eq!(decode("/caf%C3%A9"), Ok(Some("/café".into())));
        assert_eq!(decode("/%41"), Ok(Some("/A".into())));
    }

    #[test]
    fn ambiguous_spellings_are_refused() {
        for raw in [
            "",
            "a",
            "/%2f",
            "/%2F",
            "/%5c",
            "/\\",
            "/%00",
            "/.",
            "/..",
            "/a/../b",
            "/%2e%2E/",
            "/a/.",
            "/%",
            "/%4",
            "/%zz",
            "/%ff",
            "/%c0%af",
            "/a%0d%0ab",
            "/%7f",
        ] {
            assert_eq!(decode(raw), Err(RejectionKind::BadPath), "{raw}");
        }
    }

    /// A byte as it may be written in a path: itself where that is allowed, or escaped.
    fn written(byte: u8, escaped: bool, upper: bool) -> String {
        let plain = byte.is_ascii_graphic() && !matches!(byte, b'%' | b'/' | b'?' | b'#');
        match (plain && !escaped, upper) {
            (true, _) => char::from(byte).to_string(),
            (false, true) => format!("%{byte:02X}"),
            (false, false) => format!("%{byte:02x}"),
        }
    }

    /// What RFC 3986 makes of the segments, unless two parties could disagree about it.
    fn model(segments: &[Vec<u8>]) -> Option<String> {
        let refused = |byte: &u8| *byte < 0x20 || matches!(byte, b'/' | b'\\' | 0x7f);
        if segments.iter().any(|s| s == b"." || s == b".." || s.iter().any(refused)) {
            return None;
        }
        String::from_utf8([&b"/"[..], &segments.join(&b'/')].concat()).ok()
    }

    /// Bytes of a segment, those that matter more often than the others.
    fn byte() -> impl Strategy<Value = u8> {
        prop_oneof![
            4 => prop::sample::select(&b"ab.%/\\\0~\xc3\xa9\x7f\r"[..]),
            2 => any::<u8>(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn every_spelling_of_a_path_is_the_same_path_or_refused(
            segments in prop::collection::vec(
                prop::collection::vec((byte(), any::<bool>(), any::<bool>()), 0..5), 1..5),
        ) {
            let spell = |segment: &Vec<(u8, bool, bool)>| -> String {
                segment.iter().map(|(byte, escaped, upper)| written(*byte, *escaped, *upper)).collect()
            };
            let raw = format!("/{}", segments.iter().map(spell).collect::<Vec<_>>().join("/"));
            let bytes: Vec<Vec<u8>> =
                segments.iter().map(|s| s.iter().map(|(byte, ..)| *byte).collect()).collect();
            let found = decode(&raw).ok().map(|decoded| decoded.map_or(raw.clone(), String::from));
            prop_assert_eq!(found, model(&bytes), "{}", raw);
        }

        #[test]
        fn decoding_never_panics(raw in "\\PC{0,40}") {
            decode(&raw).ok();
        }
    }
}
