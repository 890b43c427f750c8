//! One GET of a set of keys: by https, from the host that was named and no other, for ten seconds
//! and 1 MiB at most.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::{Client, Url, redirect};

use super::jwks::MAX_BYTES;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};

/// So long a fetch takes at most.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where a set is.
#[derive(Debug)]
pub struct Place {
    pub url: Url,
    client: OnceLock<Client>,
}

/// That there was no set to be had.
#[derive(Debug)]
pub struct Unfetched;

impl From<reqwest::Error> for Unfetched {
    fn from(_: reqwest::Error) -> Self {
        Self
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
            "https" => Some(Self::new(url)),
            "http" if insecure => Some(Self::new(url)),
            _ => bad(
                "keys that anybody on the way can replace",
                "write `https`, or `insecure_http: true` for a server on this machine",
            ),
        }
    }

    /// A place that is known to be fine.
    pub fn new(url: Url) -> Self {
        Self { url, client: OnceLock::new() }
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
            return Err(Unfetched);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if (bytes.len() + chunk.len()) as u64 > MAX_BYTES {
                return Err(Unfetched);
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
