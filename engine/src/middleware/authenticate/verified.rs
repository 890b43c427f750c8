//! Credentials that were verified a moment ago: verifying is most of what a request with a token
//! costs.
//!
//! They are found by a keyed hash of their last bytes, which in a token are its signature's and in
//! a password's are those of a keyed hash already: nobody who cannot sign chooses them. Then they are
//! compared in full. An entry is good until it expires, and what a token says never changes.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::Principal;

/// So many are remembered; each is at most as long as a token may be.
const CAPACITY: usize = 1024;

/// The last bytes of credentials; shorter ones begin with zeros.
type Tail = [u8; 16];

/// Verified credentials of one method.
#[derive(Default)]
pub struct Verified(Mutex<HashMap<Tail, Entry, RandomState>>);

/// Whose they are, and until when they are good, in seconds since the caller's epoch.
struct Entry {
    credentials: Arc<[u8]>,
    principal: Arc<Principal>,
    expires: f64,
}

impl Verified {
    /// Whose these are, if they were verified and have not expired.
    pub fn get(&self, credentials: &[u8], now: f64) -> Option<Arc<Principal>> {
        let known = self.0.lock();
        let entry = known.get(&tail(credentials))?;
        // Whoever has the end of a token only learns nothing of the rest from how long this takes.
        let same = verify_slices_are_equal(&entry.credentials, credentials).is_ok();
        (same && now < entry.expires).then(|| Arc::clone(&entry.principal))
    }

    /// Remembers what was verified until `expires`.
    pub fn insert(
        &self,
        credentials: Arc<[u8]>,
        principal: &Arc<Principal>,
        now: f64,
        expires: f64,
    ) {
        let mut known = self.0.lock();
        if known.len() >= CAPACITY {
            known.retain(|_, entry| now < entry.expires);
            if known.len() >= CAPACITY {
                known.clear();
            }
        }
        let principal = Arc::clone(principal);
        known.insert(tail(&credentials), Entry { credentials, principal, expires });
    }
}

fn tail(credentials: &[u8]) -> Tail {
    let mut tail = Tail::default();
    if let Some(last) = credentials.last_chunk() {
        tail = *last;
    } else {
        let begin = tail.len() - credentials.len();
        tail[begin..].copy_from_slice(credentials);
    }
    tail
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verified({})", self.0.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_good_until_they_expire_and_only_the_same() {
        let verified = Verified::default();
        let principal = Arc::new(Principal::default());
        let known = b"header.payload.a signature of forty-three letters";
        let others: [&[u8]; 5] = [
            b"Header.payload.a signature of forty-three letters",
            &known[1..],
            &known[40..],
            b"",
            b"s",
        ];
        verified.insert(known.as_slice().into(), &principal, 0.0, 10.0);
        assert!(verified.get(known, 9.9).is_some());
        assert!(verified.get(known, 10.0).is_none());
        for other in others {
            assert!(verified.get(other, 1.0).is_none());
        }
        verified.insert(b"short".as_slice().into(), &principal, 0.0, 10.0);
        assert!(verified.get(b"short", 1.0).is_some());
        for number in 0..5_000 {
            verified.insert(number.to_string().into_bytes().into(), &principal, 0.0, 10.0);
        }
        assert!(verified.0.lock().len() <= CAPACITY);
    }
}
