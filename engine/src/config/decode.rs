//! From JSON values to typed configuration, collecting every mistake instead of the first.
//!
//! A configuration struct is declared with [`config!`](crate::config!): its fields' docs, types
//! and defaults are the one source for decoding and for the reference.

use std::fmt;

use serde_json::{Map, Value, json};

use super::diagnostic::{Diagnostic, Diagnostics, Location, did_you_mean};
use super::schema::{self, Book};

/// A value in a document and where it stands.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    /// The value.
    pub value: &'a Value,
    /// Its place.
    pub at: &'a Location,
}

/// A type that a configuration value decodes to.
pub trait Decode: Sized {
    /// What is expected, for messages: `a duration such as 15s`.
    const EXPECTED: &'static str;

    /// Decodes `node`; on a mistake records it and returns `None`.
    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self>;

    /// What may be written, as JSON Schema: everything that decodes, and as little else as one look
    /// at the value can tell.
    fn schema(book: &mut Book) -> Value;

    /// How a default is written, where it can be.
    fn written(&self) -> Option<Value> {
        None
    }
}

/// A decoded value that remembers its place, for checks that come later.
#[derive(Debug, Clone)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub at: Location,
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A secret value: shown nowhere, not even by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself; only for the code that must use it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The kind of a JSON value as a user of YAML would name it.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(true) => "`on`",
        Value::Bool(false) => "`off`",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

impl<'a> Node<'a> {
    /// Records that something else was expected here (`E012`).
    pub fn mismatch(&self, expected: &str, out: &mut Diagnostics) {
        out.error("E012", self.at, format!("expected {expected}, found {}", kind_of(self.value)));
    }

    /// The value as a mapping, or a recorded mismatch.
    pub fn object(&self, out: &mut Diagnostics) -> Option<&'a Map<String, Value>> {
        let object = self.value.as_object();
        if object.is_none() {
            self.mismatch("a mapping", out);
        }
        object
    }

    /// The value as text, or a recorded mismatch.
    pub fn text(&self, expected: &str, out: &mut Diagnostics) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.mismatch(expected, out);
        }
        text
    }
}

/// The fields of a mapping while it is decoded.
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    at: &'a Location,
}

impl<'a> Fields<'a> {
    /// Opens `node` as a mapping with the keys `known`; every other key is recorded (`E014`).
    pub fn open(node: Node<'a>, known: &[&str], out: &mut Diagnostics) -> Option<Self> {
        let object = node.object(out)?;
        for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
            let place = node.at.dotted();
            let place = if place.is_empty() { "the document".to_owned() } else { place };
            let mut diagnostic = Diagnostic::error(
                "E014",
                &node.at.key(key),
                format!("unknown key `{key}` in {place}"),
            )
            .at_key();
            diagnostic.hint = Some(match did_you_mean(key, known.iter().copied()) {
                Some(candidate) => format!("did you mean `{candidate}`?"),
                None => format!("known keys: {}", known.join(", ")),
            });
            out.push(diagnostic);
        }
        Some(Self { object, at: node.at })
    }

    /// Decodes a field that must be there (`E013` if it is not).
    pub fn required<T: Decode>(&self, key: &str, out: &mut Diagnostics) -> Option<T> {
        if let Some(value) = self.object.get(key) {
            T::decode(Node { value, at: &self.at.key(key) }, out)
        } else {
            out.push(
                Diagnostic::error("E013", self.at, format!("missing key `{key}`: {}", T::EXPECTED))
                    .at_key(),
            );
            None
        }
    }

    /// Decodes a field that may be left out: the outer `None` is a recorded mistake.
    pub fn optional<T: Decode>(&self, key: &str, out: &mut Diagnostics) -> Option<Option<T>> {
        match self.object.get(key) {
            None => Some(None),
            Some(value) => T::decode(Node { value, at: &self.at.key(key) }, out).map(Some),
        }
    }
}

/// Declares a configuration struct: each field with its docs, type and default.
///
/// `= required` fields must be given; `= optional` ones are `Option<T>`, and `= optional(value)`
/// says what holds where nothing is written; `= default(value)` is that value. `of [word, …]` names
/// the only words or numbers, `like value` an example. `one of [key, …]` behind the name: keys of
/// which one must be there. Unknown keys, missing keys and values of the wrong type are all
/// recorded. The schema, the reference and `config/default.yaml` come from here too.
#[macro_export]
macro_rules! config {
    ($(#[$($meta:tt)*])* pub struct $name:ident $(one of [$($one:ident),+])? {
        $($(#[$($doc:tt)*])* $field:ident : $type:ty = $default:tt $(($($arg:tt)*))? $(of $words:tt)? $(like $example:tt)?),* $(,)?
    }) => {
        $(#[$($meta)*])*
        #[derive(Debug, Clone)]
        pub struct $name { $($(#[$($doc)*])* pub $field: $crate::config!(@type $type, $default)),* }

        impl $crate::config::decode::Decode for $name {
            const EXPECTED: &'static str = "a mapping";

            fn decode(
                node: $crate::config::decode::Node<'_>,
                out: &mut $crate::config::diagnostic::Diagnostics,
            ) -> Option<Self> {
                let fields = $crate::config::decode::Fields::open(node, &[$(stringify!($field)),*], out)?;
                $(let $field = $crate::config!(@read fields, out, stringify!($field), $type, $default $(($($arg)*))?);)*
                Some(Self { $($field: $field?),* })
            }

            fn schema(book: &mut $crate::config::schema::Book) -> serde_json::Value {
                book.define(stringify!($name), |book| {
                    let fields = vec![$({
                        let schema = <$type as $crate::config::decode::Decode>::schema(book);
                        let docs = [$($crate::config!(@doc $($doc)*)),*];
                        let field = $crate::config::schema::Field::new(stringify!($field), &docs, schema);
                        let field = $crate::config!(@note field, $type, $default $(($($arg)*))?);
                        $(let field = field.words(serde_json::json!($words));)?
                        $(let field = field.example(serde_json::json!($example));)?
                        field
                    }),*];
                    let docs = [$($crate::config!(@doc $($meta)*)),*];
                    $crate::config::schema::block(&docs, &[$($(stringify!($one)),+)?], fields)
                })
            }
        }
    };
    (@type $type:ty, optional) => { Option<$type> };
    (@type $type:ty, $default:tt) => { $type };
    (@read $fields:ident, $out:ident, $key:expr, $type:ty, required) => { $fields.required::<$type>($key, $out) };
    (@read $fields:ident, $out:ident, $key:expr, $type:ty, optional $(($value:expr))?) => { $fields.optional::<$type>($key, $out) };
    (@read $fields:ident, $out:ident, $key:expr, $type:ty, default($value:expr)) => {
        $fields.optional::<$type>($key, $out).map(|found| found.unwrap_or_else(|| $value))
    };
    (@doc doc = $text:literal) => { $text };
    (@doc $($other:tt)*) => { "" };
    (@note $field:ident, $type:ty, required) => { $field.required() };
    (@note $field:ident, $type:ty, optional) => { $field };
    (@note $field:ident, $type:ty, optional($value:expr)) => { $field.default(Some(serde_json::json!($value))) };
    (@note $field:ident, $type:ty, default($value:expr)) => {{
        let value: $type = $value;
        $field.default($crate::config::decode::Decode::written(&value))
    }};
}

impl<T: Decode> Decode for Spanned<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        T::decode(node, out).map(|value| Self { value, at: node.at.clone() })
    }

    fn schema(book: &mut Book) -> Value {
        T::schema(book)
    }
}

impl Decode for bool {
    const EXPECTED: &'static str = "`on` or `off`";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        match node.value {
            Value::Bool(value) => Some(*value),
            Value::String(text) if matches!(text.as_str(), "on" | "true") => Some(true),
            Value::String(text) if matches!(text.as_str(), "off" | "false") => Some(false),
            _ => {
                node.mismatch(Self::EXPECTED, out);
                None
            }
        }
    }

    fn schema(_: &mut Book) -> Value {
        schema::switch()
    }

    fn written(&self) -> Option<Value> {
        Some((*self).into())
    }
}

impl Decode for String {
    const EXPECTED: &'static str = "a string";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        node.text(Self::EXPECTED, out).map(str::to_owned)
    }

    fn schema(_: &mut Book) -> Value {
        json!({"type": "string"})
    }

    fn written(&self) -> Option<Value> {
        Some(self.as_str().into())
    }
}

impl Decode for Secret {
    const EXPECTED: &'static str = "a secret, such as ${NAME} or ${file:/run/secrets/name}";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        out.secret(node.at);
        node.text(Self::EXPECTED, out).map(Self::from)
    }

    fn schema(_: &mut Book) -> Value {
        json!({"type": "string", "writeOnly": true})
    }
}

impl Decode for u64 {
    const EXPECTED: &'static str = "a whole number";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let found = match node.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().ok()
            }
            _ => None,
        };
        if found.is_none() {
            match node.value {
                Value::Number(number) => {
                    out.error("E015", node.at, format!("{number} is not a whole number in range"));
                }
                _ => node.mismatch(Self::EXPECTED, out),
            }
        }
        found
    }

    fn schema(_: &mut Book) -> Value {
        schema::whole(0, None)
    }
}

impl<T: Decode> Decode for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let Value::Array(items) = node.value else {
            let found = format!("expected {}, found {}", Self::EXPECTED, kind_of(node.value));
            out.push(match node.value {
                Value::String(text) => Diagnostic::error("E012", node.at, found)
                    .hint(format!("write a list: `[\"{text}\"]`")),
                _ => Diagnostic::error("E012", node.at, found),
            });
            return None;
        };
        // What does not decode is recorded and left out, so that the rest is still judged.
        let decode = |(index, value)| T::decode(Node { value, at: &node.at.index(index) }, out);
        Some(items.iter().enumerate().filter_map(decode).collect())
    }

    fn schema(book: &mut Book) -> Value {
        schema::list(T::schema(book))
    }

    fn written(&self) -> Option<Value> {
        self.iter().map(T::written).collect()
    }
}

/// One value or a list of them.
#[derive(Debug, Clone)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Decode> Decode for OneOrMany<T> {
    const EXPECTED: &'static str = "a value or a list of them";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        if node.value.is_array() {
            Vec::decode(node, out).map(Self)
        } else {
            T::decode(node, out).map(|value| Self(vec![value]))
        }
    }

    fn schema(book: &mut Book) -> Value {
        schema::either([T::schema(book), schema::list(T::schema(book))])
    }
}

/// A part whose mistakes must not hide those of the rest: recorded, then taken as not given.
#[derive(Debug, Clone)]
pub struct Lenient<T>(pub Option<T>);

impl<T: Decode> Decode for Lenient<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        Some(Self(T::decode(node, out)))
    }

    fn schema(book: &mut Book) -> Value {
        T::schema(book)
    }
}

/// A mapping from names to values, in the order written.
#[derive(Debug, Clone)]
pub struct Named<T> {
    /// The values.
    pub entries: Vec<(String, Spanned<T>)>,
    /// Names whose value does not decode; that is recorded already.
    pub broken: Vec<String>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), broken: Vec::new() }
    }
}

impl<T: Decode> Decode for Named<T> {
    const EXPECTED: &'static str = "a mapping of names";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let object = node.object(out)?;
        let mut named = Self::default();
        for (name, value) in object {
            let at = node.at.key(name);
            match Spanned::decode(Node { value, at: &at }, out) {
                Some(value) => named.entries.push((name.clone(), value)),
                None => named.broken.push(name.clone()),
            }
        }
        Some(named)
    }

    fn schema(book: &mut Book) -> Value {
        schema::named(T::schema(book))
    }

    fn written(&self) -> Option<Value> {
        self.entries.is_empty().then(|| json!({}))
    }
}
