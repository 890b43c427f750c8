//! A Redis that counts for all machines: `store: redis://…` of a limit.
//!
//! One script decides on a request for all limits of its place that are in one store, in one round
//! trip, by Redis's own clock and with the arithmetic of the local table (`script.lua`). What it
//! said is kept in that table too: a key that is limited is refused from there, without asking,
//! until its time has come, so a flood of refusals is no traffic; and where the store does not
//! answer under `on_store_error: allow`, this machine counts on from there by the same quota, so a
//! limit without its store is at most as many times itself as there are machines. Under `deny`, which
//! holds where nothing is said, a doubt is a refusal, as everywhere: 503 with `Retry-After`.
//!
//! Each worker has one connection to each store, made and made again in the background (`link.rs`).
//! It serves, or takes over a plan, once that stands, or the store is known not to answer, or a second
//! is over. A request waits for `store_timeout` in all, and not at all while the breaker is open
//! (`breaker.rs`). At most 1024 requests of a worker wait at once; more are without an answer.
//!
//! Keys are `PREFIX:NAME:QUOTA:HASH`: another quota, or another prefix, begins anew. The hash is
//! SHA-256, cut to 128 bits, of the prefix, of all that makes the limit what it is, and of what the
//! request is counted by: the same on every machine, whatever user or password it connects with. It
//! keeps clients' data out of Redis, but whoever reads Redis can try the few addresses that there
//! are. A value is a moment; it goes when the quota is whole.
//!
//! A user of its own needs `~PREFIX:* +evalsha +script|load +time +get +set +del`. Redis 5 or newer,
//! or Valkey: one, that evicts nothing (`maxmemory-policy noeviction`), for what is evicted is
//! forgotten; a cluster has no script for keys of several nodes, so it is none of these.
//! Where nothing was started (the test client, `bolt explain`) the process counts for itself and no
//! store is asked.

mod breaker;
pub(super) mod far;
mod health;
mod link;
mod mirror;
pub(super) mod place;
pub(super) mod script;

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use tokio::sync::{Notify, watch};

use self::breaker::Breaker;
use self::health::{Unanswered, tell};
use self::link::{Link, keep};
use self::place::Place;
pub use self::place::{OnStoreError, StoreConfig};
use self::script::{Answer, Ask, Decider, Way};
use super::table::Table;
use crate::config::diagnostic::{Diagnostic, Diagnostics};

/// So many stores may be in one plan: as many breakers as the head of the table has room for.
pub const MAX_STORES: usize = super::table::STATES;

/// So many requests of one worker wait for a store at once.
const MAX_ASKING: usize = 1024;

/// One Redis, for all limits that name it alike.
pub struct Store {
    pub(super) place: Place,
    /// Since it was started.
    breaker: OnceLock<Breaker>,
    decider: Decider,
    link: watch::Sender<Option<Link>>,
    /// Asks for a look at the connection.
    wanted: Arc<Notify>,
    asking: AtomicUsize,
    /// How many times it was asked, and how many of those it did not decide; it is not asked while
    /// the breaker is open.
    asked: AtomicU64,
    failed: AtomicU64,
    /// How many connections there were.
    connections: AtomicU64,
}

/// Whether there is any use in asking.
pub enum Gate {
    /// Nothing was started: this process counts for itself.
    Unstarted,
    /// The store may be asked.
    Open,
    /// It does not answer, or too many wait for it.
    Shut,
}

impl Store {
    /// A store that nobody has asked yet.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            breaker: OnceLock::new(),
            decider: Decider::default(),
            link: watch::Sender::new(None),
            wanted: Arc::new(Notify::new()),
            asking: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        }
    }

    /// Checks that there is room for the states of all.
    pub fn check(stores: &[Arc<Self>], out: &mut Diagnostics) {
        let last = stores.iter().map(|store| &store.place.at).max_by_key(|at| at.dotted());
        if let Some(at) = last.filter(|_| stores.len() > MAX_STORES) {
            let hint = format!("at most {MAX_STORES}, by URL, timeout and prefix");
            out.push(Diagnostic::error("E197", at, "limits are in too many stores").hint(hint));
        }
    }

    /// Begins to connect, once; `table` is what the workers of this machine share.
    pub fn start(self: &Arc<Self>, table: &Arc<Table>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let breaker = Breaker::new(Arc::clone(table), &self.place.identity());
        if self.breaker.set(breaker).is_ok() {
            runtime.spawn(keep(Arc::downgrade(self), Arc::clone(&self.wanted)));
        }
    }

    /// Waits until there is a connection, or the store is known not to answer.
    pub async fn connected(&self) {
        let Some(breaker) = self.breaker.get() else { return };
        let settled = |link: &Option<Link>| link.is_some() || breaker.is_open().is_some();
        self.link.subscribe().wait_for(settled).await.ok();
    }

    /// Whether there is any use in asking now.
    pub fn gate(&self) -> Gate {
        let Some(breaker) = self.breaker.get() else { return Gate::Unstarted };
        let is_shut = breaker.is_open().is_some() || self.asking.load(Relaxed) >= MAX_ASKING;
        if is_shut { Gate::Shut } else { Gate::Open }
    }

    /// Its URL, without who connects.
    pub fn shown(&self) -> &str {
        &self.place.shown
    }

    /// How many decisions this worker has asked for, how many of them it did not get, and whether the
    /// breaker is open.
    pub fn counters(&self) -> (u64, u64, bool) {
        let is_open = self.breaker.get().is_some_and(|breaker| breaker.is_open().is_some());
        (self.asked.load(Relaxed), self.failed.load(Relaxed), is_open)
    }

    /// Asks for one request, for `store_timeout` at most.
    pub async fn ask(&self, asked: &[Ask], way: Way) -> Result<Answer, Unanswered> {
        let answer = self.ask_in_time(asked, way).await;
        if way == Way::Spend {
            self.asked.fetch_add(1, Relaxed);
            self.failed.fetch_add(u64::from(answer.is_err()), Relaxed);
        }
        answer
    }

    async fn ask_in_time(&self, asked: &[Ask], way: Way) -> Result<Answer, Unanswered> {
        if self.asking.fetch_add(1, Relaxed) >= MAX_ASKING {
            self.asking.fetch_sub(1, Relaxed);
            return Err(Unanswered::Crowded);
        }
        let place = Asking(&self.asking);
        let late = Unanswered::Late(self.place.timeout);
        let answer = tokio::time::timeout(self.place.timeout, self.exchange(asked, way)).await;
        let answer = answer.unwrap_or(Err(late));
        drop(place);
        self.note(answer.as_ref().map(drop));
        answer
    }

    /// Asks over the connection that there is, or will be; where it turns out to be gone, once more
    /// over the next one.
    async fn exchange(&self, asked: &[Ask], way: Way) -> Result<Answer, Unanswered> {
        let mut links = self.link.subscribe();
        let mut again = true;
        loop {
            let known = links.borrow_and_update().clone();
            let mut link = match known {
                Some(link) => link,
                None => {
                    self.wanted.notify_one();
                    let found = links.wait_for(Option::is_some).await;
                    let found = found.ok().and_then(|link| link.clone());
                    found.ok_or(Unanswered::Crowded)?
                }
            };
            match self.decider.run(&mut link.connection, asked, way).await {
                Ok(value) => return script::read(&value, asked.len()),
                Err(error) => {
                    let gone = error.is_unrecoverable_error();
                    if gone {
                        self.forget(link.number);
                    }
                    if !gone || !again {
                        return Err(error.into());
                    }
                    again = false;
                }
            }
        }
    }

    /// Takes note of how asking ended, and writes a line where that opens the breaker.
    fn note(&self, outcome: Result<(), &Unanswered>) {
        let Some(breaker) = self.breaker.get() else { return };
        match outcome {
            Ok(()) => breaker.succeeded(),
            Err(why) => {
                if breaker.failed() {
                    tell(&self.place, Err(why));
                    self.wanted.notify_one();
                }
            }
        }
    }
}

/// A request that waits, until dropped.
struct Asking<'a>(&'a AtomicUsize);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What looks after the connection ends with the store.
impl Drop for Store {
    fn drop(&mut self) {
        self.wanted.notify_one();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.place.shown)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::config::decode::Spanned;
    use crate::config::diagnostic::Location;
    use crate::config::units::Span;
    use crate::middleware::rate_limit::{MIN_SIZE, Quota};

    fn store(port: u16, timeout: Duration) -> Store {
        let at = Location::default();
        let url = StoreConfig::Redis(format!("redis://127.0.0.1:{port}").as_str().into());
        let url = Spanned { value: url, at: at.clone() };
        let timeout = Spanned { value: Span(timeout), at };
        let mut out = Diagnostics::default();
        let place = place::compile(Some(&url), Some(&timeout), None, &mut out);
        Store::new(place.flatten().expect("this is a URL"))
    }

    #[test]
    fn so_many_wait_at_once_and_no_more() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // It takes connections and never says anything.
            let silent = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = silent.local_addr().unwrap().port();
            let timeout = Duration::from_millis(300);
            let store = Arc::new(store(port, timeout));
            assert!(matches!(store.gate(), Gate::Unstarted));
            store.start(&Arc::new(Table::anonymous(MIN_SIZE).unwrap()));
            assert!(matches!(store.gate(), Gate::Open));
            let pace = Quota { count: 1, period: Duration::from_secs(1), burst: 1 }.into();
            let asked = [Ask { key: "a".into(), pace, cost: 1, shadow: false }];
            let waiting: Vec<_> = (0..2000)
                .map(|_| {
                    let (store, asked) = (store.clone(), asked.clone());
                    tokio::spawn(async move { store.ask(&asked, Way::Spend).await })
                })
                .collect();
            let begun = Instant::now();
            let mut late = 0;
            for one in waiting {
                match one.await.unwrap() {
                    Err(Unanswered::Late(_)) => late += 1,
                    Err(Unanswered::Crowded) => {}
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(late, MAX_ASKING);
            assert!(begun.elapsed() < Duration::from_secs(10));
            assert!(matches!(store.gate(), Gate::Shut), "the breaker is open");
            assert_eq!(store.asking.load(Relaxed), 0);
        });
    }
}
