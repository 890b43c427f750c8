//! The layer: preflights answered, other answers dressed.

use std::sync::Arc;

use super::config::CorsPolicy;
use crate::http::{HeaderValue, Headers, StatusCode, header};
use crate::middleware::policy_layer::{Inner, policy_layer};
use crate::reply::Reply;
use crate::request::{Parts, Request};
use crate::response::Response;

/// A preflight that asks for more header fields than this gets none of them.
const MAX_REQUESTED_HEADERS: usize = 64;

policy_layer! {
    /// Makes [`Cors`] services.
    CorsLayer;
    /// Answers preflights and dresses other answers.
    Cors(CorsPolicy) for Request
}

impl<S: Inner<Request>> Cors<S> {
    fn answer(&mut self, request: Request) -> Reply {
        if request.preflight {
            return preflight(&self.policy, &request).into();
        }
        let policy = Arc::clone(&self.policy);
        let allow_origin = policy.allow_origin(origin(&request));
        self.inner.call(request).map(move |mut response| {
            dress(&policy, allow_origin, &mut response.headers);
            response
        })
    }
}

/// The one `Origin`; several are none.
fn origin(parts: &Parts) -> Option<&HeaderValue> {
    let mut values = parts.headers.get_all(header::ORIGIN);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

fn preflight(policy: &CorsPolicy, parts: &Parts) -> Response {
    let mut response = Response::new(StatusCode::NO_CONTENT);
    let headers = &mut response.headers;
    if policy.varies() {
        headers.append(
            header::VARY,
            HeaderValue::from_static(
                "origin, access-control-request-method, access-control-request-headers",
            ),
        );
    }
    let Some(allowed) = policy.allow_origin(origin(parts)) else {
        return response;
    };
    headers.append(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if policy.credentials {
        headers.append(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    headers.append(header::ACCESS_CONTROL_ALLOW_METHODS, policy.allow_methods.clone());
    let requested = parts.headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let elements: usize =
        requested.map(|line| line.as_bytes().split(|byte| *byte == b',').count()).sum();
    if let Some(names) = policy.allow_headers.as_ref().filter(|_| elements <= MAX_REQUESTED_HEADERS)
    {
        headers.append(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    if let Some(age) = &policy.max_age {
        headers.append(header::ACCESS_CONTROL_MAX_AGE, age.clone());
    }
    response
}

fn dress(policy: &CorsPolicy, allow_origin: Option<HeaderValue>, headers: &mut Headers) {
    headers.retain(|name| !name.as_str().starts_with("access-control-"));
    if policy.varies() {
        headers.vary(header::ORIGIN);
    }
    let Some(origin) = allow_origin else { return };
    headers.append(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if policy.credentials {
        headers.append(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    if let Some(names) = &policy.expose_headers {
        headers.append(header::ACCESS_CONTROL_EXPOSE_HEADERS, names.clone());
    }
}
