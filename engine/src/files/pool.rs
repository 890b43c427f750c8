//! Where files are opened and read: a few threads of their own for each root, because a disk may
//! keep whoever asks it waiting, and the I/O thread must never wait.
//!
//! Threads start when there is work and end when there has been none for a while. What would wait
//! behind too many others is refused; what belongs to an answer that has begun never is, and there
//! is at most one such piece of work for each connection. Work whose client has gone is dropped. The
//! threads are nobody's to wait for: a disk that hangs does not keep the process from ending.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// So many threads may wait for one root's disk.
const THREADS: usize = 4;

/// So many requests may wait for a thread.
const QUEUE: usize = 256;

/// A thread without work ends after so long.
const IDLE: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

/// A bounded pool of threads that may block.
#[derive(Clone, Default)]
pub struct Pool(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work_came: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    threads: usize,
    idle: usize,
}

impl Pool {
    /// Runs `work` on a thread; `None` where too much waits already.
    pub fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<oneshot::Receiver<T>> {
        self.enter(QUEUE, work)
    }

    /// Runs work that belongs to an answer under way; `None` only where there can be no thread.
    pub fn go_on<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<oneshot::Receiver<T>> {
        self.enter(usize::MAX, work)
    }

    fn enter<T: Send + 'static>(
        &self,
        room: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<oneshot::Receiver<T>> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.0.state.lock();
        if state.waiting.len() >= room {
            return None;
        }
        if state.idle <= state.waiting.len() && state.threads < THREADS {
            let shared = Arc::clone(&self.0);
            let thread = thread::Builder::new().name("pybolt-files".to_owned());
            match thread.spawn(move || work_off(&shared)) {
                Ok(_) => state.threads += 1,
                // Without one more thread those that there are do the work.
                Err(_) if state.threads > 0 => {}
                Err(_) => return None,
            }
        }
        state.waiting.push_back(Box::new(move || {
            if !sender.is_closed() {
                // Whoever asked may have gone meanwhile.
                sender.send(work()).ok();
            }
        }));
        drop(state);
        self.0.work_came.notify_one();
        Some(receiver)
    }
}

/// A thread's life: it ends for want of work alone. Work that panics drops its sender, which tells
/// whoever asked; the thread goes on with the next.
fn work_off(shared: &Shared) {
    let mut state = shared.state.lock();
    loop {
        while let Some(work) = state.waiting.pop_front() {
            drop(state);
            catch_unwind(AssertUnwindSafe(work)).ok();
            state = shared.state.lock();
        }
        state.idle += 1;
        let waited = shared.work_came.wait_for(&mut state, IDLE);
        state.idle -= 1;
        if waited.timed_out() && state.waiting.is_empty() {
            // Counted out under the same lock that new work comes under.
            state.threads -= 1;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Sender};

    use super::*;

    /// Keeps every thread until as many messages are sent as there are threads.
    fn occupy(pool: &Pool) -> Sender<()> {
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for _ in 0..THREADS {
            let held = Arc::clone(&held);
            let (began, beginning) = mpsc::channel();
            let asked = pool.ask(move || {
                began.send(()).unwrap();
                // The first waits for a message, the others for the first.
                held.lock().recv().unwrap();
            });
            beginning.recv().unwrap();
            drop(asked);
        }
        release
    }

    #[test]
    fn what_would_wait_behind_too_many_is_refused_and_what_has_begun_is_not() {
        let pool = Pool::default();
        let release = occupy(&pool);
        let waiting: Vec<_> = (0..QUEUE).map(|number| pool.ask(move || number)).collect();
        assert!(waiting.iter().all(Option::is_some));
        assert!(pool.ask(|| 0).is_none());
        let mut under_way = pool.go_on(|| "read").unwrap();
        assert!(under_way.try_recv().is_err());
        for _ in 0..THREADS {
            release.send(()).unwrap();
        }
        assert_eq!(under_way.blocking_recv(), Ok("read"));
        let answers = waiting.into_iter().map(|answer| answer.unwrap().blocking_recv().unwrap());
        assert!(answers.eq(0..QUEUE));
    }

    #[test]
    fn a_panic_costs_one_answer_and_work_whose_asker_has_gone_is_not_done() {
        let pool = Pool::default();
        for _ in 0..2 * THREADS {
            let asked = pool.ask(|| -> () { panic!("as the test asked") }).unwrap();
            assert!(asked.blocking_recv().is_err());
        }
        let release = occupy(&pool);
        let (did, done) = mpsc::channel();
        drop(pool.ask(move || did.send(())));
        for _ in 0..THREADS {
            release.send(()).unwrap();
        }
        assert!(done.recv().is_err());
    }
}
