//! Rows of a read with the rows that are nested in them, and how they are JSON: objects, arrays or
//! bare values.

use std::collections::HashMap;

use super::cell::{Broken, Cell};
use super::databases::Table;
use super::json::Json;
use super::policy::{NestedPlan, ReadPlan};
use super::wire::{Read, Rows, Shape};

/// How the rows of a read are written.
pub struct Layout {
    /// As objects, arrays or values.
    pub rows: Rows,
    /// The columns that are shown.
    pub columns: Vec<Shown>,
}

/// A column that is shown.
pub struct Shown {
    /// Its number in the statement.
    pub number: usize,
    /// Its name.
    pub name: String,
    /// What stands before its value.
    before: Vec<u8>,
}

impl Layout {
    /// That of `read`.
    pub fn new(read: &Read) -> Self {
        let mut columns: Vec<Shown> = Vec::new();
        for (number, column) in read.columns.iter().enumerate() {
            let Some(name) = column.name.clone() else { continue };
            let mut before = Json::default();
            if !columns.is_empty() {
                before.raw(b", ");
            }
            if read.rows == Rows::Objects {
                before.text(&name);
                before.raw(b": ");
            }
            columns.push(Shown { number, name, before: before.0 });
        }
        Self { rows: read.rows, columns }
    }
}

/// What a read has found.
pub struct Fetched {
    /// Its rows.
    pub table: Table,
    /// Those within them, in the order of the read's nested ones.
    pub children: Vec<Children>,
}

/// Rows that are nested in those of another read, by what they have in common with them.
pub struct Children {
    /// The rows.
    pub table: Table,
    by_parent: HashMap<Vec<u8>, Vec<usize>>,
}

impl Children {
    /// Those of `table`.
    pub fn new(plan: &NestedPlan, table: Table) -> Result<Self, Broken> {
        let mut by_parent: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for row in 0..table.count() {
            by_parent.entry(key(&table, row, plan.child)?).or_default().push(row);
        }
        Ok(Self { table, by_parent })
    }

    /// The rows within `row` of `parent`.
    pub fn of(&self, plan: &NestedPlan, parent: &Table, row: usize) -> Result<&[usize], Broken> {
        let key = key(parent, row, plan.parent)?;
        if key == b"null" {
            return Ok(&[]);
        }
        Ok(self.by_parent.get(&key).map(Vec::as_slice).unwrap_or_default())
    }
}

fn key(table: &Table, row: usize, column: usize) -> Result<Vec<u8>, Broken> {
    let mut key = Json::default();
    table.with(row, column, |cell| key.cell(cell))?;
    Ok(key.0)
}

impl ReadPlan {
    /// Writes what was found; whether there is anything.
    pub fn write(&self, found: &Fetched, out: &mut Json) -> Result<bool, Broken> {
        match self.shape {
            Shape::List => self.list(found, found.table.count(), out)?,
            Shape::One | Shape::Value if found.table.count() == 0 => return Ok(false),
            Shape::One => self.row(&found.table, 0, &found.children, out)?,
            Shape::Value => self.value(&found.table, 0, out)?,
        }
        Ok(true)
    }

    /// Writes the first `count` rows as a list.
    pub fn list(&self, found: &Fetched, count: usize, out: &mut Json) -> Result<(), Broken> {
        out.raw(b"[");
        for row in 0..count {
            if row > 0 {
                out.raw(b", ");
            }
            self.row(&found.table, row, &found.children, out)?;
        }
        out.raw(b"]");
        Ok(())
    }

    /// Writes the first value that is shown of `row`.
    fn value(&self, table: &Table, row: usize, out: &mut Json) -> Result<(), Broken> {
        table.with(row, self.layout.columns[0].number, |cell| out.cell(cell))
    }

    fn row(
        &self,
        table: &Table,
        row: usize,
        children: &[Children],
        out: &mut Json,
    ) -> Result<(), Broken> {
        let (open, close) = match self.layout.rows {
            Rows::Values => return self.value(table, row, out),
            Rows::Objects => (b"{", b"}"),
            Rows::Arrays => (b"[", b"]"),
        };
        out.raw(open);
        for column in &self.layout.columns {
            out.raw(&column.before);
            table.with(row, column.number, |cell| out.cell(cell))?;
        }
        for (plan, children) in self.nested.iter().zip(children) {
            out.raw(b", ");
            if self.layout.rows == Rows::Objects {
                out.text(&plan.name);
                out.raw(b": ");
            }
            out.raw(b"[");
            for (place, &row) in children.of(plan, table, row)?.iter().enumerate() {
                if place > 0 {
                    out.raw(b", ");
                }
                plan.read.row(&children.table, row, &[], out)?;
            }
            out.raw(b"]");
        }
        out.raw(close);
        Ok(())
    }
}

impl Table {
    /// Hands the value of a row's column over.
    pub fn with<T>(
        &self,
        row: usize,
        column: usize,
        take: impl FnOnce(&Cell<'_>) -> Result<T, Broken>,
    ) -> Result<T, Broken> {
        match self {
            Self::Postgres(rows) => take(&rows.cell(row, column)?),
            Self::Sqlite(rows) => take(rows.cell(row, column)),
        }
    }
}
