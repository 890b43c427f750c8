//! A coroutine that starts on a lane, because what it waits for first is sync code of its own.
//!
//! The lane's thread takes the coroutine's first step on the loop, as the I/O thread does with quick
//! ones, and where the coroutine asks for sync code to be run it runs it there and then: no other
//! thread, and no turn of the loop. The slot is held for as long as the coroutine's own code runs, so
//! that no two coroutines ever do at once, and given away while sync code runs. A coroutine that
//! waits for anything else goes on on the loop. Where it has left a transaction or a cursor open, the
//! thread stays with its request until that is over, as a lent one would (`pybolt.django.leases`).

use std::cell::{Cell, OnceCell};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pybolt_engine::request::Parts;
use pyo3::intern;
use pyo3::prelude::*;

use crate::answer::Answer;
use crate::asyncio::loop_has_work;
use crate::bridge::{Bridge, Route};
use crate::inline::set_running_loop;
use crate::job::{Replier, RequestBody, Ticket};
use crate::run;
use crate::tasks::{self, RequestThread, Started};

thread_local! {
    /// Of the request whose coroutine takes its first step on this thread.
    static HERE: Cell<*const Host> = const { Cell::new(ptr::null()) };
    /// What `pybolt.django.leases` knows this thread by.
    static LANE: OnceCell<Py<PyAny>> = const { OnceCell::new() };
}

/// What came of a first step.
#[derive(Default)]
pub struct Hosted {
    /// The answer, unless the coroutine goes on on the loop.
    pub answer: Option<Answer>,
    /// Whose executor this thread has to stay with.
    pub executor: Option<Py<PyAny>>,
}

impl From<Answer> for Hosted {
    fn from(answer: Answer) -> Self {
        Self { answer: Some(answer), executor: None }
    }
}

/// The lane's side of one request.
pub struct Host {
    bridge: Arc<Bridge>,
    ticket: Arc<Ticket>,
    lane: Py<PyAny>,
    /// Whether the first step is not over.
    steps: AtomicBool,
    /// Whether the coroutine knows that nobody waits for it any more.
    told: AtomicBool,
}

/// Starts the coroutine of `route` and answers, or has the loop answer `reply`, which is taken then.
pub fn run(
    py: Python<'_>,
    bridge: &Arc<Bridge>,
    route: &Arc<Route>,
    parts: Box<Parts>,
    body: RequestBody,
    reply: &mut Option<Replier>,
) -> Hosted {
    let Some(ticket) = reply.as_ref().map(|reply| Arc::clone(&reply.ticket)) else {
        return Hosted::default();
    };
    let thread = lane(py, bridge).and_then(|lane| {
        let (steps, told) = (AtomicBool::new(true), AtomicBool::new(false));
        let host = Host { bridge: Arc::clone(bridge), ticket, lane, steps, told };
        Py::new(py, RequestThread::hosted(host))
    });
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => return run::fail(py, bridge, route, None, error).into(),
    };
    run::before(py, bridge);
    let slot = bridge.slot.hold(py);
    set_running_loop(py, bridge, true);
    let host = thread.get().host();
    HERE.set(host.map_or(ptr::null(), ptr::from_ref));
    let started = tasks::start(py, bridge, route, parts, body, &thread);
    HERE.set(ptr::null());
    let hosted = match started {
        Started::Done(done) => {
            if loop_has_work(py, bridge) {
                if let Some(context) = done.context {
                    context.move_to_loop(py, bridge);
                }
                bridge.queue.wake();
            }
            // It has one where other tasks of the request have asked for it.
            let executor =
                done.executor.and_then(|executor| leave(py, bridge, &thread, Some(executor)));
            Hosted { answer: Some(done.answer), executor }
        }
        Started::Suspended(suspended) => {
            suspended.leave_thread(py, bridge);
            let executor = leave(py, bridge, &thread, None);
            if let Some(reply) = reply.take() {
                let ticket = Arc::clone(&reply.ticket);
                tasks::follow(py, bridge, route, suspended, reply);
                if ticket.is_cancelled() {
                    // The loop may have looked for the task before there was one.
                    bridge.queue.cancel(ticket);
                }
            }
            bridge.queue.wake();
            Hosted { answer: None, executor }
        }
    };
    if let Some(host) = host {
        host.steps.store(false, Ordering::Relaxed);
    }
    drop(slot);
    set_running_loop(py, bridge, false);
    if hosted.executor.is_none() {
        run::after(py, bridge);
    }
    hosted
}

fn lane(py: Python<'_>, bridge: &Bridge) -> PyResult<Py<PyAny>> {
    LANE.with(|lane| {
        if let Some(lane) = lane.get() {
            return Ok(lane.clone_ref(py));
        }
        let made = bridge.runtime.new_lane.bind(py).call0()?.unbind();
        Ok(lane.get_or_init(|| made).clone_ref(py))
    })
}

/// Has this thread leave the request, which is over where it had an `executor`; the executor that it
/// has to stay with all the same.
fn leave(
    py: Python<'_>,
    bridge: &Bridge,
    thread: &Py<RequestThread>,
    executor: Option<Py<PyAny>>,
) -> Option<Py<PyAny>> {
    let left = bridge.runtime.leave_thread.bind(py).call1((thread, executor));
    let executor = left.unwrap_or_else(|error| {
        error.write_unraisable(py, None);
        py.None().into_bound(py)
    });
    (!executor.is_none()).then(|| executor.unbind())
}

/// Runs the sync code of the request that this thread has to stay with, until it is over.
pub fn stay(py: Python<'_>, bridge: &Bridge, executor: &Py<PyAny>) {
    let stayed = bridge.slot.outside_lane(|| bridge.runtime.stay_with.bind(py).call1((executor,)));
    if let Err(error) = stayed {
        error.write_unraisable(py, None);
    }
    run::after(py, bridge);
}

impl Host {
    /// Whether the calling thread takes the first step.
    pub fn is_here(&self) -> bool {
        ptr::eq(HERE.get(), self)
    }

    /// What the thread that takes the first step is known by, until it is over.
    pub fn lane(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.steps.load(Ordering::Relaxed).then(|| self.lane.clone_ref(py))
    }

    /// Whether nobody waits for the request any more; true once.
    pub fn take_cancellation(&self) -> bool {
        self.ticket.is_cancelled() && !self.told.swap(true, Ordering::Relaxed)
    }

    /// Calls `function` on this thread, where [`Host::is_here`], as on one without a loop; others run
    /// coroutines meanwhile.
    ///
    /// # Errors
    /// What it raises.
    pub fn outside<'py>(&self, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let _outside = Outside::begin(function.py(), self)?;
        function.call0()
    }
}

/// A thread that has left its coroutine, until dropped.
struct Outside<'a, 'py> {
    host: &'a Host,
    task: Bound<'py, PyAny>,
}

impl<'a, 'py> Outside<'a, 'py> {
    fn begin(py: Python<'py>, host: &'a Host) -> PyResult<Self> {
        let bridge = &*host.bridge;
        // What the coroutine has left to the loop does not wait for the call.
        if loop_has_work(py, bridge) {
            bridge.queue.wake();
        }
        let event_loop = bridge.runtime.event_loop.bind(py);
        let tasks = bridge.runtime.tasks.bind(py);
        let task = tasks.call_method1(intern!(py, "current_task"), (event_loop,))?;
        tasks.call_method1(intern!(py, "_leave_task"), (event_loop, &task))?;
        set_running_loop(py, bridge, false);
        HERE.set(ptr::null());
        // SAFETY: `run` holds the slot while the coroutine runs, which has called here.
        unsafe { bridge.slot.release() };
        Ok(Self { host, task })
    }
}

impl Drop for Outside<'_, '_> {
    fn drop(&mut self) {
        let bridge = &*self.host.bridge;
        let py = self.task.py();
        std::mem::forget(bridge.slot.hold(py));
        HERE.set(self.host);
        set_running_loop(py, bridge, true);
        let arguments = (bridge.runtime.event_loop.bind(py), &self.task);
        let entered =
            bridge.runtime.tasks.bind(py).call_method1(intern!(py, "_enter_task"), arguments);
        if let Err(error) = entered {
            error.write_unraisable(py, None);
        }
    }
}
