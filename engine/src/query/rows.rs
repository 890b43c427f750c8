//! Rows as JSON: objects, arrays or bare values, with the lists that are nested in them.

use std::collections::HashMap;

use super::cell::Broken;
use super::databases::Table;
use super::json::Json;
use super::policy::NestedPlan;
use super::wire::{Read, Rows};

/// How the rows of a read are written.
pub struct Layout {
    rows: Rows,
    /// The columns that are shown, each with what stands before its value.
    columns: Vec<(usize, Vec<u8>)>,
}

impl Layout {
    /// That of `read`.
    pub fn new(read: &Read) -> Self {
        let shown = read.columns.iter().enumerate().filter_map(|(number, column)| {
            let name = column.name.as_deref()?;
            Some((number, name))
        });
        let mut columns = Vec::new();
        for (place, (number, name)) in shown.enumerate() {
            let mut before = Json::default();
            if place > 0 {
                before.raw(b", ");
            }
            if read.rows == Rows::Objects {
                before.text(name);
                before.raw(b": ");
            }
            columns.push((number, before.0));
        }
        Self { rows: read.rows, columns }
    }

    /// Writes one value: the first that is shown of `row`.
    pub fn value(&self, table: &Table, row: usize, out: &mut Json) -> Result<(), Broken> {
        table.write(row, self.columns[0].0, out)
    }

    /// Writes a row, with the rows of `children` that belong to it.
    pub fn row(
        &self,
        table: &Table,
        row: usize,
        children: &[Children<'_>],
        out: &mut Json,
    ) -> Result<(), Broken> {
        if self.rows == Rows::Values {
            return self.value(table, row, out);
        }
        let (open, close) = match self.rows {
            Rows::Objects => (b"{", b"}"),
            _ => (b"[", b"]"),
        };
        out.raw(open);
        for (column, before) in &self.columns {
            out.raw(before);
            table.write(row, *column, out)?;
        }
        for children in children {
            out.raw(b", ");
            if self.rows == Rows::Objects {
                out.text(&children.plan.name);
                out.raw(b": ");
            }
            children.write(table, row, out)?;
        }
        out.raw(close);
        Ok(())
    }

    /// Writes the first `count` rows as a list.
    pub fn list(
        &self,
        table: &Table,
        count: usize,
        children: &[Children<'_>],
        out: &mut Json,
    ) -> Result<(), Broken> {
        out.raw(b"[");
        for row in 0..count {
            if row > 0 {
                out.raw(b", ");
            }
            self.row(table, row, children, out)?;
        }
        out.raw(b"]");
        Ok(())
    }
}

/// Rows that are nested in those of another read, by what they have in common with them.
pub struct Children<'a> {
    plan: &'a NestedPlan,
    table: Table,
    by_parent: HashMap<Vec<u8>, Vec<usize>>,
}

impl<'a> Children<'a> {
    /// Those of `table`.
    pub fn new(plan: &'a NestedPlan, table: Table) -> Result<Self, Broken> {
        let mut by_parent: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for row in 0..table.count() {
            let mut key = Json::default();
            table.write(row, plan.child, &mut key)?;
            by_parent.entry(key.0).or_default().push(row);
        }
        Ok(Self { plan, table, by_parent })
    }

    fn write(&self, parent: &Table, row: usize, out: &mut Json) -> Result<(), Broken> {
        let mut key = Json::default();
        parent.write(row, self.plan.parent, &mut key)?;
        out.raw(b"[");
        let rows = self.by_parent.get(&key.0).map(Vec::as_slice).unwrap_or_default();
        for (place, &row) in rows.iter().enumerate() {
            if place > 0 {
                out.raw(b", ");
            }
            self.plan.read.layout.row(&self.table, row, &[], out)?;
        }
        out.raw(b"]");
        Ok(())
    }
}
