//! The asyncio loop's side: the queue that its thread drains, tasks, their answers, cancellation.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_queue::SegQueue;
use parking_lot::Mutex;
use pybolt_engine::request::Parts;
use pyo3::exceptions::PyOSError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::answer::Answer;
use crate::bridge::{Bridge, LOOP_CAPACITY, Route};
use crate::counters::Place;
use crate::job::{Job, Replier, RequestBody, Ticket};
use crate::request::Request;
use crate::run;
use pybolt_engine::placement::Run;

/// So many jobs one turn of the loop starts.
const BATCH: usize = 64;

/// So long one turn of the loop goes on starting jobs that are not known to be quick.
const TURN: Duration = Duration::from_millis(1);

/// What is to be done on the loop's thread; pushing needs no GIL.
pub struct LoopQueue {
    quick: SegQueue<Job>,
    others: SegQueue<Job>,
    cancelled: SegQueue<Arc<Ticket>>,
    resumed: SegQueue<Py<PyAny>>,
    spawned: SegQueue<(Py<PyAny>, Arc<Ticket>)>,
    under_way: AtomicUsize,
    woken: AtomicBool,
    /// Whether the I/O thread is going to wake the loop anyway.
    waking: AtomicBool,
    /// How many timers the loop had when it was last looked at from outside.
    timers: AtomicUsize,
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

    /// Has a coroutine started as a task of its own, which `ticket` can cancel.
    pub fn spawn(&self, coroutine: Py<PyAny>, ticket: Arc<Ticket>) {
        self.spawned.push((coroutine, ticket));
        self.wake();
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

    fn clear(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: as above, for reading; an empty counter is no failure that matters.
        unsafe { libc::read(self.event, count.as_mut_ptr().cast(), count.len()) };
        self.woken.store(false, Ordering::Release);
    }
}

impl Drop for LoopQueue {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and nobody uses it any more.
        unsafe { libc::close(self.event) };
    }
}

/// The slot and the queue as the loop's thread sees them.
#[pyclass(frozen, module = "pybolt._engine")]
pub struct SlotHandle {
    bridge: OnceLock<Arc<Bridge>>,
    held_since: Mutex<Option<(Instant, Instant)>>,
}

impl SlotHandle {
    /// A handle whose bridge is still to be made.
    pub fn new() -> Self {
        Self { bridge: OnceLock::new(), held_since: Mutex::new(None) }
    }

    /// Connects the handle.
    pub fn connect(&self, bridge: &Arc<Bridge>) {
        self.bridge.get_or_init(|| Arc::clone(bridge));
    }

    fn bridge(&self) -> Option<&Arc<Bridge>> {
        self.bridge.get()
    }
}

#[pymethods]
impl SlotHandle {
    /// Takes the slot, waiting without the GIL while the I/O thread holds it.
    fn acquire(&self, py: Python<'_>) {
        let Some(bridge) = self.bridge() else { return };
        let asked = Instant::now();
        if !bridge.slot.try_acquire() {
            py.detach(|| bridge.slot.acquire());
        }
        *self.held_since.lock() = Some((asked, Instant::now()));
    }

    /// Gives the slot back before the loop sleeps.
    fn release(&self) {
        let Some(bridge) = self.bridge() else { return };
        let Some((asked, got)) = self.held_since.lock().take() else { return };
        bridge.counters.record(Place::Loop, asked, got, Instant::now());
        bridge.completions.flush();
        // SAFETY: `held_since` says that this thread took the slot by `acquire`.
        unsafe { bridge.slot.release() };
    }

    /// The descriptor that becomes readable when there is something to drain.
    fn fileno(&self) -> i32 {
        self.bridge().map_or(-1, |bridge| bridge.queue.event())
    }

    /// Does what was queued for the loop's thread, at most one batch of it.
    fn drain(&self, py: Python<'_>) {
        if let Some(bridge) = self.bridge() {
            drain(py, bridge);
        }
    }
}

fn drain(py: Python<'_>, bridge: &Arc<Bridge>) {
    let queue = &bridge.queue;
    queue.clear();
    run::own_thread();
    while let Some((coroutine, ticket)) = queue.spawned.pop() {
        match bridge.runtime.start_task.bind(py).call1((coroutine,)) {
            Ok(task) => ticket.set_task(task.unbind()),
            Err(error) => error.write_unraisable(py, None),
        }
    }
    while let Some(ticket) = queue.cancelled.pop() {
        if let Some(task) = ticket.take_task()
            && let Err(error) = task.bind(py).call_method0(intern!(py, "cancel"))
        {
            error.write_unraisable(py, None);
        }
    }
    while let Some(future) = queue.resumed.pop() {
        resolve(future.bind(py));
    }
    let turn = Instant::now();
    let mut started = 0;
    while started < BATCH {
        let job = queue.quick.pop().or_else(|| {
            // A coroutine that is not known to be quick must not keep answers back.
            bridge.completions.flush();
            (turn.elapsed() < TURN).then(|| queue.others.pop())?
        });
        let Some(job) = job else { break };
        start_job(py, bridge, job);
        started += 1;
    }
    if !queue.quick.is_empty() || !queue.others.is_empty() {
        queue.wake();
    }
    if bridge.foreign_database.swap(false, Ordering::Relaxed)
        && let Err(error) = bridge.runtime.housekeeping_async.bind(py).call0()
    {
        error.write_unraisable(py, None);
    }
}

fn resolve(future: &Bound<'_, PyAny>) {
    let py = future.py();
    let resolved = future.call_method0(intern!(py, "done")).and_then(|done| {
        if !done.is_truthy()? {
            future.call_method1(intern!(py, "set_result"), (py.None(),))?;
        }
        Ok(())
    });
    if let Err(error) = resolved {
        error.write_unraisable(py, None);
    }
}

fn start_job(py: Python<'_>, bridge: &Arc<Bridge>, job: Job) {
    let Job { route, parts, body, reply } = job;
    if reply.ticket.is_cancelled() || reply.answer.is_closed() {
        bridge.queue.under_way.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let begun = Instant::now();
    let started = start(py, bridge, &route, parts, body);
    route.placement.record(&Run {
        wall: begun.elapsed(),
        cpu: None,
        alone: bridge.slot.lanes_idle(),
        suspended: matches!(started, Started::Suspended(..)),
        database: run::take_database_mark(),
    });
    match started {
        Started::Done(answer) => {
            bridge.queue.under_way.fetch_sub(1, Ordering::Relaxed);
            bridge.completions.push(reply.answer, answer);
        }
        Started::Suspended(task, request) => {
            follow(py, bridge, &route, &task, request, reply);
            bridge.queue.under_way.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What came of a coroutine's first step.
pub enum Started<'py> {
    /// It finished.
    Done(Answer),
    /// It suspended; the task goes on on the loop.
    Suspended(Bound<'py, PyAny>, Py<Request>),
}

/// Calls an async handler and takes its coroutine's first step.
pub fn start<'py>(
    py: Python<'py>,
    bridge: &Arc<Bridge>,
    route: &Route,
    parts: Box<Parts>,
    body: RequestBody,
) -> Started<'py> {
    let request = match run::request_object(py, parts, body) {
        Ok(request) => request,
        Err(error) => return Started::Done(run::fail(py, bridge, route, None, error)),
    };
    let task = route
        .call
        .bind(py)
        .call1((&request,))
        .and_then(|coroutine| bridge.runtime.start_task.bind(py).call1((coroutine,)));
    let done = task.and_then(|task| {
        if !task.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Ok(Err(task));
        }
        let result = task.call_method0(intern!(py, "result"))?;
        run::answer(py, bridge, &result).map(Ok)
    });
    match done {
        Ok(Ok(answer)) => Started::Done(answer),
        Ok(Err(task)) => Started::Suspended(task, request),
        Err(error) => Started::Done(run::fail(py, bridge, route, Some(&request), error)),
    }
}

/// Has the answer sent when `task` is done.
pub fn follow(
    py: Python<'_>,
    bridge: &Arc<Bridge>,
    route: &Arc<Route>,
    task: &Bound<'_, PyAny>,
    request: Py<Request>,
    reply: Replier,
) {
    bridge.queue.under_way.fetch_add(1, Ordering::Relaxed);
    reply.ticket.set_task(task.clone().unbind());
    let callback = Finished {
        bridge: Arc::clone(bridge),
        route: Arc::clone(route),
        request,
        reply: Mutex::new(Some(reply)),
    };
    let added = Py::new(py, callback)
        .and_then(|callback| task.call_method1(intern!(py, "add_done_callback"), (callback,)));
    if let Err(error) = added {
        error.write_unraisable(py, None);
    }
}

/// Whether the loop has callbacks that it does not know of while it sleeps, or may have timers.
pub fn loop_has_work(py: Python<'_>, bridge: &Bridge) -> bool {
    let runtime = &bridge.runtime;
    if runtime.ready.bind(py).len().map_or(true, |ready| ready > 0) {
        return true;
    }
    let timers = runtime.event_loop.bind(py).getattr(intern!(py, "_scheduled"));
    let timers = timers.and_then(|timers| timers.len()).unwrap_or(usize::MAX);
    bridge.queue.timers.swap(timers, Ordering::Relaxed) < timers
}

/// The done-callback of a handler's task.
#[pyclass(frozen, module = "pybolt._engine")]
struct Finished {
    bridge: Arc<Bridge>,
    route: Arc<Route>,
    request: Py<Request>,
    reply: Mutex<Option<Replier>>,
}

#[pymethods]
impl Finished {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) {
        let Some(reply) = self.reply.lock().take() else { return };
        self.bridge.queue.under_way.fetch_sub(1, Ordering::Relaxed);
        drop(reply.ticket.take_task());
        if reply.answer.is_closed() && run::is_cancelled(py, task) {
            return;
        }
        let answer = task
            .call_method0(intern!(py, "result"))
            .and_then(|result| run::answer(py, &self.bridge, &result))
            .unwrap_or_else(|error| {
                run::fail(py, &self.bridge, &self.route, Some(&self.request), error)
            });
        self.bridge.completions.push(reply.answer, answer);
        if self.bridge.foreign_database.load(Ordering::Relaxed) {
            self.bridge.queue.wake();
        }
    }
}
