//! What stands between the gate and the limits (maintenance, address rules, CSRF), and the header
//! fields that are set and removed on the way in and out.

use std::sync::Arc;

use super::merge::Inherited;
use super::policies::{Kind, kind};
use super::resolve::slot;
use super::{RoutePlan, StagePlan};
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::document::Document;
use crate::middleware::csrf::{CsrfConfig, CsrfPolicy};
use crate::middleware::in_flight::{InFlightConfig, InFlightPolicy};
use crate::middleware::ip::{IpConfig, IpPolicy};
use crate::middleware::maintenance::{MaintenanceConfig, MaintenancePolicy};
use crate::middleware::request_headers::{RequestHeadersConfig, RequestHeadersPolicy};
use crate::middleware::response_headers::{ResponseHeadersConfig, ResponseHeadersPolicy};
use crate::middleware::rewrite::{RewriteConfig, RewritePolicy};

/// The guards of one route.
#[derive(Debug, Clone, Default)]
pub struct Guards {
    /// Closing for maintenance.
    pub maintenance: Option<Arc<MaintenancePolicy>>,
    /// Address rules.
    pub ip: Option<Arc<IpPolicy>>,
    /// Protection against cross-site request forgery.
    pub csrf: Option<Arc<CsrfPolicy>>,
    /// How many requests may be under way at once.
    pub in_flight: Option<Arc<InFlightPolicy>>,
    /// Header fields of answers.
    pub response_headers: Option<Arc<ResponseHeadersPolicy>>,
    /// Header fields of requests, as the handler sees them.
    pub request_headers: Option<Arc<RequestHeadersPolicy>>,
    /// The path as the handler sees it.
    pub rewrite: Option<Arc<RewritePolicy>>,
}

/// The definitions of guards and what has been compiled of them.
pub(super) struct GuardKinds<'a> {
    maintenance: Kind<'a, MaintenanceConfig, MaintenancePolicy>,
    ip: Kind<'a, IpConfig, IpPolicy>,
    csrf: Kind<'a, CsrfConfig, CsrfPolicy>,
    in_flight: Kind<'a, InFlightConfig, InFlightPolicy>,
    response_headers: Kind<'a, ResponseHeadersConfig, ResponseHeadersPolicy>,
    request_headers: Kind<'a, RequestHeadersConfig, RequestHeadersPolicy>,
    rewrite: Kind<'a, RewriteConfig, RewritePolicy>,
}

impl<'a> GuardKinds<'a> {
    pub(super) fn collect(documents: &'a [Document], out: &mut Diagnostics) -> Self {
        Self {
            maintenance: kind!(maintenance, documents, out),
            ip: kind!(ip, documents, out),
            csrf: kind!(csrf, documents, out),
            in_flight: kind!(in_flight, documents, out),
            response_headers: kind!(response_headers, documents, out),
            request_headers: kind!(request_headers, documents, out),
            rewrite: kind!(rewrite, documents, out),
        }
    }

    /// The innermost of each.
    pub(super) fn resolve(
        &mut self,
        slots: &Inherited<'a>,
        stages: &mut Vec<StagePlan>,
        out: &mut Diagnostics,
    ) -> Guards {
        let response_headers = slot(
            &mut self.response_headers,
            slots,
            |s| s.response_headers.as_ref(),
            (4, "response_headers"),
            stages,
            out,
            None::<fn() -> ResponseHeadersConfig>,
            ResponseHeadersConfig::compile,
            ResponseHeadersPolicy::summary,
        );
        let maintenance = slot(
            &mut self.maintenance,
            slots,
            |s| s.maintenance.as_ref(),
            (8, "maintenance"),
            stages,
            out,
            Some(MaintenanceConfig::default),
            |c, _, out| c.compile(out),
            MaintenancePolicy::summary,
        );
        let ip = slot(
            &mut self.ip,
            slots,
            |s| s.ip.as_ref(),
            (8, "ip"),
            stages,
            out,
            None::<fn() -> IpConfig>,
            IpConfig::compile,
            IpPolicy::summary,
        );
        let csrf = slot(
            &mut self.csrf,
            slots,
            |s| s.csrf.as_ref(),
            (8, "csrf"),
            stages,
            out,
            Some(CsrfConfig::default),
            |c, _, out| c.compile(out),
            CsrfPolicy::summary,
        );
        let in_flight = slot(
            &mut self.in_flight,
            slots,
            |s| s.in_flight.as_ref(),
            (9, "in_flight"),
            stages,
            out,
            None::<fn() -> InFlightConfig>,
            |c, _, out| c.compile(out),
            InFlightPolicy::summary,
        );
        let late = in_flight.as_ref().is_some_and(|policy| policy.needs_identity());
        if let Some(stage) = stages.last_mut().filter(|stage| late && stage.slot == "in_flight") {
            stage.order = 12;
        }
        let request_headers = slot(
            &mut self.request_headers,
            slots,
            |s| s.request_headers.as_ref(),
            (15, "request_headers"),
            stages,
            out,
            None::<fn() -> RequestHeadersConfig>,
            RequestHeadersConfig::compile,
            RequestHeadersPolicy::summary,
        );
        let rewrite = slot(
            &mut self.rewrite,
            slots,
            |s| s.rewrite.as_ref(),
            (15, "rewrite"),
            stages,
            out,
            None::<fn() -> RewriteConfig>,
            RewriteConfig::compile,
            RewritePolicy::summary,
        );
        Guards { maintenance, ip, csrf, in_flight, response_headers, request_headers, rewrite }
    }

    /// What nobody used.
    pub(super) fn finish(&mut self, out: &mut Diagnostics) {
        self.maintenance.finish(|_, c, out| c.compile(out), out);
        self.ip.finish(|_, c, out| c.compile(&c.at, out), out);
        self.csrf.finish(|_, c, out| c.compile(out), out);
        self.in_flight.finish(|_, c, out| c.compile(out), out);
        self.response_headers.finish(|_, c, out| c.compile(&c.at, out), out);
        self.request_headers.finish(|_, c, out| c.compile(&c.at, out), out);
        self.rewrite.finish(|_, c, out| c.compile(&c.at, out), out);
    }
}

/// Checks that what rewrites a route's path can.
pub(super) fn check_rewrite(route: &RoutePlan, out: &mut Diagnostics) {
    let Some((message, hint)) =
        route.guards.rewrite.as_ref().and_then(|policy| policy.misfit(&route.pattern))
    else {
        return;
    };
    let Some(stage) = route.stages.iter().find(|stage| stage.slot == "rewrite") else { return };
    let mut diagnostic = Diagnostic::error("E126", &stage.origin[0], message).hint(hint);
    if let Some(route) = route.locations.first() {
        diagnostic = diagnostic.related(route, "the route");
    }
    out.push(diagnostic);
}
