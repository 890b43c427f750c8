//! Which table a plan counts in.

use std::sync::{Arc, OnceLock};

use super::table::Table;

/// The least bytes of a table.
pub const MIN_SIZE: u64 = 64 << 10;

/// Where a plan's limits count: the table that its process was given, or one of its own, made when
/// a limit is first asked for. Clones count in the same one.
#[derive(Debug, Clone)]
pub struct Memory {
    size: u64,
    table: Arc<OnceLock<Arc<Table>>>,
}

impl Memory {
    /// A table of `size` bytes, unless one is given.
    pub fn new(size: u64) -> Self {
        Self { size, table: Arc::default() }
    }

    /// Its size in bytes, where it is made here or by the supervisor.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Counts in `table` from now on; too late once anything was counted elsewhere.
    pub fn share(&self, table: Table) -> bool {
        self.table.set(Arc::new(table)).is_ok()
    }

    /// The table.
    pub fn table(&self) -> Arc<Table> {
        let own = || Table::anonymous(self.size).expect("a start has memory for its limits");
        Arc::clone(self.table.get_or_init(|| Arc::new(own())))
    }
}
