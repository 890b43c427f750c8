//! Answers on their way back to the I/O thread: one wake-up for a batch of them.
//!
//! Sending each answer straight to the one who waits would write an eventfd each time; here the
//! I/O thread is woken once and hands all that are there to their waiters itself.

use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::SegQueue;
use tokio::sync::{Notify, oneshot};

use crate::answer::Answer;

/// So many answers are never kept back.
const BATCH: usize = 16;

/// The answers of one engine that the I/O thread has yet to hand out.
#[derive(Default)]
pub struct Completions {
    answers: SegQueue<(oneshot::Sender<Answer>, Answer)>,
    woken: AtomicBool,
    notify: Notify,
}

impl Completions {
    /// Queues an answer; it leaves with the next [`Completions::flush`] at the latest.
    pub fn push(&self, answer: (oneshot::Sender<Answer>, Answer)) {
        self.answers.push(answer);
        if self.answers.len() >= BATCH {
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
        loop {
            self.notify.notified().await;
            self.woken.swap(false, Ordering::AcqRel);
            while let Some((to, answer)) = self.answers.pop() {
                // One who has gone needs no answer.
                to.send(answer).ok();
            }
        }
    }
}
