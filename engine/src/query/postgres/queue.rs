//! What is under way on one connection, in the order in which it is answered.
//!
//! A statement keeps its place until the server has answered it, whether anybody waits for that or
//! not: so the first one is the one that runs, and what is counted is what the connection holds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The places of one connection.
#[derive(Debug, Default)]
pub struct Queue(Mutex<Line>);

#[derive(Debug, Default)]
struct Line {
    next: u64,
    waiting: VecDeque<Waiting>,
    /// Since when the first one is the first.
    since: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    /// Where nobody waits for it any more: what is told when its turn has come.
    left: Option<Arc<Notify>>,
}

/// What is known of a queue at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How much is under way.
    pub queued: usize,
    /// Since when that which runs does so.
    pub age: Duration,
    /// Whether nobody waits for that which runs.
    pub is_left: bool,
}

impl Line {
    fn at(&self, number: u64) -> Option<usize> {
        // Not in the order of the numbers, once one has fallen back.
        self.waiting.iter().position(|waiting| waiting.number == number)
    }

    fn push(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting.push_back(Waiting { number, left: None });
        if self.waiting.len() == 1 {
            self.since = Some(Instant::now());
        }
        number
    }

    fn remove(&mut self, number: u64) -> Option<Waiting> {
        let place = self.at(number)?;
        let removed = self.waiting.remove(place);
        if place == 0 {
            // The next one runs from now on.
            self.since = Some(Instant::now());
            if let Some(turn) = self.waiting.front().and_then(|first| first.left.as_ref()) {
                turn.notify_one();
            }
        }
        removed
    }
}

impl Queue {
    /// How full it is.
    pub fn load(&self) -> Load {
        let line = self.0.lock();
        let first = line.waiting.front();
        let age = first.and(line.since).map(|since| since.elapsed()).unwrap_or_default();
        let is_left = first.is_some_and(|first| first.left.is_some());
        Load { queued: line.waiting.len(), age, is_left }
    }

    /// How long the one with this number runs; `None` while others are before it.
    pub fn runs(&self, number: u64) -> Option<Duration> {
        let line = self.0.lock();
        let first = line.waiting.front().filter(|first| first.number == number);
        first.and(line.since).map(|since| since.elapsed())
    }

    /// Nobody waits for the one with this number any more; what tells when its turn has come.
    pub fn leave(&self, number: u64) -> Arc<Notify> {
        let mut line = self.0.lock();
        let turn = Arc::new(Notify::new());
        if let Some(place) = line.at(number) {
            line.waiting[place].left = Some(Arc::clone(&turn));
            if place == 0 {
                turn.notify_one();
            }
        }
        turn
    }
}

/// A place in the queue, until dropped.
#[derive(Debug)]
pub struct Place {
    queue: Arc<Queue>,
    /// Its number.
    pub number: u64,
    /// Whether others were before it.
    pub is_behind: bool,
}

impl Place {
    /// The last one.
    pub fn new(queue: &Arc<Queue>) -> Self {
        let mut line = queue.0.lock();
        let is_behind = !line.waiting.is_empty();
        let number = line.push();
        Self { queue: Arc::clone(queue), number, is_behind }
    }

    /// Is the last one from now on: others were sent before it.
    pub fn fall_back(&self) {
        let mut line = self.queue.0.lock();
        if let Some(waiting) = line.remove(self.number) {
            line.waiting.push_back(waiting);
            if line.waiting.len() == 1 {
                line.since = Some(Instant::now());
            }
        }
    }

    /// Whether nobody waits for it any more.
    pub fn is_left(&self) -> bool {
        let line = self.queue.0.lock();
        line.at(self.number).is_some_and(|place| line.waiting[place].left.is_some())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.0.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_runs_until_it_is_answered() {
        let queue = Arc::new(Queue::default());
        let places: Vec<_> = (0..3).map(|_| Place::new(&queue)).collect();
        let [first, second, third] = places.try_into().unwrap();
        assert_eq!((first.is_behind, second.is_behind, third.is_behind), (false, true, true));
        assert!(queue.runs(first.number).is_some());
        queue.leave(first.number);
        assert!(first.is_left() && queue.load().is_left);
        assert_eq!(queue.load().queued, 3);
        drop(second);
        assert!(queue.runs(third.number).is_none());
        first.fall_back();
        assert!(queue.runs(third.number).is_some() && queue.runs(first.number).is_none());
        third.fall_back();
        drop(first);
        assert!(queue.runs(third.number).is_some());
        assert!(!third.is_left() && !queue.load().is_left);
        drop(third);
        assert_eq!((queue.load().queued, queue.load().age), (0, Duration::ZERO));
    }

    #[test]
    fn one_that_fell_back_is_found_and_so_are_the_others() {
        let queue = Arc::new(Queue::default());
        let mut places: Vec<_> = (0..3).map(|_| Place::new(&queue)).collect();
        places[0].fall_back();
        places.push(Place::new(&queue));
        for (left, at) in [1, 1, 0, 0].into_iter().enumerate() {
            let place = places.remove(at);
            assert!(queue.runs(place.number).is_some(), "{}", place.number);
            drop(place);
            assert_eq!(queue.load().queued, 3 - left);
        }
    }
}
