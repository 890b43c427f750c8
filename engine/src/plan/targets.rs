//! What answers a route: a handler in Python, or Rust alone.

use std::sync::Arc;

use super::merge::Target;
use super::resolve::Resolver;
use super::{
    HandlerRef, PythonPolicy, PythonRun, RequestBody, RoutePlan, StagePlan, bounds, guards,
};
use crate::answer::Answer;
use crate::answer::health::HealthPolicy;
use crate::config::diagnostic::Diagnostics;
use crate::config::directories::Directories;
use crate::config::route::HandlerConfig;
use crate::config::target::TargetConfig;
use crate::query::QueryPolicy;

impl Resolver<'_> {
    /// What answers `route`.
    pub(super) fn target(
        &mut self,
        route: &mut RoutePlan,
        target: Target<'_>,
        out: &mut Diagnostics,
    ) {
        let target = match target {
            Target::Written(target) => target,
            Target::Django(handler) => return mount(route, handler, out),
        };
        let at = &target.at;
        route.answer = match &target.value {
            TargetConfig::Broken => None,
            TargetConfig::Handler(handler) => {
                route.handler = Some(referred(handler));
                guards::check_rewrite(route, out);
                return;
            }
            TargetConfig::Query(query) => match (&query.handler, &query.query) {
                (Some(handler), compiled) => {
                    route.handler = Some(referred(handler));
                    if let Some(query) = compiled {
                        route.stages.push(StagePlan {
                            order: 16,
                            slot: "query",
                            origin: vec![at.clone()],
                            name: None,
                            summary: query.name.clone(),
                        });
                    }
                    guards::check_rewrite(route, out);
                    return;
                }
                (None, Some(query)) => {
                    let timeout = route.timeout.and_then(|timeout| timeout.until_begun());
                    self.databases.reads_for(timeout);
                    self.answers.policy(at, || {
                        QueryPolicy::compile(query, &self.databases, at, out)
                            .map(|policy| Answer::Query(Arc::new(policy)))
                    })
                }
                (None, None) => None,
            },
            TargetConfig::Respond(config) => {
                self.answers.policy(at, || config.compile(out).map(Arc::new).map(Answer::Respond))
            }
            TargetConfig::Health(kind) => {
                self.answers.policy(at, || HealthPolicy::compile(kind, out).map(Answer::Health))
            }
            TargetConfig::Redirect(config) => self.answers.policy(at, || {
                config
                    .compile(&route.pattern, &route.methods, out)
                    .map(|policy| Answer::Redirect(Arc::new(policy)))
            }),
            TargetConfig::Files(config) => {
                let directories = Directories(self.documents);
                self.answers.policy(at, || {
                    config
                        .compile(directories, &route.pattern, &route.methods, at, out)
                        .map(|policy| Answer::Files(Arc::new(policy)))
                })
            }
        };
        let Some(answer) = &route.answer else { return };
        // Python has no part in it.
        route.python = Arc::clone(&self.plain_python);
        route.guards.request_headers = None;
        route.guards.rewrite = None;
        let shown = ["python", "request_headers", "rewrite"];
        route.stages.retain(|stage| !shown.contains(&stage.slot));
        route.stages.push(StagePlan {
            order: 16,
            slot: answer.slot(),
            origin: vec![at.clone()],
            name: None,
            summary: answer.summary(),
        });
    }
}

/// What the plan knows of a handler.
fn referred(handler: &HandlerConfig) -> HandlerRef {
    HandlerRef {
        index: handler.index,
        name: handler.name.clone(),
        is_async: handler.is_async,
        awaits: handler.awaits,
        request_body: handler.request_body,
        is_django: false,
    }
}

/// Has the Django project answer `route`. Bodies that are small by their limit are read before a
/// thread is taken, so that whoever sends slowly takes none; others arrive while they are read. It
/// runs on the pool, whatever `python: {run: …}` says: its middleware and views are anything.
fn mount(route: &mut RoutePlan, handler: &HandlerConfig, out: &mut Diagnostics) {
    let small = route.body_limit.is_some_and(|limit| limit <= bounds::DEFAULT_BODY_LIMIT);
    route.handler = Some(HandlerRef {
        index: handler.index,
        name: handler.name.clone(),
        is_async: handler.is_async,
        awaits: handler.awaits,
        request_body: if small { RequestBody::Buffer } else { RequestBody::Stream },
        is_django: true,
    });
    let on_threads = PythonPolicy { run: PythonRun::Thread, ..(*route.python).clone() };
    let origin = route.stages.iter().find(|stage| stage.slot == "python");
    let origin = origin.map(|stage| (stage.origin.clone(), stage.name.clone())).unwrap_or_default();
    route.stages.retain(|stage| stage.slot != "python");
    route.stages.push(StagePlan {
        order: 16,
        slot: "python",
        origin: origin.0,
        name: origin.1,
        summary: on_threads.summary(),
    });
    guards::check_rewrite(route, out);
}
