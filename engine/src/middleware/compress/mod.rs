//! Compression: zstd, Brotli or gzip, by what the client accepts (RFC 9110, 12.5.3).
//!
//! Below CORS and the security headers, above everything that answers, so that refusals are
//! considered too (they are too small). Not compressed: small answers, types that do not gain,
//! what is encoded already, `no-transform`, partial answers and answers to `Range`, event streams.
//! A strong `ETag` becomes weak. A stream is flushed chunk by chunk. HEAD gets the headers of GET.
//!
//! Against BREACH every answer carries 1 to 100 bytes, at random, as Django's own gzip does: gzip has
//! them in its file name, Brotli in a metadata block, zstd in a skippable frame.
//!
//! Options: `compress: {encodings: [zstd, br, gzip], min_size: 1KiB}`. Refusals: none.
//! Example: `defaults: {compress: on}`.

mod config;
mod encoder;
mod service;

pub use self::config::{CompressConfig, CompressPolicy, Encoding};
pub use self::service::{Compress, CompressLayer};
