//! What the loop's thread has to do: pushed by the I/O thread without the GIL, woken for once a
//! batch.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_queue::SegQueue;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::bridge::LOOP_CAPACITY;
use crate::job::{Job, Ticket};

/// What is to be done on the loop's thread; pushing needs no GIL.
pub struct LoopQueue {
    pub(crate) quick: SegQueue<Job>,
    pub(crate) others: SegQueue<Job>,
    pub(crate) cancelled: SegQueue<Arc<Ticket>>,
    pub(crate) resumed: SegQueue<Py<PyAny>>,
    pub(crate) spawned: SegQueue<(Py<PyAny>, Py<PyAny>, Arc<Ticket>)>,
    pub(crate) under_way: AtomicUsize,
    woken: AtomicBool,
    /// Whether the I/O thread is going to wake the loop anyway.
    waking: AtomicBool,
    /// How many timers the loop had when it went to sleep.
    pub(crate) timers: AtomicUsize,
    event: RawFd,
}

impl LoopQueue {
    /// An empty queue with its eventfd.
    pub fn new() -> PyResult<Self> {
        // SAFETY: no pointers are passed.
        let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if event < 0 {
            return Err(PyOSError::new_err(std::io::Error::last_os_error().to_string()));
        }
        Ok(Self {
            quick: SegQueue::new(),
            others: SegQueue::new(),
            cancelled: SegQueue::new(),
            resumed: SegQueue::new(),
            spawned: SegQueue::new(),
            under_way: AtomicUsize::new(0),
            woken: AtomicBool::new(false),
            waking: AtomicBool::new(false),
            timers: AtomicUsize::new(0),
            event,
        })
    }

    /// The eventfd that the loop watches.
    pub fn event(&self) -> RawFd {
        self.event
    }

    /// Queues a job without waking the loop; gives it back when there is no room.
    pub fn push(&self, job: Job, quick: bool) -> Result<(), Job> {
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= LOOP_CAPACITY {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            return Err(job);
        }
        if quick {
            self.quick.push(job);
        } else {
            self.others.push(job);
        }
        Ok(())
    }

    /// Has the task of `ticket` cancelled.
    pub fn cancel(&self, ticket: Arc<Ticket>) {
        self.cancelled.push(ticket);
        self.wake();
    }

    /// Has an asyncio future resolved.
    pub fn resume(&self, future: Py<PyAny>) {
        self.resumed.push(future);
        self.wake();
    }

    /// Has a coroutine started in `context` as a task of its own, which `ticket` can cancel.
    pub fn spawn(&self, coroutine: Py<PyAny>, context: Py<PyAny>, ticket: Arc<Ticket>) {
        self.spawned.push((coroutine, context, ticket));
        self.wake();
    }

    /// Whether another coroutine may be under way.
    pub fn has_room(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) < LOOP_CAPACITY
    }

    /// Wakes the loop, once for everything pushed since it last looked.
    pub fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            let one = 1_u64.to_ne_bytes();
            // SAFETY: `event` is our eventfd and `one` has the eight bytes it takes. The only
            // failure of a non-blocking eventfd is a full counter, which wakes the loop as well.
            unsafe { libc::write(self.event, one.as_ptr().cast(), one.len()) };
        }
    }

    /// Whether the caller, the I/O thread, has to see to it that the loop is woken.
    pub fn begin_waking(&self) -> bool {
        !self.waking.swap(true, Ordering::Relaxed)
    }

    /// Wakes the loop after [`LoopQueue::begin_waking`].
    pub fn end_waking(&self) {
        self.waking.store(false, Ordering::Relaxed);
        self.wake();
    }

    /// Empties the eventfd, before what was pushed is looked at.
    pub fn clear(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: as above, for reading; an empty counter is no failure that matters.
        unsafe { libc::read(self.event, count.as_mut_ptr().cast(), count.len()) };
        // A swap, so that a push whose wake-up found this still set is seen by the drain that follows.
        self.woken.swap(false, Ordering::AcqRel);
    }
}

impl Drop for LoopQueue {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and nobody uses it any more.
        unsafe { libc::close(self.event) };
    }
}
