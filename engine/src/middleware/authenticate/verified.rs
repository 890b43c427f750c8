//! Tokens that were verified a moment ago: verifying is most of what a request with a token costs.
//!
//! The key is the whole token, signature included, hashed under a random seed and then compared in
//! full; an entry is good until the token expires, and what a token says never changes.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Principal;

/// So many tokens are remembered; each is at most as long as a token may be.
const CAPACITY: usize = 1024;

/// Verified tokens of one method.
#[derive(Default)]
pub struct Verified(Mutex<HashMap<Box<str>, Entry>>);

/// Whose a token is, and until when it is good, in seconds since 1970.
struct Entry {
    principal: Arc<Principal>,
    expires: f64,
}

impl Verified {
    /// Whose token this is, if it was verified and has not expired; `now` in seconds since 1970.
    pub fn get(&self, token: &str, now: f64) -> Option<Arc<Principal>> {
        let tokens = self.0.lock();
        let entry = tokens.get(token)?;
        (now < entry.expires).then(|| Arc::clone(&entry.principal))
    }

    /// Remembers a verified token until `expires`.
    pub fn insert(&self, token: &str, principal: &Arc<Principal>, now: f64, expires: f64) {
        let mut tokens = self.0.lock();
        if tokens.len() >= CAPACITY {
            tokens.retain(|_, entry| now < entry.expires);
            if tokens.len() >= CAPACITY {
                tokens.clear();
            }
        }
        tokens.insert(token.into(), Entry { principal: Arc::clone(principal), expires });
    }
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verified({} tokens)", self.0.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_it_expires_and_only_the_same_token() {
        let verified = Verified::default();
        let principal = Arc::new(Principal::default());
        verified.insert("a.b.c", &principal, 0.0, 10.0);
        assert!(verified.get("a.b.c", 9.9).is_some());
        assert!(verified.get("a.b.c", 10.0).is_none());
        assert!(verified.get("a.b.d", 1.0).is_none());
        for number in 0..5_000 {
            verified.insert(&number.to_string(), &principal, 0.0, 10.0);
        }
        assert!(verified.0.lock().len() <= CAPACITY);
    }
}
