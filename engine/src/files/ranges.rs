//! Which bytes a client asked for (RFC 9110, 14).
//!
//! The whole file answers what is no byte range, more than [`MOST`] of them, and ranges that overlap:
//! they ask for the same bytes again and again. Ranges past the end are left out; where none is left
//! the answer is 416.

use std::ops::Range;

use crate::http::{HeaderMap, header};

/// So many ranges may be asked for at once.
pub const MOST: usize = 8;

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of it.
    Whole,
    /// These bytes, in the order asked for; one at least.
    Parts(Vec<Range<u64>>),
    /// None of what was asked for is there.
    Nothing,
}

/// What `Range` asks of `length` bytes.
pub fn asked(headers: &HeaderMap, length: u64) -> Asked {
    let mut values = headers.get_all(header::RANGE);
    let (Some(value), None) = (values.next(), values.next()) else { return Asked::Whole };
    value.to_str().ok().and_then(|text| parse(text, length)).unwrap_or(Asked::Whole)
}

/// Reads `bytes=0-99,-5`; `None` where it is none, or one that nobody should ask for.
fn parse(text: &str, length: u64) -> Option<Asked> {
    let (unit, list) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut parts: Vec<Range<u64>> = Vec::new();
    let mut count = 0;
    for element in list.split(',').map(str::trim).filter(|element| !element.is_empty()) {
        count += 1;
        if count > MOST {
            return None;
        }
        let (first, last) = element.split_once('-')?;
        let part = match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
            (Some(first), None) if last.is_empty() => first..length,
            (None, Some(suffix)) if first.is_empty() => length.saturating_sub(suffix)..length,
            _ => return None,
        };
        if part.start < part.end {
            parts.push(part);
        }
    }
    if count == 0 {
        return None;
    }
    let overlap = |at: usize, one: &Range<u64>| {
        parts[..at].iter().any(|other| one.start < other.end && other.start < one.end)
    };
    if parts.iter().enumerate().any(|(at, one)| overlap(at, one)) {
        return None;
    }
    Some(if parts.is_empty() { Asked::Nothing } else { Asked::Parts(parts) })
}

/// Digits; more than fit are more than any file has.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeaderValue;
    use proptest::prelude::*;

    fn of(text: &str, length: u64) -> Asked {
        let mut headers = HeaderMap::new();
        headers.append(header::RANGE, HeaderValue::from_str(text).unwrap());
        asked(&headers, length)
    }

    fn parts(parts: &[(u64, u64)]) -> Asked {
        Asked::Parts(parts.iter().map(|(start, end)| *start..*end).collect())
    }

    #[test]
    fn ranges_of_ten_bytes() {
        for (text, expected) in [
            ("bytes=0-0", parts(&[(0, 1)])),
            ("bytes=0-9", parts(&[(0, 10)])),
            ("bytes=0-", parts(&[(0, 10)])),
            ("bytes=9-", parts(&[(9, 10)])),
            ("bytes=5-99", parts(&[(5, 10)])),
            ("bytes=-3", parts(&[(7, 10)])),
            ("bytes=-99", parts(&[(0, 10)])),
            ("BYTES = 1-2 , 4-5", parts(&[(1, 3), (4, 6)])),
            ("bytes=4-5,1-2", parts(&[(4, 6), (1, 3)])),
            ("bytes=0-1,2-3", parts(&[(0, 2), (2, 4)])),
            ("bytes=,0-1,,", parts(&[(0, 2)])),
            ("bytes=0-1,20-30", parts(&[(0, 2)])),
            ("bytes=0-99999999999999999999999", parts(&[(0, 10)])),
            (
                "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7",
                parts(&[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (7, 8)]),
            ),
            ("bytes=10-", Asked::Nothing),
            ("bytes=10-20", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=99999999999999999999999-", Asked::Nothing),
            ("bytes=10-,11-,12-", Asked::Nothing),
            ("bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8", Asked::Whole),
            ("bytes=0-5,5-6", Asked::Whole),
            ("bytes=0-,0-,0-,0-", Asked::Whole),
            ("bytes=-5,-5", Asked::Whole),
            ("bytes=2-1", Asked::Whole),
            ("bytes=", Asked::Whole),
            ("bytes=,", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=0", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=0x1-2", Asked::Whole),
            ("bytes=0 - 1", Asked::Whole),
            ("bytes 0-1", Asked::Whole),
            ("items=0-1", Asked::Whole),
            ("", Asked::Whole),
        ] {
            assert_eq!(of(text, 10), expected, "{text}");
        }
        for text in ["bytes=0-", "bytes=-5", "bytes=0-0"] {
            assert_eq!(of(text, 0), Asked::Nothing, "{text}");
        }
    }

    #[test]
    fn two_lines_ask_for_the_whole() {
        let mut headers = HeaderMap::new();
        headers.append(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        headers.append(header::RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(asked(&headers, 10), Asked::Whole);
        assert_eq!(asked(&HeaderMap::new(), 10), Asked::Whole);
    }

    proptest! {
        #[test]
        fn parts_are_of_the_file_and_never_more_than_it(
            text in "bytes=[0-9,\\- ]{0,40}", length in 0u64..1000,
        ) {
            if let Asked::Parts(parts) = of(&text, length) {
                prop_assert!(!parts.is_empty() && parts.len() <= MOST);
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
                prop_assert!(parts.iter().map(|part| part.end - part.start).sum::<u64>() <= length);
            }
        }
    }
}
