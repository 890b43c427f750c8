//! Whether keys can be fetched, for the log and for `bolt check --online` (E098): the log has one
//! line when it begins to fail, one when it is well again.
//!
//! `{"keys":"https://id.example.com/jwks.json","fetched":false,"reason":"Connection refused"}`, then
//! `{"keys":"https://id.example.com/jwks.json","fetched":true}`. Every worker fetches for itself and
//! writes its own lines; a plan that takes over does not repeat what the one before it has written.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::json;

use super::fetch::{Place, Unfetched};
use super::remote::Remote;
use crate::config::diagnostic::Diagnostic;
use crate::middleware::access_log::write_line;

/// What the log knows.
#[derive(Debug, Default)]
pub struct Health {
    failing: AtomicBool,
    hushed: AtomicBool,
}

impl Health {
    /// Takes note of how a fetch ended, and writes a line where that is news.
    pub fn note(&self, place: &Place, outcome: Result<(), &Unfetched>) {
        let failing = outcome.is_err();
        if self.failing.swap(failing, Relaxed) == failing || self.hushed.load(Relaxed) {
            return;
        }
        let mut line = json!({"keys": place.shown(), "fetched": !failing});
        if let Err(why) = outcome {
            line["reason"] = why.to_string().into();
        }
        write_line(&format!("{line}\n"));
    }

    /// Writes nothing from now on.
    pub fn hush(&self) {
        self.hushed.store(true, Relaxed);
    }

    /// Knows what the log was told before.
    pub fn succeed(&self, before: &Self) {
        self.failing.store(before.failing.load(Relaxed), Relaxed);
    }
}

impl Remote {
    /// Fetches the set as at run time and tells why it is of no use; keeps nothing.
    pub async fn probe(&self) -> Option<Diagnostic> {
        let outcome = self.place.fetch().await.and_then(|bytes| self.usable(&bytes));
        let why = outcome.err()?;
        let message = format!("{}: {why}", self.place.shown());
        let hint = match why {
            Unfetched::Useless(_) => "it must be a JWK set with a key for `algorithms`",
            Unfetched::Status(300..400) => "write the URL that it leads to",
            Unfetched::Status(_) | Unfetched::Large => "is this the URL of the JWK set?",
            Unfetched::Late | Unfetched::Broken(_) => "tokens are refused while it cannot be had",
        };
        Some(Diagnostic::error("E098", &self.place.at, message).hint(hint))
    }

    /// Writes nothing of fetching to the log.
    pub fn hush(&self) {
        self.health.hush();
    }
}

#[cfg(test)]
mod tests {
    use super::super::remote::tests::{COOLDOWN, Server, on_a_runtime};
    use crate::middleware::access_log::{LogSink, set_sink};
    use parking_lot::Mutex;
    use std::sync::Arc;
    use std::time::Instant;

    /// The lines of the log that name a server.
    #[derive(Default)]
    struct Log(Mutex<Vec<String>>);

    impl LogSink for Log {
        fn write(&self, line: String) {
            self.0.lock().push(line);
        }
    }

    #[test]
    fn the_log_says_once_that_fetching_fails_and_once_that_it_is_well_again() {
        let log = Arc::new(Log::default());
        set_sink(Arc::clone(&log) as Arc<dyn LogSink>);
        on_a_runtime(async {
            let mut server = Server::open().await;
            server.url.set_query(Some("token=hush"));
            let shown = server.url.as_str().replace("token=hush", "***");
            let well = format!("{{\"keys\":\"{shown}\",\"fetched\":true}}\n");
            let failing = |why: &str| {
                let head = format!("{{\"keys\":\"{shown}\",\"fetched\":false");
                format!("{head},\"reason\":\"{why}\"}}\n")
            };
            let lines = || -> Vec<String> {
                log.0.lock().iter().filter(|line| line.contains(&shown)).cloned().collect()
            };
            server.has(&["one"]);
            let remote = server.remote(COOLDOWN, false);
            remote.refresh().await;
            assert_eq!(lines(), [""; 0], "what is well from the start is no news");
            server.says("503 Service Unavailable", "");
            remote.refresh().await;
            server.says("200 OK", "{\"keys\": []}");
            remote.refresh().await;
            let mut expected = vec![failing("the status is 503, not 200")];
            assert_eq!(lines(), expected);
            // The next plan knows that this was said.
            *remote.fetched.lock() = Some(Instant::now());
            let next = server.remote(COOLDOWN, false);
            assert!(next.succeed(&remote));
            next.refresh().await;
            assert_eq!(lines(), expected);
            server.has(&["one"]);
            next.refresh().await;
            next.refresh().await;
            expected.push(well);
            assert_eq!(lines(), expected);
            server.says("200 OK", "{\"keys\": []}");
            next.refresh().await;
            expected.push(failing("none of its keys can be used with `algorithms`"));
            assert_eq!(lines(), expected);
            let silent = server.remote(COOLDOWN, false);
            silent.hush();
            silent.refresh().await;
            assert_eq!(lines(), expected);
            assert!(!format!("{silent:?}").contains("hush"));
        });
    }
}
