//! One GET of a set of keys: by https, from the host that was named and no other, for ten seconds
//! and 1 MiB at most.

use std::error::Error;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::{Client, Url, redirect};

use super::jwks::MAX_BYTES;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};

/// So long a fetch takes at most.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A longer reason is cut.
const MAX_REASON: usize = 200;

/// Where a set is.
#[derive(Debug)]
pub struct Place {
    pub url: Url,
    /// Where the URL is written.
    pub at: Location,
    client: OnceLock<Client>,
}

/// Why there was no set to be had.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfetched {
    /// No connection, no answer or not all of it in [`TIMEOUT`].
    Late,
    /// The connection failed, with the reason.
    Broken(String),
    /// Another status than 200.
    Status(u16),
    /// More than 1 MiB.
    Large,
    /// What came is no set, or none of its keys is of use.
    Useless(String),
}

impl From<reqwest::Error> for Unfetched {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Late;
        }
        // The outer errors name the URL, the innermost says what happened.
        let error = error.without_url();
        let mut cause: &dyn Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        // It may quote what a stranger's certificate says.
        let plain = cause.to_string().replace(char::is_control, " ");
        Self::Broken(plain.chars().take(MAX_REASON).collect())
    }
}

impl fmt::Display for Unfetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => write!(f, "there was no whole answer in {} s", TIMEOUT.as_secs()),
            Self::Broken(what) | Self::Useless(what) => f.write_str(what),
            Self::Status(status @ 300..400) => {
                write!(
                    f,
                    "it redirects ({status}): only to the same origin, and not for long, is followed"
                )
            }
            Self::Status(status) => write!(f, "the status is {status}, not 200"),
            Self::Large => f.write_str("it is larger than 1 MiB"),
        }
    }
}

impl Place {
    /// Checks a URL; plain http only where `insecure` says so.
    pub fn compile(
        written: &Spanned<String>,
        insecure: bool,
        out: &mut Diagnostics,
    ) -> Option<Self> {
        let mut bad = |message: &str, hint: &str| {
            out.push(Diagnostic::error("E097", &written.at, message).hint(hint));
            None
        };
        let Some(url) = Url::parse(written).ok().filter(Url::has_host) else {
            return bad("this is not a URL", "write `https://id.example.com/jwks.json`");
        };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return bad("a URL of keys has no user, password or fragment", "leave them out");
        }
        match url.scheme() {
            "https" => Some(Self::new(url, written.at.clone())),
            "http" if insecure => Some(Self::new(url, written.at.clone())),
            _ => bad(
                "keys that anybody on the way can replace",
                "write `https`, or `insecure_http: true` for a server on this machine",
            ),
        }
    }

    /// A place that is known to be fine.
    pub fn new(url: Url, at: Location) -> Self {
        Self { url, at, client: OnceLock::new() }
    }

    /// The URL as it may be shown: a query may have a secret.
    pub fn shown(&self) -> String {
        let mut url = self.url.clone();
        if url.query().is_some() {
            url.set_query(Some("***"));
        }
        url.into()
    }

    /// The set as it is there now.
    pub async fn fetch(&self) -> Result<Vec<u8>, Unfetched> {
        let client = match self.client.get() {
            Some(client) => client,
            None => {
                let client = self.connect()?;
                self.client.get_or_init(|| client)
            }
        };
        let request = client.get(self.url.clone());
        let accepted = "application/jwk-set+json, application/json";
        let mut response = request.header("accept", accepted).send().await?;
        if response.status() != 200 {
            return Err(Unfetched::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if (bytes.len() + chunk.len()) as u64 > MAX_BYTES {
                return Err(Unfetched::Large);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn connect(&self) -> Result<Client, Unfetched> {
        let origin = self.url.origin();
        // Whoever answers for the host named is believed, and nobody whom it names.
        let follow = move |attempt: redirect::Attempt<'_>| {
            if attempt.previous().len() > 3 || attempt.url().origin() != origin {
                attempt.stop()
            } else {
                attempt.follow()
            }
        };
        let client = Client::builder()
            .redirect(redirect::Policy::custom(follow))
            .https_only(self.url.scheme() == "https")
            .connect_timeout(TIMEOUT / 2)
            .timeout(TIMEOUT)
            .user_agent(concat!("pybolt/", env!("CARGO_PKG_VERSION")));
        Ok(client.build()?)
    }
}
