//! What may be written of a store, and what it is compiled to.

use std::fmt;
use std::time::Duration;

use redis::Client;
use reqwest::Url;
use serde_json::Value;

use crate::config::decode::{Decode, Node, Secret, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location, did_you_mean};
use crate::config::schema::{self, Book};
use crate::config::units::Span;

/// Where a limit is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// By all workers of this machine, in the memory that they share.
    Local,
    /// By all machines, in the Redis at this URL, which may hold a password.
    Redis(Secret),
}

/// What holds while a store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStoreError {
    /// The limit is counted by this machine alone.
    Allow,
    /// Nobody passes.
    Deny,
}

/// Which Redis, and how it is asked.
#[derive(Clone)]
pub struct Place {
    /// What the client connects to.
    pub client: Client,
    /// The URL as it was written, to be compared.
    url: Secret,
    /// The URL as it may be shown.
    pub shown: String,
    /// How long a decision waits.
    pub timeout: Duration,
    /// What keys begin with.
    pub prefix: String,
    /// Where the URL is written.
    pub at: Location,
}

/// So long a decision waits where nothing is said.
const TIMEOUT: Duration = Duration::from_millis(50);
/// No longer than a probe may take while the breaker is open.
const MAX_TIMEOUT: Duration = Duration::from_secs(1);

/// What keys begin with where nothing is said.
const PREFIX: &str = "pybolt";
const MAX_PREFIX: usize = 64;

const LOOKS_LIKE: &str = "write `local`, or `redis://user:password@host:6379/0` (`rediss` by TLS)";

impl Decode for StoreConfig {
    const EXPECTED: &'static str = "`local`, or a URL such as redis://10.0.0.5:6379/0";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let text = node.text(Self::EXPECTED, out)?;
        if text == "local" {
            return Some(Self::Local);
        }
        if text.contains('@') {
            out.secret(node.at);
        }
        match read(text) {
            Ok(_) => Some(Self::Redis(text.into())),
            // Nothing of the text is repeated: it may hold a password.
            Err((message, hint)) => {
                out.push(Diagnostic::error("E194", node.at, message).hint(hint));
                None
            }
        }
    }

    fn schema(_: &mut Book) -> Value {
        schema::text("local|rediss?://.+")
    }
}

/// The client of a URL and how it may be shown, or what is wrong with it and what to do.
fn read(text: &str) -> Result<(Client, String), (&'static str, &'static str)> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(("there is no such store", LOOKS_LIKE));
    };
    if !matches!(scheme, "redis" | "rediss") {
        return Err(("this is no kind of store", LOOKS_LIKE));
    }
    // An `@` or a `/` of a password has to be encoded: else what is shown would be part of it.
    if rest.matches('@').count() > 1 {
        return Err(("a URL with more than one `@`", "write `%40` for that in the password"));
    }
    let url = Url::parse(text).ok().filter(Url::has_host);
    let Some(url) = url else {
        let hint = "write `redis://host:6379/0`, and `%2F` for a `/` in the password";
        return Err(("this is not the URL of a Redis", hint));
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err(("the URL of a store has no query or fragment", "leave them out"));
    }
    if !url.username().is_empty() && url.password().is_none() {
        return Err(("a user without a password", "write `redis://user:password@host`"));
    }
    if url.port() == Some(0) {
        return Err(("no Redis listens on port 0", "write its port, or none for 6379"));
    }
    let database = url.path().trim_start_matches('/');
    let digits = database.len() <= 5 && database.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || url.path().len() > database.len() + 1 {
        return Err(("a database is a number", "write `redis://host:6379/0`"));
    }
    let client = Client::open(text).map_err(|_| ("this is not the URL of a Redis", LOOKS_LIKE))?;
    let host = url.host_str().unwrap_or_default();
    let (port, database) =
        (url.port().unwrap_or(6379), if database.is_empty() { "0" } else { database });
    Ok((client, format!("{scheme}://{host}:{port}/{database}")))
}

/// Checks and compiles how a store is asked; there is no place where the store is `local`.
pub fn compile(
    store: Option<&Spanned<StoreConfig>>,
    timeout: Option<&Spanned<Span>>,
    prefix: Option<&Spanned<String>>,
    out: &mut Diagnostics,
) -> Option<Option<Place>> {
    let timeout = match timeout {
        Some(written) if written.0.is_zero() || written.0 > MAX_TIMEOUT => {
            let message = "a wait for a store that is out of bounds";
            out.push(Diagnostic::error("E195", &written.at, message).hint("write `1ms` to `1s`"));
            None
        }
        written => Some(written.map_or(TIMEOUT, |written| written.0)),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    let prefix = match prefix {
        Some(written)
            if !(1..=MAX_PREFIX).contains(&written.len()) || !written.bytes().all(fits) =>
        {
            let hint = "use 1 to 64 letters, digits, `_`, `-`, `.` and `:`";
            let message = "keys of a store cannot begin like this";
            out.push(Diagnostic::error("E195", &written.at, message).hint(hint));
            None
        }
        written => Some(written.map_or(PREFIX, |written| written.as_str())),
    };
    let (timeout, prefix) = (timeout?, prefix?);
    let Some(Spanned { value: StoreConfig::Redis(url), at }) = store else { return Some(None) };
    let (client, shown) = read(url.expose()).ok()?;
    let (url, prefix, at) = (url.clone(), prefix.to_owned(), at.clone());
    Some(Some(Place { client, url, shown, timeout, prefix, at }))
}

impl OnStoreError {
    /// Checks what is written; `deny` where nothing is.
    pub fn compile(written: Option<&Spanned<String>>, out: &mut Diagnostics) -> Option<Self> {
        let Some(written) = written else { return Some(Self::Deny) };
        match written.as_str() {
            "allow" => Some(Self::Allow),
            "deny" => Some(Self::Deny),
            other => {
                let hint = did_you_mean(other, ["allow", "deny"]).map_or_else(
                    || "write `deny` or `allow`".to_owned(),
                    |known| format!("did you mean `{known}`?"),
                );
                let message = format!("`{other}` is nothing to do without a store");
                out.push(Diagnostic::error("E195", &written.at, message).hint(hint));
                None
            }
        }
    }
}

impl Place {
    /// What tells it from other places, wherever it is written.
    pub fn identity(&self) -> String {
        format!("{} {:?} {}", self.url.expose(), self.timeout, self.prefix)
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url && self.timeout == other.timeout && self.prefix == other.prefix
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_who_connects() {
        for (text, shown) in [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://localhost/", "redis://localhost:6379/0"),
            ("redis://10.0.0.5:6380/3", "redis://10.0.0.5:6380/3"),
            ("rediss://ann:hu%40sh@cache.example.com/1", "rediss://cache.example.com:6379/1"),
            ("redis://:hush@[::1]:7000/15", "redis://[::1]:7000/15"),
        ] {
            assert_eq!(read(text).map(|(_, shown)| shown), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_store_is_refused_without_an_echo() {
        for text in [
            "",
            "Local",
            "memory",
            "redis:",
            "redis://",
            "redis:///0",
            "redis://:hush@/0",
            "http://hush.example.com",
            "unix:///run/hush.sock",
            "redis+unix:///run/hush.sock",
            "valkey://hush",
            "REDIS://hush",
            "redis://hush:0/0",
            "redis://hush:99999/0",
            "redis://ann@hush",
            "redis://ann:hu@sh@localhost",
            "redis://ann:hu/sh@localhost",
            "redis://ann:hu#sh@localhost",
            "redis://localhost/hush",
            "redis://localhost//1",
            "redis://localhost/1/",
            "redis://localhost/-1",
            "redis://localhost/999999",
            "redis://localhost?db=hush",
            "rediss://localhost#insecure",
        ] {
            let Err((message, hint)) = read(text) else { panic!("{text} is taken") };
            assert!(!message.contains("hush") && !hint.contains("hush"), "{text}");
        }
    }
}
