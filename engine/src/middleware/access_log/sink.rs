//! Where lines go: a bounded channel to a thread that writes stdout in batches.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock, RwLock};
use std::thread;

/// Takes finished lines; must not block.
pub trait LogSink: Send + Sync {
    /// Takes one line with its end.
    fn write(&self, line: String);
}

/// So many lines may wait for the writer.
const CAPACITY: usize = 8192;

/// A process has one log. Tests put their own in its place.
static SINK: RwLock<Option<Arc<dyn LogSink>>> = RwLock::new(None);
static STDOUT: OnceLock<Arc<dyn LogSink>> = OnceLock::new();

/// Sends the lines of this process to `sink` from now on.
pub fn set_sink(sink: Arc<dyn LogSink>) {
    *SINK.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(sink);
}

/// Where lines go now.
pub(super) fn sink() -> Arc<dyn LogSink> {
    let set = SINK.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    set.unwrap_or_else(|| Arc::clone(STDOUT.get_or_init(|| Arc::new(Writer::start()))))
}

/// Writes a line of the process's own, with its end, among those of its answers.
pub fn write_line(line: &str) {
    sink().write(line.to_owned());
}

/// The writer thread's mailbox.
struct Writer {
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    fn start() -> Self {
        let (lines, receiver) = sync_channel(CAPACITY);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        // A worker without threads left serves without a log; the lost lines are counted.
        thread::Builder::new()
            .name("bolt-log".into())
            .spawn(move || write_lines(&receiver, &lost))
            .ok();
        Self { lines, dropped }
    }
}

impl LogSink for Writer {
    fn write(&self, line: String) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.lines.try_send(line)
        {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

fn write_lines(lines: &Receiver<String>, dropped: &AtomicU64) {
    let mut batch = String::new();
    while let Ok(first) = lines.recv() {
        batch.clear();
        batch.push_str(&first);
        batch.extend(lines.try_iter().take(512));
        let lost = dropped.swap(0, Relaxed);
        if lost > 0 {
            batch.push_str(&["{\"access_log_lines_dropped\":", &lost.to_string(), "}\n"].concat());
        }
        let mut stdout = std::io::stdout().lock();
        if stdout.write_all(batch.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            // Nobody reads the log any more.
            return;
        }
    }
}
