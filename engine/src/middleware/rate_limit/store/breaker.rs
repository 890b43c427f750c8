//! The breaker: after five failures in a row, or where every other ask fails for a while, a store is
//! left alone for a second, then one probe is made in the background, of all workers of the machine,
//! and so on until one goes well. No request is ever the probe.
//!
//! Whether it is open stands in the head of the memory that the workers share: what one of them has
//! found holds for all, and a change of state is one worker's to log. The word says until when; it
//! is put off with every probe, so where nobody is left to probe the breaker closes by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use pybolt_shm::{Ordering, Word};
use siphasher::sip128::Hasher128;

use crate::middleware::rate_limit::table::{Table, arrival, pack, tag};

/// What a failure counts, of which an answer takes one off: a store that fails more than a third of
/// what it is asked comes to [`OPENS`].
const FAILURE: u32 = 2;

/// So much opens it: five failures in a row.
const OPENS: u32 = 5 * FAILURE;

/// After so long a probe is due.
pub const COOLDOWN: Duration = Duration::from_secs(1);

/// So long it is open without another word; longer than a probe may take.
const OPEN: u64 = 3_000_000_000;

/// The breaker of one store.
pub struct Breaker {
    table: Arc<Table>,
    /// What tells its word from those of other stores.
    tag: u64,
    /// What failures count by now, less the answers since.
    failures: AtomicU32,
}

/// A probe that is this worker's to make: the moment until which the breaker is open meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe(u64);

impl Breaker {
    /// The breaker of the store that `identity` tells from others, shared by all who share `table`.
    pub fn new(table: Arc<Table>, identity: &str) -> Self {
        let tag = table.hasher(identity).finish128().h1.max(1);
        Self { table, tag, failures: AtomicU32::new(0) }
    }

    /// Where it is open: how long until the next probe is due, which may bring the store back.
    pub fn is_open(&self) -> Option<Duration> {
        let (_, word) = self.find(self.table.now())?;
        let due = arrival(word) - OPEN + cooldown();
        Some(Duration::from_nanos(due.saturating_sub(self.table.now())))
    }

    /// Takes note of an answer.
    pub fn succeeded(&self) {
        // Whoever answers all the time need not share this line with others by writing it.
        if self.failures.load(Relaxed) != 0 {
            let less = |failures: u32| failures.checked_sub(1);
            self.failures.fetch_update(Relaxed, Relaxed, less).ok();
        }
    }

    /// Takes note of a failure; whether it is the one that opens the breaker.
    pub fn failed(&self) -> bool {
        if self.failures.fetch_add(FAILURE, Relaxed) + FAILURE < OPENS {
            return false;
        }
        self.failures.store(0, Relaxed);
        let now = self.table.now();
        loop {
            if self.find(now).is_some() {
                return false;
            }
            // There are as many words as a plan may have stores; those of an earlier plan's end soon.
            let free = |(_, known): &(&Word, u128)| arrival(*known) <= now;
            let Some((word, known)) = self.words().find(free) else { return false };
            let open = pack(self.tag, now + OPEN);
            if word.compare_exchange(known, open, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return true;
            }
        }
    }

    /// The probe, where it is due and nobody else makes it.
    pub fn claim(&self) -> Option<Probe> {
        let now = self.table.now();
        let (word, known) = self.find(now)?;
        let probe = Probe(now + OPEN);
        (arrival(known) <= now + OPEN - cooldown()).then_some(())?;
        let mine = pack(self.tag, probe.0);
        word.compare_exchange(known, mine, Ordering::SeqCst, Ordering::SeqCst).ok()?;
        Some(probe)
    }

    /// Closes it after a probe that went well; whether that is news.
    pub fn close(&self, Probe(until): Probe) -> bool {
        self.failures.store(0, Relaxed);
        let mine = pack(self.tag, until);
        self.words().any(|(word, _)| {
            word.compare_exchange(mine, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        })
    }

    fn words(&self) -> impl Iterator<Item = (&Word, u128)> {
        self.table.states().iter().map(|word| (word, word.load(Ordering::SeqCst)))
    }

    fn find(&self, now: u64) -> Option<(&Word, u128)> {
        self.words().find(|(_, known)| tag(*known) == self.tag && arrival(*known) > now)
    }
}

const fn cooldown() -> u64 {
    COOLDOWN.as_secs() * 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::rate_limit::{Clock, MIN_SIZE};
    use std::sync::atomic::AtomicU64;

    struct Machine {
        table: Arc<Table>,
        time: Arc<AtomicU64>,
    }

    impl Machine {
        fn new() -> Self {
            let time = Arc::new(AtomicU64::new(cooldown()));
            let clock = Arc::clone(&time);
            let clock: Clock = Arc::new(move || clock.load(Relaxed));
            Self { table: Arc::new(Table::with_clock(MIN_SIZE, clock).unwrap()), time }
        }

        fn worker(&self) -> Breaker {
            Breaker::new(Arc::clone(&self.table), "redis")
        }

        fn pass(&self, millis: u64) {
            self.time.fetch_add(millis * 1_000_000, Relaxed);
        }
    }

    fn open(worker: &Breaker) {
        assert_eq!((1..5).find(|_| worker.failed()), None, "too early");
        assert!(worker.failed());
    }

    #[test]
    fn five_failures_in_a_row_open_it_for_all_workers() {
        let machine = Machine::new();
        let [one, other] = [machine.worker(), machine.worker()];
        assert_eq!(one.is_open(), None);
        open(&one);
        for worker in [&one, &other] {
            assert_eq!(worker.is_open(), Some(COOLDOWN));
            assert!((0..20).all(|_| !worker.failed()), "it is news once");
        }
        let unrelated = Breaker::new(Arc::clone(&machine.table), "another");
        assert_eq!(unrelated.is_open(), None);
        open(&unrelated);
    }

    #[test]
    fn a_store_that_answers_now_and_then_is_one_that_does_not() {
        // After so many asks, of which so many fail of each so many, is it open?
        for (asks, failing, of, is_open) in [
            (30, 1, 2, true),
            (15, 3, 4, true),
            (10_000, 1, 3, false),
            (10_000, 4, 20, false),
            (10_000, 1, 100, false),
        ] {
            let worker = Machine::new().worker();
            for at in 0..asks {
                if at % of < failing {
                    worker.failed();
                } else {
                    worker.succeeded();
                }
            }
            assert_eq!(worker.is_open().is_some(), is_open, "{failing} of {of}");
        }
    }

    #[test]
    fn one_worker_probes_each_second_until_it_goes_well() {
        let machine = Machine::new();
        let [one, other] = [machine.worker(), machine.worker()];
        open(&one);
        assert_eq!(one.claim(), None, "it is not due");
        for _ in 0..10 {
            machine.pass(1_000);
            assert_eq!(other.is_open(), Some(Duration::ZERO));
            let claimed = [one.claim(), other.claim()];
            assert_eq!(claimed.iter().flatten().count(), 1, "one probe");
            assert_eq!(one.is_open(), Some(COOLDOWN), "and it stays open meanwhile");
        }
        machine.pass(1_000);
        let probe = other.claim().unwrap();
        assert!(other.close(probe));
        assert!(!other.close(probe), "it is news once");
        assert_eq!(one.is_open(), None);
        open(&one);
    }

    #[test]
    fn where_nobody_is_left_to_probe_it_closes_by_itself() {
        let machine = Machine::new();
        open(&machine.worker());
        machine.pass(2_999);
        assert!(machine.worker().is_open().is_some());
        machine.pass(1);
        assert_eq!(machine.worker().is_open(), None);
    }

    #[test]
    fn a_late_probe_closes_nothing_that_opened_since() {
        let machine = Machine::new();
        let worker = machine.worker();
        open(&worker);
        machine.pass(1_000);
        let late = worker.claim().unwrap();
        machine.pass(3_000);
        machine.pass(1);
        open(&worker);
        assert!(!worker.close(late));
        assert!(worker.is_open().is_some());
    }
}
