//! Slots: the name of a definition, an inline block, `on` or `off`.

use serde_json::{Value, json};

use super::decode::{Decode, Named, Node, Spanned, kind_of};
use super::diagnostic::{Diagnostic, Diagnostics};
use super::schema::{self, Book};
use crate::config;
use crate::middleware::authenticate::AuthConfig;
use crate::middleware::rate_limit::LimitConfig;

/// The value of a slot.
#[derive(Debug, Clone)]
pub enum Slot<T> {
    /// Switched off.
    Off,
    /// Switched on with the defaults.
    On,
    /// A definition's name.
    Name(String),
    /// Written in place.
    Inline(T),
}

/// The value of the auth slot.
#[derive(Debug, Clone)]
pub enum AuthSlot {
    /// Everybody may ask.
    Public,
    /// Nobody may ask.
    Deny,
    /// Django decides.
    Django,
    /// A definition's name.
    Name(String),
    /// Written in place.
    Inline(Box<AuthConfig>),
    /// Several methods.
    Any(Box<AnyAuth>),
}

config! {
    /// Several authentication methods; the first whose credentials are there decides.
    pub struct AnyAuth {
        /// The methods, in the order in which they are asked: names or blocks.
        any: Spanned<Vec<Spanned<AuthRef>>> = required like ["jwt", "api_key"],
        /// Whether a request without credentials passes, as nobody's; left out: where each method
        /// says so.
        optional: bool = optional like true,
    }
}

/// A method among several.
#[derive(Debug, Clone)]
pub enum AuthRef {
    /// A definition's name.
    Name(String),
    /// Written in place.
    Inline(Box<AuthConfig>),
}

/// A plain value that may be switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switch<T> {
    /// Switched off.
    Off,
    /// The value.
    Value(T),
}

/// The keyed slot: limits by name.
#[derive(Debug, Clone)]
pub enum Limits {
    /// All inherited limits are switched off.
    Off,
    /// Limits added, replaced or switched off by name.
    Named(Named<Slot<LimitConfig>>),
}

/// `on`/`off`, as YAML 1.1 or JSON reads them.
fn switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::String(text) => match text.as_str() {
            "on" | "true" => Some(true),
            "off" | "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A definition's name, or a word that means something of its own.
fn name() -> Value {
    json!({"type": "string"})
}

impl<T: Decode> Decode for Slot<T> {
    const EXPECTED: &'static str = "a definition's name, a block, `on` or `off`";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        match (switch(node.value), node.value) {
            (Some(true), _) => Some(Self::On),
            (Some(false), _) => Some(Self::Off),
            (None, Value::String(name)) => Some(Self::Name(name.clone())),
            (None, Value::Object(_)) => T::decode(node, out).map(Self::Inline),
            _ => {
                node.mismatch(Self::EXPECTED, out);
                None
            }
        }
    }

    fn schema(book: &mut Book) -> Value {
        schema::either([schema::switch(), name(), T::schema(book)])
    }
}

impl Decode for AuthSlot {
    const EXPECTED: &'static str = "`public`, `deny`, `django`, a definition's name or a block";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        match (switch(node.value), node.value) {
            (Some(_), value) => {
                out.push(
                    Diagnostic::error(
                        "E022",
                        node.at,
                        format!("auth cannot be {}", kind_of(value)),
                    )
                    .hint("write `public` for a route that everybody may use, `deny` for none"),
                );
                None
            }
            (None, Value::String(text)) if text == "public" => Some(Self::Public),
            (None, Value::String(text)) if text == "deny" => Some(Self::Deny),
            (None, Value::String(text)) if text == "django" => Some(Self::Django),
            (None, Value::String(name)) => Some(Self::Name(name.clone())),
            (None, Value::Object(object)) if object.contains_key("any") => {
                AnyAuth::decode(node, out).map(|auth| Self::Any(Box::new(auth)))
            }
            (None, Value::Object(_)) => {
                AuthConfig::decode(node, out).map(|auth| Self::Inline(Box::new(auth)))
            }
            (None, Value::Array(_)) => {
                let found = format!("expected {}, found a list", Self::EXPECTED);
                out.push(Diagnostic::error("E012", node.at, found).hint("write `{any: […]}`"));
                None
            }
            _ => {
                node.mismatch(Self::EXPECTED, out);
                None
            }
        }
    }

    fn schema(book: &mut Book) -> Value {
        schema::either([name(), AuthConfig::schema(book), AnyAuth::schema(book)])
    }
}

impl Decode for AuthRef {
    const EXPECTED: &'static str = "a definition's name or a block";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        match (switch(node.value), node.value) {
            (None, Value::String(text))
                if matches!(text.as_str(), "public" | "deny" | "django") =>
            {
                out.push(
                    Diagnostic::error("E085", node.at, format!("`{text}` is no method")).hint(
                        "`optional: true` beside `any` lets requests without credentials pass",
                    ),
                );
                None
            }
            (None, Value::String(name)) => Some(Self::Name(name.clone())),
            (None, Value::Object(_)) => {
                AuthConfig::decode(node, out).map(|auth| Self::Inline(Box::new(auth)))
            }
            _ => {
                node.mismatch(Self::EXPECTED, out);
                None
            }
        }
    }

    fn schema(book: &mut Book) -> Value {
        schema::either([name(), AuthConfig::schema(book)])
    }
}

impl<T: Decode> Decode for Switch<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        match switch(node.value) {
            Some(false) => Some(Self::Off),
            _ => T::decode(node, out).map(Self::Value),
        }
    }

    fn schema(book: &mut Book) -> Value {
        schema::off_or(T::schema(book))
    }
}

impl Decode for Limits {
    const EXPECTED: &'static str = "a mapping of limits by name, or `off`";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        match switch(node.value) {
            Some(false) => Some(Self::Off),
            _ => Named::decode(node, out).map(Self::Named),
        }
    }

    fn schema(book: &mut Book) -> Value {
        schema::off_or(Named::<Slot<LimitConfig>>::schema(book))
    }
}

impl AuthRef {
    /// The method, where it is written in place.
    pub fn inline(&self) -> Option<&AuthConfig> {
        match self {
            Self::Inline(config) => Some(config),
            Self::Name(_) => None,
        }
    }
}

impl<T> Slot<T> {
    /// The definition that this slot names.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }
}
