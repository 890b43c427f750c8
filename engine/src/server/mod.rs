//! The server: an accept loop of our own over actix-http's HTTP/1 half, and an orderly end.
//!
//! One current-thread runtime per worker process serves every listener. Drain: after the signal
//! every answer says `Connection: close`; new connections are still accepted and idle ones still
//! answered for [`LINGER`], so that no request that was already on its way is lost; then idle
//! connections are closed, and the server ends when the last request has been answered or the
//! drain timeout is over.

mod convert;
mod drain;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::HttpService;
use actix_service::{Service, ServiceFactory, fn_factory};
use tokio::net::TcpStream;

use self::convert::OutgoingBody;
pub use self::drain::Drain;
use crate::engine::Engine;
use crate::http::Method;
use crate::reply::Reply;

/// How long a draining worker waits for requests that are already on their way.
pub const LINGER: Duration = Duration::from_millis(700);

/// How long a connection may stay idle between requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that is being closed may linger.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves `engine` on `listeners` until `drain` has run its course. Must be polled on a
/// current-thread runtime inside a `LocalSet`.
///
/// # Errors
/// When a listener cannot be used with the runtime.
pub async fn serve(
    engine: Rc<Engine>,
    listeners: Vec<TcpListener>,
    drain: Drain,
) -> io::Result<()> {
    engine.plan().start();
    let service = Rc::new(connection_service(engine, &drain).await);
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        actix_rt::spawn(accept(listener, Rc::clone(&service), drain.clone()));
    }
    drain.finished().await;
    Ok(())
}

async fn accept<S>(listener: tokio::net::TcpListener, service: Rc<S>, drain: Drain)
where
    S: Service<(TcpStream, Option<SocketAddr>), Response = ()> + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.lingered() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = service.call((stream, Some(peer)));
                let open = drain.open();
                actix_rt::spawn(async move {
                    // A connection's errors are its client's affair: a reset, a malformed request.
                    connection.await.ok();
                    drop(open);
                });
            }
            // Out of descriptors or memory: let others end first instead of spinning.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection_service(
    engine: Rc<Engine>,
    drain: &Drain,
) -> impl Service<(TcpStream, Option<SocketAddr>), Response = ()> + 'static {
    let signal = drain.clone();
    let requests = RequestService { engine, drain: drain.clone() };
    let factory = HttpService::<TcpStream, _, _>::build()
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .h1_allow_half_closed(false)
        .tcp_nodelay(true)
        .graceful_shutdown_signal(move || {
            let drain = signal.clone();
            async move { drain.lingered().await }
        })
        .h1(fn_factory(move || {
            let requests = requests.clone();
            async move { Ok::<_, Infallible>(requests) }
        }));
    ServiceFactory::<(TcpStream, Option<SocketAddr>)>::new_service(&factory, ())
        .await
        .unwrap_or_else(|()| unreachable!("the request service is made without failing"))
}

/// The engine as actix-http's service.
#[derive(Clone)]
struct RequestService {
    engine: Rc<Engine>,
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
        let method_is_head = request.method() == Method::HEAD;
        let reply = self.engine.call(convert::incoming(request));
        Answer { reply, method_is_head, drain: self.drain.clone() }
    }
}

/// A [`Reply`] on its way to actix-http.
struct Answer {
    reply: Reply,
    method_is_head: bool,
    drain: Drain,
}

impl Future for Answer {
    type Output = Result<actix_http::Response<OutgoingBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(Ok(response)) = Pin::new(&mut self.reply).poll(cx) else {
            return Poll::Pending;
        };
        Poll::Ready(Ok(convert::outgoing(response, self.method_is_head, self.drain.is_draining())))
    }
}
