//! Compression: zstd, Brotli or gzip, by what the client accepts (RFC 9110, 12.5.3).
//!
//! Below CORS and the security headers, above everything that answers, so that refusals are
//! considered too (they are too small). Not compressed: small answers, types that do not gain,
//! what is encoded already, `no-transform`, partial answers and answers to `Range`, event streams.
//! A strong `ETag` becomes weak. A stream is flushed chunk by chunk. HEAD gets the headers of GET.
//!
//! No body keeps the I/O thread: what takes longer than about a millisecond at its level is encoded
//! on another thread, few at a time, and a stream that has many chunks ready lets others run in
//! between. A stream's codec has megabytes for as long as its client takes to read: all of a policy's
//! together have 256 MiB, and a stream that finds none left goes out as it is. An answer with a
//! `Content-Digest` stays as it is.
//!
//! Against BREACH every answer carries 1 to 100 bytes, at random, as Django's own gzip does: gzip has
//! them in its file name, Brotli in a metadata block, zstd in a skippable frame.
//!
//! Options: `compress: {encodings: [zstd, br, gzip], min_size: 1KiB, levels: {zstd: 3, br: 4,
//! gzip: 6}}`. Refusals: none.
//! Example: `defaults: {compress: on}`.

mod config;
mod encoder;
mod service;
mod stream;

pub use self::config::{
    Coding, CompressConfig, CompressPolicy, Encoding, LevelsConfig, encodings, preferred,
};
pub use self::service::{Compress, CompressLayer};
