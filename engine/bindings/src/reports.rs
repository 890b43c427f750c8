//! What a worker tells its supervisor: one JSON object a line, written by a thread of its own, so
//! that nobody who has something to say waits for a supervisor that does not listen.

use std::fs::File;
use std::io::Write;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use serde_json::Value;

/// The way to the supervisor.
#[derive(Clone)]
pub struct Reports(Sender<Value>);

impl Reports {
    /// Reports to `pipe`.
    pub fn to(mut pipe: File) -> Self {
        let (reports, waiting) = channel::<Value>();
        // Without a thread nothing is ever reported, and the supervisor replaces this worker.
        thread::Builder::new()
            .name("bolt-reports".into())
            .spawn(move || {
                while let Ok(report) = waiting.recv() {
                    if writeln!(pipe, "{report}").is_err() {
                        // The supervisor is gone; the control pipe says so too.
                        return;
                    }
                }
            })
            .ok();
        Self(reports)
    }

    /// Reports `what`.
    pub fn say(&self, what: Value) {
        // Where nobody listens any more the process is about to end.
        self.0.send(what).ok();
    }
}
