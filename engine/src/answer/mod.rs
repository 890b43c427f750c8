//! Routes that Rust answers alone: no handler, no `app`, no Python. Everything else of a route
//! (auth, limits, CORS, the log, ...) holds for them as for any other: an answer is the innermost
//! service of its chain, and only a permitted request gets it.

pub mod health;
pub mod redirect;
pub mod respond;

use std::rc::Rc;
use std::sync::Arc;

use self::health::{Health, HealthPolicy};
use self::redirect::RedirectPolicy;
use self::respond::RespondPolicy;
use crate::files::{Files, FilesPolicy};
use crate::handler::Handler;
use crate::middleware::authorize::Permitted;
use crate::query::{QueryPolicy, Reading};
use crate::reply::Reply;
use crate::request::Request;

/// What answers a route instead of a handler.
#[derive(Debug)]
pub enum Answer {
    /// Always the same answer.
    Respond(Arc<RespondPolicy>),
    /// The client is sent elsewhere.
    Redirect(Arc<RedirectPolicy>),
    /// What there is to say of the worker.
    Health(HealthPolicy),
    /// A file of a directory.
    Files(Arc<FilesPolicy>),
    /// Rows of a database.
    Query(Arc<QueryPolicy>),
}

impl Answer {
    /// The route's key: `respond`, `redirect`, `health`, `files`, `query`.
    pub const fn slot(&self) -> &'static str {
        match self {
            Self::Respond(_) => "respond",
            Self::Redirect(_) => "redirect",
            Self::Health(_) => "health",
            Self::Files(_) => "files",
            Self::Query(_) => "query",
        }
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        match self {
            Self::Respond(policy) => policy.summary(),
            Self::Redirect(policy) => policy.summary(),
            Self::Health(policy) => policy.summary(),
            Self::Files(policy) => policy.summary(),
            Self::Query(policy) => policy.summary(),
        }
    }

    /// Whether it speaks of the worker.
    pub const fn is_health(&self) -> bool {
        matches!(self, Self::Health(_))
    }

    /// The innermost service of a chain, in a worker of this `health`; `private`: not everybody gets
    /// its answers.
    pub fn handler(&self, health: &Health, private: bool) -> Rc<dyn Handler> {
        match self {
            Self::Respond(policy) => Rc::new(Arc::clone(policy)),
            Self::Redirect(policy) => Rc::new(Arc::clone(policy)),
            Self::Health(policy) => Rc::new(Telling(health.clone(), *policy)),
            Self::Files(policy) => Rc::new(Files::new(Arc::clone(policy), private)),
            Self::Query(policy) => Rc::new(Reading(Arc::clone(policy))),
        }
    }
}

impl Handler for Arc<RespondPolicy> {
    fn call(&self, _: Permitted<Request>) -> Reply {
        self.answer().into()
    }
}

impl Handler for Arc<RedirectPolicy> {
    fn call(&self, request: Permitted<Request>) -> Reply {
        self.answer(&request).into()
    }
}

/// A handler that knows its worker.
struct Telling(Health, HealthPolicy);

impl Handler for Telling {
    fn call(&self, _: Permitted<Request>) -> Reply {
        self.0.answer(self.1).into()
    }
}
