//! Routes that Rust answers alone: no handler, no `app`, no Python. Everything else of a route
//! (auth, limits, CORS, the log, ...) holds for them as for any other: an answer is the innermost
//! service of its chain, and only a permitted request gets it.

pub mod redirect;
pub mod respond;

use std::rc::Rc;
use std::sync::Arc;

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
}

impl Answer {
    /// The route's key: `respond`, `redirect`.
    pub const fn slot(&self) -> &'static str {
        match self {
            Self::Respond(_) => "respond",
            Self::Redirect(_) => "redirect",
        }
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        match self {
            Self::Respond(policy) => policy.summary(),
            Self::Redirect(policy) => policy.summary(),
        }
    }

    /// The innermost service of a chain.
    pub fn handler(answer: &Arc<Self>) -> Rc<dyn Handler> {
        Rc::new(Answering(Arc::clone(answer)))
    }
}

/// A handler in Rust.
struct Answering(Arc<Answer>);

impl Handler for Answering {
    fn call(&self, request: Permitted<Request>) -> Reply {
        match &*self.0 {
            Answer::Respond(policy) => policy.answer(),
            Answer::Redirect(policy) => policy.answer(&request),
        }
        .into()
    }
}
