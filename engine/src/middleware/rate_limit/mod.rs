//! Rate limits: the generic cell rate algorithm (GCRA, ITU-T I.371) over keys of the request.
//!
//! Limits whose key needs no identity stand before authentication, so that guessing costs the
//! guesser; the others stand below authorization. All limits of a place are asked first and taken
//! only if none refuses; of several that refuse, the one that holds longest is told. `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10)
//! are on every answer below.
//!
//! Options: `rate_limit: {per_ip: {rate: 100/1m, burst: 50, key: client_ip}}`; keys: `client_ip`
//! (IPv6 by /64), `header:NAME`, `claim:NAME`, `api_key`, `route`, or a list of these. `burst` is
//! how many may come at once beyond the even pace (the count where nothing is said). A period that
//! is no whole number of seconds is published as the same rate over one that is.
//! Refusal: `rate_limited`.

mod config;
mod key;
mod service;
mod store;

pub use self::config::{RateLimitConfig, RateLimitPolicy};
pub use self::service::{RateLimit, RateLimitLayer};
pub use self::store::{Clock, Decision, Quota, Store};
