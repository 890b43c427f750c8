//! The layer: adds what the policy says to what a handler said itself.

use std::sync::Arc;

use super::config::SecurityHeadersPolicy;
use crate::middleware::policy_layer::{Inner, policy_layer};
use crate::reply::Reply;
use crate::request::Request;

policy_layer! {
    /// Makes [`SecurityHeaders`] services.
    SecurityHeadersLayer;
    /// Adds security headers to answers.
    SecurityHeaders(SecurityHeadersPolicy) for Request
}

impl<S: Inner<Request>> SecurityHeaders<S> {
    fn answer(&mut self, request: Request) -> Reply {
        let secure = request.secure;
        let policy = Arc::clone(&self.policy);
        self.inner.call(request).map(move |mut response| {
            policy.dress(&mut response, secure);
            response
        })
    }
}
