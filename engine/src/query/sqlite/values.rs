//! Values on their way to SQLite, as Django adapts them.

use rusqlite::types::Value as SqlValue;

use crate::query::wire::{Bind, Scalar};
use crate::query::{Value, python};

/// What stands at a placeholder.
pub fn bind(bind: &Bind, values: &[Option<Value>]) -> SqlValue {
    let Some(text) = bind.fill(values) else { return SqlValue::Null };
    let number = || text.parse().map(SqlValue::Integer).ok();
    let adapted = match bind.scalar {
        Scalar::Int | Scalar::Duration => number(),
        Scalar::Float => text.parse().map(SqlValue::Real).ok(),
        Scalar::Bool => match &*text {
            "t" | "true" => Some(SqlValue::Integer(1)),
            "f" | "false" => Some(SqlValue::Integer(0)),
            _ => number(),
        },
        Scalar::Decimal => Some(SqlValue::Text(decimal(&text))),
        Scalar::Uuid => Some(SqlValue::Text(text.replace('-', ""))),
        Scalar::Datetime if bind.param.is_some() => utc(&text).map(SqlValue::Text),
        _ => None,
    };
    adapted.unwrap_or_else(|| SqlValue::Text(text.into_owned()))
}

/// `str(Decimal(text))`.
fn decimal(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (number, power) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, part].concat();
    let digits = digits.trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let power: i32 = power.parse().unwrap_or_default();
    let exponent = power - i32::try_from(part.len()).unwrap_or_default();
    let shown = python::decimal(sign, digits, exponent);
    String::from_utf8_lossy(shown.as_bytes()).into_owned()
}

/// `2026-01-31 12:00:00.5+05:30` as Django keeps it: in UTC, with no or six digits of a second.
fn utc(text: &str) -> Option<String> {
    let (moment, offset) = match text.get(19..)?.find(['+', '-']) {
        Some(at) => text.split_at(19 + at),
        None => (text, "+00:00"),
    };
    let part = |from: usize, to: usize| moment.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let digits = moment.get(20..).unwrap_or_default();
    let micro: i64 = format!("{digits:0<6}").parse().ok()?;
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let shift =
        offset.get(1..3)?.parse::<i64>().ok()? * 60 + offset.get(4..6)?.parse::<i64>().ok()?;
    let minutes = (python::days(year, month, day) * 24 + hour) * 60 + minute - sign * shift;
    let shown = python::moment((minutes * 60 + second) * 1_000_000 + micro).ok()?;
    std::str::from_utf8(shown.as_bytes()).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_kept_in_utc() {
        for (text, expected) in [
            ("2026-01-31 12:00:00+00:00", "2026-01-31 12:00:00"),
            ("2026-01-31 12:00:00.5+05:30", "2026-01-31 06:30:00.500000"),
            ("2026-12-31 23:00:00-02:00", "2027-01-01 01:00:00"),
            ("2024-02-29 00:00:00", "2024-02-29 00:00:00"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected));
        }
    }
}
