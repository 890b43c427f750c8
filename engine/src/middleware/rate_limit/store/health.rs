//! Whether a store answers, for the log and for `bolt check --online` (E198): the log has one line
//! when its breaker opens, and one when it closes.
//!
//! `{"store":"redis://10.0.0.5:6379/0","answers":false,"reason":"Connection refused"}`, then
//! `{"store":"redis://10.0.0.5:6379/0","answers":true}`. The workers of a machine share the breaker,
//! so it is one line of all of them.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use redis::RedisError;
use serde_json::json;

use super::Store;
use super::place::Place;
use crate::config::diagnostic::Diagnostic;
use crate::middleware::access_log::write_line;

/// A longer reason is cut.
const MAX_REASON: usize = 200;

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// No connection, or no answer, in that time.
    Late(Duration),
    /// The connection broke or Redis refused, with the reason.
    Broken(String),
    /// An answer that is none to what was asked.
    Useless,
    /// So much is asked already that nothing more was.
    Crowded,
}

impl From<RedisError> for Unanswered {
    fn from(error: RedisError) -> Self {
        let mut cause: &dyn Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        // It may quote what a stranger has sent.
        let plain = cause.to_string().replace(char::is_control, " ");
        Self::Broken(plain.chars().take(MAX_REASON).collect())
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(waited) => write!(f, "there was no answer in {} ms", waited.as_millis()),
            Self::Broken(why) => f.write_str(why),
            Self::Useless => f.write_str("it answered something else than it was asked"),
            Self::Crowded => f.write_str("too much is asked of it at once"),
        }
    }
}

/// Writes that `place` answers again, or why it does not.
pub fn tell(place: &Place, outcome: Result<(), &Unanswered>) {
    let mut line = json!({"store": place.shown, "answers": outcome.is_ok()});
    if let Err(why) = outcome {
        line["reason"] = why.to_string().into();
    }
    write_line(&format!("{line}\n"));
}

impl Store {
    /// Asks as at run time, and tells why that does not work.
    pub async fn probe(&self) -> Option<Diagnostic> {
        let why = self.connect().await.err()?;
        let message = format!("{}: {why}", self.place.shown);
        let hint = match why {
            Unanswered::Late(_) => "is it near enough for `store_timeout`?",
            _ => "what `on_store_error` says holds while it does not answer",
        };
        Some(Diagnostic::error("E198", &self.place.at, message).hint(hint))
    }
}
