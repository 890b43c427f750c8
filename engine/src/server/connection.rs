//! The byte stream that actix-http reads and writes: the socket, with the request scanner, the
//! timers and the order of requests in front of it.
//!
//! * **Nothing passes that was not admitted.** A read goes straight into actix-http's buffer and is
//!   scanned there; what may not pass yet (half a head, a pipelined request) is taken out and kept
//!   in `held`. The usual request, whole in one read, is never copied.
//! * **One request at a time.** What is pipelined behind a request passes when its answer was
//!   written, so that every answer is framed for its own request, and a refusal has its place in
//!   the order. While a request waits for its answer the socket is still read, up to
//!   [`READ_AHEAD`], so that a client's end is noticed.
//! * **Refusals** stand in the refused request's place (see [`refused`](super::refused)); what is
//!   wrong inside a body ends that body with the reason as its error. After either, and after any
//!   answer that was given before its request's body was complete, nothing more is ever read as a
//!   request: the connection is closed.
//! * **A client that sends no more** may have gone or wait for its answer; both look alike. Its
//!   request goes on while the answer is being taken and for 50 ms beyond, then it is cancelled.
//! * **The end** (`end.rs`) lingers: what the client still sends is thrown away for at most
//!   two seconds and 16 MiB, because closing a socket with unread bytes may take the
//!   answer back (RFC 9112, 9.6).

mod end;
mod sending;

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::accept::Place;
use super::limits::LimitsPolicy;
use super::link::{AnswerState, BodyState, Continue, Link};
use super::pace::Pace;
use super::refused::{Refused, STAND_IN};
use super::scan::{Framing, Head, Scanner, Step, keep_line};
use super::timer::Timer;
use crate::middleware::rejection::RejectionKind;

/// So much is read ahead of an answer that is still awaited.
const READ_AHEAD: usize = 64 << 10;

/// How long a connection past a cap may take to say in which form it wants to hear so.
const REFUSED_TIME: Duration = Duration::from_secs(1);

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first byte of the first request.
    Fresh(Instant),
    /// The next request.
    Idle(Instant),
    /// The rest of a head.
    Head(Instant),
    /// The body, the answer, or both.
    Request,
    /// The answer to a request that is the last.
    Last,
}

/// A connection as actix-http sees it.
pub struct Connection {
    stream: TcpStream,
    limits: Rc<LimitsPolicy>,
    link: Rc<Link>,
    scanner: Scanner,
    phase: Phase,
    pace: Pace,
    timer: Timer,
    /// What came and did not pass yet; its first `admitted` bytes may.
    held: BytesMut,
    admitted: usize,
    /// What is left to write of `100 Continue`.
    interim: &'static [u8],
    /// The client has sent all that it will.
    ended: bool,
    /// When it did, or when it last took something of its answer after that.
    parting: Option<Instant>,
    /// Everything written so far is with the kernel.
    flushed: bool,
    /// Since when the client has taken nothing of what is to be written.
    blocked: Option<Instant>,
    linger: Option<(Instant, usize)>,
    place: Place,
}

impl Connection {
    /// A connection over `stream`.
    pub fn new(stream: TcpStream, limits: Rc<LimitsPolicy>, place: Place) -> Self {
        Self {
            stream,
            limits,
            link: Rc::default(),
            scanner: Scanner::default(),
            phase: Phase::Fresh(Instant::now()),
            pace: Pace::default(),
            timer: Timer::default(),
            held: BytesMut::new(),
            admitted: 0,
            interim: &[],
            ended: false,
            parting: None,
            flushed: true,
            blocked: None,
            linger: None,
            place,
        }
    }

    /// What the request on this connection is told by.
    pub fn link(&self) -> &Rc<Link> {
        &self.link
    }

    /// Judges `bytes`, which did not pass yet; admitted ones are moved together at their begin.
    /// How many were judged, and how many of these may pass.
    fn judge(&mut self, bytes: &mut [u8], cx: &Context<'_>) -> (usize, usize) {
        let (mut read, mut kept) = (0, 0);
        while read < bytes.len() {
            match self.scanner.advance(&bytes[read..], &self.limits) {
                Step::Skip(length) => read += length,
                Step::Head(_) if self.place.is_refused() => {
                    let kind = RejectionKind::TooManyConnections;
                    self.link.refuse(Refused::new(kind, &bytes[read..]));
                    self.phase = Phase::Last;
                    break;
                }
                Step::Head(head) => {
                    kept = self.head(&head, bytes, (read, kept), cx);
                    read += head.length;
                }
                Step::Body(length) => {
                    if read != kept {
                        bytes.copy_within(read..read + length, kept);
                    }
                    read += length;
                    kept += length;
                    if self.scanner.is_complete() && self.link.body.get() == BodyState::Open {
                        self.link.body.set(BodyState::Complete);
                    } else if self.pace.came(length, &self.limits) {
                        self.fail(RejectionKind::RequestTimeout);
                        return (bytes.len(), kept);
                    }
                }
                Step::More => {
                    if let Phase::Fresh(_) | Phase::Idle(_) = self.phase {
                        self.phase = Phase::Head(Instant::now());
                    }
                    break;
                }
                Step::Complete => break,
                Step::Refuse(kind) => {
                    self.link.refuse(Refused::new(kind, &bytes[read..]));
                    self.phase = Phase::Last;
                    break;
                }
                Step::Fail(length, kind) => {
                    bytes.copy_within(read..read + length, kept);
                    self.fail(kind);
                    return (bytes.len(), kept + length);
                }
            }
        }
        (read, kept)
    }

    /// Lets a head pass, without the lines that nobody is to see; where the kept bytes end.
    fn head(
        &mut self,
        head: &Head,
        bytes: &mut [u8],
        (read, mut kept): (usize, usize),
        cx: &Context<'_>,
    ) -> usize {
        self.phase = Phase::Request;
        self.pace = Pace::default();
        if !matches!(head.framing, Framing::None | Framing::Length(0)) {
            self.link.body.set(BodyState::Open);
        }
        if head.expects {
            self.link.proceed.set(Continue::Awaited);
            self.link.await_continue(cx);
        }
        if !head.edits {
            if read != kept {
                bytes.copy_within(read..read + head.length, kept);
            }
            return kept + head.length;
        }
        let (mut begin, end) = (read, read + head.length);
        let mut first = true;
        while begin < end {
            let found = memchr::memchr(b'\n', &bytes[begin..end]);
            let next = found.map_or(end, |at| begin + at + 1);
            if first || keep_line(&bytes[begin..next], &self.limits) {
                bytes.copy_within(begin..next, kept);
                kept += next - begin;
            }
            first = false;
            begin = next;
        }
        kept
    }

    /// Refuses the request whose head is held as far as it came.
    fn refuse(&mut self, kind: RejectionKind) {
        self.link.refuse(Refused::new(kind, &self.held));
        self.phase = Phase::Last;
        self.stand_in();
    }

    /// Puts the stand-in of a refused request where actix-http reads next.
    fn stand_in(&mut self) {
        self.held.truncate(self.admitted);
        self.held.extend_from_slice(STAND_IN);
        self.admitted = self.held.len();
    }

    /// Ends the body that is being read.
    fn fail(&mut self, kind: RejectionKind) {
        self.phase = Phase::Last;
        self.link.fail_body(kind);
    }

    /// Judges what is held.
    fn judge_held(&mut self, cx: &Context<'_>) {
        let mut held = std::mem::take(&mut self.held);
        let admitted = self.admitted;
        let (read, kept) = self.judge(&mut held[admitted..], cx);
        held.copy_within(admitted + read.., admitted + kept);
        held.truncate(held.len() - (read - kept));
        self.held = held;
        self.admitted += kept;
    }

    /// Turns to the next request once the answer to this one is written.
    fn turn(&mut self, cx: &Context<'_>) -> bool {
        let turns = self.phase == Phase::Request
            && self.flushed
            && self.scanner.is_complete()
            && self.admitted == 0
            && self.link.answer.get() == AnswerState::Done;
        if turns {
            self.link.turn();
            self.scanner.turn();
            self.phase = Phase::Idle(Instant::now());
            if !self.held.is_empty() {
                self.judge_held(cx);
                self.refused_next();
            }
        }
        turns
    }

    /// Where judging refused a request: its stand-in.
    fn refused_next(&mut self) {
        if self.phase == Phase::Last && self.link.is_refusing() {
            self.stand_in();
        }
    }

    /// Whether nothing more is to be read as a request.
    fn is_over(&self) -> bool {
        let answered = self.link.answer.get() == AnswerState::Done;
        let unread = self.link.body.get() != BodyState::Complete;
        answered && self.admitted == 0 && (self.phase == Phase::Last || unread)
    }

    /// When the client has to have done what is waited for.
    fn deadline(&mut self) -> Option<Instant> {
        let reading = match self.phase {
            Phase::Fresh(since) | Phase::Head(since) if self.place.is_refused() => {
                Some(since + REFUSED_TIME)
            }
            Phase::Fresh(since) => Some(since + self.limits.first_byte),
            Phase::Idle(since) => Some(since + self.limits.keep_alive),
            Phase::Head(since) => Some(since + self.limits.header_read),
            Phase::Request if self.scanner.in_body() => {
                let asked = self.link.proceed.get() == Continue::No && self.interim.is_empty();
                asked.then(|| self.pace.wait(&self.limits))
            }
            Phase::Request | Phase::Last => None,
        };
        let writing = self.blocked.map(|since| since + self.limits.write_idle);
        reading.into_iter().chain(writing).min()
    }

    /// Acts where a deadline is over; whether there is something to read now.
    fn ring(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while let Some(deadline) = self.deadline() {
            if !self.timer.passed(deadline, cx) {
                return Ok(false);
            }
            self.check_writing()?;
            match self.phase {
                Phase::Fresh(_) | Phase::Head(_) => self.refuse(if self.place.is_refused() {
                    RejectionKind::TooManyConnections
                } else {
                    RejectionKind::RequestTimeout
                }),
                Phase::Idle(_) => self.ended = true,
                Phase::Request if self.pace.is_over(&self.limits) => {
                    self.fail(RejectionKind::RequestTimeout);
                    return Ok(false);
                }
                Phase::Request => continue,
                Phase::Last => return Ok(false),
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Fails where the client has taken nothing for too long.
    fn check_writing(&self) -> io::Result<()> {
        let over = |since: Instant| since.elapsed() >= self.limits.write_idle;
        if self.blocked.is_some_and(over) { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Writes what is left of `100 Continue`.
    fn proceed(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.link.proceed.get() == Continue::Wanted {
            self.link.proceed.set(Continue::No);
            // Neither inside an answer nor for a body that came unasked.
            if self.link.answer.get() == AnswerState::Awaited && self.scanner.in_body() {
                self.interim = CONTINUE;
            }
        }
        while !self.interim.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, self.interim) {
                Poll::Ready(written) => {
                    self.interim = &self.interim[written?..];
                    self.progress();
                }
                Poll::Pending => {
                    self.blocked.get_or_insert_with(Instant::now);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads from the socket into `out`, and lets pass what may.
    fn fill(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, out))?;
        let came = out.filled().len() - before;
        if came == 0 {
            (self.ended, self.parting) = (true, Some(Instant::now()));
        } else if self.phase == Phase::Last {
            // Nothing of it is read any more.
            out.set_filled(before);
        } else if self.held.is_empty() {
            let (read, kept) = self.judge(&mut out.filled_mut()[before..], cx);
            self.held.extend_from_slice(&out.filled()[before + read..]);
            out.set_filled(before + kept);
            self.refused_next();
        } else {
            self.held.extend_from_slice(&out.filled()[before..]);
            out.set_filled(before);
            if self.phase != Phase::Request || self.scanner.in_body() {
                self.judge_held(cx);
                self.refused_next();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        this.proceed(cx)?;
        this.turn(cx);
        loop {
            if this.admitted > 0 {
                let passing = this.admitted.min(out.remaining());
                out.put_slice(&this.held[..passing]);
                this.held.advance(passing);
                this.admitted -= passing;
                if this.held.is_empty() {
                    // An idle connection keeps nothing of what was once pipelined.
                    this.held = BytesMut::new();
                }
            }
            if out.filled().len() > before || this.is_over() {
                return Poll::Ready(Ok(()));
            }
            // What is held behind a request has its turn before the end that came after it.
            let waits = this.phase == Phase::Request && !this.held.is_empty();
            let full = waits && this.held.len() >= READ_AHEAD;
            if full {
                this.look_for_end(cx);
            }
            if this.ended && !this.may_wait(cx) {
                return Poll::Ready(Ok(()));
            }
            if this.ended || full {
                return Poll::Pending;
            }
            match this.fill(cx, out) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if this.ring(cx)? => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.flushed = false;
        // An answer begins after all of the interim one.
        this.proceed(cx)?;
        if this.interim.is_empty()
            && let Poll::Ready(written) = this.write(cx, bytes)
        {
            this.progress();
            return Poll::Ready(written);
        }
        this.block(cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.send_span(cx))?;
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        this.flushed = true;
        let turned = this.turn(cx);
        let over = this.is_over() && !std::mem::replace(&mut this.ended, true);
        if over || (turned && (!this.held.is_empty() || this.ended)) {
            // There is something to read that no socket will tell of.
            cx.waker().wake_by_ref();
        } else if turned {
            this.ring(cx)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().linger(cx)
    }
}
