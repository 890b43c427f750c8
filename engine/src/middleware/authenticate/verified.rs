//! Credentials that were verified a moment ago: verifying is most of what a request with a token
//! costs.
//!
//! They are found by a keyed hash of their last bytes, which in a token are its signature's and in
//! a password's are those of a keyed hash already: nobody who cannot sign chooses them. Then they are
//! compared in full. An entry is good until it expires, and what a token says never changes. Where
//! there is no room, the oldest of the few with the same place goes.

use std::hash::BuildHasher;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::Principal;

/// So many places there are, a power of two, and so many are remembered at each; a token is at most
/// as long as one may be.
const PLACES: usize = 256;
const AT_ONE: usize = 4;

/// The last bytes of credentials; shorter ones begin with zeros.
type Tail = [u8; 16];

/// Verified credentials of one method.
#[derive(Default)]
pub struct Verified(Mutex<Known>);

/// The places, once there is anything to remember; the newest first.
#[derive(Default)]
struct Known {
    hash: RandomState,
    places: Vec<[Option<Entry>; AT_ONE]>,
}

/// Whose they are, and until when they are good, in seconds since the caller's epoch.
struct Entry {
    credentials: Arc<[u8]>,
    principal: Arc<Principal>,
    expires: f64,
}

impl Known {
    fn place(&self, tail: Tail) -> usize {
        usize::try_from(self.hash.hash_one(tail)).unwrap_or_default() % PLACES
    }
}

impl Verified {
    /// Whose these are, if they were verified and have not expired.
    pub fn get(&self, credentials: &[u8], now: f64) -> Option<Arc<Principal>> {
        let known = self.0.lock();
        let wanted = tail(credentials);
        let mut entries = known.places.get(known.place(wanted))?.iter().flatten();
        let entry = entries.find(|entry| {
            // Whoever has the end of a token only learns nothing of the rest from how long this takes.
            tail(&entry.credentials) == wanted
                && verify_slices_are_equal(&entry.credentials, credentials).is_ok()
        })?;
        (now < entry.expires).then(|| Arc::clone(&entry.principal))
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
        if known.places.is_empty() {
            known.places.resize_with(PLACES, Default::default);
        }
        let at = known.place(tail(&credentials));
        let place = &mut known.places[at];
        let is_free = |entry: &Option<Entry>| {
            entry
                .as_ref()
                .is_none_or(|entry| now >= entry.expires || entry.credentials == credentials)
        };
        let last = place.iter().position(is_free).unwrap_or(AT_ONE - 1);
        place[..=last].rotate_right(1);
        place[0] = Some(Entry { credentials, principal: Arc::clone(principal), expires });
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
        let known = self.0.lock();
        write!(f, "Verified({})", known.places.iter().flatten().flatten().count())
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
    }

    #[test]
    fn so_many_are_remembered_the_newest_of_them_and_none_twice() {
        let verified = Verified::default();
        let principal = Arc::new(Principal::default());
        let remember = |name: &str, now: f64| {
            verified.insert(name.as_bytes().into(), &principal, now, now + 10.0);
        };
        let is_known = |name: &str, now: f64| verified.get(name.as_bytes(), now).is_some();
        let names: Vec<_> = (0..5_000).map(|number| number.to_string()).collect();
        for name in &names {
            remember(name, 0.0);
            assert!(is_known(name, 0.0));
        }
        let count = names.iter().filter(|name| is_known(name, 0.0)).count();
        assert!((PLACES..=PLACES * AT_ONE).contains(&count), "{count}");
        for _ in 0..10 {
            remember("again", 0.0);
        }
        assert_eq!(names.iter().filter(|name| is_known(name, 0.0)).count(), count - 1);
        // What has expired goes first.
        remember("later", 20.0);
        for name in &names[..100] {
            remember(name, 21.0);
            assert!(is_known(name, 21.0));
        }
    }
}
