//! One timer for a connection's whole life, moved only when a deadline comes nearer or it rings.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;

use tokio::time::{Instant, Sleep, sleep_until};

/// A lazy timer: while it is set to ring before the deadline that counts, it is left alone, and
/// moved when it rings. A connection that is never slow touches the runtime's timers once a minute.
#[derive(Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether `deadline` is over; otherwise the task is polled again when it is, or before.
    pub fn passed(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let known = self.0.as_ref().map(|sleep| (sleep.deadline(), sleep.is_elapsed()));
        if known.is_some_and(|(rings, rang)| rings < deadline && !rang) {
            return false;
        }
        if Instant::now() >= deadline {
            // No timer is made for what is over: one that was never polled would never ring.
            return true;
        }
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_the_deadline_that_counts() {
        let mut timer = Timer::default();
        let mut cx = Context::from_waker(Waker::noop());
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        assert!(!timer.passed(after(10), &mut cx));
        assert!(!timer.passed(after(75), &mut cx));
        tokio::time::advance(Duration::from_secs(11)).await;
        // It rang at 10, which no longer counts.
        assert!(!timer.passed(after(75), &mut cx));
        // A nearer deadline moves it.
        assert!(!timer.passed(after(20), &mut cx));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(timer.passed(after(20), &mut cx));
        assert!(!timer.passed(after(75), &mut cx));
    }
    /// Counts how often a task is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_after_one_that_was_over_when_it_was_first_looked_at() {
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let mut timer = Timer::default();
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(timer.passed(begun + Duration::from_secs(10), &mut cx));
        assert!(!timer.passed(begun + Duration::from_secs(22), &mut cx));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(timer.passed(begun + Duration::from_secs(22), &mut cx));
    }
}
