//! The limiter's memory: one theoretical arrival time for each key, in shards, bounded.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So many keys one limit remembers.
const MAX_KEYS: usize = 1 << 20;

const SHARDS: usize = 16;

/// The time in nanoseconds since some fixed moment; never goes back.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How many, in how long, and how many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests in a period.
    pub count: u64,
    /// The period.
    pub period: Duration,
    /// Requests that may come at once.
    pub burst: u64,
}

/// What a limit says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may pass.
    pub admitted: bool,
    /// How many more could pass right after it.
    pub remaining: u64,
    /// Until the quota is whole again, or, when refused, until the next one may pass.
    pub after: Duration,
}

/// The state of one limit. Keys are 64-bit hashes under a random seed.
pub struct Store {
    interval: u64,
    tolerance: u64,
    shards: Vec<Mutex<Shard>>,
    seed: RandomState,
    clock: Clock,
    max_keys: usize,
}

impl Store {
    /// An empty store under `quota`.
    pub fn new(quota: Quota) -> Self {
        let epoch = Instant::now();
        let clock = move || u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Self::with_clock(quota, Arc::new(clock), MAX_KEYS)
    }

    /// The same with another clock and another bound on keys, for tests.
    pub fn with_clock(quota: Quota, clock: Clock, max_keys: usize) -> Self {
        let period = u64::try_from(quota.period.as_nanos()).unwrap_or(u64::MAX);
        let interval = (period / quota.count.max(1)).max(1);
        Self {
            interval,
            tolerance: interval.saturating_mul(quota.burst.max(1)),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            seed: RandomState::new(),
            clock,
            max_keys,
        }
    }

    /// The hash of a key.
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.seed.hash_one(key)
    }

    /// Asks for one request of `key`; takes it only where `take`.
    pub fn decide(&self, key: u64, take: bool) -> Decision {
        let now = (self.clock)();
        let shard = &self.shards[(key >> 60) as usize % SHARDS];
        let mut shard = shard.lock();
        let known = shard.arrivals.get(&key).copied();
        // The theoretical arrival time: the moment up to which the quota is spent.
        let arrival = known.unwrap_or(0).max(now);
        let spent = arrival.saturating_add(self.interval);
        let horizon = now.saturating_add(self.tolerance);
        if spent > horizon {
            return Decision {
                admitted: false,
                remaining: 0,
                after: Duration::from_nanos(spent - horizon),
            };
        }
        if take {
            if known.is_none() {
                if shard.arrivals.len() >= self.max_keys / SHARDS
                    && !shard.make_room(now, self.interval)
                {
                    // Full of keys that are all being limited: a new one cannot be told apart from
                    // them, and a doubt is a refusal.
                    return Decision {
                        admitted: false,
                        remaining: 0,
                        after: Duration::from_nanos(shard.next_search - now),
                    };
                }
                shard.next_search =
                    shard.next_search.min(Shard::search_after(spent, self.interval));
            }
            shard.arrivals.insert(key, spent);
        }
        let remaining = (horizon - spent) / self.interval;
        Decision { admitted: true, remaining, after: Duration::from_nanos(spent - now) }
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().arrivals.len()).sum()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A part of the keys under a lock of its own.
#[derive(Default)]
struct Shard {
    arrivals: HashMap<u64, u64, Identity>,
    /// A search for keys to forget finds none, or few, before then.
    next_search: u64,
}

impl Shard {
    /// Forgets the keys whose quota is whole: as new ones they would be admitted just the same.
    /// Says whether there was one. A full shard is not searched again for every new key.
    fn make_room(&mut self, now: u64, interval: u64) -> bool {
        if now < self.next_search {
            return false;
        }
        let before = self.arrivals.len();
        let mut earliest = u64::MAX;
        self.arrivals.retain(|_, arrival| {
            let limited = *arrival > now;
            if limited {
                earliest = earliest.min(*arrival);
            }
            limited
        });
        self.next_search = Self::search_after(earliest, interval);
        self.arrivals.len() < before
    }

    /// When a search pays that can forget a key from `arrival` on: the sixteenth of the pace more
    /// lets those that follow closely be found together.
    fn search_after(arrival: u64, interval: u64) -> u64 {
        arrival.saturating_add(interval / 16)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({} keys)", self.len())
    }
}

/// Keys are hashes already.
#[derive(Default, Clone)]
struct Identity;

/// Hands a `u64` through.
#[derive(Default)]
struct IdentityHasher(u64);

impl BuildHasher for Identity {
    type Hasher = IdentityHasher;

    fn build_hasher(&self) -> IdentityHasher {
        IdentityHasher::default()
    }
}

impl std::hash::Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed")
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn store(quota: Quota, max_keys: usize) -> (Store, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(1_000_000_000));
        let clock = Arc::clone(&time);
        (Store::with_clock(quota, Arc::new(move || clock.load(Ordering::Relaxed)), max_keys), time)
    }

    const TEN_A_SECOND: Quota = Quota { count: 10, period: Duration::from_secs(1), burst: 5 };

    #[test]
    fn a_burst_passes_then_the_even_pace() {
        let (store, time) = store(TEN_A_SECOND, MAX_KEYS);
        for left in (0..5).rev() {
            assert_eq!(store.decide(1, true).remaining, left);
        }
        let refused = store.decide(1, true);
        assert!(!refused.admitted);
        assert_eq!(refused.after, Duration::from_millis(100));
        time.fetch_add(100_000_000, Ordering::Relaxed);
        assert!(store.decide(1, true).admitted);
        assert!(!store.decide(1, true).admitted);
    }

    #[test]
    fn asking_takes_nothing() {
        let (store, _) = store(TEN_A_SECOND, MAX_KEYS);
        for _ in 0..100 {
            assert_eq!(store.decide(1, false).remaining, 4);
        }
        assert!(store.is_empty());
    }

    #[test]
    fn eviction_never_frees_a_limited_key() {
        let (store, time) = store(TEN_A_SECOND, 16 * 4);
        let limited = 1;
        while store.decide(limited, true).admitted {}
        for key in 2..1000 {
            store.decide(key, true);
        }
        assert!(!store.decide(limited, true).admitted);
        assert!(store.len() <= 16 * 4);
        time.fetch_add(10_000_000_000, Ordering::Relaxed);
        assert!(store.decide(5000, true).admitted, "full buckets make room");
    }

    #[test]
    fn a_full_shard_is_not_searched_for_every_new_key() {
        let (store, time) = store(TEN_A_SECOND, 16);
        let refused =
            |after| Decision { admitted: false, remaining: 0, after: Duration::from_micros(after) };
        assert!(store.decide(1, true).admitted);
        assert_eq!(store.decide(2, true), refused(106_250));
        time.fetch_add(100_000_000, Ordering::Relaxed);
        assert_eq!(store.decide(2, true), refused(6_250), "key 1 is whole but not looked for yet");
        time.fetch_add(6_250_000, Ordering::Relaxed);
        assert!(store.decide(2, true).admitted, "when it said");
        assert_eq!(store.decide(1, true), refused(106_250), "a new key is found when it is whole");
    }

    proptest! {
        /// The model: a bucket of `burst` tokens that gains one every interval.
        #[test]
        fn it_admits_exactly_what_the_token_bucket_admits(
            count in 1_u64..50, burst in 1_u64..20, steps in prop::collection::vec(0_u64..300_000_000, 1..200),
        ) {
            let quota = Quota { count, period: Duration::from_secs(1), burst };
            let (store, time) = store(quota, MAX_KEYS);
            let interval = 1_000_000_000 / count;
            let (mut level, mut last) = (u128::from(burst) * u128::from(interval), time.load(Ordering::Relaxed));
            for step in steps {
                let now = time.fetch_add(step, Ordering::Relaxed) + step;
                level = (level + u128::from(now - last)).min(u128::from(burst) * u128::from(interval));
                last = now;
                let admits = level >= u128::from(interval);
                if admits {
                    level -= u128::from(interval);
                }
                prop_assert_eq!(store.decide(7, true).admitted, admits);
            }
        }
    }
}
