//! The arithmetic: the generic cell rate algorithm (ITU-T I.371) over one number for each key, its
//! theoretical arrival time: the moment at which the key's quota is whole again.

use std::time::Duration;

/// How many, in how long, and how many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests in a period.
    pub count: u64,
    /// The period.
    pub period: Duration,
    /// Requests that may come at once.
    pub burst: u64,
}

/// A quota in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// What one request costs.
    pub interval: u64,
    /// How far ahead of the clock the arrival time may be.
    pub tolerance: u64,
}

/// What a limit says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may pass.
    pub admitted: bool,
    /// How many more could pass right after it.
    pub remaining: u64,
    /// Until the quota is whole again, or, when refused, until the next one may pass.
    pub after: Duration,
}

impl From<Quota> for Pace {
    fn from(quota: Quota) -> Self {
        let period = u64::try_from(quota.period.as_nanos()).unwrap_or(u64::MAX);
        let interval = (period / quota.count.max(1)).max(1);
        Self { interval, tolerance: interval.saturating_mul(quota.burst.max(1)) }
    }
}

impl Pace {
    /// Decides on a request that costs as much as `cost` of them, at `now`, for a key whose quota is
    /// whole at `arrival`. Where it is admitted, the second number is the new arrival time.
    pub fn decide(self, arrival: u64, now: u64, cost: u64) -> (Decision, u64) {
        let spent = arrival.max(now).saturating_add(self.interval.saturating_mul(cost));
        let horizon = now.saturating_add(self.tolerance);
        let (admitted, remaining, after) = match horizon.checked_sub(spent) {
            Some(left) => (true, left / self.interval, spent - now),
            None => {
                (false, horizon.saturating_sub(arrival.max(now)) / self.interval, spent - horizon)
            }
        };
        (Decision { admitted, remaining, after: Duration::from_nanos(after) }, spent)
    }
}

impl Decision {
    /// A refusal that holds for `nanos`.
    pub const fn refused(nanos: u64) -> Self {
        Self { admitted: false, remaining: 0, after: Duration::from_nanos(nanos) }
    }
}
