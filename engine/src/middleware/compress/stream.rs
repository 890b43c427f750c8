//! A stream whose chunks are encoded and flushed one by one: the client can decode each when it has
//! it. A big chunk is encoded off the I/O thread, and many small ones let others run in between.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::{Coding, CompressPolicy};
use super::encoder::Encoder;
use super::service::elsewhere;
use crate::body::BodyStream;

type Working = Pin<Box<dyn Future<Output = io::Result<(Encoder, io::Result<Bytes>)>>>>;

/// Who has the codec.
enum State {
    /// Nobody: the next chunk may come.
    Idle(Encoder),
    /// Another thread, with a chunk.
    Working(Working),
    /// It has ended or failed.
    Done,
}

/// A stream's chunks, encoded.
pub struct Encoded {
    stream: BodyStream,
    state: State,
    places: Arc<Semaphore>,
    /// What its codec may have of the policy's memory.
    _memory: OwnedSemaphorePermit,
    inline_bytes: usize,
    /// How much was encoded on the I/O thread since it was last let go.
    spent: usize,
}

impl Encoded {
    /// `stream` in `coding`; given back where there is no memory for a codec.
    pub fn new(
        stream: BodyStream,
        coding: Coding,
        policy: &CompressPolicy,
    ) -> Result<Self, BodyStream> {
        let memory = Arc::clone(&policy.memory).try_acquire_many_owned(coding.mebibytes());
        let (Ok(memory), Ok(encoder)) = (memory, Encoder::new(coding)) else { return Err(stream) };
        Ok(Self {
            stream,
            state: State::Idle(encoder),
            places: Arc::clone(&policy.places),
            _memory: memory,
            inline_bytes: coding.inline_bytes(),
            spent: 0,
        })
    }

    /// What comes of a chunk: its encoded bytes at once, or a place in the queue of other threads.
    fn encode(&mut self, mut encoder: Encoder, chunk: Bytes) -> Option<io::Result<Bytes>> {
        if chunk.len() <= self.inline_bytes {
            self.spent += chunk.len();
            let encoded = encoder.chunk(&chunk);
            self.state = State::Idle(encoder);
            return Some(encoded);
        }
        let places = Arc::clone(&self.places);
        self.state = State::Working(Box::pin(async move {
            let work = move || {
                let encoded = encoder.chunk(&chunk);
                (encoder, encoded)
            };
            elsewhere(&places, work).await
        }));
        None
    }
}

impl Stream for Encoded {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let encoded = match std::mem::replace(&mut this.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Working(mut working) => match working.as_mut().poll(cx) {
                    Poll::Pending => {
                        this.state = State::Working(working);
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(error)) => Some(Err(error)),
                    Poll::Ready(Ok((encoder, encoded))) => {
                        this.state = State::Idle(encoder);
                        Some(encoded)
                    }
                },
                State::Idle(encoder) if this.spent >= this.inline_bytes => {
                    // Whoever has chunks ready may not keep the thread from all others.
                    this.state = State::Idle(encoder);
                    this.spent = 0;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                State::Idle(encoder) => match this.stream.poll_next(cx) {
                    Poll::Pending => {
                        this.state = State::Idle(encoder);
                        this.spent = 0;
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(Ok(chunk))) => this.encode(encoder, chunk),
                    Poll::Ready(Some(Err(error))) => Some(Err(error)),
                    Poll::Ready(None) => return Poll::Ready(Some(encoder.finish())),
                },
            };
            match encoded {
                None => {}
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(other) => {
                    if other.is_err() {
                        this.state = State::Done;
                    }
                    return Poll::Ready(Some(other));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::Read;

    use super::*;
    use crate::body::Body;
    use crate::config::diagnostic::Diagnostics;
    use crate::middleware::compress::CompressConfig;
    use crate::middleware::compress::config::MEMORY;

    /// Chunks that are all there.
    struct Chunks(VecDeque<Bytes>);

    impl Stream for Chunks {
        type Item = io::Result<Bytes>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
    }

    fn policy() -> CompressPolicy {
        let policy = CompressConfig::default().compile(&mut Diagnostics::default());
        policy.expect("the defaults are fine")
    }

    fn encoded(coding: Coding, policy: &CompressPolicy, chunks: &[Bytes]) -> Encoded {
        let chunks = Chunks(chunks.iter().cloned().collect());
        let Body::Stream(stream) = Body::stream(chunks, None) else { unreachable!("it is one") };
        Encoded::new(stream, coding, policy).unwrap_or_else(|_| unreachable!("no memory"))
    }

    /// Reads to the end: what came, and how often the thread was let go before it.
    async fn drained(mut encoded: Encoded) -> (Vec<u8>, usize) {
        let (mut body, mut pauses) = (Vec::new(), 0);
        std::future::poll_fn(|cx| {
            loop {
                match Pin::new(&mut encoded).poll_next(cx) {
                    Poll::Ready(Some(chunk)) => body.extend(chunk.expect("it can be encoded")),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => {
                        pauses += 1;
                        return Poll::Pending;
                    }
                }
            }
        })
        .await;
        (body, pauses)
    }

    fn decoded(coding: Coding, body: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match coding.encoding.name() {
            "zstd" => zstd::stream::read::Decoder::new(body).unwrap().read_to_end(&mut plain),
            "br" => brotli::Decompressor::new(body, 4096).read_to_end(&mut plain),
            _ => flate2::read::GzDecoder::new(body).read_to_end(&mut plain),
        }
        .unwrap();
        plain
    }

    #[tokio::test]
    async fn a_big_chunk_is_encoded_elsewhere() {
        let policy = policy();
        for coding in policy.codings.clone() {
            let big = Bytes::from("0123456789abcdef".repeat(65_536));
            let chunks = [Bytes::from_static(b"first "), big.clone(), Bytes::from_static(b" last")];
            let mut encoded = encoded(coding, &policy, &chunks);
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let first = Pin::new(&mut encoded).poll_next(&mut cx);
            assert!(matches!(first, Poll::Ready(Some(Ok(_)))), "{coding:?}");
            // On this thread the big one would be there when the call returns; it waits for a place
            // on another.
            let taken = Arc::clone(&policy.places).acquire_many_owned(2).await.unwrap();
            assert!(Pin::new(&mut encoded).poll_next(&mut cx).is_pending(), "{coding:?}");
            assert!(matches!(encoded.state, State::Working(_)), "{coding:?}");
            drop(taken);
            let Poll::Ready(Some(Ok(first))) = first else { unreachable!("as asserted") };
            let (rest, _) = drained(encoded).await;
            let whole = [&b"first "[..], &big, b" last"].concat();
            assert_eq!(decoded(coding, &[&first[..], &rest].concat()), whole, "{coding:?}");
        }
    }

    #[tokio::test]
    async fn many_small_chunks_let_others_run() {
        let policy = policy();
        for coding in policy.codings.clone() {
            let chunk = Bytes::from("0123456789abcdef".repeat(64));
            let chunks = vec![chunk.clone(); 4 * coding.inline_bytes() / chunk.len() + 1];
            let (body, pauses) = drained(encoded(coding, &policy, &chunks)).await;
            assert_eq!(pauses, 4, "{coding:?}");
            assert_eq!(decoded(coding, &body), chunks.concat(), "{coding:?}");
        }
    }

    #[test]
    fn there_are_no_more_codecs_than_memory_for_them_and_each_gives_its_own_back() {
        let policy = policy();
        let stream = || {
            let chunks = Chunks([Bytes::from_static(b"plain")].into());
            let Body::Stream(stream) = Body::stream(chunks, None) else {
                unreachable!("it is one")
            };
            stream
        };
        for coding in policy.codings.clone() {
            let new = || Encoded::new(stream(), coding, &policy);
            let count = MEMORY / coding.mebibytes();
            let mut under_way: Vec<_> = (0..count).map(|_| new().ok().unwrap()).collect();
            let Err(mut plain) = new() else { unreachable!("there is no memory left") };
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let Poll::Ready(Some(Ok(chunk))) = plain.poll_next(&mut cx) else {
                unreachable!("it is as it was")
            };
            assert_eq!(chunk, "plain");
            under_way.pop();
            assert!(new().is_ok(), "{coding:?}");
        }
    }

    #[tokio::test]
    async fn no_more_bodies_are_encoded_at_once_than_there_are_places() {
        let policy = policy();
        let taken = Arc::clone(&policy.places).acquire_many_owned(2).await.unwrap();
        let big = [Bytes::from(vec![b'x'; 1 << 20])];
        let reading = tokio::task::LocalSet::new();
        let places = Arc::clone(&policy.places);
        let stream = encoded(policy.codings[0], &policy, &big);
        let reader = reading.spawn_local(drained(stream));
        reading
            .run_until(async move {
                tokio::task::yield_now().await;
                assert!(!reader.is_finished());
                assert_eq!(places.available_permits(), 0);
                drop(taken);
                assert!(!reader.await.unwrap().0.is_empty());
                assert_eq!(places.available_permits(), 2);
            })
            .await;
    }
}
