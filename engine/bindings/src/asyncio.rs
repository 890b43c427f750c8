//! The asyncio loop's side: the slot around its sleep, and the queue that its thread drains.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pybolt_engine::placement::Run;
use pyo3::intern;
use pyo3::prelude::*;

use crate::bridge::{Bridge, MAX_WAIT};
use crate::counters::Place;
use crate::job::Job;
use crate::run::{self, RequestContext};
use crate::tasks::{Started, follow, start, start_task};

/// So many jobs one turn of the loop starts.
const BATCH: usize = 64;

/// So long one turn of the loop goes on starting jobs that are not known to be quick.
const TURN: Duration = Duration::from_millis(1);

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
    fn release(&self, py: Python<'_>) {
        let Some(bridge) = self.bridge() else { return };
        let Some((asked, got)) = self.held_since.lock().take() else { return };
        bridge.queue.timers.store(timers(py, bridge), Ordering::Relaxed);
        bridge.counters.record(Place::Loop, asked, got, Instant::now());
        bridge.completions.flush();
        // SAFETY: `held_since` says that this thread took the slot by `acquire`.
        unsafe { bridge.slot.release() };
    }

    /// The descriptor that becomes readable when there is something to drain.
    fn fileno(&self) -> i32 {
        self.bridge().map_or(-1, |bridge| bridge.queue.event())
    }

    /// Wakes the loop, from any thread.
    fn wake(&self) {
        if let Some(bridge) = self.bridge() {
            bridge.queue.wake();
        }
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
    while let Some((coroutine, context, ticket)) = queue.spawned.pop() {
        let context = RequestContext(context.into_bound(py));
        match start_task(py, bridge, coroutine.bind(py), &context) {
            Ok(task) if ticket.is_cancelled() => cancel(&task),
            Ok(task) => ticket.set_task(task.unbind()),
            Err(error) => error.write_unraisable(py, None),
        }
    }
    while let Some(ticket) = queue.cancelled.pop() {
        if let Some(task) = ticket.take_task() {
            cancel(task.bind(py));
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
}

fn cancel(task: &Bound<'_, PyAny>) {
    if let Err(error) = task.call_method0(intern!(task.py(), "cancel")) {
        error.write_unraisable(task.py(), None);
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
    let Job { route, parts, body, reply, queued } = job;
    let begun = Instant::now();
    if reply.ticket.is_cancelled() || reply.answer.is_closed() || begun - queued > MAX_WAIT {
        // Without an answer it is told that there is no room.
        bridge.queue.under_way.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let started = start(py, bridge, &route, parts, body);
    route.placement.record(&Run {
        wall: begun.elapsed(),
        cpu: None,
        alone: bridge.slot.lanes_idle(),
        suspended: matches!(started, Started::Suspended(..)),
        called_sync: matches!(&started, Started::Suspended(task) if task.called_sync()),
        database: run::take_database_mark(),
    });
    match started {
        Started::Done(done) => bridge.completions.push(reply.with(done.release(py, bridge))),
        Started::Suspended(suspended) => follow(py, bridge, &route, suspended, reply),
    }
    bridge.queue.under_way.fetch_sub(1, Ordering::Relaxed);
}

/// Whether the loop has callbacks or timers that it does not know of while it sleeps.
pub fn loop_has_work(py: Python<'_>, bridge: &Bridge) -> bool {
    bridge.runtime.ready.bind(py).len().map_or(true, |ready| ready > 0)
        || timers(py, bridge) != bridge.queue.timers.load(Ordering::Relaxed)
}

/// How many calls whoever has the slot has asked the loop for so far, and how many timers it has.
pub fn loop_work(py: Python<'_>, bridge: &Bridge) -> (usize, usize) {
    let asked = bridge.runtime.event_loop.bind(py).getattr(intern!(py, "asked"));
    let asked = asked.and_then(|asked| asked.extract()).unwrap_or_default();
    (asked, timers(py, bridge))
}

/// How many timers the loop has.
fn timers(py: Python<'_>, bridge: &Bridge) -> usize {
    let timers = bridge.runtime.event_loop.bind(py).getattr(intern!(py, "_scheduled"));
    timers.and_then(|timers| timers.len()).unwrap_or_default()
}
