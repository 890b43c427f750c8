//! What the user wrote: typed configuration, decoded strictly, every mistake at once.

pub mod codes;
pub mod decode;
pub mod diagnostic;
pub mod directories;
pub mod document;
pub mod fields;
pub mod include;
pub mod route;
pub mod schema;
pub mod slot;
pub mod target;
pub mod units;
