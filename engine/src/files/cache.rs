//! Small files that were just sent: one that was looked at within [`FRESH`] is sent again from
//! memory, without asking the disk. After that the next request asks it anew, and what has not
//! changed is not read again. So a change, a removal, a link that was swapped shows after at most
//! that long.
//!
//! A cache belongs to one route on one I/O thread. Its bytes, names and descriptors are bounded; what was used
//! longest ago makes room.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::found::Found;

/// So long what was looked at is taken for what is there.
pub const FRESH: Duration = Duration::from_secs(1);

/// So many names at most.
const NAMES: usize = 1024;

/// So many descriptors of copies at most.
const DESCRIPTORS: usize = 128;

/// Files by the path that led to them.
#[derive(Debug, Default)]
pub struct Cache {
    entries: HashMap<Box<str>, Entry>,
    bytes: u64,
    descriptors: usize,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    found: Arc<Found>,
    weight: u64,
    looked: Instant,
    used: u64,
}

impl Cache {
    /// What `path` led to a moment ago.
    pub fn fresh(&mut self, path: &str, now: Instant) -> Option<Arc<Found>> {
        let entry = self.entries.get_mut(path)?;
        if now.saturating_duration_since(entry.looked) >= FRESH {
            return None;
        }
        self.uses += 1;
        entry.used = self.uses;
        Some(Arc::clone(&entry.found))
    }

    /// What `path` once led to.
    pub fn known(&self, path: &str) -> Option<Arc<Found>> {
        self.entries.get(path).map(|entry| Arc::clone(&entry.found))
    }

    /// Remembers what `path` led to at `looked`, within `most` bytes.
    pub fn remember(&mut self, path: &str, found: &Arc<Found>, looked: Instant, most: u64) {
        self.forget(path);
        let fits = |weight: &u64| most > 0 && *weight <= most;
        let Some(weight) = found.weight().filter(fits) else { return };
        let descriptors = found.descriptors();
        while self.bytes + weight > most
            || self.descriptors + descriptors > DESCRIPTORS
            || self.entries.len() >= NAMES
        {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(path, _)| path.clone()) else { break };
            self.forget(&oldest);
        }
        self.uses += 1;
        self.bytes += weight;
        self.descriptors += descriptors;
        let entry = Entry { found: Arc::clone(found), weight, looked, used: self.uses };
        self.entries.insert(path.into(), entry);
    }

    /// Forgets what `path` led to.
    pub fn forget(&mut self, path: &str) {
        if let Some(entry) = self.entries.remove(path) {
            self.bytes -= entry.weight;
            self.descriptors -= entry.found.descriptors();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::config::decode::{Decode, Node};
    use crate::config::diagnostic::{Diagnostics, Location};
    use crate::config::directories::Directories;
    use crate::files::FilesConfig;
    use crate::files::found::{Look, look};
    use crate::http::Method;

    /// Files of these sizes.
    fn found(sizes: &[usize]) -> Vec<Arc<Found>> {
        let directory = tempfile::tempdir().unwrap();
        let (mut out, at) = (Diagnostics::default(), Location::default());
        let config = FilesConfig::decode(
            Node { value: &json!({"root": directory.path()}), at: &at },
            &mut out,
        );
        let policy =
            config.unwrap().compile(Directories(&[]), "/{*p}", &[Method::GET], &at, &mut out);
        let policy = policy.unwrap_or_else(|| panic!("{out:?}"));
        let make = |size: &usize| {
            fs::write(directory.path().join("a"), vec![0; *size]).unwrap();
            match look(&policy, "a", None).unwrap() {
                Look::File(found) => found,
                other => panic!("{other:?}"),
            }
        };
        sizes.iter().map(make).collect()
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let files = found(&[40, 30, 30, 50, 101]);
        let mut cache = Cache::default();
        let now = Instant::now();
        for (name, file) in ["a", "b", "c"].iter().zip(&files) {
            cache.remember(name, file, now, 100);
        }
        assert_eq!(cache.bytes, 100);
        assert!(cache.fresh("a", now).is_some());
        cache.remember("d", &files[3], now, 100);
        let there: Vec<_> =
            ["a", "b", "c", "d"].map(|name| cache.fresh(name, now).is_some()).into();
        assert_eq!(there, [true, false, false, true]);
        assert_eq!(cache.bytes, 90);
        // What is larger than all of it is not kept, nor is what it replaces.
        cache.remember("d", &files[4], now, 100);
        assert!(cache.known("d").is_none());
        assert_eq!(cache.bytes, 40);
        cache.remember("e", &files[0], now, 0);
        assert!(cache.known("e").is_none());
    }

    #[test]
    fn names_are_bounded_and_go_stale() {
        let files = found(&[0]);
        let mut cache = Cache::default();
        let now = Instant::now();
        for number in 0..NAMES + 5 {
            cache.remember(&number.to_string(), &files[0], now, 1);
        }
        assert_eq!(cache.entries.len(), NAMES);
        let last = (NAMES + 4).to_string();
        assert!(cache.fresh(&last, now + FRESH / 2).is_some());
        assert!(cache.fresh(&last, now + FRESH).is_none());
        assert!(cache.known(&last).is_some());
    }
}
