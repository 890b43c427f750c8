//! The expression language: `role("x")`, `scope("x")`, `claim("x")`, `claim("x") == value` with
//! `!`, `&&`, `||` and parentheses; `&&` binds tighter than `||`.

use serde_json::Value;

use super::requirement::Requirement;
use crate::config::diagnostic::did_you_mean;

/// A mistake in an expression.
#[derive(Debug, PartialEq, Eq)]
pub struct ParseError {
    pub code: &'static str,
    /// Characters before it.
    pub column: usize,
    pub message: String,
    pub hint: Option<String>,
}

const FUNCTIONS: [&str; 3] = ["role", "scope", "claim"];

/// Deeper nesting is refused.
const MAX_DEPTH: usize = 32;

/// Parses a whole expression.
pub fn parse(text: &str) -> Result<Requirement, ParseError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let requirement = parser.any()?;
    parser.skip_space();
    if parser.at < text.len() {
        return Err(parser
            .error("E080", "unexpected text")
            .with_hint("join conditions with `&&` or `||`"));
    }
    Ok(requirement)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl ParseError {
    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Parser<'_> {
    fn error(&self, code: &'static str, message: impl Into<String>) -> ParseError {
        let column = self.text[..self.at].chars().count();
        ParseError { code, column, message: message.into(), hint: None }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn any(&mut self) -> Result<Requirement, ParseError> {
        let mut parts = vec![self.all()?];
        while self.eat("||") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Requirement::Any(parts) })
    }

    fn all(&mut self) -> Result<Requirement, ParseError> {
        let mut parts = vec![self.one()?];
        while self.eat("&&") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Requirement::All(parts) })
    }

    fn one(&mut self) -> Result<Requirement, ParseError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("E082", "nested too deep"));
        }
        let parsed = if self.eat("!") {
            self.one().map(|inner| Requirement::Not(Box::new(inner)))
        } else if self.eat("(") {
            let inner = self.any()?;
            if self.eat(")") { Ok(inner) } else { Err(self.error("E080", "missing `)`")) }
        } else {
            self.call()
        };
        self.depth -= 1;
        parsed
    }

    fn call(&mut self) -> Result<Requirement, ParseError> {
        self.skip_space();
        let begin = self.at;
        let length = self
            .rest()
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            .count();
        let name = self.rest()[..length].to_owned();
        if !FUNCTIONS.contains(&name.as_str()) {
            let message = if name.is_empty() {
                "expected a condition".to_owned()
            } else {
                format!("unknown condition `{name}`")
            };
            let hint = match did_you_mean(&name, FUNCTIONS) {
                Some(known) if !name.is_empty() => format!("did you mean `{known}(\"…\")`?"),
                _ => "conditions are `role(\"…\")`, `scope(\"…\")` and `claim(\"…\")`".to_owned(),
            };
            return Err(self.error("E081", message).with_hint(hint));
        }
        self.at += length;
        if !self.eat("(") {
            return Err(self.error("E080", format!("missing `(` after `{name}`")));
        }
        let Value::String(argument) = self.literal()? else {
            self.at = begin;
            return Err(self
                .error("E083", format!("`{name}` takes a string"))
                .with_hint(format!("write `{name}(\"…\")`")));
        };
        if argument.is_empty() {
            return Err(self.error("E083", format!("`{name}` takes a name")));
        }
        if !self.eat(")") {
            return Err(self.error("E080", "missing `)`"));
        }
        match name.as_str() {
            "role" => Ok(Requirement::Role(argument)),
            "scope" => Ok(Requirement::Scope(argument)),
            _ => self.comparison(argument),
        }
    }

    fn comparison(&mut self, claim: String) -> Result<Requirement, ParseError> {
        if self.eat("==") {
            return Ok(Requirement::ClaimIs(claim, self.literal()?));
        }
        if self.eat("!=") {
            return Ok(Requirement::Not(Box::new(Requirement::ClaimIs(claim, self.literal()?))));
        }
        Ok(Requirement::Claim(claim))
    }

    /// A JSON scalar.
    fn literal(&mut self) -> Result<Value, ParseError> {
        self.skip_space();
        let (value, length) = if self.rest().starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<Value>();
            (values.next().and_then(Result::ok), values.byte_offset())
        } else {
            let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
            let length = self.rest().bytes().take_while(word).count();
            let text = &self.rest()[..length];
            let value: Option<Value> = serde_json::from_str(text).ok();
            // A whole number that no integer holds would be compared as its neighbours are.
            let rounded = value.as_ref().is_some_and(Value::is_f64)
                && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            (value.filter(|_| !rounded), length)
        };
        let Some(value) = value else {
            let hint = "write a string in double quotes, a number, `true` or `false`";
            return Err(self.error("E083", "expected a value").with_hint(hint));
        };
        self.at += length;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn and_binds_tighter_than_or() {
        let parsed = parse(r#"role("a") || role("b") && !scope("c:d")"#).unwrap();
        assert_eq!(parsed.to_string(), r#"role("a") || (role("b") && !scope("c:d"))"#);
        let parsed = parse(r#"(claim("a")==true)&&claim("b")!=-1.5"#).unwrap();
        assert_eq!(parsed.to_string(), r#"claim("a") == true && !(claim("b") == -1.5)"#);
    }

    #[test]
    fn mistakes_name_the_place_and_the_fix() {
        let error = parse(r#"role("a") && scpoe("b")"#).unwrap_err();
        assert_eq!((error.code, error.column), ("E081", 13));
        assert_eq!(error.hint.unwrap(), "did you mean `scope(\"…\")`?");
        for text in [
            "",
            "role",
            "role(",
            "role(1)",
            "role(\"\")",
            "(role(\"a\")",
            "role(\"a\") role(\"b\")",
            "claim(\"a\") == ",
            "claim(\"a\") == [1]",
            "claim(\"a\") == 18446744073709551616",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"!".repeat(100)).is_err());
    }

    fn requirement() -> impl Strategy<Value = Requirement> {
        let name = "[a-z:\"\\\\é]{1,6}";
        let leaf = prop_oneof![
            name.prop_map(Requirement::Role),
            name.prop_map(Requirement::Scope),
            name.prop_map(Requirement::Claim),
            (name, any::<i32>()).prop_map(|(name, value)| Requirement::ClaimIs(name, value.into())),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(Requirement::All),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Requirement::Any),
                inner.prop_map(|inner| Requirement::Not(Box::new(inner))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_shown_parses_to_the_same(requirement in requirement()) {
            prop_assert_eq!(parse(&requirement.to_string()).unwrap(), requirement);
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,60}") {
            parse(&text).ok();
        }
    }
}
