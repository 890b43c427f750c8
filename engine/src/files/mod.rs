//! Files: a route whose answers are the files of a directory, sent by Rust.
//!
//! It stands where a handler would: auth, limits, CORS, compression and the log hold for it as for
//! any route. The route's catch-all captures the file's name. Nothing outside the directory has one
//! (`root.rs`): not by a spelling, not by a link, not by what is renamed meanwhile. Names that begin
//! with a dot are not there, nor are directories' contents, FIFOs, sockets and devices: 404.
//!
//! * Validators: a strong `ETag` for each state of each encoding, and `Last-Modified`; 304 and 412 as
//!   RFC 9110, 13 orders them (`conditions.rs`). A file from the future says that it was modified at
//!   the time of each answer, and no date continues a range (`If-Range`), only the tag.
//! * Ranges: one, or up to eight as `multipart/byteranges`; more, or some that overlap, get the whole
//!   file (`ranges.rs`).
//! * `precompressed`: a sibling `a.css.br`, `.gz` or `.zst` instead of `a.css`, by q-value, then in
//!   the order written. What has none may still be encoded by the `compress` stage.
//! * `Cache-Control`: `no-cache` unless `cache` says for how long a copy is good; names that Django's
//!   manifest storage made are `immutable` (`immutable.rs`). Behind auth all of it is `private`.
//! * `index`: what a directory's path with a slash leads to; one without is redirected (301).
//! * `fallback`: what a path without a file leads to, for clients that want HTML, as pages of a
//!   single-page application do.
//!
//! Opening and reading happens on a few threads of the route's own (`pool.rs`): a disk that hangs
//! stalls its own files, never the I/O thread; what waits five seconds for it is 503. Small files that
//! were looked at within a second come from memory (`cache.rs`), from where the kernel sends those over
//! 64 KiB by itself; a larger one is read a chunk ahead of its client (`body.rs`).
//!
//! Options: `files: {root, precompressed, index, fallback, cache, immutable, dotfiles, symlinks, types,
//! memory}`. Refusals: `not_found`, `precondition_failed`, `range_not_satisfiable`, `overloaded`,
//! `internal`. Example: `{path: "/static/{*path}", files: {root: staticfiles, precompressed: [br, gzip]},
//! auth: public}`.

mod body;
mod cache;
mod conditions;
mod found;
mod immutable;
mod policy;
mod pool;
mod ranges;
mod root;
mod service;
mod types;

pub use self::policy::{FilesConfig, FilesPolicy};
pub use self::service::Files;
