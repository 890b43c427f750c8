//! The reads of one route, ready to be run.

use std::sync::Arc;

use super::databases::{Database, Databases};
use super::page::{Cursors, Paging};
use super::parameters::Values;
use super::rows::Layout;
use super::statement::Statement;
use super::wire::{Nested, Page, Parameter, Place, Query, Read, Shape};
use crate::config::diagnostic::{Diagnostics, Location};

/// The reads that answer a route.
pub struct QueryPolicy {
    /// What to call it.
    pub name: String,
    /// What requests bring.
    pub parameters: Vec<Parameter>,
    /// The parameters that may be missing, in the order of a variant's bits.
    optional: Vec<usize>,
    /// What is read.
    pub reads: Vec<ReadPlan>,
    pub(super) paging: Option<Paging>,
    /// Whether moments are told with their offset.
    pub use_tz: bool,
}

/// One read and what becomes of it.
pub struct ReadPlan {
    pub(super) database: Arc<Database>,
    /// Its key in the object that is answered.
    pub key: Option<String>,
    /// What is answered of it.
    pub shape: Shape,
    pub(super) max_rows: u64,
    /// How its rows are written.
    pub layout: Layout,
    /// By the set of optional parameters that are given.
    statements: Vec<Option<Arc<Statement>>>,
    /// Rows within its rows.
    pub nested: Vec<NestedPlan>,
}

/// Rows within the rows of a read.
pub struct NestedPlan {
    /// Its key in the row that it belongs to.
    pub name: String,
    pub(super) parent: usize,
    pub(super) child: usize,
    /// Its statement.
    pub read: ReadPlan,
}

/// At most so many parameters may be missing: each set of them has a statement.
const MAX_OPTIONAL: usize = 6;

impl QueryPolicy {
    /// Makes a policy of what Python has compiled.
    pub fn compile(
        query: &Query,
        databases: &Databases,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<Self> {
        let optional: Vec<usize> = (0..query.parameters.len())
            .filter(|&number| query.parameters[number].optional)
            .collect();
        let names: Vec<&str> =
            optional.iter().map(|&number| query.parameters[number].name.as_str()).collect();
        let made = Making { databases, names: &names, parameters: query.parameters.len() };
        let made: Result<Vec<_>, String> = query.reads.iter().map(|read| made.read(read)).collect();
        let problem = |message: String, out: &mut Diagnostics| {
            out.error("E239", at, format!("{}: {message}", query.name));
            None
        };
        let reads = match made {
            Ok(reads) if !reads.is_empty() => reads,
            Ok(_) => return problem("nothing is read".into(), out),
            Err(message) => return problem(message, out),
        };
        let paging = match query.page.as_ref().map(|page| paging(page, &query.parameters)) {
            Some(None) => return problem("its pages have no parameters".into(), out),
            Some(paging) => paging,
            None => None,
        };
        let use_tz = reads[0].database.use_tz();
        Some(Self {
            name: query.name.clone(),
            parameters: query.parameters.clone(),
            optional,
            reads,
            paging,
            use_tz,
        })
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let first = &self.reads[0];
        let more = match self.reads.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let (engine, alias) = (first.database.engine(), &first.database.alias);
        format!("{}, in Rust over {engine} `{alias}`{more}", self.name)
    }

    /// The set of optional parameters that are given.
    pub(super) fn given(&self, values: &Values) -> usize {
        let bit = |(bit, &number): (usize, &usize)| usize::from(values[number].is_some()) << bit;
        self.optional.iter().enumerate().map(bit).sum()
    }

    /// Whether the answer is an object of all reads.
    pub fn is_object(&self) -> bool {
        self.reads[0].key.is_some()
    }
}

impl ReadPlan {
    /// The statement for a set of optional parameters.
    pub(super) fn statement(&self, given: usize) -> Option<&Arc<Statement>> {
        self.statements.get(given)?.as_ref()
    }
}

struct Making<'a> {
    databases: &'a Databases,
    names: &'a [&'a str],
    parameters: usize,
}

impl Making<'_> {
    fn read(&self, read: &Read) -> Result<ReadPlan, String> {
        let database = self.databases.get(&read.alias);
        let database = database.ok_or_else(|| format!("there is no database `{}`", read.alias))?;
        if self.names.len() > MAX_OPTIONAL {
            return Err("too much may be missing".to_owned());
        }
        let mut statements = vec![None; 1 << self.names.len()];
        for variant in &read.variants {
            let mut given = 0;
            for name in &variant.given {
                let bit = self.names.iter().position(|known| known == name);
                given |= 1 << bit.ok_or_else(|| format!("`{name}` is no optional parameter"))?;
            }
            let params = variant.binds.iter().filter_map(|bind| bind.param);
            if params.max().is_some_and(|number| number >= self.parameters) {
                return Err("a statement has a parameter that is not there".to_owned());
            }
            statements[given] = Some(Statement::new(read, variant));
        }
        if statements.iter().any(Option::is_none) {
            return Err("a set of optional parameters has no statement".to_owned());
        }
        let columns = read.columns.len();
        let shown = read.columns.iter().filter(|column| column.name.is_some()).count();
        if shown == 0 || read.nested.iter().any(|nested| nested.parent >= columns) {
            return Err("a statement has no columns".to_owned());
        }
        let nested = read.nested.iter().map(|nested| self.nested(nested));
        Ok(ReadPlan {
            database: Arc::clone(database),
            key: read.key.clone(),
            shape: read.shape,
            max_rows: read.max_rows.unwrap_or(u64::MAX),
            layout: Layout::new(read),
            statements,
            nested: nested.collect::<Result<_, _>>()?,
        })
    }

    fn nested(&self, nested: &Nested) -> Result<NestedPlan, String> {
        if nested.child >= nested.read.columns.len() || !nested.read.nested.is_empty() {
            return Err(format!("`{}` cannot be nested", nested.name));
        }
        Ok(NestedPlan {
            name: nested.name.clone(),
            parent: nested.parent,
            child: nested.child,
            read: self.read(&nested.read)?,
        })
    }
}

fn paging(page: &Page, parameters: &[Parameter]) -> Option<Paging> {
    let at = |place: Place| parameters.iter().position(|parameter| parameter.place == Some(place));
    let cursors = match page {
        Page::Offset {} => None,
        Page::Key { .. } => Some(Cursors::new(page)?),
    };
    let from = at(if cursors.is_some() { Place::Cursor } else { Place::Offset })?;
    let name = parameters[from].name.clone();
    Some(Paging { limit: at(Place::Limit)?, from, name, cursors })
}

impl std::fmt::Debug for QueryPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "QueryPolicy({})", self.name)
    }
}
