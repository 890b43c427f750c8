//! `numeric` (`numeric_send`): groups of four decimal digits.

use crate::query::cell::{Broken, Cell, Inline};
use crate::query::python;

/// A `numeric`.
pub enum Numeric {
    /// Not a number, or beyond all of them.
    Special(&'static str),
    /// Digits without leading zeros, the last `scale` of them behind the point.
    Finite {
        /// Below zero.
        negative: bool,
        /// At least one.
        digits: String,
        /// How many stand behind the point.
        scale: i32,
    },
}

const TORN: Broken = Broken("a numeric that is none");

/// Reads one.
pub fn read(bytes: &[u8]) -> Result<Numeric, Broken> {
    let mut words = bytes.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
    let mut next = || words.next().ok_or(TORN);
    let (count, weight, sign, scale) = (next()?, next()?, next()?, next()?);
    let negative = match sign {
        0 => false,
        0x4000 => true,
        0xC000 => return Ok(Numeric::Special("NaN")),
        0xD000 => return Ok(Numeric::Special("Infinity")),
        0xF000 => return Ok(Numeric::Special("-Infinity")),
        _ => return Err(TORN),
    };
    let weight = i32::from(weight.cast_signed());
    let scale = i32::from(scale);
    // The digits from the first group's to the last one that is shown.
    let wanted = usize::try_from((weight + 1) * 4 + scale).unwrap_or_default();
    let mut digits = String::with_capacity(wanted + 4);
    for _ in 0..count {
        let group = next()?;
        if group > 9999 {
            return Err(TORN);
        }
        let group = [group / 1000, group / 100 % 10, group / 10 % 10, group % 10];
        digits
            .extend(group.iter().map(|&digit| char::from(b'0' + u8::try_from(digit).unwrap_or(0))));
    }
    // Zeros at the end are not sent, and a last group may have more digits than are shown.
    digits.truncate(wanted);
    digits.extend(std::iter::repeat_n('0', wanted - digits.len()));
    let leading = digits.len() - digits.trim_start_matches('0').len();
    digits.drain(..leading);
    if digits.is_empty() {
        digits.push('0');
    }
    Ok(Numeric::Finite { negative, digits, scale })
}

impl Numeric {
    /// As a `Decimal`.
    pub fn into_cell(self) -> Cell<'static> {
        match self {
            Self::Special(name) => Cell::Decimal(Inline::Long(name.to_owned())),
            Self::Finite { negative, digits, scale } => {
                Cell::Decimal(python::decimal(negative, &digits, -scale))
            }
        }
    }

    fn text(&self) -> Inline {
        match self {
            Self::Special(name) => Inline::Long((*name).to_owned()),
            Self::Finite { negative, digits, scale } => python::decimal(*negative, digits, -scale),
        }
    }

    /// As `float(value)`.
    pub fn to_float(&self) -> Result<f64, Broken> {
        std::str::from_utf8(self.text().as_bytes())
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or(TORN)
    }

    /// As `int(value)`: what stands behind the point is cut off.
    pub fn into_whole(self) -> Result<Cell<'static>, Broken> {
        let Self::Finite { negative, mut digits, scale } = self else {
            return Err(Broken("a numeric that is no integer"));
        };
        let whole = digits.len().saturating_sub(usize::try_from(scale).unwrap_or_default());
        digits.truncate(whole);
        if digits.is_empty() {
            return Ok(Cell::Int(0));
        }
        if negative && digits != "0" {
            digits.insert(0, '-');
        }
        Ok(digits.parse().map_or_else(|_| Cell::Digits(digits), Cell::Int))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(weight: i16, sign: u16, scale: u16, groups: &[u16]) -> Vec<u8> {
        let count = u16::try_from(groups.len()).unwrap();
        let head = [count, weight.cast_unsigned(), sign, scale];
        head.iter().chain(groups).flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn what_is_sent_is_what_decimal_says() {
        for (bytes, expected) in [
            (sent(0, 0, 2, &[12, 5000]), "12.50"),
            (sent(0, 0x4000, 2, &[12, 5000]), "-12.50"),
            (sent(0, 0, 0, &[]), "0"),
            (sent(0, 0, 2, &[]), "0.00"),
            (sent(-1, 0, 4, &[1]), "0.0001"),
            (sent(-1, 0, 2, &[500]), "0.05"),
            (sent(-2, 0, 8, &[1]), "1E-8"),
            (sent(2, 0, 0, &[1]), "100000000"),
            (sent(1, 0, 1, &[1, 2345, 6000]), "12345.6"),
            (sent(0, 0, 10, &[]), "0E-10"),
            (sent(0, 0xC000, 0, &[]), "NaN"),
        ] {
            let text = read(&bytes).unwrap().text();
            assert_eq!(std::str::from_utf8(text.as_bytes()).unwrap(), expected);
        }
        assert!(read(&[0]).is_err());
        assert!(read(&sent(0, 0, 0, &[10_000])).is_err());
        assert_eq!(
            read(&sent(0, 0x4000, 2, &[12, 5000])).unwrap().into_whole(),
            Ok(Cell::Int(-12))
        );
        assert_eq!(read(&sent(-1, 0, 2, &[500])).unwrap().into_whole(), Ok(Cell::Int(0)));
    }
}
