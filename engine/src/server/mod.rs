//! The server: an accept loop of our own over actix-http's HTTP/1 half, and an orderly end.
//!
//! ```text
//! accept.rs ─▶ connection.rs (limits.rs, scan/, timer.rs, pace.rs) ─▶ actix-http ─▶ convert.rs ─▶ engine
//!                   └────────── link.rs: bodies that fail, answers that are done, refused.rs ──────┘
//! ```
//! actix-http parses and writes messages; everything that decides is ours: `connection` admits
//! what it reads, times it, keeps pipelined requests apart, and has refused ones answered by the
//! engine, in their order, like every other. No timer or refusal of actix-http's is ever reached.
//!
//! One current-thread runtime per worker process serves every listener. Drain: after the signal
//! every answer says `Connection: close`; new connections are still accepted and idle ones still
//! answered for [`LINGER`], so that no request that was already on its way is lost; then idle
//! connections are closed, and the server ends when the last request has been answered or the
//! drain timeout is over.

mod accept;
mod connection;
mod convert;
mod drain;
pub mod limits;
mod link;
mod pace;
mod refused;
pub mod scan;
mod timer;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use self::accept::{Places, accept};
use self::connection::Connection;
use self::convert::OutgoingBody;
pub use self::drain::Drain;
use self::link::{Answering, BodyState, Link};
use crate::engine::Live;
use crate::http::{HeaderValue, Method, Version, header};
use crate::middleware::rejection::{Rejection, RejectionKind};
use crate::reply::Reply;
use actix_http::{HttpService, KeepAlive};
use actix_service::{Service, ServiceFactory, fn_factory};

/// How long a draining worker waits for requests that are already on their way.
pub const LINGER: Duration = Duration::from_millis(700);

/// Serves what `engine` is at each time on `listeners` until `drain` has run its course; their limits
/// are those of the first plan, which is started already. Must be polled on a
/// current-thread runtime inside a `LocalSet`.
///
/// # Errors
/// When a listener cannot be used with the runtime.
pub async fn serve(engine: Live, listeners: Vec<TcpListener>, drain: Drain) -> io::Result<()> {
    let plan = engine.plan();
    let server = &plan.server;
    let places = Places::new(Rc::new(server.limits.clone()), Arc::clone(&server.trusted));
    let service = Rc::new(connection_service(engine, &drain).await);
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        actix_rt::spawn(accept(listener, Rc::clone(&service), drain.clone(), Rc::clone(&places)));
    }
    drain.finished().await;
    Ok(())
}

async fn connection_service(
    engine: Live,
    drain: &Drain,
) -> impl Service<(Connection, Option<SocketAddr>), Response = ()> + 'static {
    let signal = drain.clone();
    let requests = RequestService { engine, drain: drain.clone() };
    let factory = HttpService::<Connection, _, _>::build()
        // The connection has timers of its own, and lingers when it closes.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(Duration::ZERO)
        .h1_allow_half_closed(false)
        .on_connect_ext(|connection: &Connection, data| {
            data.insert(Rc::clone(connection.link()));
        })
        .graceful_shutdown_signal(move || {
            let drain = signal.clone();
            async move { drain.lingered().await }
        })
        .h1(fn_factory(move || {
            let requests = requests.clone();
            async move { Ok::<_, Infallible>(requests) }
        }));
    ServiceFactory::<(Connection, Option<SocketAddr>)>::new_service(&factory, ())
        .await
        .unwrap_or_else(|()| unreachable!("the request service is made without failing"))
}

/// The engine as actix-http's service.
#[derive(Clone)]
struct RequestService {
    engine: Live,
    drain: Drain,
}

impl Service<actix_http::Request> for RequestService {
    type Response = actix_http::Response<OutgoingBody>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, request: actix_http::Request) -> Answer {
        let link = request.conn_data::<Rc<Link>>().map(Rc::clone);
        let link = link.expect("every connection has its link");
        let drain = self.drain.clone();
        if let Some(refused) = link.take_refused() {
            let kind = refused.kind;
            let request = refused.into_request(request.peer_addr());
            let (method, version) = (request.method.clone(), Version::HTTP_11);
            let reply = self.engine.refuse(request, refusal(kind));
            return Answer { reply, method, version, arriving: false, closing: true, drain, link };
        }
        let request = convert::incoming(request, &link);
        let (method, version) = (request.method.clone(), request.version);
        let arriving = !request.body.is_empty() && link.body.get() == BodyState::Complete;
        let reply = self.engine.call(request);
        Answer { reply, method, version, arriving, closing: false, drain, link }
    }
}

fn refusal(kind: RejectionKind) -> Rejection {
    match kind {
        RejectionKind::TooManyConnections => {
            Rejection::new(kind).with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
        }
        _ => Rejection::new(kind),
    }
}

/// A [`Reply`] on its way to actix-http.
struct Answer {
    reply: Reply,
    method: Method,
    version: Version,
    /// The body came whole with its head, and actix-http is about to hand it over.
    arriving: bool,
    closing: bool,
    drain: Drain,
    link: Rc<Link>,
}

impl Future for Answer {
    type Output = Result<actix_http::Response<OutgoingBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.arriving) {
            // Answered before that, even a refusal would close the connection.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Poll::Ready(Ok(response)) = Pin::new(&mut self.reply).poll(cx) else {
            return Poll::Pending;
        };
        // What follows a body that nobody reads to its end is never taken for a request.
        let unread = self.link.body.get() != BodyState::Complete;
        let closing = self.closing || unread || self.drain.is_draining();
        let answering = Answering::begin(Rc::clone(&self.link));
        let (head, version) = (self.method == Method::HEAD, self.version);
        Poll::Ready(Ok(convert::outgoing(response, head, version, closing, answering)))
    }
}
