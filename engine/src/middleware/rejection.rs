//! The one table of refusals: status, code and title of every answer that Rust gives instead of a
//! handler's, as `application/problem+json` (RFC 9457) or, for a client that prefers it by the
//! weights in its `Accept`, HTML; hence `Vary: accept`.
//!
//! A layer builds a [`Rejection`], adds the header fields that its RFC asks for, and returns its
//! response. Nothing of the request is ever echoed. Bodies are static: a refusal formats nothing.

use std::fmt;

use crate::body::Body;
use crate::http::{HeaderMap, HeaderName, HeaderValue, Headers, StatusCode, header, weighted};
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
    /// What came is no HTTP/1.1 request.
    BadRequest = 400, "bad_request", "Bad Request";
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
    /// The client's address may not use the route.
    ForbiddenAddress = 403, "forbidden_address", "Forbidden Address";
    /// Another site made the client's browser send the request.
    Csrf = 403, "csrf", "Cross-Site Request Refused";
    /// No route matches the path.
    NotFound = 404, "not_found", "Not Found";
    /// The path has routes, but not for this method; carries `Allow`.
    MethodNotAllowed = 405, "method_not_allowed", "Method Not Allowed";
    /// The client took too long to send its request.
    RequestTimeout = 408, "request_timeout", "Request Timeout";
    /// The file is not, or no longer, the one that the request is about.
    PreconditionFailed = 412, "precondition_failed", "Precondition Failed";
    /// The request body is longer than the route admits.
    BodyTooLarge = 413, "body_too_large", "Content Too Large";
    /// The request's target is longer than the listener admits.
    UriTooLong = 414, "uri_too_long", "URI Too Long";
    /// The file has none of the bytes asked for; carries `Content-Range`.
    RangeNotSatisfiable = 416, "range_not_satisfiable", "Range Not Satisfiable";
    /// The request expects what nobody here does.
    ExpectationFailed = 417, "expectation_failed", "Expectation Failed";
    /// The host is not one of ours.
    Misdirected = 421, "misdirected", "Misdirected Request";
    /// A rate limit is used up; carries `Retry-After`.
    RateLimited = 429, "rate_limited", "Too Many Requests";
    /// Too many requests of one key are under way; carries `Retry-After`.
    TooManyInFlight = 429, "too_many_in_flight", "Too Many Requests at Once";
    /// The header fields, or a body's trailers, are more than the listener admits.
    HeadersTooLarge = 431, "headers_too_large", "Request Header Fields Too Large";
    /// A layer or handler failed.
    Internal = 500, "internal", "Internal Server Error";
    /// `CONNECT`, `TRACE`, or a transfer coding other than chunked.
    NotImplemented = 501, "not_implemented", "Not Implemented";
    /// The client, or all of them together, have too many connections; carries `Retry-After`.
    TooManyConnections = 503, "too_many_connections", "Too Many Connections";
    /// The Python side has no room; carries `Retry-After`.
    Overloaded = 503, "overloaded", "Service Unavailable";
    /// What counts for all machines does not answer; carries `Retry-After`.
    LimitsUnavailable = 503, "limits_unavailable", "Rate Limits Unavailable";
    /// The database that the route is read from does not answer; carries `Retry-After`.
    DatabaseUnavailable = 503, "database_unavailable", "Database Unavailable";
    /// The route is closed for maintenance; carries `Retry-After`.
    Maintenance = 503, "maintenance", "Closed for Maintenance";
    /// The handler took longer than the route allows.
    Timeout = 504, "timeout", "Gateway Timeout";
    /// The request is of another version than HTTP/1.0 and HTTP/1.1.
    HttpVersion = 505, "http_version", "HTTP Version Not Supported";
}

/// A kind is what a body that the listener ends fails with.
impl fmt::Display for RejectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl std::error::Error for RejectionKind {}

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

    /// The answer for a client: in the form it asked for, or the one its request headers ask for.
    pub fn into_response(self, form: impl Into<Form>) -> Response {
        let (content_type, body) = match form.into() {
            Form::Html => ("text/html; charset=utf-8", self.kind.html()),
            Form::Json => ("application/problem+json", self.kind.json()),
        };
        let mut headers = self.headers;
        headers.append(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.append(header::VARY, HeaderValue::from_static("accept"));
        Response {
            status: self.kind.status(),
            headers,
            body: Body::from(body),
            rejection: Some(self.kind),
            principal: None,
            shadowed: None,
            csp_nonce: None,
        }
    }
}

impl From<RejectionKind> for Rejection {
    fn from(kind: RejectionKind) -> Self {
        Self::new(kind)
    }
}

/// The form in which a client reads refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/problem+json`.
    Json,
    /// `text/html`.
    Html,
}

impl From<&HeaderMap> for Form {
    fn from(request_headers: &HeaderMap) -> Self {
        if prefers_html(request_headers) { Self::Html } else { Self::Json }
    }
}

/// Whether HTML weighs more than JSON, whose weight is that of the most specific range that covers
/// it (RFC 9110, 12.5.1). Browsers name HTML; API clients do not, and get JSON for `*/*`.
fn prefers_html(request_headers: &HeaderMap) -> bool {
    let lines = request_headers.get_all(header::ACCEPT).filter_map(|line| line.to_str().ok());
    let mut html = 0;
    let mut json = (0, 0);
    for (name, weight) in lines.flat_map(|line| line.split(',')).map(weighted) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("text/html") || is("application/xhtml+xml") {
            html = html.max(weight);
        } else if is("application/json") || is("application/problem+json") {
            json = json.max((3, weight));
        } else if is("application/*") {
            json = json.max((2, weight));
        } else if is("*/*") {
            json = json.max((1, weight));
        }
    }
    html > json.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_only_where_it_weighs_more_than_json() {
        for (accept, html) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("text/html", true),
            ("TEXT/HTML;q=0.1", true),
            ("application/json;q=0.5, text/html;q=0.6", true),
            ("text/html, application/json;q=0, */*", true),
            ("text/html;q=0.5, application/json", false),
            ("text/html, application/json", false),
            ("text/html, */*", false),
            ("text/html;q=0.8, application/*;q=0.9, */*;q=0.1", false),
            ("application/problem+json, text/html;q=0.9", false),
            ("text/html;q=0", false),
            ("text/html;q=x", false),
            ("text/htmlish", false),
            ("*/*", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Form::from(&headers) == Form::Html, html, "{accept}");
        }
        assert_eq!(Form::from(&HeaderMap::new()), Form::Json);
    }
}
