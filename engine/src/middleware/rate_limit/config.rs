//! What may be written, and what it is compiled to.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::allow::Allowed;
use super::gcra::{Pace, Quota};
use super::key::RateKey;
use super::store::far::Afar;
use super::store::{OnStoreError, Store, StoreConfig, place};
use crate::config;
use serde_json::{Map, Value};

use crate::config::decode::{Decode, Node, OneOrMany, Spanned};
use crate::config::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::config::schema::{self, Book};
use crate::config::units::{Rate, Span};
use crate::http::HeaderValue;

config! {
    /// A rate limit.
    pub struct RateLimitConfig {
        /// How many in how long: `100/1m`.
        rate: Spanned<Rate> = required like "100/1m",
        /// How many may come at once; the rate's count where nothing is said.
        burst: Spanned<u64> = optional like 50,
        /// What is counted by.
        key: Spanned<OneOrMany<RateKey>> = optional("client_ip"),
        /// How many bits of an IPv6 address make a client: 32 to 128.
        ipv6_prefix: Spanned<u64> = optional(64),
        /// As how many requests one counts, at most the burst.
        cost: Spanned<u64> = optional(1),
        /// Whether the limit only counts and tells, and never refuses.
        shadow: Spanned<bool> = optional(false),
        /// Who is not counted: networks, and `api_key:ID`s where the limit knows who asks.
        allow: Spanned<Vec<Spanned<String>>> = optional like ["10.0.0.0/8"],
        /// Where it is counted: `local`, by all workers of this machine; `redis://[[user]:password@]host[:port][/db]`
        /// (6379, 0; `rediss` by TLS), by all machines that name it.
        store: Spanned<StoreConfig> = optional("local"),
        /// While the store does not answer: `deny` answers 503, `allow` has this machine count
        /// alone, by the same quota.
        on_store_error: Spanned<String> = optional("deny") of ["deny", "allow"],
        /// How long a request waits for the store: 1ms to 1s.
        store_timeout: Spanned<Span> = optional("50ms"),
        /// What the store's keys begin with. Machines that count together have the same.
        store_prefix: Spanned<String> = optional("pybolt"),
    }
}

config! {
    /// The limit that is defined under the same name, changed for these routes: its counts are
    /// shared.
    pub struct LimitChange {
        /// As how many requests one counts, at most the burst.
        cost: Spanned<u64> = optional like 10,
        /// Whether the limit only counts and tells, and never refuses.
        shadow: Spanned<bool> = optional like true,
        /// Who is not counted: networks, and `api_key:ID`s where the limit knows who asks.
        allow: Spanned<Vec<Spanned<String>>> = optional like ["10.0.0.0/8"],
    }
}

/// A limit as a route has it in place.
#[derive(Debug, Clone)]
pub enum LimitConfig {
    /// One of its own.
    Own(Box<RateLimitConfig>),
    /// A defined one, changed.
    Changed(LimitChange),
}

impl Decode for LimitConfig {
    const EXPECTED: &'static str = RateLimitConfig::EXPECTED;

    fn decode(node: Node<'_>, out: &mut Diagnostics) -> Option<Self> {
        let changes = |key: &String| matches!(key.as_str(), "cost" | "shadow" | "allow");
        let owns = |key: &String| {
            matches!(key.as_str(), "rate" | "burst" | "key" | "ipv6_prefix" | "on_store_error")
                || key.starts_with("store")
        };
        // A key that is neither's is told of as one that a change has not.
        let changed =
            |object: &Map<String, Value>| object.keys().any(changes) && !object.keys().any(owns);
        if node.value.as_object().is_some_and(changed) {
            return LimitChange::decode(node, out).map(Self::Changed);
        }
        RateLimitConfig::decode(node, out).map(|limit| Self::Own(Box::new(limit)))
    }

    fn schema(book: &mut Book) -> Value {
        schema::either([RateLimitConfig::schema(book), LimitChange::schema(book)])
    }
}

const MAX_COUNT: u64 = 1_000_000_000;
/// The longest name, in bytes: it goes along in every answer.
const MAX_NAME: usize = 100;
const MAX_PERIOD: Duration = Duration::from_secs(366 * 86_400);
/// The longest that a store remembers a key: its numbers are exact to a few nanoseconds so far.
const MAX_KEPT: Duration = Duration::from_secs(10 * 366 * 86_400);

/// A compiled limit, shared by all routes that have it; its counts are in the table.
#[derive(Debug)]
pub struct RateLimitPolicy {
    name: String,
    /// What tells its counts from those of other limits, the same after a reload.
    pub(super) identity: String,
    pub(super) key: Vec<RateKey>,
    pub(super) ipv6_prefix: u32,
    pub(super) cost: u64,
    pub(super) shadow: bool,
    pub(super) allowed: Allowed,
    quota: Quota,
    pub(super) pace: Pace,
    /// The store that counts it, where that is not this machine.
    pub(super) afar: Option<Afar>,
    /// `"name";q=100;w=60`.
    pub(super) policy_header: HeaderValue,
    /// What it has refused in this process.
    pub refused: AtomicU64,
    /// What it would have refused, were it not in the shadow.
    pub shadowed: AtomicU64,
}

impl RateLimitConfig {
    /// Checks and compiles the limit called `name`.
    pub fn compile(
        &self,
        name: &str,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<RateLimitPolicy> {
        let written = &self.rate;
        let rate = written.value;
        let burst = self.burst.as_ref().map_or(rate.count, |burst| burst.value);
        if rate.count > MAX_COUNT
            || rate.period > MAX_PERIOD
            || rate.period.as_nanos() < u128::from(rate.count)
        {
            out.push(
                Diagnostic::error("E090", &written.at, "this rate cannot be counted")
                    .hint("write at most 1000000000 in at most a year"),
            );
            return None;
        }
        if !(1..=MAX_COUNT).contains(&burst) {
            let at = self.burst.as_ref().map_or(at, |burst| &burst.at);
            out.push(Diagnostic::error("E092", at, "a burst is 1 to 1000000000 requests"));
            return None;
        }
        check_name(name, at, out)?;
        let key = self.key.as_ref().map_or_else(|| vec![RateKey::ClientIp], |key| key.0.clone());
        let knows_identity = key.iter().any(RateKey::needs_identity);
        let ipv6_prefix = bounded(self.ipv6_prefix.as_ref(), 32..=128, 64, "bits", out);
        let cost = bounded(self.cost.as_ref(), 1..=burst, 1, "requests, the burst", out);
        let allowed = Allowed::compile(self.allow.as_ref(), knows_identity, out);
        let quota = Quota { count: rate.count, period: rate.period, burst };
        let pace = Pace::from(quota);
        let afar = self.afar(pace, out);
        let (count, seconds) = in_seconds(rate);
        let header = format!("\"{name}\";q={count};w={seconds}");
        let ipv6_prefix = u32::try_from(ipv6_prefix?).ok()?;
        Some(RateLimitPolicy {
            name: name.to_owned(),
            identity: format!("{name} {quota:?} {key:?} /{ipv6_prefix}"),
            key,
            ipv6_prefix,
            cost: cost?,
            shadow: self.shadow.as_ref().is_some_and(|shadow| shadow.value),
            allowed: allowed?,
            quota,
            pace,
            afar: afar?,
            policy_header: HeaderValue::from_str(&header).ok()?,
            refused: AtomicU64::new(0),
            shadowed: AtomicU64::new(0),
        })
    }
}

impl RateLimitConfig {
    /// Where it is counted but here.
    fn afar(&self, pace: Pace, out: &mut Diagnostics) -> Option<Option<Afar>> {
        let (timeout, prefix) = (self.store_timeout.as_ref(), self.store_prefix.as_ref());
        let place = place::compile(self.store.as_ref(), timeout, prefix, out);
        let on_error = OnStoreError::compile(self.on_store_error.as_ref(), out);
        let (place, on_error) = (place?, on_error?);
        let kept = Duration::from_nanos(pace.tolerance);
        if let Some(place) = place.as_ref().filter(|_| kept > MAX_KEPT) {
            let message = "this burst is whole again too late for a store to remember it";
            let hint = "a store counts what is whole again in ten years; write a higher rate or a \
                        smaller burst";
            out.push(Diagnostic::error("E196", &place.at, message).hint(hint));
            return None;
        }
        Some(place.map(|place| Afar { store: Arc::new(Store::new(place)), on_error }))
    }
}

impl LimitChange {
    /// The limit that `definition` is where this block changes what one request means to it, and
    /// nothing that would make its counts others.
    #[must_use]
    pub fn over(&self, definition: &RateLimitConfig) -> RateLimitConfig {
        RateLimitConfig {
            cost: self.cost.clone().or_else(|| definition.cost.clone()),
            shadow: self.shadow.clone().or_else(|| definition.shadow.clone()),
            allow: self.allow.clone().or_else(|| definition.allow.clone()),
            ..definition.clone()
        }
    }
}

fn check_name(name: &str, at: &Location, out: &mut Diagnostics) -> Option<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits) {
        return Some(());
    }
    out.push(
        Diagnostic::error("E093", at, format!("`{name}` cannot name a limit"))
            .hint("use at most 100 letters, digits, `_`, `-` and `.`")
            .at_key(),
    );
    None
}

fn bounded(
    written: Option<&Spanned<u64>>,
    bounds: std::ops::RangeInclusive<u64>,
    default: u64,
    what: &str,
    out: &mut Diagnostics,
) -> Option<u64> {
    let Some(written) = written else { return Some(default) };
    if bounds.contains(&written.value) {
        return Some(written.value);
    }
    let message = format!("{} is out of bounds", written.value);
    let hint = format!("write {} to {} {what}", bounds.start(), bounds.end());
    out.push(Diagnostic::error("E191", &written.at, message).hint(hint));
    None
}

/// The same rate over a whole number of seconds, the only period that `w` can say: `20/500ms` is
/// 40 in 1.
fn in_seconds(rate: Rate) -> (u64, u64) {
    let millis = rate.period.as_secs() * 1000 + u64::from(rate.period.subsec_millis());
    let times = (1..1000).find(|times| (millis * times).is_multiple_of(1000)).unwrap_or(1000);
    (rate.count * times, millis * times / 1000)
}

impl RateLimitPolicy {
    /// The same limit, whose counts are told from those of others that read the same.
    #[must_use]
    pub fn told_apart(mut self, by: &str) -> Self {
        self.identity = format!("{} {by}", self.identity);
        self
    }

    /// What tells its counts from those of limits that read differently.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// How many, in how long, and how many at once.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// The store that counts it, where that is not this machine.
    pub fn store(&self) -> Option<&Arc<Store>> {
        self.afar.as_ref().map(|afar| &afar.store)
    }

    /// The same limit, counted in one of the stores that are known already where it can be.
    #[must_use]
    pub fn counted_with(mut self, known: &mut Vec<Arc<Store>>) -> Self {
        if let Some(afar) = &mut self.afar {
            match known.iter().find(|store| store.place == afar.store.place) {
                Some(store) => afar.store = Arc::clone(store),
                None => known.push(Arc::clone(&afar.store)),
            }
        }
        self
    }

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
        let cost = if self.cost == 1 { String::new() } else { format!("; costs {}", self.cost) };
        let prefix = match self.ipv6_prefix {
            64 => String::new(),
            bits => format!(", IPv6 by /{bits}"),
        };
        let store = match &self.afar {
            None => String::new(),
            Some(Afar { store, on_error }) => {
                let without = match on_error {
                    OnStoreError::Deny => "503",
                    OnStoreError::Allow => "by this machine alone",
                };
                let shown = &store.place.shown;
                format!("; counted by {shown}, asked at run time, without it {without}")
            }
        };
        format!(
            "{}/{} +{} (key {}{prefix}){cost}{}{}{store}",
            self.quota.count,
            Span(self.quota.period),
            self.quota.burst,
            key.join(", "),
            self.allowed.summary(),
            if self.shadow { "; shadow: refuses nothing" } else { "" },
        )
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
