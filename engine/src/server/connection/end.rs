//! How a connection ends: a client that sends no more may still wait for its answer, and what is
//! still sent to one that is being closed is read before that.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::time::Instant;

use super::{Connection, Phase};
use crate::server::link::AnswerState;

/// How long an answer may pause for a client that has sent its end.
const PARTING_TIME: Duration = Duration::from_millis(50);

/// How often is looked whether a client has gone that has sent more than is read.
const LOOK_TIME: Duration = Duration::from_secs(1);

/// How long a connection that is being closed is read.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// How much a connection that is being closed is read: many clients look for the answer only once
/// they have sent what they had to, and who uploads past a limit is to learn so, if the line is
/// not slow.
const LINGER_BYTES: usize = 16 << 20;

/// How much one past a cap is: caps bound what a crowd may cost.
const REFUSED_BYTES: usize = 64 << 10;

impl Connection {
    /// Whether a client that has sent its end may still be there to take its answer.
    pub(super) fn may_wait(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(since) = self.parting else { return false };
        let whole = self.phase == Phase::Request && self.scanner.is_complete();
        let awaited = self.link.answer.get() != AnswerState::Done || !self.held.is_empty();
        whole && awaited && (self.blocked.is_some() || !self.timer.passed(since + PARTING_TIME, cx))
    }

    /// The client has taken something.
    pub(super) fn progress(&mut self) {
        self.blocked = None;
        if self.parting.is_some() {
            self.parting = Some(Instant::now());
        }
    }

    /// Looks for the end of a client behind bytes that are not read, now and then.
    pub(super) fn look_for_end(&mut self, cx: &mut Context<'_>) {
        if self.ended {
            return;
        }
        let state = pin!(self.stream.ready(Interest::READABLE)).poll(cx);
        if matches!(state, Poll::Ready(Ok(state)) if state.is_read_closed()) {
            (self.ended, self.parting) = (true, Some(Instant::now()));
        }
        // It rings no later than this.
        self.timer.passed(Instant::now() + LOOK_TIME, cx);
    }

    /// Sends our end, and reads what the client still sends for a while.
    pub(super) fn linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            let bytes = if self.place.is_refused() { REFUSED_BYTES } else { LINGER_BYTES };
            self.linger = Some((Instant::now() + LINGER_TIME, bytes));
        }
        let unread = self.scanner.in_body() || !self.held.is_empty();
        let expected = self.phase == Phase::Last || unread;
        let mut scratch = [MaybeUninit::uninit(); 16 << 10];
        while let Some((deadline, left)) = self.linger {
            let mut scratch = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(())) if !scratch.filled().is_empty() && left > 0 => {
                    self.linger = Some((deadline, left.saturating_sub(scratch.filled().len())));
                }
                Poll::Pending if expected && !self.timer.passed(deadline, cx) => {
                    return Poll::Pending;
                }
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::IpAddr;
    use std::rc::Rc;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;

    use super::*;
    use crate::server::accept::Places;
    use crate::server::limits::LimitsPolicy;
    use crate::server::link::Answering;

    async fn pair(limits: LimitsPolicy) -> (Connection, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        let limits = Rc::new(limits);
        let places = Places::new(Rc::clone(&limits), std::sync::Arc::from([]));
        let place = places.take(IpAddr::from([127, 0, 0, 1])).unwrap();
        assert_eq!(client.local_addr().unwrap(), peer);
        (Connection::new(server, limits, place), client)
    }

    async fn send(client: &TcpStream, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            client.writable().await.unwrap();
            bytes = &bytes[client.try_write(bytes).unwrap_or_default()..];
        }
    }

    /// What actix-http would read next.
    async fn read(connection: &mut Connection) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 4096];
        let mut out = ReadBuf::new(&mut buffer);
        poll_fn(|cx| Pin::new(&mut *connection).poll_read(cx, &mut out)).await?;
        Ok(out.filled().to_vec())
    }

    /// Answers the request that was read.
    async fn answer(connection: &mut Connection, bytes: &[u8]) {
        let link = Rc::clone(connection.link());
        drop(Answering::begin(link));
        poll_fn(|cx| Pin::new(&mut *connection).poll_write(cx, bytes)).await.unwrap();
        poll_fn(|cx| Pin::new(&mut *connection).poll_flush(cx)).await.unwrap();
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_client_that_cannot_even_take_100_continue_is_closed() {
        let write_idle = Duration::from_millis(100);
        let (mut connection, client) =
            pair(LimitsPolicy { write_idle, ..LimitsPolicy::default() }).await;
        let filling = vec![b'x'; 65536];
        while connection.stream.try_write(&filling).is_ok() {}
        let head =
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
        send(&client, head).await;
        assert!(read(&mut connection).await.unwrap().starts_with(b"POST / "));
        let link = Rc::clone(connection.link());
        poll_fn(|cx| {
            link.await_body(cx);
            Poll::Ready(())
        })
        .await;
        let read = tokio::time::timeout(PATIENCE, read(&mut connection)).await;
        let error = read.expect("it is given up in time").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn nothing_of_what_was_pipelined_is_kept() {
        let (mut connection, client) = pair(LimitsPolicy::default()).await;
        let request =
            b"GET / HTTP/1.1\r\nHost: a\r\nX-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n";
        let count = 3 * 4096 / request.len();
        send(&client, &request.repeat(count)).await;
        let mut most = 0;
        for _ in 0..count {
            assert_eq!(read(&mut connection).await.unwrap(), request);
            most = most.max(connection.held.capacity());
            answer(&mut connection, b"HTTP/1.1 200 OK\r\n\r\n").await;
        }
        assert!(most > 2048, "{most}");
        assert!(connection.held.is_empty());
        // An allocation that a cursor was moved through does not show in the capacity; a new one has none.
        connection.held.reserve(1);
        assert!(connection.held.capacity() < 256, "{}", connection.held.capacity());
    }

    #[tokio::test]
    async fn a_client_that_sends_no_more_has_time_for_its_answer_and_no_more_time_than_that() {
        // Nothing that is pipelined keeps what nobody waits for.
        for behind in [0, 1, 1000, 4000] {
            let (mut connection, client) = pair(LimitsPolicy::default()).await;
            send(&client, &REQUEST.repeat(1 + behind)).await;
            drop(client);
            assert_eq!(read(&mut connection).await.unwrap(), REQUEST);
            let begun = Instant::now();
            let end = tokio::time::timeout(PATIENCE, read(&mut connection)).await;
            assert_eq!(end.expect("it ends in time").unwrap(), b"");
            let took = begun.elapsed();
            assert!(took >= PARTING_TIME / 2 && took < PARTING_TIME * 10 + LOOK_TIME, "{took:?}");
        }
    }

    #[tokio::test]
    async fn what_was_pipelined_before_the_end_has_its_turn() {
        let (mut connection, mut client) = pair(LimitsPolicy::default()).await;
        send(&client, &REQUEST.repeat(3)).await;
        client.shutdown().await.unwrap();
        for _ in 0..3 {
            assert_eq!(read(&mut connection).await.unwrap(), REQUEST);
            answer(&mut connection, b"HTTP/1.1 200 OK\r\n\r\n").await;
        }
        assert_eq!(read(&mut connection).await.unwrap(), b"");
    }
}
