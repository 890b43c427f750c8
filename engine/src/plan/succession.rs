//! What a plan takes over from the one before it: the table in which limits count, where one of the
//! same name, quota and key finds its counts again, the connections to the same stores, and the keys
//! that were fetched from the same place.

use std::sync::Arc;

use super::{Access, Plan};
use crate::middleware::authenticate::{Authenticator, Remote};
use crate::middleware::rate_limit::{Memory, Store};
use crate::query::Database;

impl Plan {
    /// The URLs that keys of routes come from, each once.
    pub fn remotes(&self) -> Vec<Arc<Remote>> {
        let mut found: Vec<Arc<Remote>> = Vec::new();
        for route in &self.routes {
            let Access::Authenticate(methods) = &route.access else { continue };
            for remote in methods.remotes() {
                if !found.iter().any(|one| Arc::ptr_eq(one, remote)) {
                    found.push(Arc::clone(remote));
                }
            }
        }
        found
    }

    /// The stores that limits of routes are counted in, each once.
    pub fn stores(&self) -> Vec<Arc<Store>> {
        let mut found: Vec<Arc<Store>> = Vec::new();
        for limit in self.limits() {
            if let Some(store) = limit.store()
                && !found.iter().any(|one| Arc::ptr_eq(one, store))
            {
                found.push(Arc::clone(store));
            }
        }
        found
    }
}

/// What there is to take over.
#[derive(Default)]
pub(super) struct Inheritance {
    memory: Option<Memory>,
    keys: Vec<Arc<Remote>>,
    stores: Vec<Arc<Store>>,
    pub databases: Vec<Arc<Database>>,
}

impl Inheritance {
    /// What `plan` leaves.
    pub fn of(plan: Option<&Plan>) -> Self {
        Self {
            memory: plan.map(|plan| plan.memory.clone()),
            keys: plan.map(Plan::remotes).unwrap_or_default(),
            stores: plan.map(Plan::stores).unwrap_or_default(),
            databases: plan.map(|plan| plan.databases.clone()).unwrap_or_default(),
        }
    }

    /// Where limits count: in a table of `size` bytes where there is none yet.
    pub fn memory(&self, size: u64) -> Memory {
        self.memory.clone().unwrap_or_else(|| Memory::new(size))
    }

    /// The stores that there are connections to.
    pub fn stores(&self) -> Vec<Arc<Store>> {
        self.stores.clone()
    }

    /// The method with the keys that its predecessor has fetched.
    pub fn method(&self, method: Authenticator) -> Authenticator {
        if let Some(remote) = method.remote() {
            self.keys.iter().any(|before| remote.succeed(before));
        }
        method
    }
}
