//! One thread that reads.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use parking_lot::Mutex;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, params_from_iter};
use tokio::sync::oneshot;

use super::Answered;
use super::decode::cell;
use crate::query::Failure;
use crate::query::statement::Statement;

/// So many statements a connection keeps prepared.
const PREPARED: usize = 256;

/// A file that somebody has locked is waited for so long, from when it was asked.
const BUSY: Duration = Duration::from_secs(5);

/// So long at a time, with a look at whether anybody waits in between.
const BUSY_AT_ONCE: Duration = Duration::from_millis(20);

/// So many steps of SQLite's machine are between two looks at whether anybody waits.
const STEPS: i32 = 1000;

/// A statement to be read.
pub struct Job {
    pub statement: Arc<Statement>,
    pub values: Vec<SqlValue>,
    pub max: u64,
    /// Whether nobody waits any more.
    pub gone: Arc<AtomicBool>,
    /// When it was asked.
    pub begun: Instant,
    /// When nobody may wait any more.
    pub end: Instant,
    pub answer: oneshot::Sender<Result<Answered, Failure>>,
}

/// What runs, for whoever looks whether it may go on.
type Running = Arc<Mutex<Option<(Arc<AtomicBool>, Instant)>>>;

/// A connection to the file that stood at the path when it was made.
struct Open {
    connection: Connection,
    running: Running,
    file: Option<(u64, u64)>,
}

/// Takes jobs until there are none to come.
pub fn read(path: &Path, jobs: &Receiver<Job>, use_tz: bool) {
    let mut open: Option<Open> = None;
    for job in jobs {
        if job.gone.load(Relaxed) {
            continue;
        }
        if open.as_ref().is_some_and(|open| open.file != identity(path)) {
            open = None;
        }
        let made = match open.take() {
            Some(made) => Ok(made),
            None => connect(path),
        };
        let rows = match made {
            Ok(made) => {
                let made = open.insert(made);
                rows(&made.connection, &made.running, &job, use_tz)
            }
            Err(error) => Err(failure(&error)),
        };
        job.answer.send(rows).ok();
    }
}

/// What tells a file from another one at the same path.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

fn connect(path: &Path) -> Result<Open, Error> {
    let file = identity(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_AT_ONCE)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    let running = Running::default();
    let looked_at = Arc::clone(&running);
    connection.progress_handler(
        STEPS,
        Some(move || {
            let stops = |(gone, end): &(Arc<AtomicBool>, Instant)| {
                gone.load(Relaxed) || Instant::now() > *end
            };
            looked_at.lock().as_ref().is_some_and(stops)
        }),
    );
    Ok(Open { connection, running, file })
}

fn rows(
    connection: &Connection,
    running: &Running,
    job: &Job,
    use_tz: bool,
) -> Result<Answered, Failure> {
    *running.lock() = Some((Arc::clone(&job.gone), job.end));
    let read = loop {
        match collect(connection, job, use_tz) {
            Err(Wrong::Busy) if job.gone.load(Relaxed) || job.begun.elapsed() > BUSY => {
                break Err(Failure::Unavailable);
            }
            Err(Wrong::Busy) => {}
            Err(Wrong::Known(failure)) => break Err(failure),
            Ok(rows) => break Ok(rows),
        }
    };
    *running.lock() = None;
    read
}

/// Why there are no rows.
enum Wrong {
    /// Somebody has locked the file.
    Busy,
    /// Something else.
    Known(Failure),
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Known(failure(&error)),
        }
    }
}

fn collect(connection: &Connection, job: &Job, use_tz: bool) -> Result<Answered, Wrong> {
    let failed = |what: String| Wrong::Known(Failure::Failed(what));
    let statement = &job.statement;
    let mut prepared = connection.prepare_cached(&statement.sql).map_err(unprepared)?;
    let columns = statement.columns.len();
    if prepared.column_count() < columns {
        return Err(failed("its columns are others than Django's".to_owned()));
    }
    let mut found = prepared.query(params_from_iter(&job.values))?;
    let mut cells = Vec::new();
    let mut count = 0;
    while let Some(row) = found.next()? {
        if count == job.max {
            return Err(Wrong::Known(Failure::TooMany));
        }
        count += 1;
        for (number, column) in statement.columns.iter().enumerate() {
            let read = cell(row.get_ref(number)?, column, use_tz);
            cells.push(read.map_err(|broken| failed(format!("a row has {}", broken.0)))?);
        }
    }
    Ok(Answered { columns, cells })
}

/// What is wrong with the text alone, in SQLite's words.
fn unprepared(error: Error) -> Wrong {
    match error {
        Error::SqliteFailure(code, Some(says)) if code.code == ErrorCode::Unknown => {
            Wrong::Known(Failure::Failed(says))
        }
        error => error.into(),
    }
}

/// SQLite's words for a statement that runs may quote values.
fn failure(error: &Error) -> Failure {
    match (error, error.sqlite_error_code()) {
        (_, Some(ErrorCode::OperationInterrupted)) => Failure::Late,
        (
            _,
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory
                | ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull,
            ),
        ) => Failure::Unavailable,
        (Error::SqliteFailure(code, _), _) => {
            let says = rusqlite::ffi::code_to_str(code.extended_code);
            Failure::Failed(format!("SQLite {}: {says}", code.extended_code))
        }
        (error, _) => Failure::Failed(error.to_string()),
    }
}
