//! SQLite: a few threads of a worker that read, each with a read-only connection of its own, so that
//! nothing on the I/O thread waits for a disk.
//!
//! The library is the one that Python's `sqlite3` has loaded ([`sees`]): two copies of it in one
//! process would break each other's locks on a file. Who goes has its statement interrupted, and so
//! has one that runs longer than any route may.

mod decimal;
mod decode;
mod reader;
mod values;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TrySendError};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use self::reader::{Job, read};
use self::values::bind;
use super::cell::Cell;
use super::statement::Statement;
use super::{Counters, Failure, Value};

/// So many statements of one worker wait at once.
const MAX_QUEUED: usize = 1024;

/// One SQLite database under its alias.
pub struct Sqlite {
    path: PathBuf,
    use_tz: bool,
    readers: usize,
    timeout: Duration,
    jobs: OnceLock<Sender<Job>>,
    asked: AtomicU64,
    failed: AtomicU64,
    in_flight: AtomicUsize,
    microseconds: AtomicU64,
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
            asked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            microseconds: AtomicU64::new(0),
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
        Counters {
            asked: self.asked.load(Relaxed),
            failed: self.failed.load(Relaxed),
            prepared: 0,
            in_flight: self.in_flight.load(Relaxed),
            connections: self.jobs.get().map_or(0, |_| self.readers),
            microseconds: self.microseconds.load(Relaxed),
        }
    }

    /// The rows of `statement` with `values`, `max` of them at most.
    pub async fn rows(
        &self,
        statement: &Arc<Statement>,
        values: &[Option<Value>],
        max: u64,
    ) -> Result<Answered, Failure> {
        self.asked.fetch_add(1, Relaxed);
        let begun = Instant::now();
        let (answer, answered) = oneshot::channel();
        let gone = Gone(Arc::new(AtomicBool::new(false)));
        let job = Job {
            statement: Arc::clone(statement),
            values: statement.binds.iter().map(|one| bind(one, values)).collect(),
            max,
            gone: Arc::clone(&gone.0),
            end: begun + self.timeout,
            answer,
        };
        let rows = match self.jobs().try_send(job) {
            Ok(()) => {
                self.in_flight.fetch_add(1, Relaxed);
                let counted = Counted(&self.in_flight);
                let rows = answered.await.unwrap_or(Err(Failure::Crowded));
                drop(counted);
                rows
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Failure::Crowded),
        };
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(took, Relaxed);
        self.failed.fetch_add(u64::from(rows.is_err()), Relaxed);
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

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
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
