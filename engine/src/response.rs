//! An answer on its way out of the chain.

use std::sync::Arc;

use bytes::Bytes;

use crate::body::Body;
use crate::http::{HeaderValue, Headers, StatusCode, header};
use crate::middleware::authenticate::Principal;
use crate::middleware::rate_limit::RateLimitPolicy;
use crate::middleware::rejection::RejectionKind;
use crate::middleware::security_headers::CspNonce;

/// Status, headers and body of an answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The header fields. `Content-Length` and `Transfer-Encoding` are the server's business.
    pub headers: Headers,
    /// The body.
    pub body: Body,
    /// The refusal this answer states, where Rust refused; the access log names it.
    pub rejection: Option<RejectionKind>,
    /// Who asked, where anybody was authenticated; the access log names them.
    pub principal: Option<Arc<Principal>>,
    /// A limit in the shadow that would have refused; the access log names it.
    pub shadowed: Option<Arc<RateLimitPolicy>>,
    /// The nonce that the handler was given; the security headers take it.
    pub csp_nonce: Option<Arc<CspNonce>>,
}

impl Response {
    /// An answer without a body.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: Headers::new(),
            body: Body::Empty,
            rejection: None,
            principal: None,
            shadowed: None,
            csp_nonce: None,
        }
    }

    /// An answer with a content type and a body.
    pub fn with_body(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Self {
        let mut response = Self::new(status);
        response.headers.append(header::CONTENT_TYPE, content_type);
        response.body = body.into();
        response
    }

    /// A `200 OK` JSON answer.
    pub fn json(body: Bytes) -> Self {
        Self::with_body(StatusCode::OK, HeaderValue::from_static("application/json"), body)
    }
}
