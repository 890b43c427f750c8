//! PostgreSQL: a few connections for each worker and alias, on the I/O thread, every one of them
//! pipelined: a statement is sent while those before it are still being answered.
//!
//! Connections are made in the background and made again when they end, after 20 ms to 250 ms
//! (`keep.rs`). Sessions are read-only and bounded; behind a pooler (`prepare: off`), which keeps none,
//! every statement's transaction is (`transaction.rs`). A statement is prepared once for each
//! connection, and anew where the server says that its tables have changed. Who goes has its statement
//! cancelled where that is the one that runs (`link.rs`); another one that is hit by it is asked again,
//! as is one whose connection broke: reads may be. So is one that stands behind a slow one, where
//! another connection is free.

mod cancel;
mod decode;
mod failure;
mod keep;
mod link;
mod numeric;
mod queue;
mod session;
mod text;
mod tls;
mod transaction;
mod types;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use self::failure::{Remedy, Wrong, failure, remedy};
use self::keep::Connector;
pub use self::link::Answered;
use self::link::{Asked, Link};
use super::counters::{Counters, Counts};
use super::statement::Statement;
use super::wire;
use super::{Failure, Value};

/// So long a request waits for a connection that is being made.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many statements are on their way on one connection at most.
const MAX_QUEUED: usize = 1024;

/// A statement that runs longer keeps others from its connection while there is another one.
const SLOW: Duration = Duration::from_millis(5);

/// Behind one that runs longer nobody stays. Who goes is executed there all the same: a server that
/// has no core for a moment is worth waiting for.
const STUCK: Duration = Duration::from_millis(20);

/// So seldom at least one that stands behind others looks for another connection.
const MAX_LOOK: Duration = Duration::from_millis(40);

/// So often a read is asked again.
const MAX_AGAIN: u32 = 3;

/// So often a read is asked again that others' cancellations hit.
const MAX_HIT: u32 = 20;

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
    connector: Arc<Connector>,
    states: Mutex<Box<[State]>>,
    /// Tells of every change of them.
    changed: watch::Sender<()>,
    started: AtomicBool,
    /// Is dropped when there is nothing left to look after.
    ended: watch::Sender<()>,
    /// Whether the log says that it does not answer.
    told: AtomicBool,
    counts: Arc<Counts>,
}

impl Postgres {
    /// A database that nobody has asked yet; the reason where its certificates cannot be had.
    pub fn new(alias: &str, config: &wire::Postgres, timeout: Duration) -> Result<Self, String> {
        let counts = Arc::new(Counts::default());
        Ok(Self {
            alias: alias.to_owned(),
            connector: Arc::new(Connector::new(config, timeout, Arc::clone(&counts))?),
            states: Mutex::new(vec![State::Connecting; config.pool.max(1)].into()),
            changed: watch::Sender::new(()),
            started: AtomicBool::new(false),
            ended: watch::Sender::new(()),
            told: AtomicBool::new(false),
            counts,
        })
    }

    /// Whether its statements may run so long.
    pub fn is_for(&self, timeout: Duration) -> bool {
        self.connector.timeout == timeout
    }

    /// Begins to connect, once, on the runtime that this is called on.
    pub fn start(self: &Arc<Self>) {
        if self.started.load(Relaxed) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.started.swap(true, Relaxed) {
            return;
        }
        let count = self.states.lock().len();
        for number in 0..count {
            runtime.spawn(keep::keep(Arc::downgrade(self), number, self.ended.subscribe()));
        }
    }

    /// Waits until it is known of every connection whether it can be made.
    pub async fn settled(&self) {
        let mut changed = self.changed.subscribe();
        while self.states.lock().iter().any(|state| matches!(state, State::Connecting)) {
            changed.changed().await.ok();
        }
    }

    /// What it has done.
    pub fn counters(&self) -> Counters {
        let states = self.states.lock();
        self.counts.read(states.iter().filter(|state| matches!(state, State::Up(_))).count())
    }

    /// The rows of `statement` with `values` in place of its parameters, `max` of them at most.
    pub async fn rows(
        self: &Arc<Self>,
        statement: &Arc<Statement>,
        values: &[Option<Value>],
        max: u64,
    ) -> Result<Answered, Failure> {
        self.start();
        let under_way = self.counts.begin();
        let rows = self.ask(statement, values, max, under_way.begun).await;
        under_way.end(rows.is_ok());
        rows
    }

    async fn ask(
        &self,
        statement: &Arc<Statement>,
        values: &[Option<Value>],
        max: u64,
        begun: Instant,
    ) -> Result<Answered, Failure> {
        let (mut again, mut hit) = (0, 0);
        loop {
            let link = self.pick().await?;
            let asked = link.ask(statement, values, max);
            let Some(outcome) = self.outcome(asked, &link).await else { continue };
            let error = match outcome {
                Ok(rows) => return Ok(rows),
                Err(Wrong::Known(failure)) => return Err(failure),
                Err(Wrong::Postgres(error)) => error,
            };
            let remedy = remedy(&error);
            if remedy == Remedy::Elsewhere || link.is_closed() {
                self.forget(&link);
            }
            let count = match remedy {
                Remedy::Elsewhere | Remedy::Again => &mut again,
                Remedy::AgainIfHit
                    if link.has_cancelled() && begun.elapsed() < self.connector.timeout =>
                {
                    &mut hit
                }
                Remedy::AgainIfHit | Remedy::None => return Err(failure(&error)),
            };
            *count += 1;
            if again > MAX_AGAIN || hit > MAX_HIT {
                return Err(failure(&error));
            }
        }
    }

    /// What comes of a statement; `None` where it stands behind a slow one and another connection is
    /// free by now.
    async fn outcome(&self, mut asked: Asked, link: &Arc<Link>) -> Option<Result<Answered, Wrong>> {
        let mut look = SLOW;
        while asked.is_behind && !asked.runs() {
            match tokio::time::timeout(look, &mut asked).await {
                Ok(outcome) => return Some(outcome),
                Err(_) if !asked.runs() && self.has_quicker(link) => return None,
                Err(_) => look = (look * 2).min(MAX_LOOK),
            }
        }
        Some(asked.await)
    }

    /// The connection to ask: the first one that is quick, so that many statements go out in one
    /// write, else the one with the fewest waiting.
    async fn pick(&self) -> Result<Arc<Link>, Failure> {
        if let Some(found) = self.best() {
            return found;
        }
        let waited = async {
            let mut changed = self.changed.subscribe();
            loop {
                if let Some(found) = self.best() {
                    return found;
                }
                changed.changed().await.ok();
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.unwrap_or(Err(Failure::Unavailable))
    }

    /// `None` where one is still being made and no other one stands.
    fn best(&self) -> Option<Result<Arc<Link>, Failure>> {
        let mut best: Option<(usize, &Arc<Link>)> = None;
        let mut connecting = false;
        let states = self.states.lock();
        for state in &*states {
            match state {
                State::Up(link) => {
                    let load = link.load();
                    if load.age < SLOW && load.queued < MAX_QUEUED {
                        return Some(Ok(Arc::clone(link)));
                    }
                    if best.is_none_or(|(least, _)| load.queued < least) {
                        best = Some((load.queued, link));
                    }
                }
                State::Connecting => connecting = true,
                State::Down => {}
            }
        }
        match best {
            Some((queued, _)) if queued >= MAX_QUEUED => Some(Err(Failure::Crowded)),
            Some((_, link)) => Some(Ok(Arc::clone(link))),
            None if connecting => None,
            None => Some(Err(Failure::Unavailable)),
        }
    }

    /// Whether there is a quick connection, while `link` is stuck.
    fn has_quicker(&self, link: &Arc<Link>) -> bool {
        let is_quick = |link: &Arc<Link>| {
            let load = link.load();
            load.age < SLOW && load.queued < MAX_QUEUED
        };
        let other = |state: &State| matches!(state, State::Up(other) if !Arc::ptr_eq(other, link) && is_quick(other));
        link.load().age >= STUCK && self.states.lock().iter().any(other)
    }

    /// What is at its end is not asked again, before its keeper has seen it.
    fn forget(&self, link: &Arc<Link>) {
        for state in &mut *self.states.lock() {
            if matches!(state, State::Up(known) if Arc::ptr_eq(known, link)) {
                *state = State::Connecting;
            }
        }
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Postgres({})", self.alias)
    }
}
