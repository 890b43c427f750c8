//! What the command line asks of the engine: check, explain, routes; and the worker's statistics.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pybolt_engine::body::Body;
use pybolt_engine::engine::Engine;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::middleware::gate::Gate;
use pybolt_engine::middleware::rejection::RejectionKind;
use pybolt_engine::plan::{Access, Plan, RoutePlan};
use pybolt_engine::reply::Reply;
use pybolt_engine::request::{Request, RouteId};
use pybolt_engine::response::Response;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::bridge::{Bridge, Route};
use crate::counters::Place;
use crate::generation::Generation;

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

/// So many URLs and stores are asked at once.
const AT_ONCE: usize = 8;

/// Fetches the keys of a plan that are at URLs and asks the stores of its limits, [`AT_ONCE`] of
/// them all at once; gives the diagnostics as a JSON array.
#[pyfunction]
pub fn check_online(py: Python<'_>, wire: &str) -> PyResult<String> {
    let plan = plan(py, wire)?;
    let (remotes, stores) = (plan.remotes(), plan.stores());
    let found = py.detach(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let places = Arc::new(Semaphore::new(AT_ONCE));
            let keys = remotes.into_iter().map(|one| {
                tokio::spawn(in_turn(Arc::clone(&places), async move { one.probe().await }))
            });
            let stores = stores.into_iter().map(|one| {
                tokio::spawn(in_turn(Arc::clone(&places), async move { one.probe().await }))
            });
            let mut found = Vec::new();
            // Each has its own task; they end in any order and are told of in the plan's.
            for probe in keys.chain(stores).collect::<Vec<_>>() {
                found.extend(probe.await?);
            }
            Ok::<_, std::io::Error>(found)
        })
    });
    let text = serde_json::to_string(&found?);
    text.map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Asks once there is a place.
async fn in_turn<T>(places: Arc<Semaphore>, probe: impl Future<Output = T>) -> T {
    let _place = places.acquire_owned().await;
    probe.await
}

/// The plan of `wire`, or `ValueError` with the diagnostics as JSON.
pub fn plan(py: Python<'_>, wire: &str) -> PyResult<Plan> {
    let (plan, diagnostics) = py.detach(|| Plan::compile(wire));
    plan.ok_or_else(|| {
        PyValueError::new_err(serde_json::to_string(&diagnostics).unwrap_or_default())
    })
}

/// The routes of a plan as a JSON array.
#[pyfunction]
pub fn routes(py: Python<'_>, wire: &str) -> PyResult<String> {
    Ok(plan(py, wire)?.routes_json().to_string())
}

/// The server's settings of a plan, for the supervisor: a JSON object.
#[pyfunction]
pub fn server(py: Python<'_>, wire: &str) -> PyResult<String> {
    Ok(plan(py, wire)?.server_json().to_string())
}

/// The JSON Schema of a configuration.
#[pyfunction]
pub fn schema() -> String {
    pybolt_engine::config::schema::document().to_string()
}

/// The codes of the engine's diagnostics with what they stand for.
#[pyfunction]
pub fn codes() -> Vec<(&'static str, &'static str)> {
    pybolt_engine::config::codes::CODES.to_vec()
}

/// The effective slots of every route as places in the documents, and where secrets stand: a JSON
/// object.
#[pyfunction]
pub fn effective(py: Python<'_>, wire: &str) -> PyResult<String> {
    let found = py.detach(|| pybolt_engine::plan::effective(wire));
    found.map(|found| found.to_string()).ok_or_else(|| PyValueError::new_err("this is no wire"))
}

/// For each method and path the number of the route that answers it, in the order of `routes`.
#[pyfunction]
pub fn matches(
    py: Python<'_>,
    wire: &str,
    requests: Vec<(String, String)>,
) -> PyResult<Vec<Option<u32>>> {
    let plan = plan(py, wire)?;
    Ok(requests.iter().map(|(method, path)| plan.find(method, path)).collect())
}

/// Sends a request of `peer`'s through the real engine whose handlers answer nothing, and tells what happened.
/// Nothing is logged: a line about a request that nobody sent would be a forgery.
#[pyfunction]
pub fn explain(
    py: Python<'_>,
    wire: &str,
    method: &str,
    url: &str,
    headers: Vec<(String, String)>,
    peer: &str,
) -> PyResult<String> {
    let peer: IpAddr =
        peer.parse().map_err(|_| PyValueError::new_err("the peer is not an address"))?;
    let mut plan = plan(py, wire)?;
    for route in plan.routes.iter_mut().chain([&mut plan.fallback]) {
        route.access_log = None;
    }
    plan.remotes().iter().for_each(|remote| remote.hush());
    let plan = Arc::new(plan);
    let peer = SocketAddr::from((peer, 0));
    let mut probe = build_request(method, url, &headers, Body::Empty, Some(peer))?;
    let request = build_request(method, url, &headers, Body::Empty, Some(peer))?;
    let reached = Rc::new(Cell::new(false));
    let engine = Engine::explaining(Arc::clone(&plan), |_| Rc::new(Reached(Rc::clone(&reached))));
    let route = engine.locate(&mut probe);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    let response = tokio::task::LocalSet::new().block_on(&runtime, async {
        let Ok(response) = engine.call(request).await;
        response
    });
    Ok(describe(&plan, route, &probe, &response, reached.get()).to_string())
}

/// The handler of an engine that only explains: takes note that it was reached.
struct Reached(Rc<Cell<bool>>);

impl Handler for Reached {
    fn call(&self, _: Permitted<Request>) -> Reply {
        self.0.set(true);
        Response::new(StatusCode::OK).into()
    }
}

fn describe(
    plan: &Plan,
    route: Option<RouteId>,
    probe: &Request,
    response: &Response,
    reached: bool,
) -> Value {
    let id = route.unwrap_or(plan.fallback.id);
    let mut described = plan.describe_route(id);
    if let Some(gate) = &probe.gate
        && let Some(stages) = described["stages"].as_array_mut()
    {
        // Nothing below the gate is ever asked.
        stages.retain(|stage| stage["order"].as_u64() < Some(GATE));
        let summary = describe_gate(gate, probe);
        stages.push(
            json!({"order": GATE, "slot": "gate", "origin": [], "name": null, "summary": summary}),
        );
    }
    described["hash"] = json!(plan.version.hash);
    described["path"] = json!(probe.original_path());
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
    let planned = plan.routes.get(id.0 as usize);
    described["outcome"] = json!({
        "status": response.status.as_u16(),
        "rejection": response.rejection.map(RejectionKind::code),
        "handler": reached,
        "stops": (!reached).then(|| stop(probe, response, planned)),
        "headers": headers,
    });
    described
}

/// The gate's place in the order.
const GATE: u64 = 8;

fn describe_gate(gate: &Gate, probe: &Request) -> String {
    let allowed = |value: Option<&HeaderValue>| {
        value.and_then(|allow| allow.to_str().ok()).unwrap_or_default().to_owned()
    };
    match gate {
        Gate::Options(allow) => {
            format!("no handler for OPTIONS: allow {}", allowed(Some(allow)))
        }
        Gate::Redirect(status, location) => {
            format!("sent with {} to {}", status.as_u16(), allowed(Some(location)))
        }
        Gate::Refuse(rejection) => match rejection.kind {
            RejectionKind::NotFound => "no route has this path".to_owned(),
            RejectionKind::MethodNotAllowed => {
                let allow = rejection.headers.iter().find(|(name, _)| *name == header::ALLOW);
                format!(
                    "path known, {} not allowed: allow {}",
                    probe.method,
                    allowed(allow.map(|(_, value)| value))
                )
            }
            RejectionKind::Misdirected => "the host is none of `server.hosts`".to_owned(),
            RejectionKind::BadPath => "the path has more than one reading".to_owned(),
            other => other.code().replace('_', " "),
        },
    }
}

/// The slot at which a request ended that never reached a handler.
fn stop(probe: &Request, response: &Response, route: Option<&RoutePlan>) -> &'static str {
    if probe.gate.is_some() {
        return "gate";
    }
    let denied = route.is_some_and(|route| matches!(route.access, Access::Deny));
    let answer = route.and_then(|route| route.answer.as_ref());
    match response.rejection {
        None if probe.preflight => "cors",
        // Above the answer the path was good.
        None
        | Some(
            RejectionKind::BadPath
            | RejectionKind::NotFound
            | RejectionKind::PreconditionFailed
            | RejectionKind::RangeNotSatisfiable,
        ) => answer.map_or("cors", |answer| answer.slot()),
        Some(RejectionKind::Maintenance) => "maintenance",
        Some(RejectionKind::ForbiddenAddress) => "ip",
        Some(RejectionKind::Csrf) => "csrf",
        Some(RejectionKind::RateLimited | RejectionKind::LimitsUnavailable) => "rate_limit",
        Some(RejectionKind::TooManyInFlight) => "in_flight",
        Some(RejectionKind::Forbidden) if !denied => "allow",
        Some(RejectionKind::BodyTooLarge) => "body_limit",
        Some(RejectionKind::Timeout) => "timeout",
        Some(RejectionKind::Overloaded) => answer.map_or("python", |answer| answer.slot()),
        Some(_) => "auth",
    }
}

/// A request from its textual parts; adds `Host` where it is missing.
pub fn build_request(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: Body,
    peer: Option<SocketAddr>,
) -> PyResult<Request> {
    let bad = |what: &str| PyValueError::new_err(format!("the {what} is not valid"));
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

/// The counters of the engine that this process serves, as a JSON object; empty where it serves none.
#[pyfunction]
pub fn stats() -> String {
    serving().map_or_else(|| json!({}), |bridge| statistics(&bridge)).to_string()
}

/// The counters of an engine; reading them needs no GIL.
pub fn statistics(bridge: &Bridge) -> Value {
    let generation = Arc::clone(&bridge.generation.lock());
    let version = &generation.plan.version;
    json!({
        "gil_takes": bridge.counters.total(),
        "places": places(bridge),
        "routes": routes_stats(&generation),
        "limits": limits_stats(&generation),
        "stores": stores_stats(&generation),
        "databases": databases_stats(&generation),
        "plan": {
            "version": version.number,
            "hash": version.hash,
            "reload_failures": bridge.reload_failures.load(Ordering::Relaxed),
        },
    })
}

fn places(bridge: &Bridge) -> Value {
    let place = |place: Place| {
        let takes = bridge.counters.of(place);
        let entry = json!({
            "takes": takes.count.load(Ordering::Relaxed),
            "waited_ns": takes.waited.load(Ordering::Relaxed),
            "held_ns": takes.held.load(Ordering::Relaxed),
        });
        (place.name().to_owned(), entry)
    };
    Value::Object(Place::ALL.into_iter().map(place).collect())
}

fn routes_stats(generation: &Generation) -> Value {
    let route = |route: &Arc<Route>| {
        let placement = &route.placement;
        let entry = json!({
            "inline": placement.may_inline(),
            "lane": placement.lane().name(),
            "reason": placement.reason().name(),
            "runs": placement.runs.load(Ordering::Relaxed),
            "inline_runs": placement.inline_runs.load(Ordering::Relaxed),
            "handler": route.name,
        });
        (route.label.clone(), entry)
    };
    Value::Object(generation.routes.iter().flatten().map(route).collect())
}

/// What each limit has refused in this process, and what it would have refused out of the shadow.
/// Limits of one name are added up.
fn limits_stats(generation: &Generation) -> Value {
    let mut sums: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    for limit in &generation.limits {
        let sum = sums.entry(limit.name()).or_default();
        sum[0] += limit.refused.load(Ordering::Relaxed);
        sum[1] += limit.shadowed.load(Ordering::Relaxed);
    }
    let entry = |(name, [refused, shadowed]): (&str, [u64; 2])| {
        (name.to_owned(), json!({"refused": refused, "shadow_limited": shadowed}))
    };
    Value::Object(sums.into_iter().map(entry).collect())
}

/// Stores of one URL are told of together.
fn stores_stats(generation: &Generation) -> Value {
    let mut sums: BTreeMap<String, (u64, u64, bool)> = BTreeMap::new();
    for store in generation.plan.stores() {
        let (asked, failed, is_open) = store.counters();
        let sum = sums.entry(store.shown().to_owned()).or_default();
        *sum = (sum.0 + asked, sum.1 + failed, sum.2 || is_open);
    }
    let entry = |(name, (asked, failed, open))| {
        (name, json!({"asked": asked, "failed": failed, "open": open}))
    };
    Value::Object(sums.into_iter().map(entry).collect())
}

fn databases_stats(generation: &Generation) -> Value {
    let databases = generation.plan.databases.iter().filter_map(|database| {
        let told = database.counters()?;
        let stats = json!({
            "asked": told.asked,
            "failed": told.failed,
            "prepared": told.prepared,
            "in_flight": told.in_flight,
            "connections": told.connections,
            "microseconds": told.microseconds,
        });
        Some((database.alias.clone(), stats))
    });
    Value::Object(databases.collect())
}

/// Whether the SQLite that reads declared queries is the one that `sqlite3` has loaded: whoever made
/// `table` in the database in memory called `uri` is seen.
#[pyfunction]
pub fn sees_sqlite(uri: &str, table: &str) -> bool {
    pybolt_engine::query::sqlite::sees(uri, table)
}
