//! The one table of refusals: status, code and title of every answer that Rust gives instead of a
//! handler's, as `application/problem+json` (RFC 9457) or, for a client that prefers it, HTML.
//!
//! A layer builds a [`Rejection`], adds the header fields that its RFC asks for, and returns its
//! response. Nothing of the request is ever echoed. Bodies are static: a refusal formats nothing.

use crate::body::Body;
use crate::http::{HeaderMap, HeaderName, HeaderValue, Headers, StatusCode, header};
use crate::response::Response;

/// Declares the table: variant, status, code, title.
macro_rules! rejections {
    ($($(#[$doc:meta])* $variant:ident = $status:literal, $code:literal, $title:literal;)*) => {
        /// Why a request was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum RejectionKind { $($(#[$doc])* $variant),* }

        impl RejectionKind {
            /// Every kind, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The HTTP status.
            pub fn status(self) -> StatusCode {
                let status = match self { $(Self::$variant => $status),* };
                StatusCode::from_u16(status).expect("the table holds valid statuses")
            }

            /// The stable code, also the last part of the problem's `type`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// The body as `application/problem+json`.
            pub const fn json(self) -> &'static str {
                match self { $(Self::$variant => concat!(
                    "{\"type\":\"urn:pybolt:problem:", $code, "\",\"title\":\"", $title,
                    "\",\"status\":", stringify!($status), "}"
                )),* }
            }

            /// The body as HTML.
            pub const fn html(self) -> &'static str {
                match self { $(Self::$variant => concat!(
                    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>",
                    stringify!($status), " ", $title, "</title><h1>", $title, "</h1></html>"
                )),* }
            }
        }
    };
}

rejections! {
    /// The path cannot be decoded to one unambiguous path.
    BadPath = 400, "bad_path", "Bad Path";
    /// `Host` is missing or malformed.
    BadHost = 400, "bad_host", "Bad Host";
    /// A header that decides something was malformed or repeated.
    BadHeader = 400, "bad_header", "Bad Header";
    /// The body broke off or cannot be read.
    BadBody = 400, "bad_body", "Bad Body";
    /// No valid credentials; carries `WWW-Authenticate`.
    Unauthorized = 401, "unauthorized", "Unauthorized";
    /// The credentials do not suffice, or the route is denied.
    Forbidden = 403, "forbidden", "Forbidden";
    /// No route matches the path.
    NotFound = 404, "not_found", "Not Found";
    /// The path has routes, but not for this method; carries `Allow`.
    MethodNotAllowed = 405, "method_not_allowed", "Method Not Allowed";
    /// The request body is longer than the route admits.
    BodyTooLarge = 413, "body_too_large", "Content Too Large";
    /// The host is not one of ours.
    Misdirected = 421, "misdirected", "Misdirected Request";
    /// A rate limit is used up; carries `Retry-After`.
    RateLimited = 429, "rate_limited", "Too Many Requests";
    /// A layer or handler failed.
    Internal = 500, "internal", "Internal Server Error";
    /// The Python side has no room; carries `Retry-After`.
    Overloaded = 503, "overloaded", "Service Unavailable";
    /// The handler took longer than the route allows.
    Timeout = 504, "timeout", "Gateway Timeout";
}

/// A refusal: its kind and the header fields that go with it.
#[derive(Debug)]
pub struct Rejection {
    /// Why.
    pub kind: RejectionKind,
    /// Header fields beyond the content type.
    pub headers: Headers,
}

impl Rejection {
    /// A refusal without further header fields.
    pub const fn new(kind: RejectionKind) -> Self {
        Self { kind, headers: Headers::new() }
    }

    /// The same refusal with one more header field.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The answer for a client that sent `request_headers`.
    pub fn into_response(self, request_headers: &HeaderMap) -> Response {
        let html = request_headers.get(header::ACCEPT).is_some_and(prefers_html);
        let (content_type, body) = if html {
            ("text/html; charset=utf-8", self.kind.html())
        } else {
            ("application/problem+json", self.kind.json())
        };
        let mut headers = self.headers;
        headers.append(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Response {
            status: self.kind.status(),
            headers,
            body: Body::from(body),
            rejection: Some(self.kind),
            principal: None,
        }
    }
}

impl From<RejectionKind> for Rejection {
    fn from(kind: RejectionKind) -> Self {
        Self::new(kind)
    }
}

/// Whether `Accept` names HTML before any JSON. Browsers do; API clients do not.
fn prefers_html(accept: &HeaderValue) -> bool {
    let text = accept.to_str().unwrap_or_default();
    match (text.find("text/html"), text.find("json")) {
        (Some(html), Some(json)) => html < json,
        (Some(_), None) => true,
        _ => false,
    }
}
