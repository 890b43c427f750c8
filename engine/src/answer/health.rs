//! Health: whether this worker is alive, and whether it is ready for requests, told by Rust.
//!
//! `live` is 200 as long as the worker answers at all. `ready` is 200 until the worker drains, then
//! 503 with `Retry-After`: whoever balances sends nobody there any more. Both name the version of
//! the plan that answers, its number and its hash. Nothing is asked of Python, `bolt maintenance`
//! does not close it, and nobody may store it. Auth, limits, hosts and the log hold for it as for
//! any route: a probe must name one of `server.hosts`, and the route has to say `auth: public`
//! where auth is declared.
//!
//! Options: `health: ready` or `health: live`. Refusals: none. Example:
//! `{path: /readyz, health: ready, auth: public, rate_limit: off, access_log: off}`.

use bytes::Bytes;

use crate::body::Body;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::http::{HeaderValue, Headers, StatusCode, header};
use crate::plan::Version;
use crate::response::Response;
use crate::server::Drain;

/// What a route tells of its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthPolicy {
    /// Whether it answers.
    Live,
    /// Whether requests should be sent to it.
    Ready,
}

const KINDS: [&str; 2] = ["live", "ready"];

/// Fields that the layers above may add.
const ROOM: usize = 12;

impl HealthPolicy {
    /// Reads `live` or `ready`.
    pub fn compile(written: &Spanned<String>, out: &mut Diagnostics) -> Option<Self> {
        match written.as_str() {
            "live" => Some(Self::Live),
            "ready" => Some(Self::Ready),
            other => {
                let hint = did_you_mean(other, KINDS).map_or_else(
                    || "write `live` or `ready`".to_owned(),
                    |known| format!("did you mean `{known}`?"),
                );
                let message = format!("`{other}` is no kind of health");
                out.push(Diagnostic::error("E127", &written.at, message).hint(hint));
                None
            }
        }
    }

    /// One line for `bolt explain`.
    pub fn summary(self) -> String {
        match self {
            Self::Live => "200 while the worker answers".to_owned(),
            Self::Ready => "200, or 503 while the worker drains".to_owned(),
        }
    }
}

/// The answers of one worker under one plan.
#[derive(Clone)]
pub struct Health {
    drain: Drain,
    fine: Bytes,
    draining: Bytes,
}

impl Health {
    /// Of a worker that runs `version` until `drain`.
    pub fn new(version: &Version, drain: Drain) -> Self {
        let body = |status: &str| {
            let Version { number, hash } = version;
            let text = format!(r#"{{"status":"{status}","version":{number},"hash":"{hash}"}}"#);
            Bytes::from(text)
        };
        Self { drain, fine: body("ok"), draining: body("draining") }
    }

    pub(super) fn answer(&self, policy: HealthPolicy) -> Response {
        let leaves = policy == HealthPolicy::Ready && self.drain.is_draining();
        let (status, body) = if leaves {
            (StatusCode::SERVICE_UNAVAILABLE, &self.draining)
        } else {
            (StatusCode::OK, &self.fine)
        };
        let mut response = Response::new(status);
        response.headers = Headers::with_capacity(ROOM);
        let json = HeaderValue::from_static("application/json");
        response.headers.append(header::CONTENT_TYPE, json);
        response.headers.append(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if leaves {
            response.headers.append(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.body = Body::from(body.clone());
        response
    }
}
