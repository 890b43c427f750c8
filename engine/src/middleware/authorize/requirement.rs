//! What a principal must have: an expression over roles, scopes and claims.

use std::fmt;

use serde_json::{Number, Value};

use super::parser;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::middleware::authenticate::Principal;

/// A parsed `allow` expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Requirement {
    /// `role("x")`.
    Role(String),
    /// `scope("x")`.
    Scope(String),
    /// `claim("x")`: it is there and neither false, null, zero nor empty.
    Claim(String),
    /// `claim("x") == value`.
    ClaimIs(String, Value),
    /// `a && b`.
    All(Vec<Requirement>),
    /// `a || b`.
    Any(Vec<Requirement>),
    /// `!a`.
    Not(Box<Requirement>),
}

impl Requirement {
    /// Parses an expression; on a mistake records it (`E080`–`E083`).
    pub fn parse(text: &str, at: &Location, out: &mut Diagnostics) -> Option<Self> {
        match parser::parse(text) {
            Ok(requirement) => Some(requirement),
            Err(error) => {
                let message =
                    format!("{} at character {} of `allow`", error.message, error.column + 1);
                let mut diagnostic = Diagnostic::error(error.code, at, message);
                diagnostic.hint = error.hint;
                out.push(diagnostic);
                None
            }
        }
    }

    /// Whether `principal` meets it.
    pub fn is_met_by(&self, principal: &Principal) -> bool {
        match self {
            Self::Role(name) => principal.roles.contains(name),
            Self::Scope(name) => principal.scopes.contains(name),
            Self::Claim(path) => principal.claim(path).is_some_and(is_truthy),
            Self::ClaimIs(path, expected) => {
                principal.claim(path).is_some_and(|found| equal(found, expected))
            }
            Self::All(parts) => parts.iter().all(|part| part.is_met_by(principal)),
            Self::Any(parts) => parts.iter().any(|part| part.is_met_by(principal)),
            Self::Not(inner) => !inner.is_met_by(principal),
        }
    }
}

fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

fn equal(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        _ => found == expected,
    }
}

/// `1` is `1.0`, and no number is a neighbour that only shares its double.
fn same_number(a: &Number, b: &Number) -> bool {
    let magnitude =
        |number: &Number| number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    match (magnitude(a), magnitude(b)) {
        (Some(_), Some(_)) => (a.as_i64(), a.as_u64()) == (b.as_i64(), b.as_u64()),
        (None, None) => a.as_f64() == b.as_f64(),
        (Some(whole), None) | (None, Some(whole)) => {
            whole <= 1 << f64::MANTISSA_DIGITS && a.as_f64() == b.as_f64()
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| Value::from(text).to_string();
        let join = |f: &mut fmt::Formatter<'_>, parts: &[Self], with: &str| {
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    f.write_str(with)?;
                }
                match part {
                    Self::All(_) | Self::Any(_) => write!(f, "({part})")?,
                    _ => write!(f, "{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Role(name) => write!(f, "role({})", quoted(name)),
            Self::Scope(name) => write!(f, "scope({})", quoted(name)),
            Self::Claim(path) => write!(f, "claim({})", quoted(path)),
            Self::ClaimIs(path, value) => write!(f, "claim({}) == {value}", quoted(path)),
            Self::All(parts) => join(f, parts, " && "),
            Self::Any(parts) => join(f, parts, " || "),
            Self::Not(inner) => match **inner {
                Self::Role(_) | Self::Scope(_) | Self::Claim(_) | Self::Not(_) => {
                    write!(f, "!{inner}")
                }
                _ => write!(f, "!({inner})"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_exactly() {
        let cases = [
            ("1", "1", true),
            ("1", "1.0", true),
            ("-1", "-1", true),
            ("-1", "1", false),
            ("0.5", "0.5", true),
            ("0", "0.0", true),
            ("9007199254740993", "9007199254740992", false),
            ("9007199254740993", "9007199254740992.0", false),
            ("18446744073709551615", "18446744073709551614", false),
            ("-9223372036854775808", "-9223372036854775807", false),
        ];
        for (a, b, expected) in cases {
            let [one, other] = [a, b].map(|text| serde_json::from_str(text).unwrap());
            assert_eq!(equal(&one, &other), expected, "{a} {b}");
            assert_eq!(equal(&other, &one), expected, "{b} {a}");
        }
    }
}
