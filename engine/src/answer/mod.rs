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
use crate::handler::Handler;
use crate::middleware::authorize::Permitted;
use crate::reply::Reply;
use crate::request::Request;

/// What answers a route instead of a handler.
#[derive(Debug)]
pub enum Answer {
    /// Always the same answer.
    Respond(RespondPolicy),
    /// The client is sent elsewhere.
    Redirect(RedirectPolicy),
    /// What there is to say of the worker.
    Health(HealthPolicy),
}

impl Answer {
    /// The route's key: `respond`, `redirect`, `health`.
    pub const fn slot(&self) -> &'static str {
        match self {
            Self::Respond(_) => "respond",
            Self::Redirect(_) => "redirect",
            Self::Health(_) => "health",
        }
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        match self {
            Self::Respond(policy) => policy.summary(),
            Self::Redirect(policy) => policy.summary(),
            Self::Health(policy) => policy.summary(),
        }
    }

    /// Whether it speaks of the worker.
    pub const fn is_health(&self) -> bool {
        matches!(self, Self::Health(_))
    }

    /// The innermost service of a chain, in a worker of this `health`.
    pub fn handler(answer: &Arc<Self>, health: &Health) -> Rc<dyn Handler> {
        match &**answer {
            Self::Health(policy) => Rc::new(Telling(health.clone(), *policy)),
            _ => Rc::new(Answering(Arc::clone(answer))),
        }
    }
}

/// A handler in Rust.
struct Answering(Arc<Answer>);

impl Handler for Answering {
    fn call(&self, request: Permitted<Request>) -> Reply {
        match &*self.0 {
            Answer::Respond(policy) => policy.answer(),
            Answer::Redirect(policy) => policy.answer(&request),
            Answer::Health(_) => unreachable!("it has a handler of its own"),
        }
        .into()
    }
}

/// A handler that knows its worker.
struct Telling(Health, HealthPolicy);

impl Handler for Telling {
    fn call(&self, _: Permitted<Request>) -> Reply {
        self.0.answer(self.1).into()
    }
}
