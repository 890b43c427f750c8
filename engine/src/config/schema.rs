//! The JSON Schema (2020-12) of a configuration, from the same declarations that decode it.
//!
//! What the engine accepts the schema accepts; an unknown key, a number without a unit and a word
//! that is not known it refuses. What takes more than a look at one value (names that are defined,
//! bounds, conflicts) only `bolt check` knows. A value may come from `${…}` wherever a text, a
//! number or a switch may stand.

// Schemas are put together of parts that nobody else has.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Map, Value, json};

use super::decode::Decode;
use super::document::Config;

/// The definitions that have been made so far.
#[derive(Debug, Default)]
pub struct Book {
    definitions: Map<String, Value>,
}

/// A text with a reference in it.
const REFERENCE: &str = r"\$\{";

/// The schema of a whole document.
pub fn document() -> Value {
    let mut book = Book::default();
    let whole = Config::schema(&mut book);
    book.definitions.sort_keys();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A configuration of pybolt",
        "$ref": whole["$ref"],
        "$defs": book.definitions,
    })
}

impl Book {
    /// A reference to the definition `name`, which is made on its first use.
    pub fn define(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Value) -> Value {
        let name = match name.trim_end_matches("Config") {
            "" => "Document",
            name => name,
        };
        if !self.definitions.contains_key(name) {
            // There already, so that what contains itself ends.
            self.definitions.insert(name.to_owned(), Value::Null);
            let made = make(self);
            self.definitions.insert(name.to_owned(), made);
        }
        json!({"$ref": format!("#/$defs/{name}")})
    }

    /// The block `T` with `key: word` in it, which tells it from its siblings.
    pub fn tagged<T: Decode>(&mut self, key: &str, word: &str) -> Value {
        let reference = T::schema(self);
        let name = reference["$ref"].as_str().unwrap_or_default().trim_start_matches("#/$defs/");
        if let Some(block) = self.definitions.get_mut(name)
            && block["properties"].get(key).is_none()
        {
            let tag = json!({"const": word, "description": "Which kind it is."});
            if let Some(properties) = block["properties"].as_object_mut() {
                properties.shift_insert(0, key.to_owned(), tag);
            }
            block["required"] = std::iter::once(Value::from(key))
                .chain(block["required"].as_array().cloned().unwrap_or_default())
                .collect();
        }
        reference
    }
}

/// One key of a block.
#[derive(Debug)]
pub struct Field {
    key: &'static str,
    schema: Value,
    required: bool,
}

impl Field {
    /// A key with its docs, which are the lines of a doc comment.
    pub fn new(key: &'static str, docs: &[&str], schema: Value) -> Self {
        Self { key, schema, required: false }.noted("description", Some(sentence(docs).into()))
    }

    /// The same, which must be given.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same, with what holds where it is not given.
    #[must_use]
    pub fn default(self, value: Option<Value>) -> Self {
        self.noted("default", value)
    }

    /// The same, with the only values that its texts or numbers may have.
    #[must_use]
    pub fn words(mut self, words: Value) -> Self {
        restrict(&mut self.schema, &words);
        self
    }

    /// The same, with a value that it may have.
    #[must_use]
    pub fn example(self, value: Value) -> Self {
        self.noted("examples", Some(json!([value])))
    }

    fn noted(mut self, key: &str, value: Option<Value>) -> Self {
        if let (Some(schema), Some(value)) = (self.schema.as_object_mut(), value) {
            schema.insert(key.to_owned(), value);
        }
        self
    }
}

/// A mapping with these keys and no others; `alternatives` are keys of which one must be there.
pub fn block(docs: &[&str], alternatives: &[&str], fields: Vec<Field>) -> Value {
    let required: Vec<_> =
        fields.iter().filter(|field| field.required).map(|field| field.key).collect();
    let mut schema = json!({"description": sentence(docs), "type": "object"});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !alternatives.is_empty() {
        schema["oneOf"] = alternatives.iter().map(|key| json!({"required": [key]})).collect();
    }
    schema["additionalProperties"] = Value::Bool(false);
    schema["properties"] = Value::Object(
        fields.into_iter().map(|field| (field.key.to_owned(), field.schema)).collect(),
    );
    schema
}

/// A text that begins and ends as `pattern` says, or has a reference in it.
pub fn text(pattern: &str) -> Value {
    json!({"type": "string", "pattern": format!("^({pattern})$|{REFERENCE}")})
}

/// A text that is one reference at least.
fn reference() -> Value {
    json!({"type": "string", "pattern": REFERENCE})
}

/// `on` or `off`, however YAML reads them.
pub fn switch() -> Value {
    json!({"anyOf": [{"enum": [true, false, "on", "off", "true", "false"]}, reference()]})
}

/// `off`, or something else.
pub fn off_or(other: Value) -> Value {
    either([json!({"enum": [false, "off", "false"]}), other])
}

/// A whole number.
pub fn whole(least: u64, most: Option<u64>) -> Value {
    let mut number = json!({"type": "integer", "minimum": least});
    if let Some(most) = most {
        number["maximum"] = most.into();
    }
    either([number, text("[0-9]+")])
}

/// A mapping from names.
pub fn named(value: Value) -> Value {
    json!({"type": "object", "additionalProperties": value})
}

/// A list.
pub fn list(item: Value) -> Value {
    json!({"type": "array", "items": item})
}

/// One of several.
pub fn either(variants: impl IntoIterator<Item = Value>) -> Value {
    json!({"anyOf": variants.into_iter().collect::<Vec<_>>()})
}

/// The lines of a doc comment as one text.
fn sentence(docs: &[&str]) -> String {
    let lines: Vec<&str> =
        docs.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

/// Puts `words` where any text or number might stand.
fn restrict(schema: &mut Value, words: &Value) {
    if let Some(items) = schema.get_mut("items") {
        restrict(items, words);
    } else if let Some(variants) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        for variant in variants {
            restrict(variant, words);
        }
    } else if let Some(schema) = schema.as_object_mut() {
        let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind == "integer" {
            *schema = Map::from_iter([("enum".to_owned(), words.clone())]);
        } else if kind == "string" && !schema.contains_key("pattern") {
            // The docs stay.
            schema.shift_remove("type");
            schema.insert("anyOf".to_owned(), json!([{"enum": words}, reference()]));
        }
    }
}
