//! The request scanner: where every message on a connection begins and ends, and whether it may
//! pass, by RFC 9112. It sees each byte before actix-http does, once, and allocates nothing.
//!
//! A head is judged whole: it passes when it is complete and nothing is wrong with it. Bodies are
//! only counted, by their length or their chunks. What the scanner admits actix-http admits too,
//! and both find the same ends (a proptest); what both could read differently never reaches it.
//!
//! Refusals: `bad_request`, `bad_header`, `bad_host`, `bad_path`, `uri_too_long`,
//! `expectation_failed`, `headers_too_large`, `not_implemented`, `http_version`; inside a body
//! `bad_body` and, for trailers, `headers_too_large`.

mod chunked;
mod head;

use self::chunked::Chunks;
use self::head::HeadScan;
pub use self::head::{Head, keep_line};
use super::limits::LimitsPolicy;
use crate::middleware::rejection::RejectionKind;

/// What to do with the bytes that were shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many bytes are an empty line that means nothing.
    Skip(usize),
    /// A head is complete and may pass, its unwanted lines taken out.
    Head(Head),
    /// So many bytes of a body may pass.
    Body(usize),
    /// What is there is not enough to say.
    More,
    /// The request is complete: whatever follows belongs to the next one.
    Complete,
    /// The head is refused.
    Refuse(RejectionKind),
    /// The body cannot be read on after so many more bytes.
    Fail(usize, RejectionKind),
}

/// How a body's end is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
}

/// Where on its connection the scanner stands.
#[derive(Debug)]
enum State {
    Head(HeadScan),
    Length(u64),
    Chunked(Chunks),
    Complete,
}

/// Scans one connection.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    skipped: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { state: State::Head(HeadScan::default()), skipped: false }
    }
}

impl Scanner {
    /// Judges `bytes`: all that came and did not pass yet. Shown again with more behind them, they
    /// are not read again.
    pub fn advance(&mut self, bytes: &[u8], limits: &LimitsPolicy) -> Step {
        match &mut self.state {
            State::Complete => Step::Complete,
            State::Head(_) if bytes == b"\r" && !self.skipped => Step::More,
            State::Head(scan) => {
                if !self.skipped && bytes.starts_with(b"\r\n") {
                    // One empty line before a request is an old client's (RFC 9112, 2.2).
                    self.skipped = true;
                    return Step::Skip(2);
                }
                match scan.advance(bytes, limits) {
                    Ok(None) => Step::More,
                    Ok(Some(head)) => {
                        self.state = match head.framing {
                            Framing::None | Framing::Length(0) => State::Complete,
                            Framing::Length(length) => State::Length(length),
                            Framing::Chunked => State::Chunked(Chunks::default()),
                        };
                        Step::Head(head)
                    }
                    Err(kind) => Step::Refuse(kind),
                }
            }
            State::Length(left) => {
                let passing = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= passing as u64;
                if *left == 0 {
                    self.state = State::Complete;
                }
                Step::Body(passing)
            }
            State::Chunked(chunks) => match chunks.advance(bytes, limits) {
                Ok((passing, end)) => {
                    if end {
                        self.state = State::Complete;
                    }
                    Step::Body(passing)
                }
                Err((passing, kind)) => Step::Fail(passing, kind),
            },
        }
    }

    /// Turns to the next request.
    pub fn turn(&mut self) {
        *self = Self::default();
    }

    /// Whether a request is complete.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// Whether a body is being read.
    pub fn in_body(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunked(_))
    }
}

/// RFC 9110's `token` characters.
const fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation)] // below 256
        let character = byte as u8;
        table[byte] = character.is_ascii_alphanumeric()
            || matches!(
                character,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

/// What stands in no field's value: control characters but the tab.
const fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}
