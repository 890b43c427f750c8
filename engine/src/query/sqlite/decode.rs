//! SQLite's values as Django's converters for it make them.

use std::borrow::Cow;

use rusqlite::types::ValueRef;

use crate::query::cell::{Broken, Cell};
use crate::query::python;
use crate::query::wire::{Column, Kind};

const OTHER: Broken = Broken("a value of another type than its column");

/// What Django makes of `value`.
pub fn cell(value: ValueRef<'_>, column: &Column, use_tz: bool) -> Result<Cell<'static>, Broken> {
    if matches!(value, ValueRef::Null) {
        return Ok(Cell::Null);
    }
    Ok(match column.kind {
        Kind::Raw => raw(value)?,
        Kind::Bool => match value {
            ValueRef::Integer(0) => Cell::Bool(false),
            ValueRef::Integer(1) => Cell::Bool(true),
            other => raw(other)?,
        },
        Kind::Int => match value {
            ValueRef::Integer(value) => Cell::Int(value),
            // As `int(value)` cuts it.
            ValueRef::Real(value) if value.is_finite() => {
                Cell::Digits(format!("{:.0}", cut(value)))
            }
            _ => return Err(OTHER),
        },
        Kind::Float => match value {
            ValueRef::Real(value) => Cell::Float(value),
            #[expect(clippy::cast_precision_loss)] // as `float(value)` does
            ValueRef::Integer(value) => Cell::Float(value as f64),
            _ => return Err(OTHER),
        },
        Kind::Decimal => Cell::Decimal(super::decimal::decimal(value, column)?),
        Kind::Json => Cell::Json(Cow::Owned(text(value)?.to_owned())),
        Kind::Uuid => Cell::Uuid(uuid(text(value)?).ok_or(OTHER)?),
        Kind::Date => Cell::Date(date(text(value)?).ok_or(OTHER)?),
        Kind::Time => Cell::Time(clock(text(value)?).ok_or(OTHER)?),
        Kind::Datetime => {
            let (date_text, rest) = text(value)?.split_at_checked(10).ok_or(OTHER)?;
            let rest = rest.strip_prefix([' ', 'T']).ok_or(OTHER)?;
            let day = date(date_text).ok_or(OTHER)?;
            let since = day * 86_400_000_000 + clock(rest).ok_or(OTHER)?;
            Cell::Datetime(since, use_tz)
        }
        Kind::Duration => match value {
            ValueRef::Integer(value) => Cell::Duration(value.into()),
            // An average of durations.
            ValueRef::Real(value) if value.abs() < 1e17 => {
                #[expect(clippy::cast_possible_truncation)] // within what a timedelta has
                Cell::Duration(value.round_ties_even() as i128)
            }
            _ => return Err(OTHER),
        },
    })
}

/// Without what stands behind the point, and never a negative zero.
fn cut(value: f64) -> f64 {
    value.trunc() + 0.0
}

fn raw(value: ValueRef<'_>) -> Result<Cell<'static>, Broken> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        ValueRef::Real(value) => Cell::Float(value),
        ValueRef::Text(_) => Cell::Text(Cow::Owned(text(value)?.to_owned())),
        ValueRef::Blob(_) => return Err(Broken("bytes, which JSON has no form for")),
    })
}

fn text(value: ValueRef<'_>) -> Result<&str, Broken> {
    value.as_str().map_err(|_| OTHER)
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let plain = text.replace('-', "");
    u128::from_str_radix(&plain, 16).ok().filter(|_| plain.len() == 32).map(u128::to_be_bytes)
}

/// Days since 1970-01-01 of `2026-01-31`.
fn date(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse());
    let part = |from, to| number(text.get(from..to)?)?.ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let days = python::days(year, month, day);
    // What is no date comes out as another one.
    let same = python::date(days).ok()?;
    (same.as_bytes() == bytes).then_some(days)
}

/// Microseconds since midnight of `12:00`, `12:00:00` or `12:00:00.5`.
fn clock(text: &str) -> Option<i64> {
    let text = text.strip_suffix("+00:00").unwrap_or(text);
    let (clock, part) = text.split_once('.').unwrap_or((text, "0"));
    let mut numbers = clock.split(':').map(|part| {
        let fits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if fits { part.parse::<i64>().ok() } else { None }
    });
    let (hour, minute) = (numbers.next()??, numbers.next()??);
    let second = numbers.next().unwrap_or(Some(0))?;
    let fits = numbers.next().is_none() && hour < 24 && minute < 60 && second < 60;
    let digits = !part.is_empty() && part.len() <= 6;
    let digits = digits && part.bytes().all(|byte| byte.is_ascii_digit());
    let micro: i64 = format!("{part:0<6}").parse().ok().filter(|_| fits && digits)?;
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micro)
}
