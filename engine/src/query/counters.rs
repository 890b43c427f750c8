//! What a database has done.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// What a database has done, for `pybolt.stats()`.
#[derive(Debug, Clone, Copy)]
pub struct Counters {
    /// Reads that were begun.
    pub asked: u64,
    /// Those that were not answered with rows.
    pub failed: u64,
    /// Statements that were prepared, each time.
    pub prepared: u64,
    /// Those that are under way now.
    pub in_flight: usize,
    /// Connections that stand.
    pub connections: usize,
    /// The time that reads took, waiting for others included, in microseconds.
    pub microseconds: u64,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    asked: AtomicU64,
    failed: AtomicU64,
    /// Statements that were prepared.
    pub prepared: AtomicU64,
    in_flight: AtomicUsize,
    microseconds: AtomicU64,
}

impl Counts {
    /// The numbers, with so many connections.
    pub fn read(&self, connections: usize) -> Counters {
        Counters {
            asked: self.asked.load(Relaxed),
            failed: self.failed.load(Relaxed),
            prepared: self.prepared.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            connections,
            microseconds: self.microseconds.load(Relaxed),
        }
    }

    /// Counts one read, which fails unless it is said to be answered.
    pub fn begin(&self) -> UnderWay<'_> {
        self.asked.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        UnderWay { counts: self, begun: Instant::now(), answered: false }
    }
}

/// A read that is under way, until dropped.
pub struct UnderWay<'a> {
    counts: &'a Counts,
    /// When it began.
    pub begun: Instant,
    answered: bool,
}

impl UnderWay<'_> {
    /// It is over.
    pub fn end(mut self, answered: bool) {
        self.answered = answered;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let took = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.counts.microseconds.fetch_add(took, Relaxed);
        self.counts.in_flight.fetch_sub(1, Relaxed);
        self.counts.failed.fetch_add(u64::from(!self.answered), Relaxed);
    }
}
