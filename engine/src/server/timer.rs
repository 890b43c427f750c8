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
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        let fresh = sleep.deadline() == deadline;
        if !fresh && sleep.deadline() < deadline && !sleep.is_elapsed() {
            return false;
        }
        if Instant::now() >= deadline {
            return true;
        }
        if !fresh {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
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
}
