//! What a route names: its methods, and its handler, by name or as Python resolved it.

use serde_json::{Value, json};

use super::decode::{Decode, Node};
use super::diagnostic::{Diagnostic, Diagnostics};
use super::schema::{self, Book};
use crate::http::Method;
use crate::query::QueryConfig;

/// A request method as it is written: an upper-case token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodName(pub Method);

impl Decode for MethodName {
    const EXPECTED: &'static str = "a method such as GET";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let text = node.text(Self::EXPECTED, out)?;
        let upper = text.to_ascii_uppercase();
        let valid =
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
        if !valid || upper != text {
            out.push(Diagnostic::error("E055", node.at, format!("`{text}` is not a method")).hint(
                if valid { format!("write `{upper}`") } else { "write for example `GET`".into() },
            ));
            return None;
        }
        if matches!(text, "CONNECT" | "TRACE") {
            out.error("E055", node.at, format!("`{text}` cannot have a route"));
            return None;
        }
        Method::from_bytes(text.as_bytes()).ok().map(Self)
    }

    fn schema(_: &mut Book) -> Value {
        schema::text("[A-Z-]+")
    }
}

/// A handler, resolved by Python or still by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerConfig {
    /// Its number in the list of callables; `usize::MAX` where nothing was imported.
    pub index: usize,
    /// `module:function`.
    pub name: String,
    /// Whether it is a coroutine function.
    pub is_async: bool,
    /// Whether its coroutines may suspend.
    pub awaits: bool,
    /// What it does with the body: `buffer`, `stream` or `none`.
    pub request_body: RequestBody,
}

/// What a handler does with the request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestBody {
    /// Gets it whole.
    Buffer,
    /// Reads it as it arrives.
    Stream,
    /// Never looks at it.
    Ignore,
}

impl Decode for HandlerConfig {
    const EXPECTED: &'static str = "a handler such as `module:function`";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        if let Value::Object(object) = node.value {
            let resolved = Self::resolved(object);
            if resolved.is_none() {
                node.mismatch(Self::EXPECTED, out);
            }
            return resolved;
        }
        let name = node.text(Self::EXPECTED, out)?.to_owned();
        Some(Self {
            index: usize::MAX,
            name,
            is_async: false,
            awaits: true,
            request_body: RequestBody::Buffer,
        })
    }

    fn schema(_: &mut Book) -> Value {
        json!({"type": "string"})
    }
}

impl HandlerConfig {
    /// What Python made of a handler's name.
    fn resolved(object: &serde_json::Map<String, Value>) -> Option<Self> {
        let text = |key| object.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            index: usize::try_from(object.get("index")?.as_u64()?).ok()?,
            name: text("name")?,
            is_async: object.get("is_async")?.as_bool()?,
            awaits: object.get("awaits")?.as_bool()?,
            request_body: match object.get("request_body")?.as_str()? {
                "buffer" => RequestBody::Buffer,
                "stream" => RequestBody::Stream,
                "none" => RequestBody::Ignore,
                _ => return None,
            },
        })
    }
}

/// A queryset, as Python has compiled it or still by name.
#[derive(Debug, Clone)]
pub struct QueryTarget {
    /// What Rust runs or, in another tier, is told of it.
    pub query: Option<QueryConfig>,
    /// What answers in Python, where Rust does not.
    pub handler: Option<HandlerConfig>,
}

impl Decode for QueryTarget {
    const EXPECTED: &'static str = "a queryset such as `module:attribute`";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let Value::Object(object) = node.value else {
            node.text(Self::EXPECTED, out)?;
            return Some(Self { query: None, handler: HandlerConfig::decode(node, out) });
        };
        let mut compiled = object.clone();
        let handler = compiled.remove("handler");
        let handler = handler.as_ref().and_then(Value::as_object).and_then(HandlerConfig::resolved);
        match serde_json::from_value::<QueryConfig>(Value::Object(compiled)) {
            Ok(query) if handler.is_some() || query.tier == 1 => {
                Some(Self { query: Some(query), handler })
            }
            Ok(_) => {
                node.mismatch(Self::EXPECTED, out);
                None
            }
            Err(error) => {
                out.error("E239", node.at, format!("the compiled queryset does not read: {error}"));
                None
            }
        }
    }

    fn schema(_: &mut Book) -> Value {
        json!({"type": "string"})
    }
}
