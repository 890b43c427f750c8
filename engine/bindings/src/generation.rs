//! A plan with the Python side of its routes: what a reload replaces as a whole.

use std::rc::Rc;
use std::sync::Arc;

use pybolt_engine::handler::Handler;
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::middleware::rate_limit::RateLimitPolicy;
use pybolt_engine::plan::{Plan, RoutePlan};
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pyo3::prelude::*;

use crate::bridge::{Bridge, Route, Runtime};
use crate::dispatch::PythonHandler;

/// So many routes are made without letting go of the GIL.
const BATCH: usize = 64;

/// One plan with its handlers.
pub struct Generation {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The Python side of its routes, in the plan's order; none where a route needs no handler.
    pub routes: Vec<Option<Arc<Route>>>,
    /// Its rate limits, each once.
    pub limits: Vec<Arc<RateLimitPolicy>>,
}

impl Generation {
    /// The routes of `plan` with their `callables`, which run where the same ones ran `before`.
    pub fn new(
        py: Python<'_>,
        plan: Arc<Plan>,
        callables: &[Py<PyAny>],
        runtime: &Runtime,
        before: Option<&Self>,
    ) -> PyResult<Self> {
        let known = before.into_iter().flat_map(|before| before.routes.iter().flatten());
        let known = known.map(|route| (route.label.as_str(), &**route)).collect();
        let mut routes = Vec::with_capacity(plan.routes.len());
        for batch in plan.routes.chunks(BATCH) {
            for route in batch {
                routes.push(Route::new(py, route, callables, runtime, &known)?.map(Arc::new));
            }
            // Whoever waits for the GIL gets it.
            py.detach(|| {});
        }
        Ok(Self { limits: plan.limits(), plan, routes })
    }

    /// What answers `route` by Python.
    pub fn handler(&self, bridge: &Arc<Bridge>, route: &RoutePlan) -> Rc<dyn Handler> {
        match self.routes.get(route.id.0 as usize) {
            Some(Some(python)) => {
                Rc::new(PythonHandler::new(Arc::clone(bridge), Arc::clone(python)))
            }
            _ => Rc::new(Unreachable),
        }
    }
}

/// The innermost service of the fallback chain, which the gate keeps everybody from.
struct Unreachable;

impl Handler for Unreachable {
    fn call(&self, request: Permitted<Request>) -> Reply {
        use pybolt_engine::middleware::rejection::{Rejection, RejectionKind};
        Rejection::new(RejectionKind::Internal).into_response(request.form).into()
    }
}
