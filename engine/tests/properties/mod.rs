//! What must hold of every input, whoever sent it. Stated once: `engine/fuzz` drives it with bytes,
//! `tests/properties.rs` with proptest's values.

pub mod expression;
pub mod forwarded;
pub mod path;
pub mod plan;
pub mod request;
