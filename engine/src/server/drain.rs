//! The orderly end of a worker, shared by its accept loops and connections.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::LINGER;

/// A handle on one worker's end; clones speak of the same worker.
#[derive(Clone)]
pub struct Drain(Rc<State>);

struct State {
    deadline: Cell<Option<Instant>>,
    lingered: Cell<bool>,
    open: Cell<usize>,
    /// The most that were open since somebody asked.
    most: Cell<usize>,
    /// The end came nearer: the accept loops and every connection wait for this.
    changed: Notify,
    /// A connection was closed: only [`Drain::finished`] waits for this.
    closed: Notify,
}

/// One open connection, until it is dropped.
pub struct OpenConnection(Drain);

impl Default for Drain {
    fn default() -> Self {
        Self(Rc::new(State {
            deadline: Cell::new(None),
            lingered: Cell::new(false),
            open: Cell::new(0),
            most: Cell::new(0),
            changed: Notify::new(),
            closed: Notify::new(),
        }))
    }
}

impl Drain {
    /// Begins the end: from now on answers close their connections, and after `timeout` the
    /// worker ends whatever is still running. A second call can only bring the end nearer.
    pub fn begin(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let first = self.0.deadline.get().is_none();
        if self.0.deadline.get().is_none_or(|known| deadline < known) {
            self.0.deadline.set(Some(deadline));
        }
        if first {
            let drain = self.clone();
            actix_rt::spawn(async move {
                tokio::time::sleep(LINGER.min(timeout)).await;
                drain.0.lingered.set(true);
                drain.0.changed.notify_waiters();
            });
        }
        self.0.changed.notify_waiters();
    }

    /// Whether the end has begun.
    pub fn is_draining(&self) -> bool {
        self.0.deadline.get().is_some()
    }

    /// Waits until it has begun.
    pub async fn begun(&self) {
        until(&self.0.changed, || self.is_draining()).await;
    }

    /// Waits until idle connections may be closed.
    pub async fn lingered(&self) {
        until(&self.0.changed, || self.0.lingered.get()).await;
    }

    /// Waits until the last connection is closed or the deadline is over.
    pub async fn finished(&self) {
        self.begun().await;
        let last_closed = async {
            self.lingered().await;
            until(&self.0.closed, || self.0.open.get() == 0).await;
        };
        tokio::select! {
            () = last_closed => {}
            () = self.overdue() => {}
        }
    }

    /// Waits until the deadline, which may come nearer meanwhile.
    async fn overdue(&self) {
        while let Some(deadline) = self.0.deadline.get() {
            tokio::select! {
                () = sleep_until(deadline) => return,
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// Counts a connection until the guard is dropped.
    pub fn open(&self) -> OpenConnection {
        self.0.open.set(self.0.open.get() + 1);
        self.0.most.set(self.0.most.get().max(self.0.open.get()));
        OpenConnection(self.clone())
    }

    /// How many connections were open at most since this was last asked.
    pub fn take_most(&self) -> usize {
        self.0.most.replace(self.0.open.get())
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.0.open.get()
    }
}

/// Waits until `holds`, which can change only with a notification of `notify`.
async fn until(notify: &Notify, holds: impl Fn() -> bool) {
    loop {
        let notified = notify.notified();
        tokio::pin!(notified);
        // Registered before the check, so that no change between them is missed.
        notified.as_mut().enable();
        if holds() {
            return;
        }
        notified.await;
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.open.set(self.0.0.open.get() - 1);
        self.0.0.closed.notify_waiters();
    }
}
