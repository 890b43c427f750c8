//! The extension module `pybolt._engine`: the bridge between the engine and Python.
//!
//! The only code that names pyo3. The interpreter is attached in two files: `inline.rs` (a quick
//! handler on the I/O thread) and `lanes.rs` (the lane threads); the asyncio loop's own thread is
//! Python's and calls in.

// pyo3 hands arguments over by value, and methods must take the object.
#![allow(clippy::needless_pass_by_value, clippy::type_complexity, clippy::unused_self)]

mod answer;
mod asyncio;
mod bridge;
mod completions;
mod control;
mod counters;
mod dispatch;
mod generation;
mod hosted;
mod inlet;
mod inline;
mod inspect;
mod job;
mod lanes;
mod loop_queue;
mod memory;
mod multidict;
mod objects;
mod orders;
mod reads;
mod rebuild;
mod reports;
mod request;
mod run;
mod serving;
mod slot;
mod step;
mod stream;
mod tasks;

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<control::Engine>()?;
    module.add_class::<request::Request>()?;
    module.add_class::<request::Headers>()?;
    module.add_class::<request::Principal>()?;
    module.add_class::<multidict::MultiDict>()?;
    module.add_class::<inlet::BodyReader>()?;
    module.add_class::<reads::Call>()?;
    module.add_class::<step::Step>()?;
    module.add_class::<tasks::Finished>()?;
    module.add_class::<tasks::RequestThread>()?;
    module.add_function(wrap_pyfunction!(inspect::check, module)?)?;
    module.add_function(wrap_pyfunction!(inspect::check_online, module)?)?;
    module.add_function(wrap_pyfunction!(inspect::codes, module)?)?;
    module.add_function(wrap_pyfunction!(inspect::effective, module)?)?;
    module.add_function(wrap_pyfunction!(inspect::matches, module)?)?;
    module.add_function(wrap_pyfunction!(inspect::schema, module)?)?;
    module.add_function(wrap_pyfunction!(inspect::explain, module)?)?;
    module.add_function(wrap_pyfunction!(inspect::routes, module)?)?;
    module.add_function(wrap_pyfunction!(inspect::server, module)?)?;
    module.add_function(wrap_pyfunction!(inspect::stats, module)?)?;
    module.add_function(wrap_pyfunction!(inspect::sees_sqlite, module)?)?;
    module.add_function(wrap_pyfunction!(run::mark_database, module)?)?;
    module.add_function(wrap_pyfunction!(run::mark_query, module)?)?;
    module.add_function(wrap_pyfunction!(run::mark_local_query, module)?)?;
    Ok(())
}
