//! Bytes on a connection: however they arrive the scanner reads them alike, and of what it lets pass
//! actix-http makes the same messages, with the same ends, lines and bodies, as a reader that does
//! nothing but take it apart.

use actix_codec::Decoder;
use actix_http::HttpMessage as _;
use actix_http::h1::{Codec, Message};
use bytes::BytesMut;
use pybolt_engine::middleware::rejection::RejectionKind;
use pybolt_engine::server::limits::LimitsPolicy;
use pybolt_engine::server::scan::{Scanner, Step, keep_line};

/// What a scan of some bytes found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// Where each complete request ends.
    pub ends: Vec<usize>,
    /// What is wrong with the next.
    pub refused: Option<RejectionKind>,
    /// What passes to actix-http.
    pub passed: Vec<u8>,
    /// Where each complete request ends in that.
    pub passed_ends: Vec<usize>,
}

/// Scans `raw` as it arrives in pieces that end at `cuts`.
pub fn scan(raw: &[u8], cuts: &[usize], limits: &LimitsPolicy) -> Found {
    let mut scanner = Scanner::default();
    let mut found = Found::default();
    let mut at = 0;
    for arrived in cuts.iter().copied().chain([raw.len()]) {
        while at < arrived {
            match scanner.advance(&raw[at..arrived], limits) {
                Step::Skip(length) => at += length,
                Step::Head(head) => {
                    let lines = raw[at..at + head.length].split_inclusive(|byte| *byte == b'\n');
                    for (number, line) in lines.enumerate() {
                        if number == 0 || keep_line(line, limits) {
                            found.passed.extend_from_slice(line);
                        }
                    }
                    at += head.length;
                }
                Step::Body(length) => {
                    assert!(length > 0);
                    found.passed.extend_from_slice(&raw[at..at + length]);
                    at += length;
                }
                Step::More => break,
                Step::Complete => unreachable!("it is turned at once"),
                Step::Refuse(kind) | Step::Fail(_, kind) => {
                    found.refused = Some(kind);
                    return found;
                }
            }
            if scanner.is_complete() {
                found.ends.push(at);
                found.passed_ends.push(found.passed.len());
                scanner.turn();
            }
        }
    }
    found
}

/// One complete message.
#[derive(Debug, PartialEq)]
struct Told {
    end: usize,
    method: String,
    /// Path and query.
    target: String,
    /// Sorted: names in small letters, values without the space around them.
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// What actix-http makes of `bytes`, which were admitted.
fn actix(bytes: &[u8]) -> Vec<Told> {
    thread_local! {
        // Its codec has a clock, which wants to be spawned.
        static LOCAL: (tokio::runtime::Runtime, tokio::task::LocalSet) = (
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"),
            tokio::task::LocalSet::new(),
        );
    }
    LOCAL.with(|(runtime, local)| {
        let _runtime = runtime.enter();
        let _local = local.enter();
        decode(bytes)
    })
}

fn decode(bytes: &[u8]) -> Vec<Told> {
    let mut codec = Codec::default();
    let mut buffer = BytesMut::from(bytes);
    let mut told = Vec::new();
    let mut current = None;
    loop {
        match codec.decode(&mut buffer).expect("actix-http admits what the scanner admits") {
            None => return told,
            Some(Message::Item(request)) => {
                assert!(!request.head().expect() && !request.head().upgrade(), "nobody asks it");
                let mut fields: Vec<_> = (request.headers().iter())
                    .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                    .collect();
                fields.sort();
                // Taken apart, as the engine reads it: an absolute form may have no path.
                let query = request.uri().query().map(|query| format!("?{query}"));
                let target = [request.uri().path(), query.as_deref().unwrap_or("")].concat();
                current = Some(Told {
                    end: 0,
                    method: request.method().as_str().to_owned(),
                    target,
                    fields,
                    body: Vec::new(),
                });
                if codec.message_type() != actix_http::h1::MessageType::None {
                    continue;
                }
            }
            Some(Message::Chunk(Some(chunk))) => {
                current.as_mut().expect("a head came first").body.extend_from_slice(&chunk);
                continue;
            }
            Some(Message::Chunk(None)) => {}
        }
        let end = bytes.len() - buffer.len();
        told.extend(current.take().map(|message| Told { end, ..message }));
    }
}

/// The plainest reading of `bytes`, of which nothing but what is complete and right is left.
fn plain(bytes: &[u8]) -> Vec<Told> {
    let mut told = Vec::new();
    let mut rest = bytes;
    while let Some(message) = next(&mut rest) {
        told.push(Told { end: bytes.len() - rest.len(), ..message });
    }
    told
}

fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line ends");
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    line
}

fn next(rest: &mut &[u8]) -> Option<Told> {
    if rest.is_empty() {
        return None;
    }
    let first = str::from_utf8(line(rest)).expect("it is ASCII");
    let words: Vec<&str> = first.split(' ').collect();
    let [method, target, "HTTP/1.1" | "HTTP/1.0"] = words[..] else {
        panic!("no request line: {first}")
    };
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => {
            let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
            if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
        }
        _ => target.to_owned(),
    };
    let mut fields = Vec::new();
    loop {
        let field = line(rest);
        if field.is_empty() {
            break;
        }
        let colon = field.iter().position(|byte| *byte == b':').expect("a name and a value");
        let name = str::from_utf8(&field[..colon]).expect("a token").to_ascii_lowercase();
        fields.push((name, field[colon + 1..].trim_ascii().to_vec()));
    }
    fields.sort();
    let value = |name: &str| {
        let mut found = fields.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_slice());
        assert!(found.next().is_none(), "{name} came twice");
        value
    };
    assert!(value("host").is_some());
    let mut body = Vec::new();
    if let Some(coding) = value("transfer-encoding") {
        assert!(coding.eq_ignore_ascii_case(b"chunked") && value("content-length").is_none());
        loop {
            let size = str::from_utf8(line(rest).split(|byte| b"; \t".contains(byte)).next()?);
            let size = usize::from_str_radix(size.expect("digits"), 16).expect("a size");
            if size == 0 {
                break;
            }
            body.extend_from_slice(&rest[..size]);
            *rest = &rest[size..];
            assert!(line(rest).is_empty());
        }
        while !line(rest).is_empty() {}
    } else if let Some(length) = value("content-length") {
        let length: usize = str::from_utf8(length).ok()?.parse().expect("a length");
        body.extend_from_slice(&rest[..length]);
        *rest = &rest[length..];
    }
    Some(Told { end: 0, method: method.to_owned(), target, fields, body })
}

/// Whether all agree on `raw`, however it arrives.
pub fn agrees(raw: &[u8], cuts: &[usize]) {
    let limits = LimitsPolicy::default();
    let whole = scan(raw, &[], &limits);
    let split = scan(raw, cuts, &limits);
    assert_eq!((&whole.ends, whole.refused), (&split.ends, split.refused));
    let theirs = actix(&whole.passed);
    let ends: Vec<_> = theirs.iter().map(|message| message.end).collect();
    assert_eq!(ends, whole.passed_ends);
    // What is behind the last end is a part of a body.
    let complete = whole.passed_ends.last().map_or(0, |end| *end);
    assert_eq!(theirs, plain(&whole.passed[..complete]));
}

/// The last bytes say where the others are cut apart.
pub fn holds(data: &[u8]) {
    let Some((raw, [first, second])) = data.split_last_chunk::<2>() else { return };
    let mut cuts = [first, second].map(|cut| usize::from(*cut) * raw.len() / 255);
    cuts.sort_unstable();
    agrees(raw, &cuts);
}
