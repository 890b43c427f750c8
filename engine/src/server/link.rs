//! What a connection and the request on it know of each other.
//!
//! The byte stream belongs to actix-http and the request to the engine; this is the one thing that
//! both hold. A connection has at most one request at a time: what is pipelined behind it waits in
//! [`Connection`](super::connection::Connection).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::refused::Refused;
use crate::body::Span;
use crate::middleware::rejection::RejectionKind;

/// How much of the current request's body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyState {
    /// All of it.
    Complete,
    /// Not all.
    Open,
    /// What has come ends here, for this reason.
    Failed(RejectionKind),
}

/// How far the answer to the current request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerState {
    /// Nothing of it is there.
    Awaited,
    /// Its head is decided.
    Begun,
    /// All of it was handed over.
    Done,
}

/// Whether the client waits to be told to send its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continue {
    /// It does not.
    No,
    /// It does, and nobody has asked for the body.
    Awaited,
    /// It does, and somebody wants to read the body.
    Wanted,
}

/// A span that the connection sends by itself, and how much of it it has sent.
#[derive(Debug)]
struct Sending {
    span: Span,
    sent: u64,
}

/// The link between a connection and the request on it.
pub struct Link {
    pub(super) body: Cell<BodyState>,
    pub(super) answer: Cell<AnswerState>,
    pub(super) proceed: Cell<Continue>,
    sending: RefCell<Option<Sending>>,
    refused: RefCell<Option<Box<Refused>>>,
    /// Who waits for the body.
    body_waker: RefCell<Option<Waker>>,
    /// The connection's task.
    connection: RefCell<Option<Waker>>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            body: Cell::new(BodyState::Complete),
            answer: Cell::new(AnswerState::Awaited),
            proceed: Cell::new(Continue::No),
            sending: RefCell::new(None),
            refused: RefCell::new(None),
            body_waker: RefCell::new(None),
            connection: RefCell::new(None),
        }
    }
}

impl Link {
    /// The next request that arrives is this one, which is refused.
    pub fn refuse(&self, refused: Refused) {
        *self.refused.borrow_mut() = Some(Box::new(refused));
    }

    /// The refusal that the request which just arrived stands for.
    pub fn take_refused(&self) -> Option<Box<Refused>> {
        self.refused.borrow_mut().take()
    }

    /// Whether a refusal waits to be taken.
    pub fn is_refusing(&self) -> bool {
        self.refused.borrow().is_some()
    }

    /// Ends the body before its time.
    pub fn fail_body(&self, kind: RejectionKind) {
        self.body.set(BodyState::Failed(kind));
        if let Some(waker) = self.body_waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Somebody waits for the body: remembered, and the client told to send it where it asks.
    pub fn await_body(&self, cx: &Context<'_>) {
        let mut known = self.body_waker.borrow_mut();
        if known.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            *known = Some(cx.waker().clone());
        }
        if self.proceed.get() == Continue::Awaited {
            self.proceed.set(Continue::Wanted);
            if let Some(waker) = self.connection.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// The task to wake when the client is to be told to continue.
    pub fn await_continue(&self, cx: &Context<'_>) {
        *self.connection.borrow_mut() = Some(cx.waker().clone());
    }

    /// The connection is to send `span` by itself, after what was written.
    pub fn send(&self, span: Span) {
        *self.sending.borrow_mut() = Some(Sending { span, sent: 0 });
    }

    /// Whether the connection has a span to send.
    pub fn is_sending(&self) -> bool {
        self.sending.borrow().is_some()
    }

    /// What is left of the span that the connection is to send.
    pub fn unsent(&self) -> Option<Span> {
        self.sending
            .borrow()
            .as_ref()
            .map(|sending| sending.span.clone())
            .filter(|span| !span.range.is_empty())
    }

    /// So much of that span was sent.
    pub fn sent(&self, length: u64) {
        if let Some(sending) = &mut *self.sending.borrow_mut() {
            sending.span.range.start += length;
            sending.sent += length;
        }
    }

    /// How much was sent of the span that was asked for last, once that is all of it.
    pub fn take_sent(&self) -> Poll<Option<u64>> {
        let mut sending = self.sending.borrow_mut();
        match &*sending {
            Some(sending) if !sending.span.range.is_empty() => Poll::Pending,
            _ => Poll::Ready(sending.take().map(|sending| sending.sent)),
        }
    }

    /// Turns to the next request.
    pub fn turn(&self) {
        self.body.set(BodyState::Complete);
        self.answer.set(AnswerState::Awaited);
        self.proceed.set(Continue::No);
        *self.sending.borrow_mut() = None;
        *self.body_waker.borrow_mut() = None;
    }
}

/// The answer on its way out; dropped when all of it was handed over.
pub struct Answering(Rc<Link>);

impl Answering {
    /// The answer to the request on `link` begins.
    pub fn begin(link: Rc<Link>) -> Self {
        link.answer.set(AnswerState::Begun);
        Self(link)
    }

    /// Whose answer it is.
    pub fn link(&self) -> &Link {
        &self.0
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answer.set(AnswerState::Done);
    }
}
