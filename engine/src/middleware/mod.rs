//! The middleware and THE ORDER, which is fixed: a configuration switches stages on and off and
//! never reorders them. `chain.rs` assembles it.
//!
//! Decided by the engine before the chain, because everything in it speaks of them: client address,
//! host, path identity, canonical address and route match (the gate answers what is not to go on). Then:
//!
//! request id → access log → catch panic → response headers → security headers → CORS → catch panic
//! → compression → gate → maintenance → address rules → CSRF by origin → rate limits whose key needs
//! no identity → in-flight limit whose key needs none → `Content-Length` check → authenticate →
//! authorize → rate limits and in-flight limit keyed by identity → timeout → body limit → the whole
//! body → forwarding headers (Django) → request headers → rewrite → CSP nonce → Python bulkhead → handler.

pub mod access_log;
pub mod authenticate;
pub mod authorize;
pub mod body_limit;
pub mod buffer_body;
pub mod bulkhead;
pub mod canonical;
pub mod catch_panic;
pub mod chain;
pub mod client_ip;
pub mod compress;
pub mod cors;
pub mod csrf;
pub mod forwarded;
pub mod gate;
pub mod host;
pub mod in_flight;
pub mod ip;
pub mod maintenance;
mod policy_layer;
pub mod rate_limit;
pub mod rejection;
pub mod request_headers;
pub mod request_id;
pub mod response_headers;
pub mod rewrite;
pub mod security_headers;
pub mod timeout;
