//! A request body on its way into Python, as it arrives: a bounded channel, so that the client is
//! read no faster than the handler reads.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use pybolt_engine::body::BodyStream;
use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::sync::mpsc::{self, error::TryRecvError};

use crate::bridge::Bridge;
use crate::stream::{AHEAD, Waiter, someone_else};

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
