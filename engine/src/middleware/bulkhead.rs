//! Bulkhead: how many requests of a route or group may be with Python at once.
//!
//! Innermost, so that only a permitted request takes a place. Past `concurrency` a request waits
//! in a bounded queue for at most `max_wait`; past either it is refused with `Retry-After`. A
//! place is given back when the handler's Python has ended, streams included, also where nobody waits
//! for the answer any more. Each worker process counts for itself, and after a reload each plan: while
//! requests of the old one run, old and new places add up.
//!
//! `run` is where a handler runs: by measurement, on the I/O thread, in the queue, or on the pool,
//! where a Django project always runs. On a route that Python does not answer, or Django does, another
//! `run` of its own is a mistake (E128); one that it inherits is meant for others.
//!
//! Options: `python: {run: auto, concurrency: 64, queue: 128, max_wait: 250ms}`. Refusal: `overloaded`.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tower_layer::Layer;
use tower_service::Service;

use super::authorize::Permitted;
use super::rejection::{Form, Rejection, RejectionKind};
use crate::http::{HeaderValue, header};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// The places of one bulkhead on one I/O thread, shared by the routes that share its policy.
pub struct Places {
    running: Arc<Semaphore>,
    waiting: Cell<usize>,
    queue: usize,
    max_wait: Duration,
}

impl Places {
    /// `concurrency` places and a queue of `queue` that wait for at most `max_wait`.
    pub fn new(concurrency: usize, queue: usize, max_wait: Duration) -> Rc<Self> {
        let running = Arc::new(Semaphore::new(concurrency));
        Rc::new(Self { running, waiting: Cell::new(0), queue, max_wait })
    }
}

/// A place with Python, until dropped. The handler takes it off the request and keeps it for as long
/// as its Python runs, whoever still waits for the answer.
#[derive(Debug)]
pub struct BulkheadPermit(#[expect(dead_code, reason = "held, never read")] OwnedSemaphorePermit);

/// One request in the queue; leaving it by any way gives the place back.
struct Waiting(Rc<Places>);

impl Waiting {
    fn enter(places: &Rc<Places>) -> Option<Self> {
        (places.waiting.get() < places.queue).then(|| {
            places.waiting.set(places.waiting.get() + 1);
            Self(Rc::clone(places))
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

/// Makes [`Bulkhead`] services.
pub struct BulkheadLayer(pub Rc<Places>);

/// Admits so many requests at once to the inner service.
pub struct Bulkhead<S> {
    inner: Rc<std::cell::RefCell<S>>,
    places: Rc<Places>,
}

impl<S> Layer<S> for BulkheadLayer {
    type Service = Bulkhead<S>;

    fn layer(&self, inner: S) -> Bulkhead<S> {
        Bulkhead { inner: Rc::new(std::cell::RefCell::new(inner)), places: Rc::clone(&self.0) }
    }
}

impl<S> Service<Permitted<Request>> for Bulkhead<S>
where
    S: Service<Permitted<Request>, Response = Response, Error = Infallible, Future = Reply>
        + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Permitted<Request>) -> Reply {
        match self.places.running.clone().try_acquire_owned() {
            Ok(place) => {
                request.place = Some(BulkheadPermit(place));
                self.inner.borrow_mut().call(request)
            }
            Err(TryAcquireError::NoPermits) => match Waiting::enter(&self.places) {
                Some(waiting) => self.wait(waiting, request),
                None => overloaded(request.form).into(),
            },
            Err(TryAcquireError::Closed) => overloaded(request.form).into(),
        }
    }
}

impl<S> Bulkhead<S>
where
    S: Service<Permitted<Request>, Response = Response, Error = Infallible, Future = Reply>
        + 'static,
{
    fn wait(&self, waiting: Waiting, mut request: Permitted<Request>) -> Reply {
        let places = Rc::clone(&self.places);
        let inner = Rc::clone(&self.inner);
        Reply::pending(async move {
            let place = places.running.clone().acquire_owned();
            let Ok(Ok(place)) = tokio::time::timeout(places.max_wait, place).await else {
                return overloaded(request.form);
            };
            drop(waiting);
            request.place = Some(BulkheadPermit(place));
            let reply = inner.borrow_mut().call(request);
            let Ok(response) = reply.await;
            response
        })
    }
}

fn overloaded(form: Form) -> Response {
    Rejection::new(RejectionKind::Overloaded)
        .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
        .into_response(form)
}
