//! Between actix-http's messages and ours. Heads are moved, not copied.

use std::io;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::body::{BodySize, MessageBody};
use actix_http::{ConnectionType, Payload};
use bytes::Bytes;
use futures_core::Stream;

use super::link::{Answering, BodyState, Link};
use crate::body::{Body, BodyStream, Chunks};
use crate::http::{HeaderMap, HeaderName, StatusCode, Version, header};
use crate::request::Request;
use crate::response::Response;

/// Room for the headers of the next request that uses the same pooled head; growing costs more.
const HEADERS: usize = 14;

/// Takes an actix-http request apart; its header map is taken as it is.
/// What its connection says of the body is told by `link`.
pub fn incoming(request: actix_http::Request, link: &Rc<Link>) -> Request {
    let peer = request.peer_addr();
    let (mut head, payload) = request.into_parts();
    let headers = mem::replace(&mut head.headers, HeaderMap::with_capacity(HEADERS));
    let body = match payload {
        Payload::None => Body::Empty,
        payload => {
            let length = headers
                .get(header::CONTENT_LENGTH)
                .and_then(|value| value.to_str().ok())
                .and_then(|text| text.parse().ok());
            Body::stream(Incoming { payload, link: Rc::clone(link) }, length)
        }
    };
    let mut ours =
        Request::new(mem::take(&mut head.method), mem::take(&mut head.uri), headers, body);
    ours.version = head.version;
    ours.from_peer(peer)
}

/// The payload of a request as a stream of ours.
struct Incoming {
    payload: Payload,
    link: Rc<Link>,
}

impl Stream for Incoming {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let BodyState::Failed(kind) = self.link.body.get() {
            return Poll::Ready(Some(Err(io::Error::other(kind))));
        }
        let polled = Pin::new(&mut self.payload).poll_next(cx);
        if polled.is_pending() {
            self.link.await_body(cx);
        }
        polled.map_err(io::Error::other)
    }
}

/// Hands a response to a request of `method` to actix-http. Framing is the server's: whatever an
/// application says about length, encoding of the transfer or the connection is dropped, and a
/// body where RFC 9110 has none is never sent, because the client would read it as the next answer.
/// A client of HTTP/1.0 knows no chunks: a body of unknown length ends with its connection (RFC 9112,
/// 6.1 and 6.3).
pub fn outgoing(
    response: Response,
    method_is_head: bool,
    version: Version,
    closing: bool,
    answering: Answering,
) -> actix_http::Response<OutgoingBody> {
    let mut length = None;
    let body = match response.status {
        status if status.is_informational() => Content::Omitted(BodySize::None),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Content::Omitted(BodySize::None),
        StatusCode::RESET_CONTENT => Content::Omitted(BodySize::Sized(0)),
        // Framed by hand: the length is that of the answer to `GET`, where it is known.
        _ if method_is_head => {
            length = response.body.length();
            Content::Omitted(BodySize::Stream)
        }
        _ => match response.body {
            // Also framed by hand: the connection sends a part of it past actix-http.
            Body::Stream(stream) if stream.span().is_some() => {
                length = stream.length();
                Content::Spans(stream)
            }
            body => Content::Sent(body),
        },
    };
    let by_hand = method_is_head || matches!(body, Content::Spans(_));
    let body = OutgoingBody { content: body, answering };
    let endless = version == Version::HTTP_10 && !by_hand && body.size() == BodySize::Stream;
    let mut message = actix_http::Response::with_body(response.status, body);
    if by_hand || endless {
        message.head_mut().no_chunking(true);
    }
    let headers = message.headers_mut();
    if let Some(length) = length {
        headers.append(header::CONTENT_LENGTH, length.into());
    }
    for (name, value) in response.headers {
        if !is_framing(&name) {
            headers.append(name, value);
        }
    }
    if closing || endless {
        message.head_mut().set_connection_type(ConnectionType::Close);
    }
    message
}

fn is_framing(name: &HeaderName) -> bool {
    *name == header::CONTENT_LENGTH
        || *name == header::TRANSFER_ENCODING
        || *name == header::CONNECTION
        || name.as_str() == "keep-alive"
        || *name == header::UPGRADE
}

/// A response body as actix-http wants it. When it is dropped all of it was handed over.
pub struct OutgoingBody {
    content: Content,
    answering: Answering,
}

/// What follows the head.
enum Content {
    /// The body.
    Sent(Body),
    /// A body of which the connection sends spans by itself.
    Spans(BodyStream),
    /// None follows, whatever its size would be.
    Omitted(BodySize),
}

impl MessageBody for OutgoingBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        match &self.content {
            Content::Sent(Body::Empty) => BodySize::Sized(0),
            Content::Sent(Body::Full(bytes)) => BodySize::Sized(bytes.len() as u64),
            Content::Sent(Body::Stream(stream)) => {
                stream.length().map_or(BodySize::Stream, BodySize::Sized)
            }
            Content::Spans(_) => BodySize::Stream,
            Content::Omitted(size) => *size,
        }
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        let this = &mut *self;
        match &mut this.content {
            Content::Omitted(_) | Content::Sent(Body::Empty) => Poll::Ready(None),
            Content::Sent(Body::Full(bytes)) => {
                let bytes = mem::take(bytes);
                this.content = Content::Sent(Body::Empty);
                Poll::Ready(Some(Ok(bytes)))
            }
            Content::Sent(Body::Stream(stream)) => stream.poll_next(cx),
            Content::Spans(stream) => {
                let link = this.answering.link();
                if let Some(sent) = ready!(link.take_sent()) {
                    stream.pass(sent);
                }
                match stream.span() {
                    // The connection is flushed next, and wakes its task when all is sent.
                    Some(span) => {
                        link.send(span);
                        Poll::Pending
                    }
                    None => stream.poll_next(cx),
                }
            }
        }
    }
}
