//! One connection, made, driven, and made again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::json;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

use super::link::Link;
use super::tls::Tls;
use super::{Held, Postgres, State};
use crate::middleware::access_log::write_line;
use crate::query::wire;

/// So long one attempt takes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The pauses between attempts: doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Looks after connection `number` until its database is dropped.
pub(super) async fn keep(database: Held, number: usize) {
    let mut pause = PAUSES.0;
    loop {
        let Some(held) = database.upgrade() else { return };
        let ended = Arc::clone(&held.ended);
        let driven = match connect(&held).await {
            Ok((link, driven)) => {
                pause = PAUSES.0;
                held.tell(None);
                held.states[number].send_replace(State::Up(Arc::new(link)));
                driven
            }
            Err(reason) => {
                held.tell(Some(&reason));
                held.states[number].send_replace(State::Down);
                drop(held);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = ended.notified() => return,
                }
                pause = (pause * 2).min(PAUSES.1);
                continue;
            }
        };
        // Its link is all that keeps it: where the database goes, so does the connection.
        drop(held);
        driven.await;
        let Some(held) = database.upgrade() else { return };
        held.states[number].send_replace(State::Connecting);
    }
}

type Driven = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn connect(database: &Postgres) -> Result<(Link, Driven), String> {
    let config = config(&database.config, database.timeout);
    let said = |error: tokio_postgres::Error| reason(&error);
    let connecting = async {
        match &database.tls {
            Tls::Off => {
                let (client, connection) = config.connect(NoTls).await.map_err(said)?;
                Ok((client, drive(connection)))
            }
            Tls::On(tls) => {
                let (client, connection) = config.connect(tls.clone()).await.map_err(said)?;
                Ok((client, drive(connection)))
            }
        }
    };
    let late = || Err(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()));
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
    let (client, driven) = connected.unwrap_or_else(|_| late())?;
    Ok((Link::new(client, database.tls.clone()), driven))
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

/// The session: read-only, with a bound on every statement. A pooler between, which knows no session
/// (`prepare: off`), is told nothing but the name.
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
    if let Some(name) = &from.application_name {
        config.application_name(name);
    }
    config.ssl_mode(match from.sslmode.as_str() {
        "disable" => SslMode::Disable,
        "allow" | "prefer" => SslMode::Prefer,
        _ => SslMode::Require,
    });
    config.keepalives(true).keepalives_idle(Duration::from_secs(60));
    config.tcp_user_timeout(Duration::from_secs(30));
    if from.prepare {
        let timeout = timeout.as_millis().to_string();
        let ours = [
            ("default_transaction_read_only", "on"),
            ("statement_timeout", timeout.as_str()),
            ("TimeZone", from.timezone.as_str()),
        ];
        let theirs = from.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let options: Vec<_> = theirs
            .chain(ours)
            .map(|(name, value)| format!("-c {name}={}", escaped(value)))
            .collect();
        config.options(options.join(" "));
    }
    config
}

/// A value within `options`, where white space ends one.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(' ', "\\ ")
}

impl Postgres {
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
