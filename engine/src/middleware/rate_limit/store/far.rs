//! A limit that is counted in a store: what its keys are called there.

use std::hash::Hasher;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Store;
use super::place::OnStoreError;
use crate::config::units::Span;
use crate::middleware::rate_limit::config::RateLimitPolicy;
use crate::middleware::rate_limit::key::Scope;
use crate::request::Parts;

/// Where a limit is counted, and what holds without that.
#[derive(Debug, Clone)]
pub struct Afar {
    /// The store.
    pub store: Arc<Store>,
    /// What holds while it does not answer.
    pub on_error: OnStoreError,
}

/// The keys of one limit on one route.
#[derive(Debug)]
pub struct Names {
    /// `PREFIX:NAME:QUOTA:`.
    head: String,
    /// Has read all but the request.
    digest: Sha256,
    scope: Scope,
}

impl Names {
    /// The keys of `policy` in `store` on the route that `route` names. The same on every machine.
    pub fn new(policy: &RateLimitPolicy, store: &Store, route: &str) -> Self {
        let prefix = &store.place.prefix;
        let quota = policy.quota();
        let head = format!(
            "{prefix}:{}:{}/{}+{}:",
            policy.name(),
            quota.count,
            Span(quota.period),
            quota.burst
        );
        let mut digest = Hashing(Sha256::new());
        for part in ["pybolt limits 1", prefix.as_str(), policy.identity()] {
            digest.write(&(part.len() as u64).to_le_bytes());
            digest.write(part.as_bytes());
        }
        let route = Sha256::digest(route.as_bytes());
        let route = u64::from_le_bytes(*route.first_chunk().expect("a digest has 32 bytes"));
        Self { head, digest: digest.0, scope: Scope { route, ipv6_prefix: policy.ipv6_prefix } }
    }

    /// The key of a request.
    pub fn of(&self, parts: &Parts, policy: &RateLimitPolicy) -> String {
        let mut hashing = Hashing(self.digest.clone());
        for part in &policy.key {
            part.hash(parts, self.scope, &mut hashing);
        }
        let digest = hashing.0.finalize();
        let mut name = String::with_capacity(self.head.len() + 32);
        name.push_str(&self.head);
        for byte in digest.iter().take(16) {
            for half in [byte >> 4, byte & 15] {
                name.push(char::from_digit(u32::from(half), 16).expect("half a byte is a digit"));
            }
        }
        name
    }
}

/// What a key is hashed by for a store: the parts as the local table has them.
struct Hashing(Sha256);

impl Hasher for Hashing {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// A digest is longer than this, and read by [`Names::of`].
    fn finish(&self) -> u64 {
        0
    }
}
