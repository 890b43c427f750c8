//! The connection of a worker to a store: made at the start, and made again, by a task in the
//! background that ends with the store.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::Store;
use super::breaker::Breaker;
use super::health::{Unanswered, tell};
use super::script::{self, Ask, Way};
use crate::middleware::rate_limit::gcra::Pace;

/// So long it takes at most to connect, to be let in and to load the script.
const CONNECT: Duration = Duration::from_secs(1);

/// Between attempts to connect: the first pause, which doubles, and the longest. By then the breaker
/// is open.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// A connection, and which one it is.
#[derive(Clone)]
pub struct Link {
    pub connection: MultiplexedConnection,
    pub number: u64,
}

/// When to look again.
enum Next {
    /// When somebody asks for it.
    Asked,
    /// After this time, or when somebody asks for it.
    After(Duration),
    /// After this time and no sooner.
    Pause(Duration),
}

/// Looks after the connection for as long as anybody holds the store.
pub async fn keep(store: Weak<Store>, wanted: Arc<Notify>) {
    let mut pause = PAUSES.0;
    loop {
        let Some(held) = store.upgrade() else { return };
        let Some(breaker) = held.breaker.get() else { return };
        let next = held.look(breaker, &mut pause).await;
        drop(held);
        match next {
            Next::Asked => wanted.notified().await,
            Next::After(time) => timeout(time, wanted.notified()).await.unwrap_or_default(),
            Next::Pause(time) => sleep(time).await,
        }
    }
}

impl Store {
    async fn look(&self, breaker: &Breaker, pause: &mut Duration) -> Next {
        if let Some(due) = breaker.is_open() {
            // What is late on it would be the first to come when all is well again. Whoever waits for
            // the first one hears that there is none.
            self.link.send_replace(None);
            let Some(probe) = breaker.claim() else {
                // A moment past it: of several workers one is the first.
                return Next::After(due + Duration::from_millis(5));
            };
            if let Ok(link) = self.connect().await {
                self.link.send_replace(Some(link));
                if breaker.close(probe) {
                    tell(&self.place, Ok(()));
                }
                *pause = PAUSES.0;
            }
            return Next::After(Duration::ZERO);
        }
        if self.link.borrow().is_some() {
            return Next::Asked;
        }
        match self.connect().await {
            Ok(link) => {
                self.link.send_replace(Some(link));
                breaker.succeeded();
                *pause = PAUSES.0;
                Next::Asked
            }
            Err(why) => {
                self.note(Err(&why));
                let time = *pause;
                *pause = (time * 2).min(PAUSES.1);
                Next::Pause(time)
            }
        }
    }

    /// A connection over which the script has decided something in time.
    pub(super) async fn connect(&self) -> Result<Link, Unanswered> {
        let connected = timeout(CONNECT, async {
            // Whoever waits has a clock of its own.
            let config = AsyncConnectionConfig::new().set_response_timeout(None);
            let client = &self.place.client;
            let mut connection =
                client.get_multiplexed_async_connection_with_config(&config).await?;
            self.decider.load(&mut connection).await?;
            Ok::<_, redis::RedisError>(connection)
        });
        let mut connection = connected.await.map_err(|_| Unanswered::Late(CONNECT))??;
        // A key of nobody's, spent for a millisecond: one that only reads would be no store.
        let pace = Pace { interval: 1, tolerance: 1_000_000_000 };
        let key = format!("{}:", self.place.prefix);
        let asked = [Ask { key, pace, cost: 1, shadow: false }];
        let decided = self.decider.run(&mut connection, &asked, Way::Spend);
        let decided = timeout(self.place.timeout, decided).await;
        let value = decided.map_err(|_| Unanswered::Late(self.place.timeout))??;
        script::read(&value, asked.len())?;
        Ok(Link { connection, number: self.connections.fetch_add(1, Relaxed) })
    }

    /// Forgets a connection that is gone, and asks for another.
    pub(super) fn forget(&self, number: u64) {
        let is_it = |link: &mut Option<Link>| link.take_if(|link| link.number == number).is_some();
        if self.link.send_if_modified(is_it) {
            self.wanted.notify_one();
        }
    }
}
