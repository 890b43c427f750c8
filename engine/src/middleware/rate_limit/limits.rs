//! All limits of one place in the chain: asked together, taken from all or from none.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::config::RateLimitPolicy;
use super::gcra::Decision;
use super::key::Scope;
use super::table::{Key, Table};
use crate::request::Parts;

/// So many limits may stand in one place.
pub const MAX_LIMITS: usize = 16;

/// The limits of one place, with where they count.
#[derive(Debug)]
pub struct Limits {
    pub(super) limits: Box<[Limit]>,
    table: Arc<Table>,
}

#[derive(Debug)]
pub(super) struct Limit {
    pub policy: Arc<RateLimitPolicy>,
    /// Has read the limit's identity already.
    hasher: SipHasher13,
    scope: Scope,
}

/// What the limits say to one request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Verdict {
    /// Of the limits that refuse, the one that holds longest: before that, no request can pass.
    pub refused: Option<(usize, Decision)>,
    /// Of those that admit, the one with the least left.
    pub tightest: Option<(usize, Decision)>,
    /// The limits that counted, one bit each; a client is told of these.
    pub counted: u16,
    /// A limit in the shadow that would have refused.
    pub shadowed: Option<usize>,
}

impl Limits {
    /// The limits `policies` of the route that `route` names, counted in `table`.
    pub fn new(policies: &[Arc<RateLimitPolicy>], table: &Arc<Table>, route: &str) -> Self {
        let route = table.hasher(route).finish128().h1;
        let limit = |policy: &Arc<RateLimitPolicy>| Limit {
            hasher: table.hasher(&policy.identity),
            scope: Scope { route, ipv6_prefix: policy.ipv6_prefix },
            policy: Arc::clone(policy),
        };
        Self { limits: policies.iter().map(limit).collect(), table: Arc::clone(table) }
    }

    /// Asks all limits for one request, and takes it from all or from none.
    pub fn decide(&self, parts: &Parts) -> Verdict {
        let mut verdict = Verdict::default();
        // One limit, the common case, is asked and taken in one step.
        let alone = self.limits.len() == 1;
        let mut keys = [None; MAX_LIMITS];
        for (at, limit) in self.limits.iter().enumerate() {
            if limit.policy.allowed.covers(parts) {
                continue;
            }
            let key = limit.key(parts);
            let take = alone || limit.policy.shadow;
            verdict.count(at, limit, limit.decide(&self.table, key, take));
            keys[at] = Some(key).filter(|_| !take);
        }
        if !alone && verdict.refused.is_none() {
            self.take(&keys, &mut verdict);
        }
        if let Some((at, _)) = verdict.refused {
            self.limits[at].policy.refused.fetch_add(1, Ordering::Relaxed);
        }
        verdict
    }

    /// Takes what was asked for; gives it back where somebody else was quicker meanwhile.
    fn take(&self, keys: &[Option<Key>; MAX_LIMITS], verdict: &mut Verdict) {
        let asked = || self.limits.iter().zip(keys).enumerate();
        for (at, (limit, key)) in asked() {
            let Some(key) = *key else { continue };
            let decision = limit.decide(&self.table, key, true);
            if decision.admitted {
                continue;
            }
            verdict.refused = Some((at, decision));
            for (_, (limit, key)) in asked().take(at) {
                let policy = &limit.policy;
                if let Some(key) = *key {
                    self.table.give_back(key, policy.pace, policy.cost);
                }
            }
            return;
        }
    }
}

impl Limit {
    fn key(&self, parts: &Parts) -> Key {
        let mut hasher = self.hasher;
        for part in &self.policy.key {
            part.hash(parts, self.scope, &mut hasher);
        }
        Key::from(&hasher)
    }

    fn decide(&self, table: &Table, key: Key, take: bool) -> Decision {
        table.decide(key, self.policy.pace, self.policy.cost, take)
    }
}

impl Verdict {
    fn count(&mut self, at: usize, limit: &Limit, decision: Decision) {
        if limit.policy.shadow {
            if !decision.admitted {
                limit.policy.shadowed.fetch_add(1, Ordering::Relaxed);
                self.shadowed = Some(at);
            }
            return;
        }
        self.counted |= 1 << at;
        if !decision.admitted {
            let longest = self.refused.filter(|(_, known)| known.after >= decision.after);
            self.refused = longest.or(Some((at, decision)));
        } else if self.tightest.is_none_or(|(_, known)| decision.remaining < known.remaining) {
            self.tightest = Some((at, decision));
        }
    }
}
