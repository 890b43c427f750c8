//! JSON as Python's `json.dumps` writes it with Django's `DjangoJSONEncoder`: `", "` and `": "`
//! between, ASCII only, floats as `repr` has them.

use std::fmt::Write as _;
use std::io::Write as _;

use super::cell::{Broken, Cell, Inline};
use super::python;

/// The JSON that an answer is made of.
#[derive(Default)]
pub struct Json(pub Vec<u8>);

impl Json {
    /// Bytes that are JSON already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// One value.
    pub fn cell(&mut self, cell: &Cell<'_>) -> Result<(), Broken> {
        match cell {
            Cell::Null => self.raw(b"null"),
            Cell::Bool(true) => self.raw(b"true"),
            Cell::Bool(false) => self.raw(b"false"),
            Cell::Int(value) => self.int(*value),
            Cell::Float(value) => self.float(*value),
            Cell::Text(value) => self.text(value),
            Cell::Digits(digits) => self.raw(digits.as_bytes()),
            Cell::Decimal(value) => self.ascii(value),
            Cell::Uuid(bytes) => self.ascii(&python::uuid(*bytes)),
            Cell::Date(days) => self.ascii(&python::date(*days)?),
            Cell::Datetime(since, aware) => self.ascii(&python::datetime(*since, *aware)?),
            Cell::Time(since) => self.ascii(&python::time(*since)?),
            Cell::Duration(span) => self.ascii(&python::duration(*span)?),
            Cell::Json(text) => super::transcode::value(text, self)?,
            Cell::List(cells) => {
                self.raw(b"[");
                for (number, cell) in cells.iter().enumerate() {
                    if number > 0 {
                        self.raw(b", ");
                    }
                    self.cell(cell)?;
                }
                self.raw(b"]");
            }
        }
        Ok(())
    }

    fn ascii(&mut self, value: &Inline) {
        self.raw(b"\"");
        self.raw(value.as_bytes());
        self.raw(b"\"");
    }

    /// An integer.
    pub fn int(&mut self, value: i64) {
        write!(self.0, "{value}").expect("memory takes what is written");
    }

    /// A float as `repr` has it; `NaN`, `Infinity` and `-Infinity` as `json.dumps` does.
    pub fn float(&mut self, value: f64) {
        if value.is_finite() {
            let mut text = Shortest::default();
            write!(text, "{value:e}").expect("a float is shorter");
            self.python_float(text.as_str());
        } else if value.is_nan() {
            self.raw(b"NaN");
        } else {
            self.raw(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
        }
    }

    /// `scientific` is `-d.ddde-5`, the shortest digits.
    fn python_float(&mut self, scientific: &str) {
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or_default();
        let (sign, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", mantissa),
        };
        let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        self.raw(sign.as_bytes());
        if !(-4..16).contains(&exponent) {
            self.raw(first.as_bytes());
            if !rest.is_empty() {
                self.raw(b".");
                self.raw(rest.as_bytes());
            }
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(self.0, "e{sign}{:02}", exponent.abs()).expect("memory takes what is written");
        } else if exponent < 0 {
            self.raw(b"0.");
            (1..-exponent).for_each(|_| self.raw(b"0"));
            self.raw(first.as_bytes());
            self.raw(rest.as_bytes());
        } else {
            let whole = usize::try_from(exponent).unwrap_or_default();
            self.raw(first.as_bytes());
            if rest.len() > whole {
                self.raw(&rest.as_bytes()[..whole]);
                self.raw(b".");
                self.raw(&rest.as_bytes()[whole..]);
            } else {
                self.raw(rest.as_bytes());
                (rest.len()..whole).for_each(|_| self.raw(b"0"));
                self.raw(b".0");
            }
        }
    }

    /// A string.
    pub fn text(&mut self, text: &str) {
        self.raw(b"\"");
        let bytes = text.as_bytes();
        let mut begin = 0;
        while let Some(length) = bytes[begin..].iter().position(|&byte| !is_plain(byte)) {
            self.raw(&bytes[begin..begin + length]);
            begin += length;
            // What is not plain begins a character: all bytes of one that is not ASCII are not.
            let Some(character) = text[begin..].chars().next() else { break };
            self.character(character);
            begin += character.len_utf8();
        }
        self.raw(&bytes[begin..]);
        self.raw(b"\"");
    }

    fn character(&mut self, character: char) {
        match character {
            '"' => self.raw(b"\\\""),
            '\\' => self.raw(b"\\\\"),
            '\n' => self.raw(b"\\n"),
            '\r' => self.raw(b"\\r"),
            '\t' => self.raw(b"\\t"),
            '\u{8}' => self.raw(b"\\b"),
            '\u{c}' => self.raw(b"\\f"),
            _ => {
                let mut units = [0; 2];
                character.encode_utf16(&mut units).iter().for_each(|unit| self.unit(*unit));
            }
        }
    }

    /// One UTF-16 unit as `\uXXXX`.
    pub fn unit(&mut self, unit: u16) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let nibble = |at: u32| HEX[usize::from(unit >> at & 0xf)];
        self.raw(&[b'\\', b'u', nibble(12), nibble(8), nibble(4), nibble(0)]);
    }

    /// One character of a string, escaped where it must be.
    pub fn escaped(&mut self, byte: u8) {
        if is_plain(byte) { self.0.push(byte) } else { self.character(char::from(byte)) }
    }
}

/// Whether Python writes it as it is.
pub const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Room for a float's shortest digits.
#[derive(Default)]
struct Shortest {
    bytes: [u8; 32],
    length: usize,
}

impl Shortest {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or("0")
    }
}

impl std::fmt::Write for Shortest {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        self.bytes
            .get_mut(self.length..end)
            .ok_or(std::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(value: f64) -> String {
        let mut json = Json::default();
        json.float(value);
        String::from_utf8(json.0).unwrap()
    }

    #[test]
    fn floats_are_what_repr_says() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (1.5, "1.5"),
            (100.0, "100.0"),
            (123_456.789, "123456.789"),
            (0.1 + 0.2, "0.30000000000000004"),
            (0.0001, "0.0001"),
            (0.000_123_4, "0.0001234"),
            (0.000_01, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1e16, "1e+16"),
            (1.234e22, "1.234e+22"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (-2.5, "-2.5"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float(value), expected);
        }
    }

    #[test]
    fn strings_are_ascii() {
        let mut json = Json::default();
        json.text("a\"b\\c/\n\r\t\u{8}\u{c}\u{0}\u{7f}é€😀 z");
        let expected = r#""a\"b\\c/\n\r\t\b\f\u0000\u007f\u00e9\u20ac\ud83d\ude00 z""#;
        assert_eq!(String::from_utf8(json.0).unwrap(), expected);
    }
}
