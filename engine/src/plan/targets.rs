//! What answers a route: a handler in Python, or Rust alone.

use std::path::Path;
use std::sync::Arc;

use super::resolve::Resolver;
use super::{HandlerRef, RoutePlan, StagePlan, guards};
use crate::answer::Answer;
use crate::answer::health::HealthPolicy;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostics, Location};
use crate::config::document::Document;
use crate::config::target::TargetConfig;

impl<'a> Resolver<'a> {
    /// What answers `route`.
    pub(super) fn target(
        &mut self,
        route: &mut RoutePlan,
        target: &Spanned<TargetConfig>,
        out: &mut Diagnostics,
    ) {
        let at = &target.at;
        route.answer = match &target.value {
            TargetConfig::Broken => None,
            TargetConfig::Handler(handler) => {
                route.handler = Some(HandlerRef {
                    index: handler.index,
                    name: handler.name.clone(),
                    is_async: handler.is_async,
                    awaits: handler.awaits,
                    request_body: handler.request_body,
                });
                guards::check_rewrite(route, out);
                return;
            }
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
                let directory = self.directory(at);
                self.answers.policy(at, || {
                    config
                        .compile(directory, &route.pattern, &route.methods, at, out)
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

    /// Where the document is that says what is at `at`.
    fn directory(&self, at: &Location) -> &'a Path {
        let is_it = |document: &&Document| Some(document.index) == at.document_index();
        self.documents.iter().find(is_it).map_or(Path::new(""), |document| &document.directory)
    }
}
