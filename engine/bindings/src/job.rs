//! One permitted request on its way to Python.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use pybolt_engine::middleware::bulkhead::BulkheadPermit;
use pybolt_engine::request::Parts;
use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::answer::Answer;
use crate::bridge::Route;
use crate::inlet::Inlet;

/// A request that waits for Python.
pub struct Job {
    /// The route with its handler.
    pub route: Arc<Route>,
    /// The request's parts.
    pub parts: Box<Parts>,
    /// The request's body.
    pub body: RequestBody,
    /// Where the answer goes.
    pub reply: Replier,
    /// When it began to wait.
    pub queued: Instant,
}

/// A file that a handler answered with and that cannot be sent.
pub struct FileFailure {
    /// The route with its handler.
    pub route: Arc<Route>,
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub error: io::Error,
}

/// The body of a request as Python gets it.
pub enum RequestBody {
    /// Whole in memory.
    Full(Bytes),
    /// Read by the handler as it arrives.
    Stream(Inlet),
}

/// The one who waits for the answer, seen from Python's side.
pub struct Replier {
    /// Carries the answer.
    pub answer: oneshot::Sender<Answer>,
    /// Learns of the task, so that it can be cancelled.
    pub ticket: Arc<Ticket>,
    /// The request's place with Python, held while it runs whether or not anybody waits.
    pub place: Option<BulkheadPermit>,
}

impl Replier {
    /// The answer with whom it goes to; the place goes with it.
    pub fn with(self, mut answer: Answer) -> (oneshot::Sender<Answer>, Answer) {
        answer.place = self.place;
        (self.answer, answer)
    }
}

/// What the I/O thread and the loop share about a request that waits.
#[derive(Default)]
pub struct Ticket {
    cancelled: AtomicBool,
    task: Mutex<Option<Py<PyAny>>>,
}

impl Ticket {
    /// The client has gone.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    /// Whether the client has gone.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Remembers the task that works on the answer.
    pub fn set_task(&self, task: Py<PyAny>) {
        *self.task.lock() = Some(task);
    }

    /// The task, once.
    pub fn take_task(&self) -> Option<Py<PyAny>> {
        self.task.lock().take()
    }
}
