//! A small ordered mapping from names to several values: query parameters and cookies.

use std::collections::{HashMap, HashSet};

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// A read-only mapping whose names may have several values; `[name]` gives the last one.
#[pyclass(frozen, mapping, module = "pybolt._engine")]
pub struct MultiDict(pub Vec<(String, String)>);

impl MultiDict {
    fn last(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn names(&self) -> Vec<&str> {
        let mut seen = HashSet::with_capacity(self.0.len());
        self.0.iter().map(|(name, _)| name.as_str()).filter(|name| seen.insert(*name)).collect()
    }

    /// Every name with its last value, in the order of the names' first.
    fn lasts(&self) -> Vec<(&str, &str)> {
        let pairs = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let lasts: HashMap<&str, &str> = pairs.collect();
        self.names().into_iter().map(|name| (name, lasts[name])).collect()
    }
}

#[pymethods]
impl MultiDict {
    fn __getitem__(&self, name: &str) -> PyResult<&str> {
        self.last(name).ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn __contains__(&self, name: &str) -> bool {
        self.last(name).is_some()
    }

    fn __len__(&self) -> usize {
        self.names().len()
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
        Ok(match self.last(name) {
            Some(value) => Some(value.into_pyobject(py)?.into_any()),
            None => default,
        })
    }

    /// Every value of `name`, in order.
    fn getlist(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    fn keys(&self) -> Vec<&str> {
        self.names()
    }

    fn values(&self) -> Vec<&str> {
        self.lasts().into_iter().map(|(_, value)| value).collect()
    }

    /// Every name with its last value.
    fn items(&self) -> Vec<(&str, &str)> {
        self.lasts()
    }

    /// Every (name, value) pair, in order.
    fn multi_items(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn __repr__(&self) -> String {
        format!("MultiDict({:?})", self.0)
    }
}
