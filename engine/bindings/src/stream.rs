//! Bodies that flow: response streams out of Python, request streams into it. Both are bounded
//! channels; whoever is faster waits, so neither side runs ahead of the other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_core::Stream;
use parking_lot::Mutex;
use pybolt_engine::body::BodyStream;
use pybolt_engine::middleware::bulkhead::BulkheadPermit;
use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration, PyStopIteration, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::sync::mpsc::{self, error::TryRecvError, error::TrySendError};

use crate::bridge::{Bridge, MAX_SYNC_STREAMS};
use crate::counters::Place;
use crate::job::Ticket;
use crate::run::RequestContext;
use crate::tasks::{Completion, RequestThread, own_thread, release};

/// So many chunks are between the two sides.
const AHEAD: usize = 2;

/// An asyncio future that one side has resolved by the other.
#[derive(Default)]
struct Waiter(Mutex<Option<Py<PyAny>>>);

impl Waiter {
    /// A future that [`Waiter::wake`] resolves.
    ///
    /// # Errors
    /// `RuntimeError` where somebody waits already.
    fn wait(&self, py: Python<'_>, bridge: &Bridge) -> PyResult<Py<PyAny>> {
        let waits = self.0.lock().as_ref().map(|future| future.clone_ref(py));
        if let Some(future) = waits
            && !future.bind(py).call_method0(intern!(py, "done"))?.is_truthy()?
        {
            return Err(someone_else());
        }
        let create = intern!(py, "create_future");
        let future = bridge.runtime.event_loop.bind(py).call_method0(create)?.unbind();
        *self.0.lock() = Some(future.clone_ref(py));
        Ok(future)
    }

    fn forget(&self) {
        drop(self.0.lock().take());
    }

    fn wake(&self, bridge: &Bridge) {
        if let Some(future) = self.0.lock().take() {
            bridge.queue.resume(future);
        }
    }
}

/// What both ends of a response stream know.
struct Shared {
    bridge: Arc<Bridge>,
    waiter: Waiter,
    complete: AtomicBool,
    ticket: Arc<Ticket>,
    /// The request's place with Python: given back when neither end is left.
    place: Mutex<Option<BulkheadPermit>>,
}

/// The I/O thread's end of a response stream.
pub struct Outlet {
    chunks: mpsc::Receiver<Bytes>,
    shared: Arc<Shared>,
    length: Option<u64>,
    ended: bool,
}

impl Outlet {
    /// The stream's length in bytes, where the application says it.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Has the stream keep the request's place with Python.
    pub fn keep(&self, place: Option<BulkheadPermit>) {
        *self.shared.place.lock() = place;
    }
}

impl Stream for Outlet {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(chunk) = self.chunks.poll_recv(cx) else { return Poll::Pending };
        Poll::Ready(if let Some(chunk) = chunk {
            self.shared.waiter.wake(&self.shared.bridge);
            Some(Ok(chunk))
        } else {
            self.ended = true;
            let complete = self.shared.complete.load(Ordering::Acquire);
            (!complete).then(|| Err(io::Error::other("the stream failed")))
        })
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if !self.ended {
            self.chunks.close();
            self.shared.ticket.cancel();
            self.shared.bridge.queue.cancel(Arc::clone(&self.shared.ticket));
        }
    }
}

/// Python's end of a response stream.
#[pyclass(frozen, module = "pybolt._engine")]
pub struct Sink {
    chunks: Mutex<Option<mpsc::Sender<Bytes>>>,
    shared: Arc<Shared>,
    held_since: Mutex<Instant>,
    /// The thread of the sync code of an async stream.
    thread: Option<Py<RequestThread>>,
    /// Bytes to come, where the length is known.
    left: Option<AtomicU64>,
}

fn open(
    bridge: &Arc<Bridge>,
    length: Option<u64>,
    thread: Option<Py<RequestThread>>,
) -> (Sink, Outlet) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let shared = Arc::new(Shared {
        bridge: Arc::clone(bridge),
        waiter: Waiter::default(),
        complete: AtomicBool::new(false),
        ticket: Arc::new(Ticket::default()),
        place: Mutex::new(None),
    });
    let sink = Sink {
        chunks: Mutex::new(Some(sender)),
        shared: Arc::clone(&shared),
        held_since: Mutex::new(Instant::now()),
        thread,
        left: length.map(AtomicU64::new),
    };
    (sink, Outlet { chunks: receiver, shared, length, ended: false })
}

/// Starts an async iterator's stream on the loop.
pub fn start_async(
    py: Python<'_>,
    bridge: &Arc<Bridge>,
    iterator: &Bound<'_, PyAny>,
    length: Option<u64>,
) -> PyResult<Outlet> {
    // What the handler has set is seen by its generator; its sync code has a thread of its own.
    let context = RequestContext::copy_current(py)?;
    let thread = Py::new(py, RequestThread::default())?;
    {
        let _entered = context.enter()?;
        own_thread(py, bridge, &thread)?;
    }
    let (sink, outlet) = open(bridge, length, Some(thread));
    let pump = bridge.runtime.pump.bind(py).call1((iterator, Py::new(py, sink)?))?;
    context.move_to_loop(py, bridge);
    bridge.queue.spawn(pump.unbind(), context.0.unbind(), Arc::clone(&outlet.shared.ticket));
    Ok(outlet)
}

/// Starts a sync iterator's stream on a thread of its own.
///
/// # Errors
/// `HTTPError(503)` when as many streams as allowed are being produced.
pub fn start_sync(
    py: Python<'_>,
    bridge: &Arc<Bridge>,
    iterator: &Bound<'_, PyAny>,
    length: Option<u64>,
) -> PyResult<Outlet> {
    let producing = Producing::enter(bridge);
    if bridge.streams.load(Ordering::Relaxed) > MAX_SYNC_STREAMS {
        if let Some(close) = iterator.getattr_opt(intern!(py, "close"))? {
            close.call0()?;
        }
        let error = py.import("pybolt.exceptions")?.getattr("HTTPError")?.call1((503,))?;
        return Err(PyErr::from_value(error));
    }
    let (sink, outlet) = open(bridge, length, None);
    let body = StreamThread {
        iterator: iterator.clone().unbind(),
        sink: Py::new(py, sink)?,
        context: RequestContext::copy_current(py)?.0.unbind(),
        producing: Mutex::new(Some(producing)),
    };
    crate::control::start_thread(py, "bolt-stream", Py::new(py, body)?.into_any())?;
    Ok(outlet)
}

/// One of the bridge's synchronous streams, until dropped.
struct Producing(Arc<Bridge>);

impl Producing {
    fn enter(bridge: &Arc<Bridge>) -> Self {
        bridge.streams.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(bridge))
    }
}

impl Drop for Producing {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

#[pyclass(frozen, module = "pybolt._engine")]
struct StreamThread {
    iterator: Py<PyAny>,
    sink: Py<Sink>,
    context: Py<PyAny>,
    producing: Mutex<Option<Producing>>,
}

#[pymethods]
impl StreamThread {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        crate::run::own_thread();
        let Some(producing) = self.producing.lock().take() else { return Ok(()) };
        let bridge = &producing.0;
        let busy = bridge.slot.enter_lane();
        let sink = self.sink.get();
        *sink.held_since.lock() = Instant::now();
        let context = RequestContext(self.context.bind(py).clone());
        context.move_here(py, bridge)?;
        let pumped = context.enter().and_then(|_entered| {
            bridge.runtime.pump_sync.bind(py).call1((&self.iterator, &self.sink))
        });
        if crate::run::take_database_mark()
            && let Err(error) = bridge.runtime.close_connections.bind(py).call0()
        {
            // The thread ends here, and its connections with it.
            error.write_unraisable(py, None);
        }
        sink.record(Instant::now());
        drop(busy);
        sink.abort();
        pumped.map(|_| ())
    }
}

impl Sink {
    /// Counts what this thread's last take of the GIL was for; the next begins.
    fn record(&self, asked: Instant) {
        let now = Instant::now();
        let got = std::mem::replace(&mut *self.held_since.lock(), now);
        self.shared.bridge.counters.record(Place::Stream, got, got, asked);
    }

    /// What is left after a chunk. The length that the client was told holds: of a chunk that goes
    /// beyond it nothing is sent.
    fn after(&self, chunk: &[u8]) -> PyResult<u64> {
        let Some(left) = &self.left else { return Ok(0) };
        left.load(Ordering::Relaxed).checked_sub(chunk.len() as u64).ok_or_else(|| {
            PyValueError::new_err("the stream has more bytes than its content-length says")
        })
    }

    fn sent(&self, left: u64) {
        if let Some(known) = &self.left {
            known.store(left, Ordering::Relaxed);
        }
    }
}

#[pymethods]
impl Sink {
    /// Hands a chunk over; gives a future to await, and then to try again, while there is no room.
    /// Raises `ConnectionError` when the client has gone, and `ValueError` past the stream's length.
    fn send(&self, py: Python<'_>, chunk: &Bound<'_, PyBytes>) -> PyResult<Option<Py<PyAny>>> {
        let Some(sender) = self.chunks.lock().clone() else { return Err(gone()) };
        let left = self.after(chunk.as_bytes())?;
        let bytes = Bytes::copy_from_slice(chunk.as_bytes());
        let bytes = match sender.try_send(bytes) {
            Ok(()) => {
                self.sent(left);
                return Ok(None);
            }
            Err(TrySendError::Closed(_)) => return Err(gone()),
            Err(TrySendError::Full(bytes)) => bytes,
        };
        let future = self.shared.waiter.wait(py, &self.shared.bridge)?;
        // The last chunk may have been taken before the waiter was there.
        match sender.try_send(bytes) {
            Ok(()) => {
                self.sent(left);
                self.shared.waiter.forget();
                Ok(None)
            }
            Err(TrySendError::Closed(_)) => Err(gone()),
            Err(TrySendError::Full(_)) => Ok(Some(future)),
        }
    }

    /// Hands a chunk over, waiting for room; `False` when the client has gone. Raises `ValueError`
    /// past the stream's length.
    fn send_blocking(&self, py: Python<'_>, chunk: &Bound<'_, PyBytes>) -> PyResult<bool> {
        let Some(sender) = self.chunks.lock().clone() else { return Ok(false) };
        let left = self.after(chunk.as_bytes())?;
        let bytes = Bytes::copy_from_slice(chunk.as_bytes());
        let released = Instant::now();
        let slot = &self.shared.bridge.slot;
        let sent = slot.outside_lane(|| py.detach(|| sender.blocking_send(bytes).is_ok()));
        self.record(released);
        self.sent(left);
        Ok(sent)
    }

    /// The regular end. Raises `ValueError` before the stream's length.
    fn close(&self) -> PyResult<()> {
        if self.left.as_ref().is_some_and(|left| left.load(Ordering::Relaxed) > 0) {
            return Err(PyValueError::new_err(
                "the stream has fewer bytes than its content-length says",
            ));
        }
        self.shared.complete.store(true, Ordering::Release);
        drop(self.chunks.lock().take());
        Ok(())
    }

    /// The end of an async stream's task: its thread goes back.
    fn end(&self, py: Python<'_>) {
        if let Some(executor) = self.thread.as_ref().and_then(|thread| thread.get().end()) {
            let bridge = &self.shared.bridge;
            release(py, bridge, executor, Completion::of_nothing(bridge));
        }
    }

    /// The end of a stream that failed: the response is cut off. After `close` it does nothing.
    fn abort(&self) {
        drop(self.chunks.lock().take());
    }
}

fn gone() -> PyErr {
    pyo3::exceptions::PyConnectionError::new_err("the client has gone")
}

/// Python's end of a request stream, before Python has it.
pub struct Inlet {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    shared: Arc<InletShared>,
}

struct InletShared {
    bridge: Arc<Bridge>,
    waiter: Waiter,
}

/// Starts to receive a request body on the I/O thread, as fast as it is read.
pub fn receive(bridge: &Arc<Bridge>, mut body: BodyStream) -> Inlet {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let shared = Arc::new(InletShared { bridge: Arc::clone(bridge), waiter: Waiter::default() });
    let theirs = Arc::clone(&shared);
    actix_rt::spawn(async move {
        loop {
            let chunk = tokio::select! {
                chunk = body.next() => chunk,
                () = sender.closed() => break,
            };
            let Some(chunk) = chunk else { break };
            if sender.send(chunk).await.is_err() {
                break;
            }
            theirs.waiter.wake(&theirs.bridge);
        }
        drop(sender);
        theirs.waiter.wake(&theirs.bridge);
    });
    Inlet { chunks: receiver, shared }
}

/// A request body as a sync and async iterator of `bytes`.
#[pyclass(frozen, module = "pybolt._engine")]
pub struct BodyReader {
    inlet: Mutex<Option<Inlet>>,
    whole: Mutex<Option<Bytes>>,
}

impl BodyReader {
    /// A reader of a body that is there already.
    pub fn whole(bytes: Bytes) -> Self {
        let whole = (!bytes.is_empty()).then_some(bytes);
        Self { inlet: Mutex::new(None), whole: Mutex::new(whole) }
    }

    /// A reader of a body that arrives.
    pub fn stream(inlet: Inlet) -> Self {
        Self { inlet: Mutex::new(Some(inlet)), whole: Mutex::new(None) }
    }

    /// The next chunk if it is there; `Err` = not yet.
    fn try_next(&self, py: Python<'_>) -> PyResult<Result<Option<Bytes>, ()>> {
        if let Some(bytes) = self.whole.lock().take() {
            return Ok(Ok(Some(bytes)));
        }
        // Whoever waits for a chunk holds it without the GIL: to wait for them with it would be the end.
        let mut inlet = self.inlet.try_lock().ok_or_else(someone_else)?;
        let Some(open) = inlet.as_mut() else { return Ok(Ok(None)) };
        match open.chunks.try_recv() {
            Ok(Ok(chunk)) => Ok(Ok(Some(chunk))),
            Ok(Err(error)) => Err(broken(py, &error)),
            Err(TryRecvError::Empty) => Ok(Err(())),
            Err(TryRecvError::Disconnected) => Ok(Ok(None)),
        }
    }
}

/// The exception for a body that cannot be read to its end.
fn broken(py: Python<'_>, error: &io::Error) -> PyErr {
    let name = match error.kind() {
        io::ErrorKind::FileTooLarge => "BodyTooLarge",
        _ => "ClientDisconnected",
    };
    py.import("pybolt.exceptions")
        .and_then(|module| module.getattr(name))
        .and_then(|class| class.call0())
        .map_or_else(|error| error, PyErr::from_value)
}

#[pymethods]
impl BodyReader {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        if let Ok(chunk) = self.try_next(py)? {
            return chunk.map(|chunk| PyBytes::new(py, &chunk)).ok_or_else(end);
        }
        let chunk = py.detach(|| {
            let mut inlet = self.inlet.try_lock()?;
            Some(inlet.as_mut().and_then(|open| open.chunks.blocking_recv()))
        });
        match chunk.ok_or_else(someone_else)? {
            Some(Ok(chunk)) => Ok(PyBytes::new(py, &chunk)),
            Some(Err(error)) => Err(broken(py, &error)),
            None => Err(end()),
        }
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__(slf: Py<Self>) -> NextChunk {
        NextChunk { reader: slf }
    }
}

fn someone_else() -> PyErr {
    PyRuntimeError::new_err("somebody else is reading this stream")
}

fn end() -> PyErr {
    PyStopIteration::new_err(())
}

/// The awaitable of one chunk.
#[pyclass(frozen, module = "pybolt._engine")]
pub struct NextChunk {
    reader: Py<BodyReader>,
}

#[pymethods]
impl NextChunk {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// One step of the await protocol: a future to wait for, or the chunk as `StopIteration`.
    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let reader = self.reader.get();
        let mut found = reader.try_next(py)?;
        if found.is_err() {
            let inlet = reader.inlet.try_lock().ok_or_else(someone_else)?;
            let shared = inlet.as_ref().map(|open| Arc::clone(&open.shared));
            drop(inlet);
            let shared =
                shared.ok_or_else(|| PyRuntimeError::new_err("the body is not streamed"))?;
            let future = shared.waiter.wait(py, &shared.bridge)?;
            found = reader.try_next(py)?;
            if found.is_err() {
                future.bind(py).setattr(intern!(py, "_asyncio_future_blocking"), true)?;
                return Ok(future);
            }
            shared.waiter.forget();
        }
        match found {
            Ok(Some(chunk)) => Err(PyStopIteration::new_err((PyBytes::new(py, &chunk).unbind(),))),
            _ => Err(PyStopAsyncIteration::new_err(())),
        }
    }
}
