//! Building the next plan beside the one that serves: on a Python thread of its own, which holds
//! the GIL while handlers are imported and bound, and lets go of it while the engine compiles.
//!
//! Meanwhile nothing runs inline: the I/O thread never waits for this one.

use std::sync::Arc;

use crossbeam_channel::Receiver;
use pybolt_engine::config::diagnostic::Severity;
use pybolt_engine::plan::Plan;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;

use crate::bridge::Bridge;
use crate::generation::Generation;
use crate::reports::Reports;
use crate::serving::Turn;

/// A plan to build.
pub struct Build {
    /// Its number.
    pub number: u64,
    /// The descriptor that its files are in, and how many bytes they take there.
    pub snapshot: (i32, usize),
}

/// The body of the thread.
#[pyclass(frozen, module = "pybolt._engine")]
pub struct Rebuilder {
    /// What the plans are for.
    pub bridge: Arc<Bridge>,
    /// `load(descriptor, length) -> (wire, callables)`; raises with one line to tell.
    pub load: Py<PyAny>,
    /// What is to be built.
    pub builds: Receiver<Build>,
    /// Where it goes.
    pub turns: UnboundedSender<Turn>,
    /// Where it is told that there is nothing.
    pub reports: Reports,
}

#[pymethods]
impl Rebuilder {
    fn __call__(&self, py: Python<'_>) {
        while let Ok(build) = py.detach(|| self.builds.recv()) {
            let number = build.number;
            let busy = self.bridge.slot.enter_lane();
            let built = self.build(py, &build);
            drop(busy);
            match built {
                Ok(generation) => {
                    let turn = Turn::Prepared(number, generation);
                    // Where nobody takes it the worker ends.
                    self.turns.send(turn).ok();
                }
                Err(error) => {
                    let reason = error.value(py).to_string();
                    self.reports.say(json!({"is": "refused", "number": number, "reason": reason}));
                }
            }
        }
    }
}

impl Rebuilder {
    fn build(&self, py: Python<'_>, build: &Build) -> PyResult<Arc<Generation>> {
        let loaded = self.load.bind(py).call1(build.snapshot)?;
        let (wire, callables) = loaded.extract::<(String, Vec<Py<PyAny>>)>()?;
        let before = Arc::clone(&self.bridge.generation.lock());
        let (plan, found) = py.detach(|| Plan::compile_after(&wire, Some(&before.plan)));
        let Some(mut plan) = plan else {
            let first = found.into_iter().find(|one| one.severity == Severity::Error);
            let reason =
                first.map_or_else(String::new, |one| format!("{}: {}", one.code, one.message));
            return Err(PyValueError::new_err(reason));
        };
        plan.version.number = build.number;
        let runtime = &self.bridge.runtime;
        Ok(Arc::new(Generation::new(py, Arc::new(plan), &callables, runtime, Some(&before))?))
    }
}
