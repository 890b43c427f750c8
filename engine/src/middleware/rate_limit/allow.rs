//! Whom a limit does not count: networks, and holders of API keys.

use std::sync::Arc;

use ipnet::IpNet;

use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::middleware::client_ip::ClientIpPolicy;
use crate::request::Parts;

/// Clients that pass uncounted.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    networks: Arc<[IpNet]>,
    keys: Arc<[Box<str>]>,
}

impl Allowed {
    /// Checks and compiles a list of networks and `api_key:ID`s.
    pub fn compile(
        list: Option<&Spanned<Vec<Spanned<String>>>>,
        knows_identity: bool,
        out: &mut Diagnostics,
    ) -> Option<Self> {
        let Some(list) = list else { return Some(Self::default()) };
        if list.is_empty() {
            out.push(
                Diagnostic::error("E190", &list.at, "an empty list of those who are not counted")
                    .hint("name networks or `api_key:ID`s, or remove the key"),
            );
            return None;
        }
        let (keys, networks): (Vec<_>, Vec<_>) =
            list.iter().cloned().partition(|entry| entry.starts_with("api_key:"));
        if let Some(key) = keys.first().filter(|_| !knows_identity) {
            out.push(
                Diagnostic::error(
                    "E190",
                    &key.at,
                    "this limit counts before anybody knows who asks",
                )
                .hint("name networks, or count by `api_key` or `claim:NAME`"),
            );
            return None;
        }
        if let Some(key) = keys.iter().find(|key| key.as_str() == "api_key:") {
            out.error("E190", &key.at, "an API key without an id");
            return None;
        }
        let compiled = ClientIpPolicy::networks(&networks, out);
        let id = |key: &Spanned<String>| key.trim_start_matches("api_key:").into();
        (compiled.len() == networks.len())
            .then(|| Self { networks: compiled, keys: keys.iter().map(id).collect() })
    }

    /// Whether this request is not counted.
    pub fn covers(&self, parts: &Parts) -> bool {
        self.networks.iter().any(|network| network.contains(&parts.client_ip))
            || (!self.keys.is_empty()
                && parts.principal.as_deref().is_some_and(|principal| {
                    principal.method == "api_key"
                        && self.keys.iter().any(|key| **key == *principal.id)
                }))
    }

    /// What `bolt explain` adds.
    pub fn summary(&self) -> String {
        match self.networks.len() + self.keys.len() {
            0 => String::new(),
            count => format!("; {count} not counted"),
        }
    }
}
