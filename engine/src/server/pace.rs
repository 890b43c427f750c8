//! How fast a body comes, counted only while it is waited for: a handler that reads slowly, or not
//! at all, is not its client's fault.
//!
//! A body has credit: time that may be spent waiting for it. It begins with [`GRACE`], every byte
//! adds what it may take at the minimum rate, and nobody saves up more than `body_idle`.

use std::time::Duration;

use tokio::time::Instant;

use super::limits::LimitsPolicy;

/// How long may be waited for a body of which nothing came.
const GRACE: Duration = Duration::from_secs(5);

/// The pace of one body.
#[derive(Debug)]
pub struct Pace {
    /// Since when nothing has come that is waited for.
    waiting: Option<Instant>,
    credit: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { waiting: None, credit: GRACE }
    }
}

impl Pace {
    /// So many bytes came; whether they came too late.
    pub fn came(&mut self, bytes: usize, limits: &LimitsPolicy) -> bool {
        let Some(since) = self.waiting.take() else { return false };
        let late = self.over(since, limits);
        #[allow(clippy::cast_precision_loss)] // no body comes in reads of petabytes
        let earned = (bytes as f64 / limits.body_min_rate).min(GRACE.as_secs_f64() * 1e4);
        let left = self.credit.saturating_sub(since.elapsed());
        self.credit = (left + Duration::from_secs_f64(earned)).min(limits.body_idle.max(GRACE));
        late
    }

    /// Nothing is there: until when something has to come.
    pub fn wait(&mut self, limits: &LimitsPolicy) -> Instant {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        since + self.credit.min(limits.body_idle)
    }

    /// Whether what is waited for comes too late.
    pub fn is_over(&self, limits: &LimitsPolicy) -> bool {
        self.waiting.is_some_and(|since| self.over(since, limits))
    }

    fn over(&self, since: Instant, limits: &LimitsPolicy) -> bool {
        since.elapsed() >= self.credit.min(limits.body_idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_pauses_is_not_its_clients_fault() {
        let limits = LimitsPolicy::default();
        let mut pace = Pace::default();
        assert!(!pace.came(10, &limits));
        pass(3600).await;
        assert!(!pace.came(10, &limits) && !pace.is_over(&limits));
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_a_second_is_too_slow_after_the_grace() {
        let limits = LimitsPolicy::default();
        let mut pace = Pace::default();
        let mut seconds = 0;
        loop {
            pace.wait(&limits);
            pass(1).await;
            seconds += 1;
            if pace.came(1, &limits) {
                break;
            }
        }
        assert!((5..=6).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_fast_may_pause_for_the_idle_time() {
        let limits = LimitsPolicy::default();
        let mut pace = Pace::default();
        pace.wait(&limits);
        pass(1).await;
        assert!(!pace.came(1 << 20, &limits));
        let begun = Instant::now();
        assert_eq!(pace.wait(&limits), begun + limits.body_idle);
        pass(29).await;
        assert!(!pace.is_over(&limits));
        pass(1).await;
        assert!(pace.is_over(&limits));
    }
}
