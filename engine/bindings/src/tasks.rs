//! A handler's coroutine as a task: its first step, its answer, and the end of what it held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pybolt_engine::request::Parts;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{ffi, intern};
use tokio::sync::oneshot;

use crate::answer::Answer;
use crate::asyncio::loop_has_work;
use crate::bridge::{Bridge, Route};
use crate::hosted::Host;
use crate::job::{Replier, RequestBody};
use crate::request::Request;
use crate::run::{self, RequestContext};

/// What came of a coroutine's first step.
pub enum Started<'py> {
    /// It finished; tasks that it left behind have its context.
    Done(Done<'py>),
    /// It suspended; the task goes on on the loop.
    Suspended(Suspended<'py>),
}

/// A handler's task that finished in its first step.
pub struct Done<'py> {
    /// Its answer.
    pub answer: Answer,
    /// What it ran in, where it ran.
    pub context: Option<RequestContext<'py>>,
    /// The request's executor, to be given back.
    pub executor: Option<Py<PyAny>>,
}

/// A handler's task that goes on on the loop.
pub struct Suspended<'py> {
    task: Bound<'py, PyAny>,
    request: Py<Request>,
    context: RequestContext<'py>,
    thread: Py<RequestThread>,
}

/// Starts an async handler whose sync code runs on threads that are lent; see [`start_on`].
pub fn start<'py>(
    py: Python<'py>,
    bridge: &Arc<Bridge>,
    route: &Route,
    parts: Box<Parts>,
    body: RequestBody,
) -> Started<'py> {
    match Py::new(py, RequestThread::default()) {
        Ok(thread) => start_on(py, bridge, route, parts, body, &thread),
        Err(error) => {
            let answer = run::fail(py, bridge, route, None, error);
            Started::Done(Done { answer, context: None, executor: None })
        }
    }
}

/// Calls an async handler and takes its coroutine's first step, all of it in a context of the
/// request's own, whose sync code runs on `thread`.
pub fn start_on<'py>(
    py: Python<'py>,
    bridge: &Arc<Bridge>,
    route: &Route,
    parts: Box<Parts>,
    body: RequestBody,
    thread: &Py<RequestThread>,
) -> Started<'py> {
    let failed = |request, context, error| {
        let answer = run::fail(py, bridge, route, request, error);
        Started::Done(Done { answer, context, executor: thread.get().end() })
    };
    let request = match run::request_object(py, parts, body) {
        Ok(request) => request,
        Err(error) => return failed(None, None, error),
    };
    let context = match RequestContext::new(py) {
        Ok(context) => context,
        Err(error) => return failed(Some(&request), None, error),
    };
    // What comes of a coroutine, or the task that it goes on in.
    let step = |coroutine: &Bound<'py, PyAny>| {
        let task = start_task(py, bridge, coroutine, &context)?;
        if !task.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Ok(Err(task));
        }
        let _entered = context.enter()?;
        render(py, bridge, task.call_method0(intern!(py, "result"))?).map(Ok)
    };
    let first_step = || {
        let called = {
            let _entered = context.enter()?;
            own_thread(py, bridge, thread)?;
            let coroutine = route.call.bind(py).call1((&request,))?;
            if route.awaits { Err(coroutine) } else { Ok(render(py, bridge, finish(&coroutine)?)?) }
        };
        let mut stepped = match called {
            Ok(outcome) => Ok(outcome),
            Err(coroutine) => step(&coroutine)?,
        };
        loop {
            let result = match stepped {
                Ok(Outcome::Reads(result)) => result,
                Ok(Outcome::Answer(answer)) => return Ok(Ok(answer)),
                Err(task) => return Ok(Err(task)),
            };
            if let Some(host) = thread.get().free_host(py) {
                let _entered = context.enter()?;
                return host.outside(py, || run::answer(py, bridge, &result))?.map(Ok);
            }
            stepped = step(&render_elsewhere(bridge, &result)?)?;
        }
    };
    match first_step() {
        Ok(Ok(answer)) => {
            Started::Done(Done { answer, context: Some(context), executor: thread.get().end() })
        }
        Ok(Err(task)) => {
            let thread = thread.clone_ref(py);
            Started::Suspended(Suspended { task, request, context, thread })
        }
        Err(error) => failed(Some(&request), Some(context), error),
    }
}

/// What a coroutine came to.
enum Outcome<'py> {
    /// Its answer.
    Answer(Answer),
    /// A result that reads from a database, as a queryset does: it is no answer on the loop.
    Reads(Bound<'py, PyAny>),
}

/// What an async handler's result comes to.
fn render<'py>(
    py: Python<'py>,
    bridge: &Arc<Bridge>,
    result: Bound<'py, PyAny>,
) -> PyResult<Outcome<'py>> {
    if run::is_unread(bridge, &result)? {
        return Ok(Outcome::Reads(result));
    }
    match run::answer(py, bridge, &result) {
        Err(error) if error.matches(py, &bridge.runtime.sync_only)? => Ok(Outcome::Reads(result)),
        answer => answer.map(Outcome::Answer),
    }
}

/// A coroutine of the answer that `result` is where the request's sync code runs.
fn render_elsewhere<'py>(
    bridge: &Bridge,
    result: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    bridge.runtime.render_elsewhere.bind(result.py()).call1((result,))
}

/// The result of a coroutine that cannot suspend: it needs no task.
fn finish<'py>(coroutine: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = coroutine.py();
    let mut result = std::ptr::null_mut();
    // SAFETY: the GIL is held; `result` becomes a new reference, or null with an error.
    let sent = unsafe { ffi::PyIter_Send(coroutine.as_ptr(), ffi::Py_None(), &raw mut result) };
    // SAFETY: as above.
    let result = unsafe { Bound::from_owned_ptr_or_err(py, result)? };
    if sent == ffi::PySendResult::PYGEN_RETURN {
        return Ok(result);
    }
    Err(PyRuntimeError::new_err("a coroutine without `await` suspended"))
}

/// Has sync code of the current context run on `thread`, a thread of the request's own.
pub fn own_thread(py: Python<'_>, bridge: &Bridge, thread: &Py<RequestThread>) -> PyResult<()> {
    let variable = bridge.runtime.request_thread.as_ptr();
    // SAFETY: the GIL is held, `variable` is a `ContextVar` and `thread` an object; a new reference
    // or null with an error comes back.
    let token = unsafe { ffi::PyContextVar_Set(variable, thread.as_ptr()) };
    // SAFETY: as above.
    unsafe { Bound::from_owned_ptr_or_err(py, token) }.map(drop)
}

/// Gives a request's executor back; `completion` is sent once its connections are in order.
pub fn release(py: Python<'_>, bridge: &Bridge, executor: Py<PyAny>, completion: Completion) {
    let released = Py::new(py, completion).and_then(|completion| {
        let released = bridge.runtime.release_thread.bind(py).call1((executor, &completion))?;
        if released.is_truthy()? {
            completion.get().send();
        }
        Ok(())
    });
    if let Err(error) = released {
        error.write_unraisable(py, None);
    }
}

/// A task of `coroutine` in `context` whose first step has been taken.
pub fn start_task<'py>(
    py: Python<'py>,
    bridge: &Bridge,
    coroutine: &Bound<'py, PyAny>,
    context: &RequestContext<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let options = bridge.runtime.task_options.bind(py);
    options.set_item(intern!(py, "context"), &context.0)?;
    let task = bridge.runtime.start_task.bind(py).call((coroutine,), Some(options));
    // The context is the request's alone: nothing here keeps it.
    options.set_item(intern!(py, "context"), py.None())?;
    task
}

impl Suspended<'_> {
    /// Whether it has asked for sync code to be run.
    pub fn called_sync(&self) -> bool {
        self.thread.get().executor.lock().is_some()
    }

    /// The task goes on on the loop's thread, and with it what its context holds by thread.
    pub fn leave_thread(&self, py: Python<'_>, bridge: &Bridge) {
        self.context.move_to_loop(py, bridge);
    }
}

/// Has the answer sent when the task is done.
pub fn follow(
    py: Python<'_>,
    bridge: &Arc<Bridge>,
    route: &Arc<Route>,
    suspended: Suspended<'_>,
    reply: Replier,
) {
    let Suspended { task, request, thread, .. } = suspended;
    bridge.queue.under_way.fetch_add(1, Ordering::Relaxed);
    let callback = Finished {
        bridge: Arc::clone(bridge),
        route: Arc::clone(route),
        request,
        thread,
        reply: Mutex::default(),
    };
    match Bound::new(py, callback) {
        Ok(callback) => Finished::follow(&callback, &task, reply),
        Err(error) => error.write_unraisable(py, None),
    }
}

impl Done<'_> {
    /// What the handler left behind on the loop, such as a task, must not wait for the next event.
    pub fn leave_thread(&self, py: Python<'_>, bridge: &Bridge) {
        if loop_has_work(py, bridge) {
            if let Some(context) = &self.context {
                context.move_to_loop(py, bridge);
            }
            bridge.queue.wake();
        }
    }

    /// The answer, with the request's executor given back.
    pub fn release(self, py: Python<'_>, bridge: &Arc<Bridge>) -> Answer {
        if let Some(executor) = self.executor {
            release(py, bridge, executor, Completion::of_nothing(bridge));
        }
        self.answer
    }
}

/// The done-callback of a handler's task. `SlotLoop.call_soon` calls it at the end of the task's
/// last step, in the task's context.
#[pyclass(frozen, module = "pybolt._engine")]
pub struct Finished {
    bridge: Arc<Bridge>,
    route: Arc<Route>,
    request: Py<Request>,
    thread: Py<RequestThread>,
    reply: Mutex<Option<Replier>>,
}

#[pymethods]
impl Finished {
    fn __call__(slf: &Bound<'_, Self>, task: &Bound<'_, PyAny>) {
        let (py, this) = (slf.py(), slf.get());
        let Some(reply) = this.reply.lock().take() else { return };
        drop(reply.ticket.take_task());
        let is_closed = reply.answer.is_closed();
        let answer = match this.outcome(py, task) {
            _ if is_closed && run::is_cancelled(py, task) => None,
            Ok(Outcome::Answer(answer)) => Some(answer),
            // Nothing is read for nobody.
            Ok(_) if is_closed => None,
            Ok(Outcome::Reads(result)) => match this.go_on_with(py, &result) {
                Ok(next) => return Self::follow(slf, &next, reply),
                Err(error) => Some(this.fail(py, error)),
            },
            Err(error) => Some(this.fail(py, error)),
        };
        this.bridge.queue.under_way.fetch_sub(1, Ordering::Relaxed);
        let answer = answer.map(|answer| reply.with(answer));
        let completion =
            Completion { bridge: Arc::clone(&this.bridge), answer: Mutex::new(answer) };
        match this.thread.get().end() {
            None => completion.send(),
            // Nobody hears of the answer before the request's transactions and connections are
            // done with.
            Some(executor) => release(py, &this.bridge, executor, completion),
        }
    }
}

impl Finished {
    /// Has `reply` answered when `task` is done.
    fn follow(slf: &Bound<'_, Self>, task: &Bound<'_, PyAny>, reply: Replier) {
        let py = slf.py();
        reply.ticket.set_task(task.clone().unbind());
        slf.get().reply.lock().replace(reply);
        if let Err(error) = task.call_method1(intern!(py, "add_done_callback"), (slf,)) {
            error.write_unraisable(py, None);
        }
    }

    fn outcome<'py>(&self, py: Python<'py>, task: &Bound<'py, PyAny>) -> PyResult<Outcome<'py>> {
        render(py, &self.bridge, task.call_method0(intern!(py, "result"))?)
    }

    /// A task of the answer that `result` is.
    fn go_on_with<'py>(
        &self,
        py: Python<'py>,
        result: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let coroutine = render_elsewhere(&self.bridge, result)?;
        let event_loop = self.bridge.runtime.event_loop.bind(py);
        event_loop.call_method1(intern!(py, "go_on_with"), (coroutine,))
    }

    fn fail(&self, py: Python<'_>, error: PyErr) -> Answer {
        run::fail(py, &self.bridge, &self.route, Some(&self.request), error)
    }
}

/// An answer that is sent when it is called.
#[pyclass(frozen, module = "pybolt._engine")]
pub struct Completion {
    bridge: Arc<Bridge>,
    answer: Mutex<Option<(oneshot::Sender<Answer>, Answer)>>,
}

#[pymethods]
impl Completion {
    fn __call__(&self) {
        self.send();
        self.bridge.completions.flush();
    }
}

impl Completion {
    /// Nobody waits for an answer.
    pub fn of_nothing(bridge: &Arc<Bridge>) -> Self {
        Self { bridge: Arc::clone(bridge), answer: Mutex::new(None) }
    }

    fn send(&self) {
        if let Some(answer) = self.answer.lock().take() {
            self.bridge.completions.push(answer);
        }
    }
}

/// Stands for one request where asgiref asks on whose thread sync code is to run: see
/// `pybolt.django.threads`.
#[derive(Default)]
#[pyclass(frozen, module = "pybolt._engine")]
pub struct RequestThread {
    executor: Mutex<Option<Py<PyAny>>>,
    ended: AtomicBool,
    host: Option<Arc<Host>>,
}

#[pymethods]
impl RequestThread {
    /// The executor that runs the request's sync code, where it has any.
    #[getter]
    fn executor(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.executor.lock().as_ref().map(|executor| executor.clone_ref(py))
    }

    /// Whether the request has been answered; a task that it left behind may still ask.
    #[getter]
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether asgiref has to refuse it; never.
    #[getter]
    fn _exited(&self) -> bool {
        false
    }

    /// What that thread is known by, until the first step is over.
    #[getter]
    fn lane(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.host.as_ref().and_then(|host| host.lane(py))
    }

    /// Where it is: calls `function` outside the coroutine.
    fn outside<'py>(&self, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match &self.host {
            Some(host) if host.is_here() => host.outside(function.py(), || function.call0())?,
            _ => Err(PyRuntimeError::new_err("the request's coroutine is not here")),
        }
    }

    /// Whether `called`, a `SyncToAsync`, may be called where it is: there and then, on the calling
    /// thread, as the request's thread would.
    fn may_call(&self, called: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = called.py();
        Ok(self.free_host(py).is_some()
            && called.getattr(intern!(py, "_thread_sensitive"))?.is_truthy()?
            && called.getattr(intern!(py, "context"))?.is_none())
    }

    /// Where it is: whether nobody waits for the request any more; true once.
    fn take_cancellation(&self) -> bool {
        self.host.as_ref().is_some_and(|host| host.take_cancellation())
    }

    /// Gives the request an executor.
    fn keep(&self, executor: Py<PyAny>) {
        *self.executor.lock() = Some(executor);
    }
}

impl RequestThread {
    /// Of a request whose coroutine a lane's thread starts.
    pub fn hosted(host: Arc<Host>) -> Self {
        Self { host: Some(host), ..Self::default() }
    }

    /// Where it is, and may make a call as it did before: nothing is left to the loop, and no thread
    /// is lent.
    fn free_host(&self, py: Python<'_>) -> Option<&Host> {
        let host = self.host.as_deref().filter(|host| host.is_here() && !host.has_left_work(py))?;
        self.executor.lock().is_none().then_some(host)
    }

    /// The request is over: whoever gets its executor gives it back.
    pub fn end(&self) -> Option<Py<PyAny>> {
        self.ended.store(true, Ordering::Relaxed);
        self.executor.lock().take()
    }
}
