//! PostgreSQL: a few connections for each worker and alias, on the I/O thread, every one of them
//! pipelined: a statement is sent while those before it are still being answered.
//!
//! Connections are made in the background and made again when they end, after 20 ms to 500 ms
//! (`keep.rs`). Sessions are read-only. A statement is prepared once for each connection, and anew
//! where the server says that its tables have changed. Who goes has its statement cancelled where
//! that is the one that runs; another one that is hit by it is asked again, as is one whose
//! connection broke: reads may be.

mod decode;
mod keep;
mod link;
mod numeric;
mod text;
mod tls;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_postgres::error::SqlState;

pub use self::link::Answered;
use self::link::{Link, Wrong};
use self::tls::Tls;
use super::statement::Statement;
use super::wire;
use super::{Failure, Value};

/// So long a request waits for a connection that is being made.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many statements wait on one connection at most.
const MAX_QUEUED: usize = 512;

/// A statement that runs longer keeps others from its connection while there is another one.
const SLOW: Duration = Duration::from_millis(5);

/// What is known of one connection.
#[derive(Clone)]
enum State {
    /// It is being made.
    Connecting,
    /// It stands.
    Up(Arc<Link>),
    /// It could not be made; that is tried again and again.
    Down,
}

/// One PostgreSQL database under its alias.
pub struct Postgres {
    alias: String,
    config: wire::Postgres,
    /// The server ends whatever runs longer.
    timeout: Duration,
    tls: Tls,
    states: Vec<watch::Sender<State>>,
    started: AtomicBool,
    /// Told when there is nothing left to look after.
    ended: Arc<Notify>,
    /// Whether the log says that it does not answer.
    told: AtomicBool,
    in_flight: AtomicUsize,
    asked: AtomicU64,
    failed: AtomicU64,
    prepared: AtomicU64,
    microseconds: AtomicU64,
}

/// What a database has done, for `pybolt.stats()`.
#[derive(Debug, Clone, Copy)]
pub struct Counters {
    /// Statements that were sent.
    pub asked: u64,
    /// Those that were not answered with rows.
    pub failed: u64,
    /// Statements that were prepared, each time.
    pub prepared: u64,
    /// Those that are under way now.
    pub in_flight: usize,
    /// Connections that stand.
    pub connections: usize,
    /// The time that statements took, waiting for others included, in microseconds.
    pub microseconds: u64,
}

impl Postgres {
    /// A database that nobody has asked yet; the reason where its certificates cannot be had.
    pub fn new(alias: &str, config: &wire::Postgres, timeout: Duration) -> Result<Self, String> {
        let tls = Tls::new(config)?;
        let states = (0..config.pool.max(1)).map(|_| watch::Sender::new(State::Connecting));
        Ok(Self {
            alias: alias.to_owned(),
            config: config.clone(),
            timeout,
            tls,
            states: states.collect(),
            started: AtomicBool::new(false),
            ended: Arc::new(Notify::new()),
            told: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            prepared: AtomicU64::new(0),
            microseconds: AtomicU64::new(0),
        })
    }

    /// Whether its statements may run so long.
    pub fn is_for(&self, timeout: Duration) -> bool {
        self.timeout == timeout
    }

    /// Begins to connect, once, on the runtime that this is called on.
    pub fn start(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.started.swap(true, Relaxed) {
            return;
        }
        for number in 0..self.states.len() {
            runtime.spawn(keep::keep(Arc::downgrade(self), number));
        }
    }

    /// Waits until it is known of every connection whether it can be made.
    pub async fn settled(&self) {
        for state in &self.states {
            let settled = |state: &State| !matches!(state, State::Connecting);
            state.subscribe().wait_for(settled).await.ok();
        }
    }

    /// What it has done.
    pub fn counters(&self) -> Counters {
        let stands = |state: &&watch::Sender<State>| matches!(*state.borrow(), State::Up(_));
        Counters {
            asked: self.asked.load(Relaxed),
            failed: self.failed.load(Relaxed),
            prepared: self.prepared.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            connections: self.states.iter().filter(stands).count(),
            microseconds: self.microseconds.load(Relaxed),
        }
    }

    /// The rows of `statement` with `values` in place of its parameters, `max` of them at most.
    pub async fn rows(
        self: &Arc<Self>,
        statement: &Arc<Statement>,
        values: &[Option<Value>],
        max: u64,
    ) -> Result<Answered, Failure> {
        self.start();
        let under_way = UnderWay::new(self);
        let asked = self.ask(statement, values, max).await;
        under_way.end(asked.is_ok());
        asked
    }

    async fn ask(
        &self,
        statement: &Arc<Statement>,
        values: &[Option<Value>],
        max: u64,
    ) -> Result<Answered, Failure> {
        let mut again = true;
        loop {
            let (number, link) = self.pick().await?;
            let wrong = match link.rows(self, statement, values, max).await {
                Ok(rows) => return Ok(rows),
                Err(wrong) => wrong,
            };
            if link.is_closed() {
                self.forget(number, &link);
            }
            match wrong {
                Wrong::Known(failure) => return Err(failure),
                Wrong::Postgres(error) => {
                    if again && may_be_asked_again(&error) {
                        again = false;
                        continue;
                    }
                    return Err(failure(&error));
                }
            }
        }
    }

    /// The connection to ask: the first one that is quick, so that many statements go out in one
    /// write, else the one with the fewest waiting.
    async fn pick(&self) -> Result<(usize, Arc<Link>), Failure> {
        if let Some(found) = self.quickest() {
            return found;
        }
        let first = &self.states[0];
        let mut states = first.subscribe();
        let waited = tokio::time::timeout(
            PATIENCE,
            states.wait_for(|state| !matches!(state, State::Connecting)),
        );
        match waited.await {
            Ok(Ok(state)) => match &*state {
                State::Up(link) => Ok((0, Arc::clone(link))),
                _ => Err(Failure::Unavailable),
            },
            _ => Err(Failure::Unavailable),
        }
    }

    /// `None` where one is still being made and no other one stands.
    fn quickest(&self) -> Option<Result<(usize, Arc<Link>), Failure>> {
        let mut best: Option<(usize, usize, Arc<Link>)> = None;
        let mut connecting = false;
        for (number, state) in self.states.iter().enumerate() {
            match &*state.borrow() {
                State::Up(link) => {
                    let (queued, age) = link.load();
                    if age < SLOW && queued < MAX_QUEUED {
                        return Some(Ok((number, Arc::clone(link))));
                    }
                    if best.as_ref().is_none_or(|(_, least, _)| queued < *least) {
                        best = Some((number, queued, Arc::clone(link)));
                    }
                }
                State::Connecting => connecting = true,
                State::Down => {}
            }
        }
        match best {
            Some((_, queued, _)) if queued >= MAX_QUEUED => Some(Err(Failure::Crowded)),
            Some((number, _, link)) => Some(Ok((number, link))),
            None if connecting => None,
            None => Some(Err(Failure::Unavailable)),
        }
    }

    /// What is closed is not asked again, before its keeper has seen it.
    fn forget(&self, number: usize, link: &Arc<Link>) {
        self.states[number].send_if_modified(|state| {
            let is_it = matches!(state, State::Up(known) if Arc::ptr_eq(known, link));
            if is_it {
                *state = State::Connecting;
            }
            is_it
        });
    }
}

/// Whether a read that failed so may be sent once more: its connection went, the server ends or has
/// begun anew, its tables have changed, or somebody else's cancellation hit it.
fn may_be_asked_again(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else { return true };
    [
        &SqlState::ADMIN_SHUTDOWN,
        &SqlState::CRASH_SHUTDOWN,
        &SqlState::CANNOT_CONNECT_NOW,
        &SqlState::QUERY_CANCELED,
        &SqlState::FEATURE_NOT_SUPPORTED,
        &SqlState::INVALID_SQL_STATEMENT_NAME,
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::IDLE_SESSION_TIMEOUT,
    ]
    .contains(&code)
}

fn failure(error: &tokio_postgres::Error) -> Failure {
    let Some(found) = error.as_db_error() else {
        return if error.is_closed() || error.code().is_none() {
            Failure::Unavailable
        } else {
            Failure::Failed(error.to_string())
        };
    };
    let code = found.code().code();
    if *found.code() == SqlState::QUERY_CANCELED {
        return Failure::Late;
    }
    // Connections, resources, and servers that end are no mistake of the statement.
    if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) {
        return Failure::Unavailable;
    }
    // Messages of these classes name tables and columns; others may quote values.
    let says = if code.starts_with("42") { found.message() } else { "" };
    Failure::Failed(format!("SQLSTATE {code} {says}").trim_end().to_owned())
}

/// A statement that is under way, until dropped.
struct UnderWay<'a> {
    database: &'a Postgres,
    begun: std::time::Instant,
    answered: bool,
}

impl<'a> UnderWay<'a> {
    fn new(database: &'a Postgres) -> Self {
        database.asked.fetch_add(1, Relaxed);
        database.in_flight.fetch_add(1, Relaxed);
        Self { database, begun: std::time::Instant::now(), answered: false }
    }

    fn end(mut self, answered: bool) {
        self.answered = answered;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let took = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.database.microseconds.fetch_add(took, Relaxed);
        self.database.in_flight.fetch_sub(1, Relaxed);
        self.database.failed.fetch_add(u64::from(!self.answered), Relaxed);
    }
}

/// What looks after the connections ends with the database.
impl Drop for Postgres {
    fn drop(&mut self) {
        self.ended.notify_waiters();
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Postgres({})", self.alias)
    }
}

/// A keeper's hold on its database.
type Held = Weak<Postgres>;
