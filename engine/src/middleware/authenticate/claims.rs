//! The claims of a verified token: kept as they came, and made a map when somebody asks for more of
//! them than who is asking.

use std::fmt;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::strict_json::Object;

/// The claims of a token, or none at all.
#[derive(Clone, Default)]
pub struct Claims {
    json: Vec<u8>,
    read: OnceLock<Map<String, Value>>,
}

impl Claims {
    /// The claims in `json`, of which an [`Object`] was read.
    pub(super) fn new(json: Vec<u8>) -> Self {
        Self { json, read: OnceLock::new() }
    }

    /// The claims by name.
    pub fn read(&self) -> &Map<String, Value> {
        self.read.get_or_init(|| match self.json.as_slice() {
            [] => Map::new(),
            json => Object::read(json).expect("it was read when it was verified").into(),
        })
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}
