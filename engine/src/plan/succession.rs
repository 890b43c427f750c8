//! What a plan takes over from the one before it: the table in which limits count, where one of the
//! same name, quota and key finds its counts again, and the keys that were fetched from the same
//! place.

use std::sync::Arc;

use super::{Access, Plan};
use crate::middleware::authenticate::{Authenticator, Remote};
use crate::middleware::rate_limit::Memory;

/// What there is to take over.
#[derive(Default)]
pub(super) struct Inheritance {
    memory: Option<Memory>,
    keys: Vec<Arc<Remote>>,
}

impl Inheritance {
    /// What `plan` leaves.
    pub fn of(plan: Option<&Plan>) -> Self {
        let mut left = Self { memory: plan.map(|plan| plan.memory.clone()), keys: Vec::new() };
        for route in plan.into_iter().flat_map(|plan| &plan.routes) {
            if let Access::Authenticate(methods) = &route.access {
                for remote in methods.remotes() {
                    if !left.keys.iter().any(|one| Arc::ptr_eq(one, remote)) {
                        left.keys.push(Arc::clone(remote));
                    }
                }
            }
        }
        left
    }

    /// Where limits count: in a table of `size` bytes where there is none yet.
    pub fn memory(&self, size: u64) -> Memory {
        self.memory.clone().unwrap_or_else(|| Memory::new(size))
    }

    /// The method with the keys that its predecessor has fetched.
    pub fn method(&self, method: Authenticator) -> Authenticator {
        if let Some(remote) = method.remote() {
            self.keys.iter().any(|before| remote.succeed(before));
        }
        method
    }
}
