//! CORS (the Fetch standard's protocol): which origins may read answers.
//!
//! Above everything that refuses, so that a page learns why it was refused. A preflight (`OPTIONS`
//! with `Origin` and `Access-Control-Request-Method`) is answered here, and goes no further, where
//! the engine found the route of the method that it names under this policy; one for another host,
//! an ambiguous or unknown path, or a method without a route is refused like any other request, and
//! a refusal approves of nothing. An origin that is not allowed gets no CORS field at all.
//! `Vary: Origin` is on every answer that could have been another for another origin; where all
//! origins are allowed, `*` is on every answer instead. A handler's own CORS fields are replaced.
//!
//! Options: `cors: {origins: [https://app.example.com, {suffix: "https://*.example.com"}],
//! credentials: on, allow_methods: […], allow_headers: […], expose_headers: […], max_age: 10m}`.
//! Refusals: none; a browser refuses for us.

mod config;
mod origin;
mod service;

pub use self::config::{CorsConfig, CorsPolicy};
pub use self::origin::{Origin, OriginConfig};
pub use self::service::{Cors, CorsLayer};
