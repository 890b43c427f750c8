//! The life of a request: match → chain → handler. Sockets, the test client and `bolt explain`
//! all come through [`Engine::call`]; there is no second path.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::handler::Handler;
use crate::http::{Method, header};
use crate::middleware::chain::Assembly;
use crate::middleware::gate::Gate;
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::path;
use crate::plan::{Plan, RoutePlan};
use crate::reply::{BoxService, Reply};
use crate::request::{Request, RouteId};
use crate::router::RouteError;

/// One immutable plan, its chains assembled for this I/O thread.
pub struct Engine {
    plan: Arc<Plan>,
    chains: Vec<RefCell<BoxService>>,
    fallback: RefCell<BoxService>,
}

impl Engine {
    /// Assembles the chain of every route of `plan`; `handler` gives a route's innermost service.
    pub fn new(plan: Arc<Plan>, mut handler: impl FnMut(&RoutePlan) -> Rc<dyn Handler>) -> Self {
        let mut assembly = Assembly::default();
        let mut chain = |route| RefCell::new(assembly.chain(route, handler(route)));
        let chains = plan.routes.iter().map(&mut chain).collect();
        let fallback = chain(&plan.fallback);
        Self { plan, chains, fallback }
    }

    /// The plan that this engine runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Answers one request.
    pub fn call(&self, mut request: Request) -> Reply {
        if let Some(policy) = &self.plan.server.client_ip {
            (request.client_ip, request.secure) = policy.resolve(&request);
        }
        let chain = match self.locate(&mut request) {
            Some(route) => &self.chains[route.0 as usize],
            None => &self.fallback,
        };
        chain.borrow_mut().call(request)
    }

    /// Finds the route, and what the gate will answer where there is none to run.
    pub fn locate(&self, request: &mut Request) -> Option<RouteId> {
        let (route, gate) = match self.find(request) {
            Ok(route) => (Some(route), None),
            Err((route, gate)) => (route, Some(gate)),
        };
        request.route = route.unwrap_or(self.plan.fallback.id);
        request.gate = gate;
        route
    }

    fn find(&self, request: &mut Request) -> Result<RouteId, (Option<RouteId>, Gate)> {
        let refuse = |kind: RejectionKind| (None, Gate::Refuse(Rejection::new(kind)));
        self.plan
            .server
            .hosts
            .check(request)
            .map_err(|rejection| (None, Gate::Refuse(rejection)))?;
        request.decoded_path = path::decode(request.uri.path()).map_err(refuse)?;
        if let Some(route) = self.preflight(request) {
            return Ok(route);
        }
        match self.plan.router.find(&request.method, request.path()) {
            Ok(found) => {
                request.params = found.params;
                Ok(found.route)
            }
            Err(RouteError::NotFound) => Err(refuse(RejectionKind::NotFound)),
            Err(RouteError::MethodNotAllowed { allow, route }) => {
                let rejection = Rejection::new(RejectionKind::MethodNotAllowed)
                    .with_header(header::ALLOW, allow);
                Err((Some(route), Gate::Refuse(rejection)))
            }
            Err(RouteError::Options { allow, route }) => Err((Some(route), Gate::Options(allow))),
        }
    }

    /// The route that a CORS preflight asks about, where that route has CORS to answer it.
    fn preflight(&self, request: &Request) -> Option<RouteId> {
        if request.method != Method::OPTIONS || !request.headers.contains_key(header::ORIGIN) {
            return None;
        }
        let requested = request.header(&header::ACCESS_CONTROL_REQUEST_METHOD)?;
        let requested = Method::from_bytes(requested).ok()?;
        let route = self.plan.router.find_preflight(&requested, request.path())?;
        self.plan.routes[route.0 as usize].cors.is_some().then_some(route)
    }
}
