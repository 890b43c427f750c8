//! Limits of one place that are counted in stores: each store is asked once, all at the same time,
//! and what one has spent is given back where another limit refuses.

use std::sync::Arc;

use futures_util::future::join_all;

use super::gcra::Decision;
use super::limits::{Keys, Limits, Verdict};
use super::store::Store;
use super::store::script::{Answer, Ask, Way};
use super::table::Key;
use crate::request::Parts;

/// What stores have to be asked of a request.
pub struct Question {
    verdict: Verdict,
    keys: Keys,
    asked: Vec<Asked>,
}

/// What one store is asked.
struct Asked {
    store: Arc<Store>,
    /// The limits and the keys under which the table knows what is said of them.
    limits: Vec<(usize, Key)>,
    /// In the same order.
    asks: Vec<Ask>,
}

impl Question {
    /// The question for the limits in `afar`, one bit each, whose keys are in `keys`.
    pub(super) fn new(
        limits: &Limits,
        parts: &Parts,
        verdict: Verdict,
        mut keys: Keys,
        afar: u16,
    ) -> Self {
        let mut asked: Vec<Asked> = Vec::with_capacity(1);
        for (at, limit) in limits.limits.iter().enumerate() {
            let policy = &limit.policy;
            let Some(key) = keys[at].take_if(|_| afar & (1 << at) != 0) else { continue };
            let (Some(names), Some(store)) = (&limit.names, policy.store()) else { continue };
            let name = names.of(parts, policy);
            let ask =
                Ask { key: name, pace: policy.pace, cost: policy.cost, shadow: policy.shadow };
            match asked.iter_mut().find(|one| Arc::ptr_eq(&one.store, store)) {
                Some(one) => {
                    one.limits.push((at, key));
                    one.asks.push(ask);
                }
                None => asked.push(Asked {
                    store: Arc::clone(store),
                    limits: vec![(at, key)],
                    asks: vec![ask],
                }),
            }
        }
        Self { verdict, keys, asked }
    }
}

impl Limits {
    /// Asks the stores, and takes the request from all limits or from none.
    pub async fn answer(&self, question: Question) -> Verdict {
        let Question { mut verdict, mut keys, asked } = question;
        let sent = self.table.now();
        let answers = asked.iter().map(|one| one.store.ask(&one.asks, Way::Spend));
        let answers = join_all(answers).await;
        let mut spent = Vec::with_capacity(asked.len());
        for (one, answer) in asked.into_iter().zip(answers) {
            // In the order of the limits, whichever came first: the client is told of the first
            // store that refuses, and what holds without the others is not asked.
            let mut unsaid = verdict;
            match answer {
                Ok(answer) => {
                    let said = if verdict.refuses() { &mut unsaid } else { &mut verdict };
                    self.heard(&one, &answer, sent, said);
                    if answer.admitted {
                        spent.push(one);
                    }
                }
                Err(_) if verdict.refuses() => {}
                Err(_) => self.unheard(&one, &mut keys, &mut verdict),
            }
        }
        let verdict = self.finish(&keys, verdict);
        if verdict.refuses() {
            for one in spent {
                one.give_back(self);
            }
        }
        verdict
    }

    /// Takes note of what a store says.
    fn heard(&self, one: &Asked, answer: &Answer, sent: u64, verdict: &mut Verdict) {
        for (((at, key), ask), owed) in one.limits.iter().zip(&one.asks).zip(&answer.owed) {
            let (decision, after) = Decision::on(*owed, ask.pace, ask.cost);
            let is_spent = decision.admitted && (answer.admitted || ask.shadow);
            self.table.keep(*key, sent, if is_spent { after } else { *owed });
            verdict.count(*at, &self.limits[*at], decision);
        }
    }

    /// Decides without the store: nobody passes, or this machine counts alone.
    fn unheard(&self, one: &Asked, keys: &mut Keys, verdict: &mut Verdict) {
        for (at, key) in &one.limits {
            let limit = &self.limits[*at];
            if limit.denies() {
                verdict.lacks(*at, limit);
            } else {
                self.ask(*at, limit, *key, keys, verdict);
            }
        }
    }
}

impl Asked {
    /// Gives back what a store has spent; where that is lost, the key is whole a little later.
    fn give_back(self, limits: &Limits) {
        let mut asks = Vec::with_capacity(self.asks.len());
        for ((at, key), ask) in self.limits.into_iter().zip(self.asks) {
            // One in the shadow counts whatever the others say.
            if !limits.limits[at].policy.shadow {
                limits.table.give_back(key, ask.pace, ask.cost);
                asks.push(ask);
            }
        }
        if !asks.is_empty() {
            tokio::spawn(async move { self.store.ask(&asks, Way::GiveBack).await.map(drop) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use serde_json::json;
    use tokio::time::{Instant, pause};

    use super::*;
    use crate::body::Body;
    use crate::http::{HeaderMap, Method};
    use crate::middleware::rate_limit::limits::Outcome;
    use crate::middleware::rate_limit::{MIN_SIZE, Table};
    use crate::plan::Plan;
    use crate::request::Request;

    #[test]
    fn several_stores_are_waited_for_together() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // They take connections and never say anything.
            let silent: Vec<_> =
                (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
            let limit = |(at, listener): (usize, &TcpListener)| {
                let store = format!("redis://{}", listener.local_addr().unwrap());
                let on_error = if at == 1 { "deny" } else { "allow" };
                let limit = json!({"rate": "1/1h", "store": store, "store_timeout": "400ms",
                    "on_store_error": on_error});
                (format!("l{at}"), limit)
            };
            let limits: serde_json::Map<_, _> = silent.iter().enumerate().map(limit).collect();
            let route =
                json!({"path": "/", "handler": "m:f", "auth": "public", "rate_limit": limits});
            let documents = [json!({"source": "test", "config": {"routes": [route]}})];
            let (plan, found) = Plan::compile(&json!({"documents": documents}).to_string());
            let plan = plan.unwrap_or_else(|| panic!("{found:?}"));
            let table = Arc::new(Table::anonymous(MIN_SIZE).unwrap());
            for policy in plan.limits() {
                policy.store().unwrap().start(&table);
            }
            let limits = Limits::new(&plan.limits(), &table, "/");
            let request =
                Request::new(Method::GET, "/".parse().unwrap(), HeaderMap::new(), Body::Empty);
            let Outcome::Asks(question) = limits.decide(&request) else { panic!("it is decided") };
            pause();
            let begun = Instant::now();
            let verdict = limits.answer(*question).await;
            assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
            assert!(verdict.unavailable && verdict.refused.is_none());
        });
    }
}
