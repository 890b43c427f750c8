//! What stores said of keys, kept in the table: never more than they said.

use crate::middleware::rate_limit::gcra::{Decision, Pace};
use crate::middleware::rate_limit::table::{Found, Key, Table, arrival, pack};

impl Table {
    /// The refusal of `cost` requests of `key`, where that is certain from what is known here.
    pub fn refuses(&self, key: Key, pace: Pace, cost: u64) -> Option<Decision> {
        let now = self.now();
        // A key that is not known here may be limited or not: that is the store's to say.
        let Found::Known(_, word) = self.find(key, now) else { return None };
        let (decision, _) = pace.decide(arrival(word), now, cost);
        (!decision.admitted).then_some(decision)
    }

    /// Takes note that `owed` of `key` was owed at `then` at the earliest. Where there is no room it
    /// is not kept, and the store will be asked again.
    pub fn keep(&self, key: Key, then: u64, owed: u64) {
        let until = then.saturating_add(owed);
        let now = self.now();
        loop {
            let (at, word) = match self.find(key, now) {
                Found::Known(_, word) if arrival(word) >= until => return,
                Found::Known(at, word) | Found::Free(at, word) if until > now => (at, word),
                _ => return,
            };
            if self.exchange(at, word, pack(key.tag, until)) {
                return;
            }
        }
    }
}

impl Decision {
    /// What a quota that is `owed` says to `cost` requests, and what is owed if they are spent.
    pub fn on(owed: u64, pace: Pace, cost: u64) -> (Self, u64) {
        pace.decide(owed, 0, cost)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::time::Duration;

    use super::*;
    use crate::middleware::rate_limit::{Clock, MIN_SIZE, Quota};

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_key_is_refused_here_until_its_time_has_come_and_no_longer() {
        let time = Arc::new(AtomicU64::new(SECOND));
        let clock = Arc::clone(&time);
        let clock: Clock = Arc::new(move || clock.load(Relaxed));
        let table = Table::with_clock(MIN_SIZE, clock).unwrap();
        let pace = Pace::from(Quota { count: 10, period: Duration::from_secs(1), burst: 5 });
        let key = Key::from(&table.hasher("a"));
        assert_eq!(table.refuses(key, pace, 1), None, "nothing is known of it");
        table.keep(key, SECOND, 500_000_000);
        let refused = table.refuses(key, pace, 1).unwrap();
        assert_eq!((refused.remaining, refused.after), (0, Duration::from_millis(100)));
        table.keep(key, SECOND, 100_000_000);
        assert!(table.refuses(key, pace, 1).is_some(), "less than what is known is no news");
        time.fetch_add(100_000_000, Relaxed);
        assert_eq!(table.refuses(key, pace, 1), None, "the store may admit it");
        let dear = table.refuses(key, pace, 3).unwrap();
        assert_eq!((dear.remaining, dear.after), (1, Duration::from_millis(200)));
        // Without the store this machine counts on from there.
        assert!(table.decide(key, pace, 1, true).admitted);
        assert!(!table.decide(key, pace, 1, true).admitted);
    }
}
