//! What the log is told of fetching: one line when it begins to fail, one when it is well again.
//!
//! `{"keys":"https://id.example.com/jwks.json","fetched":false,"reason":"Connection refused"}`, then
//! `{"keys":"https://id.example.com/jwks.json","fetched":true}`. Every worker fetches for itself and
//! writes its own lines; a plan that takes over does not repeat what the one before it has written.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::json;

use super::fetch::{Place, Unfetched};
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
