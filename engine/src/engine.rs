//! The life of a request: match → chain → handler. Sockets, the test client and `bolt explain`
//! all come through [`Engine::call`]; there is no second path.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::answer::redirect;
use crate::handler::Handler;
use crate::http::{Method, StatusCode, header};
use crate::middleware::chain::{Assembly, Bulkheads};
use crate::middleware::gate::Gate;
use crate::middleware::maintenance::Switches;
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::path;
use crate::plan::{Plan, RoutePlan};
use crate::reply::{BoxService, Reply};
use crate::request::{Request, RouteId};
use crate::router::{RouteError, RouteMatch};
use crate::server::Drain;

/// What an engine has to know of the process around it.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The worker's end, which the health of a route speaks of.
    pub drain: Drain,
    /// What was switched at run time.
    pub switches: Switches,
    /// Whether requests are only told what would become of them: nothing is read for them.
    pub explains: bool,
}

/// One immutable plan, its chains assembled for this I/O thread.
pub struct Engine {
    plan: Arc<Plan>,
    chains: Vec<RefCell<BoxService>>,
    fallback: RefCell<BoxService>,
    places: Bulkheads,
}

impl Engine {
    /// Assembles the chain of every route of `plan`; `handler` gives the innermost service of those
    /// that Rust does not answer itself.
    pub fn new(plan: Arc<Plan>, handler: impl FnMut(&RoutePlan) -> Rc<dyn Handler>) -> Self {
        let mut building = Building::new(plan, Surroundings::default(), Bulkheads::new(), handler);
        while building.goes_on() {}
        building.finish()
    }

    /// The same, whose routes that read a database are answered by `handler` as well.
    pub fn explaining(plan: Arc<Plan>, handler: impl FnMut(&RoutePlan) -> Rc<dyn Handler>) -> Self {
        let surroundings = Surroundings { explains: true, ..Surroundings::default() };
        let mut building = Building::new(plan, surroundings, Bulkheads::new(), handler);
        while building.goes_on() {}
        building.finish()
    }

    /// The same beside other work: the thread serves on while ten thousand chains are assembled. The
    /// requests that `before` has with Python go on counting where it runs the same plan.
    pub async fn assemble(
        plan: Arc<Plan>,
        surroundings: Surroundings,
        before: Option<&Live>,
        handler: impl FnMut(&RoutePlan) -> Rc<dyn Handler>,
    ) -> Self {
        let places = before.map(|live| live.places(&plan)).unwrap_or_default();
        let mut building = Building::new(plan, surroundings, places, handler);
        while building.goes_on() {
            tokio::task::yield_now().await;
        }
        building.finish()
    }

    /// Ends an engine that nobody asks any more, beside other work too.
    pub async fn retire(mut self) {
        while !self.chains.is_empty() {
            self.chains.truncate(self.chains.len().saturating_sub(BATCH));
            tokio::task::yield_now().await;
        }
        // Another thread takes the plan apart; where there is none left, this one does.
        let plan = self.plan;
        std::thread::Builder::new().spawn(move || drop(plan)).ok();
    }

    /// The plan that this engine runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Answers one request.
    pub fn call(&self, mut request: Request) -> Reply {
        let chain = match self.locate(&mut request) {
            Some(route) => &self.chains[route.0 as usize],
            None => &self.fallback,
        };
        chain.borrow_mut().call(request)
    }

    /// Finds the client and the route, and what the gate will answer where there is none to run.
    pub fn locate(&self, request: &mut Request) -> Option<RouteId> {
        self.find_client(request);
        let (route, gate) = match self.find(request) {
            Ok(route) => (Some(route), None),
            Err((route, gate)) => (route, Some(gate)),
        };
        request.route = route.unwrap_or(self.plan.fallback.id);
        request.gate = gate;
        route
    }

    /// Answers a request that the listener refuses, like one that has no route.
    pub fn refuse(&self, mut request: Request, refusal: Rejection) -> Reply {
        self.find_client(&mut request);
        request.route = self.plan.fallback.id;
        request.gate = Some(Gate::Refuse(refusal));
        self.fallback.borrow_mut().call(request)
    }

    fn find_client(&self, request: &mut Request) {
        if let Some(policy) = &self.plan.server.client_ip {
            (request.client_ip, request.secure) = policy.resolve(request);
        }
    }

    fn find(&self, request: &mut Request) -> Result<RouteId, Miss> {
        self.plan.server.hosts.check(request).map_err(|refusal| (None, Gate::Refuse(refusal)))?;
        request.decoded_path =
            path::decode(request.uri.path()).map_err(|kind| refuse(None, kind))?;
        let canonical = self.plan.server.canonical.as_ref();
        if let Some(location) = canonical.and_then(|policy| policy.location(request)) {
            return Err((None, Gate::Redirect(StatusCode::PERMANENT_REDIRECT, location)));
        }
        if is_preflight(request) {
            return self.find_preflight(request);
        }
        let found = self.plan.router.find(&request.method, request.path());
        let found = found.map_err(|error| match error {
            RouteError::NotFound => self.find_slashed(request).unwrap_or_else(|| miss(error)),
            _ => miss(error),
        })?;
        if self.is_rest_of_django(found.route)
            && let Some(miss) = self.find_slashed(request)
            && miss.0 != Some(found.route)
        {
            return Err(miss);
        }
        request.params = found.params;
        Ok(found.route)
    }

    /// Whether `route` gives Django whatever nobody else has: a path that another route has with a
    /// slash at its end is not there by it.
    fn is_rest_of_django(&self, route: RouteId) -> bool {
        let route = &self.plan.routes[route.0 as usize];
        route.handler.as_ref().is_some_and(|handler| handler.is_django)
            && route.pattern.contains("{*")
    }

    /// A path that is there with a slash at its end, under `trailing_slash: django`: where a safe
    /// request for it goes (`APPEND_SLASH`).
    fn find_slashed(&self, request: &Request) -> Option<Miss> {
        let safe = matches!(request.method, Method::GET | Method::HEAD);
        let path = request.path();
        if !self.plan.server.append_slash || !safe || path.ends_with('/') {
            return None;
        }
        let found = self.plan.router.find(&request.method, &format!("{path}/")).ok()?;
        let location = redirect::slashed(&request.uri)?;
        Some((Some(found.route), Gate::Redirect(StatusCode::MOVED_PERMANENTLY, location)))
    }

    /// A CORS preflight is about the route of the method that it names: that route's policy answers
    /// it and no other's. Without one it is an `OPTIONS` like any other, but no sibling's policy may
    /// approve it.
    fn find_preflight(&self, request: &mut Request) -> Result<RouteId, Miss> {
        let requested = request.header(&header::ACCESS_CONTROL_REQUEST_METHOD).unwrap_or_default();
        let requested =
            Method::from_bytes(requested).map_err(|_| refuse(None, RejectionKind::BadHeader))?;
        let has_cors = |route: RouteId| self.plan.routes[route.0 as usize].cors.is_some();
        let asked = self.plan.router.find(&requested, request.path());
        if let Ok(RouteMatch { route, .. }) | Err(RouteError::Options { route, .. }) = asked
            && has_cors(route)
        {
            request.preflight = true;
            return Ok(route);
        }
        match (asked, self.plan.router.find(&Method::OPTIONS, request.path())) {
            (_, Ok(own)) if !has_cors(own.route) => {
                request.params = own.params;
                Ok(own.route)
            }
            (Ok(asked), Err(RouteError::Options { allow, .. })) => {
                Err((Some(asked.route), Gate::Options(allow)))
            }
            (Ok(asked), _) => Err(refuse(Some(asked.route), RejectionKind::Forbidden)),
            (Err(error), _) => Err(miss(error)),
        }
    }
}

/// So many chains are assembled in one go.
const BATCH: usize = 32;

/// An engine that is being assembled.
struct Building<H> {
    plan: Arc<Plan>,
    assembly: Assembly,
    handler: H,
    chains: Vec<RefCell<BoxService>>,
}

impl<H: FnMut(&RoutePlan) -> Rc<dyn Handler>> Building<H> {
    fn new(plan: Arc<Plan>, surroundings: Surroundings, places: Bulkheads, handler: H) -> Self {
        let chains = Vec::with_capacity(plan.routes.len());
        let assembly = Assembly::new(&plan, surroundings, places);
        Self { plan, assembly, handler, chains }
    }

    /// Assembles some chains; whether there are more.
    fn goes_on(&mut self) -> bool {
        let plan = Arc::clone(&self.plan);
        for route in plan.routes.iter().skip(self.chains.len()).take(BATCH) {
            let chain = self.chain(route);
            self.chains.push(chain);
        }
        self.chains.len() < plan.routes.len()
    }

    fn finish(mut self) -> Engine {
        let plan = Arc::clone(&self.plan);
        let fallback = self.chain(&plan.fallback);
        Engine { plan, chains: self.chains, fallback, places: self.assembly.places }
    }

    fn chain(&mut self, route: &RoutePlan) -> RefCell<BoxService> {
        let answer = self.assembly.answer(route);
        let innermost = answer.unwrap_or_else(|| (self.handler)(route));
        RefCell::new(self.assembly.chain(route, innermost))
    }
}

/// The engine that answers now; clones speak of the same place. A swap concerns the requests that
/// come after it: those under way hold what they need of the old engine.
#[derive(Clone)]
pub struct Live(Rc<RefCell<Rc<Engine>>>);

impl Live {
    /// Begins with `engine`.
    pub fn new(engine: Engine) -> Self {
        Self(Rc::new(RefCell::new(Rc::new(engine))))
    }

    /// Answers one request.
    pub fn call(&self, request: Request) -> Reply {
        self.0.borrow().call(request)
    }

    /// Refuses one request; see [`Engine::refuse`].
    pub fn refuse(&self, request: Request, refusal: Rejection) -> Reply {
        self.0.borrow().refuse(request, refusal)
    }

    /// The plan that answers now.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.0.borrow().plan)
    }

    /// The places with Python, where `plan` is the one that answers now.
    fn places(&self, plan: &Arc<Plan>) -> Bulkheads {
        let engine = self.0.borrow();
        if Arc::ptr_eq(&engine.plan, plan) { engine.places.clone() } else { Bulkheads::new() }
    }

    /// Puts `engine` in place; the one that was there, where nobody else holds it.
    pub fn swap(&self, engine: Engine) -> Option<Engine> {
        Rc::into_inner(self.0.replace(Rc::new(engine)))
    }
}

/// The route whose chain dresses the answer, and the answer.
type Miss = (Option<RouteId>, Gate);

fn refuse(route: Option<RouteId>, kind: RejectionKind) -> Miss {
    (route, Gate::Refuse(Rejection::new(kind)))
}

fn miss(error: RouteError) -> Miss {
    match error {
        RouteError::NotFound => refuse(None, RejectionKind::NotFound),
        RouteError::MethodNotAllowed { allow, route } => {
            let refusal = Rejection::new(RejectionKind::MethodNotAllowed);
            (Some(route), Gate::Refuse(refusal.with_header(header::ALLOW, allow)))
        }
        RouteError::Options { allow, route } => (Some(route), Gate::Options(allow)),
    }
}

fn is_preflight(request: &Request) -> bool {
    request.method == Method::OPTIONS
        && request.headers.contains_key(header::ORIGIN)
        && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}
