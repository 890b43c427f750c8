//! Fuzz targets: bytes in, a property of `engine/tests/properties` that must hold.
//!
//! `cargo fuzz run TARGET --fuzz-dir engine/fuzz` drives them by coverage, on nightly. On stable
//! each target is a program that mutates seeds for `FUZZ_SECONDS` seconds (`make fuzz`): see
//! [`driver`].

pub mod driver;
pub mod seeds;

#[path = "../../tests/properties/mod.rs"]
pub mod properties;

#[path = "../../tests/properties/wire.rs"]
pub mod wire;

/// Documents: JSON as it is where it begins with a brace, else edits of a document that is right.
pub fn plan(data: &[u8]) {
    match str::from_utf8(data) {
        Ok(text) if text.starts_with('{') => properties::plan::holds(text),
        _ => properties::plan::holds(&properties::plan::edited(data)),
    }
}

/// Paths.
pub fn path(data: &[u8]) {
    if let Ok(raw) = str::from_utf8(data) {
        properties::path::holds(raw);
    }
}

/// `allow` expressions.
pub fn expression(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        properties::expression::holds(text);
    }
}

/// Forwarding headers.
pub fn forwarded(data: &[u8]) {
    properties::forwarded::holds(data);
}

/// What a connection brings.
pub fn wire(data: &[u8]) {
    wire::holds(data);
}

/// Requests.
pub fn request(data: &[u8]) {
    properties::request::holds(data);
}
