//! One value of a row, as Python would have it, ready to be written.

use std::borrow::Cow;

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// `None`.
    Null,
    /// A `bool`.
    Bool(bool),
    /// An `int` of 64 bits.
    Int(i64),
    /// A `float`.
    Float(f64),
    /// A `str`.
    Text(Cow<'a, str>),
    /// A `Decimal`, as `str` has it.
    Decimal(Inline),
    /// A `UUID`.
    Uuid([u8; 16]),
    /// A `date`: days since 1970-01-01.
    Date(i64),
    /// A `datetime`: microseconds since 1970-01-01 00:00, and whether it is said to be of UTC.
    Datetime(i64, bool),
    /// A `time`: microseconds since midnight.
    Time(i64),
    /// A `timedelta`, in microseconds.
    Duration(i128),
    /// An `int` of more than 64 bits: its digits.
    Digits(String),
    /// What a JSON column holds.
    Json(Cow<'a, str>),
    /// A `list`.
    List(Vec<Self>),
}

/// Why a value cannot be shown: what it is, never what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub &'static str);

/// Text of plain ASCII, short texts without an allocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Inline {
    /// At most 40 bytes.
    Short([u8; 40], u8),
    /// More.
    Long(String),
}

impl Inline {
    /// An empty text.
    pub const fn new() -> Self {
        Self::Short([0; 40], 0)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, length) => &bytes[..usize::from(*length)],
            Self::Long(text) => text.as_bytes(),
        }
    }
}

impl Default for Inline {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Write for Inline {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        match self {
            Self::Short(bytes, length) => {
                let begin = usize::from(*length);
                let end = begin + text.len();
                match (bytes.get_mut(begin..end), u8::try_from(end)) {
                    (Some(room), Ok(end)) => {
                        room.copy_from_slice(text.as_bytes());
                        *length = end;
                    }
                    _ => {
                        let mut long = String::with_capacity(end);
                        long.push_str(std::str::from_utf8(&bytes[..begin]).unwrap_or_default());
                        long.push_str(text);
                        *self = Self::Long(long);
                    }
                }
            }
            Self::Long(long) => long.push_str(text),
        }
        Ok(())
    }
}
