//! Decimals, which SQLite keeps as integers and floats: as Django's converter makes them, to 15
//! significant digits and then to the field's places, both half to even.

use rusqlite::types::ValueRef;

use crate::query::cell::{Broken, Inline};
use crate::query::python;
use crate::query::wire::Column;

/// Django's converter has a context of so many digits.
const PRECISION: usize = 15;

/// What `create_decimal_from_float(value)` gives, quantized where the column has places.
pub fn decimal(value: ValueRef<'_>, column: &Column) -> Result<Inline, Broken> {
    let (negative, digits, exponent) = match value {
        ValueRef::Integer(value) => (value < 0, value.unsigned_abs().to_string(), 0),
        ValueRef::Real(value) if value.is_finite() => exact(value),
        _ => return Err(Broken("a decimal that is no number")),
    };
    let (digits, exponent) = match digits.len().checked_sub(PRECISION) {
        Some(more @ 1..) => rounded(&digits, exponent, more),
        _ => (digits, exponent),
    };
    let Some(places) = column.places.and_then(|places| i32::try_from(places).ok()) else {
        return Ok(python::decimal(negative, &digits, exponent));
    };
    let more = -places - exponent;
    let (digits, exponent) = match usize::try_from(more) {
        Ok(more) => rounded(&digits, exponent, more),
        Err(_) => {
            let zeros = usize::try_from(-more).unwrap_or_default();
            let digits = if digits == "0" { digits } else { digits + &"0".repeat(zeros) };
            (digits, -places)
        }
    };
    Ok(python::decimal(negative, &digits, exponent))
}

/// The digits of a float's exact value, and their exponent.
fn exact(value: f64) -> (bool, String, i32) {
    // Behind the point a float has as many decimal digits as binary ones.
    let bits = value.to_bits();
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or_default();
    let mantissa = bits & ((1 << 52) - 1) | if exponent > 0 { 1 << 52 } else { 0 };
    let trailing = i32::try_from(mantissa.trailing_zeros()).unwrap_or_default();
    let behind = (1075 - exponent.max(1) - trailing).max(0);
    let behind = if mantissa == 0 { 0 } else { behind };
    let shown = format!("{:.*}", usize::try_from(behind).unwrap_or_default(), value.abs());
    let digits = shown.replace('.', "");
    let digits = digits.trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    (value.is_sign_negative(), digits.to_owned(), -behind)
}

/// Without the last `more` digits, half to even.
fn rounded(digits: &str, exponent: i32, more: usize) -> (String, i32) {
    let exponent = exponent + i32::try_from(more).unwrap_or(i32::MAX);
    if more == 0 {
        return (digits.to_owned(), exponent);
    }
    let padded = format!("{}{digits}", "0".repeat(more.saturating_sub(digits.len())));
    let (kept, cut) = padded.split_at(padded.len() - more);
    let half = cut.as_bytes()[0].cmp(&b'5').then(if cut[1..].bytes().any(|digit| digit != b'0') {
        std::cmp::Ordering::Greater
    } else {
        std::cmp::Ordering::Equal
    });
    let is_odd = kept.bytes().last().is_some_and(|digit| digit % 2 == 1);
    let up = half.is_gt() || half.is_eq() && is_odd;
    let mut kept: Vec<u8> = kept.bytes().collect();
    let mut carry = up;
    for digit in kept.iter_mut().rev() {
        if !carry {
            break;
        }
        carry = *digit == b'9';
        *digit = if carry { b'0' } else { *digit + 1 };
    }
    if carry {
        kept.insert(0, b'1');
    }
    let text = String::from_utf8(kept).unwrap_or_default();
    let trimmed = text.trim_start_matches('0');
    (if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() }, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::wire::Kind;

    #[test]
    fn what_djangos_converter_gives() {
        for (value, places, expected) in [
            (ValueRef::Real(12.5), Some(2), "12.50"),
            (ValueRef::Real(12.5), None, "12.5"),
            (ValueRef::Real(0.1), None, "0.100000000000000"),
            (ValueRef::Real(0.1), Some(2), "0.10"),
            (ValueRef::Real(3.0), None, "3"),
            (ValueRef::Integer(3), Some(2), "3.00"),
            (ValueRef::Integer(0), Some(2), "0.00"),
            (ValueRef::Real(-0.005), Some(2), "-0.00"),
            (ValueRef::Real(0.015), Some(2), "0.02"),
            (ValueRef::Real(0.125), Some(2), "0.12"),
            (ValueRef::Real(0.375), Some(2), "0.38"),
            (ValueRef::Real(9.999), Some(2), "10.00"),
            (ValueRef::Real(1e20), None, "1.00000000000000E+20"),
            (ValueRef::Real(0.0), Some(2), "0.00"),
            (ValueRef::Real(123_456_789.01), Some(2), "123456789.01"),
            (ValueRef::Integer(1_234_567_890_123_456), None, "1.23456789012346E+15"),
        ] {
            let column = Column { name: None, kind: Kind::Decimal, places };
            let found = decimal(value, &column).unwrap();
            assert_eq!(std::str::from_utf8(found.as_bytes()).unwrap(), expected);
        }
    }
}
