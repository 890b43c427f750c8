//! Rate limits: the generic cell rate algorithm (GCRA, ITU-T I.371) over keys of the request.
//!
//! Limits whose key needs no identity stand before authentication, so that guessing costs the
//! guesser; the others stand below authorization. All limits of a place are asked first and taken
//! only if none refuses; of several that refuse, the one that holds longest is told. `RateLimit`
//! and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10) are on every answer below.
//!
//! Counts are shared by all workers of the machine through one table in shared memory (`table.rs`),
//! which the supervisor makes, and outlive workers and reloads where a limit's name, quota and key
//! are unchanged. `server.rate_limit_memory` is its size (32MiB: two million keys that are being
//! limited at once); past it a new key is refused, and no limited one is ever forgotten.
//!
//! Options: `rate_limit: {per_ip: {rate: 100/1m, burst: 50, key: client_ip}}`; keys: `client_ip`
//! (IPv6 by `ipv6_prefix`, /64 where nothing is said), `header:NAME`, `claim:NAME`, `api_key`,
//! `route`, or a list of these. `burst` is how many may come at once beyond the even pace (the count
//! where nothing is said). A period that is no whole number of seconds is published as the same rate
//! over one that is. `cost: N`: one request counts as N. `allow: [10.0.0.0/8, "api_key:acme"]`: who
//! is not counted, nor told of the limit. `shadow: on`: the limit counts, refuses nothing and stands
//! in no header; what it would have refused is `"shadow_limited"` in the access log and in
//! `pybolt.stats()`. A block without `rate` is the definition of its name, with another `cost`,
//! `shadow` or `allow`: `rate_limit: {per_ip: {cost: 10}}` counts where `per_ip` counts.
//! `store: redis://…`: counted by all machines, in Redis (`store/`); `on_store_error: deny | allow`,
//! `store_timeout` and `store_prefix` say how. Here limits are asked first, and a store only where
//! none refuses; so a shadow in a store does not count what another limit has refused here.
//! Refusals: `rate_limited`, and `limits_unavailable` where a store does not answer.

mod allow;
mod asking;
mod config;
mod gcra;
mod key;
mod limits;
mod memory;
mod service;
mod store;
mod table;

pub use self::config::{LimitChange, LimitConfig, RateLimitConfig, RateLimitPolicy};
pub use self::gcra::{Decision, Pace, Quota};
pub use self::key::{RateKey, Scope};
pub use self::limits::{Limits, MAX_LIMITS};
pub use self::memory::{MIN_SIZE, Memory};
pub use self::service::{AsRequest, RateLimit, RateLimitLayer};
pub use self::store::{MAX_STORES, OnStoreError, Store, StoreConfig};
pub use self::table::{Clock, Key, Table};
