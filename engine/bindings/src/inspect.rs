//! What the command line asks of the engine: check, explain, routes; and the worker's statistics.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pybolt_engine::body::Body;
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::plan::Plan;
use pybolt_engine::reply::Reply;
use pybolt_engine::request::Request;
use pybolt_engine::response::Response;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::json;

use crate::bridge::Bridge;
use crate::counters::Place;

/// The bridge of the engine that this process serves, for `stats` and `mark_database`, which are
/// called from Python code that has no engine at hand.
static SERVING: Mutex<Weak<Bridge>> = Mutex::new(Weak::new());

/// Makes `bridge` the one that this process serves.
pub fn set_serving(bridge: &Arc<Bridge>) {
    *SERVING.lock() = Arc::downgrade(bridge);
}

/// The bridge that this process serves.
pub fn serving() -> Option<Arc<Bridge>> {
    SERVING.lock().upgrade()
}

/// Compiles a plan and gives its diagnostics as a JSON array.
#[pyfunction]
pub fn check(py: Python<'_>, wire: &str) -> PyResult<String> {
    let (_, diagnostics) = py.detach(|| Plan::compile(wire));
    serde_json::to_string(&diagnostics).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The plan of `wire`, or `ValueError` with the diagnostics as JSON.
pub fn compile(py: Python<'_>, wire: &str) -> PyResult<Arc<Plan>> {
    let (plan, diagnostics) = py.detach(|| Plan::compile(wire));
    plan.map(Arc::new).ok_or_else(|| {
        PyValueError::new_err(serde_json::to_string(&diagnostics).unwrap_or_default())
    })
}

/// The routes of a plan as a JSON array.
#[pyfunction]
pub fn routes(py: Python<'_>, wire: &str) -> PyResult<String> {
    Ok(compile(py, wire)?.routes_json().to_string())
}

/// The server's settings of a plan, for the supervisor: a JSON object.
#[pyfunction]
pub fn server(py: Python<'_>, wire: &str) -> PyResult<String> {
    Ok(compile(py, wire)?.server_json().to_string())
}

/// Sends a request through the real engine whose handlers answer nothing, and tells what happened.
#[pyfunction]
pub fn explain(
    py: Python<'_>,
    wire: &str,
    method: &str,
    url: &str,
    headers: Vec<(String, String)>,
) -> PyResult<String> {
    let plan = compile(py, wire)?;
    let peer = SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
    let mut probe = build_request(method, url, &headers, Body::Empty, Some(peer))?;
    let request = build_request(method, url, &headers, Body::Empty, Some(peer))?;
    let engine = Engine::new(Arc::clone(&plan), |_| Rc::new(Reached));
    let route = engine.locate(&mut probe);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    let response = tokio::task::LocalSet::new().block_on(&runtime, async {
        let Ok(response) = engine.call(request).await;
        response
    });
    Ok(describe(&plan, route, &probe, &response).to_string())
}

/// The handler of an engine that only explains.
struct Reached;

impl Handler for Reached {
    fn call(&self, _: Permitted<Request>) -> Reply {
        Response::new(StatusCode::OK).into()
    }
}

fn describe(
    plan: &Plan,
    route: Option<pybolt_engine::request::RouteId>,
    probe: &Request,
    response: &Response,
) -> serde_json::Value {
    let mut described = plan.describe_route(route.unwrap_or(plan.fallback.id));
    described["matched"] = json!(route.is_some());
    described["params"] =
        probe.params.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    let headers: Vec<(String, String)> = response
        .headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    described["outcome"] = json!({
        "status": response.status.as_u16(),
        "rejection": response.rejection.map(pybolt_engine::middleware::rejection::RejectionKind::code),
        "handler": response.rejection.is_none() && response.status == StatusCode::OK,
        "headers": headers,
    });
    described
}

/// A request from its textual parts; adds `Host` where it is missing.
pub fn build_request(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: Body,
    peer: Option<SocketAddr>,
) -> PyResult<Request> {
    let bad = |what: &str| PyValueError::new_err(format!("not a valid {what}"));
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| bad("method"))?;
    let uri: Uri = url.parse().map_err(|_| bad("URL"))?;
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("header name"))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad("header value"))?;
        map.append(name, value);
    }
    if !map.contains_key(header::HOST) {
        let host = uri.authority().map_or("localhost", |authority| authority.as_str());
        map.insert(header::HOST, HeaderValue::from_str(host).map_err(|_| bad("host"))?);
    }
    Ok(Request::new(method, uri, map, body).from_peer(peer))
}

/// The counters of the engine that this process serves; an empty dict where it serves none.
#[pyfunction]
pub fn stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let stats = PyDict::new(py);
    let Some(bridge) = serving() else { return Ok(stats) };
    stats.set_item("gil_takes", bridge.counters.total())?;
    stats.set_item("places", places(py, &bridge)?)?;
    stats.set_item("routes", routes_stats(py, &bridge)?)?;
    Ok(stats)
}

fn places<'py>(py: Python<'py>, bridge: &Bridge) -> PyResult<Bound<'py, PyDict>> {
    let places = PyDict::new(py);
    for place in Place::ALL {
        let takes = bridge.counters.of(place);
        let entry = PyDict::new(py);
        let load = |counter: &std::sync::atomic::AtomicU64| {
            counter.load(std::sync::atomic::Ordering::Relaxed)
        };
        entry.set_item("takes", load(&takes.count))?;
        entry.set_item("waited_ns", load(&takes.waited))?;
        entry.set_item("held_ns", load(&takes.held))?;
        places.set_item(place.name(), entry)?;
    }
    Ok(places)
}

fn routes_stats<'py>(py: Python<'py>, bridge: &Bridge) -> PyResult<Bound<'py, PyDict>> {
    let routes = PyDict::new(py);
    for route in bridge.routes.iter().flatten() {
        let placement = &route.placement;
        let entry = PyDict::new(py);
        let load = |counter: &std::sync::atomic::AtomicU64| {
            counter.load(std::sync::atomic::Ordering::Relaxed)
        };
        entry.set_item("inline", placement.may_inline())?;
        entry.set_item("lane", placement.lane().name())?;
        entry.set_item("reason", placement.reason().name())?;
        entry.set_item("runs", load(&placement.runs))?;
        entry.set_item("inline_runs", load(&placement.inline_runs))?;
        routes.set_item(&route.name, entry)?;
    }
    Ok(routes)
}
