//! Where a route runs, by measurement. No Python in here.
//!
//! A route starts queued. Some tens of quick runs in a row promote it: from then on it runs on the
//! I/O thread whenever the slot is free, else on the quick lane (sync) or first in the loop's queue
//! (async). One run that was slow, that suspended or that touched the database takes it back.
//! A coroutine that waits for sync code of its own first, as the ORM's is, starts on a lane the next
//! times, and has that code run there: see `hosted.rs` of the bindings.
//! Slow sync routes are told apart by their CPU time: those that wait get the pool, those that
//! compute share one thread, because more of them would only fight for the GIL. Those that compute
//! for a moment only, as a query of SQLite does, which waits for no server, share another one.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

mod hosting;

use hosting::Hosting;

/// A run up to this long is quick.
pub const QUICK: Duration = Duration::from_micros(200);

/// So many quick runs in a row promote a route.
pub const PROMOTE_AFTER: u32 = 32;

/// On the quick lane other threads' Python is part of the wall time; only this much is damning.
const QUICK_LANE_WALL: Duration = Duration::from_millis(50);

/// Computing for no longer than this is brief.
const BRIEF: Duration = Duration::from_millis(2);

/// What a run of a route that computes counts for which waited all the same, against each that did
/// not, and how much is a route that waits: a thread waits for a core now and then, too.
const A_WAIT: u32 = 8;
const WAITING: u32 = 24;

/// For a core nobody waits longer.
const FOR_A_CORE: Duration = Duration::from_millis(20);

/// So many runs a route that was found waiting stays on the pool before it is judged again, and one
/// whose coroutine waits for other things as well stays on the loop.
const WAITS_FOR_SURE: u32 = 1_000;

/// What the configuration says: `python: {run: ...}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunMode {
    /// By measurement.
    Auto,
    /// On the I/O thread whenever the slot is free.
    Inline,
    /// Never on the I/O thread.
    Queue,
    /// Always on the pool (sync handlers).
    Thread,
}

/// What is known of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Pace {
    /// Not enough runs yet, or not all of them quick.
    Unknown = 0,
    /// Quick: may run inline.
    Quick = 1,
    /// Slow, and mostly waiting.
    Waits = 2,
    /// Slow, and mostly computing.
    Computes = 3,
    /// As that, and soon done.
    Brief = 4,
}

/// Why a route is not inline, for `stats` and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Measuring still.
    Measuring = 0,
    /// All runs were quick.
    AllQuick = 1,
    /// A run was slow.
    Slow = 2,
    /// A run suspended.
    Suspended = 3,
    /// A run touched the database.
    Database = 4,
    /// The configuration says so.
    Configured = 5,
}

impl Reason {
    /// The word that statistics show.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measuring => "measuring",
            Self::AllQuick => "all_quick",
            Self::Slow => "slow",
            Self::Suspended => "suspended",
            Self::Database => "database",
            Self::Configured => "configured",
        }
    }
}

/// Where a request of a route goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The loop's queue; `quick` ones go first.
    Loop {
        /// Known to finish quickly without suspending.
        quick: bool,
    },
    /// The quick lane.
    Quick,
    /// The one thread for handlers that compute.
    Compute,
    /// The one thread for those that are soon done.
    Brief,
    /// The pool.
    Pool,
}

impl Lane {
    /// The name that statistics show.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loop { .. } => "loop",
            Self::Quick => "quick",
            Self::Compute => "compute",
            Self::Brief => "brief",
            Self::Pool => "pool",
        }
    }
}

/// What a run did with databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Touch {
    /// Nothing.
    #[default]
    None,
    /// It queried one that is in the process itself: SQLite.
    Local,
    /// It queried one that is waited for.
    Remote,
}

/// What one run was like.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// From the call to the result (async: of the first step).
    pub wall: Duration,
    /// CPU time of the thread meanwhile, where it was measured.
    pub cpu: Option<Duration>,
    /// Whether nothing else ran Python meanwhile, as far as is known.
    pub alone: bool,
    /// Whether a coroutine suspended.
    pub suspended: bool,
    /// Whether sync code of it was called before.
    pub called_sync: bool,
    /// Which queries were executed.
    pub database: Touch,
}

/// The placement of one route; all threads share it.
#[derive(Debug)]
pub struct Placement {
    mode: RunMode,
    is_async: bool,
    pace: AtomicU8,
    reason: AtomicU8,
    streak: AtomicU32,
    sure: AtomicU32,
    waits: AtomicU32,
    hosting: Hosting,
    /// The most that any run did with databases.
    touched: AtomicU8,
    /// Runs so far, over reloads.
    pub runs: AtomicU64,
    /// Runs on the I/O thread so far.
    pub inline_runs: AtomicU64,
}

impl Placement {
    /// The placement of a route before its first run.
    pub fn new(mode: RunMode, is_async: bool) -> Self {
        let configured = !matches!(mode, RunMode::Auto);
        let reason = if configured { Reason::Configured } else { Reason::Measuring };
        Self {
            mode,
            is_async,
            pace: AtomicU8::new(Pace::Unknown as u8),
            reason: AtomicU8::new(reason as u8),
            streak: AtomicU32::new(0),
            sure: AtomicU32::new(0),
            waits: AtomicU32::new(0),
            hosting: Hosting::default(),
            touched: AtomicU8::new(Touch::None as u8),
            runs: AtomicU64::new(0),
            inline_runs: AtomicU64::new(0),
        }
    }

    /// Whether it is the placement of such a route.
    pub fn is_for(&self, mode: RunMode, is_async: bool) -> bool {
        self.mode == mode && self.is_async == is_async
    }

    /// Whether the route may run on the I/O thread when the slot is free.
    pub fn may_inline(&self) -> bool {
        match self.mode {
            RunMode::Inline => true,
            RunMode::Auto => self.pace() == Pace::Quick && !self.is_hosted(),
            RunMode::Queue | RunMode::Thread => false,
        }
    }

    /// Where the route runs when not on the I/O thread.
    pub fn lane(&self) -> Lane {
        let pace = self.pace();
        match (self.is_async, self.mode, pace) {
            (true, _, Pace::Brief) if self.is_hosted() => Lane::Brief,
            (true, _, _) if self.is_hosted() => Lane::Pool,
            (true, _, pace) => Lane::Loop { quick: pace == Pace::Quick },
            (false, RunMode::Thread, _) => Lane::Pool,
            (false, RunMode::Inline, _) | (false, _, Pace::Quick) => Lane::Quick,
            (false, _, Pace::Computes) => Lane::Compute,
            (false, _, Pace::Brief) => Lane::Brief,
            (false, _, Pace::Unknown | Pace::Waits) => Lane::Pool,
        }
    }

    /// Whether the route's coroutines start on a lane.
    pub fn is_hosted(&self) -> bool {
        self.hosting.is_on()
    }

    /// Whether a coroutine that waits on a lane may start there; its end has to be told.
    pub fn begin_hosting(&self) -> bool {
        self.hosting.begin()
    }

    /// The first step of one that started on a lane is over. `in_use`: its thread has to stay with
    /// the request.
    pub fn end_hosting(&self, in_use: bool) {
        self.hosting.end(in_use);
    }

    /// What is known.
    pub fn pace(&self) -> Pace {
        match self.pace.load(Relaxed) {
            1 => Pace::Quick,
            2 => Pace::Waits,
            3 => Pace::Computes,
            4 => Pace::Brief,
            _ => Pace::Unknown,
        }
    }

    /// Why the route runs where it runs.
    pub fn reason(&self) -> Reason {
        match self.reason.load(Relaxed) {
            1 => Reason::AllQuick,
            2 => Reason::Slow,
            3 => Reason::Suspended,
            4 => Reason::Database,
            5 => Reason::Configured,
            _ => Reason::Measuring,
        }
    }

    /// Learns from a run.
    pub fn record(&self, run: &Run) {
        self.runs.fetch_add(1, Relaxed);
        if matches!(self.mode, RunMode::Inline | RunMode::Thread) {
            return;
        }
        self.touched.fetch_max(run.database as u8, Relaxed);
        if self.is_async && self.mode == RunMode::Auto {
            self.hosting.judge(run);
        }
        let was_quick = self.pace() == Pace::Quick;
        if let Some(reason) = self.objection(run, was_quick) {
            self.streak.store(0, Relaxed);
            self.reason.store(reason as u8, Relaxed);
            self.set(self.slow_pace(run, reason));
        } else if !was_quick && run.wall <= QUICK {
            let streak = self.streak.fetch_add(1, Relaxed) + 1;
            if streak >= PROMOTE_AFTER {
                self.reason.store(Reason::AllQuick as u8, Relaxed);
                self.set(Pace::Quick);
            }
        }
    }

    /// What speaks against running the route inline, if anything.
    fn objection(&self, run: &Run, was_quick: bool) -> Option<Reason> {
        if self.touched.load(Relaxed) > Touch::None as u8 {
            return Some(Reason::Database);
        }
        if run.suspended {
            return Some(Reason::Suspended);
        }
        // On a lane beside other Python, waiting for the GIL is part of the wall time.
        let slow = if was_quick && !run.alone {
            run.cpu.is_some_and(|cpu| cpu > QUICK) || run.wall > QUICK_LANE_WALL
        } else {
            run.wall > QUICK
        };
        slow.then_some(Reason::Slow)
    }

    fn slow_pace(&self, run: &Run, reason: Reason) -> Pace {
        let Some(cpu) = run.cpu else { return Pace::Unknown };
        if self.sure.load(Relaxed) > 0 {
            self.sure.fetch_sub(1, Relaxed);
            return Pace::Waits;
        }
        let pace = self.pace();
        let was_computing = matches!(pace, Pace::Computes | Pace::Brief);
        let waits = was_computing && self.waits_after(run, cpu);
        let is_remote = self.touched.load(Relaxed) == Touch::Remote as u8;
        if waits || was_computing && is_remote {
            self.waits.store(0, Relaxed);
            self.sure.store(WAITS_FOR_SURE, Relaxed);
            return Pace::Waits;
        }
        // Beside others, a thread that computes gets only its share of the GIL.
        let share = if run.alone { 2 } else { 8 };
        let is_slow = cpu > QUICK || reason == Reason::Database;
        let computes = was_computing || is_slow && cpu * share > run.wall;
        match reason {
            Reason::Database if computes && !is_remote && cpu <= BRIEF => Pace::Brief,
            Reason::Slow if pace == Pace::Computes || computes && cpu > BRIEF => Pace::Computes,
            Reason::Slow if computes => Pace::Brief,
            _ => Pace::Waits,
        }
    }

    /// Whether a route that computes waits, after this run.
    fn waits_after(&self, run: &Run, cpu: Duration) -> bool {
        let waits = self.waits.load(Relaxed);
        let waits = if !run.alone || cpu * 3 >= run.wall {
            waits.saturating_sub(1)
        } else if run.wall > cpu + FOR_A_CORE {
            WAITING
        } else {
            waits + A_WAIT
        };
        self.waits.store(waits, Relaxed);
        waits >= WAITING
    }

    fn set(&self, pace: Pace) {
        self.pace.store(pace as u8, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const QUICK_RUN: Run = Run {
        wall: Duration::from_micros(20),
        cpu: Some(Duration::from_micros(20)),
        alone: true,
        suspended: false,
        called_sync: false,
        database: Touch::None,
    };

    fn promoted(is_async: bool) -> Placement {
        let placement = Placement::new(RunMode::Auto, is_async);
        for _ in 0..PROMOTE_AFTER {
            assert!(!placement.may_inline());
            placement.record(&QUICK_RUN);
        }
        placement
    }

    #[test]
    fn a_route_starts_queued_and_is_promoted_after_quick_runs() {
        assert!(promoted(false).may_inline());
        assert_eq!(promoted(false).lane(), Lane::Quick);
        assert_eq!(promoted(true).lane(), Lane::Loop { quick: true });
    }

    #[test]
    fn one_slow_run_demotes_and_tells_computing_from_waiting() {
        let five = Duration::from_millis(5);
        let computes = promoted(false);
        computes.record(&Run { wall: five, cpu: Some(five), ..QUICK_RUN });
        assert!(!computes.may_inline());
        assert_eq!(computes.lane(), Lane::Compute);
        let waits = promoted(false);
        waits.record(&Run { wall: five, cpu: Some(Duration::from_micros(50)), ..QUICK_RUN });
        assert_eq!(waits.lane(), Lane::Pool);
    }

    #[test]
    fn waiting_found_on_the_compute_lane_goes_back_to_the_pool() {
        let route = Placement::new(RunMode::Auto, false);
        let five = Duration::from_millis(5);
        route.record(&Run { wall: five, cpu: Some(five), ..QUICK_RUN });
        assert_eq!(route.lane(), Lane::Compute);
        let waits = Run { wall: five, cpu: Some(five / 10), ..QUICK_RUN };
        route.record(&waits);
        route.record(&waits);
        assert_eq!(route.lane(), Lane::Compute, "it may have waited for a core");
        route.record(&waits);
        assert_eq!(route.lane(), Lane::Pool);
        route.record(&Run { wall: five, cpu: Some(five), ..QUICK_RUN });
        assert_eq!(route.lane(), Lane::Pool, "it stays for a while");
    }

    #[test]
    fn suspending_or_touching_the_database_keeps_a_route_off_the_io_thread() {
        let suspends = promoted(true);
        suspends.record(&Run { suspended: true, ..QUICK_RUN });
        assert!(!suspends.may_inline());
        let queries = promoted(false);
        queries.record(&Run { database: Touch::Remote, ..QUICK_RUN });
        for _ in 0..1000 {
            queries.record(&QUICK_RUN);
        }
        assert!(!queries.may_inline());
        assert_eq!(queries.reason(), Reason::Database);
    }

    #[test]
    fn what_computes_for_a_moment_has_a_lane_of_its_own() {
        let one = Duration::from_millis(1);
        let query = Run { wall: one, cpu: Some(one), database: Touch::Local, ..QUICK_RUN };
        let lane_after = |runs: &[Run]| {
            let route = promoted(false);
            for run in runs {
                route.record(run);
            }
            route.lane()
        };
        assert_eq!(lane_after(&[Run { database: Touch::None, ..query }]), Lane::Brief);
        assert_eq!(lane_after(&[query]), Lane::Brief);
        // Beside others, and quicker than it was.
        let beside = Run { wall: one * 6, alone: false, ..query };
        let quick = Run { database: Touch::Local, ..QUICK_RUN };
        assert_eq!(lane_after(&[beside, quick]), Lane::Brief);
        assert_eq!(lane_after(&[quick]), Lane::Brief);
        // It waited for a lock, took long, or asked a server.
        let waited = Run { wall: one * 4, ..query };
        assert_eq!(lane_after(&[query, waited, query]), Lane::Brief);
        assert_eq!(lane_after(&[query, waited, waited, query, waited, query]), Lane::Brief);
        assert_eq!(lane_after(&[query, waited, waited, waited, query]), Lane::Pool);
        assert_eq!(lane_after(&[waited]), Lane::Pool);
        assert_eq!(lane_after(&[query, Run { wall: one * 30, ..query }]), Lane::Pool);
        let long = Run { wall: one * 5, cpu: Some(one * 5), ..query };
        assert_eq!(lane_after(&[query, long]), Lane::Pool);
        assert_eq!(lane_after(&[query, long, query]), Lane::Brief);
        let remote = Run { database: Touch::Remote, ..query };
        assert_eq!(lane_after(&[remote]), Lane::Pool);
        assert_eq!(lane_after(&[query, remote, query]), Lane::Pool);
        // One that computes for long stays where it is.
        let spin = Run { database: Touch::None, ..long };
        assert_eq!(lane_after(&[spin, Run { database: Touch::None, ..query }]), Lane::Compute);
    }

    #[test]
    fn a_quick_route_beside_a_storm_is_not_blamed_for_waiting() {
        let route = promoted(false);
        route.record(&Run { wall: Duration::from_millis(4), alone: false, ..QUICK_RUN });
        assert!(route.may_inline());
    }

    #[test]
    fn the_configuration_overrides_the_measurement() {
        assert!(Placement::new(RunMode::Inline, false).may_inline());
        let queue = Placement::new(RunMode::Queue, false);
        queue.record(&Run {
            wall: Duration::from_millis(5),
            cpu: Some(Duration::from_millis(5)),
            ..QUICK_RUN
        });
        assert_eq!((queue.may_inline(), queue.lane()), (false, Lane::Compute));
        let thread = Placement::new(RunMode::Thread, false);
        thread.record(&QUICK_RUN);
        assert_eq!(thread.lane(), Lane::Pool);
    }
}
