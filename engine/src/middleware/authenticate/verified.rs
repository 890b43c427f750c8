//! Tokens that were verified a moment ago: verifying is most of what a request with a token costs.
//!
//! The key is the whole token, signature included, hashed under a random seed and then compared in
//! full; an entry is good until the token expires, and what a token says never changes. Names and
//! passwords are remembered alike, by a keyed hash of theirs, for a while.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Principal;

/// So many are remembered; each is at most as long as a token may be.
const CAPACITY: usize = 1024;

/// Verified credentials of one method.
pub struct Verified<K>(Mutex<HashMap<K, Entry>>);

impl<K> Default for Verified<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Whose they are, and until when they are good, in seconds since the caller's epoch.
struct Entry {
    principal: Arc<Principal>,
    expires: f64,
}

impl<K: Hash + Eq> Verified<K> {
    /// Whose these are, if they were verified and have not expired.
    pub fn get<Q>(&self, token: &Q, now: f64) -> Option<Arc<Principal>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let tokens = self.0.lock();
        let entry = tokens.get(token)?;
        (now < entry.expires).then(|| Arc::clone(&entry.principal))
    }

    /// Remembers what was verified until `expires`.
    pub fn insert(&self, token: K, principal: &Arc<Principal>, now: f64, expires: f64) {
        let mut tokens = self.0.lock();
        if tokens.len() >= CAPACITY {
            tokens.retain(|_, entry| now < entry.expires);
            if tokens.len() >= CAPACITY {
                tokens.clear();
            }
        }
        tokens.insert(token, Entry { principal: Arc::clone(principal), expires });
    }
}

impl<K> std::fmt::Debug for Verified<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verified({})", self.0.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_it_expires_and_only_the_same_token() {
        let verified: Verified<Box<str>> = Verified::default();
        let principal = Arc::new(Principal::default());
        verified.insert("a.b.c".into(), &principal, 0.0, 10.0);
        assert!(verified.get("a.b.c", 9.9).is_some());
        assert!(verified.get("a.b.c", 10.0).is_none());
        assert!(verified.get("a.b.d", 1.0).is_none());
        for number in 0..5_000 {
            verified.insert(number.to_string().into(), &principal, 0.0, 10.0);
        }
        assert!(verified.0.lock().len() <= CAPACITY);
    }
}
