//! Declared reads: a Django queryset that answers a route, compiled to SQL at startup by Django's own
//! compiler (`pybolt/queries`) and run and encoded here, without Python.
//!
//! The answer is, byte for byte, what `JsonResponse(list(queryset), safe=False)` gives. SQL text comes
//! from Django alone, every value of a request is bound. A value that is missing or does not fit is
//! 422 after authorization and before the database, one of the principal's included. More rows than
//! `max_rows` are an error, never a cut answer. Neither SQL nor values reach the client, and no value
//! the log.
//!
//! Options: `query: "shop.queries:latest"`, or `api.query("/items", Item.objects.values()[:10])`.
//! Refusals: `overloaded` where too many statements wait, `database_unavailable` where
//! the database does not answer, `timeout`, `internal`. Example: `{path: /items, query:
//! "shop.queries:latest"}`.

mod answer;
pub mod cell;
mod counters;
pub mod databases;
mod json;
mod page;
mod parameters;
mod policy;
mod postgres;
pub mod python;
pub mod rows;
mod scalar;
pub mod sqlite;
mod statement;
mod transcode;
pub mod wire;

pub use self::answer::Reading;
pub use self::counters::Counters;
pub use self::databases::{Database, Databases};
pub use self::parameters::{Value, Values};
pub use self::policy::{NestedPlan, QueryPolicy, ReadPlan};
pub use self::postgres::Postgres;
pub use self::wire::Query as QueryConfig;

/// Why there are no rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The database does not answer.
    Unavailable,
    /// Too many statements wait for it.
    Crowded,
    /// It took longer than any route may.
    Late,
    /// There are more rows than may be.
    TooMany,
    /// Something else, in words without values.
    Failed(String),
}
