//! `server.limits`: how long a client may take, and how much it may send or open.
//!
//! Five timers, none of which can be switched off: `first_byte` from a connection's begin,
//! `header_read` from a head's first byte to its last (every head, not only the first),
//! `body_idle` without a byte of a body that is waited for, `body_min_rate` below that after five
//! seconds of waiting, `write_idle` without a byte that the client takes, and `keep_alive` between
//! requests. Where nothing of an answer was sent the client is told (408), else the connection is
//! closed.
//!
//! Caps: `connections` of one worker, `connections_per_address` (IPv6: per /64; the trusted proxies
//! are exempt), `uri` (the target), `headers` (all fields of a head together, in bytes) and
//! `header_count`. `underscore_headers: drop | reject | dangerous_allow` says what becomes of header
//! names with underscores, which WSGI cannot tell from names with hyphens.
//!
//! Refusals: `request_timeout`, `too_many_connections`, `uri_too_long`, `headers_too_large`,
//! `bad_header`. Example:
//! ```yaml
//! server:
//!   limits: {header_read: 5s, headers: 16KiB, connections_per_address: 100}
//! ```

use std::time::Duration;

use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::units::{ByteRate, Size, Span};

config! {
    /// What a client may take, send and open.
    #[derive(Default)]
    pub struct LimitsConfig {
        /// How long a new connection may say nothing; 1ms to 1d.
        first_byte: Spanned<Span> = optional("10s"),
        /// How long the head of a request may take; 1ms to 1d.
        header_read: Spanned<Span> = optional("10s"),
        /// How long nothing of a body may come; 1ms to 1d.
        body_idle: Spanned<Span> = optional("30s"),
        /// How slowly a body may come, after five seconds of waiting for it.
        body_min_rate: Spanned<ByteRate> = optional("240B/1s"),
        /// How long a client may take nothing of an answer; 1ms to 1d.
        write_idle: Spanned<Span> = optional("60s"),
        /// How long a connection may be idle between requests; 1ms to 1d.
        keep_alive: Spanned<Span> = optional("75s"),
        /// How many connections a worker has at once; 1 to 1000000.
        connections: Spanned<u64> = optional(10_000),
        /// How many of them one address has; any number where nothing is said.
        connections_per_address: Spanned<u64> = optional like 100,
        /// How long a request's target may be; 16B to 60KiB.
        uri: Spanned<Size> = optional("8KiB"),
        /// How long all header fields of a request may be; 256B to 48KiB.
        headers: Spanned<Size> = optional("32KiB"),
        /// How many header fields a request may have; 1 to 96.
        header_count: Spanned<u64> = optional(96),
        /// What becomes of header names with underscores: `drop`, `reject` or `dangerous_allow`.
        underscore_headers: Spanned<String> = optional("drop") of ["drop", "reject", "dangerous_allow"],
    }
}

/// What becomes of header names with underscores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underscores {
    /// Nobody sees them.
    Drop,
    /// The request is refused.
    Reject,
    /// They pass.
    Allow,
}

/// Compiled limits.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // each is the option of its name
pub struct LimitsPolicy {
    pub first_byte: Duration,
    pub header_read: Duration,
    pub body_idle: Duration,
    /// In bytes a second.
    pub body_min_rate: f64,
    pub write_idle: Duration,
    pub keep_alive: Duration,
    pub connections: usize,
    pub connections_per_address: Option<usize>,
    pub uri: usize,
    pub headers: usize,
    pub header_count: usize,
    pub underscores: Underscores,
}

impl Default for LimitsPolicy {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            header_read: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            body_min_rate: 240.0,
            write_idle: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            connections: 10_000,
            connections_per_address: None,
            uri: 8 << 10,
            headers: 32 << 10,
            header_count: 96,
            underscores: Underscores::Drop,
        }
    }
}

impl LimitsConfig {
    /// Checks and compiles.
    pub fn compile(&self, out: &mut Diagnostics) -> LimitsPolicy {
        let usual = LimitsPolicy::default();
        let size =
            |written: Option<&Spanned<Size>>, usual: usize, bounds: (u64, u64), out: &mut _| {
                let bytes = written.map(|size| (size.value.0, size));
                whole(bytes, usual, bounds, |bytes| Size(bytes).to_string(), out)
            };
        let count = |written: Option<&Spanned<u64>>, usual, bounds, out: &mut _| {
            whole(written.map(|count| (count.value, count)), usual, bounds, |n| n.to_string(), out)
        };
        LimitsPolicy {
            first_byte: span(self.first_byte.as_ref(), usual.first_byte, out),
            header_read: span(self.header_read.as_ref(), usual.header_read, out),
            body_idle: span(self.body_idle.as_ref(), usual.body_idle, out),
            body_min_rate: self.body_min_rate.as_ref().map_or(usual.body_min_rate, |r| r.0),
            write_idle: span(self.write_idle.as_ref(), usual.write_idle, out),
            keep_alive: span(self.keep_alive.as_ref(), usual.keep_alive, out),
            connections: count(self.connections.as_ref(), usual.connections, (1, 1_000_000), out),
            connections_per_address: self
                .connections_per_address
                .as_ref()
                .map(|cap| count(Some(cap), 1, (1, 1_000_000), out)),
            uri: size(self.uri.as_ref(), usual.uri, (16, 60 << 10), out),
            headers: size(self.headers.as_ref(), usual.headers, (256, 48 << 10), out),
            header_count: count(self.header_count.as_ref(), usual.header_count, (1, 96), out),
            underscores: underscores(self.underscore_headers.as_ref(), out),
        }
    }
}

fn span(written: Option<&Spanned<Span>>, usual: Duration, out: &mut Diagnostics) -> Duration {
    let Some(written) = written else { return usual };
    if written.0.is_zero() || written.0 > Duration::from_secs(86_400) {
        let message = format!("{} is out of bounds", written.value);
        out.push(
            Diagnostic::error("E045", &written.at, message)
                .hint("write 1ms to 1d; a timer cannot be switched off"),
        );
    }
    written.0
}

fn whole<T>(
    written: Option<(u64, &Spanned<T>)>,
    usual: usize,
    (least, most): (u64, u64),
    show: impl Fn(u64) -> String,
    out: &mut Diagnostics,
) -> usize {
    let Some((number, written)) = written else { return usual };
    if !(least..=most).contains(&number) {
        let message = format!("{} is out of bounds", show(number));
        let hint = format!("write {} to {}", show(least), show(most));
        out.push(Diagnostic::error("E038", &written.at, message).hint(hint));
    }
    usize::try_from(number).unwrap_or(usual)
}

fn underscores(written: Option<&Spanned<String>>, out: &mut Diagnostics) -> Underscores {
    let Some(written) = written else { return Underscores::Drop };
    match written.as_str() {
        "drop" => Underscores::Drop,
        "reject" => Underscores::Reject,
        "dangerous_allow" => Underscores::Allow,
        other => {
            let message = format!("`{other}` is no way to treat header names with underscores");
            out.push(
                Diagnostic::error("E039", &written.at, message)
                    .hint("write `drop`, `reject` or `dangerous_allow`"),
            );
            Underscores::Drop
        }
    }
}
