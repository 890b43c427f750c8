//! Rows of a query as Python objects, and Python values as its parameters.

use crate::bridge::Bridge;
use pybolt_engine::query::cell::{Broken, Cell, Inline};
use pybolt_engine::query::databases::Table;
use pybolt_engine::query::rows::{Children, Fetched};
use pybolt_engine::query::wire::{Rows, Scalar, Shape};
use pybolt_engine::query::{Failure, QueryPolicy, ReadPlan, Value, Values, python};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// The classes that values are made of.
pub struct Classes {
    decimal: Py<PyAny>,
    uuid: Py<PyAny>,
    date: Py<PyAny>,
    datetime: Py<PyAny>,
    time: Py<PyAny>,
    timedelta: Py<PyAny>,
    utc: Py<PyAny>,
    loads: Py<PyAny>,
    failed: Py<PyAny>,
    text: Py<PyAny>,
}

impl Classes {
    /// Those of `bridge`, imported once.
    pub fn of<'a>(py: Python<'_>, bridge: &'a Bridge) -> PyResult<&'a Self> {
        bridge.classes.get_or_try_init(py, || {
            let get =
                |module: &str, name: &str| py.import(module)?.getattr(name).map(Bound::unbind);
            Ok(Self {
                decimal: get("decimal", "Decimal")?,
                uuid: get("uuid", "UUID")?,
                date: get("datetime", "date")?,
                datetime: get("datetime", "datetime")?,
                time: get("datetime", "time")?,
                timedelta: get("datetime", "timedelta")?,
                utc: py.import("datetime")?.getattr("timezone")?.getattr("utc")?.unbind(),
                loads: get("json", "loads")?,
                failed: get("pybolt.queries.compiled", "failure")?,
                text: get("pybolt.queries.compiled", "as_text")?,
            })
        })
    }
}

/// What a query found, as the object that its read is.
pub fn found(
    py: Python<'_>,
    classes: &Classes,
    policy: &QueryPolicy,
    outcome: Result<Vec<Fetched>, Failure>,
) -> PyResult<Py<PyAny>> {
    let raise = |failure: &Failure| -> PyErr {
        let (kind, reason) = match failure {
            Failure::Unavailable => ("unavailable", ""),
            Failure::Crowded => ("crowded", ""),
            Failure::Late => ("late", ""),
            Failure::TooMany => ("too_many", ""),
            Failure::Failed(reason) => ("failed", reason.as_str()),
        };
        let made = classes.failed.bind(py).call1((kind, reason, policy.name.as_str()));
        made.map_or_else(|error| error, PyErr::from_value)
    };
    let fetched = outcome.map_err(|failure| raise(&failure))?;
    let made = Making { py, classes };
    let mut results = policy.reads.iter().zip(&fetched);
    if policy.is_object() {
        let all = PyDict::new(py);
        for (read, found) in results {
            all.set_item(read.key.as_deref().unwrap_or_default(), made.read(read, found)?)?;
        }
        return Ok(all.into_any().unbind());
    }
    let (read, found) = results.next().ok_or_else(|| raise(&Failure::Unavailable))?;
    made.read(read, found).map(Bound::unbind)
}

struct Making<'a, 'py> {
    py: Python<'py>,
    classes: &'a Classes,
}

type Made<'py> = PyResult<Bound<'py, PyAny>>;

impl<'py> Making<'_, 'py> {
    fn read(&self, read: &ReadPlan, found: &Fetched) -> Made<'py> {
        let count = found.table.count();
        match read.shape {
            Shape::List => {
                let rows = (0..count).map(|row| self.row(read, &found.table, row, &found.children));
                let rows: Vec<_> = rows.collect::<PyResult<_>>()?;
                Ok(PyList::new(self.py, rows)?.into_any())
            }
            Shape::One | Shape::Value if count == 0 => Ok(self.py.None().into_bound(self.py)),
            Shape::One => self.row(read, &found.table, 0, &found.children),
            Shape::Value => self.value(&found.table, 0, read.layout.columns[0].number),
        }
    }

    fn row(&self, read: &ReadPlan, table: &Table, row: usize, children: &[Children]) -> Made<'py> {
        let columns = &read.layout.columns;
        match read.layout.rows {
            Rows::Values => self.value(table, row, columns[0].number),
            Rows::Arrays => {
                let values = columns.iter().map(|column| self.value(table, row, column.number));
                Ok(PyTuple::new(self.py, values.collect::<PyResult<Vec<_>>>()?)?.into_any())
            }
            Rows::Objects => {
                let made = PyDict::new(self.py);
                for column in columns {
                    let name = PyString::intern(self.py, &column.name);
                    made.set_item(name, self.value(table, row, column.number)?)?;
                }
                for (plan, children) in read.nested.iter().zip(children) {
                    let rows = children.of(plan, table, row).map_err(|broken| raised(&broken))?;
                    let rows =
                        rows.iter().map(|&row| self.row(&plan.read, &children.table, row, &[]));
                    made.set_item(&plan.name, rows.collect::<PyResult<Vec<_>>>()?)?;
                }
                Ok(made.into_any())
            }
        }
    }

    fn value(&self, table: &Table, row: usize, column: usize) -> Made<'py> {
        let made = table.with(row, column, |cell| Ok(self.cell(cell)));
        made.unwrap_or_else(|broken| Err(raised(&broken)))
    }

    fn cell(&self, cell: &Cell<'_>) -> Made<'py> {
        let (py, classes) = (self.py, self.classes);
        Ok(match cell {
            Cell::Null => py.None().into_bound(py),
            Cell::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
            Cell::Int(value) => PyInt::new(py, *value).into_any(),
            Cell::Float(value) => PyFloat::new(py, *value).into_any(),
            Cell::Text(value) => PyString::new(py, value).into_any(),
            Cell::Digits(digits) => py.get_type::<PyInt>().call1((digits.as_str(),))?,
            Cell::Decimal(value) => classes.decimal.bind(py).call1((shown(value),))?,
            Cell::Uuid(bytes) => {
                let text = python::uuid(*bytes);
                classes.uuid.bind(py).call1((shown(&text),))?
            }
            Cell::Date(days) => {
                let (year, month, day) =
                    python::calendar(*days).map_err(|broken| raised(&broken))?;
                classes.date.bind(py).call1((year, month, day))?
            }
            Cell::Datetime(since, aware) => {
                let ((year, month, day), (hour, minute, second, micro)) =
                    python::parts(*since).map_err(|broken| raised(&broken))?;
                let utc = classes.utc.bind(py);
                let zone = if *aware { utc.clone() } else { py.None().into_bound(py) };
                let class = classes.datetime.bind(py);
                class.call1((year, month, day, hour, minute, second, micro, zone))?
            }
            Cell::Time(since) => {
                let (_, (hour, minute, second, micro)) =
                    python::parts(*since).map_err(|broken| raised(&broken))?;
                classes.time.bind(py).call1((hour, minute, second, micro))?
            }
            Cell::Duration(span) => classes.timedelta.bind(py).call1((0, 0, *span))?,
            Cell::Json(text) => classes.loads.bind(py).call1((text.as_ref(),))?,
            Cell::List(cells) => {
                let cells = cells.iter().map(|cell| self.cell(cell));
                PyList::new(py, cells.collect::<PyResult<Vec<_>>>()?)?.into_any()
            }
        })
    }
}

fn shown(text: &Inline) -> &str {
    std::str::from_utf8(text.as_bytes()).unwrap_or_default()
}

fn raised(broken: &Broken) -> PyErr {
    PyValueError::new_err(format!("a row has {}", broken.0))
}

/// Python values as the parameters of `policy`.
pub fn given(
    py: Python<'_>,
    classes: &Classes,
    policy: &QueryPolicy,
    values: Vec<Option<Bound<'_, PyAny>>>,
) -> PyResult<Values> {
    let read =
        |(parameter, value): (&pybolt_engine::query::wire::Parameter, Option<Bound<'_, PyAny>>)| {
            let Some(value) = value else { return Ok(None) };
            let text = match parameter.scalar {
                Scalar::Int if value.is_exact_instance_of::<PyInt>() => {
                    value.extract::<i64>()?.to_string()
                }
                Scalar::Str if value.is_exact_instance_of::<PyString>() => value.extract()?,
                _ => classes.text.bind(py).call1((value, parameter.name.as_str()))?.extract()?,
            };
            Ok(Some(Value(text)))
        };
    if values.len() != policy.parameters.len() {
        return Err(PyTypeError::new_err("as many values as parameters"));
    }
    policy.parameters.iter().zip(values).map(read).collect()
}
