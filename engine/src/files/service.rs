//! The end of a chain that sends files.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::body::{self, Piece};
use super::cache::Cache;
use super::conditions::Verdict;
use super::found::{self, Found, Look, Variant};
use super::policy::{FilesPolicy, is_plain};
use super::ranges::{self, Asked};
use crate::answer::redirect;
use crate::handler::Handler;
use crate::http::{HeaderValue, Headers, Method, StatusCode, header};
use crate::middleware::authorize::Permitted;
use crate::middleware::rejection::{Form, Rejection, RejectionKind};
use crate::reply::Reply;
use crate::request::{Parts, Request};
use crate::response::Response;

/// So long a request waits for a disk.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Fields that an answer has at most, and room for those of the layers above.
const ROOM: usize = 20;

/// Sends the files of one route, on one I/O thread.
#[derive(Clone)]
pub struct Files(Rc<Inner>);

struct Inner {
    policy: Arc<FilesPolicy>,
    cache: RefCell<Cache>,
    /// `Cache-Control` of a file that may change, of one that does not, and of the fallback.
    usual: Option<HeaderValue>,
    immutable: HeaderValue,
    fallback: HeaderValue,
}

impl Files {
    /// The files of `policy`; `private`: not everybody may have them, so no shared cache may.
    pub fn new(policy: Arc<FilesPolicy>, private: bool) -> Self {
        let whose = if private { "private" } else { "public" };
        let value = |text: String| HeaderValue::try_from(text).expect("ages are visible ASCII");
        let unsure = if private { "private, no-cache" } else { "no-cache" };
        let usual = policy.max_age.map(|age| match age {
            0 => HeaderValue::from_static(unsure),
            age => value(format!("{whose}, max-age={age}")),
        });
        Self(Rc::new(Inner {
            policy,
            cache: RefCell::default(),
            usual,
            immutable: value(format!("{whose}, max-age=31536000, immutable")),
            fallback: HeaderValue::from_static(unsure),
        }))
    }
}

impl Handler for Files {
    fn call(&self, request: Permitted<Request>) -> Reply {
        let inner = &self.0;
        let path = path(&request);
        if !is_plain(path, inner.policy.dotfiles) {
            return Rejection::new(RejectionKind::NotFound).into_response(request.form).into();
        }
        if let Some(found) = inner.cache.borrow_mut().fresh(path, Instant::now()) {
            return inner.answer(&request, &found, None).into();
        }
        let inner = Rc::clone(inner);
        let request = request.into_inner();
        Reply::pending(async move { inner.find(&request).await })
    }
}

/// What the catch-all captured.
fn path(parts: &Parts) -> &str {
    parts.params.last().map_or("", |(_, value)| value)
}

impl Inner {
    /// Asks the disk.
    async fn find(&self, parts: &Parts) -> Response {
        let path = path(parts);
        let refused = match self.look(path).await {
            Ok(Look::File(found)) => return self.answer(parts, &found, None),
            Ok(Look::Directory) => match redirect::slashed(&parts.uri) {
                Some(location) => return redirect::to(StatusCode::MOVED_PERMANENTLY, location),
                None => RejectionKind::NotFound,
            },
            Ok(Look::Nothing) => RejectionKind::NotFound,
            Err(kind) => kind,
        };
        if let Some(fallback) = &self.policy.fallback
            && refused == RejectionKind::NotFound
            && parts.form == Form::Html
        {
            match self.look(fallback).await {
                Ok(Look::File(found)) => {
                    let mut response = self.answer(parts, &found, Some(&self.fallback));
                    // Who does not want HTML gets a 404 there.
                    response.headers.vary(header::ACCEPT);
                    return response;
                }
                Ok(_) => {}
                Err(kind) => return refuse(parts, kind),
            }
        }
        refuse(parts, refused)
    }

    /// What `path` leads to: what was looked at a moment ago, or what is there now.
    async fn look(&self, path: &str) -> Result<Look, RejectionKind> {
        let now = Instant::now();
        if let Some(found) = self.cache.borrow_mut().fresh(path, now) {
            return Ok(Look::File(found));
        }
        let known = self.cache.borrow().known(path);
        let (policy, name) = (Arc::clone(&self.policy), path.to_owned());
        let asked = self.policy.pool.ask(move || found::look(&policy, &name, known.as_deref()));
        let asked = asked.ok_or(RejectionKind::Overloaded)?;
        let looked = tokio::time::timeout(MAX_WAIT, asked).await;
        let looked = looked.map_err(|_| RejectionKind::Overloaded)?;
        // A panic of the thread that looked is a failure like one of the disk.
        let looked = looked.map_err(|_| RejectionKind::Internal)?;
        let mut cache = self.cache.borrow_mut();
        match &looked {
            Ok(Look::File(found)) => cache.remember(path, found, now, self.policy.memory),
            Ok(_) | Err(_) => cache.forget(path),
        }
        looked.map_err(|error| failure(&error))
    }

    /// The answer to a request for `found`; `cache`: what is said of copies instead of the usual.
    fn answer(&self, request: &Parts, found: &Found, cache: Option<&HeaderValue>) -> Response {
        let variant = found.choose(&request.headers);
        let now = found::now();
        let validators = variant.validators();
        let usual = if found.immutable { Some(&self.immutable) } else { self.usual.as_ref() };
        let cache = cache.or(usual);
        match validators.judge(&request.headers) {
            Verdict::Go => {}
            Verdict::Failed => return refuse(request, RejectionKind::PreconditionFailed),
            Verdict::NotModified => {
                let mut response = Response::new(StatusCode::NOT_MODIFIED);
                response.headers = dressed(variant, variant.validating, now, cache);
                return response;
            }
        }
        let length = variant.length();
        // RFC 9110, 14.2: a range is asked of GET alone.
        let asked = if request.method == Method::GET && validators.continues(&request.headers) {
            ranges::asked(&request.headers, length)
        } else {
            Asked::Whole
        };
        let (status, content_type, range, pieces) = match asked {
            Asked::Whole => {
                let whole = vec![Piece::Part(0..length)];
                (StatusCode::OK, variant.content_type.clone(), None, whole)
            }
            Asked::Nothing => {
                let range = content_range(format!("bytes */{length}"));
                return Rejection::new(RejectionKind::RangeNotSatisfiable)
                    .with_header(header::CONTENT_RANGE, range)
                    .into_response(request.form);
            }
            Asked::Parts(parts) => self.parts(variant, &parts),
        };
        let mut response = Response::new(status);
        response.headers = dressed(variant, variant.fields.len(), now, cache);
        response.headers.append(header::CONTENT_TYPE, content_type);
        if let Some(range) = range {
            response.headers.append(header::CONTENT_RANGE, range);
        }
        response.body = body::of(&variant.content, pieces, &self.policy.pool);
        response
    }

    /// A 206 of one part, or of several with a head each (RFC 9110, 14.6).
    fn parts(&self, variant: &Variant, parts: &[Range<u64>]) -> Partial {
        let length = variant.length();
        let range = |part: &Range<u64>| format!("bytes {}-{}/{length}", part.start, part.end - 1);
        if let [part] = parts {
            let value = content_range(range(part));
            let pieces = vec![Piece::Part(part.clone())];
            return (
                StatusCode::PARTIAL_CONTENT,
                variant.content_type.clone(),
                Some(value),
                pieces,
            );
        }
        let boundary = &self.policy.boundary;
        let content_type = variant.content_type.to_str().unwrap_or_default();
        let mut pieces = Vec::with_capacity(2 * parts.len() + 1);
        for part in parts {
            let head = format!(
                "\r\n--{boundary}\r\ncontent-type: {content_type}\r\ncontent-range: {}\r\n\r\n",
                range(part)
            );
            pieces.push(Piece::Text(head.into()));
            pieces.push(Piece::Part(part.clone()));
        }
        pieces.push(Piece::Text(format!("\r\n--{boundary}--\r\n").into()));
        (StatusCode::PARTIAL_CONTENT, self.policy.multipart.clone(), None, pieces)
    }
}

/// What tells a part: status, content type, `Content-Range` where there is one, and its pieces.
type Partial = (StatusCode, HeaderValue, Option<HeaderValue>, Vec<Piece>);

fn content_range(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("numbers are visible ASCII")
}

/// The first `fields` of `variant` with what the moment `now` makes of its dates.
fn dressed(variant: &Variant, fields: usize, now: u64, cache: Option<&HeaderValue>) -> Headers {
    let mut headers = Headers::with_capacity(fields + ROOM);
    for (name, value) in &variant.fields[..fields] {
        headers.append(name.clone(), value.clone());
    }
    let (modified, date) = variant.dates(now);
    headers.append(header::LAST_MODIFIED, modified);
    if let Some(date) = date {
        headers.append(header::DATE, date);
    }
    if let Some(cache) = cache {
        headers.append(header::CACHE_CONTROL, cache.clone());
    }
    headers
}

fn refuse(request: &Parts, kind: RejectionKind) -> Response {
    let mut refusal = Rejection::new(kind);
    if kind == RejectionKind::Overloaded {
        refusal = refusal.with_header(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    refusal.into_response(request.form)
}

/// What a failure to open or read a file is to the client: want of descriptors or memory, and a file
/// that is being written, are over soon.
fn failure(error: &io::Error) -> RejectionKind {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => {
            RejectionKind::Overloaded
        }
        None if error.kind() == io::ErrorKind::ResourceBusy => RejectionKind::Overloaded,
        _ => RejectionKind::Internal,
    }
}
