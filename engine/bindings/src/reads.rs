//! Compiled queries that handlers run: asked for on the I/O thread, where the connections are, all
//! of a `gather` at once; rows become Python objects on the thread that wanted them.

use std::sync::Arc;

use parking_lot::Mutex;
use pybolt_engine::placement::Touch;
use pybolt_engine::query::{Failure, QueryPolicy, Values, rows::Fetched};
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt as _;
use pyo3::types::{PyTuple, PyType};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::bridge::Bridge;
use crate::inspect;
use crate::objects::{Classes, found, given};
use crate::run;
use crate::stream::Waiter;

/// What one query found, or why it found nothing.
type Outcome = Result<Vec<Fetched>, Failure>;

/// Queries that were asked for together.
struct Asked {
    queries: Vec<(Arc<QueryPolicy>, Values)>,
    answer: oneshot::Sender<Vec<Outcome>>,
    /// Ends when nobody waits any more.
    gone: oneshot::Receiver<()>,
    waiter: Option<Arc<Waiter>>,
}

/// The way to the I/O thread.
pub struct Reads {
    asked: UnboundedSender<Asked>,
    inbox: Mutex<Option<UnboundedReceiver<Asked>>>,
}

impl Default for Reads {
    fn default() -> Self {
        let (asked, inbox) = unbounded_channel();
        Self { asked, inbox: Mutex::new(Some(inbox)) }
    }
}

impl Reads {
    /// Runs what is asked for; a task of the I/O thread's own.
    pub async fn run(bridge: Arc<Bridge>) {
        run::become_io_thread();
        let Some(mut inbox) = bridge.reads.inbox.lock().take() else { return };
        while let Some(asked) = inbox.recv().await {
            actix_rt::spawn(answer(Arc::clone(&bridge), asked));
        }
    }
}

async fn answer(bridge: Arc<Bridge>, asked: Asked) {
    let Asked { queries, answer, gone, waiter } = asked;
    let fetched = queries.iter().map(|(policy, values)| policy.fetch(values));
    let outcomes = tokio::select! {
        outcomes = futures_util::future::join_all(fetched) => outcomes,
        // What is under way is cancelled with it.
        _ = gone => return,
    };
    answer.send(outcomes).ok();
    if let Some(waiter) = waiter {
        waiter.wake(&bridge);
    }
}

/// One compiled query with its values, or several: awaited once, or run by `sync()`.
#[pyclass(frozen, module = "pybolt._engine")]
pub struct Call {
    bridge: Arc<Bridge>,
    queries: Vec<(Arc<QueryPolicy>, Values)>,
    /// What `sync()` calls, one for each query, where it cannot wait for the I/O thread: it is on it.
    in_python: Vec<Py<PyAny>>,
    /// Whether the result is a list of results.
    is_gathered: bool,
    under_way: Mutex<Option<UnderWay>>,
}

struct UnderWay {
    answer: oneshot::Receiver<Vec<Outcome>>,
    waiter: Arc<Waiter>,
    _gone: oneshot::Sender<()>,
}

impl Call {
    fn begin(
        &self,
        waiter: Option<Arc<Waiter>>,
    ) -> PyResult<(oneshot::Receiver<Vec<Outcome>>, oneshot::Sender<()>)> {
        let (answer, answered) = oneshot::channel();
        let (here, gone) = oneshot::channel();
        let asked = Asked { queries: self.queries.clone(), answer, gone, waiter };
        self.bridge.reads.asked.send(asked).map_err(|_| ended())?;
        Ok((answered, here))
    }

    fn result(&self, py: Python<'_>, outcomes: Vec<Outcome>) -> PyResult<Py<PyAny>> {
        let classes = Classes::of(py, &self.bridge)?;
        let mut results = self
            .queries
            .iter()
            .zip(outcomes)
            .map(|((policy, _), outcome)| found(py, classes, policy, outcome));
        if self.is_gathered {
            let all: Vec<_> = results.collect::<PyResult<_>>()?;
            return Ok(all.into_pyobject(py)?.into_any().unbind());
        }
        results.next().unwrap_or_else(|| Err(ended()))
    }
}

fn ended() -> PyErr {
    PyRuntimeError::new_err("the server ends, and runs no more queries")
}

#[pymethods]
impl Call {
    /// The compiled query that `known_by` tells, with `values`, one for each of its parameters; `None` is
    /// one that is not given. `in_python()` does the same by Django's cursor.
    #[new]
    fn new(
        py: Python<'_>,
        known_by: &str,
        values: Vec<Option<Bound<'_, PyAny>>>,
        in_python: Py<PyAny>,
    ) -> PyResult<Self> {
        let bridge = inspect::serving().ok_or_else(|| {
            PyRuntimeError::new_err("compiled queries run within a server, or a test client")
        })?;
        let policy = bridge.generation.lock().plan.compiled.get(known_by).cloned();
        let policy = policy.ok_or_else(|| {
            PyRuntimeError::new_err("this query is of another api than the one that is served")
        })?;
        let values = given(py, Classes::of(py, &bridge)?, &policy, values)?;
        Ok(Self {
            bridge,
            queries: vec![(policy, values)],
            in_python: vec![in_python],
            is_gathered: false,
            under_way: Mutex::new(None),
        })
    }

    /// Several calls as one, whose result is the list of theirs.
    #[staticmethod]
    fn gather(py: Python<'_>, calls: Vec<PyRef<'_, Self>>) -> PyResult<Self> {
        let first =
            calls.first().ok_or_else(|| PyRuntimeError::new_err("there is nothing to gather"))?;
        Ok(Self {
            bridge: Arc::clone(&first.bridge),
            queries: calls.iter().flat_map(|call| call.queries.iter().cloned()).collect(),
            in_python: calls
                .iter()
                .flat_map(|call| call.in_python.iter().map(|one| one.clone_ref(py)))
                .collect(),
            is_gathered: true,
            under_way: Mutex::new(None),
        })
    }

    /// Runs it while this thread waits.
    fn sync(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        // A route whose handler waits runs on a thread of its own from now on.
        run::touch(Touch::Remote);
        if run::on_io_thread() {
            let mut results = self.in_python.iter().map(|one| one.call0(py));
            if !self.is_gathered {
                return results.next().unwrap_or_else(|| Err(ended()));
            }
            let all = results.collect::<PyResult<Vec<_>>>()?;
            return Ok(all.into_pyobject(py)?.into_any().unbind());
        }
        let (answered, _here) = self.begin(None)?;
        let outcomes = py.detach(|| answered.blocking_recv()).map_err(|_| ended())?;
        self.result(py, outcomes)
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// One step of the await protocol: a future to wait for, or the result as `StopIteration`.
    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut under_way = self.under_way.lock_py_attached(py);
        if let Some(begun) = under_way.as_mut() {
            match begun.answer.try_recv() {
                Ok(outcomes) => {
                    *under_way = None;
                    drop(under_way);
                    let result = self.result(py, outcomes)?;
                    return Err(PyStopIteration::new_err((result,)));
                }
                Err(oneshot::error::TryRecvError::Closed) => return Err(ended()),
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            return wait(py, &begun.waiter, &self.bridge);
        }
        let waiter = Arc::new(Waiter::default());
        // The future is there before the answer can be.
        let future = wait(py, &waiter, &self.bridge)?;
        let (answer, here) = self.begin(Some(Arc::clone(&waiter)))?;
        *under_way = Some(UnderWay { answer, waiter, _gone: here });
        Ok(future)
    }

    /// Ends it with the exception that its future brings: who is cancelled waits no more.
    #[pyo3(signature = (error, *_more))]
    fn throw(
        &self,
        py: Python<'_>,
        error: Bound<'_, PyAny>,
        _more: &Bound<'_, PyTuple>,
    ) -> PyResult<Py<PyAny>> {
        self.under_way.lock_py_attached(py).take();
        let raised = if error.is_instance_of::<PyType>() { error.call0()? } else { error };
        Err(PyErr::from_value(raised))
    }

    /// Ends it, as a coroutine's: a task that is cancelled waits no more.
    fn close(&self, py: Python<'_>) {
        self.under_way.lock_py_attached(py).take();
    }
}

fn wait(py: Python<'_>, waiter: &Waiter, bridge: &Bridge) -> PyResult<Py<PyAny>> {
    let future = waiter.wait(py, bridge)?;
    future.bind(py).setattr(intern!(py, "_asyncio_future_blocking"), true)?;
    Ok(future)
}
