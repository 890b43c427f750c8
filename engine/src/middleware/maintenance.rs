//! Maintenance: a route that is closed for now, for all but those who work on it.
//!
//! Below the gate and above every rule and limit: nothing of a closed route is asked or counted. It
//! is configuration (`enabled` may come from the environment, and takes effect with the plan), and it
//! is switched at run time by `bolt maintenance`: see [`Switches`]. A route's health is never closed.
//!
//! Options: `maintenance: {enabled: "${MAINTENANCE:-off}", allow: [10.0.0.0/8], retry_after: 10m,
//! body: "Back at noon.", content_type: text/plain}`; `on` alone closes for everybody. Refusal:
//! `maintenance`. Example: `{prefix: /shop, maintenance: {allow: [10.0.0.0/8], retry_after: 1h}}`.

use std::sync::Arc;

use bytes::Bytes;
use ipnet::IpNet;
use serde::Deserialize;

use super::client_ip::ClientIpPolicy;
use super::policy_layer::{Inner, policy_layer};
use super::rejection::{Rejection, RejectionKind};
use crate::body::Body;
use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::fields;
use crate::config::units::Span;
use crate::http::{HeaderValue, header};
use crate::plan::RoutePlan;
use crate::reply::Reply;
use crate::request::{Parts, Request};
use crate::response::Response;

config! {
    /// Closing a route for maintenance.
    pub struct MaintenanceConfig {
        /// Whether it is closed.
        enabled: bool = default(true),
        /// The networks whose clients are let in all the same.
        allow: Vec<Spanned<String>> = default(Vec::new()) like ["192.0.2.0/24"],
        /// When clients may try again, in whole seconds; 1s to 30d, 1m where nothing is said.
        retry_after: Spanned<Span> = optional("1m"),
        /// What the answer says; where nothing is said it is the usual problem or page.
        body: Spanned<String> = optional like "Back at noon.",
        /// The media type of the body; `text/plain; charset=utf-8` where nothing is said.
        content_type: Spanned<String> = optional like "text/html",
    }
}

impl Default for MaintenanceConfig {
    fn default() -> Self {
        Self { enabled: true, allow: Vec::new(), retry_after: None, body: None, content_type: None }
    }
}

/// Compiled maintenance.
#[derive(Debug)]
pub struct MaintenancePolicy {
    /// Whether the route is closed: where it is not, there is no layer.
    pub enabled: bool,
    allow: Arc<[IpNet]>,
    seconds: u64,
    retry_after: HeaderValue,
    /// The body with its media type.
    page: Option<(HeaderValue, Bytes)>,
}

/// What was switched at run time, the latest last: the last that speaks of a route decides whether
/// it is closed, and where none does, its configuration. What the answer says and who is let in all
/// the same is the configuration's in any case. It costs nothing: a route that is open has no layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Switches(Vec<Switch>);

/// One switch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Whether what it speaks of is closed.
    pub on: bool,
    /// The name of a group; with `route` left out too, it speaks of every route.
    pub group: Option<String>,
    /// The path of a route, as it is declared.
    pub route: Option<String>,
}

impl Switch {
    fn speaks_of(&self, route: &RoutePlan) -> bool {
        match (&self.group, &self.route) {
            (_, Some(path)) => *path == route.pattern,
            (Some(group), None) => route.groups.contains(group),
            (None, None) => true,
        }
    }
}

impl Switches {
    /// What closes `route`, if it is closed.
    pub fn closing(&self, route: &RoutePlan) -> Option<Arc<MaintenancePolicy>> {
        if route.answer.as_ref().is_some_and(|answer| answer.is_health()) {
            return None;
        }
        let written = route.guards.maintenance.as_ref();
        let told = self.0.iter().rev().find(|switch| switch.speaks_of(route));
        match told.map(|switch| switch.on) {
            Some(false) => None,
            None => written.filter(|policy| policy.enabled).cloned(),
            Some(true) => written.cloned().or_else(|| {
                MaintenanceConfig::default().compile(&mut Diagnostics::default()).map(Arc::new)
            }),
        }
    }
}

const MAX_RETRY_AFTER: u64 = 30 * 86_400;

impl MaintenanceConfig {
    /// Checks and compiles.
    pub fn compile(&self, out: &mut Diagnostics) -> Option<MaintenancePolicy> {
        let allow = ClientIpPolicy::networks(&self.allow, out);
        let seconds = match &self.retry_after {
            None => Some(60),
            Some(span) => {
                let seconds =
                    span.whole_seconds().filter(|seconds| (1..=MAX_RETRY_AFTER).contains(seconds));
                if seconds.is_none() {
                    out.push(
                        Diagnostic::error("E132", &span.at, "nobody can wait so long or so short")
                            .hint("write whole seconds, 1s to 30d"),
                    );
                }
                seconds
            }
        };
        let content_type = match &self.content_type {
            None => Some(HeaderValue::from_static("text/plain; charset=utf-8")),
            Some(written) => fields::value(written, out),
        };
        if let (Some(written), None) = (&self.content_type, &self.body) {
            out.push(
                Diagnostic::error("E124", &written.at, "there is no body to describe")
                    .hint("add `body`, or remove `content_type`"),
            );
            return None;
        }
        let (seconds, content_type) = (seconds?, content_type?);
        (allow.len() == self.allow.len()).then(|| MaintenancePolicy {
            enabled: self.enabled,
            allow,
            seconds,
            retry_after: HeaderValue::from(seconds),
            page: self.body.as_ref().map(|body| (content_type, Bytes::from(body.value.clone()))),
        })
    }
}

impl MaintenancePolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        if !self.enabled {
            return "open".to_owned();
        }
        let again = Span::seconds(self.seconds);
        let allowed: Vec<String> = self.allow.iter().map(ToString::to_string).collect();
        let but = if allowed.is_empty() { "" } else { " but for " };
        format!("closed{but}{}, try again in {again}", allowed.join(" "))
    }

    fn refuse(&self, parts: &Parts) -> Response {
        let rejection = Rejection::new(RejectionKind::Maintenance)
            .with_header(header::RETRY_AFTER, self.retry_after.clone());
        let Some((content_type, body)) = &self.page else {
            return rejection.into_response(parts.form);
        };
        let mut response = Response::new(rejection.kind.status());
        response.headers = rejection.headers;
        response.headers.append(header::CONTENT_TYPE, content_type.clone());
        response.body = Body::from(body.clone());
        response.rejection = Some(rejection.kind);
        response
    }
}

policy_layer! {
    /// Makes [`Maintenance`] services.
    MaintenanceLayer;
    /// Refuses everybody who is not let in.
    Maintenance(MaintenancePolicy) for Request
}

impl<S: Inner<Request>> Maintenance<S> {
    fn answer(&mut self, request: Request) -> Reply {
        if self.policy.allow.iter().any(|network| network.contains(&request.client_ip)) {
            return self.inner.call(request);
        }
        self.policy.refuse(&request).into()
    }
}
