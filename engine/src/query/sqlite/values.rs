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
        // Moments are kept in UTC, and do not say so.
        Scalar::Datetime if bind.param.is_some() => {
            text.strip_suffix("+00:00").map(|moment| SqlValue::Text(moment.to_owned()))
        }
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
