//! The plan: what the engine runs. Compiled once from the documents, immutable, shared by all.
//!
//! `merge.rs` makes one set of declarations of several documents, `mounting.rs` gives what nothing
//! answers to the Django project, `resolve.rs` lets every route
//! inherit, `access.rs` and `bounds.rs` with it, `server.rs` checks the server's settings, `targets.rs`
//! says what answers, `describe.rs` and `effective.rs` tell what came out, `succession.rs` says what a plan
//! takes over from the one before it.

mod access;
mod bounds;
mod describe;
mod effective;
mod guards;
mod merge;
mod mounting;
mod policies;
mod resolve;
mod server;
mod succession;
mod targets;
mod version;
mod warnings;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use self::effective::effective;
pub use self::guards::Guards;
pub use self::server::ServerPlan;
use self::succession::Inheritance;
pub use self::version::Version;
use crate::answer::Answer;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::document;
pub use crate::config::route::RequestBody;
use crate::http::Method;
use crate::middleware::access_log::AccessLogPolicy;
use crate::middleware::authenticate::Authentication;
use crate::middleware::authorize::Requirement;
use crate::middleware::compress::CompressPolicy;
use crate::middleware::cors::CorsPolicy;
use crate::middleware::rate_limit::{Memory, RateLimitPolicy};
use crate::middleware::request_id::RequestIdPolicy;
use crate::middleware::security_headers::SecurityHeadersPolicy;
use crate::middleware::timeout::TimeoutPolicy;
use crate::query::{Database, Databases, QueryPolicy};
use crate::request::RouteId;
use crate::router::Router;

/// Everything that the engine runs by.
pub struct Plan {
    /// The routes; a [`RouteId`] is an index.
    pub routes: Vec<RoutePlan>,
    /// What dresses answers where no route matched.
    pub fallback: RoutePlan,
    /// The routing table.
    pub router: Router,
    /// The server's settings.
    pub server: ServerPlan,
    /// Where limits count.
    pub memory: Memory,
    /// The queries that handlers run, by what they are.
    pub compiled: HashMap<String, Arc<QueryPolicy>>,
    /// What routes read from.
    pub databases: Vec<Arc<Database>>,
    /// Whether any auth is declared anywhere.
    pub has_auth: bool,
    /// Which plan this is.
    pub version: Version,
}

/// One route with everything it inherited.
pub struct RoutePlan {
    /// Its index.
    pub id: RouteId,
    /// The full pattern.
    pub pattern: String,
    /// Its methods.
    pub methods: Vec<Method>,
    /// Its name.
    pub name: Option<String>,
    /// The names of the groups that it is in, the outermost first.
    pub groups: Vec<String>,
    /// Every place that declares it.
    pub locations: Vec<Location>,
    /// Its handler in Python.
    pub handler: Option<HandlerRef>,
    /// What answers it instead, in Rust.
    pub answer: Option<Arc<Answer>>,
    /// Request ids.
    pub request_id: Option<Arc<RequestIdPolicy>>,
    /// The access log.
    pub access_log: Option<Arc<AccessLogPolicy>>,
    /// Security headers.
    pub security_headers: Option<Arc<SecurityHeadersPolicy>>,
    /// CORS.
    pub cors: Option<Arc<CorsPolicy>>,
    /// Compression.
    pub compress: Option<Arc<CompressPolicy>>,
    /// Maintenance, address rules, CSRF, and header fields set and removed.
    pub guards: Guards,
    /// Limits that stand before authentication.
    pub limits_before: Vec<Arc<RateLimitPolicy>>,
    /// Limits that need to know who asks.
    pub limits_after: Vec<Arc<RateLimitPolicy>>,
    /// Who may ask.
    pub access: Access,
    /// What they must have.
    pub requirement: Option<Arc<Requirement>>,
    /// How long an answer may take.
    pub timeout: Option<TimeoutPolicy>,
    /// How long a request's body may be, in bytes.
    pub body_limit: Option<u64>,
    /// How the handler runs.
    pub python: Arc<PythonPolicy>,
    /// The chain in order, for `bolt explain`.
    pub stages: Vec<StagePlan>,
}

/// Who may ask.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everybody.
    Public,
    /// Nobody.
    Deny,
    /// Whomever Django lets: its own middleware and views decide.
    Django,
    /// Whoever these methods know.
    Authenticate(Arc<Authentication>),
}

/// A handler on Python's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerRef {
    /// Its number in the list of callables.
    pub index: usize,
    /// `module:function`.
    pub name: String,
    /// Whether it is a coroutine function.
    pub is_async: bool,
    /// Whether its coroutines may suspend.
    pub awaits: bool,
    /// What it does with the body.
    pub request_body: RequestBody,
    /// Whether it is the Django project, which answers by its own URLs.
    pub is_django: bool,
}

/// Where a handler may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PythonRun {
    /// By measurement.
    #[default]
    Auto,
    /// On the I/O thread whenever the slot is free.
    Inline,
    /// Never on the I/O thread.
    Queue,
    /// Always on the thread pool.
    Thread,
}

/// How handlers run, and how many at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonPolicy {
    /// Where.
    pub run: PythonRun,
    /// How many at once; `None` = as many as the lanes take.
    pub concurrency: Option<usize>,
    /// How many more may wait.
    pub queue: usize,
    /// How long they wait at most.
    pub max_wait: Duration,
}

/// One stage of a route's chain, for people.
#[derive(Debug, Clone)]
pub struct StagePlan {
    /// Its place in the order, from 1.
    pub order: u8,
    /// The slot's key.
    pub slot: &'static str,
    /// Where it is written; a definition's place follows.
    pub origin: Vec<Location>,
    /// The definition's name.
    pub name: Option<String>,
    /// What it does.
    pub summary: String,
}

impl Plan {
    /// Begins what goes on in the background, on the runtime that this is called on.
    pub fn start(&self) {
        for route in &self.routes {
            if let Access::Authenticate(methods) = &route.access {
                methods.start();
            }
        }
        self.databases.iter().for_each(|database| database.start());
        let stores = self.stores();
        if !stores.is_empty() {
            let table = self.memory.table();
            for store in &stores {
                store.start(&table);
            }
        }
    }

    /// Waits until what was started can be asked, for a second at most.
    pub async fn started(&self) {
        let connected = async {
            for store in self.stores() {
                store.connected().await;
            }
            for database in &self.databases {
                database.settled().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(1), connected).await.ok();
    }

    /// The rate limits of all routes, each once.
    pub fn limits(&self) -> Vec<Arc<RateLimitPolicy>> {
        let mut found: Vec<_> = self
            .routes
            .iter()
            .flat_map(|route| route.limits_before.iter().chain(&route.limits_after))
            .cloned()
            .collect();
        found.sort_unstable_by_key(|limit| Arc::as_ptr(limit).addr());
        found.dedup_by(|a, b| Arc::ptr_eq(a, b));
        found
    }

    /// Compiles the wire. There is a plan only without errors; warnings come with it.
    pub fn compile(wire: &str) -> (Option<Self>, Vec<Diagnostic>) {
        Self::compile_after(wire, None)
    }

    /// Compiles the wire of the plan that follows `before`, and takes over what outlives that one.
    pub fn compile_after(wire: &str, before: Option<&Self>) -> (Option<Self>, Vec<Diagnostic>) {
        let mut out = Diagnostics::default();
        let plan = match serde_json::from_str::<Value>(wire) {
            Ok(value) => {
                let documents = document::decode(&value, &mut out);
                let django = document::django(&value, &mut out);
                let mut databases = Databases::new(&value, &mut out);
                let compiled = databases.compile(&value, &mut out);
                let before = Inheritance::of(before);
                let version = Version::of(&value);
                resolve::plan(
                    &documents,
                    (django.as_ref(), compiled),
                    databases,
                    &before,
                    version,
                    &mut out,
                )
            }
            Err(error) => {
                out.error("E010", &Location::default(), format!("the wire is not JSON: {error}"));
                None
            }
        };
        let plan = plan.filter(|_| !out.has_errors());
        (plan, out.into_vec())
    }
}
