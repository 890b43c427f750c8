//! Compression: zstd, Brotli or gzip, by what the client accepts (RFC 9110, 12.5.3).
//!
//! Below CORS and the security headers, above everything that answers, so that refusals are
//! considered too (they are too small). Not compressed: small answers, types that do not gain,
//! what is encoded already, `no-transform`, partial answers, event streams. A strong `ETag`
//! becomes weak. A stream is flushed chunk by chunk. Against BREACH a gzip answer carries a file
//! name of random length, as Django's own middleware does; zstd gets a skippable frame likewise.
//!
//! Options: `compress: {encodings: [zstd, br, gzip], min_size: 1KiB}`. Refusals: none.
//! Example: `defaults: {compress: on}`.

mod config;
mod encoder;
mod service;

pub use self::config::{CompressConfig, CompressPolicy, Encoding};
pub use self::service::{Compress, CompressLayer};
