//! A request's head, line by line as it arrives: the request line, then header fields.

use memchr::memchr;

use super::{Framing, is_control, is_token};
use crate::http::{Method, Uri};
use crate::middleware::host::split_port;
use crate::middleware::rejection::RejectionKind;
use crate::server::limits::{LimitsPolicy, Underscores};

/// A complete head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its length in bytes, with the empty line.
    pub length: usize,
    /// How its body's end is found.
    pub framing: Framing,
    /// Whether the client waits for `100 Continue`.
    pub expects: bool,
    /// Whether it has lines that [`keep_line`] does not keep.
    pub edits: bool,
}

/// How far a head has been read, and what it said so far.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // each is one thing that a head says or does not
pub struct HeadScan {
    /// Where the line begins that is not complete yet.
    line: usize,
    /// No line ends before this.
    searched: usize,
    /// Where the fields begin; 0 while the request line is read.
    fields: usize,
    count: usize,
    http10: bool,
    post: bool,
    /// The authority of a target in absolute form.
    authority: Option<(usize, usize)>,
    host: Option<(usize, usize)>,
    length: Option<u64>,
    chunked: bool,
    authorization: bool,
    content_type: bool,
    expects: bool,
    edits: bool,
}

/// The fields that decide something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Host,
    Expect,
    Upgrade,
    Connection,
    ContentType,
    Authorization,
    ContentLength,
    TransferEncoding,
    Other,
}

impl Field {
    fn of(name: &[u8]) -> Self {
        let (known, field): (&[u8], _) = match name.len() {
            4 => (b"host", Self::Host),
            6 => (b"expect", Self::Expect),
            7 => (b"upgrade", Self::Upgrade),
            10 => (b"connection", Self::Connection),
            12 => (b"content-type", Self::ContentType),
            13 => (b"authorization", Self::Authorization),
            14 => (b"content-length", Self::ContentLength),
            17 => (b"transfer-encoding", Self::TransferEncoding),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(known) { field } else { Self::Other }
    }
}

impl HeadScan {
    /// Reads the lines that became complete in `bytes`, which begin with the head.
    pub fn advance(
        &mut self,
        bytes: &[u8],
        limits: &LimitsPolicy,
    ) -> Result<Option<Head>, RejectionKind> {
        if self.searched == 0 && bytes.first().is_some_and(|first| !is_token(*first)) {
            // Another protocol, or noise: its line may never end.
            return Err(RejectionKind::BadRequest);
        }
        while let Some(found) = memchr(b'\n', &bytes[self.searched..]) {
            let end = self.searched + found;
            let line =
                bytes[self.line..end].strip_suffix(b"\r").ok_or(RejectionKind::BadRequest)?;
            let begin = self.line;
            (self.line, self.searched) = (end + 1, end + 1);
            if self.fields == 0 {
                self.request_line(line, limits)?;
                self.fields = end + 1;
            } else if line.is_empty() {
                return self.finish(bytes, end + 1).map(Some);
            } else {
                self.count += 1;
                if self.count > limits.header_count || end + 1 - self.fields > limits.headers {
                    return Err(RejectionKind::HeadersTooLarge);
                }
                self.field(line, begin, limits)?;
            }
        }
        self.searched = bytes.len();
        if self.fields == 0 && bytes.len() > limits.uri + REQUEST_LINE {
            Err(RejectionKind::UriTooLong)
        } else if self.fields > 0 && bytes.len() - self.fields > limits.headers + 1 {
            Err(RejectionKind::HeadersTooLarge)
        } else {
            Ok(None)
        }
    }

    fn request_line(&mut self, line: &[u8], limits: &LimitsPolicy) -> Result<(), RejectionKind> {
        let bad = RejectionKind::BadRequest;
        let space = memchr(b' ', line).ok_or(bad)?;
        let (method, rest) = (&line[..space], &line[space + 1..]);
        if method.len() > METHOD || !is_method(method) {
            return Err(bad);
        }
        let Some(space) = memchr(b' ', rest) else {
            // `GET /` without a version is HTTP/0.9.
            return Err(if rest.starts_with(b"/") { RejectionKind::HttpVersion } else { bad });
        };
        let target = &rest[..space];
        match &rest[space + 1..] {
            b"HTTP/1.1" => {}
            b"HTTP/1.0" => self.http10 = true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(RejectionKind::HttpVersion);
            }
            _ => return Err(bad),
        }
        if target.len() > limits.uri {
            return Err(RejectionKind::UriTooLong);
        }
        if matches!(method, b"CONNECT" | b"TRACE") {
            return Err(RejectionKind::NotImplemented);
        }
        self.post = method == b"POST";
        if target.starts_with(b"/") {
            return if is_origin_form(target) { Ok(()) } else { Err(RejectionKind::BadPath) };
        }
        if target == b"*" {
            return if method == b"OPTIONS" { Ok(()) } else { Err(bad) };
        }
        // Absolute form, as proxies are asked.
        let begin = method.len() + 1 + scheme(target).ok_or(bad)?;
        let after = &line[begin..method.len() + 1 + target.len()];
        let length =
            after.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(after.len());
        if after[..length].contains(&b'@') {
            return Err(RejectionKind::BadHost);
        }
        if Uri::try_from(target).is_err() || !is_origin_form(&after[length..]) {
            return Err(RejectionKind::BadPath);
        }
        self.authority = Some((begin, begin + length));
        Ok(())
    }

    fn field(
        &mut self,
        line: &[u8],
        begin: usize,
        limits: &LimitsPolicy,
    ) -> Result<(), RejectionKind> {
        let bad = RejectionKind::BadHeader;
        // No colon, nothing before it, space before it or at the line's beginning: all no tokens.
        let colon = memchr(b':', line).ok_or(bad)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || name.iter().fold(false, |bad, byte| bad | !is_token(*byte)) {
            return Err(bad);
        }
        if value.iter().fold(false, |bad, byte| bad | is_control(*byte)) {
            return Err(bad);
        }
        if memchr(b'_', name).is_some() {
            match limits.underscores {
                Underscores::Drop => self.edits = true,
                Underscores::Reject => return Err(bad),
                Underscores::Allow => {}
            }
            return Ok(());
        }
        let once = |seen: &mut bool| if std::mem::replace(seen, true) { Err(bad) } else { Ok(()) };
        match Field::of(name) {
            Field::Other => {}
            Field::Host => {
                let from = value.len() - value.trim_ascii_start().len();
                let at = begin + colon + 1 + from;
                let range = (at, at + value.trim_ascii().len());
                if self.host.replace(range).is_some() {
                    return Err(RejectionKind::BadHost);
                }
            }
            Field::Authorization => once(&mut self.authorization)?,
            Field::ContentType => once(&mut self.content_type)?,
            Field::ContentLength => {
                let length = decimal(value.trim_ascii()).ok_or(bad)?;
                if self.length.replace(length).is_some() {
                    return Err(bad);
                }
            }
            Field::TransferEncoding => {
                let coding = value.trim_ascii();
                if self.http10 || self.chunked {
                    return Err(bad);
                }
                if !coding.eq_ignore_ascii_case(b"chunked") {
                    return Err(unknown_coding(coding));
                }
                self.chunked = true;
            }
            Field::Expect => {
                self.edits = true;
                if !self.http10 {
                    if !value.trim_ascii().eq_ignore_ascii_case(b"100-continue") {
                        return Err(RejectionKind::ExpectationFailed);
                    }
                    self.expects = true;
                }
            }
            Field::Upgrade => self.edits = true,
            Field::Connection => self.edits |= !keeps_connection(value),
        }
        Ok(())
    }

    fn finish(&self, bytes: &[u8], length: usize) -> Result<Head, RejectionKind> {
        let framing = match (self.length, self.chunked) {
            (Some(_), true) => return Err(RejectionKind::BadHeader),
            (None, true) => Framing::Chunked,
            (Some(length), false) => Framing::Length(length),
            // HTTP/1.0 has no other way to say where a body ends.
            (None, false) if self.http10 && self.post => return Err(RejectionKind::BadRequest),
            (None, false) => Framing::None,
        };
        match self.host {
            None => return Err(RejectionKind::BadHost),
            Some((begin, end)) => {
                let host = &bytes[begin..end];
                let well_formed = str::from_utf8(host).ok().and_then(split_port).is_some();
                let same = self
                    .authority
                    .is_none_or(|(begin, end)| bytes[begin..end].eq_ignore_ascii_case(host));
                if !well_formed || !same {
                    return Err(RejectionKind::BadHost);
                }
            }
        }
        let expects = self.expects && !matches!(framing, Framing::None | Framing::Length(0));
        Ok(Head { length, framing, expects, edits: self.edits })
    }
}

/// Whether it is a method, and one that the `http` crate can name: it knows fewer characters.
fn is_method(method: &[u8]) -> bool {
    method.iter().all(u8::is_ascii_uppercase) && !method.is_empty()
        || Method::from_bytes(method).is_ok()
}

/// A method longer than this is nobody's.
const METHOD: usize = 64;

/// What a request line may have beside its target: a method, two spaces, a version, an end.
const REQUEST_LINE: usize = METHOD + 12;

/// Whether a line of an admitted head is passed on. Header names with underscores are not: for
/// WSGI they are the same as others with hyphens. Neither is what only concerns this connection:
/// `Expect`, which is answered when the body is read, and offers to change the protocol.
pub fn keep_line(line: &[u8], limits: &LimitsPolicy) -> bool {
    let Some(colon) = memchr(b':', line) else { return true };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    match Field::of(name) {
        Field::Expect | Field::Upgrade => false,
        Field::Connection => keeps_connection(value),
        _ => limits.underscores != Underscores::Drop || memchr(b'_', name).is_none(),
    }
}

/// Whether a `Connection` says no more than `close` or `keep-alive`; `close` always counts.
fn keeps_connection(value: &[u8]) -> bool {
    let named = |option: &[u8]| {
        value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(option))
    };
    !named(b"upgrade") || named(b"close")
}

/// The length of a scheme that is served here, with `://`.
fn scheme(target: &[u8]) -> Option<usize> {
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let begin = target.get(..scheme.len())?;
        begin.eq_ignore_ascii_case(scheme).then_some(scheme.len())
    })
}

/// Whether every byte may stand in a path and its query (the `http` crate's table, without `#`).
fn is_origin_form(target: &[u8]) -> bool {
    let (path, query) = match memchr(b'?', target) {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, &target[..0]),
    };
    let bad = |byte: u8| !matches!(byte, 0x21..=0x7e) || matches!(byte, b'#' | b'<' | b'>');
    !path.iter().fold(false, |found, byte| found | bad(*byte) | matches!(byte, b'`'))
        && !query.iter().fold(false, |found, byte| found | bad(*byte) | matches!(byte, b'"'))
}

/// A decimal number of digits alone.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Why a transfer coding is refused: `chunked` has to be the last (RFC 9112, 6.1), and is the only
/// one that is implemented.
fn unknown_coding(codings: &[u8]) -> RejectionKind {
    let mut codings = codings.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let last = codings.next_back().unwrap_or_default();
    let known = |coding: &[u8]| {
        [&b"gzip"[..], b"x-gzip", b"deflate", b"compress", b"x-compress"]
            .iter()
            .any(|known| coding.eq_ignore_ascii_case(known))
    };
    if last.eq_ignore_ascii_case(b"chunked") && codings.all(known) {
        RejectionKind::NotImplemented
    } else {
        RejectionKind::BadHeader
    }
}
