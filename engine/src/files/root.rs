//! The directory that files come from, opened once: nothing outside it has a name.
//!
//! A name is resolved by the kernel (`openat2`, Linux 5.6) beneath the directory that was opened at
//! startup: `..`, absolute names, links that leave it and magic links are refused there, whatever
//! is renamed or swapped meanwhile. Without `symlinks: inside` there are no links at all. A FIFO, a
//! socket or a device is no file: opening waits for nobody (`O_NONBLOCK`), and what was opened is
//! looked at, not what has the name by now.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// A race with a rename is told by the kernel, and tried again so often.
const TRIES: usize = 8;

/// A directory and how names below it are resolved.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    resolve: ResolveFlags,
}

/// What a name is of.
#[derive(Debug)]
pub enum Opened {
    /// A regular file.
    File(File, Stamp),
    /// A directory.
    Directory,
    /// Nothing that anybody gets.
    Nothing,
}

/// What tells a file, and a state of it, from any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its length in bytes.
    pub size: u64,
    /// When it was modified: seconds, nanoseconds.
    pub modified: (i64, i64),
    changed: (i64, i64),
    place: (u64, u64),
}

impl Stamp {
    /// The stamp of an open file.
    pub fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::from(&metadata))
    }

    /// The file's number.
    pub const fn inode(&self) -> u64 {
        self.place.1
    }
}

impl From<&std::fs::Metadata> for Stamp {
    fn from(metadata: &std::fs::Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            place: (metadata.dev(), metadata.ino()),
        }
    }
}

impl Root {
    /// Opens `path`, which must be a directory. `links`: whether links that stay inside are followed.
    pub fn open(path: &Path, links: bool) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, path, flags, Mode::empty())?;
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if !links {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        let root = Self { directory, resolve };
        // A kernel, or a container's filter, that does not know `openat2` is found out now.
        root.open_beneath(".", flags)?;
        Ok(root)
    }

    /// Opens what `name` is of. The caller has taken it apart already; this is what holds if it
    /// should have missed something.
    pub fn look_up(&self, name: &str) -> io::Result<Opened> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match self.open_beneath(name, flags) {
            Ok(opened) => File::from(opened),
            Err(error) if is_nobodys(error) => return Ok(Opened::Nothing),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        Ok(if metadata.is_file() {
            let stamp = Stamp::from(&metadata);
            Opened::File(file, stamp)
        } else if metadata.is_dir() {
            Opened::Directory
        } else {
            Opened::Nothing
        })
    }

    fn open_beneath(&self, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut tried = 0;
        loop {
            tried += 1;
            match openat2(&self.directory, name, flags, Mode::empty(), self.resolve) {
                Err(Errno::AGAIN | Errno::INTR) if tried < TRIES => {}
                other => return other,
            }
        }
    }
}

/// Whether the error says that there is no such file, or none that we may read.
fn is_nobodys(error: Errno) -> bool {
    matches!(
        error,
        Errno::NOENT
            | Errno::NOTDIR
            | Errno::LOOP
            | Errno::XDEV
            | Errno::ACCESS
            | Errno::PERM
            | Errno::NAMETOOLONG
            | Errno::NXIO
            | Errno::NODEV
            | Errno::INVAL
            | Errno::ISDIR
    )
}
