//! The claims of a verified token: kept in the token, and made a map when somebody asks for more of
//! them than who is asking.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::strict_json::Object;
use super::verify;

/// The claims of a token, or none at all.
#[derive(Clone, Default)]
pub struct Claims {
    token: Option<Arc<[u8]>>,
    read: OnceLock<Map<String, Value>>,
}

impl Claims {
    /// The claims of a verified token.
    pub(super) fn of(token: Arc<[u8]>) -> Self {
        Self { token: Some(token), read: OnceLock::new() }
    }

    /// The claims by name.
    pub fn read(&self) -> &Map<String, Value> {
        self.read.get_or_init(|| {
            let Some(token) = &self.token else { return Map::new() };
            let json = verify::payload(token).expect("it was decoded when it was verified");
            Object::read(&json).expect("it was read when it was verified").into()
        })
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}
