//! The chain of a route, assembled once per I/O thread: one line, one layer, one reason.
//! A stage that is off is not there.

use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use tower_layer::Layer;
use tower_service::Service;

use super::access_log::AccessLogLayer;
use super::authenticate::AuthenticateLayer;
use super::authorize::{AuthorizeLayer, Permitted};
use super::body_limit::{BodyLengthLayer, BodyLimitLayer};
use super::buffer_body::BufferBodyLayer;
use super::bulkhead::{BulkheadLayer, Places};
use super::catch_panic::CatchPanicLayer;
use super::compress::CompressLayer;
use super::cors::CorsLayer;
use super::csrf::CsrfLayer;
use super::forwarded::{ForwardedLayer, Proxies};
use super::gate::GateLayer;
use super::in_flight::{Counts, InFlightLayer, InFlightPolicy};
use super::ip::IpLayer;
use super::maintenance::MaintenanceLayer;
use super::rate_limit::{Limits, RateLimitLayer, RateLimitPolicy, Table};
use super::request_headers::RequestHeadersLayer;
use super::request_id::RequestIdLayer;
use super::response_headers::ResponseHeadersLayer;
use super::rewrite::RewriteLayer;
use super::security_headers::{CspNonceLayer, SecurityHeadersLayer};
use super::timeout::TimeoutLayer;
use crate::answer::Answer;
use crate::answer::health::Health;
use crate::engine::Surroundings;
use crate::handler::{Handler, HandlerService};
use crate::plan::{Access, HandlerRef, Plan, PythonPolicy, RequestBody, RoutePlan};
use crate::reply::{BoxService, Reply};
use crate::request::Request;
use crate::response::Response;

/// The places with Python under each policy of one plan.
pub type Bulkheads = HashMap<*const PythonPolicy, Rc<Places>>;

/// Assembles chains for one I/O thread; routes that share a bulkhead get the same places.
pub struct Assembly {
    /// Where limits count, where there are any.
    table: Option<Arc<Table>>,
    pub(crate) places: Bulkheads,
    under_way: HashMap<*const InFlightPolicy, Arc<Counts>>,
    surroundings: Surroundings,
    health: Health,
    trusted: Arc<Proxies>,
}

impl Assembly {
    /// For the routes of `plan`, with the places that are taken already.
    pub fn new(plan: &Plan, surroundings: Surroundings, places: Bulkheads) -> Self {
        let health = Health::new(&plan.version, surroundings.drain.clone());
        let limited =
            |route: &RoutePlan| !route.limits_before.is_empty() || !route.limits_after.is_empty();
        let limited = plan.routes.iter().chain([&plan.fallback]).any(limited);
        Self {
            table: limited.then(|| plan.memory.table()),
            places,
            under_way: HashMap::new(),
            surroundings,
            health,
            trusted: Arc::clone(&plan.server.trusted),
        }
    }

    /// What answers `route` in Rust, where that does.
    pub fn answer(&self, route: &RoutePlan) -> Option<Rc<dyn Handler>> {
        // Whom an address rule lets in, or a method knows, is not everybody.
        let private = !matches!(route.access, Access::Public) || route.guards.ip.is_some();
        let reads = |answer: &&Arc<Answer>| matches!(***answer, Answer::Query(_));
        let answer =
            route.answer.as_ref().filter(|one| !(self.surroundings.explains && reads(one)));
        answer.map(|answer| answer.handler(&self.health, private))
    }

    /// The chain of `route` around `handler`, from the inside out.
    pub fn chain(&mut self, route: &RoutePlan, handler: Rc<dyn Handler>) -> BoxService {
        let guards = route.guards.clone();
        let mut inner: BoxService<Permitted<Request>> = Box::new(HandlerService(handler));
        // Only what is about to run takes a place with Python.
        inner = stack(inner, self.places(&route.python).map(BulkheadLayer));
        // Only who may run code in the page is told what it has to carry.
        let nonce = route.security_headers.as_ref().is_some_and(|policy| policy.takes_nonce());
        inner = stack(inner, (nonce && route.answer.is_none()).then_some(CspNonceLayer));
        // The path as the handler is to see it; nothing is routed by it again.
        inner = stack(inner, guards.rewrite.map(RewriteLayer::new));
        // Everything above was decided by what the client sent; the handler sees what we say.
        inner = stack(inner, guards.request_headers.map(RequestHeadersLayer::new));
        // A project may believe whatever its usual proxy says, and only a trusted one may say it.
        let is_django = route.handler.as_ref().is_some_and(|handler| handler.is_django);
        inner = stack(inner, is_django.then(|| ForwardedLayer::new(Arc::clone(&self.trusted))));
        // Whoever sends slowly takes no place meanwhile.
        let buffers = |handler: &HandlerRef| handler.request_body == RequestBody::Buffer;
        let buffers = route.handler.as_ref().is_some_and(buffers);
        inner = stack(inner, buffers.then_some(BufferBodyLayer));
        // A body of unknown length is cut off while it is read.
        inner = stack(inner, route.body_limit.map(BodyLimitLayer));
        // Waiting for a place, reading the body and running all count.
        inner = stack(inner, route.timeout.map(TimeoutLayer));
        let (early, late) = self.in_flight(route);
        // What counts now is held to the last byte.
        inner = stack(inner, late);
        // Limits keyed by who asks need to know who asks.
        inner = stack(inner, self.limits(route, &route.limits_after));

        // The only maker of `Permitted`.
        let mut chain: BoxService = Box::new(AuthorizeLayer::new(route).layer(inner));
        // Who asks, before what they may.
        chain = stack(chain, AuthenticateLayer::of(route));
        // A body that announces too much is refused before anything is verified for it.
        chain = stack(chain, route.body_limit.map(BodyLengthLayer));
        // Whoever has too much under way may not begin more.
        chain = stack(chain, early);
        // Guessing passwords and keys must cost the guesser.
        chain = stack(chain, self.limits(route, &route.limits_before));
        // Another site's request is no guess of anybody's.
        chain = stack(chain, guards.csrf.map(CsrfLayer::new));
        // Who may not come at all is not asked what for.
        chain = stack(chain, guards.ip.map(IpLayer::new));
        // Nothing of a closed route is asked or counted.
        chain = stack(chain, self.surroundings.switches.closing(route).map(MaintenanceLayer::new));
        // What was decided before the chain is answered here: logged and dressed, never counted.
        chain = stack(chain, Some(GateLayer));
        // Everything below may be compressed, refusals too.
        chain = stack(
            chain,
            route.compress.as_ref().map(|policy| CompressLayer::new(Arc::clone(policy))),
        );
        // A panic anywhere below is a 500 that a page may read.
        chain = stack(chain, Some(CatchPanicLayer));
        // Answers preflights; its headers go on every answer and refusal below.
        chain = stack(chain, route.cors.as_ref().map(|policy| CorsLayer::new(Arc::clone(policy))));
        // On every answer, preflights included.
        chain = stack(
            chain,
            route
                .security_headers
                .as_ref()
                .map(|policy| SecurityHeadersLayer::new(Arc::clone(policy))),
        );
        // The last word on what an answer carries.
        chain = stack(chain, guards.response_headers.map(ResponseHeadersLayer::new));
        // A panic of what dresses answers is a 500 that is logged.
        chain = stack(chain, Some(CatchPanicLayer));
        // One line for every answer, refusals and failures included.
        chain = stack(
            chain,
            route.access_log.as_ref().map(|policy| AccessLogLayer::new(Arc::clone(policy))),
        );
        // First in, last out: everything can name the request.
        stack(
            chain,
            route.request_id.as_ref().map(|policy| RequestIdLayer::new(Arc::clone(policy))),
        )
    }

    fn limits(
        &self,
        route: &RoutePlan,
        policies: &[Arc<RateLimitPolicy>],
    ) -> Option<RateLimitLayer> {
        let table = self.table.as_ref().filter(|_| !policies.is_empty())?;
        // A route is known by what it answers, whatever its number in this plan.
        let name = format!("{:?} {}", route.methods, route.pattern);
        Some(RateLimitLayer::new(Limits::new(policies, table, &name)))
    }

    /// The in-flight limit, above authentication or below authorization.
    fn in_flight(&mut self, route: &RoutePlan) -> (Option<InFlightLayer>, Option<InFlightLayer>) {
        let Some(policy) = &route.guards.in_flight else { return (None, None) };
        let counts = self.under_way.entry(Arc::as_ptr(policy)).or_insert_with(Counts::new);
        let layer = InFlightLayer::new(Arc::clone(policy), Arc::clone(counts), route.id);
        if policy.needs_identity() { (None, Some(layer)) } else { (Some(layer), None) }
    }

    fn places(&mut self, policy: &Arc<PythonPolicy>) -> Option<Rc<Places>> {
        let concurrency = policy.concurrency?;
        let places = self
            .places
            .entry(Arc::as_ptr(policy))
            .or_insert_with(|| Places::new(concurrency, policy.queue, policy.max_wait));
        Some(Rc::clone(places))
    }
}

/// Puts `layer` around `inner`, where it is on.
fn stack<R, L>(inner: BoxService<R>, layer: Option<L>) -> BoxService<R>
where
    L: Layer<BoxService<R>>,
    L::Service: Service<R, Response = Response, Error = Infallible, Future = Reply> + 'static,
{
    match layer {
        Some(layer) => Box::new(layer.layer(inner)),
        None => inner,
    }
}
