//! Respond: a route whose answer never changes, given by Rust.
//!
//! `HEAD` follows `GET`, other methods are `405` with `Allow`, and the answer is the same whatever
//! the client accepts.
//!
//! Options: `respond: {status: 200, body: ok, content_type: text/plain, headers: {x-a: b}}`. Refusals:
//! none. Example: `{path: /healthz, respond: {body: ok}, auth: public, access_log: off}`.

use bytes::Bytes;

use crate::body::Body;
use crate::config;
use crate::config::decode::{Named, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::fields;
use crate::http::{HeaderName, HeaderValue, Headers, StatusCode, header};
use crate::response::Response;

config! {
    /// An answer that never changes.
    pub struct RespondConfig {
        /// The status, 200 to 599; 200 where nothing is said.
        status: Spanned<u64> = optional(200),
        /// The body, as text; none where nothing is said.
        body: Spanned<String> = optional like "ok",
        /// The media type of the body; `text/plain; charset=utf-8` where nothing is said.
        content_type: Spanned<String> = optional like "text/plain",
        /// Further header fields, by name.
        headers: Named<String> = default(Named::default()) like {"Cache-Control": "no-store"},
    }
}

/// A compiled answer.
#[derive(Debug)]
pub struct RespondPolicy {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// Fields that the layers above may add.
const ROOM: usize = 12;

impl RespondConfig {
    /// Checks and compiles.
    pub fn compile(&self, out: &mut Diagnostics) -> Option<RespondPolicy> {
        let status = match &self.status {
            None => Some(StatusCode::OK),
            Some(status) => {
                let found = u16::try_from(status.value)
                    .ok()
                    .filter(|number| (200..=599).contains(number))
                    .and_then(|number| StatusCode::from_u16(number).ok());
                if found.is_none() {
                    out.push(
                        Diagnostic::error(
                            "E120",
                            &status.at,
                            format!("{} is not the status of an answer", status.value),
                        )
                        .hint("write 200 to 599"),
                    );
                }
                found
            }
        };
        let headers = fields::set(&self.headers, refusal, out);
        let content_type = match &self.content_type {
            None => Some(HeaderValue::from_static("text/plain; charset=utf-8")),
            Some(written) => fields::value(written, out),
        };
        let (status, mut headers, content_type) = (status?, headers?, content_type?);
        let bodiless = matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        );
        let body = self.body.as_ref().filter(|body| !body.is_empty());
        if let Some(body) = body.filter(|_| bodiless) {
            let message = format!("an answer with status {} has no body", status.as_u16());
            out.push(Diagnostic::error("E124", &body.at, message).hint("remove `body`"));
            return None;
        }
        match body {
            None => {
                if let Some(written) = &self.content_type {
                    out.push(
                        Diagnostic::error("E124", &written.at, "there is no body to describe")
                            .hint("add `body`, or remove `content_type`"),
                    );
                    return None;
                }
            }
            Some(_) => headers.insert(0, (header::CONTENT_TYPE, content_type)),
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.value.clone()));
        Some(RespondPolicy { status, headers, body })
    }
}

/// Fields that other options set.
fn refusal(name: &str) -> Option<&'static str> {
    match name {
        "content-type" => Some("write `content_type`"),
        _ if name.starts_with("access-control-") => Some("write a `cors` policy"),
        _ => None,
    }
}

impl RespondPolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        format!("{} with {} bytes", self.status.as_u16(), self.body.len())
    }

    pub(super) fn answer(&self) -> Response {
        let mut response = Response::new(self.status);
        response.headers = Headers::with_capacity(self.headers.len() + ROOM);
        for (name, value) in &self.headers {
            response.headers.append(name.clone(), value.clone());
        }
        response.body = Body::from(self.body.clone());
        response
    }
}
