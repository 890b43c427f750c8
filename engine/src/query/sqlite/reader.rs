//! One thread that reads.

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

/// A file that somebody has locked is waited for so long.
const BUSY: Duration = Duration::from_secs(5);

/// So many steps of SQLite's machine are between two looks at whether anybody waits.
const STEPS: i32 = 1000;

/// A statement to be read.
pub struct Job {
    pub statement: Arc<Statement>,
    pub values: Vec<SqlValue>,
    pub max: u64,
    /// Whether nobody waits any more.
    pub gone: Arc<AtomicBool>,
    /// When nobody may wait any more.
    pub end: Instant,
    pub answer: oneshot::Sender<Result<Answered, Failure>>,
}

/// What runs, for whoever looks whether it may go on.
type Running = Arc<Mutex<Option<(Arc<AtomicBool>, Instant)>>>;

/// Takes jobs until there are none to come.
pub fn read(path: &Path, jobs: &Receiver<Job>, use_tz: bool) {
    let mut open: Option<(Connection, Running)> = None;
    for job in jobs {
        if job.gone.load(Relaxed) {
            continue;
        }
        let rows = match &open {
            Some((connection, running)) => rows(connection, running, &job, use_tz),
            None => match connect(path) {
                Ok(made) => {
                    let (connection, running) = open.insert(made);
                    rows(connection, running, &job, use_tz)
                }
                Err(error) => Err(failure(&error)),
            },
        };
        job.answer.send(rows).ok();
    }
}

fn connect(path: &Path) -> Result<(Connection, Running), Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
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
    Ok((connection, running))
}

fn rows(
    connection: &Connection,
    running: &Running,
    job: &Job,
    use_tz: bool,
) -> Result<Answered, Failure> {
    *running.lock() = Some((Arc::clone(&job.gone), job.end));
    let read = collect(connection, job, use_tz);
    *running.lock() = None;
    read
}

fn collect(connection: &Connection, job: &Job, use_tz: bool) -> Result<Answered, Failure> {
    let broken = |error: Error| failure(&error);
    let statement = &job.statement;
    let mut prepared = connection.prepare_cached(&statement.sql).map_err(broken)?;
    let columns = statement.columns.len();
    if prepared.column_count() < columns {
        return Err(Failure::Failed("its columns are others than Django's".to_owned()));
    }
    let mut found = prepared.query(params_from_iter(&job.values)).map_err(broken)?;
    let mut cells = Vec::new();
    let mut count = 0;
    while let Some(row) = found.next().map_err(broken)? {
        if count == job.max {
            return Err(Failure::TooMany);
        }
        count += 1;
        for (number, column) in statement.columns.iter().enumerate() {
            let value = row.get_ref(number).map_err(broken)?;
            let read = cell(value, column, use_tz);
            cells.push(read.map_err(|broken| Failure::Failed(format!("a row has {}", broken.0)))?);
        }
    }
    Ok(Answered { columns, cells })
}

fn failure(error: &Error) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => Failure::Late,
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull,
        ) => Failure::Unavailable,
        // SQLite's words name tables and columns, and quote no value that was bound.
        _ => Failure::Failed(error.to_string()),
    }
}
