//! What answers a route: the one key of it that says so.

use serde_json::Value;

use super::decode::Spanned;
use super::diagnostic::{Diagnostic, Diagnostics, Location};
use super::document::field;
use super::route::{HandlerConfig, QueryTarget};
use crate::answer::redirect::RedirectConfig;
use crate::answer::respond::RespondConfig;
use crate::files::FilesConfig;

/// What answers a route.
#[derive(Debug, Clone)]
pub enum TargetConfig {
    /// A handler in Python.
    Handler(HandlerConfig),
    /// Rust, always the same.
    Respond(RespondConfig),
    /// Rust, by sending the client elsewhere.
    Redirect(RedirectConfig),
    /// Rust, by telling how its worker is: `live`, `ready`.
    Health(Spanned<String>),
    /// Rust, by the files of a directory.
    Files(Box<FilesConfig>),
    /// Rows of a database, read by Rust or by Python.
    Query(Box<QueryTarget>),
    /// One of them, whose mistake is recorded.
    Broken,
}

impl TargetConfig {
    /// Reads the one key of a route that says what answers it.
    pub(super) fn read(
        object: &serde_json::Map<String, Value>,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<Spanned<Self>> {
        let keys = ["handler", "respond", "redirect", "health", "files", "query"];
        let mut given = keys.into_iter().filter(|key| object.contains_key(*key));
        let key = given.next()?;
        let target = match key {
            "handler" => field(object, at, key, out).map(Self::Handler),
            "respond" => field(object, at, key, out).map(Self::Respond),
            "health" => field(object, at, key, out).map(Self::Health),
            "redirect" => field(object, at, key, out).map(Self::Redirect),
            "files" => field(object, at, key, out).map(Box::new).map(Self::Files),
            _ => field(object, at, key, out).map(Box::new).map(Self::Query),
        };
        for other in given {
            let message = format!("`{key}` answers this route, and so does `{other}`");
            out.push(
                Diagnostic::error("E056", &at.key(other), message)
                    .at_key()
                    .hint("keep one of them")
                    .related(&at.key(key), "the other one"),
            );
        }
        Some(Spanned { value: target.unwrap_or(Self::Broken), at: at.key(key) })
    }
}
