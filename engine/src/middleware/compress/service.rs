//! The layer: which answers are encoded, and how their headers change.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::Semaphore;

use super::config::{Coding, CompressPolicy, Encoding};
use super::encoder::whole;
use super::stream::Encoded;
use crate::body::Body;
use crate::http::{HeaderMap, HeaderName, HeaderValue, Headers, Method, StatusCode, header};
use crate::middleware::policy_layer::{Inner, policy_layer};
use crate::reply::Reply;
use crate::request::Request;
use crate::response::Response;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

policy_layer! {
    /// Makes [`Compress`] services.
    CompressLayer;
    /// Encodes answers.
    Compress(CompressPolicy) for Request
}

impl<S: Inner<Request>> Compress<S> {
    fn answer(&mut self, request: Request) -> Reply {
        // A part of the body as it is was asked for, and parts of an encoded one do not fit it.
        let whole = |_: &Coding| !request.headers.contains_key(header::RANGE);
        let coding = self.policy.choose(&request.headers).filter(whole);
        let head = request.method == Method::HEAD;
        // Only what was encoded has a weak tag of ours.
        let has_encoded = coding.is_some() && names_weak_tag(&request.headers);
        let policy = Arc::clone(&self.policy);
        let dress = move |response: Response| match response.status {
            StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT => {
                in_place(has_encoded, response).into()
            }
            _ => encode(&policy, coding, head, response),
        };
        match self.inner.call(request) {
            Reply::Ready(response) => dress(response.expect("a reply is ready once")),
            Reply::Pending(answer) => Reply::pending(async move {
                let Ok(response) = dress(answer.await).await;
                response
            }),
        }
    }
}

fn encode(
    policy: &CompressPolicy,
    coding: Option<Coding>,
    head: bool,
    mut response: Response,
) -> Reply {
    if !could_be_encoded(policy, &response) {
        return response.into();
    }
    response.headers.vary(header::ACCEPT_ENCODING);
    let Some(coding) = coding else { return response.into() };
    let reply = encode_body(policy, coding, response);
    if head { reply.map(without_body) } else { reply }
}

/// A 206 and a 304 have the `Vary` of the answer in whose place they stand, and a 304 its tag
/// (RFC 9110, 15.3.7 and 15.4.5): a cache that has an encoded one, whose tag is weak, must not update
/// it by a strong one (RFC 9111, 4.3.4). Whether its type or size would have kept that answer as it
/// is nobody knows here; then a `Vary` too many does no harm.
fn in_place(has_encoded: bool, mut response: Response) -> Response {
    if may_be_changed(&response.headers) {
        response.headers.vary(header::ACCEPT_ENCODING);
        if has_encoded && response.status == StatusCode::NOT_MODIFIED {
            weaken(&mut response.headers);
        }
    }
    response
}

fn names_weak_tag(headers: &HeaderMap) -> bool {
    let weak = |value: &HeaderValue| memchr::memmem::find(value.as_bytes(), b"W/\"").is_some();
    headers.get_all(header::IF_NONE_MATCH).any(weak)
}

fn encode_body(policy: &CompressPolicy, coding: Coding, mut response: Response) -> Reply {
    let encoding = coding.encoding;
    match std::mem::take(&mut response.body) {
        Body::Empty => response.into(),
        Body::Full(bytes) if bytes.len() > coding.inline_bytes() => {
            let places = Arc::clone(&policy.places);
            Reply::pending(async move {
                let plain = bytes.clone();
                let encoded = elsewhere(&places, move || whole(coding, &plain)).await;
                finish(response, encoding, bytes, encoded.and_then(|encoded| encoded))
            })
        }
        Body::Full(bytes) => {
            let encoded = whole(coding, &bytes);
            finish(response, encoding, bytes, encoded).into()
        }
        Body::Stream(stream) => {
            match Encoded::new(stream, coding, policy) {
                Ok(encoded) => {
                    announce(&mut response.headers, encoding);
                    response.body = Body::stream(encoded, None);
                }
                // Without memory for one more codec the plain body is still right.
                Err(stream) => response.body = Body::Stream(stream),
            }
            response.into()
        }
    }
}

/// Does `work` off the I/O thread, where there is a place.
pub(super) async fn elsewhere<T: Send + 'static>(
    places: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    // The place is taken until the work is done, whether anybody still waits for it or not.
    let work = move || {
        let _place = place;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// The answer to HEAD: everything that GET would get but the body, and where that would be encoded
/// its length, which padding makes another each time.
fn without_body(mut response: Response) -> Response {
    if response.headers.contains(&header::CONTENT_ENCODING) {
        response.body = Body::stream(Nothing, None);
    }
    response
}

/// Puts the encoded body in, or the plain one where encoding failed or did not gain.
fn finish(
    mut response: Response,
    encoding: Encoding,
    plain: Bytes,
    encoded: io::Result<Bytes>,
) -> Response {
    match encoded {
        Ok(encoded) if encoded.len() < plain.len() => {
            announce(&mut response.headers, encoding);
            response.body = Body::Full(encoded);
        }
        _ => response.body = Body::Full(plain),
    }
    response
}

fn announce(headers: &mut Headers, encoding: Encoding) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    headers.remove(&header::ACCEPT_RANGES);
    headers.remove(&header::CONTENT_LENGTH);
    weaken(headers);
}

/// The encoded bytes are others each time, so that no strong tag is theirs.
fn weaken(headers: &mut Headers) {
    let weak = headers
        .get(&header::ETAG)
        .filter(|tag| !tag.as_bytes().starts_with(b"W/"))
        .map(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()));
    if let Some(Ok(weak)) = weak {
        headers.insert(header::ETAG, weak);
    }
}

fn could_be_encoded(policy: &CompressPolicy, response: &Response) -> bool {
    let headers = &response.headers;
    response.status != StatusCode::NO_CONTENT
        && response.body.length().is_none_or(|length| length >= policy.min_size)
        && !headers.contains(&header::CONTENT_ENCODING)
        && !headers.contains(&header::CONTENT_RANGE)
        // It would be the digest of another content (RFC 9530).
        && !headers.contains(&CONTENT_DIGEST)
        && may_be_changed(headers)
        && headers.get(&header::CONTENT_TYPE).is_some_and(gains)
}

fn may_be_changed(headers: &Headers) -> bool {
    !headers.get_all(&header::CACHE_CONTROL).any(|value| mentions(value, "no-transform"))
}

fn mentions(value: &HeaderValue, word: &str) -> bool {
    value
        .to_str()
        .is_ok_and(|text| text.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
}

/// Types of `application` that are text.
const TEXT: [&str; 7] = ["json", "javascript", "xml", "wasm", "graphql", "x-ndjson", "yaml"];

/// Images and fonts that are not compressed by themselves.
const PLAIN: [&str; 6] = ["svg+xml", "bmp", "x-icon", "vnd.microsoft.icon", "ttf", "otf"];

/// Whether bodies of this type get smaller, in whatever letters it is written; an event stream
/// would, but must not be held back.
fn gains(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    let (kind, subtype) = essence.split_once('/').unwrap_or_default();
    let is = |text: &str, word: &str| text.eq_ignore_ascii_case(word);
    let among = |words: &[&str]| words.iter().any(|word| is(subtype, word));
    let structured = || {
        let suffix = subtype.rsplit_once('+').map(|(_, suffix)| suffix);
        suffix.is_some_and(|suffix| is(suffix, "json") || is(suffix, "xml"))
    };
    if is(kind, "text") {
        !is(subtype, "event-stream")
    } else if is(kind, "application") {
        among(&TEXT) || structured()
    } else {
        (is(kind, "image") || is(kind, "font")) && among(&PLAIN)
    }
}

/// A stream that ends at once.
struct Nothing;

impl Stream for Nothing {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::config::diagnostic::Diagnostics;
    use crate::middleware::compress::CompressConfig;
    use std::convert::Infallible;
    use tower_layer::Layer;
    use tower_service::Service;

    /// Answers `length` bytes, whole or as a stream.
    struct Long {
        length: usize,
        stream: bool,
    }

    impl Service<Request> for Long {
        type Response = Response;
        type Error = Infallible;
        type Future = Reply;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request) -> Reply {
            let mut response = Response::json(Bytes::from(vec![b'x'; self.length]));
            response.headers.append(header::ETAG, HeaderValue::from_static("\"1\""));
            if self.stream {
                response.body = Body::stream(Nothing, None);
            }
            response.into()
        }
    }

    fn answer(method: Method, long: Long) -> Response {
        let policy = CompressConfig::default().compile(&mut Diagnostics::default());
        let policy = Arc::new(policy.expect("the defaults are fine"));
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let request = Request::new(method, "/".parse().expect("a path"), headers, Body::Empty);
        let mut reply = CompressLayer::new(policy).layer(long).call(request);
        match Pin::new(&mut reply).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(response)) => response,
            Poll::Pending => unreachable!("small bodies are encoded at once"),
        }
    }

    #[test]
    fn head_gets_the_headers_of_get_and_no_length_where_it_would_be_encoded() {
        for (length, stream, known) in
            [(5000, false, None), (5000, true, None), (500, false, Some(500))]
        {
            let head = answer(Method::HEAD, Long { length, stream });
            let get = answer(Method::GET, Long { length, stream });
            let headers = |response: Response| response.headers.into_iter().collect::<Vec<_>>();
            assert_eq!(head.body.length(), known, "{length}");
            assert_eq!(headers(head), headers(get), "{length}");
        }
    }
}
