//! The server's settings, checked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::merge::conflict;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::document::{Document, ServerConfig, Workers};
use crate::config::units::Span;
use crate::middleware::canonical::CanonicalPolicy;
use crate::middleware::client_ip::ClientIpPolicy;
use crate::middleware::host::HostPolicy;
use crate::middleware::rate_limit::MIN_SIZE;
use crate::server::limits::LimitsPolicy;

/// The bytes that the table of limits may have, and has where nothing is said: room for two million
/// keys.
const MEMORY: std::ops::RangeInclusive<u64> = MIN_SIZE..=4 << 30;
const DEFAULT_MEMORY: u64 = 32 << 20;

/// The server's settings.
#[derive(Debug)]
pub struct ServerPlan {
    /// The addresses to listen on, as written.
    pub listen: Vec<String>,
    /// How many workers.
    pub workers: Workers,
    /// The hosts that are ours.
    pub hosts: HostPolicy,
    /// The scheme and host that clients are sent to, if they ask elsewhere.
    pub canonical: Option<CanonicalPolicy>,
    /// Whether a path that is there only with a slash at its end is redirected to.
    pub append_slash: bool,
    /// What clients may take, send and open.
    pub limits: LimitsPolicy,
    /// The proxies that are trusted.
    pub trusted: Arc<[IpNet]>,
    /// How the client's address is found; none where no proxy is trusted.
    pub client_ip: Option<Arc<ClientIpPolicy>>,
    /// The bytes of the table in which limits count.
    pub rate_limit_memory: u64,
    /// How long a draining worker waits for its requests.
    pub drain_timeout: Duration,
    /// Threads for sync handlers that wait.
    pub threads: usize,
    /// How often Python offers to switch threads.
    pub switch_interval: Duration,
}

/// The one document that sets a key; two that do are a conflict.
fn only<'a, T>(
    documents: &'a [Document],
    key: &str,
    get: impl Fn(&'a ServerConfig) -> Option<&'a Spanned<T>>,
    out: &mut Diagnostics,
) -> Option<&'a Spanned<T>> {
    let mut found = documents
        .iter()
        .filter_map(|document| document.config.server.as_ref()?.0.as_ref())
        .filter_map(get);
    let first = found.next()?;
    for second in found {
        out.push(conflict(&format!("server.{key}"), &first.at, &second.at));
    }
    Some(first)
}

/// Checks the server's settings.
pub fn compile(documents: &[Document], out: &mut Diagnostics) -> ServerPlan {
    let listen = only(documents, "listen", |server| server.listen.as_ref(), out);
    if let Some(listen) = listen {
        check_listen(listen, out);
    }
    let hosts = only(documents, "hosts", |server| server.hosts.as_ref(), out);
    let trusted = only(documents, "trusted_proxies", |server| server.trusted_proxies.as_ref(), out);
    let header =
        only(documents, "client_ip_header", |server| server.client_ip_header.as_ref(), out);
    let workers = only(documents, "workers", |server| server.workers.as_ref(), out);
    let drain = only(documents, "drain_timeout", |server| server.drain_timeout.as_ref(), out);
    let python = only(documents, "python", |server| server.python.as_ref(), out);
    let trusted =
        ClientIpPolicy::networks(trusted.map_or(&[], |networks| networks.value.as_slice()), out);
    if let Some(header) = header.filter(|_| trusted.is_empty()) {
        out.push(
            Diagnostic::warning(
                "W043",
                &header.at,
                "no proxy is trusted, so this header is never read",
            )
            .hint("name the proxies in `server.trusted_proxies`"),
        );
    }
    let hosts = HostPolicy::compile(hosts.map_or(&[], |hosts| hosts.value.as_slice()), out);
    let https = only(documents, "https_redirect", |server| server.https_redirect.as_ref(), out);
    let host = only(documents, "canonical_host", |server| server.canonical_host.as_ref(), out);
    let canonical = CanonicalPolicy::compile(https, host, &hosts, !trusted.is_empty(), out);
    let limits = only(documents, "limits", |server| server.limits.as_ref(), out);
    let paths = only(documents, "paths", |server| server.paths.as_ref(), out);
    for written in paths.iter().flat_map(|paths| [&paths.encoded_slash, &paths.dot_segments]) {
        check_rejects(written.as_ref(), out);
    }
    let threads = python.and_then(|python| python.threads.as_ref()).map_or(8, |threads| {
        if !(1..=256).contains(&threads.value) {
            out.error("E044", &threads.at, "write 1 to 256 threads");
        }
        usize::try_from(threads.value).unwrap_or(8)
    });
    let switch_interval = python.and_then(|python| python.switch_interval.as_ref());
    check_span(drain, Duration::from_secs(86_400), "write 1ms to 1d", out);
    check_span(switch_interval, Duration::from_secs(1), "write 1ms to 1s", out);
    let memory =
        only(documents, "rate_limit_memory", |server| server.rate_limit_memory.as_ref(), out);
    if let Some(size) = memory.filter(|size| !MEMORY.contains(&size.0)) {
        let message = format!("{} is out of bounds", size.value);
        out.push(Diagnostic::error("E191", &size.at, message).hint("write 64KiB to 4GiB"));
    }
    ServerPlan {
        rate_limit_memory: memory.map_or(DEFAULT_MEMORY, |size| size.0),
        listen: listen.map_or_else(|| vec!["127.0.0.1:8000".into()], |listen| listen.value.clone()),
        workers: workers.map_or(Workers::Count(1), |workers| workers.value),
        hosts,
        canonical,
        limits: limits.map_or_else(LimitsPolicy::default, |limits| limits.compile(out)),
        append_slash: append_slash(paths.and_then(|paths| paths.trailing_slash.as_ref()), out),
        client_ip: ClientIpPolicy::compile(&trusted, header, out).map(Arc::new),
        trusted,
        drain_timeout: drain.map_or(Duration::from_secs(30), |drain| drain.0),
        threads,
        switch_interval: switch_interval.map_or(Duration::from_millis(1), |interval| interval.0),
    }
}

/// Whether paths are redirected as Django's `APPEND_SLASH` does.
fn append_slash(written: Option<&Spanned<String>>, out: &mut Diagnostics) -> bool {
    let Some(written) = written else { return false };
    match written.as_str() {
        "django" => return true,
        "strict" => {}
        other => out.push(
            Diagnostic::error("E049", &written.at, format!("`{other}` is no way to treat slashes"))
                .hint("write `strict` or `django`"),
        ),
    }
    false
}

/// What is ambiguous in a path can only be refused; saying so is allowed.
fn check_rejects(written: Option<&Spanned<String>>, out: &mut Diagnostics) {
    if let Some(written) = written.filter(|written| written.as_str() != "reject") {
        let message = format!("`{}` is no way to treat ambiguous paths", written.value);
        out.push(Diagnostic::error("E049", &written.at, message).hint("write `reject`"));
    }
}

/// A span that is more than nothing and at most `most`.
fn check_span(span: Option<&Spanned<Span>>, most: Duration, hint: &str, out: &mut Diagnostics) {
    if let Some(span) = span.filter(|span| span.0.is_zero() || span.0 > most) {
        let message = format!("{:?} is out of bounds", span.0);
        out.push(Diagnostic::error("E045", &span.at, message).hint(hint));
    }
}

fn check_listen(listen: &Spanned<Vec<String>>, out: &mut Diagnostics) {
    if listen.is_empty() {
        out.push(
            Diagnostic::error("E040", &listen.at, "no address to listen on")
                .hint("write for example `[\"127.0.0.1:8000\"]`"),
        );
    }
    for (index, address) in listen.iter().enumerate() {
        let named = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if address.parse::<SocketAddr>().is_err() && !named {
            out.push(
                Diagnostic::error(
                    "E040",
                    &listen.at.index(index),
                    format!("`{address}` is not an address to listen on"),
                )
                .hint("write `host:port`, for example `127.0.0.1:8000` or `[::]:8000`"),
            );
        }
    }
}
