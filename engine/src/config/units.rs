//! Quantities with units: durations (`15s`), sizes (`2MiB`) and rates (`100/1m`).

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::decode::{Decode, Node};
use super::diagnostic::{Diagnostic, Diagnostics};
use super::schema::{self, Book};

/// A span of time, written with a unit: `250ms`, `15s`, `10m`, `1h`, `30d`, `1y` (365 days).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// A span of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The span in seconds, where it is a whole number of them.
    pub const fn whole_seconds(self) -> Option<u64> {
        if self.0.subsec_nanos() == 0 { Some(self.0.as_secs()) } else { None }
    }
}

/// A number of bytes, written with a unit: `512B`, `64KiB`, `2MiB`, `1GiB` (also `KB`, `MB`, `GB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// A count per period: `100/1m`, `5/15m`, `20/1s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// In how long.
    pub period: Duration,
}

/// Bytes per second, written as a size per time: `240B/1s`, `1MiB/1m`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ByteRate(pub f64);

const SPANS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("y", 365 * 86_400_000),
];

const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

impl fmt::Display for Span {
    /// In the largest unit that leaves no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        in_units(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &SPANS, f)
    }
}

impl fmt::Display for Size {
    /// In the largest unit that leaves no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        in_units(self.0, &SIZES, f)
    }
}

fn in_units(number: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let fitting = units.iter().filter(|(_, factor)| number > 0 && number.is_multiple_of(*factor));
    let (unit, factor) = fitting.max_by_key(|(_, factor)| *factor).unwrap_or(&units[0]);
    write!(f, "{}{unit}", number / factor)
}

/// Splits `text` into a decimal whole number and what follows it.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text.get(..digits)?.parse().ok()?;
    Some((number, &text[digits..]))
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = split_number(text)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

fn parse_span(text: &str) -> Option<Duration> {
    with_unit(text, &SPANS).map(Duration::from_millis)
}

/// Reads a quantity; a bare number is an error (`E031`) that suggests units.
fn quantity<T>(
    node: Node<'_>,
    out: &mut Diagnostics,
    what: &str,
    suggest: [&str; 2],
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let text = match node.value {
        Value::String(text) if !matches!(text.as_str(), "on" | "off" | "true" | "false") => {
            text.clone()
        }
        Value::Number(number) => number.to_string(),
        _ => {
            node.mismatch(&format!("{what} such as {}", suggest[0]), out);
            return None;
        }
    };
    if let Some(value) = parse(&text) {
        return Some(value);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let [first, second] = suggest.map(|example| {
            let unit: String = example.chars().skip_while(char::is_ascii_digit).collect();
            format!("{text}{unit}")
        });
        out.push(
            Diagnostic::error("E031", node.at, format!("{what} `{text}` has no unit"))
                .hint(format!("write `{first}` or `{second}`")),
        );
    } else {
        out.push(
            Diagnostic::error("E032", node.at, format!("`{text}` is not {what}"))
                .hint(format!("write for example `{}` or `{}`", suggest[0], suggest[1])),
        );
    }
    None
}

impl Decode for Span {
    const EXPECTED: &'static str = "a duration such as 15s";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        quantity(node, out, "a duration", ["15s", "10m"], parse_span).map(Self)
    }

    fn schema(_: &mut Book) -> Value {
        schema::text("[0-9]+(ms|s|m|h|d|y)")
    }
}

impl Decode for Size {
    const EXPECTED: &'static str = "a size such as 2MiB";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        quantity(node, out, "a size", ["1KiB", "2MiB"], |text| with_unit(text, &SIZES)).map(Self)
    }

    fn schema(_: &mut Book) -> Value {
        schema::text("[0-9]+(B|KiB|MiB|GiB|KB|MB|GB)")
    }
}

impl Decode for Rate {
    const EXPECTED: &'static str = "a rate such as 100/1m";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        if let Some((count, period)) = node.value.as_str().and_then(|text| text.split_once('/'))
            && !period.is_empty()
            && [count, period].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
        {
            out.push(
                Diagnostic::error("E031", node.at, format!("rate `{count}/{period}` has no unit"))
                    .hint(format!("write `{count}/{period}m` or `{count}/{period}s`")),
            );
            return None;
        }
        let rate = quantity(node, out, "a rate", ["100/1m", "20/1s"], |text| {
            let (count, period) = text.split_once('/')?;
            let count = count.parse().ok().filter(|_| count.bytes().all(|b| b.is_ascii_digit()))?;
            Some(Self { count, period: parse_span(period)? })
        })?;
        if rate.count == 0 || rate.period.is_zero() {
            out.error("E033", node.at, "a rate admits at least 1 request in more than 0ms");
            return None;
        }
        Some(rate)
    }

    fn schema(_: &mut Book) -> Value {
        schema::text("[0-9]+/[0-9]+(ms|s|m|h|d|y)")
    }
}

impl Decode for ByteRate {
    const EXPECTED: &'static str = "a number of bytes per time such as 240B/1s";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let rate = quantity(node, out, "a rate of bytes", ["240B/1s", "1KiB/1s"], |text| {
            let (size, period) = text.split_once('/')?;
            Some((with_unit(size, &SIZES)?, parse_span(period)?))
        })?;
        if rate.0 == 0 || rate.1.is_zero() || rate.0 > 1 << 40 {
            out.error("E033", node.at, "a rate of bytes is 1B to 1024GiB in more than 0ms");
            return None;
        }
        #[allow(clippy::cast_precision_loss)] // at most 2^40
        Some(Self(rate.0 as f64 / rate.1.as_secs_f64()))
    }

    fn schema(_: &mut Book) -> Value {
        schema::text("[0-9]+(B|KiB|MiB|GiB|KB|MB|GB)/[0-9]+(ms|s|m|h|d|y)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_read_as_they_are_written() {
        for text in ["250ms", "15s", "1m", "90s", "36h", "7d", "1y"] {
            assert_eq!(Span(parse_span(text).unwrap()).to_string(), text);
        }
        for text in ["100B", "64KiB", "2MiB", "1GiB", "1500KB"] {
            assert_eq!(Size(with_unit(text, &SIZES).unwrap()).to_string(), text);
        }
        assert_eq!(Span(Duration::ZERO).to_string(), "0ms");
    }
}
