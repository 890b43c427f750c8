//! Timeout: an answer that has not begun in time is `504`, and its handler is cancelled; a stream
//! that has not ended in time is cut off.
//!
//! Below authorize and the limits, above the body limit: reading the body counts. `first_byte` ends
//! when the answer begins, `total` when the last byte of its body has been produced; both begin when
//! the request was permitted. A duration by itself is `first_byte`: an answer that is not streamed
//! begins when all of it is there, so that it bounds the whole, and a stream that has begun takes
//! as long as it likes. What `total` cuts off is never ended cleanly: the connection is closed, the
//! handler's stream cancelled, and the access log says `cut` and `timeout`. A stream that its client
//! does not read is cut off when the client reads on; one that never does is `write_idle`'s.
//!
//! A handler that answers at once pays nothing: a timer is made only for an answer that must be
//! waited for, and for a stream under a `total`.
//!
//! Options: `timeout: 15s | off`, or `{first_byte: 15s | off, total: 10m | off}`, where a key that is
//! left out is `off`. Refusal: `timeout`. Example: `timeout: {first_byte: 5s, total: off}`.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use serde_json::Value;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use super::authorize::Permitted;
use super::rejection::{Rejection, RejectionKind};
use crate::body::{Body, BodyStream};
use crate::config;
use crate::config::decode::{Decode, Node, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::schema::{self, Book};
use crate::config::slot::Switch;
use crate::config::units::Span;
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

/// The longest of all, a day.
const MAX: Duration = Duration::from_secs(86_400);

/// How long an answer may take, as it is written.
#[derive(Debug, Clone)]
pub enum TimeoutConfig {
    /// Until it begins.
    Plain(Span),
    /// Until it begins, and until it ends.
    Bounds(TimeoutBoundsConfig),
}

config! {
    /// How long an answer may take to begin, and to end.
    pub struct TimeoutBoundsConfig {
        /// Until it begins; at most a day, `off` where nothing is said.
        first_byte: Spanned<Switch<Span>> = optional like "5s",
        /// Until the last byte of its body has been produced: a stream is cut off; at most a day,
        /// `off` where nothing is said.
        total: Spanned<Switch<Span>> = optional like "10m",
    }
}

impl Decode for TimeoutConfig {
    const EXPECTED: &'static str = "a duration such as 15s, or a mapping";

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let Value::Object(written) = node.value else {
            return Span::decode(node, out).map(Self::Plain);
        };
        let bounds = TimeoutBoundsConfig::decode(node, out)?;
        let is_off = |bound: &Option<Spanned<Switch<Span>>>| {
            bound.as_ref().is_none_or(|bound| matches!(bound.value, Switch::Off))
        };
        let known = |key: &String| matches!(key.as_str(), "first_byte" | "total");
        // A key that is not known has been told of, and was meant to bound something.
        if is_off(&bounds.first_byte) && is_off(&bounds.total) && written.keys().all(known) {
            let hint = "write `timeout: off` for that";
            out.push(Diagnostic::error("E114", node.at, "this bounds nothing").hint(hint));
        }
        Some(Self::Bounds(bounds))
    }

    fn schema(book: &mut Book) -> Value {
        schema::either([Span::schema(book), TimeoutBoundsConfig::schema(book)])
    }
}

impl TimeoutConfig {
    /// Checks and compiles what stands at `at`.
    pub fn compile(&self, at: &Location, out: &mut Diagnostics) -> TimeoutPolicy {
        let (first_byte, total) = match self {
            Self::Plain(span) => {
                return TimeoutPolicy::new(Some(check(*span, at, out)), None, false);
            }
            Self::Bounds(bounds) => (&bounds.first_byte, &bounds.total),
        };
        let mut read = |written: &Option<Spanned<Switch<Span>>>| match written.as_ref()? {
            Spanned { value: Switch::Value(span), at } => Some(check(*span, at, out)),
            Spanned { value: Switch::Off, .. } => None,
        };
        let policy = TimeoutPolicy::new(read(first_byte), read(total), true);
        if let (Some(first), Some(total), Some(written)) =
            (policy.first_byte, policy.total, first_byte)
            && total < first
            && first <= MAX
        {
            let message = format!("`total` ends after {}, before this", Span(total));
            let hint = "leave `first_byte` out, or make it shorter";
            out.push(Diagnostic::error("E114", &written.at, message).hint(hint));
        }
        policy
    }
}

fn check(span: Span, at: &Location, out: &mut Diagnostics) -> Duration {
    if span.0.is_zero() || span.0 > MAX {
        let message = if span.0.is_zero() {
            "a timeout of nothing refuses everything"
        } else {
            "a timeout is at most a day"
        };
        out.push(Diagnostic::error("E114", at, message).hint("write `off` for none"));
    }
    span.0
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutPolicy {
    /// Until it begins.
    first_byte: Option<Duration>,
    /// Until the last byte of its body has been produced.
    total: Option<Duration>,
    /// Whether both are spoken of.
    in_parts: bool,
}

impl TimeoutPolicy {
    fn new(first_byte: Option<Duration>, total: Option<Duration>, in_parts: bool) -> Self {
        Self { first_byte, total, in_parts }
    }

    /// The time in which an answer must begin.
    pub fn until_begun(&self) -> Option<Duration> {
        self.first_byte.into_iter().chain(self.total).min()
    }
}

/// One line for `bolt explain`.
impl fmt::Display for TimeoutPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |span: Option<Duration>| {
            span.map_or_else(|| "off".to_owned(), |span| Span(span).to_string())
        };
        if !self.in_parts {
            return f.write_str(&shown(self.first_byte));
        }
        write!(f, "first byte {}, total {}", shown(self.first_byte), shown(self.total))
    }
}

/// Makes [`Timeout`] services.
pub struct TimeoutLayer(pub TimeoutPolicy);

/// Bounds how long the inner service may take to answer.
pub struct Timeout<S> {
    inner: S,
    policy: TimeoutPolicy,
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { inner, policy: self.0 }
    }
}

impl<S> Service<Permitted<Request>> for Timeout<S>
where
    S: Service<Permitted<Request>, Response = Response, Error = Infallible, Future = Reply>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Permitted<Request>) -> Reply {
        let form = request.form;
        let end = self.policy.total.map(|total| Instant::now() + total);
        match self.inner.call(request) {
            Reply::Pending(answer) => {
                let Some(limit) = self.policy.until_begun() else { return Reply::Pending(answer) };
                Reply::pending(async move {
                    match tokio::time::timeout(limit, answer).await {
                        Ok(response) => bounded(response, end),
                        Err(_) => Rejection::new(RejectionKind::Timeout).into_response(form),
                    }
                })
            }
            Reply::Ready(response) => Reply::Ready(response.map(|response| bounded(response, end))),
        }
    }
}

/// The answer whose stream, where it is one, is cut off at `end`.
fn bounded(mut response: Response, end: Option<Instant>) -> Response {
    let Some(end) = end else { return response };
    response.body = match response.body {
        Body::Stream(stream) => {
            let length = stream.length();
            let end = Box::pin(sleep_until(end));
            Body::stream(Bounded { stream: Some(stream), end }, length)
        }
        whole => whole,
    };
    response
}

/// A stream until its time is over.
struct Bounded {
    stream: Option<BodyStream>,
    end: Pin<Box<Sleep>>,
}

impl Stream for Bounded {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stream.is_some() && self.end.as_mut().poll(cx).is_ready() {
            // Whoever produces it learns at once that nobody takes it any more.
            self.stream = None;
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        match self.stream.as_mut() {
            Some(stream) => stream.poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::http::StatusCode;

    /// A chunk, and then nothing for ever.
    #[derive(Default)]
    struct OneChunk {
        begun: bool,
        _held: Rc<()>,
    }

    impl Stream for OneChunk {
        type Item = io::Result<Bytes>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            if std::mem::replace(&mut self.begun, true) {
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(Bytes::from_static(b"first"))))
        }
    }

    fn streamed(chunks: impl Stream<Item = io::Result<Bytes>> + 'static) -> Response {
        let mut response = Response::new(StatusCode::OK);
        response.body = Body::stream(chunks, None);
        response
    }

    async fn read(response: Response) -> Vec<io::Result<Bytes>> {
        let Body::Stream(mut stream) = response.body else { panic!("it is a stream") };
        let mut found = Vec::new();
        while let Some(chunk) = stream.next().await {
            found.push(chunk);
        }
        found
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_cut_off_at_its_end_and_is_dropped_with_it() {
        let held = Rc::new(());
        let chunks = OneChunk { begun: false, _held: Rc::clone(&held) };
        let begun = Instant::now();
        let response = bounded(streamed(chunks), Some(begun + Duration::from_secs(3)));
        let found = read(response).await;
        assert_eq!(begun.elapsed().as_secs(), 3);
        let [Ok(first), Err(error)] = &*found else { panic!("{found:?}") };
        assert_eq!((&**first, error.kind()), (&b"first"[..], io::ErrorKind::TimedOut));
        assert_eq!(Rc::strong_count(&held), 1, "whoever produces it is told");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_an_end_goes_on() {
        let response = bounded(streamed(OneChunk::default()), None);
        let patience = Duration::from_secs(90_000);
        assert!(tokio::time::timeout(patience, read(response)).await.is_err());
    }

    #[test]
    fn an_answer_begins_before_it_ends() {
        let policy = |first: Option<u64>, total: Option<u64>| {
            TimeoutPolicy::new(first.map(Duration::from_secs), total.map(Duration::from_secs), true)
        };
        assert_eq!(policy(Some(5), Some(60)).until_begun(), Some(Duration::from_secs(5)));
        assert_eq!(policy(None, Some(60)).until_begun(), Some(Duration::from_secs(60)));
        assert_eq!(policy(Some(5), None).until_begun(), Some(Duration::from_secs(5)));
        assert_eq!(policy(Some(5), None).to_string(), "first byte 5s, total off");
    }
}
