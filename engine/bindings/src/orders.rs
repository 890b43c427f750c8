//! What a supervisor asks of its worker: one JSON object a line.
//!
//! They are read by a thread without the GIL: a worker whose handlers hold it for ever still drains,
//! ends, tells how it is and is closed for maintenance; only a reload waits.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use pybolt_engine::middleware::maintenance::Switches;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;

use crate::bridge::Bridge;
use crate::inspect;
use crate::rebuild::Build;
use crate::reports::Reports;
use crate::serving::Turn;

/// After the end of the control pipe the process is there so long at most.
const ORPHAN_END: Duration = Duration::from_millis(1800);

/// What the supervisor asks.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Order {
    /// Ends in an orderly way.
    Drain,
    /// Ends now.
    End,
    /// Builds plan `number` from a snapshot of its files, and waits.
    Prepare { number: u64, snapshot: (i32, usize) },
    /// Puts plan `number` in place.
    Commit { number: u64 },
    /// Forgets plan `number`.
    Abort { number: u64 },
    /// Closes and opens routes for maintenance.
    Switch { number: u64, switches: Switches },
    /// Tells how it is.
    Status { number: u64 },
    /// Takes note of how many reloads have failed.
    ReloadFailed { failures: u64 },
}

/// How a worker is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// When its requests are answered.
    Drain,
    /// Now.
    Now,
    /// Soon: nobody looks after it any more.
    Orphaned,
}

/// Where orders go.
pub struct Inbox {
    /// To the one who ends the worker.
    pub endings: UnboundedSender<Ending>,
    /// To the I/O thread.
    pub turns: UnboundedSender<Turn>,
    /// To the thread that builds.
    pub builds: crossbeam_channel::Sender<Build>,
    /// Back to the supervisor.
    pub reports: Reports,
    /// What there is to tell of.
    pub bridge: Arc<Bridge>,
}

impl Inbox {
    /// Reads orders until the other end is closed: the supervisor is dead, nobody would end this
    /// process if it did not end by itself, and its ports are wanted.
    pub fn read(&self, control: File) {
        for line in BufReader::new(control).lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(order) => self.obey(order),
                Err(error) => self.reports.say(json!({"is": "confused", "by": error.to_string()})),
            }
        }
        // Where nobody serves any more the process ends all the same.
        self.endings.send(Ending::Orphaned).ok();
        thread::sleep(ORPHAN_END);
        // SAFETY: ends the process; no other thread is waited for and nothing is run.
        unsafe { libc::_exit(1) };
    }

    /// A receiver that is gone means that the worker ends: then nothing is to be done any more.
    fn obey(&self, order: Order) {
        match order {
            Order::Drain => drop(self.endings.send(Ending::Drain)),
            Order::End => drop(self.endings.send(Ending::Now)),
            Order::Prepare { number, snapshot } => {
                drop(self.builds.send(Build { number, snapshot }));
            }
            Order::Commit { number } => drop(self.turns.send(Turn::Commit(number))),
            Order::Abort { number } => drop(self.turns.send(Turn::Abort(number))),
            Order::Switch { number, switches } => {
                drop(self.turns.send(Turn::Switch(number, switches)));
            }
            Order::Status { number } => {
                let stats = inspect::statistics(&self.bridge);
                self.reports.say(json!({"is": "status", "number": number, "stats": stats}));
            }
            Order::ReloadFailed { failures } => {
                self.bridge.reload_failures.store(failures, Ordering::Relaxed);
            }
        }
    }
}
