//! What a task has still to do on the loop: a step, or a step after what it waited for.
//!
//! asyncio makes an `asyncio.Handle` for everything that is to be called soon, in Python, and runs
//! it in Python. The calls that tasks themselves ask for are nearly all of them, and nobody keeps
//! their handles; for these the loop has this class.

use parking_lot::Mutex;
use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::run::RequestContext;

/// A call that a task asked its loop for, to be made once; as the loop uses `asyncio.Handle`.
#[pyclass(frozen, module = "pybolt._engine")]
pub struct Step {
    call: Mutex<Option<Call>>,
    event_loop: Py<PyAny>,
}

/// What is called. It is let go of when it is, so that no cycle is left behind.
struct Call {
    callback: Py<PyAny>,
    arguments: Py<PyTuple>,
    context: Py<PyAny>,
}

#[pymethods]
impl Step {
    /// Nobody could have cancelled it.
    #[classattr]
    #[pyo3(name = "_cancelled")]
    const CANCELLED: bool = false;

    #[new]
    fn new(
        event_loop: Py<PyAny>,
        callback: Py<PyAny>,
        arguments: Py<PyTuple>,
        context: Py<PyAny>,
    ) -> Self {
        Self { call: Mutex::new(Some(Call { callback, arguments, context })), event_loop }
    }

    /// Makes the call in its context. What it raises is told to the loop, but for what ends a
    /// process.
    fn _run(&self, py: Python<'_>) -> PyResult<()> {
        let Some(Call { callback, arguments, context }) = self.call.lock().take() else {
            return Ok(());
        };
        let context = RequestContext(context.into_bound(py));
        let made = context.enter().and_then(|_entered| callback.bind(py).call1(arguments.bind(py)));
        let Err(error) = made else { return Ok(()) };
        if error.is_instance_of::<PySystemExit>(py)
            || error.is_instance_of::<PyKeyboardInterrupt>(py)
        {
            return Err(error);
        }
        let told = PyDict::new(py);
        told.set_item("message", format!("Exception in callback {}", callback.bind(py).repr()?))?;
        told.set_item("exception", error)?;
        self.event_loop.bind(py).call_method1(intern!(py, "call_exception_handler"), (told,))?;
        Ok(())
    }
}
