//! The Python slot: whoever runs Python on the fast path holds it.
//!
//! The I/O thread only ever tries it. The asyncio loop's thread holds it except while it sleeps in
//! `select`, so while the I/O thread holds it nobody runs the loop's callbacks, and a task may be
//! started on that loop from outside its thread. A lane's thread that starts one (`hosted.rs`) waits
//! for it, and gives it away for as long as sync code runs.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::RawMutex;
use parking_lot::lock_api::RawMutex as _;
use pyo3::Python;

/// An attach that took this long means that somebody else holds the GIL.
const CONTENDED: Duration = Duration::from_micros(100);

/// So long the I/O thread keeps away after that.
const KEEP_AWAY: Duration = Duration::from_millis(20);

/// The slot of one process.
pub struct Slot {
    lock: RawMutex,
    /// Lane threads that run Python, or wait to.
    busy: AtomicUsize,
    /// Until when the I/O thread keeps away, in nanoseconds since `epoch`; 0 = it need not.
    keep_away: AtomicU64,
    epoch: Instant,
}

/// The slot, held until dropped.
pub struct Held<'a>(&'a Slot);

/// A lane thread that runs Python, until dropped.
pub struct Busy<'a>(&'a Slot);

impl Default for Slot {
    fn default() -> Self {
        Self {
            lock: RawMutex::INIT,
            busy: AtomicUsize::new(0),
            keep_away: AtomicU64::new(0),
            epoch: Instant::now(),
        }
    }
}

impl Slot {
    /// Takes the slot for the I/O thread if it is free and nobody else is known to run Python.
    pub fn try_hold(&self) -> Option<Held<'_>> {
        if self.busy.load(Relaxed) != 0 || self.keeps_away() || !self.lock.try_lock() {
            return None;
        }
        Some(Held(self))
    }

    /// Takes the slot for the loop's thread if it is free.
    pub fn try_acquire(&self) -> bool {
        self.lock.try_lock()
    }

    /// Takes the slot for the loop's thread; waits for it. Never call it with the GIL held.
    pub fn acquire(&self) {
        self.lock.lock();
    }

    /// Takes the slot for a lane's thread; waits for it without the GIL.
    pub fn hold(&self, py: Python<'_>) -> Held<'_> {
        if !self.try_acquire() {
            py.detach(|| self.acquire());
        }
        Held(self)
    }

    /// Gives the slot back from a thread that has it.
    ///
    /// # Safety
    /// The calling thread took it, by [`Slot::acquire`], [`Slot::try_acquire`] or [`Slot::hold`]; in
    /// the last case it takes it again before the [`Held`] is dropped.
    pub unsafe fn release(&self) {
        // SAFETY: the caller holds the lock.
        unsafe { self.lock.unlock() };
    }

    /// Says that a lane thread is about to run Python.
    pub fn enter_lane(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Relaxed);
        Busy(self)
    }

    /// Runs `wait` with this lane thread not counted: it waits and runs no Python meanwhile.
    pub fn outside_lane<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.busy.fetch_sub(1, Relaxed);
        let value = wait();
        self.busy.fetch_add(1, Relaxed);
        value
    }

    /// Whether at most this one lane thread runs Python and the loop sleeps.
    pub fn is_alone(&self) -> bool {
        self.busy.load(Relaxed) <= 1 && !self.lock.is_locked()
    }

    /// Whether no lane thread runs Python.
    pub fn lanes_idle(&self) -> bool {
        self.busy.load(Relaxed) == 0
    }

    /// Learns how long an attach by the I/O thread had to wait.
    pub fn waited(&self, wait: Duration) {
        if wait > CONTENDED {
            let until = self.epoch.elapsed() + KEEP_AWAY;
            self.keep_away.store(u64::try_from(until.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        }
    }

    fn keeps_away(&self) -> bool {
        let until = self.keep_away.load(Relaxed);
        if until == 0 {
            return false;
        }
        let away = self.epoch.elapsed() < Duration::from_nanos(until);
        if !away {
            self.keep_away.store(0, Relaxed);
        }
        away
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // SAFETY: a `Held` is made where this thread has just taken the lock.
        unsafe { self.0.lock.unlock() };
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}
