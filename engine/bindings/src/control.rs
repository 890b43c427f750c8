//! The `Engine` class: construction, serving sockets, answering the test client, the end.

use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{BorrowedFd, FromRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;
use parking_lot::Mutex;
use pybolt_engine::body::Body;
use pybolt_engine::engine::{Engine as RustEngine, Surroundings};
use pybolt_engine::middleware::maintenance::Switches;
use pybolt_engine::middleware::rate_limit::Table;
use pybolt_engine::request::{Parts, Request};
use pybolt_engine::response::Response;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyDict};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use crate::asyncio::SlotHandle;
use crate::bridge::{Bridge, Runtime};
use crate::counters::Place;
use crate::generation::Generation;
use crate::inspect;
use crate::lanes::LaneThread;
use crate::orders::{Ending, Inbox};
use crate::reads::Reads;
use crate::rebuild::Rebuilder;
use crate::reports::Reports;
use crate::run;
use crate::serving;

/// One answer of [`Engine::handle`]: status, header pairs, body, and whether the body broke off.
type Handled = (u16, Vec<(String, String)>, Vec<u8>, bool);

/// How long handlers that still run have to end when an engine is closed.
const CLOSING: Duration = Duration::from_millis(1500);

/// A request for the in-process I/O thread.
struct Call {
    parts: Box<Parts>,
    body: Bytes,
    answer: oneshot::Sender<Handled>,
}

/// One plan with its Python side.
#[pyclass(frozen, module = "pybolt._engine")]
pub struct Engine {
    bridge: Arc<Bridge>,
    runtime: Py<PyAny>,
    pool_threads: usize,
    threads: Mutex<Vec<Py<PyAny>>>,
    calls: Mutex<Option<mpsc::UnboundedSender<Call>>>,
    endings: Mutex<Option<mpsc::UnboundedSender<Ending>>>,
}

#[pymethods]
impl Engine {
    /// Compiles `wire` as version number `version`; raises `ValueError` with the diagnostics as JSON.
    /// `limits_fd`: the memory in which rate limits count together with other processes; it may be
    /// closed afterwards.
    #[new]
    #[pyo3(signature = (wire, callables, runtime, version = 1, limits_fd = None))]
    fn new(
        py: Python<'_>,
        wire: &str,
        callables: Vec<Py<PyAny>>,
        runtime: &Bound<'_, PyAny>,
        version: u64,
        limits_fd: Option<RawFd>,
    ) -> PyResult<Self> {
        let mut plan = inspect::plan(py, wire)?;
        plan.version.number = version;
        if let Some(fd) = limits_fd {
            // SAFETY: the caller keeps the descriptor open during this call.
            let table = Table::shared(unsafe { BorrowedFd::borrow_raw(fd) })?;
            plan.memory.share(table);
        }
        let slot = Py::new(py, SlotHandle::new())?;
        let event_loop = runtime.call_method1("new_loop", (&slot,))?;
        let functions = Runtime::new(runtime, &event_loop)?;
        let generation = Generation::new(py, Arc::new(plan), &callables, &functions, None)?;
        let bridge = Arc::new(Bridge::new(generation, functions)?);
        slot.get().connect(&bridge);
        inspect::set_serving(&bridge);
        event_loop.call_method1("watch", (&slot,))?;
        let pool_threads = runtime.getattr("threads")?.extract()?;
        Ok(Self {
            bridge,
            runtime: runtime.clone().unbind(),
            pool_threads,
            threads: Mutex::new(Vec::new()),
            calls: Mutex::new(None),
            endings: Mutex::new(None),
        })
    }

    /// Serves the inherited listening sockets until the drain has run its course. Blocks.
    ///
    /// `control_fd` brings orders, a JSON object a line, and `report_fd` takes what there is to tell.
    /// The end of the control pipe means that the supervisor is dead: a second for what is in flight,
    /// and the process ends whatever it does. `load(descriptor, length)` gives the wire and the
    /// callables of the next plan; `switches` is a JSON list of what is switched for maintenance.
    fn serve(
        &self,
        py: Python<'_>,
        listener_fds: Vec<RawFd>,
        control_fd: RawFd,
        report_fd: RawFd,
        load: Py<PyAny>,
        switches: &str,
    ) -> PyResult<()> {
        let switches: Switches = serde_json::from_str(switches)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        self.start_threads(py)?;
        run::own_thread();
        // SAFETY: the supervisor hands over these descriptors; nobody else in this process uses them.
        let (listeners, control, report) = unsafe {
            let listener = |fd| TcpListener::from_raw_fd(fd);
            let listeners = listener_fds.into_iter().map(listener).collect();
            (listeners, File::from_raw_fd(control_fd), File::from_raw_fd(report_fd))
        };
        let reports = Reports::to(report);
        let (endings, ended) = mpsc::unbounded_channel();
        let (turns, taken) = mpsc::unbounded_channel();
        let (builds, built) = crossbeam_channel::unbounded();
        *self.endings.lock() = Some(endings.clone());
        let rebuilder = Rebuilder {
            bridge: Arc::clone(&self.bridge),
            load,
            builds: built,
            turns: turns.clone(),
            reports: reports.clone(),
        };
        // Nobody waits for its end: it may be importing something.
        start_thread(py, "bolt-reload", Py::new(py, rebuilder)?.into_any())?;
        let bridge = Arc::clone(&self.bridge);
        let inbox =
            Inbox { endings, turns, builds, reports: reports.clone(), bridge: Arc::clone(&bridge) };
        thread::spawn(move || inbox.read(control));
        let served = py.detach(|| {
            block_on(serving::serve(bridge, listeners, switches, ended, taken, reports))
        });
        self.close(py)?;
        served.map_err(|error| PyOSError::new_err(error.to_string()))
    }

    /// Answers one request in process, as a socket would get it.
    #[pyo3(signature = (method, url, headers, body, peer))]
    fn handle<'py>(
        slf: &Bound<'py, Self>,
        method: &str,
        url: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        peer: Option<(String, u16)>,
    ) -> PyResult<(u16, Vec<(String, String)>, Bound<'py, PyBytes>)> {
        let py = slf.py();
        let peer = peer.map(|(address, port)| {
            let address: IpAddr =
                address.parse().map_err(|_| PyRuntimeError::new_err("not an IP address"))?;
            Ok::<_, PyErr>(SocketAddr::new(address, port))
        });
        let request =
            inspect::build_request(method, url, &headers, Body::Empty, peer.transpose()?)?;
        let (parts, _) = request.into_parts();
        let (answer, handled) = oneshot::channel();
        let calls = Self::calls(slf)?;
        calls
            .send(Call { parts, body: body.into(), answer })
            .map_err(|_| PyRuntimeError::new_err("the engine is closed"))?;
        let (status, headers, body, broken) = py
            .detach(|| handled.blocking_recv())
            .map_err(|_| PyRuntimeError::new_err("the engine was closed meanwhile"))?;
        if broken {
            return Err(pyo3::exceptions::PyConnectionError::new_err("the response broke off"));
        }
        Ok((status, headers, PyBytes::new(py, &body)))
    }

    /// Begins the orderly end of [`Engine::serve`].
    fn drain(&self) {
        if let Some(endings) = self.endings.lock().as_ref() {
            endings.send(Ending::Drain).ok();
        }
    }

    /// Ends the lanes and the loop; running handlers are cancelled.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.calls.lock_py_attached(py).take();
        let threads = std::mem::take(&mut *self.threads.lock_py_attached(py));
        if threads.is_empty() {
            return Ok(());
        }
        self.runtime.bind(py).call_method1("stop_loop", (&self.bridge.runtime.event_loop,))?;
        // One deadline for all: handlers that do not end are left to the end of the process.
        let deadline = Instant::now() + CLOSING;
        py.detach(|| {
            self.bridge.lanes.quick.stop(deadline);
            self.bridge.lanes.compute.stop(deadline);
            self.bridge.lanes.brief.stop(deadline);
            (0..self.pool_threads).for_each(|_| self.bridge.lanes.pool.stop(deadline));
        });
        for thread in threads {
            let left = deadline.saturating_duration_since(Instant::now()).as_secs_f64();
            thread.bind(py).call_method1("join", (left,))?;
        }
        Ok(())
    }
}

impl Engine {
    fn start_threads(&self, py: Python<'_>) -> PyResult<()> {
        let mut threads = self.threads.lock_py_attached(py);
        if !threads.is_empty() {
            return Ok(());
        }
        let run_loop = self.runtime.bind(py).getattr("run_loop")?;
        let event_loop = self.bridge.runtime.event_loop.bind(py);
        let run_loop = py.import("functools")?.getattr("partial")?.call1((run_loop, event_loop))?;
        threads.push(start_thread(py, "bolt-loop", run_loop.unbind())?);
        let pool = (Place::Pool, self.pool_threads);
        let lanes = [(Place::Quick, 1), (Place::Compute, 1), (Place::Brief, 1), pool];
        for (place, count) in lanes {
            for _ in 0..count {
                let lane = Py::new(py, LaneThread::new(&self.bridge, place))?;
                let name = format!("bolt-{}", place.name());
                threads.push(start_thread(py, &name, lane.into_any())?);
            }
        }
        Ok(())
    }

    /// The in-process I/O thread's mailbox; the thread is started on first use.
    fn calls(slf: &Bound<'_, Self>) -> PyResult<mpsc::UnboundedSender<Call>> {
        let this = slf.get();
        // Starting a thread lets go of the GIL, so whoever waits here must let go of it too.
        let mut calls = this.calls.lock_py_attached(slf.py());
        if let Some(sender) = calls.as_ref() {
            return Ok(sender.clone());
        }
        this.start_threads(slf.py())?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let io = IoThread { engine: slf.clone().unbind(), calls: Mutex::new(Some(receiver)) };
        let io = Py::new(slf.py(), io)?;
        let thread = start_thread(slf.py(), "bolt-io", io.into_any())?;
        this.threads.lock_py_attached(slf.py()).push(thread);
        *calls = Some(sender.clone());
        Ok(sender)
    }
}

/// Runs the I/O thread's life on a runtime of its own.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the kernel gives a worker an epoll and an eventfd");
    let done = LocalSet::new().block_on(&runtime, future);
    // Not waiting for files that are still being read.
    runtime.shutdown_background();
    done
}

/// The body of the in-process I/O thread.
#[pyclass(frozen, module = "pybolt._engine")]
struct IoThread {
    engine: Py<Engine>,
    calls: Mutex<Option<mpsc::UnboundedReceiver<Call>>>,
}

#[pymethods]
impl IoThread {
    fn __call__(&self, py: Python<'_>) {
        run::own_thread();
        let Some(mut calls) = self.calls.lock().take() else { return };
        let engine = self.engine.get();
        py.detach(|| {
            block_on(async {
                let bridge = Arc::clone(&engine.bridge);
                actix_rt::spawn(Reads::run(Arc::clone(&bridge)));
                actix_rt::spawn(async move { bridge.completions.hand_out().await });
                let generation = Arc::clone(&engine.bridge.generation.lock());
                let surroundings = Surroundings::default();
                let engine = serving::assemble(&engine.bridge, &generation, surroundings, None);
                let engine = Rc::new(engine.await);
                while let Some(call) = calls.recv().await {
                    actix_rt::spawn(answer(Rc::clone(&engine), call));
                }
            });
        });
    }
}

/// A body in one chunk.
struct Once(Option<Bytes>);

impl Stream for Once {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

async fn answer(engine: Rc<RustEngine>, call: Call) {
    let length = call.body.len() as u64;
    let body = match call.body {
        empty if empty.is_empty() => Body::Empty,
        // As a socket hands it over: it has yet to be read.
        whole => Body::stream(Once(Some(whole)), Some(length)),
    };
    let request = Request::from_boxed(call.parts, body);
    let head = request.method == pybolt_engine::http::Method::HEAD;
    let Ok(Response { status, headers, body, .. }) = engine.call(request).await;
    let headers = headers
        .into_iter()
        .map(|(name, value)| {
            let value = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let body = if head { Ok(Bytes::new()) } else { body.collect().await };
    let broken = body.is_err();
    // A caller that has gone needs no answer.
    call.answer.send((status.as_u16(), headers, body.unwrap_or_default().into(), broken)).ok();
}

/// Starts a daemon `threading.Thread`, so that Python and its debuggers know the thread.
pub fn start_thread(py: Python<'_>, name: &str, target: Py<PyAny>) -> PyResult<Py<PyAny>> {
    let options = PyDict::new(py);
    options.set_item("target", target)?;
    options.set_item("name", name)?;
    options.set_item("daemon", true)?;
    let thread = py.import("threading")?.getattr("Thread")?.call((), Some(&options))?;
    thread.call_method0("start")?;
    Ok(thread.unbind())
}
