//! What a file includes. Whoever hands the documents over has read the files already, each as a
//! document of its own: here `include` is only what it must look like.

use serde_json::{Value, json};

use super::decode::{Decode, Node};
use super::diagnostic::Diagnostics;
use super::schema::{self, Book};

/// A pattern of files: a text, or `{dangerous_outside: PATTERN}` for what lies outside the
/// directory of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct IncludeConfig;

impl Decode for IncludeConfig {
    const EXPECTED: &'static str = "a pattern such as routes/*.yaml";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let fine = match node.value {
            Value::String(_) => true,
            Value::Object(object) => {
                object.len() == 1 && object.get("dangerous_outside").is_some_and(Value::is_string)
            }
            _ => false,
        };
        if !fine {
            node.mismatch(
                "a pattern such as `routes/*.yaml` or `{dangerous_outside: \"../shared/*.yaml\"}`",
                out,
            );
        }
        fine.then_some(Self)
    }

    fn schema(_: &mut Book) -> Value {
        let outside = json!({
            "type": "object",
            "required": ["dangerous_outside"],
            "additionalProperties": false,
            "properties": {"dangerous_outside": {"type": "string", "description": "A pattern that may name files outside the directory of the configuration."}},
        });
        schema::either([json!({"type": "string"}), outside])
    }
}
