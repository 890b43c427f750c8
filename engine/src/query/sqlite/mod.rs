//! SQLite: a few threads of a worker that read, each with a read-only connection of its own, so that
//! nothing on the I/O thread waits for a disk.
//!
//! The library is the one that Python's `sqlite3` has loaded ([`sees`]): two copies of it in one
//! process would break each other's locks on a file. Who goes has its statement interrupted, and so
//! has one that runs longer than any route may. A file that is locked is waited for, for so long as
//! Python's `sqlite3` does; one that another has taken the place of is opened anew.

mod decimal;
mod decode;
mod reader;
mod values;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use self::reader::{Job, read};
use self::values::bind;
use super::cell::Cell;
use super::counters::{Counters, Counts};
use super::statement::Statement;
use super::{Failure, Value};

/// So many statements of one worker wait at once.
const MAX_QUEUED: usize = 1024;

/// One SQLite database under its alias.
pub struct Sqlite {
    path: PathBuf,
    use_tz: bool,
    readers: usize,
    timeout: Duration,
    jobs: OnceLock<Sender<Job>>,
    counts: Counts,
}

/// Rows that were read.
pub struct Answered {
    pub(super) columns: usize,
    pub(super) cells: Vec<Cell<'static>>,
}

impl Answered {
    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.cells.len() / self.columns.max(1)
    }

    /// The value of a row's column.
    pub fn cell(&self, row: usize, column: usize) -> &Cell<'static> {
        &self.cells[row * self.columns + column]
    }
}

impl Sqlite {
    /// The database in the file `path`, with so many readers.
    pub fn new(path: &Path, use_tz: bool, readers: usize, timeout: Duration) -> Self {
        Self {
            path: path.to_owned(),
            use_tz,
            readers: readers.max(1),
            timeout,
            jobs: OnceLock::new(),
            counts: Counts::default(),
        }
    }

    /// Whether its statements may run so long.
    pub fn is_for(&self, timeout: Duration) -> bool {
        self.timeout == timeout
    }

    /// Starts the readers, once; they end with the database.
    fn jobs(&self) -> &Sender<Job> {
        self.jobs.get_or_init(|| {
            let (sender, jobs) = crossbeam_channel::bounded(MAX_QUEUED);
            for _ in 0..self.readers {
                let (path, jobs, use_tz) = (self.path.clone(), jobs.clone(), self.use_tz);
                // A process without threads left answers that it is overloaded.
                std::thread::Builder::new()
                    .name("bolt-sqlite".into())
                    .spawn(move || read(&path, &jobs, use_tz))
                    .ok();
            }
            sender
        })
    }

    /// What it has done.
    pub fn counters(&self) -> Counters {
        self.counts.read(self.jobs.get().map_or(0, |_| self.readers))
    }

    /// The rows of `statement` with `values`, `max` of them at most.
    pub async fn rows(
        &self,
        statement: &Arc<Statement>,
        values: &[Option<Value>],
        max: u64,
    ) -> Result<Answered, Failure> {
        let under_way = self.counts.begin();
        let (answer, answered) = oneshot::channel();
        let gone = Gone(Arc::new(AtomicBool::new(false)));
        let job = Job {
            statement: Arc::clone(statement),
            values: statement.binds.iter().map(|one| bind(one, values)).collect(),
            max,
            gone: Arc::clone(&gone.0),
            begun: under_way.begun,
            end: under_way.begun + self.timeout,
            answer,
        };
        let rows = match self.jobs().try_send(job) {
            Ok(()) => answered.await.unwrap_or(Err(Failure::Crowded)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Failure::Crowded),
        };
        under_way.end(rows.is_ok());
        rows
    }
}

/// Tells the reader, when dropped, that nobody waits any more.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Whether this library's databases in memory (`file:/NAME?vfs=memdb`) are those of whoever made
/// `table` in the one called `uri`.
pub fn sees(uri: &str, table: &str) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI;
    let Ok(connection) = Connection::open_with_flags(uri, flags) else { return false };
    connection.table_exists(None, table).unwrap_or(false)
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sqlite({})", self.path.display())
    }
}
