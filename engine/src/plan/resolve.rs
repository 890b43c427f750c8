//! Every route with everything it inherits: defaults → groups → route; a child replaces a slot
//! whole, and only `rate_limit` is merged by name.

use std::collections::HashMap;
use std::sync::Arc;

use super::access::{self, credentials, has_auth};
use super::guards::GuardKinds;
use super::merge::{self, Inherited, Merged};
use super::policies::{self, Kind, kind};
use super::succession::Inheritance;
use super::version::Version;
use super::warnings;
use super::{Access, Plan, PythonPolicy, RoutePlan, ServerPlan, StagePlan, bounds, server};
use crate::answer::Answer;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::directories::Directories;
use crate::config::document::{Document, PythonConfig, Slots};
use crate::config::route::HandlerConfig;
use crate::config::slot::Slot;
use crate::http::HeaderName;
use crate::middleware::access_log::{AccessLogConfig, AccessLogPolicy};
use crate::middleware::authenticate::{AuthConfig, Authentication, Authenticator};
use crate::middleware::authorize::Requirement;
use crate::middleware::compress::{CompressConfig, CompressPolicy};
use crate::middleware::cors::{CorsConfig, CorsPolicy};
use crate::middleware::rate_limit::{RateLimitConfig, RateLimitPolicy, Store};
use crate::middleware::request_id::{RequestIdConfig, RequestIdPolicy};
use crate::middleware::security_headers::{SecurityHeadersConfig, SecurityHeadersPolicy};
use crate::query::{Databases, QueryPolicy};
use crate::request::RouteId;
use crate::router::Router;

/// Compiles the documents.
pub(super) fn plan(
    documents: &[Document],
    (django, compiled): (Option<&HandlerConfig>, HashMap<String, Arc<QueryPolicy>>),
    databases: Databases,
    before: &Inheritance,
    version: Version,
    out: &mut Diagnostics,
) -> Option<Plan> {
    let server = server::compile(documents, out);
    let defaults = merge::defaults(documents, out);
    let (merged, idle) = merge::routes(documents, django, out);
    let has_auth = has_auth(documents, &merged);
    let credentials = credentials(documents, &merged);
    let mut resolver = Resolver::new(documents, &server, before, credentials, has_auth, out);
    resolver.databases = databases;
    let routes: Vec<RoutePlan> = (0..)
        .zip(&merged)
        .map(|(id, route)| resolver.route(RouteId(id), route, &defaults, out))
        .collect();
    let fallback_id = RouteId(u32::try_from(routes.len()).unwrap_or(u32::MAX));
    let fallback = resolver.fallback(fallback_id, &defaults, out);
    for slots in idle {
        // What it names is used, and its own mistakes are told with the one that keeps it idle.
        let slots = defaults.iter().copied().chain(slots).collect();
        resolver.resolve(fallback_id, &slots, out);
    }
    let databases = std::mem::take(&mut resolver.databases).make(&before.databases, out);
    resolver.finish(out);
    if routes.is_empty() && !out.has_errors() {
        out.push(Diagnostic::warning(
            "W050",
            &Location::document(0),
            "no routes: every request is 404",
        ));
    }
    let table: Vec<_> = routes
        .iter()
        .map(|route| (route.id, route.pattern.as_str(), route.methods.as_slice()))
        .collect();
    let router = match Router::build(&table) {
        Ok(router) => router,
        Err(conflicts) => {
            for problem in conflicts {
                let route = &routes[problem.route.0 as usize];
                let mut diagnostic = Diagnostic::error(
                    "E054",
                    &route.locations[0],
                    format!("`{}`: {}", route.pattern, problem.message),
                );
                if let Some(other) =
                    routes.iter().find(|other| Some(&other.pattern) == problem.with.as_ref())
                {
                    diagnostic = diagnostic
                        .related(&other.locations[0], "the other pattern")
                        .hint("give the parameter the same name in both");
                }
                out.push(diagnostic);
            }
            return None;
        }
    };
    let memory = before.memory(server.rate_limit_memory);
    let plan =
        Plan { routes, fallback, router, server, memory, compiled, databases, has_auth, version };
    Store::check(&plan.stores(), out);
    Some(plan)
}

/// The innermost setting of a slot.
pub(super) fn innermost<'a, T>(
    slots: &[&'a Slots],
    get: impl Fn(&'a Slots) -> Option<&'a Spanned<T>>,
) -> Option<&'a Spanned<T>> {
    slots.iter().rev().find_map(|slots| get(slots))
}

pub(super) struct Resolver<'a> {
    pub(super) documents: &'a [Document],
    server: &'a ServerPlan,
    pub(super) before: &'a Inheritance,
    /// The headers that carry credentials anywhere.
    credentials: Vec<HeaderName>,
    pub(super) has_auth: bool,
    request_id: Kind<'a, RequestIdConfig, RequestIdPolicy>,
    access_log: Kind<'a, AccessLogConfig, AccessLogPolicy>,
    security_headers: Kind<'a, SecurityHeadersConfig, SecurityHeadersPolicy>,
    cors: Kind<'a, CorsConfig, CorsPolicy>,
    compress: Kind<'a, CompressConfig, CompressPolicy>,
    /// How many limits that are written in place read the same so far.
    pub(super) alike: HashMap<String, u32>,
    /// The stores that limits were found to be counted in, and those of the plan before.
    pub(super) stores: Vec<Arc<Store>>,
    pub(super) rate_limit: Kind<'a, RateLimitConfig, RateLimitPolicy>,
    pub(super) auth: Kind<'a, AuthConfig, Authenticator>,
    pub(super) authentications: Kind<'a, (), Authentication>,
    python: Kind<'a, PythonConfig, PythonPolicy>,
    pub(super) requirements: Kind<'a, (), Requirement>,
    pub(super) answers: Kind<'a, (), Answer>,
    pub(super) databases: Databases,
    guards: GuardKinds<'a>,
    pub(super) plain_python: Arc<PythonPolicy>,
}

/// A policy with what explains it.
type Found<P> = Option<Arc<P>>;

impl<'a> Resolver<'a> {
    fn new(
        documents: &'a [Document],
        server: &'a ServerPlan,
        before: &'a Inheritance,
        credentials: Vec<HeaderName>,
        has_auth: bool,
        out: &mut Diagnostics,
    ) -> Self {
        Self {
            documents,
            server,
            before,
            credentials,
            has_auth,
            alike: HashMap::new(),
            stores: before.stores(),
            request_id: kind!(request_id, documents, out),
            access_log: kind!(access_log, documents, out),
            security_headers: kind!(security_headers, documents, out),
            cors: kind!(cors, documents, out),
            compress: kind!(compress, documents, out),
            rate_limit: kind!(rate_limit, documents, out),
            auth: kind!(auth, documents, out),
            python: kind!(python, documents, out),
            authentications: Kind::undefined("auth"),
            requirements: Kind::undefined("allow"),
            answers: Kind::undefined("answer"),
            databases: Databases::default(),
            guards: GuardKinds::collect(documents, out),
            plain_python: Arc::new(PythonPolicy::default()),
        }
    }

    fn route(
        &mut self,
        id: RouteId,
        merged: &Merged<'a>,
        defaults: &Inherited<'a>,
        out: &mut Diagnostics,
    ) -> RoutePlan {
        let slots: Inherited<'a> = defaults.iter().copied().chain(merged.slots()).collect();
        let mut route = self.resolve(id, &slots, out);
        warnings::nobody_asked(&route, &slots, out);
        warnings::nobody_held(&route, &slots, out);
        if !out.has_errors() {
            // What could not be compiled is denied as well, and has been told of.
            warnings::nobody_counted(&route, merged, out);
        }
        route.pattern.clone_from(&merged.pattern);
        route.methods.clone_from(&merged.methods);
        route.name.clone_from(&merged.name);
        route.groups = merged.inside.iter().map(|&name| name.to_owned()).collect();
        route.locations.clone_from(&merged.locations);
        let run = route.python.run;
        self.target(&mut route, merged.target, out);
        access::check_django(&route, &slots, out);
        warnings::nobody_asked_where_from(&route, &slots, out);
        let told = warnings::nobody_runs_so(&route, run, merged, out);
        warnings::nothing_to_run(&route, told, merged, out);
        route
    }

    fn fallback(
        &mut self,
        id: RouteId,
        defaults: &Inherited<'a>,
        out: &mut Diagnostics,
    ) -> RoutePlan {
        let mut route = self.resolve(id, defaults, out);
        // Behind the gate nothing of this chain is ever reached.
        route.access = Access::Deny;
        route.requirement = None;
        route
    }

    fn resolve(&mut self, id: RouteId, slots: &Inherited<'a>, out: &mut Diagnostics) -> RoutePlan {
        let mut stages = Vec::new();
        let trusted = &self.server.trusted;
        let credentials = &self.credentials;
        let request_id = slot(
            &mut self.request_id,
            slots,
            |s| s.request_id.as_ref(),
            (1, "request_id"),
            &mut stages,
            out,
            Some(RequestIdConfig::default),
            |c, _, out| c.compile(trusted, out),
            RequestIdPolicy::summary,
        );
        let access_log = slot(
            &mut self.access_log,
            slots,
            |s| s.access_log.as_ref(),
            (2, "access_log"),
            &mut stages,
            out,
            Some(AccessLogConfig::default),
            |c, _, out| c.compile(credentials, out),
            AccessLogPolicy::summary,
        );
        let security_headers = slot(
            &mut self.security_headers,
            slots,
            |s| s.security_headers.as_ref(),
            (5, "security_headers"),
            &mut stages,
            out,
            Some(SecurityHeadersConfig::default),
            |c, _, out| c.compile(out),
            SecurityHeadersPolicy::summary,
        );
        let cors = slot(
            &mut self.cors,
            slots,
            |s| s.cors.as_ref(),
            (6, "cors"),
            &mut stages,
            out,
            None::<fn() -> CorsConfig>,
            |c, _, out| c.compile(out),
            CorsPolicy::summary,
        );
        let compress = slot(
            &mut self.compress,
            slots,
            |s| s.compress.as_ref(),
            (7, "compress"),
            &mut stages,
            out,
            Some(CompressConfig::default),
            |c, _, out| c.compile(out),
            CompressPolicy::summary,
        );
        let (limits_before, limits_after) = self.limits(slots, &mut stages, out);
        let guards = self.guards.resolve(slots, &mut stages, out);
        let (access, requirement) = self.access(slots, &mut stages, out);
        let python = slot(
            &mut self.python,
            slots,
            |s| s.python.as_ref(),
            (16, "python"),
            &mut stages,
            out,
            Some(no_python_options),
            |c, _, out| policies::python(c, out),
            PythonPolicy::summary,
        );
        let timeout = bounds::timeout(slots, &mut stages, out);
        let body_limit = bounds::body_limit(slots, &mut stages, out);
        stages.sort_by_key(|stage| stage.order);
        RoutePlan {
            id,
            pattern: String::new(),
            methods: Vec::new(),
            name: None,
            groups: Vec::new(),
            locations: Vec::new(),
            handler: None,
            answer: None,
            request_id,
            access_log,
            security_headers,
            cors,
            compress,
            guards,
            limits_before,
            limits_after,
            access,
            requirement,
            timeout,
            body_limit,
            python: python.unwrap_or_else(|| Arc::clone(&self.plain_python)),
            stages,
        }
    }

    fn finish(&mut self, out: &mut Diagnostics) {
        let (trusted, credentials) = (&self.server.trusted, &self.credentials);
        let directories = Directories(self.documents);
        self.request_id.finish(|_, c, out| c.compile(trusted, out), out);
        self.access_log.finish(|_, c, out| c.compile(credentials, out), out);
        self.security_headers.finish(|_, c, out| c.compile(out), out);
        self.cors.finish(|_, c, out| c.compile(out), out);
        self.compress.finish(|_, c, out| c.compile(out), out);
        self.rate_limit.finish(|name, c, out| c.compile(name, &c.at, out), out);
        self.auth.finish(|_, c, out| c.compile(directories, &c.at, out), out);
        self.guards.finish(out);
        self.python.finish(|_, c, out| policies::python(c, out), out);
    }
}

fn no_python_options() -> PythonConfig {
    PythonConfig { run: None, concurrency: None, queue: None, max_wait: None }
}

/// Resolves a slot that holds a block, a name, `on` or `off`.
#[allow(clippy::too_many_arguments)] // one call shape for every slot
pub(super) fn slot<'a, C, P>(
    kind: &mut Kind<'a, C, P>,
    slots: &Inherited<'a>,
    get: impl Fn(&'a Slots) -> Option<&'a Spanned<Slot<C>>>,
    (order, key): (u8, &'static str),
    stages: &mut Vec<StagePlan>,
    out: &mut Diagnostics,
    default: Option<impl Fn() -> C>,
    compile: impl Fn(&C, &Location, &mut Diagnostics) -> Option<P>,
    summary: impl Fn(&P) -> String,
) -> Found<P> {
    let written = innermost(slots, get)?;
    let at = &written.at;
    let (policy, origin, name) = match &written.value {
        Slot::Off => return None,
        Slot::On => {
            let Some(default) = default else {
                out.push(
                    Diagnostic::error("E022", at, format!("`{key}` cannot be just `on`"))
                        .hint("name a definition, or write a block"),
                );
                return None;
            };
            (kind.policy(at, || compile(&default(), at, out)), vec![at.clone()], None)
        }
        Slot::Name(name) => {
            let definition = kind.named(name, at, out)?;
            let policy =
                kind.policy(&definition.at, || compile(&definition.value, &definition.at, out));
            (policy, vec![at.clone(), definition.at.clone()], Some(name.clone()))
        }
        Slot::Inline(config) => {
            (kind.policy(at, || compile(config, at, out)), vec![at.clone()], None)
        }
    };
    let policy = policy?;
    stages.push(StagePlan { order, slot: key, origin, name, summary: summary(&policy) });
    Some(policy)
}
