//! Everything the I/O thread, the lanes and the loop share about one engine's Python side.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use parking_lot::Mutex;
use pybolt_engine::http::Method;
use pybolt_engine::plan::{PythonRun, RequestBody, RoutePlan};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::completions::Completions;
use crate::counters::Counters;
use crate::generation::Generation;
use crate::lanes::Lanes;
use crate::loop_queue::LoopQueue;
use crate::objects::Classes;
use crate::reads::Reads;
use crate::slot::Slot;
use pybolt_engine::placement::{Placement, RunMode};

/// A route's Python side.
pub struct Route {
    /// The handler, already bound to its parameters: takes the request.
    pub call: Py<PyAny>,
    /// Whether calling it gives a coroutine.
    pub is_async: bool,
    /// Whether that coroutine may suspend.
    pub awaits: bool,
    /// `module:function`, for logs.
    pub name: String,
    /// `GET /items/{id}`, for statistics.
    pub label: String,
    /// What its handler does with the body.
    pub request_body: RequestBody,
    /// Where it runs; what was measured stays true of the same handler on the same route when the
    /// plan is replaced.
    pub placement: Arc<Placement>,
}

/// The Python functions that the bridge calls; `pybolt.bridge.Runtime` gives them.
pub struct Runtime {
    /// `dumps(obj, default, options) -> bytes`, for exact dicts and lists.
    pub dumps: Py<PyAny>,
    /// Encodes what JSON has no type for.
    pub default: Py<PyAny>,
    /// The encoder's options.
    pub options: Py<PyAny>,
    /// `encode(obj) -> bytes`, for what `dumps` cannot do.
    pub encode: Py<PyAny>,
    /// `render(obj) -> (status, headers, body)`, for everything else.
    pub render: Py<PyAny>,
    /// `render_elsewhere(obj) -> coroutine`, of what reads from a database.
    pub render_elsewhere: Py<PyAny>,
    /// The class of querysets, and what Django raises where one is evaluated on an event loop.
    pub queryset: Py<PyAny>,
    pub sync_only: Py<PyAny>,
    /// `failure(exception, handler, request) -> (status, headers, body)`; never raises.
    pub failure: Py<PyAny>,
    /// `file_failed(handler, path, reason, missing)`: logs; never raises.
    pub file_failed: Py<PyAny>,
    /// `start_task(coroutine, context=..., **task_options) -> Task`, its first step taken.
    pub start_task: Py<PyAny>,
    /// The options that all tasks have in common.
    pub task_options: Py<PyDict>,
    /// `asyncio._set_running_loop(loop or None)`, for the calling thread.
    pub set_running_loop: Py<PyAny>,
    /// `sys.set_asyncgen_hooks(firstiter, finalizer)`, for the calling thread, and those of the loop.
    pub set_asyncgen_hooks: Py<PyAny>,
    pub asyncgen_hooks: Py<PyTuple>,
    /// asgiref's context variable that says whose thread sync code runs on.
    pub request_thread: Py<PyAny>,
    /// `move_context(context, thread or None)`: it goes on on another thread.
    pub move_context: Py<PyAny>,
    /// `release_thread(executor, done)`: a request's thread goes back. True: it has; else `done()` is
    /// called there.
    pub release_thread: Py<PyAny>,
    /// `new_lane()`: what a lane's thread is known by where executors are given.
    pub new_lane: Py<PyAny>,
    /// `leave_thread(request, executor)`: the lane's thread that calls has taken the first step of the
    /// request's coroutine, and, with an executor, the last. Gives the executor that it is to
    /// `stay_with(executor)`, and whether its connections are in use, or `None`.
    pub leave_thread: Py<PyAny>,
    pub stay_with: Py<PyAny>,
    /// `know_loop(loop or None)`: asgiref's, for the calling thread.
    pub know_loop: Py<PyAny>,
    /// `asyncio.tasks`.
    pub tasks: Py<PyAny>,
    /// The loop.
    pub event_loop: Py<PyAny>,
    /// The loop's queue of callbacks that are ready.
    pub ready: Py<PyAny>,
    /// `mounted(handler, script_name)`: the handler, below a prefix that it does not see.
    pub mounted: Py<PyAny>,
    /// `housekeeping()` gives the seconds until it is due: on the thread whose run touched the
    /// database.
    pub housekeeping: Py<PyAny>,
    /// `close_connections()`: at the end of a thread that touched the database.
    pub close_connections: Py<PyAny>,
    /// `pump(iterator, sink)` coroutine function: an async stream's chunks into a sink.
    pub pump: Py<PyAny>,
    /// `pump_sync(iterator, sink)`: a sync stream's chunks into a sink.
    pub pump_sync: Py<PyAny>,
}

/// One engine's Python side.
pub struct Bridge {
    /// The plan that is served, with its handlers.
    pub generation: Mutex<Arc<Generation>>,
    /// How many reloads have failed.
    pub reload_failures: AtomicU64,
    /// The Python functions.
    pub runtime: Runtime,
    /// The slot.
    pub slot: Slot,
    /// The lane threads' queues.
    pub lanes: Lanes,
    /// The loop's queue.
    pub queue: LoopQueue,
    /// Answers on their way back.
    pub completions: Completions,
    /// What values of rows are made of, once anybody reads any.
    pub classes: PyOnceLock<Classes>,
    /// What handlers read from databases.
    pub reads: Reads,
    /// The counters.
    pub counters: Counters,
    /// Synchronous response streams that are being produced.
    pub streams: AtomicUsize,
}

/// How many synchronous response streams one worker produces at once; each has a thread.
pub const MAX_SYNC_STREAMS: usize = 64;

/// How many requests may wait for one lane.
pub const LANE_CAPACITY: usize = 1024;

/// How many coroutines may be under way.
pub const LOOP_CAPACITY: usize = 10_000;

/// How long a request may wait in a lane before it is refused: an answer that comes later is one
/// that nobody waits for any more. A bulkhead (`python: {concurrency, queue, max_wait}`) is stricter.
pub const MAX_WAIT: Duration = Duration::from_secs(5);

impl Route {
    /// The Python side of `plan`'s route, where it has a handler; `before` finds the route of the
    /// plan before by its label.
    pub fn new(
        py: Python<'_>,
        plan: &RoutePlan,
        callables: &[Py<PyAny>],
        runtime: &Runtime,
        before: &HashMap<&str, &Self>,
    ) -> PyResult<Option<Self>> {
        let Some(handler) = plan.handler.as_ref() else { return Ok(None) };
        let Some(call) = callables.get(handler.index) else { return Ok(None) };
        let below = plan.guards.rewrite.as_ref().and_then(|rewrite| rewrite.script_name());
        let call = match below {
            Some(prefix) => runtime.mounted.call1(py, (call, prefix))?,
            None => call.clone_ref(py),
        };
        let mode = match plan.python.run {
            // Whoever reads a body as it arrives waits for its client, however quick it is.
            _ if handler.request_body == RequestBody::Stream => RunMode::Thread,
            // A project's middleware and views are anything; its async views make a loop of their own.
            _ if handler.is_django => RunMode::Thread,
            PythonRun::Auto => RunMode::Auto,
            PythonRun::Inline => RunMode::Inline,
            PythonRun::Queue => RunMode::Queue,
            PythonRun::Thread => RunMode::Thread,
        };
        let label = format!("{} {}", methods(plan), plan.pattern);
        // A module is imported once in a process: one name is one function.
        let known = before.get(label.as_str()).filter(|route| route.name == handler.name);
        let known = known.filter(|route| route.placement.is_for(mode, handler.is_async));
        let placement = known.map_or_else(
            || Arc::new(Placement::new(mode, handler.is_async)),
            |route| Arc::clone(&route.placement),
        );
        Ok(Some(Self {
            call,
            is_async: handler.is_async,
            awaits: handler.awaits,
            name: handler.name.clone(),
            label,
            request_body: handler.request_body,
            placement,
        }))
    }
}

fn methods(plan: &RoutePlan) -> String {
    let methods: Vec<_> = plan.methods.iter().map(Method::as_str).collect();
    methods.join(",")
}

impl Runtime {
    /// Reads the functions off `pybolt.bridge.Runtime`.
    pub fn new(runtime: &Bound<'_, PyAny>, event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = runtime.py();
        let get = |name: &str| runtime.getattr(name).map(Bound::unbind);
        Ok(Self {
            dumps: get("dumps")?,
            default: get("default")?,
            options: get("options")?,
            encode: get("encode")?,
            render: get("render")?,
            render_elsewhere: get("render_elsewhere")?,
            queryset: get("queryset")?,
            sync_only: get("sync_only")?,
            failure: get("failure")?,
            file_failed: get("file_failed")?,
            start_task: event_loop.getattr("start_task")?.unbind(),
            task_options: event_loop.getattr("task_options")?.cast_into::<PyDict>()?.unbind(),
            set_running_loop: py.import("asyncio")?.getattr("_set_running_loop")?.unbind(),
            set_asyncgen_hooks: py.import("sys")?.getattr("set_asyncgen_hooks")?.unbind(),
            asyncgen_hooks: event_loop.getattr("asyncgen_hooks")?.cast_into::<PyTuple>()?.unbind(),
            request_thread: get("request_thread")?,
            move_context: get("move_context")?,
            release_thread: get("release_thread")?,
            new_lane: get("new_lane")?,
            leave_thread: get("leave_thread")?,
            stay_with: get("stay_with")?,
            know_loop: get("know_loop")?,
            tasks: py.import("asyncio.tasks")?.into_any().unbind(),
            event_loop: event_loop.clone().unbind(),
            ready: event_loop.getattr("_ready")?.unbind(),
            mounted: get("mounted")?,
            housekeeping: get("housekeeping")?,
            close_connections: get("close_connections")?,
            pump: get("pump")?,
            pump_sync: get("pump_sync")?,
        })
    }
}

impl Bridge {
    /// The Python side of a process that serves `generation` first.
    pub fn new(generation: Generation, runtime: Runtime) -> PyResult<Self> {
        Ok(Self {
            generation: Mutex::new(Arc::new(generation)),
            reload_failures: AtomicU64::new(0),
            runtime,
            slot: Slot::default(),
            lanes: Lanes::default(),
            queue: LoopQueue::new()?,
            completions: Completions::default(),
            classes: PyOnceLock::new(),
            reads: Reads::default(),
            counters: Counters::default(),
            streams: AtomicUsize::new(0),
        })
    }
}
