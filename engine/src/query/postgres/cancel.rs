//! Having a server end what it runs, as libpq does it: on a connection of its own, which is held until
//! the other side closes it. A pooler forgets the request of who goes before, or worse.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, NoTls};

use super::tls::Tls;
use crate::query::wire;

/// Asks every host of `config`; those that do not know the token do nothing.
pub async fn cancel(token: &CancelToken, tls: &Tls, config: &wire::Postgres) {
    let last = config.ports.last().copied().unwrap_or(5432);
    for (number, host) in config.hosts.iter().enumerate() {
        let port = config.ports.get(number).copied().unwrap_or(last);
        ask(token, tls, host, port).await.ok();
    }
}

async fn ask(token: &CancelToken, tls: &Tls, host: &str, port: u16) -> io::Result<()> {
    if host.starts_with('/') {
        let stream = UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await?;
        return send(token, &Tls::Off, host, stream).await;
    }
    send(token, tls, host, TcpStream::connect((host, port)).await?).await
}

async fn send<S>(token: &CancelToken, tls: &Tls, host: &str, stream: S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Patient(stream);
    let sent = match tls {
        Tls::Off => token.cancel_query_raw(stream, NoTls).await,
        Tls::On(tls) => {
            let mut tls = tls.clone();
            let made = MakeTlsConnect::<Patient<S>>::make_tls_connect(&mut tls, host);
            token.cancel_query_raw(stream, PatientTls(made.map_err(io::Error::other)?)).await
        }
    };
    sent.map_err(io::Error::other)
}

/// A stream whose end waits for that of the other side.
struct Patient<S>(S);

/// What makes streams with TLS that do.
struct PatientTls<T>(T);

impl<S, T> TlsConnect<S> for PatientTls<T>
where
    T: TlsConnect<S>,
    T::Future: Send + 'static,
    T::Stream: 'static,
    T::Error: 'static,
{
    type Stream = Patient<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = self.0.connect(stream);
        Box::pin(async move { connecting.await.map(Patient) })
    }
}

impl<S: TlsStream + Unpin> TlsStream for Patient<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.0.channel_binding()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut space = [0; 64];
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.0).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
