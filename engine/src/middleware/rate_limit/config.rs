//! What may be written, and what it is compiled to.

use std::time::Duration;

use super::key::{KeyBuffer, RateKey};
use super::store::{Decision, Quota, Store};
use crate::config;
use crate::config::decode::{OneOrMany, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::units::{Rate, Span};
use crate::http::HeaderValue;
use crate::request::Parts;

config! {
    /// A rate limit.
    pub struct RateLimitConfig {
        /// How many in how long: `100/1m`.
        rate: Spanned<Rate> = required like "100/1m",
        /// How many may come at once; the rate's count where nothing is said.
        burst: Spanned<u64> = optional like 50,
        /// What is counted by.
        key: Spanned<OneOrMany<RateKey>> = optional("client_ip"),
    }
}

const MAX_COUNT: u64 = 1_000_000_000;
/// The longest name, in bytes: it goes along in every answer.
const MAX_NAME: usize = 100;
const MAX_PERIOD: Duration = Duration::from_secs(366 * 86_400);

/// A compiled limit with its state, shared by all routes that have it.
#[derive(Debug)]
pub struct RateLimitPolicy {
    name: String,
    key: Vec<RateKey>,
    quota: Quota,
    store: Store,
    /// `"name";q=100;w=60`.
    pub(super) policy_header: HeaderValue,
}

impl RateLimitConfig {
    /// Checks and compiles the limit called `name`.
    pub fn compile(
        &self,
        name: &str,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<RateLimitPolicy> {
        let rate = self.rate.value;
        let burst = self.burst.as_ref().map_or(rate.count, |burst| burst.value);
        if rate.count > MAX_COUNT
            || rate.period > MAX_PERIOD
            || rate.period.as_nanos() < u128::from(rate.count)
        {
            out.push(
                Diagnostic::error("E090", &self.rate.at, "this rate cannot be counted")
                    .hint("write at most 1000000000 in at most a year"),
            );
            return None;
        }
        if !(1..=MAX_COUNT).contains(&burst) {
            let at = self.burst.as_ref().map_or(at, |burst| &burst.at);
            out.push(Diagnostic::error("E092", at, "a burst is 1 to 1000000000 requests"));
            return None;
        }
        if !(1..=MAX_NAME).contains(&name.len())
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        {
            out.push(
                Diagnostic::error("E093", at, format!("`{name}` cannot name a limit"))
                    .hint("use at most 100 letters, digits, `_`, `-` and `.`")
                    .at_key(),
            );
            return None;
        }
        let key = self.key.as_ref().map_or_else(|| vec![RateKey::ClientIp], |key| key.0.clone());
        let quota = Quota { count: rate.count, period: rate.period, burst };
        let (count, seconds) = in_seconds(rate);
        let header = format!("\"{name}\";q={count};w={seconds}");
        Some(RateLimitPolicy {
            name: name.to_owned(),
            key,
            quota,
            store: Store::new(quota),
            policy_header: HeaderValue::from_str(&header).ok()?,
        })
    }
}

/// The same rate over a whole number of seconds, the only period that `w` can say: `20/500ms` is
/// 40 in 1.
fn in_seconds(rate: Rate) -> (u64, u64) {
    let millis = rate.period.as_secs() * 1000 + u64::from(rate.period.subsec_millis());
    let times = (1..1000).find(|times| (millis * times).is_multiple_of(1000)).unwrap_or(1000);
    (rate.count * times, millis * times / 1000)
}

impl RateLimitPolicy {
    /// Whether the limit must stand below authentication.
    pub fn needs_identity(&self) -> bool {
        self.key.iter().any(RateKey::needs_identity)
    }

    /// The limit's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One line for `bolt explain`.
    pub fn summary(&self) -> String {
        let key: Vec<_> = self.key.iter().map(RateKey::name).collect();
        format!(
            "{}/{} +{} (key {})",
            self.quota.count,
            Span(self.quota.period),
            self.quota.burst,
            key.join(", ")
        )
    }

    /// The hash of the request's key.
    pub(super) fn key(&self, parts: &Parts) -> u64 {
        let mut key = KeyBuffer::new();
        for part in &self.key {
            part.append(parts, &mut key);
        }
        self.store.hash(key.as_bytes())
    }

    /// Asks for one request; takes it only where `take`.
    pub(super) fn decide(&self, key: u64, take: bool) -> Decision {
        self.store.decide(key, take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_the_rate_in_whole_seconds() {
        for (count, millis, expected) in [
            (100, 60_000, (100, 60)),
            (20, 500, (40, 1)),
            (1, 1_500, (2, 3)),
            (3, 1, (3_000, 1)),
            (7, 1_250, (28, 5)),
        ] {
            let rate = Rate { count, period: Duration::from_millis(millis) };
            assert_eq!(in_seconds(rate), expected, "{count}/{millis}ms");
        }
    }
}
