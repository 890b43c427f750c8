//! The lane threads: the quick lane, one thread for handlers that compute, one for those of them that
//! are soon done, and the pool for those that wait, which also logs files that cannot be sent. Quick
//! and slow never share a queue.
//! Each thread keeps its thread state alive and takes the GIL once a batch.
//!
//! Of a lane's threads one at a time waits for the GIL: each that does has whoever holds it offer it
//! every few moments, and a switch costs more than it gains unless somebody has to wait for
//! something else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::bridge::{Bridge, LANE_CAPACITY, MAX_WAIT};
use crate::counters::Place;
use crate::hosted::{self, Hosted};
use crate::job::{FileFailure, Job};
use crate::run;
use pybolt_engine::placement::Run;

/// So many jobs run in one take of the GIL: quick ones, and slow ones where there are many.
const QUICK_BATCH: usize = 64;
const BATCH: usize = 16;

/// A run of the brief lane that takes longer waits for something.
const STUCK: Duration = Duration::from_millis(10);

/// What a lane thread finds in its queue.
enum Work {
    Run(Box<Job>),
    Report(Box<FileFailure>),
    Stop,
}

/// The bounded queue of one lane.
pub struct Lane {
    sender: Sender<Work>,
    receiver: Receiver<Work>,
    /// Held by the thread that waits for the GIL.
    turn: Mutex<()>,
    /// When the run that is under way began; of the brief lane.
    begun: Mutex<Option<Instant>>,
    /// Whether somebody sees to it that nothing waits behind one that is stuck; of the brief lane.
    watched: AtomicBool,
}

/// The lanes.
#[derive(Default)]
pub struct Lanes {
    /// Quick sync handlers, while the slot is taken.
    pub quick: Lane,
    /// Sync handlers that compute.
    pub compute: Lane,
    /// Sync handlers that compute for a moment.
    pub brief: Lane,
    /// Sync handlers that wait, and those not known yet.
    pub pool: Lane,
}

impl Default for Lane {
    fn default() -> Self {
        let (sender, receiver) = bounded(LANE_CAPACITY);
        Self {
            sender,
            receiver,
            turn: Mutex::new(()),
            begun: Mutex::default(),
            watched: AtomicBool::new(false),
        }
    }
}

impl Lane {
    /// Queues a job; gives it back when the lane is full.
    pub fn push(&self, job: Job) -> Result<(), Job> {
        match self.sender.try_send(Work::Run(Box::new(job))) {
            Ok(()) => Ok(()),
            Err(
                TrySendError::Full(Work::Run(job)) | TrySendError::Disconnected(Work::Run(job)),
            ) => Err(*job),
            Err(_) => unreachable!("only jobs are pushed"),
        }
    }

    /// How many jobs wait.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Whether the lane's one thread waits for something.
    fn is_stuck(&self) -> bool {
        self.begun.lock().is_some_and(|begun| begun.elapsed() > STUCK)
    }

    /// Has a failure logged. A lane that is full has none to spare, and the record is lost.
    pub fn report(&self, failure: FileFailure) {
        self.sender.try_send(Work::Report(Box::new(failure))).ok();
    }

    /// Ends one thread of the lane, after the jobs that wait.
    pub fn stop(&self, deadline: Instant) {
        // A full lane ends with its process.
        self.sender.send_deadline(Work::Stop, deadline).ok();
    }
}

impl Lanes {
    /// Queues a job of the brief lane, on the pool where that lane is stuck; gives it back when it
    /// is full.
    pub fn push_brief(&self, job: Job) -> Result<(), Job> {
        if self.brief.is_stuck() { self.pool.push(job) } else { self.brief.push(job) }
    }

    /// Whether the caller, the I/O thread, has to watch the brief lane.
    pub fn begin_watching(&self) -> bool {
        !self.brief.watched.swap(true, Ordering::SeqCst)
    }

    /// Moves what waits behind one that is stuck to the pool, until nothing waits.
    pub async fn watch(&self) {
        loop {
            tokio::time::sleep(STUCK).await;
            if self.brief.is_stuck() {
                self.relieve();
            }
            if self.brief.len() == 0 {
                self.brief.watched.store(false, Ordering::SeqCst);
                if self.brief.len() == 0 || !self.begin_watching() {
                    return;
                }
            }
        }
    }

    fn relieve(&self) {
        while let Ok(work) = self.brief.receiver.try_recv() {
            if matches!(work, Work::Stop) {
                self.brief.sender.try_send(work).ok();
                return;
            }
            // Where the pool is full, whoever asked is told so.
            self.pool.sender.try_send(work).ok();
        }
    }

    /// The lane of `place`.
    fn of(&self, place: Place) -> &Lane {
        match place {
            Place::Quick => &self.quick,
            Place::Compute => &self.compute,
            Place::Brief => &self.brief,
            _ => &self.pool,
        }
    }
}

/// The body of a lane thread; Python starts it as a `threading.Thread`.
#[pyclass(frozen, module = "pybolt._engine")]
pub struct LaneThread {
    bridge: Arc<Bridge>,
    place: Place,
}

impl LaneThread {
    /// A thread of the lane `place`.
    pub fn new(bridge: &Arc<Bridge>, place: Place) -> Self {
        Self { bridge: Arc::clone(bridge), place }
    }
}

#[pymethods]
impl LaneThread {
    fn __call__(&self, py: Python<'_>) {
        run::own_thread();
        py.detach(|| work(&self.bridge, self.place));
        run::close_connections(py, &self.bridge);
    }
}

fn work(bridge: &Arc<Bridge>, place: Place) {
    let lane = bridge.lanes.of(place);
    let batch = match place {
        Place::Quick => QUICK_BATCH,
        Place::Compute => 1,
        _ => BATCH,
    };
    loop {
        let turn = lane.turn.lock();
        let (work, turn) = match lane.receiver.try_recv() {
            Ok(work) => (work, turn),
            Err(_) => {
                drop(turn);
                let Ok(work) = lane.receiver.recv() else { return };
                (work, lane.turn.lock())
            }
        };
        if matches!(work, Work::Stop) {
            return;
        }
        if matches!(&work, Work::Run(job) if job.reply.answer.is_closed()) {
            continue;
        }
        let busy = bridge.slot.enter_lane();
        let asked = Instant::now();
        let (got, stop) = Python::attach(|py| {
            drop(turn);
            let got = Instant::now();
            let mut stop = run_one(py, bridge, lane, work);
            for _ in 1..batch {
                let Ok(work) = lane.receiver.try_recv() else { break };
                stop = run_one(py, bridge, lane, work);
                if stop {
                    break;
                }
            }
            (got, stop)
        });
        bridge.counters.record(place, asked, got, Instant::now());
        drop(busy);
        if stop {
            return;
        }
    }
}

/// Whether the thread is to end.
fn run_one(py: Python<'_>, bridge: &Arc<Bridge>, lane: &Lane, work: Work) -> bool {
    match work {
        Work::Run(job) => run_job(py, bridge, lane, *job),
        Work::Report(failure) => report(py, bridge, &failure),
        Work::Stop => return true,
    }
    false
}

fn report(py: Python<'_>, bridge: &Bridge, failure: &FileFailure) {
    let FileFailure { route, path, error } = failure;
    let missing = error.kind() == io::ErrorKind::NotFound;
    let arguments = (route.name.as_str(), path.as_os_str(), error.to_string(), missing);
    if let Err(error) = bridge.runtime.file_failed.bind(py).call1(arguments) {
        error.write_unraisable(py, None);
    }
}

fn run_job(py: Python<'_>, bridge: &Arc<Bridge>, lane: &Lane, job: Job) {
    let Job { route, parts, body, reply, queued } = job;
    let begun = Instant::now();
    if reply.answer.is_closed() || begun - queued > MAX_WAIT {
        // Without an answer it is told that there is no room.
        return;
    }
    if route.is_async && !route.placement.begin_hosting() {
        // One that the loop has no room for is told so.
        bridge.queue.push(Job { route, parts, body, reply, queued }, false).ok();
        bridge.queue.wake();
        return;
    }
    let ticket = Arc::clone(&reply.ticket);
    let mut reply = Some(reply);
    let is_brief = std::ptr::eq(lane, &raw const bridge.lanes.brief);
    if is_brief {
        lane.begun.lock().replace(begun);
    }
    let (alone, cpu) = (bridge.slot.is_alone(), thread_cpu_time());
    let run = || {
        if route.is_async {
            hosted::run(py, bridge, &route, parts, body, ticket, &mut reply)
        } else {
            run::run_sync(py, bridge, &route, parts, body).into()
        }
    };
    let Hosted { answer, executor, in_use, called_sync, given_up } =
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| run::internal_error().into());
    route.placement.record(&Run {
        wall: begun.elapsed(),
        cpu: Some(thread_cpu_time().saturating_sub(cpu)),
        alone: alone && bridge.slot.is_alone(),
        suspended: answer.is_none() && !given_up,
        called_sync,
        database: run::last_run_touched_database(),
    });
    if route.is_async {
        route.placement.end_hosting(in_use);
    }
    if let (Some(reply), Some(answer)) = (reply, answer) {
        let answer = reply.with(answer);
        if lane.len() > 0 && executor.is_none() {
            bridge.completions.push_with_others(answer, begun - queued);
        } else {
            bridge.completions.push(answer);
            bridge.completions.flush();
        }
    }
    if let Some(executor) = executor {
        bridge.completions.flush();
        hosted::stay(py, bridge, &executor);
    }
    if is_brief {
        lane.begun.lock().take();
    }
}

fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
