//! Running a handler and turning what it returned into an [`Answer`]. The GIL is held throughout.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pybolt_engine::http::{HeaderName, HeaderValue, Headers, StatusCode, header};
use pybolt_engine::placement::Touch;
use pybolt_engine::request::Parts;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use pyo3::{ffi, intern};

use crate::answer::{Answer, AnswerBody};
use crate::bridge::{Bridge, Route};
use crate::job::RequestBody;
use crate::request::Request;
use crate::stream;

thread_local! {
    /// Whether this thread belongs to a lane, and whether its current run touched the database.
    static OURS: Cell<bool> = const { Cell::new(false) };
    /// Whether any run of it ever did.
    static CONNECTED: Cell<bool> = const { Cell::new(false) };
    static TOUCHED: Cell<Touch> = const { Cell::new(Touch::None) };
    /// Whether this thread's connections were looked after since its last run began, and until when
    /// that holds.
    static IN_ORDER: Cell<bool> = const { Cell::new(false) };
    static DUE: Cell<Option<Instant>> = const { Cell::new(None) };
}

thread_local! {
    static IO: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as the one with the sockets and the databases' connections.
pub fn become_io_thread() {
    IO.set(true);
}

/// Whether it is.
pub fn on_io_thread() -> bool {
    IO.get()
}

/// Marks this thread as one of the bridge's own.
pub fn own_thread() {
    OURS.set(true);
}

/// Says that a database is asked on this thread, and whether it is one of this process.
#[pyfunction]
#[pyo3(signature = (*, is_local))]
pub fn mark_database(is_local: bool) {
    touch(if is_local { Touch::Local } else { Touch::Remote });
}

/// Says that this thread touches a database so.
pub fn touch(touch: Touch) {
    if OURS.get() {
        TOUCHED.set(TOUCHED.get().max(touch));
        CONNECTED.set(true);
    }
}

/// Executes a query that is waited for, and marks the run: an execute wrapper of Django's.
#[pyfunction]
#[pyo3(signature = (execute, *query))]
pub fn mark_query<'py>(
    execute: &Bound<'py, PyAny>,
    query: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    touch(Touch::Remote);
    execute.call1(query)
}

/// The same for a query of SQLite.
#[pyfunction]
#[pyo3(signature = (execute, *query))]
pub fn mark_local_query<'py>(
    execute: &Bound<'py, PyAny>,
    query: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    touch(Touch::Local);
    execute.call1(query)
}

/// How the run since the last call touched databases on this thread.
pub fn take_database_mark() -> Touch {
    TOUCHED.replace(Touch::None)
}

/// A `contextvars.Context` that one request has to itself.
#[derive(Clone)]
pub struct RequestContext<'py>(pub Bound<'py, PyAny>);

/// A context that is current on this thread, until dropped.
pub struct Entered<'a, 'py>(&'a RequestContext<'py>);

impl<'py> RequestContext<'py> {
    /// A new, empty context.
    pub fn new(py: Python<'py>) -> PyResult<Self> {
        // SAFETY: the GIL is held; `PyContext_New` gives a new reference or null with an error.
        unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_New()) }.map(Self)
    }

    /// A copy of the current one.
    pub fn copy_current(py: Python<'py>) -> PyResult<Self> {
        // SAFETY: as above.
        unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }.map(Self)
    }

    /// What it holds by thread goes on on the loop's.
    pub fn move_to_loop(&self, py: Python<'_>, bridge: &Bridge) {
        let event_loop = bridge.runtime.event_loop.bind(py);
        let moved = event_loop
            .getattr(intern!(py, "_thread_id"))
            .and_then(|thread| bridge.runtime.move_context.bind(py).call1((&self.0, thread)));
        if let Err(error) = moved {
            error.write_unraisable(py, None);
        }
    }

    /// What it holds by thread goes on on this one.
    pub fn move_here(&self, py: Python<'_>, bridge: &Bridge) -> PyResult<()> {
        bridge.runtime.move_context.bind(py).call1((&self.0,)).map(drop)
    }

    /// Makes it current; it must not be current anywhere.
    pub fn enter(&self) -> PyResult<Entered<'_, 'py>> {
        // SAFETY: this is a context object, and the GIL is held.
        if unsafe { ffi::PyContext_Enter(self.0.as_ptr()) } != 0 {
            return Err(PyErr::fetch(self.0.py()));
        }
        Ok(Entered(self))
    }
}

impl Drop for Entered<'_, '_> {
    fn drop(&mut self) {
        let context = &self.0.0;
        // SAFETY: `enter` made it current on this thread, and contexts nest.
        if unsafe { ffi::PyContext_Exit(context.as_ptr()) } != 0 {
            PyErr::fetch(context.py()).write_unraisable(context.py(), None);
        }
    }
}

/// Makes the request object.
pub fn request_object(
    py: Python<'_>,
    parts: Box<Parts>,
    body: RequestBody,
) -> PyResult<Py<Request>> {
    Py::new(py, Request::new(parts, body))
}

/// Calls a sync handler in a fresh context and answers.
pub fn run_sync(
    py: Python<'_>,
    bridge: &Arc<Bridge>,
    route: &Route,
    parts: Box<Parts>,
    body: RequestBody,
) -> Answer {
    let request = match request_object(py, parts, body) {
        Ok(request) => request,
        Err(error) => return fail(py, bridge, route, None, error),
    };
    before(py, bridge);
    let result = RequestContext::new(py).and_then(|context| {
        let _entered = context.enter()?;
        let result = route.call.bind(py).call1((&request,))?;
        answer(py, bridge, &result)
    });
    let answer = result.unwrap_or_else(|error| fail(py, bridge, route, Some(&request), error));
    after(py, bridge);
    answer
}

/// To be done before a run on a thread of the bridge's own: what has grown old since its last run is
/// not handed to this one, nor what that one left open without a query.
pub fn before(py: Python<'_>, bridge: &Bridge) {
    let is_due = || DUE.get().is_some_and(|due| Instant::now() >= due);
    if CONNECTED.get() && (!IN_ORDER.get() || is_due()) {
        housekeeping(py, bridge);
    }
    IN_ORDER.set(false);
}

/// To be done after it, before anybody hears of its answer.
pub fn after(py: Python<'_>, bridge: &Bridge) {
    let touched = take_database_mark();
    if touched > Touch::None {
        DATABASE_RUN.set(touched);
        housekeeping(py, bridge);
    }
}

thread_local! {
    static DATABASE_RUN: Cell<Touch> = const { Cell::new(Touch::None) };
}

/// How the run that has just ended on this thread, sync or async, touched databases.
pub fn last_run_touched_database() -> Touch {
    // Both are reset: the next run's marks are its own.
    take_database_mark().max(DATABASE_RUN.replace(Touch::None))
}

/// Lets Django look after this thread's connections.
pub fn housekeeping(py: Python<'_>, bridge: &Bridge) {
    let looked = bridge.runtime.housekeeping.bind(py).call0();
    match looked.and_then(|seconds| seconds.extract::<Option<f64>>()) {
        Ok(seconds) => {
            let left = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok();
            DUE.set(seconds.and_then(left).and_then(|left| Instant::now().checked_add(left)));
            IN_ORDER.set(true);
        }
        Err(error) => error.write_unraisable(py, Some(bridge.runtime.housekeeping.bind(py))),
    }
}

/// Closes this thread's connections, where it ever had any: it ends.
pub fn close_connections(py: Python<'_>, bridge: &Bridge) {
    if CONNECTED.replace(false)
        && let Err(error) = bridge.runtime.close_connections.bind(py).call0()
    {
        error.write_unraisable(py, None);
    }
}

/// Turns what a handler returned into an answer. A queryset is evaluated.
///
/// # Errors
/// When it cannot be encoded.
pub fn answer(py: Python<'_>, bridge: &Arc<Bridge>, result: &Bound<'_, PyAny>) -> PyResult<Answer> {
    if result.is_exact_instance_of::<PyDict>() || result.is_exact_instance_of::<PyList>() {
        return json(py, bridge, result);
    }
    if is_queryset(bridge, result)? {
        let rows = PyList::empty(py);
        rows.call_method1(intern!(py, "extend"), (result,))?;
        return json(py, bridge, &rows);
    }
    let rendered = bridge.runtime.render.bind(py).call1((result,))?;
    from_rendered(bridge, &rendered)
}

/// Whether a handler returned a queryset that was not evaluated.
pub fn is_unread(bridge: &Bridge, result: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(is_queryset(bridge, result)?
        && result.getattr(intern!(result.py(), "_result_cache"))?.is_none())
}

/// Of the type alone: `isinstance` would evaluate what is lazy.
fn is_queryset(bridge: &Bridge, result: &Bound<'_, PyAny>) -> PyResult<bool> {
    result.get_type().is_subclass(bridge.runtime.queryset.bind(result.py()))
}

fn json(py: Python<'_>, bridge: &Bridge, value: &Bound<'_, PyAny>) -> PyResult<Answer> {
    let runtime = &bridge.runtime;
    let encoded =
        runtime.dumps.bind(py).call1((value, &runtime.default, &runtime.options)).or_else(
            |error| match error.cause(py) {
                // What a hook raised. It has run, and is not run again.
                Some(cause) => Err(cause),
                // A limit of the encoder's own, such as integers beyond 64 bits.
                None if error.is_instance_of::<PyTypeError>(py) => {
                    runtime.encode.bind(py).call1((value,))
                }
                None => Err(error),
            },
        )?;
    let bytes = encoded.cast::<PyBytes>()?;
    let mut headers = Headers::new();
    headers.append(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = AnswerBody::Full(Bytes::copy_from_slice(bytes.as_bytes()));
    Ok(Answer::new(StatusCode::OK, headers, body))
}

/// The answer to an exception: logged and described by Python, which never raises itself.
pub fn fail(
    py: Python<'_>,
    bridge: &Arc<Bridge>,
    route: &Route,
    request: Option<&Py<Request>>,
    error: PyErr,
) -> Answer {
    let described = bridge
        .runtime
        .failure
        .bind(py)
        .call1((error.into_value(py), route.name.as_str(), request))
        .and_then(|rendered| from_rendered(bridge, &rendered));
    described.unwrap_or_else(|second| {
        second.write_unraisable(py, None);
        internal_error()
    })
}

/// The last resort: a bare `500`.
pub fn internal_error() -> Answer {
    let kind = pybolt_engine::middleware::rejection::RejectionKind::Internal;
    let mut headers = Headers::new();
    headers.append(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    Answer::new(
        kind.status(),
        headers,
        AnswerBody::Full(Bytes::from_static(kind.json().as_bytes())),
    )
}

/// Reads `(status, headers, body)`; body is `bytes`, `("stream_sync" | "stream_async", iterator)`
/// or `("file", path)`. A `content-length` beside a stream is its length.
fn from_rendered(bridge: &Arc<Bridge>, rendered: &Bound<'_, PyAny>) -> PyResult<Answer> {
    let py = rendered.py();
    let rendered = rendered.cast::<PyTuple>()?;
    let status = rendered.get_borrowed_item(0)?.extract::<u16>()?;
    let status =
        StatusCode::from_u16(status).map_err(|_| PyTypeError::new_err("not an HTTP status"))?;
    let given = rendered.get_borrowed_item(1)?;
    let given = given.cast::<PyList>()?;
    let mut headers = Headers::with_capacity(given.len() + 4);
    for pair in given.iter() {
        let (name, value) = pair.extract::<(String, String)>()?;
        headers.append(header_name(&name)?, header_value(&value)?);
    }
    let body = rendered.get_borrowed_item(2)?;
    let body = if let Ok(bytes) = body.cast::<PyBytes>() {
        AnswerBody::Full(Bytes::copy_from_slice(bytes.as_bytes()))
    } else {
        let (kind, source) = body.extract::<(String, Bound<'_, PyAny>)>()?;
        match kind.as_str() {
            "file" => AnswerBody::File(source.extract::<PathBuf>()?),
            "stream_async" => {
                AnswerBody::Stream(stream::start_async(py, bridge, &source, length(&headers)?)?)
            }
            "stream_sync" => {
                AnswerBody::Stream(stream::start_sync(py, bridge, &source, length(&headers)?)?)
            }
            _ => return Err(PyTypeError::new_err("not a kind of response body")),
        }
    };
    Ok(Answer::new(status, headers, body))
}

/// The length that the application says a stream has.
fn length(headers: &Headers) -> PyResult<Option<u64>> {
    let Some(value) = headers.get(&header::CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| PyTypeError::new_err("the content-length is not a number"))
}

fn header_name(name: &str) -> PyResult<HeaderName> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| PyTypeError::new_err("a response header's name is not valid"))
}

fn header_value(value: &str) -> PyResult<HeaderValue> {
    match value {
        "application/json" => Ok(HeaderValue::from_static("application/json")),
        "text/plain; charset=utf-8" => Ok(HeaderValue::from_static("text/plain; charset=utf-8")),
        _ => latin_1(value)
            .and_then(|bytes| HeaderValue::from_maybe_shared(bytes).ok())
            .ok_or_else(|| PyTypeError::new_err("a response header's value is not valid")),
    }
}

/// The bytes of a field value, which is Latin-1 as in Django; `None` where it is not.
fn latin_1(value: &str) -> Option<Bytes> {
    if value.is_ascii() {
        return Some(Bytes::copy_from_slice(value.as_bytes()));
    }
    value.chars().map(|char| u8::try_from(char).ok()).collect()
}

/// Whether a task was cancelled.
pub fn is_cancelled(py: Python<'_>, task: &Bound<'_, PyAny>) -> bool {
    task.call_method0(intern!(py, "cancelled"))
        .and_then(|cancelled| cancelled.is_truthy())
        .unwrap_or(false)
}
