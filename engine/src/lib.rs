//! pybolt's engine: configuration → plan → router → chain → handler, and the server in front.
//!
//! Pure Rust: nothing here knows Python. `ARCHITECTURE.md` tells the whole story.
#![forbid(unsafe_code)]

pub mod answer;
pub mod body;
pub mod captures;
pub mod config;
pub mod engine;
pub mod files;
pub mod handler;
pub mod http;
pub mod middleware;
pub mod path;
pub mod placement;
pub mod plan;
pub mod query;
pub mod reply;
pub mod request;
pub mod response;
pub mod router;
pub mod server;
