//! Response streams out of Python: a bounded channel; whoever is faster waits, so neither side runs
//! ahead of the other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_core::Stream;
use parking_lot::Mutex;
use pybolt_engine::middleware::bulkhead::BulkheadPermit;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::bridge::{Bridge, MAX_SYNC_STREAMS};
use crate::counters::Place;
use crate::job::Ticket;
use crate::run::RequestContext;
use crate::tasks::{Completion, RequestThread, own_thread, release};

/// So many chunks are between the two sides.
pub const AHEAD: usize = 2;

/// An asyncio future that one side has resolved by the other.
#[derive(Default)]
pub struct Waiter(Mutex<Option<Py<PyAny>>>);

impl Waiter {
    /// A future that [`Waiter::wake`] resolves.
    ///
    /// # Errors
    /// `RuntimeError` where somebody waits already.
    pub fn wait(&self, py: Python<'_>, bridge: &Bridge) -> PyResult<Py<PyAny>> {
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

    /// Nobody waits any more.
    pub fn forget(&self) {
        drop(self.0.lock().take());
    }

    /// Resolves the future.
    pub fn wake(&self, bridge: &Bridge) {
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
        crate::run::close_connections(py, bridge);
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

/// Two read one stream.
pub fn someone_else() -> PyErr {
    PyRuntimeError::new_err("somebody else is reading this stream")
}
