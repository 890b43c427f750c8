//! Access log: one line for every answer, refusals and failures included.
//!
//! Outside catch panic, so that even a panic's `500` has its line, inside request id, so that the
//! line names it. Lines go through a bounded channel to a thread that writes them in batches: the
//! I/O thread never waits for a disk or a pipe. What does not fit is counted, and the count logged.
//! A streamed answer's line is written when its body ends, with the bytes really sent.
//!
//! Options: `access_log: {format: json | text, redact: [authorization, cookie], fields: [user-agent]}`.
//! Refusals: none. Example: `defaults: {access_log: on}`.

mod config;
mod line;
mod service;
mod sink;

pub use self::config::{AccessLogConfig, AccessLogPolicy};
pub use self::service::{AccessLog, AccessLogLayer};
pub use self::sink::{LogSink, set_sink, write_line};
