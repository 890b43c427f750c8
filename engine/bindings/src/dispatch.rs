//! The engine's handler for Python routes: inline when the slot is free and the route is known to
//! be quick, else queued on the lane that suits it.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use pybolt_engine::body::Body;
use pybolt_engine::handler::Handler;
use pybolt_engine::http::{HeaderValue, header};
use pybolt_engine::middleware::authorize::Permitted;
use pybolt_engine::middleware::bulkhead::BulkheadPermit;
use pybolt_engine::middleware::rejection::{Form, Rejection, RejectionKind};
use pybolt_engine::plan;
use pybolt_engine::reply::Reply;
use pybolt_engine::request::{Parts, Request};
use pybolt_engine::response::Response;
use tokio::sync::oneshot;

use crate::answer::{Answer, file_response};
use crate::bridge::{Bridge, Route};
use crate::inlet;
use crate::inline::{self, Inline};
use crate::job::{FileFailure, Job, Replier, RequestBody, Ticket};
use pybolt_engine::placement::Lane;

/// Answers a route's requests by its Python handler.
pub struct PythonHandler {
    bridge: Arc<Bridge>,
    route: Arc<Route>,
}

impl PythonHandler {
    /// A handler for `route`.
    pub fn new(bridge: Arc<Bridge>, route: Arc<Route>) -> Self {
        Self { bridge, route }
    }
}

impl Handler for PythonHandler {
    fn call(&self, request: Permitted<Request>) -> Reply {
        let (mut parts, body) = request.into_inner().into_parts();
        let place = parts.place.take();
        match (body, self.route.request_body) {
            (Body::Full(bytes), _) => self.dispatch(parts, bytes, place),
            (Body::Stream(body), plan::RequestBody::Stream) => {
                let inlet = inlet::receive(&self.bridge, body);
                self.queue(parts, RequestBody::Stream(inlet), place)
            }
            // Where the handler wants a body whole, the chain has read it.
            _ => self.dispatch(parts, Bytes::new(), place),
        }
    }
}

impl PythonHandler {
    fn dispatch(&self, parts: Box<Parts>, body: Bytes, place: Option<BulkheadPermit>) -> Reply {
        let form = parts.form;
        if self.route.placement.may_inline()
            && (!self.route.is_async || self.bridge.queue.has_room())
            && let Some(slot) = self.bridge.slot.try_hold()
        {
            return match inline::run(&self.bridge, slot, &self.route, parts, body, place) {
                Inline::Done(answer) => respond(&self.bridge, &self.route, answer, form),
                Inline::Suspended(answer, ticket) => self.wait(answer, ticket, form),
            };
        }
        self.queue(parts, RequestBody::Full(body), place)
    }

    fn queue(&self, parts: Box<Parts>, body: RequestBody, place: Option<BulkheadPermit>) -> Reply {
        let form = parts.form;
        let (sender, receiver) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let reply = Replier { answer: sender, ticket: Arc::clone(&ticket), place };
        let route = Arc::clone(&self.route);
        let job = Job { route, parts, body, reply, queued: Instant::now() };
        let queued = match self.route.placement.lane() {
            Lane::Loop { quick } => self.push_to_loop(job, quick),
            Lane::Quick => self.bridge.lanes.quick.push(job),
            Lane::Compute => self.bridge.lanes.compute.push(job),
            Lane::Brief => self.push_brief(job),
            Lane::Pool => self.bridge.lanes.pool.push(job),
        };
        match queued {
            Ok(()) => self.wait(receiver, ticket, form),
            Err(_) => overloaded(form).into(),
        }
    }

    /// Queues for the loop and has it woken once all connections that are ready have been served:
    /// it then finds a batch instead of one job.
    fn push_to_loop(&self, job: Job, quick: bool) -> Result<(), Job> {
        self.bridge.queue.push(job, quick)?;
        if self.bridge.queue.begin_waking() {
            let bridge = Arc::clone(&self.bridge);
            actix_rt::spawn(async move {
                tokio::task::yield_now().await;
                bridge.queue.end_waking();
            });
        }
        Ok(())
    }

    /// One that waits for a lock after all is not waited for by the others.
    fn push_brief(&self, job: Job) -> Result<(), Job> {
        self.bridge.lanes.push_brief(job)?;
        if self.bridge.lanes.begin_watching() {
            let bridge = Arc::clone(&self.bridge);
            actix_rt::spawn(async move { bridge.lanes.watch().await });
        }
        Ok(())
    }

    fn wait(&self, answer: oneshot::Receiver<Answer>, ticket: Arc<Ticket>, form: Form) -> Reply {
        let waiting = Waiting { bridge: Arc::clone(&self.bridge), ticket: Some(ticket) };
        let route = Arc::clone(&self.route);
        Reply::pending(async move {
            let mut waiting = waiting;
            let answer = answer.await;
            waiting.ticket = None;
            match answer {
                Ok(answer) => {
                    let Ok(response) = respond(&waiting.bridge, &route, answer, form).await;
                    response
                }
                // The Python side dropped the request: it waited too long, or the worker ends.
                Err(_) => overloaded(form),
            }
        })
    }
}

/// Somebody waits for an answer; if they go before it comes, its making is cancelled.
struct Waiting {
    bridge: Arc<Bridge>,
    ticket: Option<Arc<Ticket>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            ticket.cancel();
            self.bridge.queue.cancel(ticket);
        }
    }
}

fn respond(bridge: &Arc<Bridge>, route: &Arc<Route>, answer: Answer, form: Form) -> Reply {
    let (response, path) = match answer.into_response() {
        Ok(response) => return response.into(),
        Err(file) => file,
    };
    let (bridge, route) = (Arc::clone(bridge), Arc::clone(route));
    Reply::pending(async move {
        match file_response(response, &path).await {
            Ok(response) => response,
            Err(error) => {
                let kind = match error.kind() {
                    io::ErrorKind::NotFound => RejectionKind::NotFound,
                    _ => RejectionKind::Internal,
                };
                bridge.lanes.pool.report(FileFailure { route, path, error });
                Rejection::new(kind).into_response(form)
            }
        }
    })
}

fn overloaded(form: Form) -> Response {
    Rejection::new(RejectionKind::Overloaded)
        .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
        .into_response(form)
}
