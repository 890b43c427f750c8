//! A coroutine that starts on a lane, because what it waits for first is sync code of its own.
//!
//! The lane's thread takes the coroutine's first step on the loop, as the I/O thread does with quick
//! ones, and where the coroutine asks for sync code to be run it runs it there and then: no other
//! thread, and no turn of the loop. The slot is held for as long as the coroutine's own code runs, so
//! that no two coroutines ever do at once, and given away while sync code runs. A coroutine that has
//! left the loop work, such as a task, has its sync code run as on the loop, and one that waits for
//! anything else goes on there. Where calls of its tasks wait for the thread, or a transaction or a
//! cursor is open, the thread stays with the request for as long, as a lent one would
//! (`pybolt.django.leases`).

use std::cell::{Cell, OnceCell};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pybolt_engine::request::Parts;
use pyo3::intern;
use pyo3::prelude::*;

use crate::answer::Answer;
use crate::asyncio::loop_work;
use crate::bridge::{Bridge, Route};
use crate::inline::{set_running_loop, show_loop};
use crate::job::{Replier, RequestBody, Ticket};
use crate::run;
use crate::slot::Held;
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
    /// Whether its connections are in use: it may have to for long.
    pub in_use: bool,
    /// Whether sync code was called.
    pub called_sync: bool,
    /// Whether nobody waited for the answer any more.
    pub given_up: bool,
}

impl Hosted {
    fn left(answer: Option<Answer>, stays: Option<(Py<PyAny>, bool)>) -> Self {
        let (executor, in_use) = stays.unzip();
        Self { answer, executor, in_use: in_use.unwrap_or(false), ..Self::default() }
    }
}

impl From<Answer> for Hosted {
    fn from(answer: Answer) -> Self {
        Self { answer: Some(answer), ..Self::default() }
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
    /// Whether it has called sync code.
    called: AtomicBool,
    /// What the loop had to do when the coroutine's own code began to run.
    work: Mutex<(usize, usize)>,
}

/// Starts the coroutine of `route` and answers, or has the loop answer `reply`, which is taken then.
/// `ticket` is the reply's.
pub fn run(
    py: Python<'_>,
    bridge: &Arc<Bridge>,
    route: &Arc<Route>,
    parts: Box<Parts>,
    body: RequestBody,
    ticket: Arc<Ticket>,
    reply: &mut Option<Replier>,
) -> Hosted {
    let made = lane(py, bridge).and_then(|lane| {
        let host = Arc::new(Host {
            bridge: Arc::clone(bridge),
            ticket,
            lane,
            steps: AtomicBool::new(true),
            told: AtomicBool::new(false),
            called: AtomicBool::new(false),
            work: Mutex::default(),
        });
        Ok((Py::new(py, RequestThread::hosted(Arc::clone(&host)))?, host))
    });
    let (thread, host) = match made {
        Ok(made) => made,
        Err(error) => return run::fail(py, bridge, route, None, error).into(),
    };
    run::before(py, bridge);
    let mut hosted = {
        let _stepping = Stepping::begin(py, &host);
        match tasks::start_on(py, bridge, route, parts, body, &thread) {
            Started::Done(done) => {
                done.leave_thread(py, bridge);
                // It has one where other tasks of the request have asked for it.
                let last = done.executor;
                let stays = last.and_then(|last| leave(py, bridge, &thread, Some(last)));
                Hosted::left(Some(done.answer), stays)
            }
            Started::Suspended(suspended) => {
                suspended.leave_thread(py, bridge);
                let stays = leave(py, bridge, &thread, None);
                if let Some(reply) = reply.take() {
                    tasks::follow(py, bridge, route, suspended, reply);
                    if host.told.load(Ordering::Relaxed) {
                        // It is cancelled, and not to be once more.
                        drop(host.ticket.take_task());
                    } else if host.take_cancellation() {
                        // The loop may have looked for the task before there was one.
                        bridge.queue.cancel(Arc::clone(&host.ticket));
                    }
                }
                bridge.queue.wake();
                Hosted::left(None, stays)
            }
        }
    };
    hosted.called_sync = host.called.load(Ordering::Relaxed);
    hosted.given_up = host.told.load(Ordering::Relaxed);
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
/// has to stay with all the same, and whether its connections are in use.
fn leave(
    py: Python<'_>,
    bridge: &Bridge,
    thread: &Py<RequestThread>,
    executor: Option<Py<PyAny>>,
) -> Option<(Py<PyAny>, bool)> {
    let left = bridge.runtime.leave_thread.bind(py).call1((thread, executor));
    left.and_then(|stays| stays.extract()).unwrap_or_else(|error: PyErr| {
        error.write_unraisable(py, None);
        None
    })
}

/// Runs the sync code of the request that this thread has to stay with, until it is over.
pub fn stay(py: Python<'_>, bridge: &Bridge, executor: &Py<PyAny>) {
    let stayed = bridge.slot.outside_lane(|| bridge.runtime.stay_with.bind(py).call1((executor,)));
    if let Err(error) = stayed {
        error.write_unraisable(py, None);
    }
    run::housekeeping(py, bridge);
    // They are no other request's.
    run::last_run_touched_database();
}

/// A thread that takes a first step, with the slot, until dropped.
struct Stepping<'a, 'py> {
    py: Python<'py>,
    host: &'a Host,
    _slot: Held<'a>,
}

impl<'a, 'py> Stepping<'a, 'py> {
    fn begin(py: Python<'py>, host: &'a Host) -> Self {
        let slot = host.bridge.slot.hold(py);
        set_running_loop(py, &host.bridge, true);
        tell_asgiref(py, &host.bridge, true);
        host.go_on(py);
        Self { py, host, _slot: slot }
    }
}

impl Drop for Stepping<'_, '_> {
    fn drop(&mut self) {
        HERE.set(ptr::null());
        set_running_loop(self.py, &self.host.bridge, false);
        tell_asgiref(self.py, &self.host.bridge, false);
        self.host.steps.store(false, Ordering::Relaxed);
    }
}

/// Has `async_to_sync` in sync code of this thread find the loop, or no loop any more.
fn tell_asgiref(py: Python<'_>, bridge: &Bridge, stepping: bool) {
    let event_loop = stepping.then_some(&bridge.runtime.event_loop);
    if let Err(error) = bridge.runtime.know_loop.bind(py).call1((event_loop,)) {
        error.write_unraisable(py, None);
    }
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

    /// Whether the coroutine has left the loop something to do: other tasks, or timers.
    pub fn has_left_work(&self, py: Python<'_>) -> bool {
        *self.work.lock() != loop_work(py, &self.bridge)
    }

    /// Makes `call` on this thread, where [`Host::is_here`], as on one without a loop; others run
    /// coroutines meanwhile.
    ///
    /// # Errors
    /// When the coroutine's task cannot be left; nothing is called then.
    pub fn outside<T>(&self, py: Python<'_>, call: impl FnOnce() -> T) -> PyResult<T> {
        let _outside = Outside::begin(py, self)?;
        self.called.store(true, Ordering::Relaxed);
        Ok(call())
    }

    /// The coroutine's own code runs on this thread from here on.
    fn go_on(&self, py: Python<'_>) {
        *self.work.lock() = loop_work(py, &self.bridge);
        HERE.set(self);
    }
}

/// A thread that has left its coroutine, and given the slot away, until dropped.
struct Outside<'a, 'py> {
    host: &'a Host,
    /// The coroutine's, unless it has ended.
    task: Bound<'py, PyAny>,
}

impl<'a, 'py> Outside<'a, 'py> {
    fn begin(py: Python<'py>, host: &'a Host) -> PyResult<Self> {
        let event_loop = host.bridge.runtime.event_loop.bind(py);
        let tasks = host.bridge.runtime.tasks.bind(py);
        let task = tasks.call_method1(intern!(py, "current_task"), (event_loop,))?;
        if !task.is_none() {
            tasks.call_method1(intern!(py, "_leave_task"), (event_loop, &task))?;
        }
        HERE.set(ptr::null());
        // The hooks of its async generators stay: whoever runs another loop sets others.
        show_loop(py, &host.bridge, false)?;
        // SAFETY: the `Stepping` below on this thread's stack has it, and gets it back.
        unsafe { host.bridge.slot.release() };
        Ok(Self { host, task })
    }
}

impl Drop for Outside<'_, '_> {
    fn drop(&mut self) {
        let bridge = &*self.host.bridge;
        let py = self.task.py();
        std::mem::forget(bridge.slot.hold(py));
        self.host.go_on(py);
        let entered = show_loop(py, bridge, true).and_then(|()| {
            if self.task.is_none() {
                return Ok(());
            }
            let arguments = (bridge.runtime.event_loop.bind(py), &self.task);
            let tasks = bridge.runtime.tasks.bind(py);
            tasks.call_method1(intern!(py, "_enter_task"), arguments).map(drop)
        });
        if let Err(error) = entered {
            error.write_unraisable(py, None);
        }
    }
}
