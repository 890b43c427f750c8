//! Which plan is served: a number that grows with every reload, and a hash of what it was made of.

use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// What the document of the command line is called.
const COMMAND_LINE: &str = "the command line";

/// One plan among those that a server has served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// 1 for the plan that a server starts with.
    pub number: u64,
    /// The first 48 bits of the SHA-256 of the documents, in hex: the same for the same contents.
    pub hash: String,
}

impl Version {
    /// The first version of a plan that is made of `wire`. What the command line says is of one
    /// process, and no part of the hash.
    pub(super) fn of(wire: &Value) -> Self {
        use fmt::Write;
        let mut contents = Sha256::new();
        let documents = wire["documents"].as_array().map(Vec::as_slice).unwrap_or_default();
        for document in documents.iter().filter(|document| document["source"] != COMMAND_LINE) {
            contents.update(document.to_string());
        }
        let mut hash = String::with_capacity(12);
        for byte in &contents.finalize()[..6] {
            write!(hash, "{byte:02x}").expect("a String takes all that is written to it");
        }
        Self { number: 1, hash }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number, self.hash)
    }
}
