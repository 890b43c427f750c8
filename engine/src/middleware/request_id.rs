//! Request id: a name for every request, on the request, the answer and in the log.
//!
//! Outermost, so that everything else can name the request. A client's own id is taken over only
//! where the configuration says so, and only if it is harmless.
//!
//! Options: `request_id: {header: X-Request-Id, accept_from: trusted_proxies | any | none}`.
//! Refusals: none. Example: `defaults: {request_id: on}`.

use std::cell::Cell;
use std::sync::Arc;

use ipnet::IpNet;

use super::policy_layer::{Inner, policy_layer};
use crate::config;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location, did_you_mean};
use crate::http::{HeaderName, HeaderValue};
use crate::reply::Reply;
use crate::request::Request;

config! {
    /// Request ids.
    #[derive(Default)]
    pub struct RequestIdConfig {
        /// The header that carries the id.
        header: Spanned<String> = optional("X-Request-Id"),
        /// Whose ids are taken over: `trusted_proxies`, `any` or `none`.
        accept_from: Spanned<String> = optional("trusted_proxies") of ["trusted_proxies", "any", "none"],
    }
}

/// The longest id that is taken over, in bytes.
const MAX_LENGTH: usize = 128;

#[derive(Debug, Clone)]
enum Accept {
    None,
    Any,
    From(Arc<[IpNet]>),
}

/// Compiled request ids.
#[derive(Debug)]
pub struct RequestIdPolicy {
    header: HeaderName,
    accept: Accept,
}

impl RequestIdConfig {
    /// Checks and compiles; `trusted` are the trusted proxies.
    pub fn compile(
        &self,
        trusted: &Arc<[IpNet]>,
        out: &mut Diagnostics,
    ) -> Option<RequestIdPolicy> {
        let header = match &self.header {
            None => HeaderName::from_static("x-request-id"),
            Some(name) => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => name,
                Err(_) => {
                    out.error("E101", &name.at, format!("`{}` is not a header name", name.value));
                    return None;
                }
            },
        };
        let accept = match self.accept_from.as_ref().map(|from| from.as_str()) {
            None | Some("trusted_proxies") => Accept::From(Arc::clone(trusted)),
            Some("any") => Accept::Any,
            Some("none") => Accept::None,
            Some(other) => {
                let known = ["trusted_proxies", "any", "none"];
                let hint = did_you_mean(other, known).map_or_else(
                    || format!("write one of {}", known.join(", ")),
                    |known| format!("did you mean `{known}`?"),
                );
                let at = self
                    .accept_from
                    .as_ref()
                    .map_or_else(Location::default, |from| from.at.clone());
                out.push(
                    Diagnostic::error("E102", &at, format!("`{other}` cannot be accepted from"))
                        .hint(hint),
                );
                return None;
            }
        };
        Some(RequestIdPolicy { header, accept })
    }
}

impl RequestIdPolicy {
    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let from = match &self.accept {
            Accept::None => "always new",
            Accept::Any => "the client's own, else new",
            Accept::From(_) => "a trusted proxy's own, else new",
        };
        format!("{}: {from}", self.header)
    }

    fn id(&self, request: &Request) -> HeaderValue {
        let accepted = match &self.accept {
            Accept::None => false,
            Accept::Any => true,
            Accept::From(networks) => {
                let peer = request.peer.map(|peer| peer.ip().to_canonical());
                peer.is_some_and(|peer| networks.iter().any(|network| network.contains(&peer)))
            }
        };
        let own = accepted.then(|| request.headers.get(&self.header)).flatten();
        own.filter(|id| is_harmless(id.as_bytes())).cloned().unwrap_or_else(new_id)
    }
}

fn is_harmless(id: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

thread_local! {
    static STATE: Cell<u128> = Cell::new(seed());
}

fn seed() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the kernel gives randomness");
    u128::from_le_bytes(bytes) | 1
}

/// 128 bits that do not repeat, as 32 hexadecimal digits. An id is a name, not a secret: the
/// generator is a multiplicative congruential one over 128 bits, seeded by the kernel.
fn new_id() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let state = STATE.get().wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645);
    STATE.set(state);
    let mut bits = state ^ (state >> 64);
    let mut text = [0; 32];
    for digit in &mut text {
        *digit = DIGITS[(bits & 15) as usize];
        bits >>= 4;
    }
    HeaderValue::from_bytes(&text).expect("hexadecimal digits are a header value")
}

policy_layer! {
    /// Makes [`RequestId`] services.
    RequestIdLayer;
    /// Names requests and their answers.
    RequestId(RequestIdPolicy) for Request
}

impl<S: Inner<Request>> RequestId<S> {
    fn answer(&mut self, mut request: Request) -> Reply {
        let id = self.policy.id(&request);
        let name = self.policy.header.clone();
        request.request_id = Some(id.clone());
        self.inner.call(request).map(move |mut response| {
            response.headers.insert(name, id);
            response
        })
    }
}
