//! Answers on their way back to the I/O thread: one wake-up for a batch of them.
//!
//! Sending each answer straight to the one who waits would write an eventfd each time; here the
//! I/O thread is woken once and hands all that are there to their waiters itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_queue::SegQueue;
use tokio::sync::{Notify, oneshot};

use crate::answer::Answer;

/// So many answers are never kept back.
const BATCH: usize = 16;

/// An answer is kept back for at most this part of the time that its request had to wait for its
/// turn, and never longer than that.
const PART: u32 = 8;
const PATIENCE: Duration = Duration::from_millis(4);

/// An answer, and whom it is for.
type Completion = (oneshot::Sender<Answer>, Answer);

/// The answers of one engine that the I/O thread has yet to hand out.
#[derive(Default)]
pub struct Completions {
    answers: SegQueue<Completion>,
    woken: AtomicBool,
    notify: Notify,
    /// For how long answers have been kept back since the I/O thread last looked, and within what
    /// time it looks again without being woken; in milliseconds, 0: not at all.
    kept: AtomicU64,
    watched: AtomicU64,
}

impl Completions {
    /// Queues an answer; it leaves with the next [`Completions::flush`] at the latest.
    pub fn push(&self, answer: Completion) {
        self.answers.push(answer);
        if self.answers.len() >= BATCH {
            self.flush();
        }
    }

    /// Queues an answer from a thread that has more to do, to a request that `waited` so long for its
    /// turn: it leaves a little later than it could, so that the I/O thread does not take the core
    /// from the others for every answer.
    pub fn push_with_others(&self, answer: Completion, waited: Duration) {
        self.push(answer);
        let patience = (waited / PART).min(PATIENCE).as_millis();
        let patience = u64::try_from(patience).unwrap_or(0);
        if patience == 0 {
            return self.flush();
        }
        self.kept.store(patience, Ordering::SeqCst);
        if !(1..=patience).contains(&self.watched.load(Ordering::SeqCst)) {
            self.flush();
        }
    }

    /// Wakes the I/O thread if there is anything for it.
    pub fn flush(&self) {
        if !self.answers.is_empty() && !self.woken.swap(true, Ordering::AcqRel) {
            self.notify.notify_one();
        }
    }

    /// Hands answers out; a task of the I/O thread's own.
    pub async fn hand_out(&self) {
        let mut patience = Duration::ZERO;
        loop {
            if patience.is_zero() {
                self.notify.notified().await;
            } else {
                tokio::time::timeout(patience, self.notify.notified()).await.ok();
            }
            self.woken.swap(false, Ordering::AcqRel);
            self.hand_out_all();
            let kept = self.kept.swap(0, Ordering::SeqCst);
            patience = Duration::from_millis(kept);
            // Whoever found it watched pushed before; whoever pushes later sees what is stored.
            self.watched.store(kept, Ordering::SeqCst);
            self.hand_out_all();
        }
    }

    fn hand_out_all(&self) {
        while let Some((to, answer)) = self.answers.pop() {
            // One who has gone needs no answer.
            to.send(answer).ok();
        }
    }
}
