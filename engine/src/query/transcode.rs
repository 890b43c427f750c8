//! JSON text (RFC 8259) that a database keeps, as `json.dumps(json.loads(text))` gives it: integers
//! of any size as they are, floats by their value, strings in ASCII, of equal keys the last value in
//! the place of the first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::cell::Broken;
use super::json::{Json, is_plain};

/// Deeper values are refused, as Python's recursion limit does.
const MAX_DEPTH: usize = 900;

/// Writes the value that `text` is to `out`.
pub fn value(text: &str, out: &mut Json) -> Result<(), Broken> {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    reader.value(out, 0)?;
    reader.space();
    if reader.at == reader.bytes.len() { Ok(()) } else { Err(BAD) }
}

const BAD: Broken = Broken("a value that is no JSON");

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Whether `byte` comes next, after white space; it is passed.
    fn passes(&mut self, byte: u8) -> bool {
        self.space();
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn value(&mut self, out: &mut Json, depth: usize) -> Result<(), Broken> {
        if depth > MAX_DEPTH {
            return Err(Broken("a JSON value that is nested too deep"));
        }
        self.space();
        match self.peek().ok_or(BAD)? {
            b'{' => self.object(out, depth),
            b'[' => self.array(out, depth),
            b'"' => self.string(out),
            b't' => self.word(b"true", out),
            b'f' => self.word(b"false", out),
            b'n' => self.word(b"null", out),
            _ => self.number(out),
        }
    }

    fn word(&mut self, word: &[u8], out: &mut Json) -> Result<(), Broken> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(BAD);
        }
        self.at += word.len();
        out.raw(word);
        Ok(())
    }

    fn array(&mut self, out: &mut Json, depth: usize) -> Result<(), Broken> {
        self.at += 1;
        out.raw(b"[");
        if !self.passes(b']') {
            loop {
                self.value(out, depth + 1)?;
                if self.passes(b']') {
                    break;
                }
                if !self.passes(b',') {
                    return Err(BAD);
                }
                out.raw(b", ");
            }
        }
        out.raw(b"]");
        Ok(())
    }

    fn object(&mut self, out: &mut Json, depth: usize) -> Result<(), Broken> {
        self.at += 1;
        let mut members: Vec<(Json, Json)> = Vec::new();
        let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
        if !self.passes(b'}') {
            loop {
                self.space();
                let (mut key, mut value) = (Json::default(), Json::default());
                if self.peek() != Some(b'"') {
                    return Err(BAD);
                }
                self.string(&mut key)?;
                if !self.passes(b':') {
                    return Err(BAD);
                }
                self.value(&mut value, depth + 1)?;
                match places.entry(key.0.clone()) {
                    Entry::Occupied(place) => members[*place.get()].1 = value,
                    Entry::Vacant(place) => {
                        place.insert(members.len());
                        members.push((key, value));
                    }
                }
                if self.passes(b'}') {
                    break;
                }
                if !self.passes(b',') {
                    return Err(BAD);
                }
            }
        }
        out.raw(b"{");
        for (number, (key, value)) in members.iter().enumerate() {
            if number > 0 {
                out.raw(b", ");
            }
            out.raw(&key.0);
            out.raw(b": ");
            out.raw(&value.0);
        }
        out.raw(b"}");
        Ok(())
    }

    fn string(&mut self, out: &mut Json) -> Result<(), Broken> {
        self.at += 1;
        out.raw(b"\"");
        loop {
            match self.peek().ok_or(BAD)? {
                b'"' => break,
                b'\\' => self.escape(out)?,
                byte if is_plain(byte) => {
                    out.0.push(byte);
                    self.at += 1;
                }
                0..0x20 => return Err(BAD),
                0x7f => {
                    out.escaped(0x7f);
                    self.at += 1;
                }
                _ => self.wide(out)?,
            }
        }
        self.at += 1;
        out.raw(b"\"");
        Ok(())
    }

    /// A character that is not ASCII.
    fn wide(&mut self, out: &mut Json) -> Result<(), Broken> {
        let rest = &self.bytes[self.at..];
        let rest = &rest[..rest.len().min(4)];
        // The text is UTF-8, so one to four bytes are a character.
        let valid = (2..=rest.len()).find_map(|length| std::str::from_utf8(&rest[..length]).ok());
        let character = valid.and_then(|text| text.chars().next()).ok_or(BAD)?;
        let mut units = [0; 2];
        character.encode_utf16(&mut units).iter().for_each(|unit| out.unit(*unit));
        self.at += character.len_utf8();
        Ok(())
    }

    fn escape(&mut self, out: &mut Json) -> Result<(), Broken> {
        let escaped = *self.bytes.get(self.at + 1).ok_or(BAD)?;
        self.at += 2;
        match escaped {
            b'"' | b'\\' | b'/' => out.escaped(escaped),
            b'b' => out.raw(b"\\b"),
            b'f' => out.raw(b"\\f"),
            b'n' => out.raw(b"\\n"),
            b'r' => out.raw(b"\\r"),
            b't' => out.raw(b"\\t"),
            b'u' => {
                let digits = self.bytes.get(self.at..self.at + 4).ok_or(BAD)?;
                let digits = std::str::from_utf8(digits).map_err(|_| BAD)?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return Err(BAD);
                }
                let unit = u16::from_str_radix(digits, 16).map_err(|_| BAD)?;
                match u8::try_from(unit) {
                    Ok(byte) if byte.is_ascii() => out.escaped(byte),
                    _ => out.unit(unit),
                }
                self.at += 4;
            }
            _ => return Err(BAD),
        }
        Ok(())
    }

    fn number(&mut self, out: &mut Json) -> Result<(), Broken> {
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.bytes[self.at..].iter().take_while(is_part).count();
        let text = &self.bytes[self.at..self.at + length];
        let text = std::str::from_utf8(text).map_err(|_| BAD)?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let whole = digits.split(['.', 'e', 'E']).next().unwrap_or_default();
        let is_whole = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
        if !is_whole || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(BAD);
        }
        if whole.len() == digits.len() {
            out.raw(if digits == "0" { b"0" } else { text.as_bytes() });
        } else {
            // The shapes that Rust reads and JSON does not have: `1.` and `1.e5`.
            let after = digits[whole.len()..].strip_prefix('.');
            if after.is_some_and(|after| !after.starts_with(|digit: char| digit.is_ascii_digit())) {
                return Err(BAD);
            }
            out.float(text.parse().map_err(|_| BAD)?);
        }
        self.at += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loads_and_dumps_give() {
        for (text, expected) in [
            (r#" {"a":1,"b":[true,false,null]} "#, r#"{"a": 1, "b": [true, false, null]}"#),
            ("[]", "[]"),
            ("{ }", "{}"),
            (r#"{"a":1,"b":2,"\u0061":3}"#, r#"{"a": 3, "b": 2}"#),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1.10", "1.1"),
            ("1e5", "100000.0"),
            ("1E400", "Infinity"),
            (
                r#""é\u00e9\/\"\\\n\ud800\ud83d\ude00😀""#,
                r#""\u00e9\u00e9/\"\\\n\ud800\ud83d\ude00\ud83d\ude00""#,
            ),
        ] {
            let mut out = Json::default();
            value(text, &mut out).unwrap();
            assert_eq!(String::from_utf8(out.0).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = "[".repeat(2000);
        for text in [
            "", "{", "[1,]", r#"{"a"}"#, "01", "1.", ".5", "1e", "+1", "NaN", "tru", "\"\n\"",
            "\"\\x\"", "1 2", "'a'", "{a:1}", "-", &deep,
        ] {
            assert!(value(text, &mut Json::default()).is_err(), "{text}");
        }
    }
}
