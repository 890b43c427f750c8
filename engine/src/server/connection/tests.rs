use std::future::poll_fn;
use std::net::IpAddr;

use super::super::accept::Places;
use super::*;

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
    drop(super::super::link::Answering::begin(link));
    poll_fn(|cx| Pin::new(&mut *connection).poll_write(cx, bytes)).await.unwrap();
    poll_fn(|cx| Pin::new(&mut *connection).poll_flush(cx)).await.unwrap();
}

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_client_that_cannot_even_take_100_continue_is_closed() {
    let write_idle = Duration::from_millis(100);
    let (mut connection, client) =
        pair(LimitsPolicy { write_idle, ..LimitsPolicy::default() }).await;
    let filling = vec![b'x'; 65536];
    while connection.stream.try_write(&filling).is_ok() {}
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
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
    let (mut connection, client) = pair(LimitsPolicy::default()).await;
    send(&client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    drop(client);
    assert!(read(&mut connection).await.unwrap().starts_with(b"GET / "));
    let begun = Instant::now();
    assert_eq!(read(&mut connection).await.unwrap(), b"");
    let took = begun.elapsed();
    assert!(took >= PARTING_TIME && took < PARTING_TIME * 10, "{took:?}");
}
