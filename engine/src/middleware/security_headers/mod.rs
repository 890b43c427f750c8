//! Security headers: fields that make browsers careful, on every answer.
//!
//! Above CORS, so that preflights and refusals carry them too. What a handler set itself stays.
//! `Strict-Transport-Security` is sent only where it is written, and only over TLS, as RFC 6797
//! (7.2) asks.
//!
//! `csp` and `csp_report_only` may name the source `'nonce'`: each request then has a nonce of its
//! own (128 random bits), which the handler reads as `request.csp_nonce` and puts on its inline
//! scripts and styles. It is made when it is first asked for; an answer for which nobody asked, a
//! refusal above all, goes without one, and its policy trusts no inline code at all. An answer that
//! is still being produced always has one, because its fields are sent first.
//!
//! Options: `security_headers: {hsts: 1y, nosniff: on, frame: deny, referrer: same-origin, csp: "…",
//! csp_report_only: "…", permissions_policy: {camera: off, geolocation: [self]},
//! cross_origin_opener_policy: same-origin, cross_origin_embedder_policy: require-corp,
//! cross_origin_resource_policy: same-origin}`.
//! Refusals: none. Example: `defaults: {security_headers: {csp: "script-src 'self' 'nonce'"}}`.

mod config;
mod csp;
mod nonce;
mod permissions;
mod service;

pub use self::config::{SecurityHeadersConfig, SecurityHeadersPolicy};
pub use self::nonce::{CspNonce, CspNonceLayer};
pub use self::permissions::Allowed;
pub use self::service::{SecurityHeaders, SecurityHeadersLayer};
