//! Which coroutines start on a lane: those that wait for sync code of their own first, and for nothing
//! else before it is done. No Python in here.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};

use super::{A_WAIT, Run, WAITING, WAITS_FOR_SURE};

/// So many first steps in a row that waited for sync code of their own have a coroutine start on a
/// lane.
pub(super) const HOST_AFTER: i32 = 8;

/// So many coroutines of a route start on lanes one at a time before many do at once.
const TRIAL: u32 = 32;

/// What speaks for starting a route's coroutines on a lane.
#[derive(Debug, Default)]
pub struct Hosting {
    score: AtomicI32,
    /// What speaks against it, where it is done.
    left: AtomicU32,
    /// How many have been started on lanes and gone again, and how many are there.
    hosted: AtomicU32,
    guests: AtomicU32,
}

impl Hosting {
    /// Whether it is done.
    pub fn is_on(&self) -> bool {
        self.score.load(Relaxed) >= HOST_AFTER
    }

    /// Whether a coroutine that waits on a lane may start there; its end has to be told.
    pub fn begin(&self) -> bool {
        if !self.is_on() {
            return false;
        }
        let guests = self.guests.fetch_add(1, Relaxed);
        let may = guests == 0 || self.hosted.load(Relaxed) >= TRIAL;
        if !may {
            self.guests.fetch_sub(1, Relaxed);
        }
        may
    }

    /// The first step of one that started on a lane is over. `in_use`: its thread has to stay with
    /// the request, which no lane can afford: the route's coroutines are the loop's for good.
    pub fn end(&self, in_use: bool) {
        self.guests.fetch_sub(1, Relaxed);
        self.hosted.fetch_add(1, Relaxed);
        if in_use {
            self.score.store(i32::MIN, Relaxed);
        }
    }

    /// A coroutine that was started on a lane and waited for something else has gained nothing, and
    /// one that called no sync code belongs elsewhere if it is the rule.
    pub fn judge(&self, run: &Run) {
        let score = self.score.load(Relaxed);
        let score = if score >= HOST_AFTER {
            if run.cpu.is_none() {
                // It was queued for the loop before.
                return;
            }
            let left = self.left.load(Relaxed);
            let left = match (run.suspended, run.called_sync) {
                (true, _) => left + A_WAIT,
                (false, true) => left.saturating_sub(1),
                (false, false) => left + 1,
            };
            let too_many = left >= WAITING;
            self.left.store(if too_many { 0 } else { left }, Relaxed);
            if too_many { -WAITS_FOR_SURE.cast_signed() } else { score }
        } else if run.suspended && run.called_sync {
            // One that a thread had to stay with never gets there.
            if score == i32::MIN { score } else { score + 1 }
        } else {
            score.min(0)
        };
        self.score.store(score, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::QUICK_RUN;
    use super::super::{Lane, Placement, RunMode, Touch};
    use super::*;

    #[test]
    fn a_coroutine_that_waits_for_sync_code_first_starts_on_a_lane() {
        let one = Duration::from_millis(1);
        let on_loop = Run { cpu: None, suspended: true, called_sync: true, ..QUICK_RUN };
        let elsewhere = Run { called_sync: false, ..on_loop };
        let quick = Run { called_sync: true, ..QUICK_RUN };
        let hosted = Run { wall: one, cpu: Some(one), database: Touch::Local, ..quick };
        let left = Run { suspended: true, called_sync: true, ..hosted };
        let lane_after = |runs: &[(Run, i32)]| {
            let route = Placement::new(RunMode::Auto, true);
            for (run, count) in runs {
                (0..*count).for_each(|_| route.record(run));
            }
            assert!(!route.is_hosted() || !route.may_inline());
            route.lane()
        };
        let on_the_loop = Lane::Loop { quick: false };
        let enough = (on_loop, HOST_AFTER);
        assert_eq!(lane_after(&[enough]), Lane::Pool);
        assert_eq!(lane_after(&[(on_loop, HOST_AFTER - 1)]), on_the_loop);
        assert_eq!(lane_after(&[(elsewhere, 99)]), on_the_loop);
        assert_eq!(lane_after(&[(on_loop, 7), (elsewhere, 1), (on_loop, 7)]), on_the_loop);
        assert_eq!(lane_after(&[enough, (hosted, 1)]), Lane::Brief);
        let remote = Run { database: Touch::Remote, ..hosted };
        assert_eq!(lane_after(&[enough, (remote, 1)]), Lane::Pool);
        assert_eq!(lane_after(&[enough, (quick, 99)]), Lane::Pool);
        // It calls no sync code any more.
        assert_eq!(lane_after(&[enough, (QUICK_RUN, 99)]), Lane::Loop { quick: true });
        assert_eq!(lane_after(&[enough, (on_loop, 99)]), Lane::Pool);
        // It waits for other things, too.
        assert_eq!(lane_after(&[enough, (hosted, 9), (left, 2)]), Lane::Brief);
        assert_eq!(lane_after(&[enough, (left, 3)]), on_the_loop);
        assert_eq!(lane_after(&[enough, (left, 3), (on_loop, 999)]), on_the_loop);
        assert_eq!(lane_after(&[enough, (left, 3), (on_loop, 1008)]), Lane::Pool);
    }

    #[test]
    fn a_lane_is_lent_one_at_a_time_at_first_and_never_for_long() {
        let on_loop = Run { cpu: None, suspended: true, called_sync: true, ..QUICK_RUN };
        let warm = |mode| {
            let route = Placement::new(mode, true);
            (0..HOST_AFTER).for_each(|_| route.record(&on_loop));
            route
        };
        assert!(!warm(RunMode::Queue).is_hosted());
        let route = warm(RunMode::Auto);
        for _ in 0..TRIAL {
            assert!(route.begin_hosting() && !route.begin_hosting());
            route.end_hosting(false);
        }
        assert!(route.begin_hosting() && route.begin_hosting());
        route.end_hosting(true);
        assert!(!route.begin_hosting());
        (0..5000).for_each(|_| route.record(&on_loop));
        assert!(!route.is_hosted());
    }
}
