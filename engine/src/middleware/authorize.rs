//! Authorize: may they. The only maker of [`Permitted`], and so the only door to a handler.

use std::ops::{Deref, DerefMut};

/// Proof that a request passed its route's authorization.
pub struct Permitted<T>(T);

impl<T> Permitted<T> {
    /// The request itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Permitted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Permitted<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
