//! Counters of every take of the GIL: by whom, how long waited for, how long held.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Who takes the GIL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The I/O thread, for a quick handler.
    Inline,
    /// The asyncio loop's thread.
    Loop,
    /// The thread for quick sync handlers.
    Quick,
    /// The thread for sync handlers that compute.
    Compute,
    /// The thread for those that are soon done.
    Brief,
    /// The threads for sync handlers that wait.
    Pool,
    /// A thread of a synchronous response stream.
    Stream,
}

impl Place {
    /// Every place, in the order of the counters.
    pub const ALL: [Self; 7] = [
        Self::Inline,
        Self::Loop,
        Self::Quick,
        Self::Compute,
        Self::Brief,
        Self::Pool,
        Self::Stream,
    ];

    /// The name that statistics show.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inline => "inline",
            Self::Loop => "loop",
            Self::Quick => "quick",
            Self::Compute => "compute",
            Self::Brief => "brief",
            Self::Pool => "pool",
            Self::Stream => "stream",
        }
    }
}

/// The counters of one place.
#[derive(Debug, Default)]
pub struct Takes {
    /// How often the GIL was taken.
    pub count: AtomicU64,
    /// How long was waited for it, in nanoseconds.
    pub waited: AtomicU64,
    /// How long it was held, in nanoseconds.
    pub held: AtomicU64,
}

/// The counters of all places.
#[derive(Debug, Default)]
pub struct Counters([Takes; 7]);

impl Counters {
    /// The counters of `place`.
    pub fn of(&self, place: Place) -> &Takes {
        &self.0[place as usize]
    }

    /// How often the GIL was taken in all.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|takes| takes.count.load(Relaxed)).sum()
    }

    /// Records one take of the GIL by `place`.
    pub fn record(&self, place: Place, asked: Instant, got: Instant, released: Instant) {
        let takes = self.of(place);
        takes.count.fetch_add(1, Relaxed);
        takes.waited.fetch_add(nanos(got - asked), Relaxed);
        takes.held.fetch_add(nanos(released - got), Relaxed);
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
