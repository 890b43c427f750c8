//! A quick handler on the I/O thread: the slot is held, nothing is queued, nobody is woken.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use pybolt_engine::middleware::bulkhead::BulkheadPermit;
use pybolt_engine::request::Parts;
use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::answer::Answer;
use crate::bridge::{Bridge, Route};
use crate::counters::Place;
use crate::job::{Replier, RequestBody, Ticket};
use crate::run;
use crate::slot::Held;
use crate::tasks::{self, Started};
use pybolt_engine::placement::Run;

/// What came of an inline run.
pub enum Inline {
    /// The answer is there.
    Done(Answer),
    /// A coroutine suspended: it goes on on the loop.
    Suspended(oneshot::Receiver<Answer>, Arc<Ticket>),
}

/// Runs the handler of `route` now.
pub fn run(
    bridge: &Arc<Bridge>,
    slot: Held<'_>,
    route: &Arc<Route>,
    parts: Box<Parts>,
    body: Bytes,
    place: Option<BulkheadPermit>,
) -> Inline {
    let asked = Instant::now();
    let (outcome, got, done) = Python::attach(|py| {
        let got = Instant::now();
        let body = RequestBody::Full(body);
        let outcome = if route.is_async {
            start(py, bridge, route, parts, body, place)
        } else {
            set_running_loop(py, bridge, false);
            let mut answer = run::run_sync(py, bridge, route, parts, body);
            answer.place = place;
            Inline::Done(answer)
        };
        (outcome, got, Instant::now())
    });
    drop(slot);
    bridge.counters.record(Place::Inline, asked, got, done);
    bridge.slot.waited(got - asked);
    route.placement.inline_runs.fetch_add(1, Relaxed);
    route.placement.record(&Run {
        wall: done - got,
        cpu: None,
        alone: true,
        suspended: matches!(outcome, Inline::Suspended(..)),
        called_sync: false,
        database: run::last_run_touched_database(),
    });
    outcome
}

thread_local! {
    /// Whether asyncio takes the loop for this thread's own.
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Makes the loop this thread's running one while coroutines run, and not for sync code: Django lets
/// none of it query under a running loop. Left as it is until the other kind comes.
pub fn set_running_loop(py: Python<'_>, bridge: &Bridge, running: bool) {
    if RUNNING.replace(running) == running {
        return;
    }
    let runtime = &bridge.runtime;
    let hooks = runtime.set_asyncgen_hooks.bind(py);
    let set = show_loop(py, bridge, running).and_then(|()| {
        if running {
            hooks.call1(runtime.asyncgen_hooks.bind(py))
        } else {
            hooks.call1((py.None(), py.None()))
        }
    });
    if let Err(error) = set {
        error.write_unraisable(py, None);
    }
}

/// Has asyncio take the loop for this thread's own, or not.
pub fn show_loop(py: Python<'_>, bridge: &Bridge, running: bool) -> PyResult<()> {
    let event_loop = running.then_some(&bridge.runtime.event_loop);
    bridge.runtime.set_running_loop.bind(py).call1((event_loop,)).map(drop)
}

/// Takes a coroutine's first step on the loop that sleeps.
fn start(
    py: Python<'_>,
    bridge: &Arc<Bridge>,
    route: &Arc<Route>,
    parts: Box<Parts>,
    body: RequestBody,
    place: Option<BulkheadPermit>,
) -> Inline {
    set_running_loop(py, bridge, true);
    match tasks::start(py, bridge, route, parts, body) {
        Started::Done(mut done) => {
            done.answer.place = place;
            done.leave_thread(py, bridge);
            Inline::Done(done.release(py, bridge))
        }
        Started::Suspended(suspended) => {
            let (answer, receiver) = oneshot::channel();
            let ticket = Arc::new(Ticket::default());
            let reply = Replier { answer, ticket: Arc::clone(&ticket), place };
            suspended.leave_thread(py, bridge);
            tasks::follow(py, bridge, route, suspended, reply);
            bridge.queue.wake();
            Inline::Suspended(receiver, ticket)
        }
    }
}
