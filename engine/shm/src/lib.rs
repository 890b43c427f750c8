//! Atomics in memory that processes share, and the clock that they share.
//!
//! A crate of its own because the engine forbids unsafe code: the one unsafe block that views a
//! mapping as atomics is here, and is all that has to be believed. A value of 128 bits is changed
//! in one step (`cmpxchg16b`, `casp`), so a process that is killed between any two instructions
//! leaves a table that every other one can go on with: no lock, and no half-written entry.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{MmapOptions, MmapRaw};
use portable_atomic::AtomicU128;
pub use portable_atomic::{AtomicU128 as Word, Ordering};

/// The size of one word in bytes.
pub const WORD: usize = size_of::<AtomicU128>();

/// A mapping, viewed as words; zeros until somebody writes.
pub struct Words {
    map: MmapRaw,
    count: usize,
}

impl Words {
    /// `count` words that this process alone has; pages are taken from the kernel when they are
    /// first written.
    pub fn anonymous(count: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(count.max(1) * WORD).map_anon()?;
        Self::of(MmapRaw::from(map))
    }

    /// All whole words of the file behind `fd`. Who makes the file has to see to it that it does not
    /// shrink (`F_SEAL_SHRINK`): a page that is gone ends the process that touches it.
    pub fn shared(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Self::of(MmapOptions::new().map_raw(fd.as_raw_fd())?)
    }

    fn of(map: MmapRaw) -> io::Result<Self> {
        // Elsewhere such words would be guarded by a lock that other processes do not see.
        if !AtomicU128::is_lock_free() {
            let message = "this processor changes no 128 bits in one step";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        let count = map.len() / WORD;
        Ok(Self { map, count })
    }

    /// The words.
    #[expect(clippy::cast_ptr_alignment, reason = "a mapping begins at a page")]
    pub fn as_slice(&self) -> &[Word] {
        let start = self.map.as_mut_ptr().cast::<AtomicU128>();
        // SAFETY: the mapping is readable and writable, begins at a page (so it is aligned for
        // words), holds `count` whole words, and lives as long as `self`, which never hands out
        // anything but shared references to atomics. Every bit pattern is a word, and the lock-free
        // operations that `of` insists on are sound beside those of other processes.
        unsafe { std::slice::from_raw_parts(start, self.count) }
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Words({})", self.count)
    }
}

/// Nanoseconds since some moment before the system started, the same for every process; never goes
/// back, whatever happens to the time of day (`CLOCK_MONOTONIC`).
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let whole = |number: i64| u64::try_from(number).unwrap_or_default();
    whole(time.tv_sec) * 1_000_000_000 + whole(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn two_mappings_of_a_file_are_one_memory() {
        let path = std::env::temp_dir().join(format!("pybolt-shm-{}", std::process::id()));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .expect("a temporary file");
        std::fs::remove_file(&path).expect("it is there");
        file.set_len(100).expect("room for 100 bytes");
        let [one, other] =
            [(), ()].map(|()| Words::shared(file.as_fd()).expect("the file can be mapped"));
        assert_eq!(one.as_slice().len(), 6, "only whole words");
        let big = u128::MAX - 5;
        one.as_slice()[5]
            .compare_exchange(0, big, Ordering::SeqCst, Ordering::SeqCst)
            .expect("zero");
        assert_eq!(other.as_slice()[5].load(Ordering::SeqCst), big);
    }

    #[test]
    fn the_clock_goes_on() {
        let before = now();
        assert!(before > 0);
        assert!(now() >= before);
    }
}
