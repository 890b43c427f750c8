//! One connection, made, driven, and made again.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

use super::link::Link;
use super::tls::Tls;
use super::{PATIENCE, Postgres, State, session};
use crate::middleware::access_log::write_line;
use crate::query::counters::Counts;
use crate::query::wire;

/// So long one attempt takes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The pauses between attempts: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// A connection whose server does not end a statement so long after it had to is given up.
const GRACE: Duration = Duration::from_secs(5);

/// A connection that stood for so long is one.
const STOOD: Duration = Duration::from_secs(1);

/// Looks after connection `number` until its database is dropped, which `ended` tells.
pub(super) async fn keep(database: Weak<Postgres>, number: usize, ended: watch::Receiver<()>) {
    let kept = async {
        let mut pause = PAUSES.0;
        loop {
            let Some(connector) = database.upgrade().map(|held| Arc::clone(&held.connector)) else {
                return;
            };
            match connected(&connector, &database, number).await {
                Ok((link, driven)) => {
                    let begun = Instant::now();
                    let Some(held) = database.upgrade() else { return };
                    held.set(number, State::Up(Arc::clone(&link)));
                    drop(held);
                    let dead = dead(Arc::downgrade(&link), connector.timeout);
                    let settled = async {
                        if connector.config.prepare {
                            link.settle().await;
                        }
                    };
                    // From here on the state, and who asks, are all that keeps the link.
                    let driven = async { tokio::join!(driven, settled) };
                    tokio::select! {
                        _ = driven => {}
                        () = dead => {}
                    }
                    let Some(held) = database.upgrade() else { return };
                    held.set(number, State::Connecting);
                    drop(held);
                    if begun.elapsed() > STOOD {
                        pause = PAUSES.0;
                    } else {
                        // A pooler lets us in before it knows of a server.
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSES.1);
                    }
                }
                Err(reason) => {
                    let Some(held) = database.upgrade() else { return };
                    held.down(number, &reason);
                    drop(held);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    };
    let mut ended = ended;
    tokio::select! {
        () = kept => {}
        // Nobody sends anything: it changes when its sender is dropped.
        _ = ended.changed() => {}
    }
}

/// Connects; where that takes longer than a request waits, there is no connection meanwhile.
async fn connected(
    connector: &Arc<Connector>,
    database: &Weak<Postgres>,
    number: usize,
) -> Result<(Arc<Link>, Driven), String> {
    let mut connecting = pin!(connector.connect());
    if let Ok(connected) = tokio::time::timeout(PATIENCE, connecting.as_mut()).await {
        return connected;
    }
    let late = |limit: Duration| format!("no connection within {} s", limit.as_secs());
    if let Some(held) = database.upgrade() {
        held.down(number, &late(PATIENCE));
    }
    let rest = CONNECT_TIMEOUT.saturating_sub(PATIENCE);
    tokio::time::timeout(rest, connecting).await.unwrap_or_else(|_| Err(late(CONNECT_TIMEOUT)))
}

/// Ends when the server has let a statement run for too long to be alive.
async fn dead(link: Weak<Link>, timeout: Duration) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // What nobody asks any more ends when all is answered, or has had the time for it.
        let Some(load) = link.upgrade().map(|link| link.load()) else {
            return tokio::time::sleep(GRACE).await;
        };
        let limit = if load.is_left { Duration::ZERO } else { timeout };
        if load.age > limit + GRACE {
            return;
        }
    }
}

type Driven = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How connections of a database are made.
pub struct Connector {
    pub config: wire::Postgres,
    /// The server ends whatever runs longer.
    pub timeout: Duration,
    /// What begins a transaction where there is no session.
    pub begin: String,
    pub tls: Tls,
    pub counts: Arc<Counts>,
}

impl Connector {
    /// The reason where certificates cannot be had.
    pub fn new(
        config: &wire::Postgres,
        timeout: Duration,
        counts: Arc<Counts>,
    ) -> Result<Self, String> {
        let begin = session::begin(config, timeout);
        Ok(Self { config: config.clone(), timeout, begin, tls: Tls::new(config)?, counts })
    }

    async fn connect(self: &Arc<Self>) -> Result<(Arc<Link>, Driven), String> {
        let config = config(&self.config, self.timeout);
        let (client, driven) = match &self.tls {
            Tls::Off => {
                let connected = config.connect(NoTls).await;
                connected.map(|(client, connection)| (client, drive(connection)))
            }
            Tls::On(tls) => {
                let connected = config.connect(tls.clone()).await;
                connected.map(|(client, connection)| (client, drive(connection)))
            }
        }
        .map_err(|error| reason(&error))?;
        Ok((Arc::new(Link::new(client, Arc::clone(self))), driven))
    }
}

fn drive<S, T>(connection: tokio_postgres::Connection<S, T>) -> Driven
where
    tokio_postgres::Connection<S, T>: Future + Send + 'static,
{
    Box::pin(async move {
        // How it ends, those find out who wait for it.
        connection.await;
    })
}

/// What a server, or the way to it, says; no value of anybody's is in it.
fn reason(error: &tokio_postgres::Error) -> String {
    if let Some(found) = error.as_db_error() {
        return format!("SQLSTATE {} {}", found.code().code(), found.message());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), ToString::to_string)
}

/// Who asks whom. A pooler between, which knows no session (`prepare: off`), is told no options: every
/// transaction brings its own.
fn config(from: &wire::Postgres, timeout: Duration) -> Config {
    let mut config = Config::new();
    for host in &from.hosts {
        if host.starts_with('/') {
            config.host_path(host)
        } else {
            config.host(host)
        };
    }
    for port in &from.ports {
        config.port(*port);
    }
    config.user(&from.user).dbname(&from.dbname);
    if !from.password.is_empty() {
        config.password(&from.password);
    }
    config.application_name(from.application_name.as_deref().unwrap_or("pybolt"));
    config.ssl_mode(match from.sslmode.as_str() {
        "disable" => SslMode::Disable,
        "allow" | "prefer" => SslMode::Prefer,
        _ => SslMode::Require,
    });
    config.keepalives(true).keepalives_idle(Duration::from_secs(60));
    config.tcp_user_timeout(Duration::from_secs(30));
    if from.prepare {
        config.options(session::options(from, timeout));
    }
    config
}

impl Postgres {
    fn set(&self, number: usize, state: State) {
        let stands = matches!(state, State::Up(_));
        self.states.lock()[number] = state;
        self.changed.send_replace(());
        if stands {
            self.tell(None);
        }
    }

    /// A connection cannot be made; where no other one stands, the database does not answer.
    fn down(&self, number: usize, reason: &str) {
        self.set(number, State::Down);
        if !self.states.lock().iter().any(|state| matches!(state, State::Up(_))) {
            self.tell(Some(reason));
        }
    }

    /// One line when it begins not to answer, and one when that is over.
    fn tell(&self, reason: Option<&str>) {
        let was = self.told.swap(reason.is_some(), Relaxed);
        if was == reason.is_some() {
            return;
        }
        let mut line = json!({"database": self.alias, "answers": reason.is_none()});
        if let Some(reason) = reason {
            line["reason"] = reason.into();
        }
        write_line(&format!("{line}\n"));
    }
}
