//! What a plan says, for `bolt explain` and `bolt routes`.

use serde_json::{Value, json};

use super::{Access, Plan, PythonPolicy, PythonRun, RoutePlan, StagePlan};
use crate::config::units::Span;
use crate::placement::PROMOTE_AFTER;
use crate::request::RouteId;

impl Plan {
    /// The route `id` with its chain; the fallback for any other.
    pub fn describe_route(&self, id: RouteId) -> Value {
        let route = self.routes.get(id.0 as usize).unwrap_or(&self.fallback);
        let mut stages: Vec<_> = route.stages.iter().map(describe_stage).collect();
        if route.handler.is_some() && route.stages.iter().all(|stage| stage.slot != "python") {
            stages.push(json!({
                "order": 16,
                "slot": "python",
                "origin": [],
                "name": null,
                "summary": route.python.summary(),
            }));
        }
        json!({
            "route": {
                "path": route.pattern,
                "methods": route.methods.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "name": route.name,
                "handler": route.handler.as_ref().map(|handler| &handler.name),
                "is_django": is_django(route),
                "answer": describe_answer(route),
                "is_async": route.handler.as_ref().map(|handler| handler.is_async),
                "locations": route.locations,
            },
            "stages": stages,
        })
    }

    /// All routes, in a few words each.
    pub fn routes_json(&self) -> Value {
        self.routes
            .iter()
            .map(|route| {
                json!({
                    "methods": route.methods.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "path": route.pattern,
                    "name": route.name,
                    "groups": route.groups,
                    "handler": route.handler.as_ref().map(|handler| &handler.name),
                    "answer": describe_answer(route),
                    "auth": describe_access(route),
                    "is_django": is_django(route),
                    "rewrites": route.guards.rewrite.is_some(),
                    "public": matches!(route.access, Access::Public),
                    "logged": route.access_log.is_some(),
                    "locations": route.locations,
                })
            })
            .collect()
    }

    /// The server's settings that a supervisor needs.
    pub fn server_json(&self) -> Value {
        use crate::config::document::Workers;
        json!({
            "listen": self.server.listen,
            "workers": match self.server.workers { Workers::Auto => Value::from("auto"), Workers::Count(count) => count.into() },
            "drain_timeout": self.server.drain_timeout.as_secs_f64(),
            "threads": self.server.threads,
            "switch_interval": self.server.switch_interval.as_secs_f64(),
            "rate_limit_memory": self.memory.size(),
            // What listeners have for their whole life, to be compared.
            "listener": format!("{:?} {:?}", self.server.limits, self.server.trusted),
            "has_auth": self.has_auth,
            "key_urls": self.remotes().len(),
            "limit_stores": self.stores().len(),
            "hash": self.version.hash,
        })
    }
}

fn describe_stage(stage: &StagePlan) -> Value {
    json!({
        "order": stage.order,
        "slot": stage.slot,
        "origin": stage.origin,
        "name": stage.name,
        "summary": stage.summary,
    })
}

/// Whether the Django project answers, by its own URLs.
fn is_django(route: &RoutePlan) -> bool {
    route.handler.as_ref().is_some_and(|handler| handler.is_django)
}

/// What answers in Rust instead of a handler.
fn describe_answer(route: &RoutePlan) -> Option<String> {
    route.answer.as_ref().map(|answer| format!("{} {}", answer.slot(), answer.summary()))
}

fn describe_access(route: &RoutePlan) -> String {
    match &route.access {
        Access::Public => "public".into(),
        Access::Deny => "denied".into(),
        Access::Django => "django".into(),
        Access::Authenticate(methods) => match &route.requirement {
            None => methods.summary(),
            Some(requirement) => format!("{}, {requirement}", methods.summary()),
        },
    }
}

impl PythonPolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let run = match self.run {
            PythonRun::Auto => {
                format!("auto: starts queued, inline after {PROMOTE_AFTER} quick runs")
            }
            PythonRun::Inline => "inline: on the I/O thread".into(),
            PythonRun::Queue => "queue: never on the I/O thread".into(),
            PythonRun::Thread => "thread: always on the pool".into(),
        };
        match self.concurrency {
            None => format!("{run}; no bulkhead"),
            Some(count) => {
                format!("{run}; {count} running, {} queued, {}", self.queue, Span(self.max_wait))
            }
        }
    }
}
