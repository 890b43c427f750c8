//! All limits of one place in the chain: asked together, taken from all or from none.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::asking::Question;
use super::config::RateLimitPolicy;
use super::gcra::Decision;
use super::key::Scope;
use super::store::far::Names;
use super::store::{Gate, OnStoreError};
use super::table::{Key, Table};
use crate::request::Parts;

/// So many limits may stand in one place.
pub const MAX_LIMITS: usize = 16;

/// The limits of one place, with where they count.
#[derive(Debug)]
pub struct Limits {
    pub(super) limits: Box<[Limit]>,
    pub(super) table: Arc<Table>,
}

#[derive(Debug)]
pub(super) struct Limit {
    pub policy: Arc<RateLimitPolicy>,
    /// Has read the limit's identity already.
    hasher: SipHasher13,
    scope: Scope,
    /// Its keys in the store, where one counts it.
    pub names: Option<Names>,
}

/// What the limits say to one request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Verdict {
    /// Of the limits that refuse, the one that holds longest: before that, no request can pass.
    pub refused: Option<(usize, Decision)>,
    /// Whether a store that has to be asked does not answer.
    pub unavailable: bool,
    /// Of those that admit, the one with the least left.
    pub tightest: Option<(usize, Decision)>,
    /// The limits that counted, one bit each; a client is told of these.
    pub counted: u16,
    /// A limit in the shadow that would have refused.
    pub shadowed: Option<usize>,
}

/// Whether there is something to say at once.
pub enum Outcome {
    /// There is.
    Said(Verdict),
    /// Stores have to be asked.
    Asks(Box<Question>),
}

/// The keys of a request that are still to be taken in the table, limit by limit.
pub(super) type Keys = [Option<Key>; MAX_LIMITS];

impl Limits {
    /// The limits `policies` of the route that `route` names, counted in `table`.
    pub fn new(policies: &[Arc<RateLimitPolicy>], table: &Arc<Table>, route: &str) -> Self {
        let hashed = table.hasher(route).finish128().h1;
        let limit = |policy: &Arc<RateLimitPolicy>| Limit {
            hasher: table.hasher(&policy.identity),
            scope: Scope { route: hashed, ipv6_prefix: policy.ipv6_prefix },
            names: policy.store().map(|store| Names::new(policy, store, route)),
            policy: Arc::clone(policy),
        };
        Self { limits: policies.iter().map(limit).collect(), table: Arc::clone(table) }
    }

    /// Asks all limits for one request, and takes it from all or from none.
    pub fn decide(&self, parts: &Parts) -> Outcome {
        let mut verdict = Verdict::default();
        let mut keys = [None; MAX_LIMITS];
        // The limits whose store is to be asked, one bit each.
        let mut afar = 0_u16;
        for (at, limit) in self.limits.iter().enumerate() {
            if limit.policy.allowed.covers(parts) {
                continue;
            }
            let key = limit.key(parts);
            if let Some(there) = &limit.policy.afar {
                // What is certain needs no store.
                if let Some(refusal) = limit.refuses(&self.table, key) {
                    verdict.count(at, limit, refusal);
                    continue;
                }
                match there.store.gate() {
                    Gate::Open => {
                        (afar, keys[at]) = (afar | 1 << at, Some(key));
                        verdict.tells_of(at, limit);
                        continue;
                    }
                    Gate::Shut if limit.denies() => {
                        verdict.lacks(at, limit);
                        continue;
                    }
                    // Counted here, by the same quota.
                    Gate::Unstarted | Gate::Shut => {}
                }
            }
            self.ask(at, limit, key, &mut keys, &mut verdict);
        }
        if verdict.refuses() || afar == 0 {
            return Outcome::Said(self.finish(&keys, verdict));
        }
        Outcome::Asks(Box::new(Question::new(self, parts, verdict, keys, afar)))
    }

    /// Asks a limit here. What is not taken at once is left in `keys`, to be taken with the others.
    pub(super) fn ask(
        &self,
        at: usize,
        limit: &Limit,
        key: Key,
        keys: &mut Keys,
        verdict: &mut Verdict,
    ) {
        // One limit, the common case, is asked and taken in one step.
        let take = self.limits.len() == 1 || limit.policy.shadow;
        verdict.count(at, limit, limit.decide(&self.table, key, take));
        keys[at] = Some(key).filter(|_| !take);
    }

    /// Takes what was asked for here, where nothing refuses.
    pub(super) fn finish(&self, keys: &Keys, mut verdict: Verdict) -> Verdict {
        if !verdict.refuses() {
            self.take(keys, &mut verdict);
        }
        if let Some((at, _)) = verdict.refused {
            self.limits[at].policy.refused.fetch_add(1, Ordering::Relaxed);
        }
        verdict
    }

    /// Takes what was asked for; gives it back where somebody else was quicker meanwhile.
    fn take(&self, keys: &Keys, verdict: &mut Verdict) {
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

    fn refuses(&self, table: &Table, key: Key) -> Option<Decision> {
        table.refuses(key, self.policy.pace, self.policy.cost)
    }

    /// Whether nobody passes while its store does not answer.
    pub fn denies(&self) -> bool {
        let denies = |afar: &super::store::far::Afar| afar.on_error == OnStoreError::Deny;
        !self.policy.shadow && self.policy.afar.as_ref().is_some_and(denies)
    }
}

impl Verdict {
    /// Whether the request may not pass.
    pub fn refuses(&self) -> bool {
        self.refused.is_some() || self.unavailable
    }

    /// The client is told of a limit, unless that is in the shadow.
    fn tells_of(&mut self, at: usize, limit: &Limit) {
        if !limit.policy.shadow {
            self.counted |= 1 << at;
        }
    }

    /// The limit's store does not answer, and nobody passes without it.
    pub(super) fn lacks(&mut self, at: usize, limit: &Limit) {
        self.tells_of(at, limit);
        self.unavailable = true;
    }

    pub(super) fn count(&mut self, at: usize, limit: &Limit, decision: Decision) {
        if limit.policy.shadow {
            if !decision.admitted {
                limit.policy.shadowed.fetch_add(1, Ordering::Relaxed);
                self.shadowed = Some(at);
            }
            return;
        }
        self.tells_of(at, limit);
        if !decision.admitted {
            let longest = self.refused.filter(|(_, known)| known.after >= decision.after);
            self.refused = longest.or(Some((at, decision)));
        } else if self.tightest.is_none_or(|(_, known)| decision.remaining < known.remaining) {
            self.tightest = Some((at, decision));
        }
    }
}
