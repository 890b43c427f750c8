//! Keys from a URL when a new plan takes over from an old one: what was fetched stays, nothing is
//! fetched again before its time, and no token that the old plan verified is known to the new one.
//!
//! Every plan has a task of its own that fetches; the old plan's ends when nobody holds its keys.

use std::sync::Arc;

use super::config::Authenticator;
use super::jwks;
use super::remote::{Current, KeySet, Remote};

impl Remote {
    /// Takes over what `before` has fetched; only where it is what this one would have fetched.
    pub fn succeed(&self, before: &Self) -> bool {
        let same = self.place.url == before.place.url
            && self.algorithms == before.algorithms
            && self.forgets == before.forgets;
        let Some(fetched) = before.fetched.lock().filter(|_| same) else { return false };
        let bytes = before.current.lock().bytes.clone();
        let keys = jwks::lenient(&bytes, &self.algorithms).unwrap_or_default();
        let set = Arc::new(KeySet { keys, ..KeySet::default() });
        *self.current.lock() = Current { set, bytes };
        *self.fetched.lock() = Some(fetched);
        self.health.succeed(&before.health);
        true
    }
}

impl Authenticator {
    /// The URL that its keys come from, where they do.
    pub fn remote(&self) -> Option<&Arc<Remote>> {
        match self {
            Self::Jwt(jwt) => jwt.remote(),
            Self::ApiKey(_) | Self::Basic(_) => None,
        }
    }
}
