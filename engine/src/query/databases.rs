//! The databases of a plan: what routes read from, and what one plan takes over from another.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value as JsonValue;

use super::counters::Counters;
use super::postgres::{self, Postgres};
use super::sqlite::{self, Sqlite};
use super::statement::Statement;
use super::wire;
use super::wire::Query;
use super::{Failure, QueryPolicy, Value};
use crate::config::diagnostic::{Diagnostics, Location};

/// A statement of a route without a timeout runs so long at most.
const LONGEST: Duration = Duration::from_secs(3600);

/// A database under its alias; it is made when all routes that read from it are known.
#[derive(Debug)]
pub struct Database {
    /// Django's alias.
    pub alias: String,
    config: wire::Database,
    made: OnceLock<Made>,
}

#[derive(Debug, Clone)]
enum Made {
    Postgres(Arc<Postgres>),
    Sqlite(Arc<Sqlite>),
}

/// Rows, wherever they come from.
pub enum Table {
    /// PostgreSQL's.
    Postgres(postgres::Answered),
    /// SQLite's.
    Sqlite(sqlite::Answered),
}

impl Table {
    /// How many rows there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Postgres(rows) => rows.count(),
            Self::Sqlite(rows) => rows.count(),
        }
    }
}

impl Database {
    /// Whether moments are told with their offset.
    pub fn use_tz(&self) -> bool {
        match &self.config {
            wire::Database::Postgresql(config) => config.use_tz,
            wire::Database::Sqlite { use_tz, .. } => *use_tz,
        }
    }

    /// `PostgreSQL` or `SQLite`.
    pub fn engine(&self) -> &'static str {
        match &self.config {
            wire::Database::Postgresql(_) => "PostgreSQL",
            wire::Database::Sqlite { .. } => "SQLite",
        }
    }

    /// The rows of `statement` with `values`, `max` of them at most.
    pub async fn rows(
        &self,
        statement: &Arc<Statement>,
        values: &[Option<Value>],
        max: u64,
    ) -> Result<Table, Failure> {
        match self.made.get() {
            Some(Made::Postgres(made)) => {
                made.rows(statement, values, max).await.map(Table::Postgres)
            }
            Some(Made::Sqlite(made)) => made.rows(statement, values, max).await.map(Table::Sqlite),
            None => Err(Failure::Unavailable),
        }
    }

    fn make(&self, timeout: Duration, before: &[Arc<Self>], out: &mut Diagnostics) {
        let before = before.iter().find(|before| before.alias == self.alias);
        let inherited = before.filter(|before| before.config == self.config);
        let inherited = inherited.and_then(|before| before.made.get()).filter(|made| match made {
            Made::Postgres(made) => made.is_for(timeout),
            Made::Sqlite(made) => made.is_for(timeout),
        });
        let made = match (inherited, &self.config) {
            (Some(made), _) => Ok(made.clone()),
            (None, wire::Database::Postgresql(config)) => {
                Postgres::new(&self.alias, config, timeout).map(Arc::new).map(Made::Postgres)
            }
            (None, wire::Database::Sqlite { path, use_tz, pool }) => {
                let made = Sqlite::new(Path::new(path), *use_tz, *pool, timeout);
                Ok(Made::Sqlite(Arc::new(made)))
            }
        };
        match made {
            Ok(made) => drop(self.made.set(made)),
            Err(reason) => {
                let message = format!("database `{}`: {reason}", self.alias);
                out.error("E239", &Location::default(), message);
            }
        }
    }

    /// Begins to connect.
    pub fn start(&self) {
        if let Some(Made::Postgres(made)) = self.made.get() {
            made.start();
        }
    }

    /// Waits until it is known whether it answers.
    pub async fn settled(&self) {
        if let Some(Made::Postgres(made)) = self.made.get() {
            made.settled().await;
        }
    }

    /// What it has done.
    pub fn counters(&self) -> Option<Counters> {
        match self.made.get()? {
            Made::Postgres(made) => Some(made.counters()),
            Made::Sqlite(made) => Some(made.counters()),
        }
    }
}

/// The databases that a plan's routes read from.
#[derive(Debug, Default)]
pub struct Databases {
    known: HashMap<String, Arc<Database>>,
    longest: Duration,
}

impl Databases {
    /// Those of the wire.
    pub fn new(wire: &JsonValue, out: &mut Diagnostics) -> Self {
        let Some(written) = wire.get("databases") else { return Self::default() };
        let configs: HashMap<String, wire::Database> = match serde_json::from_value(written.clone())
        {
            Ok(configs) => configs,
            Err(error) => {
                out.error("E239", &Location::default(), format!("databases: {error}"));
                return Self::default();
            }
        };
        let known = configs.into_iter().map(|(alias, config)| {
            let database = Database { alias: alias.clone(), config, made: OnceLock::new() };
            (alias, Arc::new(database))
        });
        Self { known: known.collect(), longest: Duration::ZERO }
    }

    /// The database called `alias`.
    pub fn get(&self, alias: &str) -> Option<&Arc<Database>> {
        self.known.get(alias)
    }

    /// The queries of the wire that no route has, by what they are.
    pub fn compile(
        &mut self,
        wire: &JsonValue,
        out: &mut Diagnostics,
    ) -> HashMap<String, Arc<QueryPolicy>> {
        let Some(written) = wire.get("compiled") else { return HashMap::new() };
        let at = Location::default();
        let queries: HashMap<String, Query> = match serde_json::from_value(written.clone()) {
            Ok(queries) => queries,
            Err(error) => {
                out.error("E239", &at, format!("compiled queries: {error}"));
                return HashMap::new();
            }
        };
        if !queries.is_empty() {
            // Whoever runs them ends them.
            self.reads_for(None);
        }
        let compiled = queries.iter().filter_map(|(known_by, query)| {
            let policy = QueryPolicy::compile(query, self, &at, out)?;
            Some((known_by.clone(), Arc::new(policy)))
        });
        compiled.collect()
    }

    /// One more route reads, for so long at most.
    pub fn reads_for(&mut self, timeout: Option<Duration>) {
        self.longest = self.longest.max(timeout.unwrap_or(LONGEST));
    }

    /// Makes them, or takes over those of the plan `before`.
    pub fn make(self, before: &[Arc<Database>], out: &mut Diagnostics) -> Vec<Arc<Database>> {
        let databases: Vec<_> = self.known.into_values().collect();
        for database in &databases {
            database.make(self.longest, before, out);
        }
        databases
    }
}
