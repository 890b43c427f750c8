//! Slots: the name of a definition, an inline block, `on` or `off`.

use serde_json::Value;

use super::decode::{Decode, Named, Node, kind_of};
use super::diagnostic::{Diagnostic, Diagnostics};
use crate::middleware::authenticate::AuthConfig;
use crate::middleware::rate_limit::RateLimitConfig;

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
    Named(Named<Slot<RateLimitConfig>>),
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
}

impl Decode for AuthSlot {
    const EXPECTED: &'static str = "`public`, `deny`, a definition's name or a block";

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
}

impl<T: Decode> Decode for Switch<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        match switch(node.value) {
            Some(false) => Some(Self::Off),
            _ => T::decode(node, out).map(Self::Value),
        }
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
