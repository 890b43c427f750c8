//! What must hold of every input, whoever sent it. Stated once: `engine/fuzz` drives it with bytes,
//! `tests/fuzzed.rs` with proptest's values. `wire` is beside its table, in `tests/http1.rs`.

pub mod expression;
pub mod forwarded;
pub mod path;
pub mod plan;
pub mod request;
