//! The request as Python sees it: one frozen class whose getters do their work when asked.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use pybolt_engine::http::{HeaderName, HeaderValue, header};
use pybolt_engine::middleware::authenticate::Principal as Known;
use pybolt_engine::request::Parts;
use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::inlet::{BodyReader, Inlet};
use crate::job::RequestBody;
use crate::multidict::MultiDict;

/// The names that `request[...]` knows.
const NAMES: [&str; 19] = [
    "method",
    "path",
    "original_path",
    "script_name",
    "headers",
    "query",
    "query_string",
    "params",
    "body",
    "client",
    "principal",
    "request_id",
    "csp_nonce",
    "state",
    "cookies",
    "content_type",
    "scheme",
    "host",
    "peer",
];

/// A request. Frozen; also readable as a mapping of its attributes.
#[pyclass(frozen, mapping, module = "pybolt._engine")]
pub struct Request {
    parts: Box<Parts>,
    body: Bytes,
    inlet: Mutex<Option<Inlet>>,
    streams: bool,
    state: OnceLock<Py<PyDict>>,
    principal: PyOnceLock<Py<Principal>>,
    query: PyOnceLock<Py<MultiDict>>,
}

impl Request {
    /// A request around the engine's parts.
    pub fn new(parts: Box<Parts>, body: RequestBody) -> Self {
        let (body, inlet) = match body {
            RequestBody::Full(bytes) => (bytes, None),
            RequestBody::Stream(inlet) => (Bytes::new(), Some(inlet)),
        };
        Self {
            parts,
            body,
            streams: inlet.is_some(),
            inlet: Mutex::new(inlet),
            state: OnceLock::new(),
            principal: PyOnceLock::new(),
            query: PyOnceLock::new(),
        }
    }

    fn text_header(&self, name: &HeaderName) -> Option<String> {
        self.parts.headers.get(name).map(text)
    }
}

/// A header value as text: ISO 8859-1, as WSGI and ASGI servers read it.
fn text(value: &HeaderValue) -> String {
    value.to_str().map_or_else(
        |_| value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
        str::to_owned,
    )
}

#[pymethods]
impl Request {
    /// The method, such as `GET`.
    #[getter]
    fn method(&self) -> &str {
        self.parts.method.as_str()
    }

    /// The decoded path, exactly as it was matched, or as `rewrite` shows it.
    #[getter]
    fn path(&self) -> &str {
        self.parts.path()
    }

    /// The decoded path that was asked for, whatever `rewrite` made of it.
    #[getter]
    fn original_path(&self) -> &str {
        self.parts.original_path()
    }

    /// What `rewrite: {strip_prefix: …}` took off the front of the path; empty where it did not.
    #[getter]
    fn script_name(&self) -> &str {
        self.parts.rewritten.as_ref().map_or("", |shown| &shown.script_name)
    }

    /// The header fields: a case-insensitive mapping with several values a name.
    #[getter]
    fn headers(slf: &Bound<'_, Self>) -> Headers {
        Headers { request: slf.clone().unbind() }
    }

    /// The query string as it was sent.
    #[getter]
    fn query_string(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    /// The query parameters.
    #[getter]
    fn query(&self, py: Python<'_>) -> PyResult<Py<MultiDict>> {
        let parse = || {
            let pairs = form_urlencoded::parse(self.query_string().as_bytes());
            Py::new(py, MultiDict(pairs.map(|(k, v)| (k.into_owned(), v.into_owned())).collect()))
        };
        Ok(self.query.get_or_try_init(py, parse)?.clone_ref(py))
    }

    /// The parameters captured from the path.
    #[getter]
    fn params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let params = PyDict::new(py);
        for (name, value) in &self.parts.params {
            params.set_item(&**name, &**value)?;
        }
        Ok(params)
    }

    /// The whole body; raises `RuntimeError` where the route declared that it streams it.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        if self.streams {
            return Err(PyRuntimeError::new_err(
                "this route declares request_body=\"stream\": read request.stream() instead",
            ));
        }
        Ok(PyBytes::new(py, &self.body))
    }

    /// The body decoded from JSON; raises `MalformedBody`.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("pybolt.bridge")?.getattr("decode_json")?.call1((self.body(py)?,))
    }

    /// The body as an iterator of `bytes`, sync and async; once.
    fn stream(&self, py: Python<'_>) -> PyResult<Py<BodyReader>> {
        if !self.streams {
            return Py::new(py, BodyReader::whole(self.body.clone()));
        }
        let inlet = self.inlet.lock().take();
        let inlet =
            inlet.ok_or_else(|| PyRuntimeError::new_err("the body is being streamed already"))?;
        Py::new(py, BodyReader::stream(inlet))
    }

    /// The client's address, behind trusted proxies the one they name.
    #[getter]
    fn client(&self) -> String {
        self.parts.client_ip.to_string()
    }

    /// The address of the socket's other end, `(address, port)`.
    #[getter]
    fn peer(&self) -> Option<(String, u16)> {
        self.parts.peer.map(|peer| (peer.ip().to_string(), peer.port()))
    }

    /// Who is asking; `None` on a public route.
    #[getter]
    fn principal(&self, py: Python<'_>) -> PyResult<Option<Py<Principal>>> {
        let Some(known) = &self.parts.principal else { return Ok(None) };
        let make = || Py::new(py, Principal { known: Arc::clone(known) });
        Ok(Some(self.principal.get_or_try_init(py, make)?.clone_ref(py)))
    }

    /// The request id, where that middleware is on.
    #[getter]
    fn request_id(&self) -> Option<&str> {
        self.parts.request_id.as_ref().and_then(|id| id.to_str().ok())
    }

    /// The nonce for inline scripts and styles, where the content security policy has a place for
    /// one; made when it is first asked for.
    #[getter]
    fn csp_nonce(&self) -> Option<&str> {
        self.parts.csp_nonce.as_ref().map(|nonce| nonce.get())
    }

    /// The same, where the `csp` context processor of Django 6 looks for it.
    #[getter]
    fn _csp_nonce(&self) -> Option<&str> {
        self.csp_nonce()
    }

    /// A dict for the handler's own notes.
    #[getter]
    fn state(&self, py: Python<'_>) -> Py<PyDict> {
        if let Some(state) = self.state.get() {
            return state.clone_ref(py);
        }
        // Made before it is set, so that nobody waits for it with the GIL held.
        let state = PyDict::new(py).unbind();
        self.state.get_or_init(|| state).clone_ref(py)
    }

    /// The state may hold the request: the collector has to know, and clears the dict itself.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state.get().map_or(Ok(()), |state| visit.call(state))
    }

    /// The cookies.
    #[getter]
    fn cookies(&self) -> MultiDict {
        let lines = self.parts.headers.get_all(header::COOKIE).map(text).collect::<Vec<_>>();
        let pairs = lines.iter().flat_map(|line| line.split(';')).filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = value.trim();
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
            Some((name.trim().to_owned(), value.to_owned()))
        });
        MultiDict(pairs.collect())
    }

    /// The media type of the body, lower case, without parameters; empty where none is named.
    #[getter]
    fn content_type(&self) -> String {
        let value = self.text_header(&header::CONTENT_TYPE).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// `http` or `https`.
    #[getter]
    fn scheme(&self) -> &'static str {
        if self.parts.secure { "https" } else { "http" }
    }

    /// The host that the client asked for.
    #[getter]
    fn host(&self) -> Option<String> {
        self.text_header(&header::HOST)
    }

    fn __getitem__<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if NAMES.contains(&name.to_str()?) {
            return slf.as_any().getattr(name);
        }
        Err(PyKeyError::new_err(name.clone().unbind()))
    }

    fn __contains__(&self, name: &str) -> bool {
        NAMES.contains(&name)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyList::new(py, NAMES)?.try_iter()?.into_any())
    }

    fn __len__(&self) -> usize {
        NAMES.len()
    }

    fn keys(&self) -> Vec<&'static str> {
        NAMES.to_vec()
    }

    #[pyo3(signature = (name, default=None))]
    fn get<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyString>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if NAMES.contains(&name.to_str()?) {
            return slf.as_any().getattr(name).map(Some);
        }
        Ok(default)
    }

    fn __repr__(&self) -> String {
        format!("<Request {} {:?}>", self.parts.method, self.parts.path())
    }
}

/// The header fields of a request: a case-insensitive mapping; `[name]` gives the first value.
#[pyclass(frozen, mapping, module = "pybolt._engine")]
pub struct Headers {
    request: Py<Request>,
}

impl Headers {
    fn first(&self, name: &str) -> Option<String> {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        self.request.get().text_header(&name)
    }

    fn names(&self) -> Vec<&str> {
        self.request.get().parts.headers.keys().map(HeaderName::as_str).collect()
    }
}

#[pymethods]
impl Headers {
    fn __getitem__(&self, name: &str) -> PyResult<String> {
        self.first(name).ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn __contains__(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    fn __len__(&self) -> usize {
        self.request.get().parts.headers.len_keys()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyList::new(py, self.names())?.try_iter()?.into_any())
    }

    #[pyo3(signature = (name, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self.first(name) {
            Some(value) => Some(value.into_pyobject(py)?.into_any()),
            None => default,
        })
    }

    /// Every value of `name`, in order.
    fn getlist(&self, name: &str) -> Vec<String> {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { return Vec::new() };
        self.request.get().parts.headers.get_all(name).map(text).collect()
    }

    /// The names, lower case.
    fn keys(&self) -> Vec<&str> {
        self.names()
    }

    /// The first value of every name.
    fn values(&self) -> Vec<String> {
        self.names().into_iter().filter_map(|name| self.first(name)).collect()
    }

    /// Every (name, value) pair; a name with several values comes several times.
    fn items(&self) -> Vec<(&str, String)> {
        self.request
            .get()
            .parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), text(value)))
            .collect()
    }

    fn __repr__(&self) -> String {
        format!("<Headers {:?}>", self.names())
    }
}

/// Who is asking.
#[pyclass(frozen, module = "pybolt._engine")]
pub struct Principal {
    known: Arc<Known>,
}

#[pymethods]
impl Principal {
    /// The identifier: a token's `sub`, an API key's id.
    #[getter]
    fn id(&self) -> &str {
        &self.known.id
    }

    /// The roles.
    #[getter]
    fn roles(&self) -> Vec<String> {
        self.known.roles.clone()
    }

    /// The scopes.
    #[getter]
    fn scopes(&self) -> Vec<String> {
        self.known.scopes.clone()
    }

    /// The verified claims.
    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let json = serde_json::to_vec(self.known.claims.read())
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        py.import("pybolt.bridge")?.getattr("decode_json")?.call1((PyBytes::new(py, &json),))
    }

    /// The method that vouches for it: `jwt`, `api_key`.
    #[getter]
    fn method(&self) -> &str {
        self.known.method
    }

    fn __repr__(&self) -> String {
        format!("<Principal {:?} by {}>", self.known.id, self.known.method)
    }
}
