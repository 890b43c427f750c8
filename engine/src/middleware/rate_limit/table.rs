//! The limits' memory: one table for all limits of all processes that share it.
//!
//! A slot is one word of 128 bits, the key's tag and its arrival time, and changes in one step: a
//! process that is killed anywhere leaves nothing half done, and nothing is ever locked. Keys are
//! hashed (`SipHash`) under a seed that whoever makes the table draws, so that nobody can choose keys
//! that meet. A key may stand in one of two sets of eight slots; a new one goes where more are free.
//! A slot is free when its quota is whole: forgetting it changes nothing. Where all sixteen are
//! being limited, those keys stay limited, and a new one cannot be told apart from them: a doubt is
//! a refusal, until the first of them is whole.
//!
//! The first set of words is the head: a mark, the seed, and the states of stores (`store/breaker.rs`).

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use pybolt_shm::{Ordering, WORD, Word, Words};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::gcra::{Decision, Pace};

/// The time in nanoseconds since some fixed moment, the same for all who share a table; never goes
/// back.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a table begins with; the supervisor writes it (`pybolt/limits.py`).
const MARK: &[u8; 16] = b"pybolt limits 1\n";

/// The slots of a set: two cache lines.
const WAYS: usize = 8;

/// The words of the head that say how things stand which are no key's, such as a store's.
pub const STATES: usize = WAYS - 2;

/// The arrival times of all keys.
pub struct Table {
    words: Words,
    sets: usize,
    seed: [u8; 16],
    clock: Clock,
}

/// A hashed key: where it stands and what tells it from others there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    place: u64,
    pub(super) tag: u64,
}

/// What is known of a key.
pub(super) enum Found {
    /// Its slot, and the word there.
    Known(usize, u128),
    /// No slot; this one is free.
    Free(usize, u128),
    /// No slot, and none free before this moment.
    Full(u64),
}

impl Table {
    /// A table of `size` bytes that this process alone has.
    pub fn anonymous(size: u64) -> io::Result<Self> {
        Self::with_clock(size, Arc::new(pybolt_shm::now))
    }

    /// The same with another clock, for tests.
    pub fn with_clock(size: u64, clock: Clock) -> io::Result<Self> {
        let words = Words::anonymous(usize::try_from(size).unwrap_or(usize::MAX) / WORD)?;
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        Self::new(words, seed, clock)
    }

    /// The table in the file behind `fd`, as the supervisor has made it.
    pub fn shared(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let words = Words::shared(fd)?;
        let head = |at: usize| words.as_slice().get(at).map(|word| word.load(Ordering::SeqCst));
        let marked = head(0).is_some_and(|mark| mark.to_ne_bytes() == *MARK);
        let seed = head(1).filter(|_| marked).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "this is no table of limits")
        })?;
        Self::new(words, seed.to_ne_bytes(), Arc::new(pybolt_shm::now))
    }

    fn new(words: Words, seed: [u8; 16], clock: Clock) -> io::Result<Self> {
        let sets = (words.as_slice().len() / WAYS).saturating_sub(1);
        if sets == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a table without a slot"));
        }
        Ok(Self { words, sets, seed, clock })
    }

    /// A hasher of keys that has already read `limit`.
    pub fn hasher(&self, limit: &str) -> SipHasher13 {
        let mut hasher = SipHasher13::new_with_key(&self.seed);
        // A length keeps a name and what follows it apart.
        std::hash::Hasher::write(&mut hasher, &(limit.len() as u64).to_le_bytes());
        std::hash::Hasher::write(&mut hasher, limit.as_bytes());
        hasher
    }

    /// Asks for `cost` requests of `key`; takes them only where `take`.
    pub fn decide(&self, key: Key, pace: Pace, cost: u64, take: bool) -> Decision {
        let now = (self.clock)();
        loop {
            let (at, word, arrival) = match self.find(key, now) {
                Found::Known(at, word) => (at, word, arrival(word)),
                Found::Free(at, word) => (at, word, 0),
                Found::Full(until) => return Decision::refused(until - now),
            };
            let (decision, spent) = pace.decide(arrival, now, cost);
            if !decision.admitted || !take {
                return decision;
            }
            let is_new = tag(word) != key.tag;
            if self.exchange(at, word, pack(key.tag, spent))
                && !(is_new && self.was_double(key, at, now, pack(key.tag, spent)))
            {
                return decision;
            }
        }
    }

    /// Gives back what [`Table::decide`] took of `key`.
    pub fn give_back(&self, key: Key, pace: Pace, cost: u64) {
        let now = (self.clock)();
        let taken = pace.interval.saturating_mul(cost);
        while let Found::Known(at, word) = self.find(key, now) {
            if self.exchange(at, word, pack(key.tag, arrival(word).saturating_sub(taken))) {
                return;
            }
        }
    }

    /// The time, for whatever is kept here.
    pub(super) fn now(&self) -> u64 {
        (self.clock)()
    }

    /// The words for states; what they mean is the breaker's.
    pub(super) fn states(&self) -> &[Word] {
        &self.words.as_slice()[WAYS - STATES..WAYS]
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.sets * WAYS
    }

    /// How many keys are being limited.
    pub fn len(&self) -> usize {
        let now = (self.clock)();
        let slots = self.words.as_slice().iter().skip(WAYS);
        slots.filter(|word| arrival(word.load(Ordering::Relaxed)) > now).count()
    }

    /// Whether no key is being limited.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn word(&self, at: usize) -> &Word {
        &self.words.as_slice()[at]
    }

    /// The slots where `key` may stand, in the order in which they are searched.
    fn probes(&self, key: Key) -> [usize; 2] {
        let set = |hash: u64| {
            let scaled = (u128::from(hash) * self.sets as u128) >> 64;
            (usize::try_from(scaled).expect("a set's number is below the sets' count") + 1) * WAYS
        };
        [set(key.place), set(key.place.rotate_left(32))]
    }

    pub(super) fn find(&self, key: Key, now: u64) -> Found {
        let mut best: Option<(usize, usize, u128)> = None;
        let mut earliest = u64::MAX;
        for start in self.probes(key) {
            let mut free = (0, None);
            for at in start..start + WAYS {
                let word = self.word(at).load(Ordering::SeqCst);
                if tag(word) == key.tag {
                    return Found::Known(at, word);
                }
                let until = arrival(word);
                if until <= now {
                    free = (free.0 + 1, free.1.or(Some((at, word))));
                }
                earliest = earliest.min(until);
            }
            if let (count, Some((at, word))) = free
                && best.is_none_or(|(most, ..)| count > most)
            {
                best = Some((count, at, word));
            }
        }
        best.map_or(Found::Full(earliest), |(_, at, word)| Found::Free(at, word))
    }

    /// Whether `key`, just written to `at`, turned out to stand elsewhere too and earlier: then the
    /// slot is free again, and it has to be decided there. Two processes that meet a key for the
    /// first time at once may choose different slots; whoever sees the other's makes one of both.
    fn was_double(&self, key: Key, at: usize, now: u64, mine: u128) -> bool {
        let mut is_before = true;
        for start in self.probes(key) {
            for other in start..start + WAYS {
                if other == at {
                    is_before = false;
                    continue;
                }
                let word = self.word(other).load(Ordering::SeqCst);
                if tag(word) != key.tag || arrival(word) <= now {
                    continue;
                }
                if is_before {
                    return self.exchange(at, mine, 0);
                }
                if self.exchange(other, word, 0) {
                    self.add(at, key.tag, arrival(word) - now);
                }
            }
        }
        false
    }

    /// Adds what was spent of a key elsewhere.
    fn add(&self, at: usize, of: u64, spent: u64) {
        loop {
            let word = self.word(at).load(Ordering::SeqCst);
            let sum = pack(of, arrival(word).saturating_add(spent));
            if tag(word) != of || self.exchange(at, word, sum) {
                return;
            }
        }
    }

    /// The only way in which anything ever changes.
    pub(super) fn exchange(&self, at: usize, known: u128, new: u128) -> bool {
        #[cfg(test)]
        tests::fuse();
        self.word(at).compare_exchange(known, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

impl From<&SipHasher13> for Key {
    fn from(hasher: &SipHasher13) -> Self {
        let hash = hasher.finish128();
        // An empty slot has no tag.
        Self { place: hash.h1, tag: hash.h2.max(1) }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} slots)", self.slots())
    }
}

pub(super) fn pack(tag: u64, arrival: u64) -> u128 {
    (u128::from(tag) << 64) | u128::from(arrival)
}

pub(super) fn tag(word: u128) -> u64 {
    (word >> 64) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is meant")]
pub(super) fn arrival(word: u128) -> u64 {
    word as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::rate_limit::{MIN_SIZE, Quota};
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;
    const TEN_A_SECOND: Quota = Quota { count: 10, period: Duration::from_secs(1), burst: 5 };

    thread_local! {
        /// So many changes this thread may still make before it is killed.
        static FUSE: Cell<u32> = const { Cell::new(u32::MAX) };
    }

    pub(super) fn fuse() {
        FUSE.with(|fuse| match fuse.get() {
            u32::MAX => {}
            0 => panic!("killed"),
            left => fuse.set(left - 1),
        });
    }

    struct Fixture {
        table: Arc<Table>,
        time: Arc<AtomicU64>,
        pace: Pace,
    }

    fn fixture(quota: Quota, size: u64) -> Fixture {
        let time = Arc::new(AtomicU64::new(SECOND));
        let clock = Arc::clone(&time);
        let clock: Clock = Arc::new(move || clock.load(Ordering::Relaxed));
        let table = Arc::new(Table::with_clock(size, clock).unwrap());
        Fixture { table, time, pace: quota.into() }
    }

    impl Fixture {
        fn key(&self, number: u32) -> Key {
            let mut hasher = self.table.hasher("limit");
            std::hash::Hasher::write(&mut hasher, &number.to_le_bytes());
            Key::from(&hasher)
        }

        fn take(&self, number: u32) -> Decision {
            self.table.decide(self.key(number), self.pace, 1, true)
        }

        fn pass(&self, nanos: u64) {
            self.time.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_burst_passes_then_the_even_pace() {
        let one = fixture(TEN_A_SECOND, MIN_SIZE);
        for left in (0..5).rev() {
            assert_eq!(one.take(1).remaining, left);
        }
        assert_eq!(one.take(1), Decision::refused(100_000_000));
        one.pass(100_000_000);
        assert!(one.take(1).admitted);
        assert!(!one.take(1).admitted);
    }

    #[test]
    fn asking_takes_nothing_and_what_is_given_back_is_whole() {
        let one = fixture(TEN_A_SECOND, MIN_SIZE);
        for _ in 0..100 {
            assert_eq!(one.table.decide(one.key(1), one.pace, 1, false).remaining, 4);
        }
        assert!(one.table.is_empty());
        assert_eq!(one.table.decide(one.key(1), one.pace, 3, true).remaining, 2);
        let refused = one.table.decide(one.key(1), one.pace, 3, true);
        assert_eq!((refused.admitted, refused.remaining), (false, 2));
        assert_eq!(refused.after, Duration::from_millis(100));
        one.table.give_back(one.key(1), one.pace, 3);
        assert_eq!(one.take(1).remaining, 4);
    }

    #[test]
    fn a_full_table_keeps_who_is_limited_and_refuses_who_is_new() {
        let one = fixture(TEN_A_SECOND, 4 * 128);
        while one.take(0).admitted {}
        for number in 1..1000 {
            one.take(number);
        }
        assert_eq!(one.table.len(), one.table.slots(), "no slot is left unused");
        assert!(!one.take(0).admitted, "a limited key stays limited");
        let new = one.take(5000);
        assert!(!new.admitted);
        // Those that came once are whole after one interval.
        assert_eq!(new.after, Duration::from_millis(100));
        one.pass(100_000_000);
        assert!(one.take(5000).admitted, "when it said");
        assert!(one.take(0).admitted && !one.take(0).admitted, "at its own pace");
    }

    #[test]
    fn a_million_keys_fit_and_are_told_apart() {
        let once = Quota { count: 1, period: Duration::from_secs(3600), burst: 1 };
        let one = fixture(once, 32 << 20);
        for number in 0..1_000_000 {
            assert!(one.take(number).admitted, "{number}");
        }
        assert_eq!(one.table.len(), 1_000_000);
        assert!((0..1_000_000).step_by(20).all(|number| !one.take(number).admitted));
        one.pass(3600 * SECOND);
        assert!(one.table.is_empty());
        assert!((2_000_000..2_010_000).all(|number| one.take(number).admitted));
    }

    /// Threads over one table stand for processes: what they share is the words alone.
    #[test]
    fn many_at_once_are_admitted_exactly_what_one_is() {
        let slow = Quota { count: 50, period: Duration::from_secs(3600), burst: 50 };
        let one = Arc::new(fixture(slow, 4 * 128));
        let admitted = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..4_u32)
            .map(|thread| {
                let (one, admitted) = (Arc::clone(&one), Arc::clone(&admitted));
                std::thread::spawn(move || {
                    for round in 0..2_000_u32 {
                        let key = (round + thread) % 20;
                        admitted.fetch_add(one.take(key).admitted.into(), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        // 20 keys, 50 each; two that first meet a key at once may count in two places: one more.
        let admitted = admitted.load(Ordering::Relaxed);
        assert!((1000..=1020).contains(&admitted), "{admitted}");
        assert_eq!(one.table.len(), 20, "no key stands in two places");
    }

    proptest! {
        /// The model: a bucket of `burst` tokens that gains one every interval.
        #[test]
        fn it_admits_exactly_what_the_token_bucket_admits(
            count in 1_u64..50,
            burst in 1_u64..20,
            steps in prop::collection::vec((0_u64..300_000_000, 1_u64..4), 1..200),
        ) {
            let one = fixture(Quota { count, period: Duration::from_secs(1), burst }, MIN_SIZE);
            let interval = u128::from(SECOND / count);
            let most = u128::from(burst) * interval;
            let mut level = most;
            for (step, cost) in steps {
                one.pass(step);
                level = (level + u128::from(step)).min(most);
                let admits = level >= u128::from(cost) * interval;
                if admits {
                    level -= u128::from(cost) * interval;
                }
                let decision = one.table.decide(one.key(7), one.pace, cost, true);
                prop_assert_eq!(decision.admitted, admits);
                prop_assert_eq!(u128::from(decision.remaining), level / interval);
            }
        }

        /// Killed before any of its changes, a process leaves a table in which every key is admitted
        /// at most once more than the model says, and wholly again when its time has come.
        #[test]
        fn a_process_that_is_killed_anywhere_wedges_nothing(
            calls in prop::collection::vec((0_u32..12, 0_u32..3, 0_u64..50_000_000), 1..80),
        ) {
            let one = fixture(TEN_A_SECOND, 2 * 128);
            let hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(|_| {}));
            let mut admitted = 0_u64;
            let mut passed = 0;
            for (number, fuse, step) in calls {
                one.pass(step);
                passed += step;
                FUSE.with(|left| left.set(fuse));
                if number % 3 == 0 {
                    catch_unwind(AssertUnwindSafe(|| one.table.give_back(one.key(number), one.pace, 0))).ok();
                }
                let taken = catch_unwind(AssertUnwindSafe(|| one.take(number)));
                FUSE.with(|left| left.set(u32::MAX));
                admitted += u64::from(number == 1 && taken.is_ok_and(|decision| decision.admitted));
            }
            std::panic::set_hook(hook);
            prop_assert!(admitted <= 5 + passed / 100_000_000 + 1);
            one.pass(10 * SECOND);
            prop_assert!(one.table.is_empty());
            for number in 100..108 {
                prop_assert!(one.take(number).admitted, "a slot is lost");
            }
        }
    }

    #[test]
    fn a_key_that_two_counted_apart_is_made_one() {
        let one = fixture(TEN_A_SECOND, MIN_SIZE);
        let key = one.key(1);
        let [first, second] = one.table.probes(key);
        let (early, late) = (first + 2, second + 5);
        let spent = pack(key.tag, SECOND + one.pace.interval);
        for (mine, other) in [(early, late), (late, early)] {
            for at in [early, late] {
                one.table.word(at).store(spent, Ordering::SeqCst);
            }
            let again = one.table.was_double(key, mine, SECOND, spent);
            let words = [early, late].map(|at| one.table.word(at).load(Ordering::SeqCst));
            if other == late {
                assert!(!again, "the earlier one keeps the key, with what both have counted");
                assert_eq!(words, [pack(key.tag, SECOND + 2 * one.pace.interval), 0]);
            } else {
                assert!(again, "the later one has to count again, in the other's place");
                assert_eq!(words, [spent, 0]);
            }
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        use std::os::fd::AsFd;
        let path = std::env::temp_dir().join(format!("pybolt-table-{}", std::process::id()));
        let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.unwrap();
        std::fs::remove_file(&path).unwrap();
        file.set_len(MIN_SIZE).unwrap();
        assert!(Table::shared(file.as_fd()).is_err(), "no mark");
        std::io::Write::write_all(&mut &file, MARK).unwrap();
        assert!(Table::shared(file.as_fd()).is_ok());
    }
}
